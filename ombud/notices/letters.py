"""Letters to people: each one a fact, sent through Ombud's own way in, and followed until it has arrived or come back.

A letter is put into the outbox in the transaction of what it tells about. `key` says what it is: there is never a second letter
of the same key, whoever runs what twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, Row, Table, Text, select, update
from sqlalchemy import func as sql
from sqlalchemy import insert as sql_insert
from sqlalchemy.exc import IntegrityError

from ombud.accounts.links import LINK_DAYS, Scope, link_path, make_links
from ombud.accounts.people import Person, mark_all_bounced
from ombud.accounts.vendor import Vendor
from ombud.db import Identity, Many, Moment, Transaction, metadata
from ombud.notices.outbox import Kind, put_notices
from ombud.notices.writing import Written, letter_text, write
from ombud.queue import State, Stream
from ombud.queue.find import tally
from ombud.seal import Seal

letter_table = Table(
    "letter",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("text", Text, nullable=False),  # which one
    Column("version", Text, nullable=False),  # of the text
    Column("language", Text, nullable=False),
    Column("campaign", Text, nullable=False),  # its slug; "": about no campaign
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("person_id", Identity, ForeignKey("person.id")),
    Column("address", Text, nullable=False),
    Column("stage", Text, nullable=False),  # where the customer stood
    Column("ball", Text, nullable=False),  # and who had the ball
    Column("at", Moment, nullable=False),
    Column("notice_ref", Text, nullable=False, unique=True),
    Column("message_id", Text),  # Ombud's id of the message; NULL: it waits in the outbox
    Column("outcome", Text),  # the message's end
    Column("outcome_at", Moment),
    Index("ix_letter_campaign", "campaign", "customer_id"),
    Index("ix_letter_customer_id", "customer_id"),
)
_l = letter_table.c
_open = _l.outcome.is_(None) & _l.message_id.is_not(None)
Index("ix_letter_open", _l.id, sqlite_where=_open, postgresql_where=_open)

#: Letters are followed, and keys looked up, so many at a time.
_PAGE = 1000
#: Ends that mean: this address does not work.
_CAME_BACK = (State.FAILED, State.EXPIRED)


@dataclass(frozen=True, slots=True)
class LinkWish:
    """A personal link that a letter is to carry."""

    scope: Scope
    about: str
    valid_for: timedelta = timedelta(days=LINK_DAYS)


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter to one person, before it is written."""

    key: str
    text: str  # which one
    customer_id: int
    person_id: int | None
    name: str
    address: str
    language: str
    values: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, LinkWish] = field(default_factory=dict)  # by the name that the text has for the address
    campaign: str = ""
    stage: str = ""
    ball: str = ""
    stream: Stream = Stream.TRANSACTIONAL


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter that has been put."""

    key: str
    text: str
    version: str
    language: str
    campaign: str
    customer_id: int
    person_id: int | None
    address: str
    stage: str
    ball: str
    at: datetime
    message_id: str | None
    outcome: State | None
    outcome_at: datetime | None


@dataclass(frozen=True, slots=True)
class Writer:
    """What every letter needs beside its own values: who writes, and where links lead."""

    seal: Seal
    vendor: Vendor | None
    base_url: str  # without a slash at its end

    def values(self, letter: Letter, addresses: Mapping[str, str]) -> dict[str, str]:
        vendor = self.vendor
        hello = "Hej" if letter.language == "sv" else "Hello"
        common = {
            "greeting": " ".join([hello, *letter.name.split()[:1]]),  # by the first name
            "vendor": vendor.name if vendor else "",
            "signature": (vendor.signature or vendor.name) if vendor else "",
            "phone": vendor.phone if vendor else "",
        }
        return {**common, **letter.values, **addresses}

    def sample(self, letter: Letter) -> Written:
        """The letter as it would be written, with links that open nothing: for a preview."""
        shown = {name: f"{self.base_url}/{link_path(wish.scope)}/EXAMPLE" for name, wish in letter.links.items()}
        return write(letter.text, letter.language, self.values(letter, shown))


def to_person(person: Person, customer_id: int, key: str, text: str, **more: Any) -> Letter:
    """A letter to a person. The customer is said too: the vendor's own people are written to about one."""
    return Letter(key, text, customer_id, person.id, person.name, person.email, person.language, **more)


_LETTERS = Many(
    sql_insert(letter_table), "key", "text", "version", "language", "campaign", "customer_id", "person_id", "address", "stage",
    "ball", "at", "notice_ref",
)  # fmt: skip


def put_letters(
    tx: Transaction, writer: Writer, letters: Sequence[Letter], now: datetime, *, by: str = ""
) -> list[Letter]:
    """Have letters sent, but for those whose key was used before. Returns the new ones, in order.

    Raises MissingVariable when a text needs a value that a letter does not have; then none of them is put.
    """
    try:
        with tx.savepoint():
            return _put(tx, writer, letters, now, by)
    except IntegrityError:  # another process has just put some of them: they are known now
        return _put(tx, writer, letters, now, by)


