"""`ombud dns zone`: what the vendor's own zone must hold for the customers' domains that point into it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from ombud.cli.session import Command, Session

if TYPE_CHECKING:
    from datetime import datetime

    from ombud.installation import Installation


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
        session.show_json([
            {"name": one.name, "type": one.kind, "value": one.value, "ttl": one.ttl, "published_at": one.published_at}
            for one in records
        ])  # fmt: skip
        return
    for one in records:
        click.echo(one.line)


def _push(installation: Installation, now: datetime) -> None:
    """Raises ZoneNotTaken."""
    from ombud.cli.domains_keys import rotation_of
    from ombud.errors import ZoneNotTaken

    rotation = rotation_of(installation)
    if rotation.server is None:
        raise ZoneNotTaken(zone=rotation.vendor_zone, reason="dns.update_server is not set")
    _, refused = asyncio.run(rotation.publish(now, everything=True))
    if refused:
        raise ZoneNotTaken(zone=rotation.vendor_zone, reason=refused)
