"""`ombud domains check|watch`: what a domain's mail needs in DNS, what is there, and what has happened to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ombud.cli.session import NOT_OK, Command, Session

if TYPE_CHECKING:
    from datetime import datetime

    from ombud.db import Transaction
    from ombud.domains.checks import Report, Source
    from ombud.domains.hosts import Host
    from ombud.domains.watch import Watch
    from ombud.domains.watching import Watching
    from ombud.installation import Installation
    from ombud.needs import Needs

#: Each record's state in words, Swedish and English, with its sign.
STATES = {
    "unchecked": ("·", "inte kontrollerad", "not checked"), "missing": ("✖", "saknas", "missing"),
    "mismatch": ("✖", "fel värde", "wrong value"), "wrong_host": ("✖", "fel plats", "wrong place"),
    "conflict": ("✖", "krock", "conflict"), "propagating": ("…", "på väg", "on its way"), "ok": ("✔", "klar", "ready"),
    "recommended": ("○", "rekommenderas", "recommended"), "untestable": ("?", "kan inte testas", "cannot be tested"),
    "lost": ("✖", "försvunnen", "gone"),
}  # fmt: skip
_DOMAIN_STATES = {
    "unchecked": ("inte kontrollerad", "not checked"), "pending": ("väntar på DNS", "waiting for DNS"), "ok": ("klar", "ready"),
    "at_risk": ("i riskzonen", "at risk"), "lost": ("försvunnen", "lost"), "claimed": ("anspråk, ej styrkt", "claimed, not proved"),
}  # fmt: skip
_TURNS = {
    "customer": ("kunden", "the customer"), "it_supplier": ("IT-leverantören", "the IT supplier"), "vendor": ("vi", "us"),
    "wait": ("ingen, bara vänta", "nobody, only wait"), "microsoft_admin": ("Microsoft-administratören", "the Microsoft administrator"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check came to, with what the installation knows beside it."""

    report: Report
    state: str
    host: Host | None
    next_check: datetime | None
    stop_at: datetime | None = None


@click.command("check", cls=Command)
@click.argument("name")
@click.option("--nameserver", metavar="IP[:PORT]", help="Ask this server for everything, and keep nothing.")
@click.option("--details", is_flag=True, help="Everything: who was asked and when, what to do, the technical side.")
@click.pass_context
def check(ctx: click.Context, name: str, nameserver: str | None, details: bool) -> None:
    """Look whether NAME has the DNS records that its mail needs. Exit code 3: something that is required is not there.

    The zone's own servers are asked first, then a resolver. A server that does not answer never counts against the domain.
    """
    from ombud.domains.names import typed_domain
    from ombud.installation import MASTER_KEY

    session: Session = ctx.obj
    domain = typed_domain(name)
    if nameserver and not (session.directory / MASTER_KEY).exists():
        found = asyncio.run(_without_installation(domain, nameserver))
    else:
        with session.opened() as installation:
            found = asyncio.run(checked(installation, domain, nameserver))
    if session.as_json:
        session.show_json(as_json(found, details=details))
    else:
        show(session, found, details=details)
    if not found.report.ok:
        ctx.exit(NOT_OK)


async def checked(installation: Installation, domain: str, nameserver: str | None = None) -> Checked:
    """Check a domain. One that is proved is checked for what its mail needs and, if no server was named, that is kept."""
    from ombud.domains.checks import check
    from ombud.domains.hostbook import load_hosts
    from ombud.domains.watch import told

    now, database = installation.clock.now(), installation.database
    with database.read() as tx:
        needs, watch = known(tx, installation, domain, now)
        hosts = load_hosts(tx)
    source = source_of(installation, nameserver)
    if watch is None or nameserver:
        report = await check(domain, needs.records, source, now, bulk=needs.bulk, keyless=needs.keyless)
        state, next_check, stop_at = "ok" if report.ok else "pending", None, None
        if not nameserver:
            await _settle(installation, domain, now)
    else:
        report, watch = await _looked_at(installation, source, watch, needs, now)
        report = told(report, watch)
        state, next_check, stop_at = watch.state.value, watch.next_at, watch.stop_at
    return Checked(report, state, hosts.host_of(domain, report.name_servers), next_check, stop_at)


