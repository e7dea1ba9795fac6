"""Out of the queue: leases, fair between customers, and what becomes of leases whose worker is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy import func as sql

from ombud.db import Transaction
from ombud.queue.origin import Origin
from ombud.queue.settle import Change, change_all
from ombud.queue.states import State, What
from ombud.queue.tables import (
    SUSPECTED,
    Stream,
    body_table,
    customer_of,
    fence_table,
    lane_of,
    message_table,
    recipient_table,
    worker_table,
)  # fmt: skip

#: At most so many customers are served by one lease; the next lease begins with the next customer.
CUSTOMERS_A_LEASE = 32
#: A recipient over which so many workers have died is set aside; the last times it was its worker's only suspect.
MOST_CRASHES = SUSPECTED + 2
#: So many are taken back from dead workers in one transaction; the next one takes the rest.
MOST_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Lease:
    """One recipient in a worker's hands. Whoever settles it must show the same fence."""

    recipient_id: int
    fence: int
    message_id: str
    n: int
    address: str
    variables: Mapping[str, str] | None
    route_id: int
    lane: int
    attempts: int  # ended before this lease
    repeated: bool  # the last answer was lost: this try may make a second copy
    expired: bool  # its time is up: one more deferral is its last


@dataclass(frozen=True, slots=True)
class Mail:
    """What is known of a leased recipient's message, without its bytes."""

    id: str
    customer_id: int
    product_id: int
    mode: str
    mail_from: str
    header_from: str
    message_id: str
    size: int
    personal: bool
    needs_utf8: bool
    created_at: datetime


_r, _m = recipient_table.c, message_table.c
_due_in_lane = (
    select(_r.id)
    .where(
        _r.route_id == bindparam("route"), _r.lane == bindparam("lane"), _r.due_at <= bindparam("now"),
        _r.crashes < SUSPECTED,
    )
    .order_by(_r.due_at, _r.id)
    .limit(bindparam("most"))
)  # fmt: skip


