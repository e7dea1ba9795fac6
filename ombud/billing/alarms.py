"""Alarms before a surprise: at 80 % and 100 % of what is included, and at a cap that the customer has set; a hard cap also holds mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, Table, Text, delete, insert, select

from ombud.billing.planbook import load_plans
from ombud.billing.price import price_month, stretches_of
from ombud.billing.subscriptions import load_subscriptions
from ombud.clock import day_of, month_days, month_of
from ombud.db import Moment, Transaction, metadata
from ombud.db.many import insert_or_leave
from ombud.errors import BadField
from ombud.routing.caps import clear_over_cap, mark_over_cap
from ombud.usage import Counted, daily_totals
from ombud.usage.totals import totals_by_customer

#: How many e-mails a month a customer wants at most. A soft cap only tells; a hard one also holds what is not important.
cap_table = Table(
    "cap",
    metadata,
    Column("customer_id", Integer, ForeignKey("customer.id"), primary_key=True, autoincrement=False),
    Column("emails", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
)
#: The alarms that have been raised: each at most once for a customer and a month.
alarm_table = Table(
    "alarm",
    metadata,
    Column("customer_id", Integer, ForeignKey("customer.id"), primary_key=True, autoincrement=False),
    Column("period", Text, primary_key=True),
    Column("level", Text, primary_key=True),
    Column("emails", BigInteger, nullable=False),
    Column("of", BigInteger, nullable=False),  # what was reached, or is about to be
    Column("at", Moment, nullable=False),
)
_c, _a = cap_table.c, alarm_table.c
_RAISE = insert_or_leave(alarm_table).returning(_a.customer_id)


class Level(StrEnum):
    NEARLY = "included_80"  # 80 % of the included e-mails are used up
    INCLUDED = "included_100"  # all are: from now on each one costs
    CAP = "cap"  # the customer's own soft cap
    HARD_CAP = "hard_cap"  # the customer's own hard cap: bulk mail is held for the rest of the month


@dataclass(frozen=True, slots=True)
class Cap:
    emails: int
    hard: bool
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Alarm:
    """A customer has reached a level this month. To be told to its people."""

    customer_id: int
    period: str
    level: Level
    emails: int
    of: int


def set_cap(tx: Transaction, customer_id: int, emails: int, now: datetime, by: str, *, hard: bool = False) -> None:
    """A customer wants so many e-mails a month at most. What a hard cap held is let go at once if the new one allows it.

    Raises BadField.
    """
    if not 0 < emails < 1_000_000_000:
        raise BadField(field="emails", reason="a cap is a number of e-mails a month, at least 1")
    remove_cap(tx, customer_id)
    tx.execute(insert(cap_table).values(customer_id=customer_id, emails=emails, hard=hard, by=by, at=now))
    # It may be reached anew.
    levels = _a.level.in_((Level.CAP, Level.HARD_CAP))
    tx.execute(delete(alarm_table).where(_a.customer_id == customer_id, _a.period == month_of(now), levels))
    if hard and _sent(tx, month_of(now), customer_id) >= emails:
        mark_over_cap(tx, customer_id, month_of(now))


def remove_cap(tx: Transaction, customer_id: int) -> bool:
    """No cap any more. Says whether there was one."""
    clear_over_cap(tx, customer_id)
    return tx.execute(delete(cap_table).where(_c.customer_id == customer_id)).rowcount == 1


def cap_of(tx: Transaction, customer_id: int) -> Cap | None:
    return load_caps(tx, customer_id).get(customer_id)


def load_caps(tx: Transaction, customer_id: int | None = None) -> Mapping[int, Cap]:
    query = select(cap_table)
    if customer_id is not None:
        query = query.where(_c.customer_id == customer_id)
    return {row.customer_id: Cap(row.emails, row.hard, row.by, row.at) for row in tx.execute(query)}


def due_alarms(tx: Transaction, now: datetime) -> list[Alarm]:
    """Look at everyone's month so far: the levels that are reached and that nobody has been told of. Reads only."""
    period = month_of(now)
    told = {
        (row.customer_id, row.level) for row in tx.execute(select(_a.customer_id, _a.level).where(_a.period == period))
    }
    return [one for one in _reached(tx, period, now) if (one.customer_id, one.level) not in told]


def put_alarms(tx: Transaction, due: Sequence[Alarm], now: datetime) -> list[Alarm]:
    """Note that alarms are raised: those of them that nobody else has raised meanwhile. Tell them in this transaction.

    Whoever has reached a hard cap is marked as such, for `routing.decide`.
    """
    new = []
    for one in due:
        values = {
            "customer_id": one.customer_id,
            "period": one.period,
            "level": one.level,
            "emails": one.emails,
            "of": one.of,
        }
        if tx.execute(_RAISE.values(**values, at=now)).first():
            new.append(one)
            if one.level is Level.HARD_CAP:
                mark_over_cap(tx, one.customer_id, one.period)
    return new


def alarms_of(tx: Transaction, customer_id: int, period: str) -> list[tuple[Alarm, datetime]]:
    """What has been raised, with when."""
    rows = tx.execute(select(alarm_table).where(_a.customer_id == customer_id, _a.period == period))
    found = [(Alarm(row.customer_id, row.period, Level(row.level), row.emails, row.of), row.at) for row in rows]
    return sorted(found, key=lambda one: (one[1], one[0].emails, list(Level).index(one[0].level)))


def _reached(tx: Transaction, period: str, now: datetime) -> list[Alarm]:
    emails, caps, found = _count(tx, period), load_caps(tx), list[Alarm]()
    included = _included(tx, period, now)
    for customer, number in emails.items():
        levels: list[tuple[Level, int, bool]] = []
        if (of := included.get(customer)) is not None and of > 0:
            levels += [(Level.NEARLY, of, number * 5 >= of * 4), (Level.INCLUDED, of, number >= of)]
        if cap := caps.get(customer):
            levels.append((Level.HARD_CAP if cap.hard else Level.CAP, cap.emails, number >= cap.emails))
        found += [Alarm(customer, period, level, number, of) for level, of, reached in levels if reached]
    return found


def _count(tx: Transaction, period: str) -> Mapping[int, int]:
    totals = totals_by_customer(tx, *month_days(period), [Counted.BILLABLE])
    return {customer: number for (customer, _), number in totals.items()}


def _sent(tx: Transaction, period: str, customer_id: int) -> int:
    return sum(
        number for _, _, number in daily_totals(tx, *month_days(period), [Counted.BILLABLE], customer_id=customer_id)
    )


def _included(tx: Transaction, period: str, now: datetime) -> Mapping[int, int]:
    """By customer, how many e-mails are included this month, as its plan stands today."""
    plans, today = load_plans(tx), day_of(now)
    found = {}
    for customer, mine in load_subscriptions(tx).items():
        if any(_live(one.from_date, one.until_date, today) for one in mine):
            found[customer] = price_month(period, stretches_of(period, mine, plans, {})).included
    return found


def _live(since: date, until: date | None, today: date) -> bool:
    return since <= today and (until is None or today <= until)
