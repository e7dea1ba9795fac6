"""The case register: one case per customer and campaign, whose comments are only ever added to.

A case here stands for the case in the vendor's service centre. It exists from the moment that the choice does, under a
reference that both sides can say (`molntjanst-2024/eken`); the service centre's own number is attached when it comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    Row,
    Select,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy import func as sql
from sqlalchemy.dialects import postgresql

from ombud.db import Identity, Moment, Transaction, metadata
from ombud.errors import BadField, CaseNumberTaken, NotFound, WrongState

case_table = Table(
    "service_case",  # CASE is a word of SQL's own
    metadata,
    Column("id", Identity, primary_key=True),
    Column("campaign_id", Integer, ForeignKey("campaign.id"), nullable=False),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("reference", Text, nullable=False, unique=True),  # what the service centre is told to say back
    Column("number", Text, unique=True),  # the service centre's own; NULL until it has come back
    Column("alternative", Text, nullable=False),  # as the newest choice has it; "": it was withdrawn
    Column("state", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("campaign_id", "customer_id"),
)

comment_table = Table(
    "case_comment",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("case_id", Integer, ForeignKey("service_case.id"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
)

#: What the service centre has told us, by its own id of each telling, so that a telling that is repeated does nothing.
heard_table = Table(
    "case_heard",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Moment, nullable=False, index=True),  # the database's clock
)

LONGEST_COMMENT = 10_000
LONGEST_NUMBER = 100


class CaseState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class CommentKind(StrEnum):
    CHOICE = "choice"  # a choice was made, or changed
    NUMBER = "number"  # the service centre's number was attached
    STATE = "state"  # closed, or opened again
    NOTE = "note"  # what a person, or the service centre, had to say


@dataclass(frozen=True, slots=True)
class Case:
    id: int
    campaign_id: int
    customer_id: int
    reference: str
    number: str  # "": it has not come back yet
    alternative: str  # "": the choice was withdrawn
    state: CaseState
    opened_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Comment:
    at: datetime
    by: str
    kind: CommentKind
    text: str


# --- reading -------------------------------------------------------------------------------------------------------


def cases(
    tx: Transaction, *, campaign_id: int | None = None, customer_id: int | None = None, state: CaseState | None = None,
    numbered: bool | None = None,
) -> list[Case]:  # fmt: skip
    """The cases, newest change first. `numbered`: only those that have (or lack) the service centre's number."""
    c = case_table.c
    query = select(case_table).order_by(c.changed_at.desc(), c.id.desc())
    if campaign_id is not None:
        query = query.where(c.campaign_id == campaign_id)
    if customer_id is not None:
        query = query.where(c.customer_id == customer_id)
    if state is not None:
        query = query.where(c.state == state)
    if numbered is not None:
        query = query.where(c.number.is_not(None) if numbered else c.number.is_(None))
    return _read(tx, query)


def find_case(tx: Transaction, name: str) -> Case:
    """The case of this reference, or of this number of the service centre's. Raises NotFound."""
    c = case_table.c
    found = _read(tx, select(case_table).where((c.reference == name) | (c.number == name)).order_by(c.id))
    # A service centre may number its cases as it likes, even as we refer to ours: our own word goes first.
    for one in found:
        if one.reference == name:
            return one
    if not found:
        raise NotFound(kind="case", name=name)
    return found[0]


def case_of(tx: Transaction, campaign_id: int, customer_id: int) -> Case | None:
    found = cases(tx, campaign_id=campaign_id, customer_id=customer_id)
    return found[0] if found else None


def comments_of(tx: Transaction, case_id: int) -> list[Comment]:
    """What has been said of the case, oldest first."""
    c = comment_table.c
    rows = tx.execute(select(c.at, c.by, c.kind, c.text).where(c.case_id == case_id).order_by(c.id))
    return [Comment(row.at, row.by, CommentKind(row.kind), row.text) for row in rows]


def count_cases(tx: Transaction, campaign_id: int) -> Mapping[CaseState, int]:
    c = case_table.c
    counted: Sequence[Any] = tx.execute(
        select(c.state, sql.count()).where(c.campaign_id == campaign_id).group_by(c.state)
    ).all()
    return {CaseState(state): number for state, number in counted}


def _read(tx: Transaction, query: Select[Any]) -> list[Case]:
    return [_case(row) for row in tx.execute(query)]


def _case(row: Row[Any]) -> Case:
    return Case(
        row.id, row.campaign_id, row.customer_id, row.reference, row.number or "", row.alternative, CaseState(row.state),
        row.opened_at, row.changed_at,
    )  # fmt: skip


# --- writing -------------------------------------------------------------------------------------------------------


