"""What lies behind the invoices of a month: how many e-mails were counted each day and by product, and how many were not counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from ombud.accounts import load_directory
from ombud.billing.exports.pdf import Month
from ombud.billing.ledger import Kept
from ombud.billing.planbook import load_plans
from ombud.billing.price import price_month, stretches_of
from ombud.billing.statement import NOT_COUNTED
from ombud.billing.subscriptions import load_subscriptions
from ombud.clock import month_days
from ombud.db import Transaction
from ombud.usage import Counted, daily_totals
from ombud.usage.totals import totals_by_product


def load_months(tx: Transaction, kept: Sequence[Kept]) -> Mapping[int, Month]:
    """By the basis' id, for the invoices among these, which are all of one month. A credit has nothing behind it but its invoice."""
    invoices = [one for one in kept if not one.basis.is_credit]
    if not invoices:
        return {}
    period = invoices[0].basis.period
    first, after = month_days(period)
    days: dict[int, dict[date, int]] = defaultdict(dict)
    for customer_id, day, number in daily_totals(tx, first, after, [Counted.BILLABLE]):
        days[customer_id][day] = number
    products, others = _by_product(tx, first, after)
    plans, subscriptions = load_plans(tx), load_subscriptions(tx)
    months = {}
    for one in invoices:
        id_ = one.basis.buyer.customer_id
        mine = days.get(id_, {})
        stretches = stretches_of(period, subscriptions.get(id_, ()), plans, mine)
        every = [first + timedelta(n) for n in range((after - first).days)]
        months[one.id] = Month(
            days=tuple((day, mine.get(day, 0)) for day in every),
            included=price_month(period, stretches).included if stretches else 0,
            products=tuple(products.get(id_, ())),
            not_counted=tuple((str(what), others[id_, what]) for what in NOT_COUNTED if others.get((id_, what))),
        )
    return months


def _by_product(
    tx: Transaction, first: date, after: date
) -> tuple[Mapping[int, list[tuple[str, int]]], Mapping[tuple[int, Counted], int]]:
    """What was billed by customer and product, the most first, and what was not by customer and kind."""
    names = {one.id: one.name for one in load_directory(tx).products.values()}
    billed: dict[int, list[tuple[str, int]]] = defaultdict(list)
    others: dict[tuple[int, Counted], int] = defaultdict(int)
    for (customer, product, what), number in totals_by_product(
        tx, first, after, [Counted.BILLABLE, *NOT_COUNTED]
    ).items():
        if what is Counted.BILLABLE:
            billed[customer].append((names.get(product, f"#{product}"), number))
        else:
            others[customer, what] += number
    for found in billed.values():
        found.sort(key=lambda one: (-one[1], one[0]))
    return billed, others