def known(tx: Transaction, installation: Installation, domain: str, now: datetime) -> tuple[Needs, Watch | None]:
    """What the domain needs, and its watch where it is proved itself; of one that is only claimed, the claim's record."""
    from dataclasses import replace

    from ombud.accounts import load_directory
    from ombud.domains import load_ownership
    from ombud.domains.claims import open_claims
    from ombud.domains.watchlist import watch_of
    from ombud.needs import Needs, needs_of
    from ombud.routing import load_facts

    owned = load_ownership(tx).domains.get(domain)
    if owned:
        zone = installation.settings.dns.vendor_zone
        return needs_of(tx, owned, load_facts(tx), load_directory(tx), now, zone), watch_of(tx, domain)
    claims = [claim.record for claim in open_claims(tx) if claim.domain == domain]
    return replace(Needs(), records=tuple(claims[:1])), None


async def _settle(installation: Installation, domain: str, now: datetime) -> None:
    """Whoever checks a domain that is claimed need not wait until the service looks for the token."""
    from ombud.domains.claims import open_claims

    with installation.database.read() as tx:
        claims = [claim for claim in open_claims(tx) if claim.domain == domain]
    for claim in claims:
        await watching_of(installation).look_for(claim, now)


async def _looked_at(
    installation: Installation, source: Source, watch: Watch, needs: Needs, now: datetime
) -> tuple[Report, Watch]:  # fmt: skip
    """A check that counts: what it came to is kept, as the service's own are."""
    from ombud.domains.watch import step

    watching = watching_of(installation, source)
    report = await watching.checked(watch, needs, now)
    await watching.keep(watch, report, now)
    return report, step(watch, report, now)[0]


def watching_of(installation: Installation, source: Source | None = None) -> Watching:
    from ombud.domains.watching import Watching

    database = installation.database

    def needs(tx: Transaction, names: Sequence[str], now: datetime) -> Mapping[str, Needs]:
        from ombud.accounts import load_directory
        from ombud.domains import load_ownership
        from ombud.needs import needs_by_name
        from ombud.routing import load_facts

        return needs_by_name(
            tx, names, now, ownership=load_ownership(tx), facts=load_facts(tx), directory=load_directory(tx),
            vendor_zone=installation.settings.dns.vendor_zone,
        )  # fmt: skip

    return Watching(database.reading, database.writing, source or source_of(installation), needs)


def source_of(installation: Installation, nameserver: str | None = None) -> Source:
    from ombud.cli.domains_keys import resolver_of

    return one_server(nameserver) if nameserver else resolver_of(installation)


def one_server(nameserver: str) -> Source:
    """Raises BadField for what is no address."""
    from ombud.dns import Resolver
    from ombud.domains.checks import OneServer
    from ombud.errors import BadField

    host, _, port = nameserver.rpartition(":") if nameserver.count(":") == 1 else (nameserver, "", "53")
    if not port.isdecimal() or not host:
        raise BadField(field="nameserver", reason=f"{nameserver} is not IP or IP:PORT")
    server = nameserver if nameserver.count(":") == 1 else f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
    return OneServer(Resolver([server], authority_port=int(port)), server)


async def _without_installation(domain: str, nameserver: str) -> Checked:
    from ombud.clock import WallClock
    from ombud.domains.checks import check
    from ombud.domains.hosts import host_of

    report = await check(domain, (), one_server(nameserver), WallClock().now())
    return Checked(report, "ok" if report.ok else "pending", host_of(report.name_servers), None)


# --- showing it --------------------------------------------------------------------------------------------------------


def as_json(found: Checked, *, details: bool = False) -> dict[str, Any]:
    """The answer for programs: always these keys; with `details` each record and finding has more of them."""
    from ombud.domains.checks import as_json as whole

    report = whole(found.report)
    records: Any = report["records"]
    findings: Any = report["findings"]
    if not details:
        records = [
            {key: one[key] for key in ("type", "name", "expected", "found", "state", "findings")} for one in records
        ]
        findings = [{key: one[key] for key in ("code", "weight", "turn", "sv", "en")} for one in findings]
    return {
        "domain": found.report.domain, "state": found.state, "records": records, "findings": findings,
        "dns_host": found.host.name if found.host else None, "next_check": found.next_check,
    }  # fmt: skip


