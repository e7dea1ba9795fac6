"""Customers: the companies that mail is sent for, and the products that send it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Table, Text, insert, select, update

from ombud.db import Identity, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import NotFound

customer_table = Table(
    "customer",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("org_number", Text, nullable=False),
    Column("contact_name", Text, nullable=False),
    Column("contact_email", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("suspended_at", Moment),
)

product_table = Table(
    "product",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Customer:
    id: int
    slug: str
    name: str
    org_number: str = ""
    contact_name: str = ""
    contact_email: str = ""
    language: str = "sv"
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    id: int
    slug: str
    name: str


def put_customer(
    tx: Transaction, slug: str, name: str, now: datetime, *, org_number: str = "", contact_name: str = "",
    contact_email: str = "", language: str = "sv",
) -> bool:  # fmt: skip
    """Add a customer, or bring the one of that slug up to date. Says whether anything changed."""
    values = {
        "name": name,
        "org_number": org_number,
        "contact_name": contact_name,
        "contact_email": contact_email,
        "language": language,
    }
    known = tx.execute(select(customer_table).where(customer_table.c.slug == slug)).mappings().one_or_none()
    if known is None:
        tx.execute(insert(customer_table).values(slug=slug, created_at=now, **values))
    elif all(known[column] == value for column, value in values.items()):
        return False
    else:
        tx.execute(update(customer_table).where(customer_table.c.slug == slug).values(**values))
    touch(tx)
    return True


def suspend_customer(tx: Transaction, slug: str, now: datetime | None) -> None:
    """Refuse the customer's mail from `now` on; None lets it in again. Raises NotFound."""
    changed = tx.execute(update(customer_table).where(customer_table.c.slug == slug).values(suspended_at=now))
    if changed.rowcount != 1:
        raise NotFound(kind="customer", name=slug)
    touch(tx)


def put_product(tx: Transaction, slug: str, name: str, now: datetime) -> bool:
    """Add a product, or bring the one of that slug up to date. Says whether anything changed."""
    known = tx.execute(select(product_table).where(product_table.c.slug == slug)).mappings().one_or_none()
    if known is None:
        tx.execute(insert(product_table).values(slug=slug, name=name, created_at=now))
    elif known["name"] == name:
        return False
    else:
        tx.execute(update(product_table).where(product_table.c.slug == slug).values(name=name))
    touch(tx)
    return True
