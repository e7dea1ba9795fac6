"""What changes rarely and is asked at every message is kept in memory as one immutable value, and read again when it changed.

Whoever changes such a row calls `touch` in the same transaction; every process asks `revision` once a second. So a change
made in one process (a key revoked by a command) is in force everywhere within about a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy import BigInteger, Column, Integer, Table, select, update

from ombud.db.database import Database, Transaction
from ombud.db.schema import metadata

T = TypeVar("T")

revision_table = Table(
    "revision",
    metadata,
    Column("id", Integer, primary_key=True),  # always 1
    Column("number", BigInteger, nullable=False),
)


def touch(tx: Transaction) -> None:
    """Say that something which is kept in memory has changed; once in a transaction is enough, however much did."""
    if not tx.touched:
        tx.execute(update(revision_table).values(number=revision_table.c.number + 1))
        tx.touched = True


def revision(tx: Transaction) -> int:
    return int(tx.execute(select(revision_table.c.number)).scalar_one())


class Snapshot(Generic[T]):
    """The latest value of `load(tx)`; replaced as a whole, so whoever holds one sees one moment's state."""

    def __init__(self, load: Callable[[Transaction], T]) -> None:
        self._load = load
        self._revision = -1
        self._value: T | None = None

    @property
    def value(self) -> T:
        assert self._value is not None, "refresh() comes first"
        return self._value

    def refresh(self, database: Database) -> bool:
        """Load again if anything changed since the last time; blocks. Says whether it did."""
        with database.read() as tx:
            newest = revision(tx)
            if newest == self._revision:
                return False
            self._value, self._revision = self._load(tx), newest
            return True