def show(session: Session, found: Checked, *, details: bool = False) -> None:
    report, language = found.report, session.language
    values: dict[str, Any] = {"domain": report.domain, "state": state_text(session, found.state)}
    values["dns_host"] = found.host.name if found.host else ", ".join(report.name_servers) or None
    values |= {"stop_at": found.stop_at} if found.stop_at else {}
    values |= {"next_check": found.next_check} if found.next_check else {}
    session.show_one(values)
    rows = [_row(session, looked, details) for looked in report.records]
    if rows:
        click.echo()
        session.show_rows(
            rows, "state", "type", "name", "expected", "found", *(("server", "at", "ttl") if details else ())
        )
    for finding in report.everything:
        from ombud.mail.encodedword import without_unsafe

        turn = _turn_text(session, finding.kind.turn.value)
        click.echo()
        colour = {"required": "red", "recommended": "yellow"}.get(finding.weight.value, "cyan")
        click.secho(without_unsafe(finding.verdict(language)), fg=colour, nl=False)
        click.echo(f"  [{finding.code}; {session.say('turn', 'bollen')}: {turn}]")
        click.echo("  " + without_unsafe(finding.advice(language)))
        if details:
            click.secho(
                "  " + without_unsafe(" ".join((finding.detail(language), finding.kind.link))).rstrip(), dim=True
            )


def state_text(session: Session, state: str) -> str:
    """A domain's state: its code for programs, its words for people."""
    return state if session.as_json else session.say(*reversed(_DOMAIN_STATES[state]))


def _turn_text(session: Session, turn: str) -> str:
    return turn if session.as_json else session.say(*reversed(_TURNS[turn]))


def _row(session: Session, looked: Any, details: bool) -> dict[str, Any]:
    sign, sv, en = STATES[looked.state.value]
    found = "\n".join(looked.found) or session.say("(nothing)", "(inget)")
    expected = looked.expected or looked.record.value or session.say("(any valid key)", "(någon giltig nyckel)")
    cut = (lambda text: text) if details else _cut
    return {
        "state": f"{sign} {session.say(en, sv)}", "type": looked.record.kind, "name": looked.record.name,
        "expected": cut(expected), "found": cut(found), "server": looked.server, "at": looked.at, "ttl": looked.ttl,
    }  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= 70 else f"{text[:66]}…"


# --- watching ----------------------------------------------------------------------------------------------------------


@click.command("watch", cls=Command)
@click.argument("name", required=False)
@click.option("--customer", help="Only this customer's.")
@click.option("--now", "at_once", is_flag=True, help="Look at NAME at once and then often: something was done.")
@click.option("--step", is_flag=True, help="Look at every domain that is due now, as the service does.")
@click.pass_obj
def watch(session: Session, name: str | None, customer: str | None, at_once: bool, step: bool) -> None:
    """Show where every domain stands, or what has happened to NAME. The service looks by itself, for as long as it takes."""
    from ombud.accounts import load_directory
    from ombud.domains.names import typed_domain
    from ombud.domains.watchlist import changes_of, look_again, standings, watch_of

    with session.opened() as installation:
        now = installation.clock.now()
        if at_once:
            if not name:
                raise click.UsageError("Name a domain.")
            with installation.database.write() as tx:
                look_again(tx, typed_domain(name), now)
        if step:
            asyncio.run(watching_of(installation).round(now))
        with installation.database.read() as tx:
            if name:
                domain = typed_domain(name)
                watch_of(tx, domain)
                rows = [_change(session, change) for change in changes_of(tx, domain)]
            else:
                directory = load_directory(tx)
                only = directory.customer(customer).id if customer else None
                rows = [_standing(session, directory, one) for one in standings(tx, only)]
    if name:
        session.show_rows(rows, "at", "what", "turn", "codes", "stop_at")
    else:
        columns = ("domain", "customer", "state", "since", "turn", "codes", "stop_at", "next_check")
        session.show_rows(rows, *columns, spare=("since", "next_check", "codes"))


def _standing(session: Session, directory: Any, one: Any) -> dict[str, Any]:
    return {
        "domain": one.domain, "customer": directory.customer_by_id(one.customer_id).slug,
        "state": state_text(session, one.state.value), "since": one.since,
        "turn": _turn_text(session, one.turn.value), "codes": list(one.codes), "stop_at": one.stop_at,
        "checked_at": one.checked_at, "next_check": one.next_check,
    }  # fmt: skip


def _change(session: Session, change: Any) -> dict[str, Any]:
    return {
        "at": change.at, "what": change.what.value, "turn": _turn_text(session, change.turn.value),
        "codes": list(change.codes), "stop_at": change.stop_at,
    }  # fmt: skip
