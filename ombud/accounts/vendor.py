"""The vendor itself, as far as its letters need it: which customer it is to its own Ombud, and who signs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, insert, select, update

from ombud.accounts.customers import Customer, Product, customer_table, product_table
from ombud.db import Moment, Transaction, metadata
from ombud.errors import BadField
from ombud.mail.address import Mailbox, parse_mailbox

#: The product that the vendor's own letters are from; `ombud apply` makes it.
OWN_PRODUCT = "ombud"

vendor_table = Table(
    "vendor",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("name", Text, nullable=False),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("product_id", Integer, ForeignKey("product.id"), nullable=False),
    Column("sender", Text, nullable=False),
    Column("reply_to", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Vendor:
    name: str
    customer: Customer  # the vendor as a customer of its own installation; no campaign's customer
    product: Product
    sender: Mailbox
    reply_to: Mailbox | None  # None: answers go to the sender
    signature: str  # a person's name: letters are from someone
    phone: str


def put_vendor(
    tx: Transaction, name: str, customer: Customer, product: Product, sender: str, now: datetime, *, reply_to: str = "",
    signature: str = "", phone: str = "",
) -> bool:  # fmt: skip
    """Set who writes. Says whether anything changed. Raises BadAddress or BadField."""
    parse_mailbox(sender)
    if reply_to:
        parse_mailbox(reply_to)
    for field, text in (("name", name), ("signature", signature), ("phone", phone)):
        if not text.isprintable():
            raise BadField(field=field, reason="it holds a character that cannot be printed")
    values = {
        "name": name, "customer_id": customer.id, "product_id": product.id, "sender": sender, "reply_to": reply_to,
        "signature": signature, "phone": phone,
    }  # fmt: skip
    known = tx.execute(select(vendor_table)).mappings().one_or_none()
    if known is None:
        tx.execute(insert(vendor_table).values(id=1, changed_at=now, **values))
    elif all(known[column] == value for column, value in values.items()):
        return False
    else:
        tx.execute(update(vendor_table).values(changed_at=now, **values))
    return True


def load_vendor(tx: Transaction) -> Vendor | None:
    """Who writes; None while nobody has said: letters then wait."""
    c, p = customer_table.c, product_table.c
    joined = vendor_table.join(customer_table, c.id == vendor_table.c.customer_id).join(
        product_table, p.id == vendor_table.c.product_id
    )
    columns = (
        *vendor_table.c,
        c.slug,
        c.name.label("customer_name"),
        p.slug.label("product"),
        p.name.label("product_name"),
    )
    row = tx.execute(select(*columns).select_from(joined)).one_or_none()
    if row is None:
        return None
    return Vendor(
        row.name, Customer(row.customer_id, row.slug, row.customer_name), Product(row.product_id, row.product, row.product_name),
        parse_mailbox(row.sender), parse_mailbox(row.reply_to) if row.reply_to else None, row.signature, row.phone,
    )  # fmt: skip