def put_case(
    tx: Transaction, campaign_id: int, customer_id: int, reference: str, alternative: str, text: str, by: str,
    now: datetime,
) -> Case:  # fmt: skip
    """The customer's case of the campaign, with what was chosen as a comment: made at the first choice, opened again if it
    was closed at a later one. Whoever chooses has won the choice in this transaction already, so nobody races here."""
    known = case_of(tx, campaign_id, customer_id)
    if known is None:
        new = insert(case_table).values(
            campaign_id=campaign_id, customer_id=customer_id, reference=reference, alternative=alternative,
            state=CaseState.OPEN, opened_at=now, changed_at=now,
        )  # fmt: skip
        case = _case(tx.execute(new.returning(case_table)).one())
    else:
        _change(tx, known.id, now, alternative=alternative, state=CaseState.OPEN)
        case = replace(known, alternative=alternative, state=CaseState.OPEN, changed_at=now)
    _say(tx, case.id, CommentKind.CHOICE, text, by, now)
    if known is not None and known.state is CaseState.CLOSED:
        _say(tx, case.id, CommentKind.STATE, CaseState.OPEN, by, now)
    return case


def hold_case(tx: Transaction, campaign_id: int, customer_id: int, now: datetime) -> Case | None:
    """The customer's case, with its row held until the transaction ends: whoever else would write on it waits."""
    if (case := case_of(tx, campaign_id, customer_id)) is not None:
        _change(tx, case.id, now)
    return case


def comment(tx: Transaction, case: Case, text: str, by: str, now: datetime) -> None:
    """Add what someone has to say. Raises BadField."""
    text = text.strip()
    if not text or len(text) > LONGEST_COMMENT:
        raise BadField(field="comment", reason=f"write between 1 and {LONGEST_COMMENT} characters")
    _say(tx, case.id, CommentKind.NOTE, text, by, now)
    _change(tx, case.id, now)


def attach_number(tx: Transaction, case: Case, number: str, by: str, now: datetime) -> bool:
    """Attach the service centre's number; another one than before replaces it, and the comments tell so. Says whether it is
    news. Raises BadField, and CaseNumberTaken when another case has it."""
    number = number.strip()
    if not number or len(number) > LONGEST_NUMBER or not number.isprintable():
        raise BadField(field="number", reason=f"write the service centre's number, at most {LONGEST_NUMBER} characters")
    if number == case.number:
        return False
    taken = _read(tx, select(case_table).where(case_table.c.number == number, case_table.c.id != case.id))
    if taken:
        raise CaseNumberTaken(number=number, reference=taken[0].reference)
    _change(tx, case.id, now, number=number)
    _say(tx, case.id, CommentKind.NUMBER, f"{case.number} -> {number}" if case.number else number, by, now)
    return True


def close_case(tx: Transaction, case: Case, by: str, now: datetime, reason: str = "") -> None:
    """Raises WrongState when it is closed already."""
    _move(tx, case, CaseState.CLOSED, by, now, reason)


def reopen_case(tx: Transaction, case: Case, by: str, now: datetime, reason: str = "") -> None:
    """Raises WrongState when it is open already."""
    _move(tx, case, CaseState.OPEN, by, now, reason)


def _move(tx: Transaction, case: Case, state: CaseState, by: str, now: datetime, reason: str) -> None:
    c = case_table.c
    # Guarded: of two who close it at a time one does, and the other is told.
    moved = tx.execute(
        update(case_table).where(c.id == case.id, c.state != state).values(state=state, changed_at=now)
    ).rowcount
    if not moved:
        raise WrongState(state=state)
    _say(tx, case.id, CommentKind.STATE, f"{state}: {reason}" if reason else state, by, now)


def _change(tx: Transaction, case_id: int, now: datetime, **values: object) -> None:
    tx.execute(update(case_table).where(case_table.c.id == case_id).values(changed_at=now, **values))


def _say(tx: Transaction, case_id: int, kind: CommentKind, text: str, by: str, now: datetime) -> None:
    tx.execute(insert(comment_table).values(case_id=case_id, at=now, by=by, kind=kind, text=text))


# --- what the service centre tells ---------------------------------------------------------------------------------


def first_time_heard(tx: Transaction, telling: str) -> bool:
    """Whether this telling of the service centre's is new; it is remembered in the transaction that does what it says."""
    adding = postgresql.insert(heard_table).values(id=telling, at=tx.now)  # the clause is SQLite's too
    new = adding.on_conflict_do_nothing(index_elements=[heard_table.c.id]).returning(heard_table.c.id)
    return tx.execute(new).first() is not None


def forget_heard(tx: Transaction, than: timedelta) -> int:
    """Forget tellings older than that: their signatures are too old to be taken again. Returns how many."""
    return tx.execute(delete(heard_table).where(heard_table.c.at < tx.now - than)).rowcount
