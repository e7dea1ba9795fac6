"""Which domains mail is sent from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from ombud.db import Transaction
from ombud.queue.tables import message_table


def senders_since(tx: Transaction, since: datetime) -> Mapping[tuple[int, str], int]:
    """Messages by customer and From domain, accepted after `since`."""
    table = message_table.c
    rows = (
        select(table.customer_id, table.header_from, func.count())
        .where(table.created_at >= since)
        .group_by(table.customer_id, table.header_from)
    )
    found = Counter[tuple[int, str]]()
    counted: Sequence[Any] = tx.execute(rows).all()
    for customer_id, header_from, number in counted:
        found[customer_id, header_from.rpartition("@")[2].lower()] += number
    return found
