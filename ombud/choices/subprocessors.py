"""The register of sub-processors: who is to handle the customers' personal data for the vendor, instead of whom and from when.

GDPR art. 28(2): the customer (the controller) is told of every intended change and may object. What each customer was told and
when is a fact of the letters that went out; an entry names the campaign whose letters they are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from itertools import pairwise

from sqlalchemy import Column, ForeignKey, Index, Integer, Row, Table, Text, insert, select, update

from ombud.accounts import Customer
from ombud.choices.campaign import Texts
from ombud.db import Day, Identity, Json, Moment, Transaction, metadata
from ombud.errors import BadField, NotFound, WrongState

subprocessor_table = Table(
    "subprocessor",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("replaces", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("task", Json, nullable=False),
    Column("notice_date", Day, nullable=False),
    Column("object_until", Day, nullable=False),
    Column("from_date", Day, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

objection_table = Table(
    "objection",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("subprocessor_id", Integer, ForeignKey("subprocessor.id"), nullable=False),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("answered_at", Moment),
    Column("answered_by", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Index("ix_objection_subprocessor_id", "subprocessor_id", "customer_id"),
)

LONGEST = 10_000  # characters of an objection, or of an answer


@dataclass(frozen=True, slots=True)
class Subprocessor:
    """One entry: a sub-processor that is added, or takes another's place."""

    slug: str
    name: str
    notice_date: date  # when the customers are told
    object_until: date  # the last day on which an objection is in time
    from_date: date  # when it may begin to handle data
    owner: str = ""  # the company behind it
    replaces: str = ""  # "": an addition
    place: str = ""  # where it handles the data
    task: Texts = field(default_factory=dict)  # what it does, with whose data
    campaign: str = ""  # the slug of the campaign whose letters tell of it; "": none


@dataclass(frozen=True, slots=True)
class Objection:
    id: int
    subprocessor: str  # slug
    customer_id: int
    at: datetime
    by: str
    text: str
    answered_at: datetime | None = None
    answered_by: str = ""
    answer: str = ""


def check_subprocessor(wanted: Subprocessor) -> None:
    """Raises BadField for days in the wrong order: whoever may object must be told before, and have an answer before it begins."""
    days = {"notice_date": wanted.notice_date, "object_until": wanted.object_until, "from_date": wanted.from_date}
    in_order = list(days.items())
    for (earlier, before), (later, after) in pairwise(in_order):
        if after < before:
            raise BadField(field=later, reason=f"{after} must not be before {earlier} ({before})")


def put_subprocessor(tx: Transaction, wanted: Subprocessor, now: datetime) -> bool:
    """Add an entry, or bring the one of that slug up to date. Says whether anything changed. Raises BadField for dates in
    the wrong order."""
    check_subprocessor(wanted)
    before = {one.slug: one for one in subprocessors(tx)}.get(wanted.slug)
    if before == wanted:
        return False
    values = {**asdict(wanted), "task": dict(wanted.task), "changed_at": now}
    if before is None:
        tx.execute(insert(subprocessor_table).values(created_at=now, **values))
    else:
        tx.execute(update(subprocessor_table).where(subprocessor_table.c.slug == wanted.slug).values(**values))
    return True


def subprocessors(tx: Transaction) -> list[Subprocessor]:
    """The register, the newest notice first."""
    c = subprocessor_table.c
    rows = tx.execute(select(subprocessor_table).order_by(c.notice_date.desc(), c.id.desc()))
    return [
        Subprocessor(
            row.slug, row.name, row.notice_date, row.object_until, row.from_date, row.owner, row.replaces, row.place,
            row.task, row.campaign,
        )
        for row in rows
    ]  # fmt: skip


def subprocessor(tx: Transaction, slug: str) -> Subprocessor:
    """Raises NotFound."""
    for one in subprocessors(tx):
        if one.slug == slug:
            return one
    raise NotFound(kind="subprocessor", name=slug)


def object_to(tx: Transaction, slug: str, customer: Customer, text: str, by: str, now: datetime) -> Objection:
    """A customer objects. One that comes after the last day is kept too: whether it counts is for people to say.

    Raises NotFound, BadField.
    """
    row = {
        "subprocessor_id": _id_of(tx, slug), "customer_id": customer.id, "at": now, "by": _said("by", by),
        "text": _said("text", text), "answered_by": "", "answer": "",
    }  # fmt: skip
    number = tx.execute(insert(objection_table).values(**row).returning(objection_table.c.id)).scalar_one()
    return objection(tx, int(number))


def answer_objection(tx: Transaction, number: int, answer: str, by: str, now: datetime) -> Objection:
    """Answer it, once. Raises NotFound, BadField, WrongState when it has been answered."""
    there, c = objection(tx, number), objection_table.c
    values = {"answered_at": now, "answered_by": _said("by", by), "answer": _said("answer", answer)}
    moved = tx.execute(update(objection_table).where(c.id == number, c.answered_at.is_(None)).values(**values)).rowcount
    if not moved:
        raise WrongState(state=f"answered by {there.answered_by}" if there.answered_by else "answered")
    return objection(tx, number)


def objections(tx: Transaction, slug: str | None = None) -> list[Objection]:
    """All of them, or those to one entry, the first first."""
    query = select(objection_table, subprocessor_table.c.slug).join(subprocessor_table).order_by(objection_table.c.id)
    if slug is not None:
        query = query.where(subprocessor_table.c.slug == slug)
    return [_objection(row) for row in tx.execute(query)]


def objection(tx: Transaction, number: int) -> Objection:
    """Raises NotFound."""
    query = select(objection_table, subprocessor_table.c.slug).join(subprocessor_table)
    found = tx.execute(query.where(objection_table.c.id == number)).one_or_none()
    if found is None:
        raise NotFound(kind="objection", name=number)
    return _objection(found)


def _id_of(tx: Transaction, slug: str) -> int:
    found = tx.execute(select(subprocessor_table.c.id).where(subprocessor_table.c.slug == slug)).scalar()
    if found is None:
        raise NotFound(kind="subprocessor", name=slug)
    return int(found)


def _said(field_name: str, text: str) -> str:
    if not text.strip() or len(text) > LONGEST:
        raise BadField(field=field_name, reason=f"write between 1 and {LONGEST} characters")
    return text.strip()


def _objection(row: Row[tuple[object, ...]]) -> Objection:
    return Objection(
        row.id, row.slug, row.customer_id, row.at, row.by, row.text, row.answered_at, row.answered_by, row.answer
    )
