"""The queue's invariants: states, leases and holds; whole messages; attempts and events that tell the same story as the states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, exists, literal, not_, or_, select, union_all
from sqlalchemy import func as sql

from ombud.db import Transaction
from ombud.db.snapshot import revision_table
from ombud.providers.provider import Result
from ombud.queue import EVENTS, TABLE, State, Stream, lane_of
from ombud.queue.tables import (
    PRIORITY,
    attempt_table,
    body_table,
    event_table,
    fence_table,
    hold_table,
    message_table,
    recipient_table,
    worker_table,
)
from ombud.usage import usage_table
from ombud.verify.naming import RECIPIENT, all_of, named, recipients
from ombud.verify.rule import Rules

RULES = Rules()

_m, _b, _r, _a, _e = message_table.c, body_table.c, recipient_table.c, attempt_table.c, event_table.c
_hold, _u, _w = hold_table.c, usage_table.c, worker_table.c
_QUEUED = (State.WAITING, State.DEFERRED)  # these must be due
_MAY_BE_DUE = (*_QUEUED, State.UNKNOWN)
_IN_HAND = (State.LEASED, State.SENDING)
_recipients_of_messages = recipient_table.join(message_table, _m.id == _r.message_id)


# --- states, leases and holds ----------------------------------------------------------------------------------------


@RULES.add
def state_unknown(tx: Transaction) -> Select[Any]:
    """A recipient is in a state that does not exist."""
    return recipients(_r.state.not_in(list(State)))


@RULES.add
def never_due(tx: Transaction) -> Select[Any]:
    """A recipient waits without a time or a route to be tried by: it would never be sent."""
    return recipients(or_(
        and_(_r.state.in_(_QUEUED), _r.due_at.is_(None)),
        and_(_r.due_at.is_not(None), _r.route_id.is_(None)),
    ))  # fmt: skip


@RULES.add
def wrongly_due(tx: Transaction) -> Select[Any]:
    """A recipient is due though its state is not one that is tried again."""
    return recipients(_r.due_at.is_not(None), _r.state.in_(set(State).difference(_MAY_BE_DUE)))


@RULES.add
def lease_differs(tx: Transaction) -> Select[Any]:
    """A recipient is in a worker's hands by its state and not by its worker, or the other way round."""
    return recipients(_r.worker.is_not(None) != _r.state.in_(_IN_HAND))


@RULES.add
def lease_orphaned(tx: Transaction) -> Select[Any]:
    """A recipient is leased to a worker that nobody knows: no one would ever take it back."""
    return recipients(_r.worker.is_not(None), ~exists().where(_w.id == _r.worker))


@RULES.add
def fence_ahead(tx: Transaction) -> Select[Any]:
    """A recipient has a fence number that was never given out."""
    given_out = select(sql.max(fence_table.c.number)).scalar_subquery()
    return recipients(or_(_r.fence > given_out, and_(_r.state.in_(_IN_HAND), _r.fence == 0)))


@RULES.add
def counter_wrong(tx: Transaction) -> Select[Any]:
    """A counter that must have one row has none or several."""
    counters = [
        select(literal(table.name).label("name"), sql.count().label("rows")).select_from(table)
        for table in (fence_table, revision_table)
    ]
    rows = union_all(*counters).subquery()
    return select(rows.c.name).where(rows.c.rows != 1)


@RULES.add
def hold_differs(tx: Transaction) -> Select[Any]:
    """A recipient is held and nothing says since when and why, or something says so and it is not held."""
    open_hold = exists().where(_hold.recipient_id == _r.id, _hold.ended_at.is_(None))
    return recipients((_r.state == State.HELD) != open_hold)


@RULES.add
def hold_unended(tx: Transaction) -> Select[Any]:
    """A hold has an end without what ended it, or ended before it began."""
    half = _hold.ended_at.is_(None) != _hold.ended_as.is_(None)
    return select(named("hold", _hold.id)).where(or_(half, _hold.ended_at < _hold.held_at))


