"""Looking into the queue: lists, one message with its timeline, and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, exists, select, type_coerce
from sqlalchemy import func as sql

from ombud.db import Transaction
from ombud.errors import NotFound
from ombud.queue.states import State
from ombud.queue.tables import attempt_table, body_table, event_table, message_table, recipient_table


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose mail may be seen. None: everyone's (an operator)."""

    customer_id: int | None = None
    product_id: int | None = None
    mode: str | None = None

    def where(self) -> list[ColumnElement[bool]]:
        wanted = ((_m.customer_id, self.customer_id), (_m.product_id, self.product_id), (_m.mode, self.mode))
        return [column == value for column, value in wanted if value is not None]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages: every part that is given must hold, and one recipient be all that is said of a recipient."""

    state: State | None = None
    to: str | None = None
    tag: str | None = None
    message_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    route_id: int | None = None


@dataclass(frozen=True, slots=True)
class RecipientView:
    n: int
    address: str
    state: State
    reason: str
    route_id: int | None
    attempts: int
    due_at: datetime | None
    changed_at: datetime
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class MessageView:
    id: str
    customer_id: int
    product_id: int
    mode: str
    stream: str
    door: str
    mail_from: str
    header_from: str
    message_id: str
    subject: str
    size: int
    tags: Sequence[str]
    metadata: dict[str, Any]
    created_at: datetime
    recipients: Sequence[RecipientView] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a timeline: an event, with the attempt that led to it where there was one."""

    at: datetime
    type: str
    recipient: str | None
    data: dict[str, Any]
    route_id: int | None


_m, _r = message_table.c, recipient_table.c
_COLUMNS = (
    _m.id, _m.customer_id, _m.product_id, _m.mode, _m.stream, _m.door, _m.mail_from, _m.header_from, _m.message_id,
    _m.subject, _m.size, _m.tags, _m.metadata, _m.created_at,
)  # fmt: skip


def list_messages(
    tx: Transaction, scope: Scope, wanted: Filter, limit: int, before: str | None = None, *, recipients: bool = True
) -> tuple[list[MessageView], str | None]:
    """The newest messages first, and the cursor (`before`) of the next page, None on the last one.

    Without their recipients where those are not asked for: a page of batches has them by the hundred thousand; see `tally`.
    """
    conditions = [*scope.where(), *_of_message(wanted)]
    if of_recipient := _of_recipient(wanted):
        conditions.append(exists().where(_r.message_id == _m.id, *of_recipient))
    query = select(*_COLUMNS).where(*conditions).order_by(_m.id.desc()).limit(limit + 1)
    rows: Sequence[Any] = tx.execute(query.where(_m.id < before) if before else query).all()
    page = [row.id for row in rows[:limit]]
    by_message = _recipients(tx, page) if recipients else {}
    found = [_view(row, by_message.get(row.id, ())) for row in rows[:limit]]
    return found, page[-1] if len(rows) > limit else None


def tally(tx: Transaction, ids: Sequence[str]) -> dict[str, dict[State, int]]:
    """How many recipients each of these messages has in each state."""
    query = select(_r.message_id, _r.state, sql.count()).where(_r.message_id.in_(ids)).group_by(_r.message_id, _r.state)
    rows: Sequence[Any] = tx.execute(query.order_by(_r.message_id, _r.state)).all()
    found: dict[str, dict[State, int]] = {}
    for message_id, state, number in rows:
        found.setdefault(message_id, {})[State(state)] = number
    return found


def get_message(tx: Transaction, scope: Scope, id: str) -> MessageView:
    """One message with all its recipients. Raises NotFound, alike for one that is not there and one that is not yours."""
    row: Any = tx.execute(select(*_COLUMNS).where(_m.id == id, *scope.where())).one_or_none()
    if row is None:
        raise NotFound(kind="message", name=id)
    return _view(row, _recipients(tx, [id]).get(id, ()))


