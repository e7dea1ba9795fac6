"""Into the queue: messages with their recipients, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from ombud.db import Transaction
from ombud.queue.states import State
from ombud.queue.tables import Stream, body_table, event_table, lane_of, message_table, recipient_table


@dataclass(frozen=True, slots=True)
class NewRecipient:
    address: str
    state: State  # WAITING, HELD or SUPPRESSED
    reason: str
    route_id: int | None
    variables: Mapping[str, str] | None = None


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


def put(tx: Transaction, messages: Sequence[NewMessage]) -> None:
    """Put messages in the queue, each with its `accepted` event."""
    tx.execute(insert(message_table), [_message_row(message) for message in messages])
    tx.execute(insert(body_table), [{"message_id": message.id, "content": message.content} for message in messages])
    tx.execute(insert(recipient_table), [row for message in messages for row in _recipient_rows(message, tx.now)])
    tx.execute(insert(event_table), [_accepted(message) for message in messages])
    tx.wake_others()


def _message_row(message: NewMessage) -> dict[str, Any]:
    return {
        "id": message.id, "customer_id": message.customer_id, "product_id": message.product_id,
        "credential_id": message.credential_id, "mode": message.mode, "door": message.door, "peer": message.peer,
        "stream": message.stream, "mail_from": message.mail_from, "header_from": message.header_from,
        "message_id": message.message_id, "subject": message.subject, "size": len(message.content),
        "personal": message.personal, "needs_utf8": message.needs_utf8, "tags": list(message.tags),
        "metadata": dict(message.metadata), "created_at": message.created_at,
    }  # fmt: skip


def _recipient_rows(message: NewMessage, now: datetime) -> list[dict[str, Any]]:
    due, lane = now + message.wait, lane_of(message.customer_id, message.stream)
    return [
        {
            "message_id": message.id, "n": n, "customer_id": message.customer_id, "address": recipient.address,
            "variables": recipient.variables, "state": recipient.state, "reason": recipient.reason,
            "route_id": recipient.route_id, "lane": lane, "due_at": due if recipient.state == State.WAITING else None,
            "expires_at": due + message.expire_after, "fence": 0, "worker": None, "attempts": 0, "crashes": 0,
            "changed_at": message.created_at,
        }
        for n, recipient in enumerate(message.recipients)
    ]  # fmt: skip


def _accepted(message: NewMessage) -> dict[str, Any]:
    data = {"door": message.door, "recipients": len(message.recipients), "reason": message.recipients[0].reason}
    return {
        "at": message.created_at, "type": "accepted", "customer_id": message.customer_id, "message_id": message.id,
        "recipient_id": None, "data": data,
    }  # fmt: skip