@RULES.add
def hold_of_another(tx: Transaction) -> Select[Any]:
    """A hold is of another customer, product or sender domain than its message: the wrong way would release it."""
    of_message = hold_table.join(recipient_table, _r.id == _hold.recipient_id).join(
        message_table, _m.id == _r.message_id
    )
    differs = or_(
        _hold.customer_id != _m.customer_id, _hold.product_id != _m.product_id,
        not_(_m.header_from.endswith("@" + _hold.sender_domain)),
    )  # fmt: skip
    return select(named("hold", _hold.id)).select_from(of_message).where(differs)


# --- messages --------------------------------------------------------------------------------------------------------


@RULES.add
def message_empty(tx: Transaction) -> Select[Any]:
    """A message has no recipient."""
    return select(_m.id.label("name")).where(~exists().where(_r.message_id == _m.id))


@RULES.add
def recipients_gap(tx: Transaction) -> Select[Any]:
    """A message's recipients are not numbered from 0 without a gap."""
    counted = sql.count(_r.n.distinct())
    return select(_r.message_id.label("name")).group_by(_r.message_id).having(
        or_(sql.min(_r.n) != 0, sql.max(_r.n) != counted - 1, sql.count() != counted)
    )  # fmt: skip


@RULES.add
def body_differs(tx: Transaction) -> Select[Any]:
    """A message that is not over has no body, or one has a body of another size than was accepted."""
    of_message = message_table.outerjoin(body_table, _b.message_id == _m.id)
    alive = exists().where(_r.message_id == _m.id, _r.state.not_in([state for state in State if state.final]))
    wrong = and_(_m.size.is_distinct_from(sql.length(_b.content)), or_(_b.message_id.is_not(None), alive))
    return select(_m.id.label("name")).select_from(of_message).where(wrong)


@RULES.add
def customer_differs(tx: Transaction) -> Select[Any]:
    """A recipient or an event belongs to another customer than its message does."""
    events = event_table.join(message_table, _m.id == _e.message_id)
    return all_of(
        select(RECIPIENT).select_from(_recipients_of_messages).where(_r.customer_id != _m.customer_id),
        select(named("event", _e.id)).select_from(events).where(_e.customer_id != _m.customer_id),
    )


@RULES.add
def lane_differs(tx: Transaction) -> Select[Any]:
    """A recipient stands in a lane that is not its customer's and stream's."""
    lanes_a_customer = lane_of(1, Stream.IMPORTANT)
    lane = _m.customer_id * lanes_a_customer + case(PRIORITY, value=_m.stream, else_=-1)
    return select(RECIPIENT).select_from(_recipients_of_messages).where(_r.lane != lane)


@RULES.add
def points_nowhere(tx: Transaction) -> Select[Any]:
    """A row belongs to a message or a recipient that does not exist."""
    no_message, no_recipient = select(_m.id), select(_r.id)
    strangers = event_table.outerjoin(recipient_table, and_(_r.id == _e.recipient_id, _r.message_id == _e.message_id))
    return all_of(
        recipients(_r.message_id.not_in(no_message)),
        select(named("body of", _b.message_id)).where(_b.message_id.not_in(no_message)),
        select(named("attempt at recipient", _a.recipient_id)).where(_a.recipient_id.not_in(no_recipient)),
        select(named("usage of recipient", _u.recipient_id)).where(_u.recipient_id.not_in(no_recipient)),
        select(named("event", _e.id)).where(_e.message_id.not_in(no_message)),
        # An event's recipient must be one of its own message.
        select(named("event", _e.id)).select_from(strangers).where(_e.recipient_id.is_not(None), _r.id.is_(None)),
    )


# --- attempts and events ---------------------------------------------------------------------------------------------


