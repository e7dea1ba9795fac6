"""Claims: a customer says that a domain is theirs, gets a token that nobody has had before, and shows it in the domain's DNS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, Row, Table, Text, insert, select, update

from ombud.accounts import Customer
from ombud.db import Identity, Moment, Transaction, metadata
from ombud.dns import Answer
from ombud.domains.names import sender_domain
from ombud.domains.ownership import Domain, forget_domain, prove_domain
from ombud.domains.table import domain_table
from ombud.errors import ClaimNotSeen, DomainTaken, NotFound
from ombud.ids import new_secret
from ombud.mail.records import Purpose, Record

#: How a domain came to be proved that a token in DNS has proved.
PROOF = "claim"
LABEL, PREFIX = "_ombud", "ombud-claim="

claim_table = Table(
    "domain_claim",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("domain", Text, nullable=False),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("token", Text, nullable=False, unique=True),
    Column("made_at", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("settled_at", Moment),
    Column("next_at", Moment, index=True),  # when to look for the token again; NULL once there is nothing to look for
    Index("ix_domain_claim_domain_customer_id", "domain", "customer_id"),
)


class ClaimState(StrEnum):
    OPEN = "open"  # the token has yet to be seen
    PROVED = "proved"  # it was seen, and the domain is the customer's
    WITHDRAWN = "withdrawn"  # the customer has given it up
    ENDED = "ended"  # the domain was proved by somebody else, or is given up: this token proves nothing any more


@dataclass(frozen=True, slots=True)
class Claim:
    """One customer's claim on one domain. `contested`: somebody else has an open claim on it too; whoever publishes first has it."""

    id: int
    domain: str
    customer_id: int
    token: str
    made_at: datetime
    state: ClaimState
    contested: bool = False

    @property
    def record(self) -> Record:
        """What must stand in the domain's DNS. A subdomain is claimed under its own name."""
        return Record(Purpose.OWNER, "TXT", f"{LABEL}.{self.domain}", f"{PREFIX}{self.token}")


def claim_domain(tx: Transaction, typed: str, customer: Customer, now: datetime) -> Claim:
    """The customer's open claim on the domain, made if there is none. Raises NotADomain, PublicSuffix, FreeMail, and DomainTaken
    (which does not tell by whom) when an operator has vouched that it is another's.

    A domain that another has proved by a token can be claimed: who controls its DNS today can show it.
    """
    domain = sender_domain(typed)
    owner = _owner(tx, domain)
    if owner and owner.customer_id != customer.id and owner.proof != PROOF:
        raise DomainTaken(domain=domain)
    table = claim_table.c
    mine = (table.domain == domain, table.customer_id == customer.id, table.state == ClaimState.OPEN)
    if not tx.execute(select(table.id).where(*mine)).first():
        values = {
            "domain": domain,
            "customer_id": customer.id,
            "made_at": now,
            "state": ClaimState.OPEN,
            "next_at": now,
        }
        tx.execute(insert(claim_table).values(token=new_secret(), **values))
    row = tx.execute(select(claim_table).where(*mine)).one()
    others = select(table.id).where(
        table.domain == domain, table.customer_id != customer.id, table.state == ClaimState.OPEN
    )
    return _claim(row, contested=owner is None and tx.execute(others).first() is not None)


def open_claims(tx: Transaction, customer_id: int | None = None) -> list[Claim]:
    """The claims whose token has yet to be seen, of one customer or of all."""
    rows = select(claim_table).where(claim_table.c.state == ClaimState.OPEN).order_by(claim_table.c.id)
    if customer_id is not None:
        rows = rows.where(claim_table.c.customer_id == customer_id)
    return [_claim(row) for row in tx.execute(rows)]


def some_claim_due(tx: Transaction, now: datetime) -> bool:
    return tx.execute(select(claim_table.c.id).where(claim_table.c.next_at <= now).limit(1)).first() is not None


def take_due_claims(tx: Transaction, now: datetime, most: int) -> list[Claim]:
    """The open claims whose token is to be looked for now, for this process alone; the next time is settled at once."""
    table = claim_table.c
    rows = tx.execute(
        tx.skip_locked(select(claim_table).where(table.next_at <= now).order_by(table.next_at).limit(most))
    ).all()
    for wait, names in _by_wait(rows, now).items():
        tx.execute(update(claim_table).where(table.id.in_(names)).values(next_at=now + wait))
    return [_claim(row) for row in rows]


