"""The outbox: what another system or a person is to be told, kept until it is told.

A notice is written in the transaction of what it tells about, so one never exists without the other. It is told at least once:
whoever tells it claims it for a while, and when the claim runs out (a crash, a lost answer) it is told again under the same id,
by which the receiver drops the double. What cannot be told for days becomes a list that a person works through.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Row,
    Table,
    Text,
    case,
    insert,
    select,
    update,
)
from sqlalchemy import func as sql

from ombud.db import Identity, Json, Many, Moment, Transaction, metadata
from ombud.errors import NotFound
from ombud.ids import new_id

notice_table = Table(
    "notice",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("ref", Text, nullable=False, unique=True),  # the stable id that the receiver drops doubles by
    Column("kind", Text, nullable=False),
    Column("target", Text, nullable=False),  # the webhook's slug; the address
    Column("about", Text, nullable=False),  # what it is about, to find it by
    Column("payload", Json, nullable=False),
    Column("created_at", Moment, nullable=False),  # the business clock
    Column("state", Text, nullable=False),
    Column(
        "due_at", Moment
    ),  # the database's clock; NULL: it is not to be told any more. While claimed: when the claim ends
    Column("gives_up_at", Moment, nullable=False),  # the database's clock
    Column("tries", Integer, nullable=False),
    Column("settled_at", Moment),  # the business clock
)
_due = notice_table.c.due_at.is_not(None)
Index(
    "ix_notice_due",
    notice_table.c.kind,
    notice_table.c.target,
    notice_table.c.due_at,
    sqlite_where=_due,
    postgresql_where=_due,
)
Index("ix_notice_about", notice_table.c.about)
_given_up = notice_table.c.state == "given_up"
Index("ix_notice_given_up", notice_table.c.id, sqlite_where=_given_up, postgresql_where=_given_up)

notice_try_table = Table(
    "notice_try",
    metadata,
    Column("notice_id", BigInteger, ForeignKey("notice.id"), primary_key=True),
    Column("n", Integer, primary_key=True),  # from 1; a claim that ran out leaves a gap
    Column("at", Moment, nullable=False),
    Column("status", Integer, nullable=False),  # HTTP's; 0: none came
    Column("words", Text, nullable=False),
    Column("seconds", Float, nullable=False),
)

#: How long a claim lasts: longer than any try may take.
CLAIM = timedelta(seconds=120)
#: Between tries; the last one is repeated. Each is spread by a fifth either way, so that what failed together does not come back together.
WAITS = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600))
_SPREAD = 0.2
LONGEST_WAIT = timedelta(days=1)
GIVE_UP_AFTER = timedelta(days=7)


class Kind(StrEnum):
    WEBHOOK = "webhook"  # target: the slug of a webhook
    MAIL = "mail"  # target: an address; payload: subject, text, perhaps html, name, reply_to, stream


class State(StrEnum):
    WAITING = "waiting"  # to be told, now or later
    TOLD = "told"  # the other side said yes
    GIVEN_UP = "given_up"  # nobody could be told in all the days there were: a person must look
    DROPPED = "dropped"  # a person said that it need not be told


@dataclass(frozen=True, slots=True)
class Notice:
    id: int
    ref: str
    kind: Kind
    target: str
    about: str
    payload: Mapping[str, Any]
    created_at: datetime
    state: State
    due_at: datetime | None
    tries: int
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Try:
    """One ended try, with the other side's words."""

    n: int
    at: datetime
    status: int
    words: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a try. `words` are the other side's (or why it could not be reached); `again` is when it wants to be asked."""

    ok: bool
    status: int = 0
    words: str = ""
    seconds: float = 0.0
    again: timedelta | None = None
    answer: Mapping[str, Any] | None = None  # what it answered, where that is of use


_NOTICES = Many(
    insert(notice_table), "ref", "kind", "target", "about", "payload", "created_at", "state", "due_at", "gives_up_at", "tries"
)  # fmt: skip


# --- in ------------------------------------------------------------------------------------------------------------


