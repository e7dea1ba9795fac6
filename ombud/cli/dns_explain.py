"""`ombud dns explain|host`: what is right and wrong with a domain's mail DNS, and who keeps it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ombud.cli.operator import by_option
from ombud.cli.session import NOT_OK, Command, Session, text_of

if TYPE_CHECKING:
    from ombud.cli.domains_check import Checked
    from ombud.domains.checks import Source
    from ombud.domains.hosts import Host


@click.command("explain", cls=Command)
@click.argument("what", metavar="DOMAIN|CODE|REPLY")
@click.option("--nameserver", metavar="IP[:PORT]", help="Ask this server for everything.")
@click.option("--details", is_flag=True, help="Everything: who was asked and when, what to do, the technical side.")
@click.pass_context
def explain(ctx: click.Context, what: str, nameserver: str | None, details: bool) -> None:
    """Look at the mail DNS of any DOMAIN, whosever it is; or tell what the finding CODE means, or what a mail server's REPLY
    (as "535 5.7.139 Authentication unsuccessful ...") says is wrong with the set-up. Exit code 3: something is wrong.

    It looks at single names only, and never lists what is in a zone.
    """
    from ombud.cli.domains_check import as_json, show
    from ombud.domains.findings import catalogue
    from ombud.domains.names import typed_domain

    session: Session = ctx.obj
    if what in catalogue():
        _show_code(session, what)
        return
    if " " in what.strip():
        _show_reply(session, what)
        return
    found = asyncio.run(_look(session, typed_domain(what), nameserver))
    if session.as_json:
        session.show_json(as_json(found, details=details))
    else:
        show(session, found, details=details)
    if not found.report.ok:
        ctx.exit(NOT_OK)


def _show_code(session: Session, code: str) -> None:
    from ombud.domains.findings import catalogue

    kind = catalogue()[code]
    words = kind.words(session.language)
    session.show_one(
        {
            "code": code, "weight": kind.weight.value, "turn": kind.turn.value, "verdict": words.verdict, "do": words.do,
            "detail": words.detail, "link": kind.link or None,
        }
    )  # fmt: skip


def _show_reply(session: Session, reply: str) -> None:
    """Raises NotFound for words that say nothing of the set-up."""
    from ombud.domains.checks import finding_json
    from ombud.domains.findings import finding_of_reply
    from ombud.errors import NotFound
    from ombud.mail.encodedword import without_unsafe

    finding = finding_of_reply(reply)
    if finding is None:
        raise NotFound(kind="finding", name=without_unsafe(reply[:100]))
    kind = finding.kind
    if session.as_json:
        session.show_json(finding_json(finding))
        return
    session.show_one(
        {
            "code": finding.code, "weight": finding.weight.value, "turn": kind.turn.value,
            "verdict": finding.verdict(session.language), "do": finding.advice(session.language), "link": kind.link or None,
        }
    )  # fmt: skip


async def _look(session: Session, domain: str, nameserver: str | None) -> Checked:
    from ombud.cli.domains_check import Checked
    from ombud.clock import WallClock
    from ombud.domains.checks import check

    report = await check(domain, (), _source(session, nameserver), WallClock().now())
    return Checked(report, "ok" if report.ok else "pending", _host(session, domain, report.name_servers), None)


def _source(session: Session, nameserver: str | None) -> Source:
    """The server that was named, else what the installation asks where there is one, else what the system does."""
    from ombud.cli.domains_check import one_server
    from ombud.dns import Resolver
    from ombud.installation import MASTER_KEY

    if nameserver:
        return one_server(nameserver)
    if not (session.directory / MASTER_KEY).exists():
        return Resolver()
    from ombud.settings import load

    settings = load(session.directory)
    return Resolver(settings.delivery.dns_servers, authority_port=settings.dns.authority_port)


def _host(session: Session, domain: str, servers: tuple[str, ...]) -> Host | None:
    from ombud.domains.hosts import host_of
    from ombud.installation import MASTER_KEY

    if not (session.directory / MASTER_KEY).exists():
        return host_of(servers)
    from ombud.domains.hostbook import load_hosts

    with session.opened() as installation, installation.database.read() as tx:
        return load_hosts(tx).host_of(domain, servers)


# --- the host ------------------------------------------------------------------------------------------------------------


@click.command("host", cls=Command)
@click.argument("domain", required=False)
@click.option("--set", "slug", metavar="SLUG", help="Say which host DOMAIN has; '' takes that back.")
@click.option(
    "--teach",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Learn a host from a TOML file.",
)
@click.option("--list", "everything", is_flag=True, help="Show every host that is known.")
@click.option("--unknown", is_flag=True, help="Show the name servers that nobody knows, to be taught.")
@click.option("--nameserver", metavar="IP[:PORT]", help="Ask this server for everything.")
@by_option
@click.pass_obj
def host(
    session: Session, domain: str | None, slug: str | None, teach: Path | None, everything: bool, unknown: bool,
    nameserver: str | None, by: str,
) -> None:  # fmt: skip
    """Tell who keeps DOMAIN's DNS, by its name servers, and how records are typed there. An operator can correct and teach it."""
    if teach:
        _teach(session, teach, by)
    elif everything or unknown:
        _list(session, unknown=unknown)
    elif not domain:
        raise click.UsageError("Name a domain, or give --list, --unknown or --teach.")
    elif slug is not None:
        _correct(session, domain, slug, by)
    else:
        _tell(session, domain, nameserver)


