"""The invoices' invariants: one series, of locked months only, and sums that agree."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy import func as sql

from ombud.billing.ledger import basis_table, invoiced_table, period_table
from ombud.db import Transaction
from ombud.verify.naming import named
from ombud.verify.rule import Rules

RULES = Rules()

_i, _billed, _period = basis_table.c, invoiced_table.c, period_table.c


@RULES.add
def invoice_numbers_gap(tx: Transaction) -> Select[Any]:
    """The numbers of invoices and credits are not one series without gaps."""
    before = select(_i.running, sql.lag(_i.running).over(order_by=_i.running).label("before")).subquery().c
    return select(named("number", before.running)).where(before.running != before.before + 1)


@RULES.add
def invoice_unlocked(tx: Transaction) -> Select[Any]:
    """There is an invoice of a month that is not locked."""
    locked = select(_period.period).where(_period.locked_at.is_not(None))
    return select(_i.number.label("name")).where(_i.period.not_in(locked))


@RULES.add
def credited_too_much(tx: Transaction) -> Select[Any]:
    """The credits of an invoice come to more than it does."""
    given = (
        select(_i.credits, sql.sum(_i.net).label("net"))
        .where(_i.credits.is_not(None))
        .group_by(_i.credits)
        .subquery()
        .c
    )
    return select(_i.number.label("name")).where(given.credits == _i.id, sql.abs(given.net) > sql.abs(_i.net))


@RULES.add
def invoiced_differs(tx: Transaction) -> Select[Any]:
    """What an invoice has billed, month by month, is not what it comes to."""
    billed = select(_billed.basis_id, sql.sum(_billed.net).label("net")).group_by(_billed.basis_id).subquery()
    of_invoice = basis_table.outerjoin(billed, billed.c.basis_id == _i.id)
    return (
        select(_i.number.label("name"))
        .select_from(of_invoice)
        .where(_i.serial == 0, _i.net.is_distinct_from(billed.c.net))
    )
