"""The locked invoice bases and their credits, and how far each month has come. What is written here is never changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    update,
)
from sqlalchemy import func as sql

from ombud.billing.basis import Basis, digest, from_text, to_text
from ombud.billing.parties import seller_table
from ombud.db import Day, Identity, Json, Many, Moment, Transaction, metadata
from ombud.errors import NotFound, PeriodNotLocked

basis_table = Table(
    "invoice_basis",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("running", Integer, nullable=False, unique=True),  # the number without its prefix: a series without gaps
    Column("number", Text, nullable=False, unique=True),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("period", Text, nullable=False, index=True),
    Column("serial", Integer, nullable=False),  # 0: the invoice; 1 and on: its credits
    Column("credits", BigInteger, ForeignKey("invoice_basis.id"), index=True),
    Column("issued", Day, nullable=False),
    Column("currency", Text, nullable=False),
    Column("net", BigInteger, nullable=False),  # in öre, for sums
    Column("vat", BigInteger, nullable=False),
    Column("emails", BigInteger, nullable=False),
    Column("content", Text, nullable=False),  # the basis, as text: what every export is made from
    Column("sha256", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
    UniqueConstraint("customer_id", "period", "serial", name="uq_invoice_basis_customer_id_period"),
)
_b = basis_table.c

#: How many e-mails of a month, for how much, a basis has billed: its own month's, and those of earlier ones that it adjusts.
invoiced_table = Table(
    "invoiced",
    metadata,
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("period", Text, primary_key=True),
    Column("basis_id", BigInteger, ForeignKey("invoice_basis.id"), primary_key=True, autoincrement=False),
    Column("emails", BigInteger, nullable=False),
    Column("net", BigInteger, nullable=False),  # in öre
    Index(None, "period"),
)

period_table = Table(
    "billing_period",
    metadata,
    Column("period", Text, primary_key=True),
    Column("preview", Json, nullable=False),  # the summary that was shown
    Column("hash", Text, nullable=False),
    Column("previewed_at", Moment, nullable=False),
    Column("previewed_by", Text, nullable=False),
    Column("locked_at", Moment),
    Column("locked_by", Text),
    Column("reason", Text),  # why it was locked in spite of its faults
    Column("exported_at", Moment),
)
_t = period_table.c


class State(StrEnum):
    """How far a month, or one basis, has come."""

    OPEN = "open"
    PREVIEWED = "previewed"
    LOCKED = "locked"
    EXPORTED = "exported"
    CREDITED = "credited"  # all of it


@dataclass(frozen=True, slots=True)
class Kept:
    """A basis in the ledger."""

    id: int
    basis: Basis
    sha256: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class New:
    """A basis to be locked, and which months' e-mails it bills for how much (in öre)."""

    basis: Basis  # its number is given here
    invoiced: Mapping[str, tuple[int, int]]
    serial: int = 0
    credits: int | None = None


# --- writing -------------------------------------------------------------------------------------------------------

_BASES = Many(
    insert(basis_table), "running", "number", "customer_id", "period", "serial", "credits", "issued", "currency", "net", "vat",
    "emails", "content", "sha256", "by", "at",
)  # fmt: skip
_INVOICED = Many(insert(invoiced_table), "customer_id", "period", "basis_id", "emails", "net")


def keep(tx: Transaction, new: Sequence[New], by: str, now: datetime) -> list[str]:
    """Write bases down, each under the next number of the vendor's series; those numbers."""
    running = _next_running(tx)
    numbered = [(running + n, one, _numbered(one.basis, running + n)) for n, one in enumerate(new)]
    _BASES.run(tx, [_row(number, one, basis, by, now) for number, one, basis in numbered])
    written: Sequence[Any] = tx.execute(select(_b.running, _b.id).where(_b.running >= running)).all()
    ids = dict(written)
    _INVOICED.run(
        tx,
        [
            (basis.buyer.customer_id, period, ids[number], emails, net)
            for number, one, basis in numbered
            for period, (emails, net) in one.invoiced.items()
        ],
    )
    return [basis.number for _, _, basis in numbered]


def _next_running(tx: Transaction) -> int:
    """One at a time: who comes second waits for the first, so that the series has no gaps."""
    query = select(seller_table.c.about)
    about = tx.execute(query.with_for_update() if tx.postgres else query).scalar_one()
    last = tx.execute(select(sql.max(_b.running))).scalar()
    return int(about["first_number"]) if last is None else int(last) + 1


def _numbered(basis: Basis, running: int) -> Basis:
    return basis.numbered(f"{basis.seller.number_prefix}{running}")


