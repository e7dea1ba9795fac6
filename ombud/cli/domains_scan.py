"""`ombud domains scan`: a look at customers' domains before they are asked to choose."""

from __future__ import annotations

import asyncio
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import click

from ombud.cli.session import Command, Session

if TYPE_CHECKING:
    from ombud.domains.scan import Scanned
    from ombud.installation import Installation

#: Domains looked at at a time; each asks one question after another.
_AT_A_TIME = 64
_HEADINGS = {"domain": "domain", "domän": "domain", "slug": "customer", "customer": "customer", "kund": "customer"}
_COLUMNS = (
    "domain", "customer", "dns_host", "mail_service", "spf", "spf_lookups", "dmarc", "signers", "recommended", "reason",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A domain to look at. `note`: why it is in the list, if not because the customer has proved it."""

    domain: str
    customer: str = ""
    note: str = ""


class _Step(Protocol):
    def __call__(self) -> None: ...


@click.command("scan", cls=Command)
@click.argument("file", required=False, type=click.File("rb"))
@click.option(
    "--all", "everything", is_flag=True, help="Every proved domain, and the From domains in the last days' traffic."
)
@click.option("--csv", "as_csv", is_flag=True, help="Answer as CSV.")
@click.option(
    "--days", type=click.IntRange(1, 366), default=30, show_default=True, help="With --all: so many days of traffic."
)
@click.pass_obj
def scan(session: Session, file: BinaryIO | None, everything: bool, as_csv: bool, days: int) -> None:
    """Look at the domains in FILE (one a line, or a CSV with a column `domain`), or at all of them: who keeps the DNS, who takes the
    mail, who may send, who signs, and which alternative fits. Nothing is changed, and nobody is told."""
    if (file is None) == (not everything):
        raise click.UsageError("Name a file, or give --all.")
    with session.opened() as installation:
        wanted = _from_file(file) if file else _from_database(installation, days)
        with _bar(session, len(wanted)) as step:
            scanned = asyncio.run(_scan_all(installation, [one.domain for one in wanted], step))
    rows = [_row(session, one, found) for one, found in zip(wanted, scanned, strict=True)]
    if as_csv:
        session.show_csv(rows, *(rows[0] if rows else _COLUMNS))
    else:
        session.show_rows(rows, *_COLUMNS, spare=("spf", "spf_lookups", "reason"))


# --- which domains ---------------------------------------------------------------------------------------------------


def _from_file(file: BinaryIO) -> list[_Wanted]:
    """Raises BadCsv, which names the line, for what is no domain."""
    from ombud.domains.names import typed_domain
    from ombud.errors import BadCsv, BadRequest

    name = getattr(file, "name", "-")
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadCsv(file=name, line=1, reason="save it as CSV UTF-8") from error
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in text else ",")
    columns: dict[str, int] | None = None
    found: dict[str, _Wanted] = {}
    for cells in lines:
        row = [cell.strip() for cell in cells]
        if not any(row) or row[0].startswith("#"):
            continue
        if columns is None:
            columns = {_HEADINGS[cell.lower()]: at for at, cell in enumerate(row) if cell.lower() in _HEADINGS}
            if "domain" in columns:
                continue
            columns = {"domain": 0}
        values = {name: row[at] for name, at in columns.items() if at < len(row)}
        try:
            domain = typed_domain(values.get("domain", ""))
        except BadRequest as error:
            raise BadCsv(file=name, line=lines.line_num, reason=error.text().rstrip(".")) from error
        found.setdefault(domain, _Wanted(domain, values.get("customer", "")))
    return list(found.values())


def _from_database(installation: Installation, days: int) -> list[_Wanted]:
    """The proved domains, and those that mail is sent from without having been proved themselves."""
    from datetime import timedelta

    from ombud.accounts import load_directory
    from ombud.domains import load_ownership
    from ombud.queue import senders_since

    with installation.database.read() as tx:
        directory, ownership = load_directory(tx), load_ownership(tx)
        senders = senders_since(tx, installation.clock.now() - timedelta(days=days))
    wanted = {
        one.name: _Wanted(one.name, directory.customer_by_id(one.customer_id).slug)
        for one in ownership.domains.values()
    }
    for (customer_id, domain), number in senders.items():
        if domain not in wanted:
            wanted[domain] = _Wanted(domain, directory.customer_by_id(customer_id).slug, f"{number} e-mails")
    return list(wanted.values())


# --- looking ---------------------------------------------------------------------------------------------------------


async def _scan_all(installation: Installation, domains: Sequence[str], step: _Step) -> list[Scanned]:
    from ombud.cli.domains_keys import resolver_of
    from ombud.dns import remembering
    from ombud.domains.hostbook import load_hosts
    from ombud.domains.scan import scan

    with installation.database.read() as tx:
        taught = load_hosts(tx).taught
    ask, room = remembering(resolver_of(installation).ask), asyncio.Semaphore(_AT_A_TIME)

    async def one(domain: str) -> Scanned:
        async with room:
            found = await scan(ask, domain, taught)
        step()
        return found

    return list(await asyncio.gather(*(one(domain) for domain in domains)))


@contextmanager
def _bar(session: Session, total: int) -> Iterator[_Step]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(session.say("Looking", "Tittar")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    quiet = not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


# --- telling ---------------------------------------------------------------------------------------------------------


def _row(session: Session, wanted: _Wanted, found: Scanned) -> dict[str, Any]:
    kinds = {
        "own": ("own", "egen"), "subcontractor": ("subcontractor", "underleverantör"), "ask": ("ask", "fråga"),
        "unknown": ("unknown", "okänt"),
    }  # fmt: skip
    return {
        "domain": found.domain, "customer": wanted.customer, "note": wanted.note, "dns_host": found.dns_host,
        "name_servers": list(found.name_servers), "mx": list(found.mx), "mail_service": found.mail_service,
        "spf": found.spf, "spf_result": found.spf_result, "spf_lookups": found.spf_lookups,
        "spf_problems": list(found.spf_problems), "senders": list(found.senders), "dmarc": found.dmarc,
        "dmarc_at": found.dmarc_at, "signers": list(found.signers), "recommended": session.say(*kinds[found.fits.value]),
        "reason_code": found.reason, "reason": found.why(session.language), "standing": found.standing.value,
        "uncertain": found.uncertain,
    }  # fmt: skip
