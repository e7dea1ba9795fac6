"""Switches: from a moment on, a customer's mail takes another route; a share of it first where that is wished, and back in one step.

A switch is only ever added and, at most once, rolled back. What decides is the newest that has come and stands; one that is rolled
back decides as if it had never been.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, insert, select, update
from sqlalchemy import func as sql

from ombud.db import Identity, Json, Many, Moment, Transaction, metadata
from ombud.db.many import insert_or_add
from ombud.db.snapshot import touch
from ombud.errors import BadField, NotFound, SwitchOver
from ombud.routing.routes import check_region, find_route

switch_table = Table(
    "switch",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("campaign_id", Integer),  # NULL: outside a campaign
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("product_ids", Json),  # NULL: every product
    Column("from_route_id", Integer, ForeignKey("route.id")),  # what the mail took before
    Column("to_route_id", Integer, ForeignKey("route.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("canary_percent", Integer, nullable=False),  # of the recipients; 100: all
    Column("canary_until", Moment),
    Column("watch_until", Moment, nullable=False),  # until then too many failures roll it back
    Column("margin_percent", Integer, nullable=False),  # so many points more failures than before are too many
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("put_at", Moment, nullable=False),
    Column("rolled_back_at", Moment),
    Column("rolled_back_by", Text),
    Column("rollback_reason", Text),
    Index(None, "customer_id"),
)

#: Who rolls back when failures pass the threshold.
AUTOMATIC = "ombud"
WATCH_FOR = timedelta(days=3)
MARGIN_PERCENT = 5


@dataclass(frozen=True, slots=True)
class Switch:
    """One customer's mail goes over to another route at `at`."""

    id: int
    campaign_id: int | None
    customer_id: int
    product_ids: frozenset[int] | None  # None: every product
    from_route_id: int | None
    to_route_id: int
    at: datetime
    canary_percent: int
    canary_until: datetime | None
    watch_until: datetime
    margin_percent: int
    by: str
    reason: str
    put_at: datetime
    rolled_back_at: datetime | None = None
    rolled_back_by: str | None = None
    rollback_reason: str | None = None

    def stands(self, now: datetime) -> bool:
        """Whether its time has come and it has not been rolled back."""
        return self.at <= now and (self.rolled_back_at is None or now < self.rolled_back_at)

    def concerns(self, product_id: int) -> bool:
        return self.product_ids is None or product_id in self.product_ids

    def in_canary(self, now: datetime) -> bool:
        return self.canary_until is not None and now < self.canary_until

    def in_share(self, recipient: str) -> bool:
        """Whether this recipient is of those who go first. Always the same answer; each switch has its own."""
        digest = blake2b(recipient.lower().encode(), digest_size=4, salt=self.id.to_bytes(8, "big")).digest()
        return int.from_bytes(digest, "big") * 100 < self.canary_percent << 32

    def watched(self, now: datetime) -> bool:
        return self.stands(now) and now < self.watch_until


def put_switch(
    tx: Transaction, customer_id: int, to_route_id: int, now: datetime, *, product_ids: Collection[int] | None = None,
    at: datetime | None = None, campaign_id: int | None = None, from_route_id: int | None = None, canary_percent: int = 100,
    canary_until: datetime | None = None, watch_until: datetime | None = None, margin_percent: int = MARGIN_PERCENT,
    by: str = "", reason: str = "",
) -> Switch:  # fmt: skip
    """Let the customer's mail (from these products; None: from every one) take another route from `at` on (None: now).

    Until `canary_until` only `canary_percent` of the recipients do, by a hash of their addresses. Until `watch_until` (None: for
    three days) failures are counted, and roll it back when they are `margin_percent` points more than before.
    Raises NotFound, RouteNotTheirs, RegionNotAllowed, and BadField for a share or a time that makes no sense.
    """
    at = at or now
    watch_until = watch_until or (canary_until or at) + WATCH_FOR
    _check(tx, customer_id, to_route_id, at, canary_percent, canary_until, margin_percent)
    values: dict[str, Any] = {
        "campaign_id": campaign_id, "customer_id": customer_id,
        "product_ids": None if product_ids is None else sorted(product_ids), "from_route_id": from_route_id,
        "to_route_id": to_route_id, "at": at, "canary_percent": canary_percent, "canary_until": canary_until,
        "watch_until": watch_until, "margin_percent": margin_percent, "by": by, "reason": reason, "put_at": now,
    }  # fmt: skip
    row = tx.execute(insert(switch_table).values(**values).returning(*_COLUMNS)).one()
    touch(tx)
    return _switch(list(row))


def _check(
    tx: Transaction, customer_id: int, to_route_id: int, at: datetime, percent: int, canary_until: datetime | None, margin: int
) -> None:  # fmt: skip
    route = find_route(tx, to_route_id)
    route.check_taker(customer_id)
    check_region(tx, route)
    if not 1 <= percent <= 100:
        raise BadField(field="canary_percent", reason="it must be from 1 to 100")
    if (percent < 100) != (canary_until is not None):
        raise BadField(
            field="canary_until", reason="a share below 100 % needs a time until which it holds, and 100 % has none"
        )
    if canary_until is not None and canary_until <= at:
        raise BadField(field="canary_until", reason="it must be after the switch itself")
    if not 0 <= margin <= 100:
        raise BadField(field="margin_percent", reason="it must be from 0 to 100")