def put_notice(
    tx: Transaction, kind: Kind | str, target: str, payload: Mapping[str, Any], now: datetime, *, about: str = ""
) -> str:
    """Have it told: to the webhook of that slug, or to that address. Returns its stable id.

    A webhook need not exist yet: the notice waits for it. What is told is never lost for want of a setting.
    """
    return put_notices(tx, kind, [(target, payload, about)], now)[0]


def put_notices(
    tx: Transaction, kind: Kind | str, notices: Sequence[tuple[str, Mapping[str, Any], str]], now: datetime
) -> list[str]:
    """Many at once, each a target, a payload and what it is about. Returns their stable ids, in order."""
    refs = [f"ntc_{new_id()}" for _ in notices]
    due, kind = tx.now, Kind(kind)
    _NOTICES.run(
        tx,
        [
            (ref, kind, target, about, dict(payload), now, State.WAITING, due, due + GIVE_UP_AFTER, 0)
            for ref, (target, payload, about) in zip(refs, notices, strict=True)
        ],
    )
    return refs


# --- out -----------------------------------------------------------------------------------------------------------


def due_targets(tx: Transaction) -> dict[tuple[Kind, str], int]:
    """Who is to be told something now, and how many things. Mail is one receiver: the way in."""
    n = notice_table.c
    receiver = case((n.kind == Kind.MAIL, ""), else_=n.target).label("receiver")
    due = select(n.kind, receiver, sql.count()).where(n.due_at <= tx.now).group_by(n.kind, receiver)
    rows: Sequence[Any] = tx.execute(due).all()
    return {(Kind(row[0]), row[1]): row[2] for row in rows}


def claim(tx: Transaction, kind: Kind, target: str, most: int) -> list[Notice]:
    """Take at most `most` of one receiver's due notices, the oldest first; no other process gets them while the claim lasts."""
    n = notice_table.c
    mine = [n.kind == kind, n.due_at <= tx.now, *([n.target == target] if target else [])]
    ids = [row.id for row in tx.execute(tx.skip_locked(select(n.id).where(*mine).order_by(n.id).limit(most)))]
    if not ids:
        return []
    tx.execute(update(notice_table).where(n.id.in_(ids)).values(due_at=tx.now + CLAIM, tries=n.tries + 1))
    return [_notice(row) for row in tx.execute(select(notice_table).where(n.id.in_(ids)).order_by(n.id))]


def settle(tx: Transaction, notice: Notice, told: Told, now: datetime) -> State | None:
    """Write down what came of telling a claimed notice. None: the claim had run out and another has it; nothing is changed."""
    n = notice_table.c
    # The number of tries is the claim's fence: whoever comes with an older one has lost it.
    mine = (n.id == notice.id) & (n.tries == notice.tries) & (n.state == State.WAITING)
    row = tx.execute(select(n.gives_up_at).where(mine)).one_or_none()
    if row is None:
        return None
    values: dict[str, Any]
    if told.ok:
        # A letter's words lie with its message now, and go when that goes.
        values = {"state": State.TOLD, "due_at": None, "settled_at": now}
        if notice.kind is Kind.MAIL:
            values["payload"] = {"subject": notice.payload.get("subject", "")}
    elif (again := tx.now + wait_after(notice.tries, told.again)) < row.gives_up_at:
        values = {"state": State.WAITING, "due_at": again}
    else:
        values = {"state": State.GIVEN_UP, "due_at": None, "settled_at": now}
    if tx.execute(update(notice_table).where(mine).values(**values)).rowcount != 1:
        return None
    tx.execute(
        insert(notice_try_table).values(
            notice_id=notice.id,
            n=notice.tries,
            at=now,
            status=told.status,
            words=told.words[:2000],
            seconds=told.seconds,
        )
    )
    return State(values["state"])


def wait_after(tries: int, asked: timedelta | None = None, spread: float | None = None) -> timedelta:
    """How long to wait after so many tries; at least as long as the other side has asked for, within reason."""
    usual = WAITS[min(tries, len(WAITS)) - 1]
    share = random.uniform(-_SPREAD, _SPREAD) if spread is None else spread  # noqa: S311 - not a secret
    return max(usual * (1 + share), min(asked or timedelta(0), LONGEST_WAIT))


