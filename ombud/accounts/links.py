"""Personal links: a page that one person may open without logging in. Signed, scoped, expiring, revocable.

A link's token is 160 random bits and a MAC of them under a key of this installation. A forged one is refused before the
database is asked; and since only a hash is kept, whoever reads the database cannot open a page with it.

A page is *read* with GET, which changes nothing (mail scanners follow every link), and acted on with POST.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from ombud.clock import day_of
from ombud.db import Identity, Json, Many, Moment, Transaction, metadata
from ombud.errors import LinkExpired, LinkForged, LinkOfAnotherKind, LinkRevoked, NotFound
from ombud.ids import new_secret
from ombud.seal import Seal

link_table = Table(
    "link",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("about", Text, nullable=False),  # the campaign's slug, the domain's name
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("person_id", Identity, ForeignKey("person.id")),
    Column("made_by", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Index("ix_link_about", "scope", "about", "customer_id"),
)

link_use_table = Table(
    "link_use",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("link_id", Identity, ForeignKey("link.id"), nullable=False),
    Column("what", Text, nullable=False),
    Column("once", Text),  # set: the link does this a single time
    Column("at", Moment, nullable=False),
    Column("peer", Text, nullable=False),
    Column("answer", Json, nullable=False),
    UniqueConstraint("link_id", "once"),
)

_PURPOSE = "link"
_ID = 32  # characters of the random half
_MAC = 16  # bytes of the MAC, written as hexadecimal
LINK_DAYS = 40  # an IT supplier may take its time


class Scope(StrEnum):
    CHOOSE = "choose"  # make a campaign's choice; about: the campaign's slug
    DOMAIN = "domain"  # the supplier's page of one domain; about: its name
    SNOOZE = "snooze"  # be left alone for up to a week; about: the campaign's slug


_PATHS = {Scope.CHOOSE: "c", Scope.DOMAIN: "d", Scope.SNOOZE: "s"}


@dataclass(frozen=True, slots=True)
class Link:
    id: int
    scope: Scope
    about: str
    customer_id: int
    person_id: int | None
    by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """Something that was done through a link: a POST, never a GET."""

    what: str
    at: datetime
    peer: str
    answer: Mapping[str, Any]


_LINKS = Many(
    insert(link_table),
    "token_hash",
    "scope",
    "about",
    "customer_id",
    "person_id",
    "made_by",
    "created_at",
    "expires_at",
)


def make_link(
    tx: Transaction, seal: Seal, scope: Scope, about: str, now: datetime, valid_for: timedelta = timedelta(days=LINK_DAYS),
    *, customer_id: int, person_id: int | None = None, by: str = "",
) -> str:  # fmt: skip
    """A new link's token, for the address: it is shown here and never again."""
    return make_links(tx, seal, [(scope, about, valid_for, customer_id, person_id)], now, by=by)[0]


#: Scope, about, how long, the customer, the person.
Wish = tuple[Scope, str, timedelta, int, int | None]


def make_links(tx: Transaction, seal: Seal, wishes: Sequence[Wish], now: datetime, *, by: str = "") -> list[str]:
    """Many new links at once: their tokens, in order."""
    tokens = [_new_token(seal) for _ in wishes]
    _LINKS.run(
        tx,
        [
            (_hash(token), scope, about, customer_id, person_id, by, now, now + valid_for)
            for token, (scope, about, valid_for, customer_id, person_id) in zip(tokens, wishes, strict=True)
        ],
    )
    return tokens


def _new_token(seal: Seal) -> str:
    secret = new_secret()
    return secret + seal.sign(secret.encode(), _PURPOSE)[:_MAC].hex()


def link_path(scope: Scope) -> str:
    """The first part of the address of a scope's page; the token is the second."""
    return _PATHS[scope]


def find_link(tx: Transaction, seal: Seal, token: str) -> Link:
    """The link of a token, expired and revoked ones too. Raises LinkForged."""
    secret, mac = token[:_ID], token[_ID:]
    try:
        genuine = seal.signed(secret.encode("utf-8", "surrogatepass"), _PURPOSE, bytes.fromhex(mac))
    except ValueError:
        genuine = False
    if not genuine:
        raise LinkForged()
    # By the hash of the whole token: one link has one way to be written.
    found = tx.execute(select(link_table).where(link_table.c.token_hash == _hash(token))).one_or_none()
    if found is None:  # signed by us, and not of this database: a copy that was restored from before it was made
        raise LinkForged()
    return _link(found)


def open_link(tx: Transaction, seal: Seal, token: str, scope: Scope, now: datetime) -> Link:
    """The link of a token, if it may be used for `scope` now. Changes nothing.

    Raises LinkForged, LinkOfAnotherKind, LinkRevoked or LinkExpired.
    """
    link = find_link(tx, seal, token)
    if link.scope is not scope:
        raise LinkOfAnotherKind()
    if link.revoked_at is not None:
        raise LinkRevoked(at=day_of(link.revoked_at).isoformat())
    if now >= link.expires_at:
        raise LinkExpired(until=day_of(link.expires_at).isoformat())
    return link


