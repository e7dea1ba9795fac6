"""Out of the queue: leases, fair between customers, and what becomes of leases whose worker is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, delete, insert, null, select, union_all, update
from sqlalchemy import func as sql

from ombud.db import Question, Transaction
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


def lease(tx: Transaction, worker: str, route_id: int, most: int, served_last: int = 0) -> list[Lease]:
    """Take at most `most` due recipients of a route; no other worker gets them until this one settles them or dies.

    Without the suspects, over whom workers have died: see `lease_suspect`.

    Fair: every customer with due mail gets an equal share, starting after customer `served_last`; within a customer's
    share important mail goes first. What some leave over, others get.
    """
    lanes = _lanes_in_turn(tx, route_id, served_last)
    served: dict[int, list[int]] = {}
    for lane in lanes:
        if len(served) < min(CUSTOMERS_A_LEASE, most) or customer_of(lane) in served:
            served.setdefault(customer_of(lane), []).append(lane)
    taken = _take_shares(tx, route_id, list(served.values()), most)
    before = {number: state for lane in lanes for number, state in taken.get(lane, ())}
    return _mark_leased(tx, worker, before) if before else []


def suspects_wait(tx: Transaction) -> bool:
    """Whether any suspect is due."""
    due = select(_r.id).where(_r.crashes >= SUSPECTED, _r.due_at <= tx.now).limit(1)
    return tx.execute(due).first() is not None


def lease_suspect(tx: Transaction, worker: str, route_ids: Sequence[int]) -> list[Lease]:
    """Take one due suspect of these routes, the one that has waited longest. A worker has one at a time: if it dies again,
    only one of them can have been the reason, and an innocent one is not set aside for another's sake."""
    due = (
        select(_r.id, _r.state)
        .where(_r.crashes >= SUSPECTED, _r.due_at <= tx.now, _r.route_id.in_(route_ids))
        .order_by(_r.due_at, _r.id)
        .limit(1)
    )
    before = {row.id: row.state for row in tx.execute(tx.skip_locked(due))}
    return _mark_leased(tx, worker, before) if before else []


#: By lane: what is due in it and taken, each with the state that it had.
_Taken = Mapping[int, Sequence[tuple[int, str]]]


def _take_shares(tx: Transaction, route_id: int, customers: Sequence[Sequence[int]], most: int) -> _Taken:
    """An equal share for each customer, given by its lanes; within a share the first lanes first."""
    lanes = [lane for of_one in customers for lane in of_one]
    asked = -(-most // max(1, len(customers)))
    while lanes:
        due = _due_in_lanes(tx, route_id, lanes, asked)
        shares = _equal_shares([sum(len(due[lane]) for lane in of_one) for of_one in customers], most)
        # Whoever has more than was asked for can take what others leave over: then it is asked for.
        if asked >= most or sum(shares) == most or all(len(found) < asked for found in due.values()):
            return {
                lane: part
                for of_one, share in zip(customers, shares, strict=True)
                for lane, part in _first(due, of_one, share)
            }
        asked = min(most, asked * 4)
    return {}


def _equal_shares(wants: Sequence[int], most: int) -> list[int]:
    """So much of `most` for each; what some do not want the others get, and odd ones go to the first."""
    shares, hungry, left = [0] * len(wants), [n for n, want in enumerate(wants) if want], most
    while hungry and left:
        equal = max(1, left // len(hungry))
        for n in hungry:
            more = min(equal, wants[n] - shares[n], left)
            shares[n] += more
            left -= more
        hungry = [n for n in hungry if shares[n] < wants[n]]
    return shares


def _first(due: _Taken, lanes: Sequence[int], share: int) -> Iterator[tuple[int, Sequence[tuple[int, str]]]]:
    """The first `share` of what is due in the lanes, lane by lane."""
    for lane in lanes:
        part = due[lane][:share]
        share -= len(part)
        yield lane, part


def _due_in_lanes(tx: Transaction, route_id: int, lanes: Sequence[int], most: int) -> _Taken:
    """Of each lane the first `most` that are due, without the suspects."""
    due: dict[int, list[tuple[int, str]]] = {lane: [] for lane in lanes}
    values = {"route": route_id, "now": tx.now, "most": most, **{f"lane{n}": lane for n, lane in enumerate(lanes)}}
    for lane, number, state in _due_question(len(lanes), tx.postgres).ask(tx, values):
        due[lane].append((number, state))
    return due


@cache
def _due_question(lanes: int, locking: bool) -> Question:
    """One statement for so many lanes: an index step for each, and none over the mail behind it."""

    def of_lane(n: int) -> Select[Any]:
        due = (
            select(_r.lane, _r.id, _r.state)
            .where(
                _r.route_id == bindparam("route"), _r.lane == bindparam(f"lane{n}"), _r.due_at <= bindparam("now"),
                _r.crashes < SUSPECTED,
            )
            .order_by(_r.due_at, _r.id)
            .limit(bindparam("most"))
        )  # fmt: skip
        return select((due.with_for_update(skip_locked=True) if locking else due).subquery())

    return Question(union_all(*map(of_lane, range(lanes))) if lanes > 1 else of_lane(0))


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


_NEXT_FENCE = update(fence_table).values(number=fence_table.c.number + 1).returning(fence_table.c.number)
_MARK_LEASED = (
    update(recipient_table)
    .where(_r.id.in_(bindparam("ids", expanding=True)), _r.due_at.is_not(None))
    .values(state=State.LEASED, worker=bindparam("by"), fence=bindparam("new_fence"), due_at=null())
    .returning(_r.id, _r.message_id, _r.n, _r.address, _r.variables, _r.route_id, _r.lane, _r.attempts, _r.expires_at)
)


def _mark_leased(tx: Transaction, worker: str, before: Mapping[int, str]) -> list[Lease]:
    """Lease these, in that order; `before` says what state each of them has."""
    fence = tx.execute(_NEXT_FENCE).scalar_one()
    marked: Sequence[Any] = tx.execute(_MARK_LEASED, {"ids": list(before), "by": worker, "new_fence": fence}).all()
    leases = {
        id: Lease(
            id, fence, message_id, n, address, variables, route_id, lane, attempts,
            before[id] == State.UNKNOWN, expires_at <= tx.now,
        )
        for id, message_id, n, address, variables, route_id, lane, attempts, expires_at in marked
    }  # fmt: skip
    return [leases[id] for id in before if id in leases]  # RETURNING keeps no order


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
