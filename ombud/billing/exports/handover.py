"""Hands a locked month over: the invoices that have not been yet, or, when all have been, the same files again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ombud.accounts import load_directory
from ombud.billing.basis import Basis
from ombud.billing.exports import pdf
from ombud.billing.exports.behind import load_months
from ombud.billing.exports.complaints import Complaint, complaints
from ombud.billing.exports.formats import Format, Made, Order, Progress, made, manifest
from ombud.billing.exports.given import completed, lacking
from ombud.billing.exports.runs import Run, begin_run, end_run, next_round, runs_of
from ombud.billing.exports.writing import File, Putting, putting
from ombud.billing.ledger import Kept, bases_of, mark_exported, period_of
from ombud.billing.parties import Payer, buyer_of, load_payers
from ombud.db import Database, Transaction
from ombud.errors import ExportDiffers, InvoicesIncomplete, NothingToExport, PeriodNotLocked

_TOLD = 5  # complaints within an error's sentence


@dataclass(frozen=True, slots=True)
class Ready:
    """The invoices that an order would hand over, and what keeps them from it. `again`: they have all been handed over before."""

    bases: tuple[Basis, ...]
    complaints: tuple[Complaint, ...]
    again: bool


@dataclass(frozen=True, slots=True)
class Exported:
    """A run with its files, the manifest last. `again`: it was made before, and these are the same bytes."""

    run: Run
    bases: tuple[Basis, ...]
    files: tuple[File, ...]
    again: bool
    written: int  # files that were not there already


def ready(database: Database, order: Order) -> Ready:
    """Look without touching anything. Raises PeriodNotLocked or NothingToExport."""
    with database.read() as tx:
        plans = _plans(tx, order)
    bases = tuple(basis for plan in plans for basis in plan.bases)
    return Ready(bases, tuple(complaints(bases, order.format)), again=plans[0].run is not None)


def export(
    database: Database,
    order: Order,
    directory: Path,
    now: datetime,
    by: str,
    progress: Progress = lambda done, of: None,
) -> list[Exported]:
    """Hand the month's invoices over, as files in `directory`: those that no run of this format has had, or else the same runs again.

    No run is made, and no file has its name, before every file has been made, read again and put aside. A crash after that leaves a run
    whose files are not all there; the same call then puts the rest there. Raises PeriodNotLocked, NothingToExport, InvoicesIncomplete, ExportOverlaps,
    ExportDiffers, ExportFileTaken, PdfNotInstalled, Misconfigured, or ExportUnsound for a fault of our own.
    """
    with database.read() as tx:
        plans = _plans(tx, order)
    _refuse_incomplete(order, [basis for plan in plans for basis in plan.bases])
    return [_exported(database, order, plan, directory, now, by, progress) for plan in plans]


def _exported(
    database: Database, order: Order, plan: _Plan, directory: Path, now: datetime, by: str, progress: Progress
) -> Exported:
    with putting(directory) as place:
        parts = [_put(place, one) for one in made(order, plan.bases, plan.months, progress)]
        with database.write() as tx:
            run = plan.run or begin_run(tx, order.period, order.form, plan.given, now, by, round_=plan.round)
            files = _named(place, order, run, plan, parts)
            if plan.run:
                _refuse_others(run, files)
            else:  # noted together with its files; and the month has been exported
                end_run(tx, run, [(file.name, file.sha256, file.size) for file in files])
                mark_exported(tx, order.period, now)
        new = place.finish()
    return Exported(run, plan.bases, tuple(files), plan.run is not None, len(new))


@dataclass(frozen=True, slots=True)
class _Part:
    """A file that is put aside, or one that waits for the run's number."""

    file: File
    numbers: tuple[str, ...]
    waiting: Made | None = None


def _put(place: Putting, one: Made) -> _Part:
    """Put aside at once: there may be thousands, and they are not to be in memory together."""
    if one.waits:
        return _Part(File.of(one.name, one.data), one.numbers, one)
    return _Part(place.put(one.name, one.data), one.numbers)


def _named(place: Putting, order: Order, run: Run, plan: _Plan, parts: Sequence[_Part]) -> list[File]:
    """All files of the run, the manifest last."""
    files, where = [], {}
    for one in parts:
        file = place.put(one.waiting.named(run.number), one.waiting.data) if one.waiting else one.file
        files.append(file)
        where.update(dict.fromkeys(one.numbers, file.name))
    last = manifest(order, run, plan.bases, files, where)
    return [*files, place.put(last.name, last.data)]


# --- which invoices ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """A run to be made, or to be made again (then `run` is that one)."""

    run: Run | None
    round: int
    bases: tuple[Basis, ...]
    given: Mapping[int, Mapping[str, Any]]  # by the basis' id
    months: Mapping[str, pdf.Month]  # by the basis' number


def _plans(tx: Transaction, order: Order) -> list[_Plan]:
    if period_of(tx, order.period).locked_at is None:
        raise PeriodNotLocked(period=order.period)
    kept = bases_of(tx, order.period)
    if not kept:
        raise NothingToExport(period=order.period)
    earlier = runs_of(tx, order.period, order.form)
    if order.anew:
        return [_new(tx, order, kept, next_round(tx, order.period, order.form))]
    handed = {basis_id for run in earlier for basis_id in run.given}
    if fresh := [one for one in kept if one.id not in handed]:
        return [_new(tx, order, fresh, 0)]
    since = max(
        (n for n, run in enumerate(earlier) if run.round), default=0
    )  # what was made anew stands for all before it
    return [_plan(run, run.round, [one for one in kept if one.id in run.given], run.given) for run in earlier[since:]]


def _new(tx: Transaction, order: Order, kept: Sequence[Kept], round_: int) -> _Plan:
    directory, payers = load_directory(tx), load_payers(tx)
    months = load_months(tx, kept) if order.format is Format.PDF else {}
    given: dict[int, dict[str, Any]] = {}
    for one in kept:
        buyer = one.basis.buyer
        today = buyer_of(directory.customer_by_id(buyer.customer_id), payers.get(buyer.customer_id, Payer()))
        given[one.id] = {"buyer": lacking(buyer, today)}
        if one.id in months:
            given[one.id]["month"] = months[one.id].as_json()
    return _plan(None, round_, kept, given)


def _plan(run: Run | None, round_: int, kept: Sequence[Kept], given: Mapping[int, Mapping[str, Any]]) -> _Plan:
    months = {one.basis.number: pdf.Month.from_json(given[one.id]["month"]) for one in kept if "month" in given[one.id]}
    return _Plan(run, round_, tuple(completed(one.basis, given[one.id]["buyer"]) for one in kept), given, months)


def _refuse_incomplete(order: Order, bases: Sequence[Basis]) -> None:
    if not (found := complaints(bases, order.format)):
        return
    count = sum(bool(complaints([one], order.format)) for one in bases)
    more = len(found) - _TOLD
    en = [one.en for one in found[:_TOLD]] + ([f"And {more} more."] if more > 0 else [])
    sv = [one.sv for one in found[:_TOLD]] + ([f"Och {more} till."] if more > 0 else [])
    raise InvoicesIncomplete(period=order.period, format=order.format, count=count, en=" ".join(en), sv=" ".join(sv))


def _refuse_others(run: Run, files: Sequence[File]) -> None:
    """What is made again must be what was made then."""
    for file in files:
        if run.sha256.get(file.name) != file.sha256:
            raise ExportDiffers(run=run.number, file=file.name, period=run.period)
