"""Into the queue: messages with their recipients, whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select

from ombud.db import Many, Transaction
from ombud.db.many import Row
from ombud.queue.hold import begin_holds
from ombud.queue.settle import add_events
from ombud.queue.states import State
from ombud.queue.tables import Stream, body_table, lane_of, message_table, recipient_table


@dataclass(frozen=True, slots=True)
class NewRecipient:
    address: str
    state: State  # WAITING, HELD or SUPPRESSED
    reason: str
    route_id: int | None
    variables: Mapping[str, str] | None = None
    warning: str | None = None  # what it is accepted in spite of


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One accepted message. `content` is the final bytes, or, when `personal`, the draft that each copy is made from."""

    id: str
    customer_id: int
    product_id: int
    credential_id: int
    mode: str
    door: str
    peer: str
    stream: Stream
    mail_from: str
    header_from: str
    message_id: str
    subject: str
    content: bytes
    recipients: Sequence[NewRecipient]
    created_at: datetime
    personal: bool = False
    needs_utf8: bool = False
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    wait: timedelta = timedelta(0)  # until the first try
    expire_after: timedelta = timedelta(days=5)  # from the first try


_MESSAGES = Many(
    insert(message_table), "id", "customer_id", "product_id", "credential_id", "mode", "door", "peer", "stream", "mail_from",
    "header_from", "message_id", "subject", "size", "personal", "needs_utf8", "tags", "metadata", "created_at",
)  # fmt: skip
_BODIES = Many(insert(body_table), "message_id", "content")
_RECIPIENTS = Many(
    insert(recipient_table), "message_id", "n", "customer_id", "address", "variables", "state", "reason", "route_id", "lane",
    "due_at", "expires_at", "fence", "attempts", "crashes", "changed_at", "warning",
)  # fmt: skip


def put(tx: Transaction, messages: Sequence[NewMessage]) -> None:
    """Put messages in the queue, each with its `accepted` event, and a `held` one for each recipient that is."""
    _MESSAGES.run(tx, [_message_row(message) for message in messages])
    _BODIES.run(tx, [(message.id, message.content) for message in messages])
    _RECIPIENTS.run(tx, [row for message in messages for row in _recipient_rows(message, tx.now)])
    add_events(tx, [_accepted(message) for message in messages])
    if keeping := [message for message in messages if [one for one in message.recipients if one.state is State.HELD]]:
        _hold(tx, keeping)
    tx.wake_others()


def _hold(tx: Transaction, messages: Sequence[NewMessage]) -> None:
    """What is held from the start: what a later hold is noted with."""
    r, by_id = recipient_table.c, {message.id: message for message in messages}
    query = select(r.id, r.message_id, r.customer_id, r.reason).where(r.message_id.in_(by_id), r.state == State.HELD)
    rows = [(row, by_id[row.message_id].created_at) for row in tx.execute(query.order_by(r.id))]
    begin_holds(tx, [(row.id, row.reason, at) for row, at in rows])
    add_events(tx, [(at, "held", row.customer_id, row.message_id, row.id, {"reason": row.reason}) for row, at in rows])


def _message_row(message: NewMessage) -> Row:
    return (
        message.id, message.customer_id, message.product_id, message.credential_id, message.mode, message.door, message.peer,
        message.stream, message.mail_from, message.header_from, message.message_id, message.subject, len(message.content),
        message.personal, message.needs_utf8, list(message.tags), dict(message.metadata), message.created_at,
    )  # fmt: skip


def _recipient_rows(message: NewMessage, now: datetime) -> list[Row]:
    due, lane = now + message.wait, lane_of(message.customer_id, message.stream)
    expires = due + message.expire_after
    return [
        (
            message.id, n, message.customer_id, one.address, one.variables, one.state, one.reason, one.route_id, lane,
            due if one.state is State.WAITING else None, expires, 0, 0, 0, message.created_at, one.warning,
        )
        for n, one in enumerate(message.recipients)
    ]  # fmt: skip


def _accepted(message: NewMessage) -> Row:
    data: dict[str, Any] = {
        "door": message.door, "recipients": len(message.recipients), "reason": message.recipients[0].reason,
    }  # fmt: skip
    if warned := [one.warning for one in message.recipients if one.warning]:
        data["warnings"] = Counter(warned)  # what it was accepted in spite of, and for how many recipients
    return message.created_at, "accepted", message.customer_id, message.id, None, data
