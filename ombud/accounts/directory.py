"""Customers and products, and the directory: all of them with the credentials, as one value to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Table, Text, insert, select, update

from ombud.accounts.credentials import Credential, Mode, Sender, credential_table, read_api_key, same_secret
from ombud.db import Identity, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import BadCredentials, CustomerSuspended, NotFound

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


@dataclass(frozen=True, slots=True)
class Directory:
    """Everyone, at one moment."""

    customers: Mapping[str, Customer]
    products: Mapping[str, Product]
    credentials: Mapping[str, Credential]
    _customers: Mapping[int, Customer]
    _products: Mapping[int, Product]

    def customer(self, slug: str) -> Customer:
        """Raises NotFound."""
        if not (found := self.customers.get(slug)):
            raise NotFound(kind="customer", name=slug)
        return found

    def product(self, slug: str) -> Product:
        """Raises NotFound."""
        if not (found := self.products.get(slug)):
            raise NotFound(kind="product", name=slug)
        return found

    def customer_by_id(self, number: int) -> Customer:
        return self._customers[number]

    def product_by_id(self, number: int) -> Product:
        return self._products[number]

    def authenticate(self, handle: str, secret: str) -> Sender:
        """Who this is. Raises BadCredentials, alike for an unknown user, a wrong secret and a revoked one, or CustomerSuspended."""
        credential = self.credentials.get(handle, _NOBODY)
        # The hash is compared for an unknown user too: the time taken must not tell which users exist.
        if not same_secret(secret, credential.secret_hash) or credential is _NOBODY:
            raise BadCredentials()
        customer = self.customer_by_id(credential.customer_id) if credential.customer_id is not None else None
        if customer and customer.suspended:
            raise CustomerSuspended(customer=customer.name)
        return Sender(credential.id, self.product_by_id(credential.product_id), customer, credential.mode)

    def authenticate_key(self, api_key: str) -> Sender:
        """Who holds this API key. Raises as `authenticate`, also when the key says another mode than its credential has."""
        handle, secret = read_api_key(api_key) or ("", api_key)
        sender = self.authenticate(handle, secret)
        if not api_key.startswith(f"ombud_{sender.mode}_"):
            raise BadCredentials()
        return sender


_NOBODY = Credential(0, "", b"\0" * 32, 0, None, Mode.TEST)


def load_directory(tx: Transaction) -> Directory:
    customers = [
        Customer(
            row.id,
            row.slug,
            row.name,
            row.org_number,
            row.contact_name,
            row.contact_email,
            row.language,
            row.suspended_at is not None,
        )
        for row in tx.execute(select(customer_table).order_by(customer_table.c.slug))
    ]
    products = [
        Product(row.id, row.slug, row.name) for row in tx.execute(select(product_table).order_by(product_table.c.id))
    ]
    credentials = [
        Credential(row.id, row.handle, bytes(row.secret_hash), row.product_id, row.customer_id, Mode(row.mode))
        for row in tx.execute(select(credential_table).where(credential_table.c.revoked_at.is_(None)))
    ]
    return Directory(
        {customer.slug: customer for customer in customers},
        {product.slug: product for product in products},
        {credential.handle: credential for credential in credentials},
        {customer.id: customer for customer in customers},
        {product.id: product for product in products},
    )


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


def suspend_customer(tx: Transaction, slug: str, now: datetime | None) -> None:
    """Refuse the customer's mail from `now` on; None lets it in again. Raises NotFound."""
    changed = tx.execute(update(customer_table).where(customer_table.c.slug == slug).values(suspended_at=now))
    if changed.rowcount != 1:
        raise NotFound(kind="customer", name=slug)
    touch(tx)