def _row(running: int, one: New, basis: Basis, by: str, now: datetime) -> tuple[Any, ...]:
    content = to_text(basis)
    return (
        running, basis.number, basis.buyer.customer_id, basis.period, one.serial, one.credits, basis.issued, basis.currency,
        basis.net.minor, basis.vat.minor, basis.emails, content, digest(content), by, now,
    )  # fmt: skip


# --- reading -------------------------------------------------------------------------------------------------------


def basis_of(tx: Transaction, number: str) -> Kept:
    """The basis, or credit, of that number. Raises NotFound."""
    row = tx.execute(select(basis_table).where(_b.number == number)).one_or_none()
    if row is None:
        raise NotFound(kind="invoice basis", name=number)
    return _kept(row)


def bases_of(tx: Transaction, period: str, *, customer_id: int | None = None) -> list[Kept]:
    """The month's invoices with their credits, in order of their numbers."""
    query = select(basis_table).where(_b.period == period)
    if customer_id is not None:
        query = query.where(_b.customer_id == customer_id)
    return [_kept(row) for row in tx.execute(query.order_by(_b.running))]


def credits_of(tx: Transaction, basis_id: int) -> list[Kept]:
    return [_kept(row) for row in tx.execute(select(basis_table).where(_b.credits == basis_id).order_by(_b.running))]


def net_by_customer(tx: Transaction, period: str) -> Mapping[int, int]:
    """What each customer's invoice of a month came to, in öre, before credits."""
    query = select(_b.customer_id, _b.net).where(_b.period == period, _b.serial == 0)
    rows: Sequence[Any] = tx.execute(query).all()
    return dict(rows)


def invoiced_of(tx: Transaction, periods: Iterable[str]) -> Mapping[tuple[str, int], tuple[int, int]]:
    """By month and customer: how many e-mails have been billed for how much (in öre)."""
    i = invoiced_table.c
    query = select(i.period, i.customer_id, sql.sum(i.emails), sql.sum(i.net)).where(i.period.in_(list(periods)))
    rows: Sequence[Any] = tx.execute(query.group_by(i.period, i.customer_id)).all()
    return {(period, customer): (int(emails), int(net)) for period, customer, emails, net in rows}


def _kept(row: Any) -> Kept:
    return Kept(row.id, from_text(row.content), row.sha256, row.by, row.at)


# --- months --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Period:
    """A month and how far it has come."""

    period: str
    state: State
    hash: str = ""
    previewed_at: datetime | None = None
    previewed_by: str = ""
    locked_at: datetime | None = None
    locked_by: str = ""
    reason: str = ""
    exported_at: datetime | None = None


def period_of(tx: Transaction, period: str) -> Period:
    row = tx.execute(select(period_table).where(_t.period == period)).one_or_none()
    return Period(period, State.OPEN) if row is None else _period(row, _all_credited(tx, [period]))


def periods(tx: Transaction) -> list[Period]:
    """The months that have been previewed or locked, newest first."""
    rows = tx.execute(select(period_table).order_by(_t.period.desc())).all()
    credited = _all_credited(tx, [row.period for row in rows])
    return [_period(row, credited) for row in rows]


def locked_periods(tx: Transaction) -> list[str]:
    """Oldest first."""
    query = select(_t.period).where(_t.locked_at.is_not(None)).order_by(_t.period)
    return list(tx.execute(query).scalars())


def mark_exported(tx: Transaction, period: str, at: datetime) -> None:
    """The month's bases have been exported; the first time counts. Raises PeriodNotLocked."""
    locked = (_t.period == period, _t.locked_at.is_not(None))
    if tx.execute(select(_t.period).where(*locked)).first() is None:
        raise PeriodNotLocked(period=period)
    tx.execute(update(period_table).where(*locked, _t.exported_at.is_(None)).values(exported_at=at))


def _all_credited(tx: Transaction, periods: Sequence[str]) -> frozenset[str]:
    """Of these months, those whose credits come to as much as their invoices, for every customer."""
    query = select(_b.period, sql.sum(_b.net), sql.max(_b.serial)).where(_b.period.in_(periods))
    sums: Sequence[Any] = tx.execute(query.group_by(_b.period, _b.customer_id)).all()
    left = {period for period, net, serial in sums if net or not serial}
    return frozenset(period for period, _, _ in sums) - left


def _period(row: Any, credited: Collection[str]) -> Period:
    if row.locked_at is None:
        state = State.PREVIEWED
    elif row.period in credited:
        state = State.CREDITED
    else:
        state = State.EXPORTED if row.exported_at else State.LOCKED
    return Period(
        row.period, state, row.hash, row.previewed_at, row.previewed_by, row.locked_at, row.locked_by or "", row.reason or "",
        row.exported_at,
    )  # fmt: skip
