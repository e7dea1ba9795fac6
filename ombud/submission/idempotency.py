"""Idempotency keys: the same call again gets the first answer again, and does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, Table, Text, delete, insert, select

from ombud.db import Json, Moment, Transaction, metadata

idempotency_table = Table(
    "idempotency",
    metadata,
    Column("credential_id", Integer, primary_key=True),  # keys are never shared between credentials
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("answer", Json, nullable=False),
    Column("at", Moment, nullable=False, index=True),
)


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key as it came, with the fingerprint of the body that came with it."""

    credential_id: int
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """The call was made before: with this fingerprint, and this was the answer."""

    fingerprint: bytes
    answer: Any


def remembered(tx: Transaction, keys: Sequence[Key]) -> dict[tuple[int, str], Earlier]:
    """The earlier calls with these keys, by (credential, key)."""
    i = idempotency_table.c
    rows = tx.execute(
        select(i.credential_id, i.key, i.fingerprint, i.answer).where(
            i.credential_id.in_({key.credential_id for key in keys}), i.key.in_({key.key for key in keys})
        )
    )
    return {(row.credential_id, row.key): Earlier(bytes(row.fingerprint), row.answer) for row in rows}


def remember(tx: Transaction, answers: Sequence[tuple[Key, Any]], now: datetime) -> None:
    """Keep the answers, in the transaction that makes them true."""
    if answers:
        tx.execute(
            insert(idempotency_table),
            [
                {
                    "credential_id": key.credential_id,
                    "key": key.key,
                    "fingerprint": key.fingerprint,
                    "answer": answer,
                    "at": now,
                }
                for key, answer in answers
            ],
        )


def forget_older(tx: Transaction, than: timedelta, now: datetime) -> int:
    """Forget keys older than that. Returns how many."""
    return tx.execute(delete(idempotency_table).where(idempotency_table.c.at < now - than)).rowcount