def renew_link(tx: Transaction, link_id: int, now: datetime, valid_for: timedelta = timedelta(days=LINK_DAYS)) -> Link:
    """Let the same link live on, until `valid_for` from now; never shorter than it had. Raises NotFound, LinkRevoked."""
    link = link_by_id(tx, link_id)
    if link.revoked_at is not None:
        raise LinkRevoked(at=day_of(link.revoked_at).isoformat())
    until = max(link.expires_at, now + valid_for)
    tx.execute(update(link_table).where(link_table.c.id == link_id).values(expires_at=until))
    return link_by_id(tx, link_id)


def revoke_link(tx: Transaction, link_id: int, now: datetime) -> Link:
    """Let nobody open it any more. Again is fine: the first time stands. Raises NotFound."""
    link_by_id(tx, link_id)
    unrevoked = (link_table.c.id == link_id) & link_table.c.revoked_at.is_(None)
    tx.execute(update(link_table).where(unrevoked).values(revoked_at=now))
    return link_by_id(tx, link_id)


def link_by_id(tx: Transaction, link_id: int) -> Link:
    """Raises NotFound."""
    found = tx.execute(select(link_table).where(link_table.c.id == link_id)).one_or_none()
    if found is None:
        raise NotFound(kind="link", name=link_id)
    return _link(found)


def links_about(
    tx: Transaction, scope: Scope | None = None, about: str = "", customer_id: int | None = None
) -> list[Link]:
    """The links, newest first: of one scope, about one thing, of one customer, or all."""
    rows = select(link_table).order_by(link_table.c.id.desc())
    if scope:
        rows = rows.where(link_table.c.scope == scope)
    if about:
        rows = rows.where(link_table.c.about == about)
    if customer_id is not None:
        rows = rows.where(link_table.c.customer_id == customer_id)
    return [_link(row) for row in tx.execute(rows)]


# --- what was done through them ------------------------------------------------------------------------------------


def note_use(
    tx: Transaction, link: Link, what: str, now: datetime, peer: str = "", answer: Mapping[str, Any] | None = None
) -> None:
    """Write down that something was done through the link."""
    values = {"link_id": link.id, "what": what, "at": now, "peer": peer, "answer": dict(answer or {})}
    tx.execute(insert(link_use_table).values(**values))


def use_once(
    tx: Transaction, link: Link, what: str, now: datetime, peer: str = "", answer: Mapping[str, Any] | None = None
) -> tuple[Use, bool]:
    """Write down something that the link does a single time. When it was done before: what was answered then, and False."""
    use = Use(what, now, peer, dict(answer or {}))
    values = {"link_id": link.id, "what": what, "once": what, "at": now, "peer": peer, "answer": use.answer}
    try:
        with tx.savepoint():
            tx.execute(insert(link_use_table).values(**values))
    except IntegrityError:
        return next(use for use in uses_of(tx, link.id) if use.what == what), False
    return use, True


def uses_of(tx: Transaction, link_id: int) -> list[Use]:
    """Everything that was done through the link, in order."""
    rows = select(link_use_table).where(link_use_table.c.link_id == link_id).order_by(link_use_table.c.id)
    return [Use(row.what, row.at, row.peer, row.answer) for row in tx.execute(rows)]


def first_uses(tx: Transaction, scope: Scope, about: str) -> dict[int, datetime]:
    """Each customer for whom somebody has acted through a link about this, and when first. One question for all."""
    joined = link_use_table.join(link_table, link_use_table.c.link_id == link_table.c.id)
    rows = (
        select(link_table.c.customer_id, func.min(link_use_table.c.at, type_=Moment))
        .select_from(joined)
        .where(link_table.c.scope == scope, link_table.c.about == about)
        .group_by(link_table.c.customer_id)
    )
    found: Sequence[Any] = tx.execute(rows).all()
    return dict(found)


def used_by(tx: Transaction, scope: Scope, about: str, what: str) -> dict[int, Mapping[str, Any]]:
    """Each person who has done this through a link about it, with what was answered the last time. One question for all."""
    joined = link_use_table.join(link_table, link_use_table.c.link_id == link_table.c.id)
    rows = (
        select(link_table.c.person_id, link_use_table.c.answer)
        .select_from(joined)
        .where(link_table.c.scope == scope, link_table.c.about == about, link_use_table.c.what == what)
        .order_by(link_use_table.c.id)
    )
    return {row.person_id: row.answer for row in tx.execute(rows) if row.person_id is not None}


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _link(row: Row[tuple[object, ...]]) -> Link:
    return Link(
        row.id, Scope(row.scope), row.about, row.customer_id, row.person_id, row.made_by, row.created_at, row.expires_at,
        row.revoked_at,
    )  # fmt: skip
