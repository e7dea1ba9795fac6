"""`ombud domains records|instructions`: what to put into a domain's DNS, as its host wants it typed, and in words to send on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ombud.cli.session import Command, Session

if TYPE_CHECKING:
    from ombud.domains.hosts import Host
    from ombud.installation import Installation
    from ombud.mail.records import Record


@click.command("records", cls=Command)
@click.argument("name")
@click.option("--bind", is_flag=True, help="Print lines for a zone file.")
@click.pass_obj
def records(session: Session, name: str, bind: bool) -> None:
    """Show the DNS records that NAME's mail needs, as they are typed at its DNS host. They do not change while you wait."""
    from ombud.domains.handing import bind_lines
    from ombud.domains.names import typed_domain

    with session.opened() as installation:
        domain = typed_domain(name)
        wanted, host, zone = to_publish(installation, domain)
    if bind:
        click.echo(bind_lines(wanted), nl=False)
        return
    rows = [_typed(session, record, zone, host) for record in wanted]
    session.show_rows(rows, "type", "typed", "value", "weight", "note", spare=("weight", "note"))


def to_publish(installation: Installation, domain: str) -> tuple[Sequence[Record], Host, str]:
    """The records, the host, and the zone that they are typed in: as the latest check saw it, else the domain itself."""
    from ombud.cli.domains_check import known
    from ombud.domains.hostbook import load_hosts
    from ombud.domains.hosts import UNKNOWN
    from ombud.domains.letter import records_to_publish
    from ombud.domains.watchlist import report_of
    from ombud.errors import NotFound

    with installation.database.read() as tx:
        needs, watch = known(tx, installation, domain, installation.clock.now())
        if watch is None and not needs.records:
            raise NotFound(kind="domain", name=domain)
        report = report_of(tx, domain) if watch else None
        hosts = load_hosts(tx)
    servers = report["name_servers"] if report else ()
    zone = str(report["zone"]) if report and report["zone"] else domain
    return records_to_publish(domain, needs.records, report), hosts.host_of(domain, servers) or UNKNOWN, zone


def _typed(session: Session, record: Record, zone: str, host: Host) -> dict[str, Any]:
    from ombud.domains.hosts import TYPING_NOTES, typed

    made = typed(record, zone, host)
    return {
        "type": made.kind, "name": record.name, "typed": made.name, "value": made.value, "weight": record.weight.value,
        "purpose": record.purpose.value, "note": " ".join(session.say(*reversed(TYPING_NOTES[note])) for note in made.notes) or None,
    }  # fmt: skip


@click.command("instructions", cls=Command)
@click.argument("name")
@click.pass_obj
def instructions(session: Session, name: str) -> None:
    """Write what to do for NAME's DNS, for whoever keeps it: to be sent on as it is (--lang en for English)."""
    from ombud.domains.letter import letter
    from ombud.domains.names import typed_domain

    with session.opened() as installation:
        domain = typed_domain(name)
        wanted, host, zone = to_publish(installation, domain)
    text = letter(domain, wanted, zone, host, session.language)
    if session.json:
        session.show_json({"domain": domain, "dns_host": host.name or None, "text": text})
    else:
        click.echo(text)
