"""The meter's invariants: each recipient that is handed over is counted once, in its month and on its day in Stockholm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    literal,
    not_,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy import func as sql

from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.queue import State
from ombud.queue.tables import message_table, recipient_table
from ombud.usage import Counted, tally_table, usage_table
from ombud.verify.naming import RECIPIENT, named, recipients
from ombud.verify.rule import Rules

RULES = Rules()

_m, _r, _u, _t = message_table.c, recipient_table.c, usage_table.c, tally_table.c
_DAY, _HOUR = timedelta(days=1) // timedelta(microseconds=1), timedelta(hours=1)


@RULES.add
def usage_missing(tx: Transaction) -> Select[Any]:
    """A recipient is delivered and was not counted."""
    return recipients(_r.state == State.DELIVERED, ~exists().where(_u.recipient_id == _r.id))


@RULES.add
def usage_extra(tx: Transaction) -> Select[Any]:
    """A recipient was counted and is not delivered."""
    of_usage = usage_table.join(recipient_table, _r.id == _u.recipient_id)
    return select(RECIPIENT).select_from(of_usage).where(_r.state != State.DELIVERED)


@RULES.add
def usage_differs(tx: Transaction) -> Select[Any]:
    """A recipient was counted for another customer, product or route, or test mail as billable."""
    of_usage = usage_table.join(recipient_table, _r.id == _u.recipient_id).join(message_table, _m.id == _r.message_id)
    differs = or_(
        _u.customer_id != _m.customer_id, _u.product_id != _m.product_id, _u.route_id.is_distinct_from(_r.route_id),
        and_(_m.mode == "test", _u.billable),
    )  # fmt: skip
    return select(RECIPIENT).select_from(of_usage).where(differs)


@RULES.add
def usage_period_differs(tx: Transaction) -> Select[Any]:
    """A recipient was counted in another month (Stockholm's) than the one in which it was handed over."""
    periods = [row.period for row in tx.execute(select(_u.period).distinct())]
    months = {period: month for period in periods if (month := _month(period))}
    right = [
        and_(_u.period == period, _u.handed_over_at >= first, _u.handed_over_at < after)
        for period, (first, after) in months.items()
    ]
    return select(named("usage of recipient", _u.recipient_id)).where(not_(or_(false(), *right)))


@RULES.add
def tally_differs(tx: Transaction) -> Select[Any]:
    """A day's count of what was handed over is not the number of metered recipients."""
    metered_day = ((_u.handed_over_at + _ahead_of_utc(tx)) // literal(_DAY, BigInteger)).label("day")
    what = case((_u.billable, Counted.BILLABLE), else_=Counted.FREE).label("what")
    metered = select(metered_day, _u.customer_id, _u.product_id, _u.route_id, what, literal(1).label("number"))
    tallied = select(
        type_coerce(_t.day, Integer).label("day"),
        _t.customer_id,
        _t.product_id,
        _t.route_id,
        _t.what,
        (-_t.number).label("number"),
    )
    both = union_all(metered, tallied.where(_t.what.in_((Counted.BILLABLE, Counted.FREE)))).subquery().c
    # The rows of the meter may have been forgotten, whole days of a customer at a time; the counts stay.
    first = select(_u.customer_id, sql.min(metered_day).label("day")).group_by(_u.customer_id).subquery().c
    name = literal("customer ") + cast(both.customer_id, Text) + " on " + _date(tx, both.day) + ", " + both.what
    return (
        select(name.label("name"))
        .where(first.customer_id == both.customer_id, both.day >= first.day)
        .group_by(both.day, both.customer_id, both.product_id, both.route_id, both.what)
        .having(sql.sum(both.number) != 0)
    )


# --- what the rules are made with ------------------------------------------------------------------------------------


def _month(period: str) -> tuple[datetime, datetime] | None:
    """When the month begins in Stockholm, and the next one; None when it is not a month."""
    if not (found := re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", period)):
        return None
    year, month = int(found[1]), int(found[2])
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    return datetime(year, month, 1, tzinfo=STOCKHOLM), datetime(*after, 1, tzinfo=STOCKHOLM)


def _ahead_of_utc(tx: Transaction) -> ColumnElement[int]:
    """How far Stockholm is ahead of UTC, in microseconds, when a recipient was handed over."""
    span: Any = tx.execute(select(sql.min(_u.handed_over_at), sql.max(_u.handed_over_at))).one()
    first, last = span
    changes = list(_changes_of_offset(first, last)) if first else []
    last_ahead = _offset(last) if last else 0
    return (
        case(*((_u.handed_over_at < at, ahead) for at, ahead in changes), else_=last_ahead)
        if changes
        else literal(last_ahead, BigInteger)
    )


def _changes_of_offset(first: datetime, last: datetime) -> Iterator[tuple[datetime, int]]:
    """Each moment from `first` to `last` at which the clocks of Stockholm are put on or back, and the offset before it."""
    moment = first.replace(minute=0, second=0, microsecond=0)  # they are at whole hours
    while moment < last:
        after = moment + _HOUR
        if _offset(after) != _offset(moment):
            yield after, _offset(moment)
        moment = after


def _offset(moment: datetime) -> int:
    return (moment.astimezone(STOCKHOLM).utcoffset() or timedelta(0)) // timedelta(microseconds=1)


def _date(tx: Transaction, day: ColumnElement[Any]) -> ColumnElement[str]:
    """Days since 1970 as 2024-05-07."""
    if tx.postgres:
        return sql.to_char(literal(date(1970, 1, 1)) + cast(day, Integer), "YYYY-MM-DD")
    return sql.date(day * 86_400, "unixepoch")