def lease(tx: Transaction, worker: str, route_id: int, most: int, served_last: int = 0) -> list[Lease]:
    """Take at most `most` due recipients of a route; no other worker gets them until this one settles them or dies.

    Without the suspects, over whom workers have died: see `lease_suspect`.

    Fair: every customer with due mail gets an equal share, starting after customer `served_last`; within a customer's
    share important mail goes first. What some leave over, others get.
    """
    lanes = _lanes_in_turn(tx, route_id, served_last)
    open_lanes: dict[int, list[int]] = {}
    for lane in lanes:
        if len(open_lanes) < CUSTOMERS_A_LEASE or customer_of(lane) in open_lanes:
            open_lanes.setdefault(customer_of(lane), []).append(lane)
    taken: dict[int, list[int]] = {lane: [] for lane in lanes}
    left = most
    while open_lanes and left > 0:
        share = max(1, left // len(open_lanes))
        for customer in list(open_lanes):
            got = _take_share(tx, route_id, open_lanes[customer], min(share, left), taken)
            left -= got
            if got < share:
                del open_lanes[customer]  # has no more
    ids = [number for lane in lanes for number in taken[lane]]
    return _mark_leased(tx, worker, ids) if ids else []


def suspects_wait(tx: Transaction) -> bool:
    """Whether any suspect is due."""
    due = select(_r.id).where(_r.crashes >= SUSPECTED, _r.due_at <= tx.now).limit(1)
    return tx.execute(due).first() is not None


def lease_suspect(tx: Transaction, worker: str, route_ids: Sequence[int]) -> list[Lease]:
    """Take one due suspect of these routes, the one that has waited longest. A worker has one at a time: if it dies again,
    only one of them can have been the reason, and an innocent one is not set aside for another's sake."""
    due = (
        select(_r.id)
        .where(_r.crashes >= SUSPECTED, _r.due_at <= tx.now, _r.route_id.in_(route_ids))
        .order_by(_r.due_at, _r.id)
        .limit(1)
    )
    ids = [row.id for row in tx.execute(tx.skip_locked(due))]
    return _mark_leased(tx, worker, ids) if ids else []


def _take_share(tx: Transaction, route_id: int, lanes: list[int], share: int, taken: dict[int, list[int]]) -> int:
    """Add one customer's share to what is taken, its first lanes first. Returns how many there were."""
    got = 0
    for lane in lanes:
        if got < share:
            # What this lease took from the lane already is still due in the table, ahead of what is asked for now.
            values = {"route": route_id, "lane": lane, "now": tx.now, "most": len(taken[lane]) + share - got}
            rows = [row.id for row in tx.execute(tx.skip_locked(_due_in_lane), values)]
            got += len(rows) - len(taken[lane])
            taken[lane] = rows
    return got


def _lanes_in_turn(tx: Transaction, route_id: int, served_last: int) -> list[int]:
    """The lanes with mail in them: customers with important mail first, else the one after `served_last`, and so round."""
    lanes = [row.lane for row in tx.execute(_LANES, {"route": route_id}) if row.lane is not None]
    best: dict[int, int] = {}
    for lane in lanes:  # ascending, so a customer's first lane is its best
        best.setdefault(customer_of(lane), lane % 4)
    return sorted(lanes, key=lambda lane: (best[customer_of(lane)], customer_of(lane) <= served_last, lane))


def _lanes_query() -> Any:
    """Every lane that has mail, one index step each: a walk from lane to lane, not over the mail in them."""
    in_queue = (_r.route_id == bindparam("route"), _r.due_at.is_not(None))
    walk = select(select(sql.min(_r.lane)).where(*in_queue).scalar_subquery().label("lane")).cte("walk", recursive=True)
    further = select(sql.min(_r.lane)).where(*in_queue, _r.lane > walk.c.lane).scalar_subquery()
    walk = walk.union_all(select(further).where(walk.c.lane.is_not(None)))
    return select(walk.c.lane)


_LANES = _lanes_query()


def _mark_leased(tx: Transaction, worker: str, ids: list[int]) -> list[Lease]:
    fence = tx.execute(
        update(fence_table).values(number=fence_table.c.number + 1).returning(fence_table.c.number)
    ).scalar_one()
    before = {row.id: row.state for row in tx.execute(select(_r.id, _r.state).where(_r.id.in_(ids)))}
    rows = tx.execute(
        update(recipient_table)
        .where(_r.id.in_(ids), _r.due_at.is_not(None))
        .values(state=State.LEASED, worker=worker, fence=fence, due_at=None)
        .returning(
            _r.id, _r.message_id, _r.n, _r.address, _r.variables, _r.route_id, _r.lane, _r.attempts, _r.expires_at
        )
    )  # fmt: skip
    place = {number: n for n, number in enumerate(ids)}
    leases = [
        Lease(
            row.id, fence, row.message_id, row.n, row.address, row.variables, row.route_id, row.lane, row.attempts,
            before[row.id] == State.UNKNOWN, row.expires_at <= tx.now,
        )
        for row in rows
    ]  # fmt: skip
    return sorted(leases, key=lambda one: place[one.recipient_id])  # RETURNING keeps no order


def _routes_query() -> Any:
    """Every route that has mail, one index step each."""
    queued = _r.due_at.is_not(None)
    walk = select(select(sql.min(_r.route_id)).where(queued).scalar_subquery().label("route")).cte(
        "walk", recursive=True
    )
    further = select(sql.min(_r.route_id)).where(queued, _r.route_id > walk.c.route).scalar_subquery()
    walk = walk.union_all(select(further).where(walk.c.route.is_not(None)))
    return select(walk.c.route)


_ROUTES = _routes_query()


def routes_with_mail(tx: Transaction) -> list[int]:
    """The routes that have mail in the queue, due now or later."""
    return [row.route for row in tx.execute(_ROUTES) if row.route is not None]


def customers_with_mail(tx: Transaction) -> list[tuple[int, int]]:
    """(Route, customer) of all that is in the queue, due now or later."""
    return [
        (route_id, customer_id)
        for route_id in routes_with_mail(tx)
        for customer_id in dict.fromkeys(
            customer_of(row.lane) for row in tx.execute(_LANES, {"route": route_id}) if row.lane is not None
        )
    ]


@dataclass(frozen=True, slots=True)
class Queued:
    """One recipient that is due now or later."""

    recipient_id: int
    origin: Origin
    state: State
    due_in: timedelta  # zero when it is due now


def queued(tx: Transaction, route_id: int, customer_id: int, limit: int, *, after: int = 0) -> list[Queued]:
    """What waits or was put off by a route of a customer's, by the recipient's number, after the recipient `after`.

    Without those whose last answer was lost: they may have it already.
    """
    first, last = lane_of(customer_id, Stream.IMPORTANT), lane_of(customer_id + 1, Stream.IMPORTANT)
    query = (
        select(_r.id, _m.product_id, _m.header_from, _r.state, _r.due_at)
        .join(message_table, _m.id == _r.message_id)
        .where(
            _r.route_id == route_id, _r.lane >= first, _r.lane < last, _r.due_at.is_not(None),
            _r.state.in_((State.WAITING, State.DEFERRED)), _r.id > after,
        )
        .order_by(_r.id)
        .limit(limit)
    )  # fmt: skip
    return [
        Queued(
            row.id, Origin.of(row.product_id, row.header_from), State(row.state), max(row.due_at - tx.now, timedelta(0))
        )
        for row in tx.execute(query)
    ]


_FETCH = (
    select(
        _m.id, _m.customer_id, _m.product_id, _m.mode, _m.mail_from, _m.header_from, _m.message_id, _m.size, _m.personal,
        _m.needs_utf8, _m.created_at, body_table.c.content,
    )
    .join(body_table, body_table.c.message_id == _m.id)
    .where(_m.id.in_(bindparam("ids", expanding=True)))
)  # fmt: skip


def fetch(tx: Transaction, message_ids: Sequence[str]) -> dict[str, tuple[Mail, bytes]]:
    """The messages of these ids, each with its bytes."""
    rows: Sequence[Any] = tx.execute(_FETCH, {"ids": list(message_ids)}).all()
    return {row.id: (Mail(*row[:-1]), bytes(row.content)) for row in rows}


# --- workers -------------------------------------------------------------------------------------------------------


def beat(tx: Transaction, worker: str, seconds: int) -> None:
    """Say that the worker is alive, and will be for so long; its leases are its own until then."""
    until = {"alive_until": tx.now + timedelta(seconds=seconds)}
    if tx.execute(update(worker_table).where(worker_table.c.id == worker).values(**until)).rowcount == 0:
        tx.execute(insert(worker_table).values(id=worker, **until))


def recover(tx: Transaction, now: datetime, resend_after: timedelta | None, *, all_but: str | None = None) -> int:
    """Take back what workers held that are no longer alive. Returns how many recipients.

    Before the point of no return it is simply due again (and set aside after the fourth dead worker); after it nobody knows
    whether it was delivered: UNKNOWN, due again after `resend_after`, or left for a person when that is None.
    `all_but`: take every other worker for dead, as a process may that knows to be alone with its database.
    """
    w = worker_table.c
    alive = w.id == all_but if all_but is not None else w.alive_until >= tx.now
    # By who is alive, not by who is known to be dead: whoever is neither must not keep what it held for ever.
    living = select(w.id).where(alive)
    lost = select(_r.id, _r.fence, _r.state, _r.crashes).where(_r.worker.is_not(None), _r.worker.not_in(living))
    rows = tx.execute(tx.skip_locked(lost.order_by(_r.id).limit(MOST_AT_ONCE))).all()
    changes = []
    for row in rows:
        if row.state == State.SENDING:
            changes.append(
                Change(
                    row.id,
                    row.fence,
                    What.LOSE,
                    now,
                    wait=resend_after,
                    words="the worker was lost after the final dot",
                )
            )
        else:
            what = What.QUARANTINE if row.crashes + 1 >= MOST_CRASHES else What.ABANDON
            changes.append(Change(row.id, row.fence, what, now, wait=timedelta(0), crashed=True))
    change_all(tx, changes)
    named = select(_r.worker).where(_r.worker.is_not(None))
    tx.execute(delete(worker_table).where(w.id.not_in(living), w.id.not_in(named)))
    return len(rows)
