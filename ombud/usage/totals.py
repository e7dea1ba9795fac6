"""Daily counts summed up by the database, for questions over all customers at once: a month of thousands of customers is
a million counts, and their sums are what is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import func as sql
from sqlalchemy import select

from ombud.db import Transaction
from ombud.usage.tally import Counted, tally_table


def totals_by_customer(
    tx: Transaction, since: date, until: date, what: Collection[Counted]
) -> Mapping[tuple[int, Counted], int]:
    """The sums by (customer, what) over the days from `since` (inclusive) to `until` (exclusive)."""
    t = tally_table.c
    key = (t.customer_id, t.what)
    query = select(*key, sql.sum(t.number)).where(t.day >= since, t.day < until, t.what.in_(what)).group_by(*key)
    rows: Sequence[Any] = tx.execute(query).all()
    return {(customer, Counted(counted)): int(number) for customer, counted, number in rows}


def totals_by_product(
    tx: Transaction, since: date, until: date, what: Collection[Counted]
) -> Mapping[tuple[int, int, Counted], int]:
    """The sums by (customer, product, what) over the days from `since` (inclusive) to `until` (exclusive)."""
    t = tally_table.c
    key = (t.customer_id, t.product_id, t.what)
    query = select(*key, sql.sum(t.number)).where(t.day >= since, t.day < until, t.what.in_(what)).group_by(*key)
    rows: Sequence[Any] = tx.execute(query).all()
    return {(customer, product, Counted(counted)): int(number) for customer, product, counted, number in rows}
