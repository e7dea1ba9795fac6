"""Changes of state: the one place where a recipient's row changes, with its attempt and its event in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, null, select, update

from ombud.db import Many, Transaction
from ombud.db.many import Row
from ombud.mail.reply import Reply
from ombud.queue.hold import begin_holds, end_holds
from ombud.queue.states import State, What, after
from ombud.queue.tables import attempt_table, event_table, recipient_table

#: The events that the outside is told of. What is not here happens inside only.
EVENTS = {
    What.DELIVER: "delivered",
    What.DEFER: "deferred",
    What.FAIL: "failed",
    What.LOSE: "unknown",
    What.EXPIRE: "expired",
    What.HOLD: "held",
    What.RELEASE: "released",
    What.RETRY: "retried",
    What.CANCEL: "cancelled",
    What.SUPPRESS: "suppressed",
    What.QUARANTINE: "quarantined",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One ended try: by which route, what it led to, and the other side's words."""

    route_id: int
    started_at: datetime
    result: str
    reply: Reply
    remote: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to one recipient. `fence` None: whatever lease there is (an operator's change)."""

    recipient_id: int
    fence: int | None
    what: What
    at: datetime  # the business clock
    wait: timedelta | None = None  # until it is due again; None: it is not
    attempt: Attempt | None = None
    reason: str | None = None  # a new reason, when the route or the hold changed
    route_id: int | None = None  # a new route
    crashed: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of a Change. `before` None: there is no such recipient; `now` None: it could not happen, nothing changed."""

    before: State | None
    now: State | None


_r = recipient_table.c
_CHANGES = Many(
    update(recipient_table)
    .where(_r.id == bindparam("key"), _r.state == bindparam("was"), _r.fence == bindparam("held"))
    .values(
        state=bindparam("new_state"), due_at=bindparam("new_due_at"), worker=null(), reason=bindparam("new_reason"),
        route_id=bindparam("new_route_id"), attempts=bindparam("new_attempts"), crashes=bindparam("new_crashes"),
        changed_at=bindparam("new_changed_at"),
    ),
    "key", "was", "held", "new_state", "new_due_at", "new_reason", "new_route_id", "new_attempts", "new_crashes", "new_changed_at",
)  # fmt: skip
# What may be marked, and as what, is in the table of states: (LEASED, COMMIT) is its only such row.
_MARK_SENDING = (
    update(recipient_table)
    .where(_r.id.in_(bindparam("numbers", expanding=True)), _r.fence == bindparam("held"), _r.state == State.LEASED)
    .values(state=State.SENDING)
    .returning(_r.id)
)
_THEIR_ROWS = select(
    _r.id, _r.state, _r.fence, _r.attempts, _r.crashes, _r.reason, _r.route_id, _r.customer_id, _r.message_id
).where(_r.id.in_(bindparam("ids", expanding=True)))  # fmt: skip
# In order of the key, so that two transactions never wait for each other.
_THEIR_ROWS_LOCKED = _THEIR_ROWS.order_by(_r.id).with_for_update()
_ATTEMPTS = Many(
    insert(attempt_table), "recipient_id", "n", "route_id", "started_at", "ended_at", "result", "code", "enhanced", "words",
    "remote",
)  # fmt: skip
_EVENTS = Many(insert(event_table), "at", "type", "customer_id", "message_id", "recipient_id", "data")


def add_events(tx: Transaction, rows: Sequence[Row]) -> None:
    """Write events: at, type, customer, message, recipient (None: the whole message), data."""
    _EVENTS.run(tx, rows)


def change_all(tx: Transaction, changes: Sequence[Change]) -> list[Changed]:
    """Apply changes; one Changed for each, in order. Whoever lost a race, or comes with an old fence, changes nothing."""
    if not changes:
        return []
    rows = _hold(tx, [change.recipient_id for change in changes])
    results: list[Changed] = []
    updates: list[Row] = []
    attempts: list[Row] = []
    events: list[Row] = []
    held: list[tuple[int, str, datetime]] = []
    let_go: list[tuple[int, datetime, str]] = []
    for change in changes:
        row = rows.pop(change.recipient_id, None)  # popped: a second change of one recipient in a batch loses the race
        before = State(row.state) if row else None
        fits = row is not None and before is not None and change.fence in (None, row.fence)
        now = after(before, change.what) if fits and before else None
        results.append(Changed(before, now))
        if now is None or row is None:
            continue
        updates.append(_new_row(tx, row, change, now))
        if change.attempt:
            attempts.append(_attempt_row(row, change, change.attempt))
        if name := EVENTS.get(change.what):
            events.append(_event_row(row, change, name))
        if now is State.HELD:
            held.append((row.id, change.reason or row.reason, change.at))
        elif before is State.HELD:
            let_go.append((row.id, change.at, EVENTS[change.what]))
    if (done := _CHANGES.run(tx, updates)) != len(updates):
        raise AssertionError(f"{done} of {len(updates)} rows changed that were held")
    _ATTEMPTS.run(tx, attempts)
    add_events(tx, events)
    begin_holds(tx, held)
    end_holds(tx, let_go)
    return results


def commit_sending(tx: Transaction, leases: Sequence[tuple[int, int]]) -> list[bool]:
    """Mark (recipient, fence) pairs as SENDING: the point of no return. False for those whose lease was lost."""
    by_fence: dict[int, list[int]] = {}
    for number, fence in leases:
        by_fence.setdefault(fence, []).append(number)
    marked = {
        (row.id, fence)
        for fence, ids in by_fence.items()
        for row in tx.execute(_MARK_SENDING, {"numbers": ids, "held": fence})
    }
    return [pair in marked for pair in leases]


def _hold(tx: Transaction, ids: Sequence[int]) -> dict[int, Any]:
    """The rows as they are, locked until the transaction ends."""
    rows = tx.execute(_THEIR_ROWS_LOCKED if tx.postgres else _THEIR_ROWS, {"ids": ids})
    return {row.id: row for row in rows}


def _new_row(tx: Transaction, row: Any, change: Change, now: State) -> Row:
    due_at = None if change.wait is None or not after(now, What.LEASE) else tx.now + change.wait
    crashes = row.crashes + 1 if change.crashed else 0  # a lease that ended well clears it
    return (
        row.id, row.state, row.fence, now, due_at, change.reason or row.reason, change.route_id or row.route_id,
        row.attempts + (change.attempt is not None), crashes, change.at,
    )  # fmt: skip


def _attempt_row(row: Any, change: Change, attempt: Attempt) -> Row:
    return (
        row.id, row.attempts + 1, attempt.route_id, attempt.started_at, change.at, attempt.result, attempt.reply.code,
        attempt.reply.enhanced, attempt.reply.text, attempt.remote,
    )  # fmt: skip


def _event_row(row: Any, change: Change, name: str) -> Row:
    data: dict[str, Any] = {}
    if change.attempt:
        data = {"attempt": row.attempts + 1, "reply": str(change.attempt.reply), "remote": change.attempt.remote}
    if change.words:
        data["words"] = change.words
    if change.reason:
        data["reason"] = change.reason
    return change.at, name, row.customer_id, row.message_id, row.id, data
