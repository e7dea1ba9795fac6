"""Which customer a sender domain belongs to. A domain has one owner; its subdomains are the owner's unless someone else proved them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from ombud.accounts import Customer
from ombud.db import Transaction
from ombud.db.snapshot import touch
from ombud.domains.keys import destroy_keys
from ombud.domains.table import domain_table
from ombud.domains.watchlist import start_watching, stop_watching
from ombud.errors import DomainTaken, NotFound


@dataclass(frozen=True, slots=True)
class Domain:
    name: str
    customer_id: int
    proved_at: datetime
    proof: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ownership:
    """Every proved domain, at one moment."""

    domains: Mapping[str, Domain]

    def owner(self, name: str) -> Domain | None:
        """The proved domain that speaks for `name`: itself, or the nearest one above it."""
        while True:
            if found := self.domains.get(name):
                return found
            _, dot, name = name.partition(".")
            if not dot:
                return None

    def of(self, customer_id: int) -> list[Domain]:
        return [domain for domain in self.domains.values() if domain.customer_id == customer_id]


def load_ownership(tx: Transaction) -> Ownership:
    rows = tx.execute(select(domain_table).order_by(domain_table.c.name))
    return Ownership(
        {row.name: Domain(row.name, row.customer_id, row.proved_at, row.proof, row.reason) for row in rows}
    )


def prove_domain(tx: Transaction, name: str, customer: Customer, proof: str, reason: str, now: datetime) -> bool:
    """Record that the customer has proved `name` (a canonical domain). Says whether it is news. Raises DomainTaken, which
    does not tell by whom."""
    known = tx.execute(select(domain_table).where(domain_table.c.name == name)).mappings().one_or_none()
    if known:
        if known["customer_id"] != customer.id:
            raise DomainTaken(domain=name)
        return False
    tx.execute(
        insert(domain_table).values(name=name, customer_id=customer.id, proved_at=now, proof=proof, reason=reason)
    )
    start_watching(tx, name, now)
    touch(tx)
    return True


def forget_domain(tx: Transaction, name: str, now: datetime | None = None) -> None:
    """Take the proof back and destroy the domain's keys: whoever proves it next must not be signed for by them. It is not
    watched any more.

    Mail from it is refused from now on. What is in the queue and must be signed for it is held, unless a proved domain above
    it has keys. What has left verifies for as long as the keys' records stand in DNS. Raises NotFound.
    """
    destroy_keys(tx, name, now)
    stop_watching(tx, name)
    if tx.execute(delete(domain_table).where(domain_table.c.name == name)).rowcount != 1:
        raise NotFound(kind="domain", name=name)
    touch(tx)