def _by_wait(rows: Sequence[Row[Any]], now: datetime) -> dict[timedelta, list[int]]:
    """How long until the next look: as for a domain's records, and without end."""
    found: dict[timedelta, list[int]] = {}
    for row in rows:
        age = now - row.made_at
        wait = next((wait for until, wait in _WAITS if age < until), _SELDOM)
        found.setdefault(wait, []).append(row.id)
    return found


_WAITS = (
    (timedelta(minutes=5), timedelta(seconds=30)), (timedelta(hours=1), timedelta(minutes=5)),
    (timedelta(days=3), timedelta(hours=1)),
)  # fmt: skip
_SELDOM = timedelta(hours=6)


def settle_claim(tx: Transaction, claim: Claim, answers: Sequence[Answer], customer: Customer, now: datetime) -> bool:
    """Make the domain the customer's, if its token stands in DNS by the `answers` of the zone's servers. Says whether it is news.

    Raises ClaimNotSeen when it does not, and DomainTaken when the domain is another's: one whom an operator has vouched for, or
    whose own token still stands there. Another's whose token is gone, by every server's word, has lost the domain.
    """
    if not _stands(claim.token, answers):
        record = claim.record
        raise ClaimNotSeen(domain=claim.domain, name=record.name, value=record.value)
    owner = _owner(tx, claim.domain)
    if owner and owner.customer_id != customer.id:
        if owner.proof != PROOF or not _gone(_token_of(tx, owner), answers):
            raise DomainTaken(domain=claim.domain)
        forget_domain(tx, claim.domain, now)
    news = prove_domain(tx, claim.domain, customer, PROOF, f"{claim.record.name} {claim.record.value}", now)
    _settle(tx, claim.domain, claim.id, now)
    return news


def withdraw_claims(tx: Transaction, domain: str, customer_id: int, now: datetime) -> None:
    """Give up the customer's open claims on the domain. Raises NotFound."""
    table = claim_table.c
    mine = (table.domain == domain, table.customer_id == customer_id, table.state == ClaimState.OPEN)
    changed = update(claim_table).where(*mine).values(state=ClaimState.WITHDRAWN, settled_at=now, next_at=None)
    if not tx.execute(changed).rowcount:
        raise NotFound(kind="claim", name=domain)


def _settle(tx: Transaction, domain: str, proved: int, now: datetime) -> None:
    """This claim is proved; whatever other tokens there were for the domain prove nothing any more."""
    table = claim_table.c
    live = (table.domain == domain, table.state.in_((ClaimState.OPEN, ClaimState.PROVED)))
    ended = {"state": ClaimState.ENDED, "settled_at": now, "next_at": None}
    tx.execute(update(claim_table).where(*live, table.id != proved).values(ended))
    tx.execute(update(claim_table).where(table.id == proved).values({**ended, "state": ClaimState.PROVED}))


def _owner(tx: Transaction, domain: str) -> Domain | None:
    row = tx.execute(select(domain_table).where(domain_table.c.name == domain)).one_or_none()
    return Domain(row.name, row.customer_id, row.proved_at, row.proof, row.reason) if row else None


def _token_of(tx: Transaction, owner: Domain) -> str:
    """The token by which the domain is the owner's now."""
    table = claim_table.c
    mine = (table.domain == owner.name, table.customer_id == owner.customer_id, table.state == ClaimState.PROVED)
    return str(tx.execute(select(table.token).where(*mine).order_by(table.id.desc()).limit(1)).scalar() or "")


def _stands(token: str, answers: Sequence[Answer]) -> bool:
    """Whether every server that answers has the token, and one does. An alias is no answer: its target may be anybody's."""
    definite = [answer for answer in answers if not answer.unknown]
    return bool(definite) and all(_has(answer, token) for answer in definite)


def _gone(token: str, answers: Sequence[Answer]) -> bool:
    """Whether every server says that the token is not there. One that does not answer says nothing."""
    return bool(answers) and all(not answer.unknown and not _has(answer, token) for answer in answers)


def _has(answer: Answer, token: str) -> bool:
    return not answer.aliases and any(value.strip('" ') == f"{PREFIX}{token}" for value in answer.values)


def _claim(row: Row[Any], *, contested: bool = False) -> Claim:
    return Claim(row.id, row.domain, row.customer_id, row.token, row.made_at, ClaimState(row.state), contested)
