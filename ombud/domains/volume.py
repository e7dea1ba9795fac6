"""How much mail each organisation sends to Gmail and to Outlook's consumer domains, over all routes, and who has ever been a bulk
sender. The receivers count by organisational domain; so do we, by the Public Suffix List, as they have done for long.

Counts are kept by the hour. The last day's sum takes in the whole of its first hour, so it is never too small.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Column, Integer, Table, Text, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ombud.db import Many, Moment, Transaction, metadata
from ombud.db.many import insert_or_add
from ombud.mail.rules import BULK, Receiver

COUNTED = "counted"
SHARDS = 16  # writers on PostgreSQL count in rows of their own, so that none waits for another's
DAY = timedelta(hours=24)
_KEPT = timedelta(days=3)

volume_table = Table(
    "volume",
    metadata,
    Column("organisation", Text, primary_key=True),
    Column("receiver", Text, primary_key=True),  # gmail | outlook
    Column("hour", Integer, primary_key=True, autoincrement=False),  # whole hours since 1970 UTC
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

bulk_sender_table = Table(
    "bulk_sender",
    metadata,
    Column("organisation", Text, primary_key=True),
    Column("receiver", Text, primary_key=True),
    Column("since", Moment, nullable=False),
    Column("by", Text, nullable=False),  # COUNTED, or the operator who said so
    Column("reason", Text, nullable=False),
)

_ADD = Many(insert_or_add(volume_table, "number"), "organisation", "receiver", "hour", "shard", "number")


@dataclass(frozen=True, slots=True)
class BulkSender:
    """An organisation that counts as a bulk sender with a receiver. With Gmail it is one for ever."""

    organisation: str
    receiver: Receiver
    since: datetime
    by: str
    reason: str


#: Organisation, receiver, moment of the hand-over.
HandedOver = tuple[str, Receiver, datetime]


def count_volume(tx: Transaction, handed_over: Sequence[HandedOver]) -> None:
    """Count recipients, in the transaction of their hand-over."""
    sums = Counter((organisation, receiver.value, _hour(at)) for organisation, receiver, at in handed_over)
    if sums:
        shard = secrets.randbelow(SHARDS) if tx.postgres else 0
        # In one order everywhere, so that two writers never wait for each other.
        _ADD.run(tx, [(*key, shard, number) for key, number in sorted(sums.items())])


def volumes(tx: Transaction, now: datetime, organisation: str | None = None) -> Mapping[tuple[str, Receiver], int]:
    """Recipients of the last 24 hours, by organisation and receiver."""
    table = volume_table.c
    rows = (
        select(table.organisation, table.receiver, func.sum(table.number).label("number"))
        .where(table.hour >= _hour(now - DAY), table.hour <= _hour(now))
        .group_by(table.organisation, table.receiver)
    )
    if organisation is not None:
        rows = rows.where(table.organisation == organisation)
    return {(row.organisation, Receiver(row.receiver)): int(row.number) for row in tx.execute(rows)}


def note_bulk_senders(tx: Transaction, now: datetime) -> list[BulkSender]:
    """Write down who has passed 5 000 in 24 hours and was not known for it, or only by an operator's word; forget counts that are no longer summed."""
    table = volume_table.c
    many = (
        select(table.organisation, table.receiver, func.sum(table.number).label("number"))
        .where(table.hour >= _hour(now - DAY), table.hour <= _hour(now))
        .group_by(table.organisation, table.receiver)
        .having(func.sum(table.number) >= BULK)
    )
    known = {(one.organisation, one.receiver) for one in bulk_senders(tx) if one.by == COUNTED}
    new = [
        BulkSender(row.organisation, Receiver(row.receiver), now, COUNTED, f"{row.number} in 24 hours")
        for row in tx.execute(many)
        if (row.organisation, Receiver(row.receiver)) not in known
    ]
    for one in new:
        with suppress(IntegrityError), tx.savepoint():  # another process has just noted it
            _put(tx, one)
    tx.execute(delete(volume_table).where(table.hour < _hour(now - _KEPT)))
    return new


def set_bulk_sender(
    tx: Transaction, organisation: str, receiver: Receiver, by: str, reason: str, now: datetime
) -> bool:
    """An operator knows of mail that does not go through here. What was counted stands: False where it was."""
    if any(one.receiver is receiver and one.by == COUNTED for one in bulk_senders(tx, organisation)):
        return False
    _put(tx, BulkSender(organisation, receiver, now, by, reason))
    return True


def unset_bulk_sender(tx: Transaction, organisation: str, receiver: Receiver) -> bool:
    """Take an operator's word back; what was counted stays. Says whether there was anything to take back."""
    table = bulk_sender_table.c
    said = (table.organisation == organisation) & (table.receiver == receiver) & (table.by != COUNTED)
    return tx.execute(delete(bulk_sender_table).where(said)).rowcount == 1


def bulk_senders(tx: Transaction, organisation: str | None = None) -> list[BulkSender]:
    rows = select(bulk_sender_table).order_by(bulk_sender_table.c.organisation, bulk_sender_table.c.receiver)
    if organisation is not None:
        rows = rows.where(bulk_sender_table.c.organisation == organisation)
    return [
        BulkSender(row.organisation, Receiver(row.receiver), row.since, row.by, row.reason) for row in tx.execute(rows)
    ]


def _put(tx: Transaction, one: BulkSender) -> None:
    """The first moment stands; who says so and why are the newest."""
    table, said = bulk_sender_table, {"by": one.by, "reason": one.reason}
    here = (table.c.organisation == one.organisation) & (table.c.receiver == one.receiver)
    if tx.execute(update(table).where(here).values(**said)).rowcount == 0:
        tx.execute(insert(table).values(organisation=one.organisation, receiver=one.receiver, since=one.since, **said))


def _hour(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp()) // 3600