@RULES.add
def accepted_differs(tx: Transaction) -> Select[Any]:
    """A message has no `accepted` event, or several."""
    accepted = _times(_e.message_id, _e.type == "accepted")
    of_message = message_table.outerjoin(accepted, accepted.c.key == _m.id)
    return select(_m.id.label("name")).select_from(of_message).where(accepted.c.times.is_distinct_from(1))


@RULES.add
def attempts_gap(tx: Transaction) -> Select[Any]:
    """A recipient's attempts are not numbered from 1 to the number of them that it says it has."""
    made = select(
        _a.recipient_id, sql.count().label("times"), sql.min(_a.n).label("first"), sql.max(_a.n).label("last")
    ).group_by(_a.recipient_id).subquery()  # fmt: skip
    of_recipient = recipient_table.outerjoin(made, made.c.recipient_id == _r.id)
    gap = or_(made.c.first != 1, made.c.last != made.c.times, sql.coalesce(made.c.times, 0) != _r.attempts)
    return select(RECIPIENT).select_from(of_recipient).where(gap)


@RULES.add
def attempt_differs(tx: Transaction) -> Select[Any]:
    """A recipient is delivered without exactly one attempt that says so, or an attempt says so and it is not."""
    said = _times(_a.recipient_id, _a.result == Result.DELIVERED)
    of_recipient = recipient_table.outerjoin(said, said.c.key == _r.id)
    expected = case((_r.state == State.DELIVERED, 1), else_=0)
    return select(RECIPIENT).select_from(of_recipient).where(sql.coalesce(said.c.times, 0) != expected)


@RULES.add
def event_differs(tx: Transaction) -> Select[Any]:
    """A recipient's last event is not one that leads to its state."""
    newest = _events_by_recipient()
    of_recipient = recipient_table.outerjoin(newest, newest.c.recipient_id == _r.id).outerjoin(
        event_table, _e.id == newest.c.last
    )
    told = _r.state + ":" + sql.coalesce(_e.type, "")
    fits = [f"{state}:{event}" for state, events in LAST_EVENTS.items() for event in events]
    return select(RECIPIENT).select_from(of_recipient).where(told.not_in(fits), _r.state.in_(list(State)))


@RULES.add
def event_after_the_end(tx: Transaction) -> Select[Any]:
    """A recipient has an event after one that was final."""
    events = _events_by_recipient()
    of_recipient = recipient_table.join(events, events.c.recipient_id == _r.id)
    return select(RECIPIENT).select_from(of_recipient).where(events.c.end < events.c.last)


# --- what the rules are made with ------------------------------------------------------------------------------------


def _times(rows: ColumnElement[Any], which: ColumnElement[bool]) -> Subquery:
    """How many of a table's rows there are by this key."""
    return select(rows.label("key"), sql.count().label("times")).where(which).group_by(rows).subquery()


def _events_by_recipient() -> Subquery:
    """Each recipient's last event, and its first final one, by their numbers (given out under the recipient's lock)."""
    final = _e.type.in_({EVENTS[what] for (_, what), state in TABLE.items() if state.final})
    return (
        select(_e.recipient_id, sql.max(_e.id).label("last"), sql.min(case((final, _e.id))).label("end"))
        .where(_e.recipient_id.is_not(None))
        .group_by(_e.recipient_id)
        .subquery()
    )


def _last_events() -> Mapping[State, frozenset[str]]:
    """For each state the events that can have come last, "" for none: worked out from the table of states itself."""
    found: dict[State, set[str]] = {state: set() for state in State}
    for state in (State.WAITING, State.HELD, State.SUPPRESSED):
        found[state].add("")  # as accepted: the message's own event says it
    for _ in TABLE:  # no chain of silent changes is longer than the table
        for (before, what), now in TABLE.items():
            found[now] |= {EVENTS[what]} if what in EVENTS else found[before]
    return {state: frozenset(events) for state, events in found.items()}


LAST_EVENTS = _last_events()
