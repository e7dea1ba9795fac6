"""`ombud dns zone`: what the vendor's own zone must hold for the customers' domains that point into it."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from ombud.cli.session import Command, Session


@click.command("zone", cls=Command)
@click.option("--push", is_flag=True, help="Send everything to `dns.update_server`, also what it has taken before.")
@click.option("--unpublished", is_flag=True, help="Only what the server has not taken yet.")
@click.pass_obj
def zone(session: Session, push: bool, unpublished: bool) -> None:
    """Print the records of the vendor's zone as lines for a zone file: include them there, or let --push publish them."""
    from ombud.domains.zone import zone_records
    from ombud.errors import NoVendorZone

    with session.opened() as installation:
        if not installation.settings.dns.vendor_zone:
            raise NoVendorZone()
        now = installation.clock.now()
        if push:
            _push(installation, now)
        with installation.database.read() as tx:
            records = [one for one in zone_records(tx, now) if not (unpublished and one.published_at)]
    if session.json:  # the lines are what programs read too: JSON only where it is asked for
        session.show_json(
            [
                {
                    "name": one.name,
                    "type": one.kind,
                    "value": one.value,
                    "ttl": one.ttl,
                    "published_at": one.published_at,
                }
                for one in records
            ]
        )
        return
    for one in records:
        click.echo(one.line)


def _push(installation: Any, now: Any) -> None:
    """Raises ZoneNotTaken."""
    from ombud.domains.rotating import change_of, server_of
    from ombud.domains.rotation import mark_in_zone
    from ombud.domains.zone import mark_published, unpublished, zone_records
    from ombud.errors import ZoneNotTaken

    server = server_of(installation.settings.dns)
    if server is None:
        raise ZoneNotTaken(zone=installation.settings.dns.vendor_zone, reason="dns.update_server is not set")
    with installation.database.read() as tx:
        gone = [one for one in unpublished(tx, now, 10_000) if one.remove_at is not None]
        records = zone_records(tx, now) + gone
    if why := asyncio.run(server.publish([change_of(one, now) for one in records])):
        raise ZoneNotTaken(zone=server.zone, reason=why)
    with installation.database.write() as tx:
        mark_published(tx, [one for one in records if one.remove_at is None or one in gone], now)
        mark_in_zone(tx, records, now)
