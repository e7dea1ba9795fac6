"""The meter: one row for each recipient handed over, written in the transaction of the hand-over; it only grows.

The key is the recipient, so that no recipient can be counted twice, whatever is retried or crashes. The period (the calendar
month in Stockholm) is fixed at the hand-over and never worked out again. What is metered is tallied by day at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, insert, select
from sqlalchemy import func as sql

from ombud.clock import day_of, month_of
from ombud.db import Many, Moment, Transaction, metadata
from ombud.usage.tally import Counted, Tally, add_tallies

usage_table = Table(
    "usage",
    metadata,
    Column("recipient_id", BigInteger, ForeignKey("recipient.id"), primary_key=True),
    Column("customer_id", Integer, nullable=False),
    Column("product_id", Integer, nullable=False),
    Column("route_id", Integer, nullable=False),
    Column("period", Text, nullable=False),  # 2024-05
    Column("handed_over_at", Moment, nullable=False),
    Column("billable", Boolean, nullable=False),
    # Holds all that a month's counts are made from, so that they are made without reading the rows.
    Index("ix_usage_counts", "period", "customer_id", "product_id", "route_id", "billable"),
    Index(None, "route_id", "handed_over_at"),
)


@dataclass(frozen=True, slots=True)
class HandOver:
    """One recipient that the next hop has answered for."""

    recipient_id: int
    customer_id: int
    product_id: int
    route_id: int
    billable: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class UsageLine:
    """How many e-mails a customer sent in a month, by product and route."""

    customer_id: int
    product_id: int
    route_id: int
    billable: bool
    emails: int


_USAGE = Many(
    insert(usage_table), "recipient_id", "customer_id", "product_id", "route_id", "period", "handed_over_at", "billable"
)


def meter(tx: Transaction, handed_over: Sequence[HandOver]) -> None:
    """Count recipients, in the transaction that settles them as delivered. One that is counted already is an error there."""
    _USAGE.run(
        tx,
        [
            (one.recipient_id, one.customer_id, one.product_id, one.route_id, month_of(one.at), one.at, one.billable)
            for one in handed_over
        ],
    )
    add_tallies(tx, [_tally(one) for one in handed_over])


def _tally(one: HandOver) -> Tally:
    what = Counted.BILLABLE if one.billable else Counted.FREE
    return Tally(day_of(one.at), one.customer_id, one.product_id, one.route_id, what, 1)


def handed_over_since(tx: Transaction, route_id: int, since: datetime) -> int:
    """How many recipients have gone by a route since then."""
    u = usage_table.c
    query = select(sql.count()).where(u.route_id == route_id, u.handed_over_at >= since)
    return int(tx.execute(query).scalar_one())


def usage_of(tx: Transaction, customer_id: int | None = None, period: str | None = None) -> list[UsageLine]:
    """The counts, of one customer or all, of one month or all."""
    u = usage_table.c
    query = select(u.customer_id, u.product_id, u.route_id, u.billable, sql.count())
    if customer_id is not None:
        query = query.where(u.customer_id == customer_id)
    if period is not None:
        query = query.where(u.period == period)
    by = (u.customer_id, u.product_id, u.route_id, u.billable)
    rows: Sequence[Any] = tx.execute(query.group_by(*by).order_by(*by)).all()
    return [UsageLine(*row) for row in rows]


def billable_by_customer(tx: Transaction, period: str) -> dict[int, int]:
    """How many billable recipients of a month the meter has, by customer."""
    u = usage_table.c
    query = select(u.customer_id, sql.count()).where(u.period == period, u.billable).group_by(u.customer_id)
    rows: Sequence[Any] = tx.execute(query).all()
    return dict(rows)


def metered(tx: Transaction, customer_id: int, period: str, *, after: int = 0, limit: int = 10_000) -> list[HandOver]:
    """A customer's hand-overs of a month, in order of recipient: those after `after`, at most `limit` of them."""
    u = usage_table.c
    columns = (u.recipient_id, u.customer_id, u.product_id, u.route_id, u.billable, u.handed_over_at)
    query = select(*columns).where(u.customer_id == customer_id, u.period == period, u.recipient_id > after)
    rows: Sequence[Any] = tx.execute(query.order_by(u.recipient_id).limit(limit)).all()
    return [HandOver(*row) for row in rows]