def _tell(session: Session, typed: str, nameserver: str | None) -> None:
    from ombud.domains.checks.asking import Asking
    from ombud.domains.checks.zone import look_at_zone
    from ombud.domains.hosts import UNKNOWN
    from ombud.domains.names import typed_domain

    domain = typed_domain(typed)
    zone = asyncio.run(look_at_zone(Asking(_source(session, nameserver)), domain))
    found = _host(session, domain, zone.name_servers)
    known = found or UNKNOWN
    session.show_one(
        {
            "domain": domain, "zone": zone.name, "name_servers": list(zone.name_servers), "host": found.name if found else None,
            "slug": found.slug if found else None, "panel": known.panel or None, "name_style": known.name_style, "apex": known.apex,
            "long_txt": known.long_txt, "minutes": known.minutes, "how": session.say(known.steps_en, known.steps_sv) or None,
            "sure": known.sure if found else None, "source": known.source or None,
        }
    )  # fmt: skip


def _list(session: Session, *, unknown: bool) -> None:
    from ombud.domains.hostbook import load_hosts, unknown_hosts

    with session.opened() as installation, installation.database.read() as tx:
        if unknown:
            rows: list[dict[str, Any]] = [asdict(one) for one in unknown_hosts(tx)]
        else:
            rows = [{**asdict(one), "suffixes": list(one.suffixes)} for one in load_hosts(tx).all()]
    if unknown:
        session.show_rows(rows, "servers", "example", "seen", "first_at", "last_at", spare=("first_at",))
    else:
        session.show_rows(rows, "slug", "name", "suffixes", "sure", "source", spare=("source", "suffixes"))


def _teach(session: Session, file: Path, by: str) -> None:
    import tomllib

    from ombud.domains.hostbook import teach_host
    from ombud.errors import BadField

    try:
        values = tomllib.loads(text_of(file))
    except tomllib.TOMLDecodeError as error:
        raise BadField(field=file.name, reason=str(error)) from error
    with session.opened() as installation, installation.database.write() as tx:
        made = teach_host(tx, values, by, installation.clock.now())
    session.show_done(
        {"slug": made.slug, "name": made.name, "suffixes": list(made.suffixes)},
        f"{made.name} is known now.",
        f"{made.name} är känd nu.",
    )


def _correct(session: Session, typed: str, slug: str, by: str) -> None:
    from ombud.domains.hostbook import correct_host
    from ombud.domains.names import typed_domain
    from ombud.domains.watchlist import watch_of

    domain = typed_domain(typed)
    with session.opened() as installation, installation.database.write() as tx:
        watch_of(tx, domain)
        made = correct_host(tx, domain, slug, by, installation.clock.now())
    session.show_done(
        {"domain": domain, "host": made.name or None},
        f"{domain}: {made.name or 'as its name servers say'}.",
        f"{domain}: {made.name or 'som namnservrarna säger'}.",
    )
