"""Overrides: an operator holds a customer's mail, or sends it another way, for a limited time and with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, insert, select, update

from ombud.db import Identity, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import BadField, NotFound, OverrideOver
from ombud.routing.routes import check_region, find_route

override_table = Table(
    "override",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("product_id", Integer, ForeignKey("product.id")),  # NULL: every product
    Column("route_id", Integer, ForeignKey("route.id")),  # NULL: hold the mail
    Column("at", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ended_at", Moment),  # before its time, by a person
    Column("ended_by", Text),
)

#: What is meant to last is a switch or an assignment.
LONGEST = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Override:
    """From `at` until `until` the customer's mail takes this route, or is held (`route_id` None)."""

    id: int
    customer_id: int
    product_id: int | None  # None: every product
    route_id: int | None
    at: datetime
    until: datetime
    by: str
    reason: str
    ended_at: datetime | None = None
    ended_by: str | None = None

    def stands(self, now: datetime) -> bool:
        return self.at <= now < self.until and (self.ended_at is None or now < self.ended_at)


def put_override(
    tx: Transaction, customer_id: int, product_id: int | None, route_id: int | None, now: datetime, *, until: datetime, by: str,
    reason: str,
) -> Override:  # fmt: skip
    """Hold the customer's mail (`route_id` None) or send it by that route until then; of several the newest counts.

    Raises NotFound, RouteNotTheirs, RegionNotAllowed, and BadField for a time that is past or too far off, or a missing reason.
    """
    if not now < until <= now + LONGEST:
        raise BadField(field="until", reason=f"it must be within {LONGEST.days} days from now")
    if not reason.strip():
        raise BadField(field="reason", reason="say why, for whoever finds it later")
    if route_id is not None:
        route = find_route(tx, route_id)
        route.check_taker(customer_id)
        check_region(tx, route)
    values: dict[str, Any] = {
        "customer_id": customer_id, "product_id": product_id, "route_id": route_id, "at": now, "until": until, "by": by,
        "reason": reason,
    }  # fmt: skip
    id = tx.execute(insert(override_table).values(**values).returning(override_table.c.id)).scalar_one()
    touch(tx)
    return Override(id=id, **values)


def end_override(tx: Transaction, override_id: int, now: datetime, *, by: str) -> None:
    """End it before its time. Raises NotFound, and OverrideOver when it is over already."""
    o = override_table.c
    open_ = (o.id == override_id, o.ended_at.is_(None), o.until > now)
    done = tx.execute(update(override_table).where(*open_).values(ended_at=now, ended_by=by))
    if done.rowcount != 1:
        if tx.execute(select(o.id).where(o.id == override_id)).scalar() is None:
            raise NotFound(kind="override", name=str(override_id))
        raise OverrideOver(override=override_id)
    touch(tx)


def load_overrides(tx: Transaction) -> list[Override]:
    """Every override there has been, the oldest first."""
    names = list(Override.__dataclass_fields__)
    rows = tx.execute(select(override_table).order_by(override_table.c.at, override_table.c.id))
    return [Override(**{name: getattr(row, name) for name in names}) for row in rows]
