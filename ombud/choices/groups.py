"""Company groups: companies that one person may choose for together. Each still has a choice, a case and a price of its own."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, delete, insert, select, update

from ombud.db import Transaction, metadata

group_table = Table(
    "company_group",
    metadata,
    Column("customer_id", Integer, ForeignKey("customer.id"), primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, index=True),
)


def put_in_group(tx: Transaction, customer_id: int, name: str) -> bool:
    """Say which group the company belongs to; "": none. Says whether anything changed."""
    c = group_table.c
    known = group_name(tx, customer_id)
    if known == name:
        return False
    if not name:
        tx.execute(delete(group_table).where(c.customer_id == customer_id))
    elif known:
        tx.execute(update(group_table).where(c.customer_id == customer_id).values(name=name))
    else:
        tx.execute(insert(group_table).values(customer_id=customer_id, name=name))
    return True


def group_name(tx: Transaction, customer_id: int) -> str:
    """The group that the company belongs to, or ""."""
    return tx.execute(select(group_table.c.name).where(group_table.c.customer_id == customer_id)).scalar() or ""


def companies_in_group_of(tx: Transaction, customer_id: int) -> list[int]:
    """The customer ids of the company's group, itself too; only itself when it belongs to none."""
    name = select(group_table.c.name).where(group_table.c.customer_id == customer_id).scalar_subquery()
    query = select(group_table.c.customer_id).where(group_table.c.name == name).order_by(group_table.c.customer_id)
    return list(tx.execute(query).scalars()) or [customer_id]


def load_groups(tx: Transaction) -> dict[int, str]:
    """Customer id -> the name of its group, for all that belong to one."""
    return {row.customer_id: row.name for row in tx.execute(select(group_table))}