def _put(tx: Transaction, writer: Writer, letters: Sequence[Letter], now: datetime, by: str) -> list[Letter]:
    unique = {letter.key: letter for letter in letters}
    known = known_keys(tx, list(unique))
    new = [letter for key, letter in unique.items() if key not in known]
    wishes = [(letter, name, wish) for letter in new for name, wish in letter.links.items()]
    tokens = make_links(
        tx, writer.seal, [(wish.scope, wish.about, wish.valid_for, letter.customer_id, letter.person_id) for letter, _, wish in wishes],
        now, by=by,
    )  # fmt: skip
    addresses: dict[str, dict[str, str]] = {letter.key: {} for letter in new}
    for (letter, name, wish), token in zip(wishes, tokens, strict=True):
        addresses[letter.key][name] = f"{writer.base_url}/{link_path(wish.scope)}/{token}"
    notices = [
        _notice(letter, write(letter.text, letter.language, writer.values(letter, addresses[letter.key])))
        for letter in new
    ]
    refs = put_notices(tx, Kind.MAIL, notices, now)
    _LETTERS.run(
        tx,
        [
            (
                one.key, one.text, letter_text(one.text, one.language).version, one.language, one.campaign, one.customer_id,
                one.person_id, one.address, one.stage, one.ball, now, ref,
            )
            for one, ref in zip(new, refs, strict=True)
        ],
    )  # fmt: skip
    return new


def _notice(letter: Letter, written: Written) -> tuple[str, Mapping[str, Any], str]:
    payload = {
        "name": letter.name, "subject": written.subject, "text": written.text, "html": written.html,
        "stream": letter.stream.value, "tags": [tag for tag in (letter.campaign, letter.text) if tag],
    }  # fmt: skip
    return letter.address, payload, f"letter:{letter.key}"


# --- what has been sent, and what came of it ------------------------------------------------------------------------


def known_keys(tx: Transaction, keys: Sequence[str]) -> set[str]:
    """Those of the keys that a letter has already."""
    found: set[str] = set()
    for page in _pages(keys):
        found.update(row.key for row in tx.execute(select(_l.key).where(_l.key.in_(page))))
    return found


def keys_like(tx: Transaction, beginning: str, since: datetime) -> set[str]:
    """The keys that begin like this, of letters put since then."""
    found = tx.execute(select(_l.key).where(_l.key.startswith(beginning, autoescape=True), _l.at >= since))
    return {row.key for row in found}


def letters_of(tx: Transaction, *, campaign: str | None = None, customer_id: int | None = None) -> list[Sent]:
    """The letters, oldest first: of one campaign, to one customer, or all."""
    query = select(letter_table).order_by(_l.id)
    if campaign is not None:
        query = query.where(_l.campaign == campaign)
    if customer_id is not None:
        query = query.where(_l.customer_id == customer_id)
    return [_sent(row) for row in tx.execute(query)]


def first_arrivals(tx: Transaction, campaign: str) -> dict[int, datetime]:
    """Each customer that a letter of the campaign has arrived at, and when the first did. One question for all."""
    rows: Sequence[Any] = tx.execute(
        select(_l.customer_id, sql.min(_l.outcome_at, type_=Moment))
        .where(_l.campaign == campaign, _l.outcome == State.DELIVERED)
        .group_by(_l.customer_id)
    ).all()
    return dict(rows)


def last_letters(tx: Transaction, campaign: str) -> dict[tuple[int, str], datetime]:
    """When each person was last sent each of the campaign's letters. One question for all."""
    query = select(_l.person_id, _l.text, sql.max(_l.at, type_=Moment)).where(
        _l.campaign == campaign, _l.person_id.is_not(None)
    )
    rows: Sequence[Any] = tx.execute(query.group_by(_l.person_id, _l.text)).all()
    return {(person, text): at for person, text, at in rows}


def submitted(tx: Transaction, ref: str, message_id: str) -> None:
    """The letter of this notice is on its way as that message."""
    tx.execute(update(letter_table).where(_l.notice_ref == ref).values(message_id=message_id))


def follow_letters(tx: Transaction, now: datetime) -> dict[State, int]:
    """See what became of letters that are on their way; who is written to in vain is marked, who is reached is unmarked.

    Returns how many ended, by state.
    """
    ended: dict[State, int] = {}
    last = 0
    while rows := tx.execute(
        select(_l.id, _l.message_id, _l.person_id).where(_open, _l.id > last).order_by(_l.id).limit(_PAGE)
    ).all():
        last = rows[-1].id
        states = tally(tx, [row.message_id for row in rows])
        ends: dict[State, list[Row[Any]]] = {}
        for row in rows:
            end = next((state for state in states.get(row.message_id, {}) if state.final), None)
            if end is not None:
                ends.setdefault(end, []).append(row)
        for state, those in ends.items():
            ids, people = [row.id for row in those], [row.person_id for row in those if row.person_id is not None]
            tx.execute(update(letter_table).where(_l.id.in_(ids)).values(outcome=state, outcome_at=now))
            if state in _CAME_BACK or state is State.DELIVERED:
                mark_all_bounced(tx, people, now if state in _CAME_BACK else None)
            ended[state] = ended.get(state, 0) + len(those)
    return ended


def _pages(keys: Sequence[str]) -> list[list[str]]:
    left = iter(keys)
    pages = []
    while page := list(islice(left, _PAGE)):
        pages.append(page)
    return pages


def _sent(row: Row[Any]) -> Sent:
    return Sent(
        row.key, row.text, row.version, row.language, row.campaign, row.customer_id, row.person_id, row.address, row.stage,
        row.ball, row.at, row.message_id, State(row.outcome) if row.outcome else None, row.outcome_at,
    )  # fmt: skip
