"""Who has reached the hard cap on the month's e-mails that they have set themselves. Billing counts and says so; `decide` holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, delete, insert, select

from ombud.db import Transaction, metadata
from ombud.db.snapshot import touch

over_cap_table = Table(
    "over_cap",
    metadata,
    Column("customer_id", Integer, ForeignKey("customer.id"), primary_key=True, autoincrement=False),
    Column(
        "period", Text, nullable=False
    ),  # the month in Stockholm: at its end it holds no more, and nobody need come by
)
_o = over_cap_table.c


def mark_over_cap(tx: Transaction, customer_id: int, period: str) -> None:
    """The customer has reached its cap in this month."""
    tx.execute(delete(over_cap_table).where(_o.customer_id == customer_id))
    tx.execute(insert(over_cap_table).values(customer_id=customer_id, period=period))
    touch(tx)


def clear_over_cap(tx: Transaction, customer_id: int) -> None:
    """The customer may send again: it has taken its cap away or raised it."""
    if tx.execute(delete(over_cap_table).where(_o.customer_id == customer_id)).rowcount:
        touch(tx)


def load_over_cap(tx: Transaction) -> Mapping[int, str]:
    """By customer, the month in which it has reached its cap."""
    rows: Any = tx.execute(select(_o.customer_id, _o.period)).all()
    return dict(rows)
