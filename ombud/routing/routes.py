"""Routes and assignments as they are kept: `apply` and the commands write them, `facts` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, Table, Text, delete, insert, select, update

from ombud.db import Identity, Json, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import NotFound, RegionNotAllowed
from ombud.routing.route import DEFAULT_LIMITS, Limits, Route
from ombud.seal import Seal

route_table = Table(
    "route",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("settings", Json, nullable=False),  # without secrets
    Column("sealed_secret", LargeBinary),
    Column("customer_id", Integer, ForeignKey("customer.id")),  # NULL: the vendor's
    Column("region", Text, nullable=False),
    Column("sign", Boolean, nullable=False),
    Column("billable", Boolean, nullable=False),
    Column("limits", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("paused_at", Moment),
)

assignment_table = Table(
    "assignment",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("customer_id", Integer, ForeignKey("customer.id")),  # NULL: every customer
    Column("product_id", Integer, ForeignKey("product.id")),  # NULL: every product
    Column("route_id", Integer, ForeignKey("route.id"), nullable=False),
    Column("since", Moment, nullable=False),
)

region_table = Table("allowed_region", metadata, Column("name", Text, primary_key=True))


def load_routes(tx: Transaction) -> dict[int, Route]:
    """Every route by its id, the oldest first."""
    return {row.id: _route(row) for row in tx.execute(select(route_table).order_by(route_table.c.id))}


def find_route(tx: Transaction, route_id: int) -> Route:
    """Raises NotFound."""
    row = tx.execute(select(route_table).where(route_table.c.id == route_id)).one_or_none()
    if row is None:
        raise NotFound(kind="route", name=str(route_id))
    return _route(row)


def _route(row: Any) -> Route:
    return Route(
        row.id, row.slug, row.provider, row.settings, row.customer_id, row.region, row.sign, row.billable,
        Limits(**row.limits), row.paused_at is not None, sha256(row.sealed_secret or b"").hexdigest(),
    )  # fmt: skip


def load_assigned(tx: Transaction) -> dict[tuple[int | None, int | None], int]:
    """(customer, product) -> route id; None in either place means every one."""
    return {(row.customer_id, row.product_id): row.route_id for row in tx.execute(select(assignment_table))}


def allowed_regions(tx: Transaction) -> frozenset[str]:
    """The regions that mail may pass; empty: all."""
    return frozenset(row.name for row in tx.execute(select(region_table)))


def check_region(tx: Transaction, route: Route) -> None:
    """Raises RegionNotAllowed when mail may not pass where the route's servers are."""
    allowed = allowed_regions(tx)
    if allowed and route.region not in allowed:
        raise RegionNotAllowed(route=route.slug, region=route.region, allowed=", ".join(sorted(allowed)))


def put_route(
    tx: Transaction, seal: Seal, slug: str, provider: str, settings: Mapping[str, Any], secret: str | None, now: datetime, *,
    customer_id: int | None = None, region: str = "EU", sign: bool = False, billable: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> bool:  # fmt: skip
    """Add a route, or bring the one of that slug up to date; `secret` None keeps the one it has. Says whether anything changed."""
    values: dict[str, Any] = {
        "provider": provider, "settings": dict(settings), "customer_id": customer_id, "region": region,
        "sign": sign, "billable": billable, "limits": asdict(limits),
    }  # fmt: skip
    known = tx.execute(select(route_table).where(route_table.c.slug == slug)).mappings().one_or_none()
    if secret is not None and (known is None or route_secret(tx, seal, slug) != secret):
        values["sealed_secret"] = seal.seal(secret.encode(), _about(slug))
    if known is None:
        tx.execute(insert(route_table).values(slug=slug, created_at=now, **values))
    elif all(known[column] == value for column, value in values.items()):
        return False
    else:
        tx.execute(update(route_table).where(route_table.c.slug == slug).values(**values))
    touch(tx)
    return True


def route_secret(tx: Transaction, seal: Seal, slug: str) -> str:
    """The route's password, opened; "" when it has none."""
    sealed = tx.execute(select(route_table.c.sealed_secret).where(route_table.c.slug == slug)).scalar()
    return seal.open(bytes(sealed), _about(slug)).decode() if sealed else ""


def pause_route(tx: Transaction, slug: str, now: datetime | None) -> None:
    """Keep the route's mail in the queue from `now` on; None lets it out again. Raises NotFound."""
    if tx.execute(update(route_table).where(route_table.c.slug == slug).values(paused_at=now)).rowcount != 1:
        raise NotFound(kind="route", name=slug)
    touch(tx)


def assign(tx: Transaction, customer_id: int | None, product_id: int | None, route_id: int, now: datetime) -> bool:
    """Let mail of this customer (None: every one) from this product (None: every one) take the route. Says whether it is news."""
    table = assignment_table.c
    same = (table.customer_id.is_not_distinct_from(customer_id), table.product_id.is_not_distinct_from(product_id))
    known = tx.execute(select(table.route_id).where(*same)).scalar()
    if known == route_id:
        return False
    if known is None:
        tx.execute(
            insert(assignment_table).values(
                customer_id=customer_id, product_id=product_id, route_id=route_id, since=now
            )
        )
    else:
        tx.execute(update(assignment_table).where(*same).values(route_id=route_id, since=now))
    touch(tx)
    return True


def unassign(tx: Transaction, customer_id: int | None, product_id: int | None) -> bool:
    """Take an assignment away; what stands behind it decides again. Says whether there was one."""
    table = assignment_table.c
    gone = tx.execute(
        delete(assignment_table).where(
            table.customer_id.is_not_distinct_from(customer_id), table.product_id.is_not_distinct_from(product_id)
        )
    )
    if gone.rowcount:
        touch(tx)
    return bool(gone.rowcount)


def put_allowed_regions(tx: Transaction, names: frozenset[str]) -> bool:
    """Say which regions mail may pass; none named: all. Says whether anything changed."""
    if names == allowed_regions(tx):
        return False
    tx.execute(delete(region_table))
    if names:
        tx.execute(insert(region_table), [{"name": name} for name in sorted(names)])
    touch(tx)
    return True


def _about(slug: str) -> str:
    return f"route|{slug}"
