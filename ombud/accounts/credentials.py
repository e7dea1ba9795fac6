"""Credentials: what a product submits with. One credential serves both doors: as SMTP user and password, and as API key."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, Table, Text, insert, update

from ombud.accounts.customers import Customer, Product
from ombud.db import Identity, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import NotFound
from ombud.ids import new_handle, new_secret

credential_table = Table(
    "credential",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("handle", Text, nullable=False, unique=True),  # the SMTP user; the public half of the API key
    Column("secret_hash", LargeBinary, nullable=False),
    Column("product_id", Integer, ForeignKey("product.id"), nullable=False),
    Column("customer_id", Integer, ForeignKey("customer.id")),  # NULL: every customer of the product
    Column("mode", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)


class Mode(StrEnum):
    LIVE = "live"  # mail leaves
    TEST = "test"  # everything happens but the sending; nothing is billed


@dataclass(frozen=True, slots=True)
class Credential:
    id: int
    handle: str
    secret_hash: bytes
    product_id: int
    customer_id: int | None
    mode: Mode


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What is shown once, when a credential is made: only a hash of the secret is kept."""

    handle: str
    secret: str
    mode: Mode

    @property
    def api_key(self) -> str:
        return f"ombud_{self.mode}_{self.handle}_{self.secret}"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who is asking. Identity comes from the credential, never from what was sent with it."""

    credential_id: int
    product: Product
    customer: Customer | None  # None: the credential serves every customer of the product; each message must tell which
    mode: Mode


def secret_hash(secret: str) -> bytes:
    """A plain hash is enough: our secrets are 160 random bits, which no dictionary holds and no one can try through."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def same_secret(secret: str, expected: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(secret_hash(secret), expected)


def read_api_key(key: str) -> tuple[str, str] | None:
    """The handle and the secret of an API key, or None when it does not look like one."""
    parts = key.split("_")
    return (parts[2], parts[3]) if len(parts) == 4 and parts[0] == "ombud" and parts[1] in set(Mode) else None


def create_credential(
    tx: Transaction, product: Product, customer: Customer | None, mode: Mode, now: datetime, note: str = ""
) -> NewCredential:
    made = NewCredential(new_handle(), new_secret(), mode)
    tx.execute(
        insert(credential_table).values(
            handle=made.handle, secret_hash=secret_hash(made.secret), product_id=product.id,
            customer_id=customer.id if customer else None, mode=mode, note=note, created_at=now,
        )
    )  # fmt: skip
    touch(tx)
    return made


def revoke_credential(tx: Transaction, handle: str, now: datetime) -> None:
    """Refuse the credential from now on (within about a second everywhere). Raises NotFound."""
    revoked = tx.execute(
        update(credential_table)
        .where(credential_table.c.handle == handle, credential_table.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    if revoked.rowcount != 1:
        raise NotFound(kind="credential", name=handle)
    touch(tx)
