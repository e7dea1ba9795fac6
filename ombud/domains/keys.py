"""The keys that sign for a domain, sealed at rest, and the ring that delivery signs with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, Text, delete, insert, select

from ombud.db import Identity, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.mail import dkim
from ombud.mail.dkim import SigningKey
from ombud.seal import Seal

signing_key_table = Table(
    "signing_key",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("domain", Text, ForeignKey("domain.name"), nullable=False, index=True),
    Column("selector", Text, nullable=False),
    Column("algorithm", Text, nullable=False),  # rsa-sha256 | ed25519-sha256
    Column("sealed_private", LargeBinary, nullable=False),
    Column("record", Text, nullable=False),  # the TXT value that must stand in DNS
    Column("created_at", Moment, nullable=False),
    Column("retired_at", Moment),
)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The DNS record by which receivers verify a key's signatures."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The opened keys in use, by domain: RSA first, then Ed25519 where there is one."""

    keys: Mapping[str, Sequence[SigningKey]]

    def of(self, domain: str) -> Sequence[SigningKey]:
        return self.keys.get(domain, ())


def keep_key(tx: Transaction, seal: Seal, key: SigningKey, now: datetime) -> KeyRecord:
    """Seal a key of a proved domain; mail is signed with it from now on, so its record should be published first.

    The key is made before the transaction (`dkim.new_key`): RSA takes long enough to keep every other writer waiting.
    """
    record = dkim.dns_record(key)
    tx.execute(
        insert(signing_key_table).values(
            domain=key.domain, selector=key.selector, algorithm=key.algorithm, record=record, created_at=now,
            sealed_private=seal.seal(dkim.to_pem(key), _about(key.domain, key.selector)),
        )
    )  # fmt: skip
    touch(tx)
    return KeyRecord(_record_name(key.domain, key.selector), record)


def destroy_keys(tx: Transaction, domain: str) -> None:
    """Forget the domain's keys, retired ones too: nobody can sign with them again."""
    tx.execute(delete(signing_key_table).where(signing_key_table.c.domain == domain))
    touch(tx)


def active_keys(tx: Transaction, domain: str) -> list[tuple[str, str]]:
    """Selector and algorithm of the domain's keys in use."""
    table = signing_key_table.c
    rows = tx.execute(select(table.selector, table.algorithm).where(table.domain == domain, table.retired_at.is_(None)))
    return [(row.selector, row.algorithm) for row in rows]


def key_records(tx: Transaction, domain: str | None = None) -> list[KeyRecord]:
    """The records that must stand in DNS for the keys in use, of one domain or of all."""
    table = signing_key_table.c
    query = (
        select(table.domain, table.selector, table.record)
        .where(table.retired_at.is_(None))
        .order_by(table.domain, table.id)
    )
    rows = tx.execute(query.where(table.domain == domain) if domain else query)
    return [KeyRecord(_record_name(row.domain, row.selector), row.record) for row in rows]


def load_key_ring(tx: Transaction, seal: Seal) -> KeyRing:
    """Open every key in use. Raises Misconfigured when the seal cannot (another installation's key file)."""
    table = signing_key_table.c
    keys: dict[str, list[SigningKey]] = {}
    # rsa-sha256 sorts last: descending puts it first, where a verifier that knows only RSA meets it first.
    for row in tx.execute(
        select(signing_key_table).where(table.retired_at.is_(None)).order_by(table.algorithm.desc(), table.id)
    ):
        pem = seal.open(bytes(row.sealed_private), _about(row.domain, row.selector))
        keys.setdefault(row.domain, []).append(dkim.from_pem(row.domain, row.selector, pem, trusted=True))
    return KeyRing({domain: tuple(found) for domain, found in keys.items()})


def _about(domain: str, selector: str) -> str:
    return f"signing_key|{domain}|{selector}"


def _record_name(domain: str, selector: str) -> str:
    return f"{selector}._domainkey.{domain}"
