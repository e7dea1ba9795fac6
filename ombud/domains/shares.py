"""The supplier's page of a domain: a link for the one who keeps its DNS, without a log-in, and what was said through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from ombud.accounts.links import (
    LINK_DAYS,
    Link,
    Scope,
    links_about,
    make_link,
    note_use,
    open_link,
    renew_link,
    revoke_link,
    uses_of,
)
from ombud.db import Transaction
from ombud.domains.table import domain_table
from ombud.domains.watchlist import look_again
from ombud.errors import NotFound, TooSoon
from ombud.seal import Seal

#: What may be said through a link.
DONE, CANNOT = "done", "cannot"
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a page's log. `what`: made, revoked, done, cannot."""

    at: datetime
    what: str
    by: str
    reason: str = ""


def share(
    tx: Transaction, seal: Seal, domain: str, by: str, now: datetime, *,
    days: int = LINK_DAYS, person_id: int | None = None,
) -> str:  # fmt: skip
    """A new link to the page of a proved domain: its token, shown here and never again. Raises NotFound."""
    owner = _owner(tx, domain)
    return make_link(
        tx, seal, Scope.DOMAIN, domain, now, timedelta(days=days), customer_id=owner, person_id=person_id, by=by
    )


def shares_of(tx: Transaction, domain: str) -> Sequence[Link]:
    """The links to the domain's page, newest first; expired and revoked ones too. Raises NotFound."""
    return links_about(tx, Scope.DOMAIN, domain, _owner(tx, domain))


def open_share(tx: Transaction, seal: Seal, token: str, now: datetime) -> Link:
    """The link of a token. Raises what `open_link` does, and NotFound when the domain was given up, or is another's now."""
    link = open_link(tx, seal, token, Scope.DOMAIN, now)
    if _owner(tx, link.about) != link.customer_id:
        raise NotFound(kind="domain", name=link.about)
    return link


def _owner(tx: Transaction, domain: str) -> int:
    owner = tx.execute(select(domain_table.c.customer_id).where(domain_table.c.name == domain)).scalar_one_or_none()
    if owner is None:
        raise NotFound(kind="domain", name=domain)
    return int(owner)


def _open(tx: Transaction, domain: str) -> list[Link]:
    return [one for one in shares_of(tx, domain) if one.revoked_at is None]


def renew_shares(tx: Transaction, domain: str, now: datetime, days: int = LINK_DAYS) -> int:
    """Let the links that were not revoked live on. Says how many."""
    links = _open(tx, domain)
    for one in links:
        renew_link(tx, one.id, now, timedelta(days=days))
    return len(links)


def revoke_shares(tx: Transaction, domain: str, now: datetime) -> int:
    """Let nobody open the page any more. Says how many links it concerns."""
    links = _open(tx, domain)
    for one in links:
        revoke_link(tx, one.id, now)
    return len(links)


def say_done(tx: Transaction, link: Link, now: datetime, peer: str) -> bool:
    """The supplier has done it: noted, and looked at at once. False when it was looked at just now: then soon again."""
    note_use(tx, link, DONE, now, peer)
    try:
        look_again(tx, link.about, now)
    except TooSoon:
        return False
    return True


def say_cannot(tx: Transaction, link: Link, reason: str, now: datetime, peer: str) -> None:
    """The supplier cannot, and says why: a person must read it."""
    note_use(tx, link, CANNOT, now, peer, {"reason": reason[:MAX_REASON]})


def page_log(tx: Transaction, link: Link) -> list[Entry]:
    """What has happened on the page, oldest first: all its links, since a new one goes on where the old one ended."""
    entries: list[Entry] = []
    for one in links_about(tx, Scope.DOMAIN, link.about, link.customer_id):
        entries.append(Entry(one.created_at, "made", one.by))
        if one.revoked_at:
            entries.append(Entry(one.revoked_at, "revoked", ""))
        entries += [
            Entry(use.at, use.what, "it_supplier", str(use.answer.get("reason", ""))) for use in uses_of(tx, one.id)
        ]
    return sorted(entries, key=lambda entry: entry.at)
