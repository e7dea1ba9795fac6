"""The directory: all customers, products and credentials as one value to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from ombud.accounts.credentials import Credential, Mode, Sender, credential_table, read_api_key, same_secret
from ombud.accounts.customers import Customer, Product, customer_table, product_table
from ombud.db import Transaction
from ombud.errors import BadCredentials, CustomerSuspended, NotFound


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
