"""People: who at a customer (or at the vendor) is written to, and who may choose for the company."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Row, Table, Text, insert, select, update

from ombud.db import Identity, Moment, Transaction, metadata
from ombud.errors import BadField, NotFound
from ombud.mail.address import parse_address

person_table = Table(
    "person",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("customer_id", Integer, ForeignKey("customer.id")),  # NULL: the vendor's own
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("may_choose", Boolean, nullable=False),
    Column("language", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("bounced_at", Moment),
    Column("removed_at", Moment),  # the row stays: choices and letters name it
    Index("ix_person_customer_id", "customer_id"),
    Index("ix_person_email", "email"),
)

LANGUAGES = ("sv", "en")


class Role(StrEnum):
    CONTACT = "contact"  # whom the vendor writes to; the one who chooses, as a rule
    IT_SUPPLIER = "it_supplier"  # looks after the customer's DNS
    MICROSOFT_ADMIN = "microsoft_admin"  # consents in the customer's Microsoft 365
    FINANCE = "finance"  # gets what is about money
    OPERATOR = "operator"  # the vendor's


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    customer_id: int | None  # None: the vendor's own
    name: str
    email: str  # canonical
    phone: str = ""
    role: Role = Role.CONTACT
    may_choose: bool = False
    language: str = "sv"
    bounced_at: datetime | None = None  # a letter came back: write to someone else, or call


def put_person(
    tx: Transaction, customer_id: int | None, name: str, email: str, now: datetime, *, role: Role = Role.CONTACT,
    may_choose: bool = False, phone: str = "", language: str = "sv",
) -> Person:  # fmt: skip
    """Add a person, or bring the one with that address and role at that customer up to date.

    That letters to the address came back stays with it. Raises BadAddress or BadField.
    """
    for field, text in (("name", name), ("phone", phone)):
        if not text.isprintable():
            raise BadField(field=field, reason="it holds a character that cannot be printed")
    if language not in LANGUAGES:
        raise BadField(field="language", reason=f"it must be {' or '.join(LANGUAGES)}")
    address = str(parse_address(email))
    values = {"name": name.strip(), "phone": phone.strip(), "may_choose": may_choose, "language": language}
    who = (
        (person_table.c.customer_id == customer_id) & (person_table.c.email == address) & (person_table.c.role == role)
    )
    known = tx.execute(select(person_table.c.id).where(who).limit(1)).scalar()
    if known is None:
        row = {"customer_id": customer_id, "email": address, "role": role, "created_at": now}
        return _person(tx.execute(insert(person_table).values(**row, **values).returning(person_table)).one())
    there = update(person_table).where(person_table.c.id == known).values(removed_at=None, **values)
    return _person(tx.execute(there.returning(person_table)).one())


def remove_person(tx: Transaction, person_id: int, now: datetime) -> Person:
    """Write to this person no more. What it has done stays. Raises NotFound."""
    person = person_by_id(tx, person_id)
    tx.execute(update(person_table).where(person_table.c.id == person_id).values(removed_at=now))
    return person


def person_by_id(tx: Transaction, person_id: int) -> Person:
    """Raises NotFound, also for one that has been removed."""
    found = tx.execute(select(person_table).where(person_table.c.id == person_id, _here)).one_or_none()
    if found is None:
        raise NotFound(kind="person", name=person_id)
    return _person(found)


def people_of(tx: Transaction, customer_id: int | None) -> list[Person]:
    """The customer's people (None: the vendor's), those who may choose first."""
    return _people(tx.execute(select(person_table).where(person_table.c.customer_id == customer_id, _here)))


def load_people(tx: Transaction) -> list[Person]:
    """Everyone, those who may choose first."""
    return _people(tx.execute(select(person_table).where(_here)))


def customers_with(tx: Transaction, role: Role) -> set[int]:
    """The customers that have somebody in that role."""
    rows = tx.execute(select(person_table.c.customer_id).where(person_table.c.role == role, _here)).scalars()
    return {customer for customer in rows if customer is not None}


def companies_of(tx: Transaction, email: str) -> list[Person]:
    """The same person's entries with the right to choose, at every company of a group: known by the address."""
    rows = tx.execute(select(person_table).where(person_table.c.email == email, person_table.c.may_choose, _here))
    return [person for person in _people(rows) if person.customer_id is not None]


def mark_bounced(tx: Transaction, person_id: int, at: datetime | None) -> None:
    """A letter to this person came back at that moment. None: the address works again."""
    mark_all_bounced(tx, [person_id], at)


def mark_all_bounced(tx: Transaction, ids: Sequence[int], at: datetime | None) -> None:
    """The same of many. The first time that letters came back stands."""
    changed = person_table.c.bounced_at.is_(None) if at else person_table.c.bounced_at.is_not(None)
    tx.execute(update(person_table).where(person_table.c.id.in_(ids), changed).values(bounced_at=at))


_here = person_table.c.removed_at.is_(None)


def _people(rows: Iterable[Row[tuple[object, ...]]]) -> list[Person]:
    return sorted((_person(row) for row in rows), key=lambda one: (not one.may_choose, one.id))


def _person(row: Row[tuple[object, ...]]) -> Person:
    return Person(
        row.id,
        row.customer_id,
        row.name,
        row.email,
        row.phone,
        Role(row.role),
        row.may_choose,
        row.language,
        row.bounced_at,
    )
