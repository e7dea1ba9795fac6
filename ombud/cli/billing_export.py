"""`ombud billing export` and `exports`: a locked month, handed over to finance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ombud.cli.closing import period_option
from ombud.cli.operator import by_option
from ombud.cli.session import NOT_OK, Command, Session, dry_run_option

if TYPE_CHECKING:
    from ombud.billing.basis import Basis
    from ombud.billing.exports import Exported, Order, Ready
    from ombud.billing.exports.formats import Progress

#: As `ombud.billing.exports.Format` has them: named here too, since importing them takes a while (a test compares).
FORMATS = ("csv", "excel-sv", "json", "peppol", "sie", "fortnox", "pdf")


@click.command("export", cls=Command)
@period_option
@click.option("--format", "form", required=True, type=click.Choice(FORMATS), help="What is made of it.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Where the files are put; made when it is not there.",
)  # fmt: skip
@click.option("--language", type=click.Choice(["sv", "en"]), help="Of the PDF; without it, each customer's own.")
@click.option(
    "--anew",
    is_flag=True,
    help="Also what has been handed over in this format before. What was booked then is booked twice.",
)
@by_option
@dry_run_option
@click.pass_obj
def export(
    session: Session, period: str, form: str, out: Path, language: str | None, anew: bool, by: str, dry_run: bool
) -> None:
    """Hand a locked month over: the invoices and credits that have not been yet, each in a file that has been checked.

    When all have been, the same files are made again, to the byte. A file that is there with another content is left alone. With
    --dry-run it tells what would be handed over and what is missing; exit code 3 when something is.
    """
    from ombud.billing.exports import Accounts, Format, Order, ready
    from ombud.billing.exports import export as hand_over

    if language and form != "pdf":
        raise click.UsageError("--language is for --format pdf.")
    with session.opened() as installation:
        accounts = Accounts(**installation.settings.bookkeeping.model_dump())
        order = Order(period, Format(form), language or "", anew, accounts)
        if dry_run:
            _show_ready(session, order, ready(installation.database, order))
            return
        with _bar(session) as progress:
            runs = hand_over(installation.database, order, out, installation.clock.now(), by, progress)
    _show(session, out, runs)


@contextmanager
def _bar(session: Session) -> Iterator[Progress]:
    """How far it has come, on the other stream."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(session.say("files", "filer")), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    quiet = session.as_json or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("files", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _show(session: Session, out: Path, runs: Sequence[Exported]) -> None:
    if session.as_json:
        session.show_json({"directory": str(out), "runs": [_as_json(one) for one in runs]})
        return
    for one in runs:
        count, number = len(one.bases), one.run.number
        if one.again:
            click.echo(
                session.say(
                    f"Run {number} again: {count} invoices.", f"Körning {number} en gång till: {count} fakturor."
                )
            )
        else:
            click.echo(session.say(f"Run {number}: {count} invoices.", f"Körning {number}: {count} fakturor."))
        files = session.say("files written to", "filer skrivna till")
        already = len(one.files) - one.written
        there = session.say(f", {already} were there already", f", {already} fanns redan") if already else ""
        click.echo(f"{one.written} {files} {out}{there}: {one.files[-1].name}")


def _as_json(one: Exported) -> dict[str, Any]:
    return {
        "run": one.run.number,
        "again": one.again,
        "made_at": one.run.at,
        "made_by": one.run.by,
        "invoices": [_invoice(basis) for basis in one.bases],
        "files": [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in one.files],
        "written": one.written,
    }


def _invoice(basis: Basis) -> dict[str, Any]:
    return {
        "number": basis.number,
        "kind": basis.kind,
        "customer": basis.buyer.slug,
        "net": str(basis.net),
        "vat": str(basis.vat),
        "total": str(basis.total),
        "currency": basis.currency,
    }


def _show_ready(session: Session, order: Order, found: Ready) -> None:
    problems = [
        {"customer": one.customer, "code": one.code, "detail": session.say(one.en, one.sv)} for one in found.complaints
    ]
    if session.as_json:
        invoices = [_invoice(one) for one in found.bases]
        session.show_json(
            {
                "period": order.period,
                "format": order.form,
                "again": found.again,
                "invoices": invoices,
                "missing": problems,
            }
        )
    else:
        rows = [{**_invoice(one), "name": one.buyer.name} for one in found.bases]
        session.show_rows(rows, "number", "kind", "name", "net", "vat", "total", spare=("vat", "net"))
        if problems:
            click.echo()
            session.show_rows(problems, "customer", "detail")
    if problems:
        raise click.exceptions.Exit(NOT_OK)


@click.command("exports", cls=Command)
@period_option
@click.pass_obj
def exports(session: Session, period: str) -> None:
    """List a month's runs: when what was handed over, in which format, by whom."""
    from ombud.billing.exports import runs_of

    with session.opened() as installation, installation.database.read() as tx:
        runs = runs_of(tx, period)
    rows = [
        {
            "run": one.number,
            "format": one.form,
            "invoices": len(one.given),
            "files": len(one.sha256),
            "at": one.at,
            "by": one.by,
        }
        for one in runs
    ]
    session.show_rows(rows, "run", "format", "invoices", "files", "at", "by")