# --- what a person does --------------------------------------------------------------------------------------------


def find_notices(
    tx: Transaction, *, states: Sequence[State] = (), kind: Kind | None = None, target: str = "", about: str = "", limit: int = 100,
    failing: bool = False,
) -> list[Notice]:  # fmt: skip
    """The newest first. `failing`: only those that wait and have been tried in vain."""
    n = notice_table.c
    query = select(notice_table).order_by(n.id.desc()).limit(limit)
    if states:
        query = query.where(n.state.in_(states))
    if failing:
        query = query.where(n.state == State.WAITING, n.tries > 0)
    for column, value in ((n.kind, kind), (n.target, target), (n.about, about)):
        if value:
            query = query.where(column == value)
    return [_notice(row) for row in tx.execute(query)]


def get_notice(tx: Transaction, ref: str) -> Notice:
    """Raises NotFound."""
    row = tx.execute(select(notice_table).where(notice_table.c.ref == ref)).one_or_none()
    if row is None:
        raise NotFound(kind="notice", name=ref)
    return _notice(row)


def tries_of(tx: Transaction, notice_id: int) -> list[Try]:
    t = notice_try_table.c
    rows = tx.execute(select(notice_try_table).where(t.notice_id == notice_id).order_by(t.n))
    return [Try(row.n, row.at, row.status, row.words, row.seconds) for row in rows]


def last_words(tx: Transaction, notices: Sequence[Notice]) -> dict[int, Try]:
    """The newest try of each, where there is one; one question for all."""
    t = notice_try_table.c
    newest = (
        select(t.notice_id, sql.max(t.n).label("n"))
        .where(t.notice_id.in_([one.id for one in notices]))
        .group_by(t.notice_id)
        .subquery()
    )
    joined = notice_try_table.join(newest, (t.notice_id == newest.c.notice_id) & (t.n == newest.c.n))
    rows = tx.execute(select(notice_try_table).select_from(joined))
    return {row.notice_id: Try(row.n, row.at, row.status, row.words, row.seconds) for row in rows}


def retry(tx: Transaction, refs: Sequence[str]) -> int:
    """Have them told now, also those that were given up (with all their days before them again). Returns how many."""
    n = notice_table.c
    values = {"state": State.WAITING, "due_at": tx.now, "gives_up_at": tx.now + GIVE_UP_AFTER, "settled_at": None}
    may = n.ref.in_(refs) & n.state.in_([State.WAITING, State.GIVEN_UP])
    return tx.execute(update(notice_table).where(may).values(**values)).rowcount


def drop(tx: Transaction, refs: Sequence[str], now: datetime) -> int:
    """Have them told no more. Returns how many."""
    n = notice_table.c
    may = n.ref.in_(refs) & n.state.in_([State.WAITING, State.GIVEN_UP])
    return tx.execute(update(notice_table).where(may).values(state=State.DROPPED, due_at=None, settled_at=now)).rowcount


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is left to tell."""

    waiting: int
    given_up: int  # a person must look
    oldest: timedelta  # how long the oldest that waits has done so, since it was put or a person had it tried again


def backlog(tx: Transaction) -> Backlog:
    """By two small indexes, however much has been told."""
    n = notice_table.c
    waiting: Any = tx.execute(select(sql.count(), sql.min(n.gives_up_at, type_=Moment)).where(_due)).one()
    given_up: int = tx.execute(select(sql.count()).where(_given_up)).scalar_one()
    number, first_end = waiting
    oldest = tx.now - (first_end - GIVE_UP_AFTER) if number else timedelta(0)
    return Backlog(number, given_up, max(oldest, timedelta(0)))


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        row.id, row.ref, Kind(row.kind), row.target, row.about, row.payload, row.created_at, State(row.state), row.due_at,
        row.tries, row.settled_at,
    )  # fmt: skip
