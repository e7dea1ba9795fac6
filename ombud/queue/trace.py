"""From recipients to what they are known by elsewhere: message, address, and the Message-ID that a provider reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select

from ombud.db import Transaction
from ombud.queue.states import State
from ombud.queue.tables import message_table, recipient_table

#: So many are asked for at once: SQLite bounds the values in a statement.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Traced:
    """One recipient of one message."""

    recipient_id: int
    customer_id: int
    message_id: str  # ours
    n: int
    header_id: str  # its Message-ID, without the angle brackets
    address: str
    mode: str
    state: State


_m, _r = message_table.c, recipient_table.c
_COLUMNS = (_r.id, _r.customer_id, _r.message_id, _r.n, _m.message_id.label("header_id"), _r.address, _m.mode, _r.state)


def trace(tx: Transaction, recipient_ids: Sequence[int]) -> Iterator[Traced]:
    """These recipients, as far as they are still there."""
    for start in range(0, len(recipient_ids), _AT_ONCE):
        yield from _found(tx, _r.id.in_(recipient_ids[start : start + _AT_ONCE]))


def trace_headers(tx: Transaction, header_ids: Sequence[str]) -> Iterator[Traced]:
    """The recipients of the messages with these Message-IDs."""
    for start in range(0, len(header_ids), _AT_ONCE):
        yield from _found(tx, _m.message_id.in_(header_ids[start : start + _AT_ONCE]))


def _found(tx: Transaction, which: ColumnElement[bool]) -> Iterator[Traced]:
    joined = recipient_table.join(message_table, _m.id == _r.message_id)
    rows: Sequence[Any] = tx.execute(select(*_COLUMNS).select_from(joined).where(which).order_by(_r.id)).all()
    for row in rows:
        yield Traced(row[0], row[1], row[2], row[3], row[4], row[5], row[6], State(row[7]))
