"""Which invoices have been handed over in which format, and with what in the files; only grows.

A run hands over some invoices in one format. No invoice goes into two runs of the same format, so that nothing is booked twice; a run
can be repeated, and gives the same bytes. Only `anew` makes a further round with invoices that have been handed over already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table, Text, UniqueConstraint, insert, select
from sqlalchemy import func as sql
from sqlalchemy.exc import IntegrityError

from ombud.db import Identity, Json, Many, Moment, Transaction, metadata
from ombud.errors import ExportOverlaps

run_table = Table(
    "export_run",
    metadata,
    Column("number", Identity, primary_key=True),
    Column("period", Text, nullable=False, index=True),
    Column("form", Text, nullable=False),  # the format, with the language where one was asked for: pdf-en
    Column("round", Integer, nullable=False),  # 0; 1 and on for those that were made anew
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
)

file_table = Table(
    "export_file",
    metadata,
    Column("run", BigInteger, ForeignKey("export_run.number"), primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
)

handed_table = Table(
    "export_basis",
    metadata,
    Column("run", BigInteger, ForeignKey("export_run.number"), primary_key=True, autoincrement=False),
    Column("basis_id", BigInteger, ForeignKey("invoice_basis.id"), primary_key=True, autoincrement=False),
    Column("form", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("given", Json, nullable=False),  # what the files have that the basis has not, kept for the next time
    UniqueConstraint("basis_id", "form", "round", name="uq_export_basis_once"),
)
_r, _f, _h = run_table.c, file_table.c, handed_table.c
_FILES = Many(insert(file_table), "run", "name", "sha256", "size")
_HANDED = Many(insert(handed_table), "run", "basis_id", "form", "round", "given")


@dataclass(frozen=True, slots=True)
class Run:
    """A run: when and by whom it was made, which bases it hands over, and what their files have beside them."""

    number: int
    period: str
    form: str
    round: int
    by: str
    at: datetime
    given: Mapping[int, Mapping[str, Any]]  # by the basis' id
    sha256: Mapping[str, str] = field(default_factory=dict)  # by the file's name


def runs_of(tx: Transaction, period: str, form: str | None = None) -> list[Run]:
    """A month's runs, in one format or in all, oldest first."""
    query = select(run_table).where(_r.period == period).order_by(_r.number)
    if form is not None:
        query = query.where(_r.form == form)
    rows = tx.execute(query).all()
    numbers = [row.number for row in rows]
    given: dict[int, dict[int, Any]] = {number: {} for number in numbers}
    handed = select(_h.run, _h.basis_id, _h.given).where(_h.run.in_(numbers)).order_by(_h.basis_id)
    for row in tx.execute(handed):
        given[row.run][row.basis_id] = row.given
    sums: dict[int, dict[str, str]] = {number: {} for number in numbers}
    for row in tx.execute(select(_f.run, _f.name, _f.sha256).where(_f.run.in_(numbers))):
        sums[row.run][row.name] = row.sha256
    return [
        Run(row.number, row.period, row.form, row.round, row.by, row.at, given[row.number], sums[row.number])
        for row in rows
    ]


def next_round(tx: Transaction, period: str, form: str) -> int:
    """The number of a further round; 0 when there has been none."""
    last = tx.execute(select(sql.max(_r.round)).where(_r.period == period, _r.form == form)).scalar()
    return 0 if last is None else int(last) + 1


def begin_run(
    tx: Transaction,
    period: str,
    form: str,
    given: Mapping[int, Mapping[str, Any]],
    now: datetime,
    by: str,
    *,
    round_: int,
) -> Run:
    """Take these bases for a new run. Raises ExportOverlaps when another run of the format has taken one of them."""
    values = {"period": period, "form": form, "round": round_, "by": by, "at": now}
    try:
        with tx.savepoint():
            (number,) = tx.execute(insert(run_table).values(**values)).inserted_primary_key or (None,)
            assert number
            rows = [(number, basis_id, form, round_, kept) for basis_id, kept in sorted(given.items())]
            _HANDED.run(tx, rows)
    except IntegrityError as error:
        raise ExportOverlaps(period=period, format=form) from error
    return Run(number, period, form, round_, by, now, given)


def end_run(tx: Transaction, run: Run, files: Sequence[tuple[str, str, int]]) -> None:
    """Note the run's files: name, sha256 and size."""
    _FILES.run(tx, [(run.number, *file) for file in files])