def roll_back(tx: Transaction, switch_id: int, now: datetime, *, by: str, reason: str = "") -> Switch:
    """Take a switch back, or off before its time: from `now` on the mail goes as if it had never been. Raises NotFound, SwitchOver."""
    s = switch_table.c
    done = tx.execute(
        update(switch_table)
        .where(s.id == switch_id, s.rolled_back_at.is_(None))
        .values(rolled_back_at=now, rolled_back_by=by, rollback_reason=reason)
    )
    switch = get_switch(tx, switch_id)
    if done.rowcount != 1:
        raise SwitchOver(switch=switch_id)
    touch(tx)
    return switch


def get_switch(tx: Transaction, switch_id: int) -> Switch:
    """Raises NotFound."""
    if not (found := _read(tx, switch_table.c.id == switch_id)):
        raise NotFound(kind="switch", name=str(switch_id))
    return found[0]


def load_switches(tx: Transaction, customer_id: int | None = None) -> list[Switch]:
    """Every switch there has been, the oldest first; or every one of a customer's."""
    return _read(tx) if customer_id is None else _read(tx, switch_table.c.customer_id == customer_id)


def taken_back(tx: Transaction) -> dict[int, datetime]:
    """The customers of whose campaign switches any was rolled back, each with the latest time that one was."""
    s = switch_table.c
    query = select(s.customer_id, sql.max(s.rolled_back_at).label("at"))
    rows = tx.execute(query.where(s.campaign_id.is_not(None), s.rolled_back_at.is_not(None)).group_by(s.customer_id))
    return {row.customer_id: row.at for row in rows}


#: In the order of a Switch's fields.
_FIELDS = list(Switch.__dataclass_fields__)
_COLUMNS, _PRODUCTS = [switch_table.c[name] for name in _FIELDS], _FIELDS.index("product_ids")


def _read(tx: Transaction, *where: Any) -> list[Switch]:
    query = select(*_COLUMNS).where(*where).order_by(switch_table.c.at, switch_table.c.id)
    return [_switch(list(row)) for row in tx.execute(query)]


def _switch(values: list[Any]) -> Switch:
    if values[_PRODUCTS] is not None:
        values[_PRODUCTS] = frozenset(values[_PRODUCTS])
    return Switch(*values)


# --- how a switch goes ---------------------------------------------------------------------------------------------

switch_count_table = Table(
    "switch_count",
    metadata,
    Column("switch_id", Integer, ForeignKey("switch.id"), primary_key=True, autoincrement=False),
    Column("what", Text, primary_key=True),  # delivered | failed
    # Each worker counts in rows of its own, in the transaction of the outcome: exact, and no machine waits for another.
    Column("worker", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
_ADD = Many(insert_or_add(switch_count_table, "number"), "switch_id", "what", "worker", "number")


@dataclass(frozen=True, slots=True)
class Counts:
    """Tries that ended: handed over, or failed (a recipient refused for good, or the route itself at fault)."""

    delivered: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.delivered + other.delivered, self.failed + other.failed)

    @property
    def tries(self) -> int:
        return self.delivered + self.failed

    @property
    def share(self) -> float:
        """Of the tries, how many failed, from 0 to 1."""
        return self.failed / self.tries if self.tries else 0.0


def count_outcomes(tx: Transaction, worker: str, counts: Mapping[int, Counts]) -> None:
    """Add to what this worker has counted for each switch, in the transaction of the outcomes."""
    rows = [
        (switch_id, what, worker, number)
        for switch_id, one in sorted(counts.items())
        for what, number in (("delivered", one.delivered), ("failed", one.failed))
        if number
    ]
    _ADD.run(tx, rows)


def counts_of(tx: Transaction, switch_ids: Collection[int]) -> dict[int, Counts]:
    """What has been counted since each of these switches; all of them are in the answer."""
    c = switch_count_table.c
    query = select(c.switch_id, c.what, sql.sum(c.number).label("number")).where(c.switch_id.in_(switch_ids))
    found = {(row.switch_id, row.what): int(row.number) for row in tx.execute(query.group_by(c.switch_id, c.what))}
    return {id: Counts(found.get((id, "delivered"), 0), found.get((id, "failed"), 0)) for id in switch_ids}


#: With fewer tries than this nothing is concluded.
LEAST_TRIES = 20
#: How sure one must be (a normal deviate, one-sided 97.5 %) before chance is ruled out.
SURE = 1.96


def too_many_failures(now: Counts, before: Counts, margin_percent: int) -> bool:
    """Whether the new route surely fails more than the old one did, by more than the margin.

    Even the lower end of what the share may really be (Wilson's interval) must be above: a handful of dead addresses in a small
    run is no reason to go back.
    """
    if now.tries < LEAST_TRIES:
        return False
    n, p, z = now.tries, now.share, SURE
    centre, spread = p + z * z / (2 * n), z * math.sqrt((p * (1 - p) + z * z / (4 * n)) / n)
    return (centre - spread) / (1 + z * z / n) > before.share + margin_percent / 100
