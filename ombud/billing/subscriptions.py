"""From when to when a customer pays by a price plan: facts, started when its alternative 2 goes live and stopped when that ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, func, insert, select

from ombud.billing.price import Subscription
from ombud.db import Day, Identity, Moment, Transaction, metadata
from ombud.errors import SubscriptionConflict

#: Only grows: each start and each stop, and who said so.
subscription_table = Table(
    "subscription",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False, index=True),
    Column("plan", Text, nullable=False),
    Column("what", Text, nullable=False),  # start | stop
    Column("day", Day, nullable=False),  # the first day live, or the last
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
)
_s = subscription_table.c
_START, _STOP = "start", "stop"


def start(tx: Transaction, customer_id: int, plan: str, day: date, now: datetime, *, by: str, reason: str = "") -> bool:
    """The customer pays by `plan` from `day` on. Nothing happens (False) when it does already.

    Raises SubscriptionConflict when it pays by another plan; stop that first.
    """
    running = running_of(tx, customer_id)
    if running:
        if running.plan == plan:
            return False
        raise SubscriptionConflict(customer=customer_id, plan=running.plan)
    _add(tx, customer_id, plan, _START, day, now, by, reason)
    return True


def stop(tx: Transaction, customer_id: int, day: date, now: datetime, *, by: str, reason: str = "") -> bool:
    """`day` is the last one that the customer pays for: before the first one, it pays for none. Nothing happens (False) when it
    pays by no plan."""
    running = running_of(tx, customer_id)
    if running is None:
        return False
    _add(tx, customer_id, running.plan, _STOP, max(day, running.from_date - timedelta(days=1)), now, by, reason)
    return True


def running_of(tx: Transaction, customer_id: int) -> Subscription | None:
    """The customer's subscription that has no end yet."""
    found = subscriptions_of(tx, customer_id)
    return found[-1] if found and found[-1].until_date is None else None


def subscriptions_of(tx: Transaction, customer_id: int) -> tuple[Subscription, ...]:
    """All that the customer has had, oldest first."""
    rows = tx.execute(select(subscription_table).where(_s.customer_id == customer_id).order_by(_s.id))
    return _subscriptions(rows).get(customer_id, ())


def load_subscriptions(tx: Transaction) -> Mapping[int, tuple[Subscription, ...]]:
    """Everyone's, by customer, oldest first."""
    return _subscriptions(tx.execute(select(subscription_table).order_by(_s.id)))


def last_said(tx: Transaction) -> dict[int, datetime]:
    """By customer: when something was last started or stopped for it."""
    rows = tx.execute(select(_s.customer_id, func.max(_s.at).label("at")).group_by(_s.customer_id))
    return {row.customer_id: row.at for row in rows}


def changed_since(tx: Transaction, moment: datetime) -> frozenset[int]:
    """The customers for whom something was started or stopped since then."""
    return frozenset(tx.execute(select(_s.customer_id).where(_s.at >= moment).distinct()).scalars())


def first_live(tx: Transaction, since: date, until: date) -> date | None:
    """The first day from `since` (inclusive) to `until` (exclusive) on which anyone pays by a plan; None: there is none."""
    days = [
        max(one.from_date, since)
        for mine in load_subscriptions(tx).values()
        for one in mine
        if max(one.from_date, since) < until and (one.until_date is None or one.until_date >= max(one.from_date, since))
    ]
    return min(days, default=None)


def _add(
    tx: Transaction, customer_id: int, plan: str, what: str, day: date, now: datetime, by: str, reason: str
) -> None:
    values = {"customer_id": customer_id, "plan": plan, "what": what, "day": day, "by": by, "reason": reason, "at": now}
    tx.execute(insert(subscription_table).values(**values))


def _subscriptions(rows: Iterable[Any]) -> Mapping[int, tuple[Subscription, ...]]:
    found: dict[int, list[Subscription]] = defaultdict(list)
    for row in rows:
        mine = found[row.customer_id]
        if row.what == _START:
            mine.append(Subscription(row.customer_id, row.plan, row.day))
        else:
            mine[-1] = Subscription(row.customer_id, row.plan, mine[-1].from_date, row.day)
    return {customer_id: tuple(mine) for customer_id, mine in found.items()}