def timeline(tx: Transaction, id: str, n: int | None = None) -> list[Happening]:
    """What happened to a message, in order; of one recipient when `n` is given (with what concerns the whole message)."""
    e, a = event_table.c, attempt_table.c
    of_message = event_table.outerjoin(recipient_table, _r.id == e.recipient_id)
    query = select(e.at, e.type, _r.address, e.data, _r.n, _r.id).select_from(of_message).where(e.message_id == id)
    tried = (
        select(a.recipient_id, a.n, a.route_id)
        .join(recipient_table, _r.id == a.recipient_id)
        .where(_r.message_id == id)
    )
    routes = {(row.recipient_id, row.n): row.route_id for row in tx.execute(tried)}
    return [
        Happening(row.at, row.type, row.address, row.data, routes.get((row.id, row.data.get("attempt"))))
        for row in tx.execute(query.order_by(e.id))
        if n is None or row.n in (None, n)
    ]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of any message. Numbers grow, but with several writers one with a lower number may be committed later."""

    number: int
    message_id: str
    customer_id: int
    happening: Happening


def events_after(tx: Transaction, scope: Scope, number: int, limit: int) -> list[Event]:
    """What happened to all messages after the event of that number, oldest first. Without the routes of attempts."""
    e = event_table.c
    query = (
        select(e.id, e.at, e.type, e.data, e.customer_id, e.message_id, _r.address)
        .join(message_table, _m.id == e.message_id)
        .outerjoin(recipient_table, _r.id == e.recipient_id)
        .where(e.id > number, *scope.where())
    )
    return [
        Event(row.id, row.message_id, row.customer_id, Happening(row.at, row.type, row.address, row.data, None))
        for row in tx.execute(query.order_by(e.id).limit(limit))
    ]


def event_before_last(tx: Transaction, scope: Scope, last: int) -> int:
    """The number of the event before the `last` ones; 0 when there is none."""
    numbers = select(event_table.c.id).join(message_table, _m.id == event_table.c.message_id).where(*scope.where())
    return tx.execute(numbers.order_by(event_table.c.id.desc()).offset(last).limit(1)).scalar() or 0


def content(tx: Transaction, scope: Scope, id: str) -> bytes:
    """The bytes that were accepted. Raises NotFound, also when they have been forgotten."""
    query = select(body_table.c.content).join(message_table, _m.id == body_table.c.message_id)
    found = tx.execute(query.where(_m.id == id, *scope.where())).scalar()
    if found is None:
        raise NotFound(kind="message", name=id)
    return bytes(found)


@dataclass(frozen=True, slots=True)
class Count:
    customer_id: int
    route_id: int | None
    state: State
    recipients: int


def count(tx: Transaction) -> list[Count]:
    """How many recipients there are, by customer, route and state."""
    query = select(_r.customer_id, _r.route_id, _r.state, sql.count()).group_by(_r.customer_id, _r.route_id, _r.state)
    rows: Sequence[Any] = tx.execute(query).all()
    return [Count(row[0], row[1], State(row[2]), row[3]) for row in rows]


def recipient_ids(
    tx: Transaction,
    scope: Scope,
    wanted: Filter,
    message: str | None,
    states: Sequence[State],
    limit: int,
    n: int | None = None,
) -> list[int]:
    """The recipients that a change is about, oldest first: those that are themselves as wanted, in one of the states.

    Of the message, and the `n`th of it, where they are given.
    """
    query = (
        select(_r.id)
        .join(message_table, _m.id == _r.message_id)
        .where(_r.state.in_(states), *scope.where(), *_of_message(wanted), *_of_recipient(wanted))
        .order_by(_r.id)
        .limit(limit)
    )
    query = query.where(_m.id == message) if message else query
    return [row.id for row in tx.execute(query if n is None else query.where(_r.n == n))]


def _of_recipient(wanted: Filter) -> list[ColumnElement[bool]]:
    asked = ((_r.state, wanted.state), (_r.address, wanted.to), (_r.route_id, wanted.route_id))
    return [column == value for column, value in asked if value is not None]


def _of_message(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.message_id:
        conditions.append(_m.message_id == wanted.message_id.strip("<>"))
    if wanted.tag:
        # Tags are kept as a JSON list of plain words (submission sees to that), so its text holds each in quotes.
        conditions.append(type_coerce(_m.tags, Text).contains(f'"{wanted.tag}"', autoescape=True))
    if wanted.since:
        conditions.append(_m.created_at >= wanted.since)
    if wanted.until:
        conditions.append(_m.created_at < wanted.until)
    return conditions


def _view(row: Any, recipients: Sequence[RecipientView]) -> MessageView:
    return MessageView(**row._mapping, recipients=recipients)


def _recipients(tx: Transaction, ids: Sequence[str]) -> dict[str, list[RecipientView]]:
    query: Select[Any] = select(
        _r.message_id, _r.n, _r.address, _r.state, _r.reason, _r.route_id, _r.attempts, _r.due_at, _r.changed_at,
        _r.warning,
    )  # fmt: skip
    found: dict[str, list[RecipientView]] = {}
    for row in tx.execute(query.where(_r.message_id.in_(ids)).order_by(_r.message_id, _r.n)):
        view = RecipientView(
            row.n, row.address, State(row.state), row.reason, row.route_id, row.attempts, row.due_at, row.changed_at,
            row.warning,
        )  # fmt: skip
        found.setdefault(row.message_id, []).append(view)
    return found
