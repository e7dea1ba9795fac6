"""`ombud domains scan`: a look at customers' domains before they are asked to choose."""

from __future__ import annotations

import asyncio
import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import click

from ombud.cli.session import Command, Session

if TYPE_CHECKING:
    from ombud.domains.scan import Scanned
    from ombud.installation import Installation

#: Domains looked at at a time; each asks one question after another.
_AT_A_TIME = 64
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
@click.argument("file", required=False, type=click.File(encoding="utf-8-sig"))
@click.option(
    "--all", "everything", is_flag=True, help="Every proved domain, and the From domains in the last days' traffic."
)
@click.option("--csv", "as_csv", is_flag=True, help="Answer as CSV.")
@click.option("--days", type=int, default=30, show_default=True, help="With --all: so many days of traffic.")
@click.pass_obj
def scan(session: Session, file: TextIO | None, everything: bool, as_csv: bool, days: int) -> None:
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


def _from_file(file: TextIO) -> list[_Wanted]:
    """Raises BadField, which names the line, for what is no domain."""
    from ombud.errors import BadAddress, BadField
    from ombud.mail.address import canonical_domain

    rows = list(csv.reader(line for line in file if line.strip() and not line.startswith("#")))
    if rows and len(rows[0]) == 1 and ";" in rows[0][0]:
        rows = [row[0].split(";") for row in rows if row]
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    names = ("domain", "domän")
    place = next((head.index(name) for name in names if name in head), None)
    who = next((head.index(name) for name in ("slug", "customer", "kund") if name in head), None)
    found: dict[str, _Wanted] = {}
    for number, row in enumerate(rows if place is None else rows[1:], 1):
        text = row[place or 0].strip() if len(row) > (place or 0) else ""
        if not text:
            continue
        try:
            domain = canonical_domain(text)
        except BadAddress as error:
            raise BadField(field=f"row {number}", reason=error.text()) from error
        customer = row[who].strip() if place is not None and who is not None and len(row) > who else ""
        found.setdefault(domain, _Wanted(domain, customer))
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
    from ombud.domains.scan import scan

    ask, room = remembering(resolver_of(installation).ask), asyncio.Semaphore(_AT_A_TIME)

    async def one(domain: str) -> Scanned:
        async with room:
            found = await scan(ask, domain)
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
