"""The queue's tables. message and body never change, and a body is forgotten when its mail has been over for a while; recipient carries the state; attempt and event only grow; a hold ends once."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from ombud.db import Identity, Json, Moment, metadata

message_table = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("product_id", Integer, ForeignKey("product.id"), nullable=False),
    Column("credential_id", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("door", Text, nullable=False),  # smtp | http | cli
    Column("peer", Text, nullable=False),  # the address that it came from
    Column("stream", Text, nullable=False),  # important | transactional | bulk
    Column("mail_from", Text, nullable=False),  # "" is the null sender
    Column("header_from", Text, nullable=False),
    Column("message_id", Text, nullable=False),  # the Message-ID field, without angle brackets
    Column("subject", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("personal", Boolean, nullable=False),  # the body is a draft, made out to each recipient when it is sent
    Column("needs_utf8", Boolean, nullable=False),
    Column("tags", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index(None, "customer_id", "id"),
    Index(None, "message_id"),
)

body_table = Table(
    "body",
    metadata,
    Column("message_id", Text, ForeignKey("message.id"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

recipient_table = Table(
    "recipient",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("message_id", Text, ForeignKey("message.id"), nullable=False),
    Column("n", Integer, nullable=False),  # its place in the message, from 0
    Column("customer_id", Integer, nullable=False),
    Column("address", Text, nullable=False),
    Column("variables", Json),  # what a personal message is made out with
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),  # why it takes this route, or why it is held or refused: a stable code
    Column("route_id", Integer, ForeignKey("route.id")),
    Column("lane", BigInteger, nullable=False),  # customer and priority in one number, see `lane_of`
    # The database's clock. A recipient may be leased when this is not NULL and has come, whatever else its state is called.
    Column("due_at", Moment),
    Column("expires_at", Moment, nullable=False),  # the database's clock
    Column("fence", BigInteger, nullable=False),  # the lease's number; whoever holds an older one has lost it
    Column("worker", Text),
    Column("attempts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),  # leases that ended with the worker's death
    Column("changed_at", Moment, nullable=False),  # the business clock
    Column("warning", Text),  # what it was accepted in spite of, such as gmail_at_risk
    Index("ix_recipient_message_id", "message_id", "n", unique=True),
)
_due = recipient_table.c.due_at.is_not(None)
Index(
    "ix_recipient_due", recipient_table.c.route_id, recipient_table.c.lane, recipient_table.c.due_at, recipient_table.c.id,
    sqlite_where=_due, postgresql_where=_due,
)  # fmt: skip
_in_hand = recipient_table.c.worker.is_not(None)
#: Over whom so many workers have died is a suspect, and goes by itself from then on: the innocent must not die with the guilty.
SUSPECTED = 2
_suspect = recipient_table.c.crashes >= SUSPECTED
Index("ix_recipient_suspect", recipient_table.c.due_at, sqlite_where=_suspect, postgresql_where=_suspect)
# "Did it reach her?" is what support is asked most.
Index("ix_recipient_address", recipient_table.c.address)
Index("ix_recipient_worker", recipient_table.c.worker, sqlite_where=_in_hand, postgresql_where=_in_hand)

attempt_table = Table(
    "attempt",
    metadata,
    Column("recipient_id", BigInteger, ForeignKey("recipient.id"), primary_key=True),
    Column("n", Integer, primary_key=True),  # from 1
    Column("route_id", Integer, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("result", Text, nullable=False),
    Column("code", Integer, nullable=False),
    Column("enhanced", Text, nullable=False),
    Column("words", Text, nullable=False),  # the other side's, verbatim
    Column("remote", Text, nullable=False),
)

event_table = Table(
    "event",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("type", Text, nullable=False),
    Column("customer_id", Integer, nullable=False),
    Column("message_id", Text, ForeignKey("message.id"), nullable=False, index=True),
    Column("recipient_id", BigInteger),  # NULL: of the whole message
    Column("data", Json, nullable=False),
)

hold_table = Table(
    "hold",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("recipient_id", BigInteger, ForeignKey("recipient.id"), nullable=False),
    Column("customer_id", Integer, nullable=False),
    Column("product_id", Integer, nullable=False),
    Column(
        "sender_domain", Text, nullable=False, server_default=""
    ),  # of the From address: what is decided depends on it
    Column("reason", Text, nullable=False),
    Column("held_at", Moment, nullable=False),  # the business clock
    Column("ended_at", Moment),  # NULL: it is held now
    Column("ended_as", Text),  # the event that ended it: released | expired | cancelled | suppressed
    Index(None, "reason", "held_at"),
)
_open = hold_table.c.ended_at.is_(None)
# A recipient is held once at a time; and whatever is released is found by whose it is, the oldest first.
Index("ix_hold_open", hold_table.c.recipient_id, unique=True, sqlite_where=_open, postgresql_where=_open)
Index(
    "ix_hold_whose", hold_table.c.reason, hold_table.c.customer_id, hold_table.c.recipient_id, hold_table.c.product_id,
    hold_table.c.sender_domain, hold_table.c.held_at, sqlite_where=_open, postgresql_where=_open,
)  # fmt: skip

worker_table = Table(
    "worker",
    metadata,
    Column("id", Text, primary_key=True),
    Column("alive_until", Moment, nullable=False),  # the database's clock
)

fence_table = Table(
    "fence",
    metadata,
    Column("id", Integer, primary_key=True),  # always 1
    Column("number", BigInteger, nullable=False),
)


class Stream(StrEnum):
    """What a message is, and so which of a customer's mail goes first."""

    IMPORTANT = "important"  # a flood alarm, a code to log in with: before all else
    TRANSACTIONAL = "transactional"  # one person waits for it
    BULK = "bulk"  # the same to many


PRIORITY = {stream: place for place, stream in enumerate(Stream)}
_PRIORITIES = 4


def lane_of(customer_id: int, stream: Stream) -> int:
    """The lane that a customer's mail of this stream stands in; a customer's lanes are next to each other, first one first."""
    return customer_id * _PRIORITIES + PRIORITY[stream]


def customer_of(lane: int) -> int:
    return lane // _PRIORITIES


def is_important(lane: int) -> bool:
    return lane % _PRIORITIES == PRIORITY[Stream.IMPORTANT]


def is_bulk(lane: int) -> bool:
    return lane % _PRIORITIES == PRIORITY[Stream.BULK]
