"""Daily counts, by customer, product and route: what was taken in, what was held, what was billed. They hold nothing personal,
so they stay when the mail is forgotten.

A count is raised in the transaction of what it counts. On PostgreSQL several writers count at once: each takes a *shard* of its
own for the transaction, so that none waits for another's row; a count is the sum over its shards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, select, text
from sqlalchemy import func as sql

from ombud.db import Day, Many, Transaction, metadata
from ombud.db.many import insert_or_add

tally_table = Table(
    "tally",
    metadata,
    Column("day", Day, primary_key=True),  # in Stockholm
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("product_id", Integer, primary_key=True, autoincrement=False),
    Column("route_id", Integer, primary_key=True, autoincrement=False),  # 0: none
    Column("what", Text, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Index(None, "customer_id", "day"),
    sqlite_with_rowid=False,  # the key is the table: it is all that is ever looked for
)


class Counted(StrEnum):
    """What a tally counts: recipients, each at the moment when it happens to it."""

    ACCEPTED = "accepted"  # taken in; whatever becomes of it
    TO_GMAIL = "to_gmail"  # of the accepted, those at Google's consumer domains
    AT_RISK = "gmail_at_risk"  # of those, the ones from a domain that is not authenticated, after the risk date
    REFUSED = "refused"  # not taken in, since no way is open for it
    HELD = "held"  # kept until something is decided
    RELEASED = "released"  # let go after having been held
    HELD_EXPIRED = "held_expired"  # held for too long
    TEST = "test"  # taken in with a test credential
    SUPPRESSED = "suppressed"  # not sent: the address is on the list of those that are not written to
    RETRIED = "retried"  # tried again after the next hop had said "not now"
    BILLABLE = "billable"  # handed over by a billable route: goes on the invoice
    FREE = "free"  # handed over, and not billed
    FAILED = "failed"  # given up


@dataclass(frozen=True, slots=True)
class Tally:
    """How many recipients on a day in Stockholm. `route_id` 0 stands for none."""

    day: date
    customer_id: int
    product_id: int
    route_id: int
    what: Counted
    number: int


_KEY = ("day", "customer_id", "product_id", "route_id", "what", "shard")
_ADD = Many(insert_or_add(tally_table, "number"), *_KEY, "number")


def add_tallies(tx: Transaction, tallies: Sequence[Tally]) -> None:
    """Raise counts, in the transaction of what they count. The same count may come several times; numbers must not be negative."""
    sums = Counter[tuple[date, int, int, int, Counted]]()
    for one in tallies:
        if one.number < 0:
            raise ValueError(f"a count never falls: {one}")
        sums[one.day, one.customer_id, one.product_id, one.route_id, one.what] += one.number
    if rows := sorted((*key, number) for key, number in sums.items() if number):
        shard = _shard(tx)
        _ADD.run(tx, [(*row[:-1], shard, row[-1]) for row in rows])


#: So many writers count without waiting. More of them share.
SHARDS = 64
_FREE_SHARD = text(
    f"SELECT shard FROM generate_series(0, {SHARDS - 1}) AS shard"  # noqa: S608 - a number of ours
    " WHERE pg_try_advisory_xact_lock(:space, shard) LIMIT 1"
)
_LOCKS = 0x74616C6C  # a space of lock numbers that nothing else uses


def _shard(tx: Transaction) -> int:
    """A shard that no other transaction counts in until this one ends, if there is one."""
    if not tx.postgres:
        return 0
    # The lowest that is free: there are no more rows to a count than there are writers at the same time.
    free = tx.execute(_FREE_SHARD, {"space": _LOCKS}).scalar()
    return SHARDS if free is None else int(free)


def tallies(
    tx: Transaction,
    since: date,
    until: date,
    *,
    customer_id: int | None = None,
    what: Collection[Counted] | None = None,
) -> list[Tally]:
    """The counts of the days from `since` (inclusive) to `until` (exclusive), in order of day, customer, product, route and what."""
    t = tally_table.c
    key = (t.day, t.customer_id, t.product_id, t.route_id, t.what)
    query = select(*key, sql.sum(t.number)).where(t.day >= since, t.day < until).group_by(*key).order_by(*key)
    if customer_id is not None:
        query = query.where(t.customer_id == customer_id)
    if what is not None:
        query = query.where(t.what.in_(what))
    rows: Sequence[Any] = tx.execute(query).all()
    return [
        Tally(day, customer, product, route, Counted(counted), int(number))
        for day, customer, product, route, counted, number in rows
    ]


def daily_totals(
    tx: Transaction, since: date, until: date, what: Collection[Counted], *, customer_id: int | None = None,
    routes: Collection[int] | None = None,
) -> list[tuple[int, date, int]]:  # fmt: skip
    """Customer, day, and the sum of these counts, over all products and these routes (None: all); in that order."""
    t = tally_table.c
    query = select(t.customer_id, t.day, sql.sum(t.number)).where(t.day >= since, t.day < until, t.what.in_(what))
    if customer_id is not None:
        query = query.where(t.customer_id == customer_id)
    if routes is not None:
        query = query.where(t.route_id.in_(routes))
    rows: Sequence[Any] = tx.execute(query.group_by(t.customer_id, t.day).order_by(t.customer_id, t.day)).all()
    return [(customer, day, int(number)) for customer, day, number in rows]


def first_day(tx: Transaction, what: Counted, since: date, until: date) -> date | None:
    """The first day from `since` (inclusive) to `until` (exclusive) that anything was counted on; None: there is none."""
    t = tally_table.c
    found: date | None = tx.execute(
        select(t.day).where(t.day >= since, t.day < until, t.what == what).order_by(t.day).limit(1)
    ).scalar()
    return found
