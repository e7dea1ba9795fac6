"""Closing a month: open -> previewed -> locked -> exported. The lock keeps exactly what the preview showed, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, Table, Text, delete, insert, select, update

from ombud.billing.basis import Basis
from ombud.billing.drafts import Draft, drafts, load_facts
from ombud.billing.ledger import New, keep, locked_periods, period_of, period_table
from ombud.billing.subscriptions import first_live
from ombud.billing.summary import summarized
from ombud.clock import STOCKHOLM, day_begins, day_of, month_days
from ombud.db import Database, Many, Transaction, metadata
from ombud.db.many import insert_or_leave
from ombud.errors import (
    BadField,
    EarlierPeriodOpen,
    LaterPeriodLocked,
    NotPreviewed,
    PeriodLocked,
    PeriodNotEnded,
    PreviewDiffers,
    PreviewHasFaults,
)
from ombud.usage import Counted, first_day

#: What was previewed for each customer, so that the lock can say what has changed since.
preview_table = Table(
    "billing_preview",
    metadata,
    Column("period", Text, primary_key=True),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("net", BigInteger, nullable=False),  # in öre
)
_v, _t = preview_table.c, period_table.c
_PREVIEWS = Many(insert(preview_table), "period", "customer_id", "digest", "net")


@dataclass(frozen=True, slots=True)
class Preview:
    """A month as it would be locked. `summary` is what people look at; `hash` stands for every line of it."""

    period: str
    hash: str
    summary: Mapping[str, Any]
    bases: tuple[Basis, ...]


@dataclass(frozen=True, slots=True)
class Locked:
    period: str
    hash: str
    numbers: tuple[str, ...]


def preview(database: Database, period: str, now: datetime, by: str) -> Preview:
    """Work a month out and remember what was shown. May be done as often as one likes until the month is locked.

    Raises BadField, SellerMissing, or PeriodLocked.
    """
    with database.read() as tx:
        _refuse_locked(tx, period)
        facts = load_facts(tx, period)
        found = list(drafts(facts))
        summary = summarized(tx, facts, found, ended=_has_ended(period, now))
    hashed = hash_of(period, found)
    with database.write() as tx:
        _write_preview(tx, period, hashed, summary, found, now, by)
    return Preview(period, hashed, summary, tuple(one.basis for one in found if one.basis))


def lock(database: Database, period: str, now: datetime, by: str, *, expected: str = "", reason: str = "") -> Locked:
    """Make the month's invoice bases for good: what was previewed, all of it or nothing. One transaction, so a crash leaves all or none.

    `expected` is the hash that one has looked at; "": the last preview's. With `reason` it is locked in spite of faults.
    Raises PeriodNotEnded, PeriodLocked, NotPreviewed, PreviewDiffers, PreviewHasFaults, EarlierPeriodOpen or LaterPeriodLocked.
    """
    with database.read() as tx:
        _refuse_locked(tx, period)
        if not _has_ended(period, now):
            raise PeriodNotEnded(period=period, first_day=month_days(period)[1])
        previewed = _previewed(tx, period)
        _refuse_out_of_order(tx, period)
        found = list(drafts(load_facts(tx, period)))
        _refuse_other(tx, period, found, previewed, expected)
        if not reason.strip():
            _refuse_faults(period, found)
    # What happens from here on is later than the lock: the next month adjusts it.
    issued = day_of(now)
    new = [New(one.basis.issued_on(issued), one.invoiced) for one in found if one.basis]
    with database.write() as tx:
        _mark_locked(tx, period, previewed, now, by, reason.strip())
        numbers = keep(tx, new, by, now)
    return Locked(period, previewed, tuple(numbers))


def hash_of(period: str, found: Iterable[Draft]) -> str:
    """Stands for every line of every basis of the month."""
    all_ = hashlib.sha256(period.encode())
    for one in found:
        if one.basis:
            all_.update(f"\n{one.customer.id} {one.digest}".encode())
    return all_.hexdigest()


def check_period(period: str) -> None:
    """Raises BadField when it is not a month."""
    try:
        if len(period) != 7:
            raise ValueError
        month_days(period)
    except ValueError as error:
        raise BadField(field="period", reason=f"{period} is not a month; write it as 2024-05") from error


def _has_ended(period: str, now: datetime) -> bool:
    return now >= day_begins(month_days(period)[1])


# --- previewing ----------------------------------------------------------------------------------------------------


def _write_preview(
    tx: Transaction,
    period: str,
    hashed: str,
    summary: Mapping[str, Any],
    found: Sequence[Draft],
    now: datetime,
    by: str,
) -> None:
    values = {"preview": summary, "hash": hashed, "previewed_at": now, "previewed_by": by}
    tx.execute(insert_or_leave(period_table).values(period=period, **values))
    open_ = (_t.period == period, _t.locked_at.is_(None))
    if tx.execute(update(period_table).where(*open_).values(**values)).rowcount != 1:
        _refuse_locked(tx, period)
    tx.execute(delete(preview_table).where(_v.period == period))
    _PREVIEWS.run(tx, [(period, one.customer.id, one.digest, one.basis.net.minor) for one in found if one.basis])


def _refuse_locked(tx: Transaction, period: str) -> None:
    check_period(period)
    if (locked_at := period_of(tx, period).locked_at) is not None:
        raise PeriodLocked(period=period, at=f"{locked_at.astimezone(STOCKHOLM):%Y-%m-%d %H:%M}")


# --- locking -------------------------------------------------------------------------------------------------------


def _previewed(tx: Transaction, period: str) -> str:
    if not (found := period_of(tx, period).hash):
        raise NotPreviewed(period=period)
    return found


def _refuse_other(tx: Transaction, period: str, found: Sequence[Draft], previewed: str, expected: str) -> None:
    if expected and expected != previewed:
        raise PreviewDiffers(period=period, differences=f"the last preview is {previewed[:12]}, not {expected[:12]}")
    if hash_of(period, found) == previewed:
        return
    query = select(_v.customer_id, _v.digest).where(_v.period == period)
    shown_rows: Sequence[Any] = tx.execute(query).all()
    before: dict[int, str] = dict(shown_rows)
    now = {one.customer.id: one.digest for one in found if one.basis}
    names = {one.customer.id: one.customer.slug for one in found}
    changed = sorted(names.get(id, f"#{id}") for id in before.keys() | now.keys() if before.get(id) != now.get(id))
    shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    raise PreviewDiffers(period=period, differences=shown)


def _refuse_faults(period: str, found: Sequence[Draft]) -> None:
    red = [fault for one in found for fault in one.faults if fault.red]
    if red:
        shown = "; ".join(f"{fault.customer}: {fault.code}" for fault in red[:5])
        raise PreviewHasFaults(period=period, count=len(red), faults=shown + ("; ..." if len(red) > 5 else ""))


def _refuse_out_of_order(tx: Transaction, period: str) -> None:
    """Months are locked one after another, so that each knows what has been invoiced before it."""
    locked = locked_periods(tx)
    if locked and locked[-1] > period:
        raise LaterPeriodLocked(period=period, later=locked[-1])
    first, since = month_days(period)[0], month_days(locked[-1])[1] if locked else date.min
    emails, live = first_day(tx, Counted.BILLABLE, since, first), first_live(tx, since, first)
    if earlier := min((day for day in (emails, live) if day is not None), default=None):
        raise EarlierPeriodOpen(earlier=earlier.isoformat()[:7])


def _mark_locked(tx: Transaction, period: str, previewed: str, now: datetime, by: str, reason: str) -> None:
    """Take the month. Of two who try at once, the second waits here, finds it taken, and writes nothing."""
    free = (_t.period == period, _t.hash == previewed, _t.locked_at.is_(None))
    values = {"locked_at": now, "locked_by": by, "reason": reason}
    if tx.execute(update(period_table).where(*free).values(**values)).rowcount != 1:
        _refuse_locked(tx, period)
        raise PreviewDiffers(period=period, differences="it was previewed anew meanwhile")
