"""The routes' invariants: nothing goes by a route that is another customer's, or that does not exist."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, cast, literal, select
from sqlalchemy import func as sql

from ombud.db import Transaction
from ombud.queue import State
from ombud.queue.tables import attempt_table, recipient_table
from ombud.routing.routes import assignment_table, route_table
from ombud.usage import usage_table
from ombud.verify.naming import RECIPIENT, all_of, named, recipients
from ombud.verify.rule import Rules

RULES = Rules()

_r, _a, _u, _route = recipient_table.c, attempt_table.c, usage_table.c, route_table.c
_FINAL = [state for state in State if state.final]


@RULES.add
def route_foreign(tx: Transaction) -> Select[Any]:
    """A recipient that is not done with is to go by another customer's own route."""
    of_route = recipient_table.join(route_table, _route.id == _r.route_id)
    return select(RECIPIENT).select_from(of_route).where(_route.customer_id != _r.customer_id, _r.state.not_in(_FINAL))


@RULES.add
def route_unknown(tx: Transaction) -> Select[Any]:
    """Something went, or is to go, by a route that does not exist."""

    def unknown(column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(column.is_not(None), column.not_in(select(_route.id)))

    return all_of(
        recipients(unknown(_r.route_id)),
        select(named("attempt at recipient", _a.recipient_id)).where(unknown(_a.route_id)),
        select(named("usage of recipient", _u.recipient_id)).where(unknown(_u.route_id)),
    )


@RULES.add
def assigned_twice(tx: Transaction) -> Select[Any]:
    """A customer and a product have two routes at once."""
    customer, product = assignment_table.c.customer_id, assignment_table.c.product_id
    who = literal("customer ") + _or_all(customer) + literal(", product ") + _or_all(product)
    return select(who.label("name")).group_by(customer, product).having(sql.count() > 1)


def _or_all(key: ColumnElement[Any]) -> ColumnElement[str]:
    return sql.coalesce(cast(key, Text), "all")
