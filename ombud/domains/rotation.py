"""Changing a domain's key without a moment in which a mail that was sent fails.

    next ─> published ─> seen ─> active ─> retiring ─> revoked

The next key stands in DNS, and every server that can be asked shows it, for as long as any receiver may keep an older answer;
only then is mail signed with it. The key before it can be verified until no mail signed with it can be on its way. Each step
is a guarded update: two processes that take it at a time take it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, func, or_, select, update

from ombud.db import Transaction
from ombud.db.snapshot import touch
from ombud.domains.keys import (
    KEY_COLUMNS,
    SLOTS,
    WAITING,
    Key,
    KeyState,
    as_key,
    keys_of,
    signing_key_table,
)
from ombud.domains.table import domain_table
from ombud.domains.zone import ZoneRecord, put_zone_record
from ombud.errors import RotationUnderWay

#: A revoked key's record (RFC 6376 3.6.1): it says that the key is no more, where none at all could be a mistake.
REVOKED_RECORD = "v=DKIM1; p="
_SOON, _LATER, _SELDOM = timedelta(minutes=1), timedelta(hours=1), timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Timing:
    """`settle`: the least wait from when everybody can see a key until it is used. `hold`: how long it can be verified after its
    last use. `rotate_after`: the age at which a key is changed unasked; None: never."""

    settle: timedelta = timedelta(hours=1)
    hold: timedelta = timedelta(days=7)
    rotate_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a rotation needs: a key of this selector and algorithm, in the vendor's zone or (`vendor_zone` "") the customer's.

    `waiting`: it is there already, and only has to be told to take over.
    """

    domain: str
    selector: str
    algorithm: str
    vendor_zone: str
    waiting: Key | None


# --- asking for it ---------------------------------------------------------------------------------------------------


def plan_rotation(
    tx: Transaction, domain: str, algorithm: str, vendor_zone: str, now: datetime, selector: str = ""
) -> Wish:
    """What has to be made before the domain's key can be changed. Raises RotationUnderWay when there is no free selector."""
    keys = [key for key in keys_of(tx, domain) if key.algorithm == algorithm]
    waiting = next((key for key in reversed(keys) if key.state in WAITING and selector in ("", key.selector)), None)
    if waiting:
        return Wish(domain, waiting.selector, algorithm, _zone_of(waiting), waiting)
    if selector:
        return Wish(domain, selector, algorithm, vendor_zone, None)
    taken = {key.selector for key in keys_of(tx, domain)}
    if not vendor_zone:
        return Wish(domain, _dated(now, taken), algorithm, "", None)
    free = [slot for slot in SLOTS[algorithm] if slot not in taken]
    if not free:
        until = max((key.keep_until for key in keys if key.keep_until), default=now)
        raise RotationUnderWay(domain=domain, until=f"{until:%Y-%m-%d}")
    return Wish(domain, free[0], algorithm, vendor_zone, None)


def _zone_of(key: Key) -> str:
    return key.home.partition(".")[2].partition(".")[2]


def _dated(now: datetime, taken: set[str]) -> str:
    """A selector that says when it was made: `om202405`, and with a letter when there is one already."""
    name = f"om{now:%Y%m}"
    return next(one for one in (name, *(name + letter for letter in "bcdefghijklmnopqrstuvwxyz")) if one not in taken)


def ask_switch(tx: Transaction, key: Key, now: datetime) -> None:
    """Let the waiting key take over as soon as it can."""
    tx.execute(_one(key).values(switch_at=now, look_at=now))


def end_hold(tx: Transaction, domain: str, now: datetime) -> int:
    """Do not wait any longer for mail on its way: a key that somebody else may have must go. Says how many it concerns."""
    table = signing_key_table.c
    late = update(signing_key_table).where(table.domain == domain, table.state == KeyState.RETIRING)
    return tx.execute(late.values(keep_until=now)).rowcount


# --- what is due -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """What the next round has to do: look whether keys can be seen; let keys take over; take keys back; make spare keys."""

    look: Sequence[Key]
    switch: Sequence[Key]
    revoke: Sequence[Key]
    spare: Sequence[tuple[str, str, str]]  # domain, selector, algorithm


def due(tx: Transaction, now: datetime, timing: Timing, vendor_zone: str, most: int) -> Due:
    """At most `most` of each, the longest due first."""
    table = signing_key_table.c

    def keys(*conditions: Any, order: Any) -> list[Key]:
        rows = select(*KEY_COLUMNS).where(*conditions).order_by(order).limit(most)
        return [as_key(row) for row in tx.execute(rows)]

    look = keys(table.state.in_([KeyState.NEXT, KeyState.PUBLISHED]), table.look_at <= now, order=table.look_at)
    seen = keys(table.state == KeyState.SEEN, table.switch_at <= now, table.look_at <= now, order=table.look_at)
    ripe = [key for key in seen if key.seen_at and now >= key.seen_at + _settle(key, timing)]
    revoke = keys(table.state == KeyState.RETIRING, table.keep_until <= now, order=table.keep_until)
    return Due(look, ripe, revoke, _spares(tx, most) if vendor_zone else ())


def _settle(key: Key, timing: Timing) -> timedelta:
    return max(timing.settle, timedelta(seconds=key.ttl or 0))


def _spares(tx: Transaction, most: int) -> list[tuple[str, str, str]]:
    """Domains whose key is in the vendor's zone and whose other selector is free: the next key is made ahead of time, so that
    both CNAMEs lead to something, and so that a key can be changed at once when it has to be."""
    active, other = signing_key_table.alias("active"), signing_key_table.alias("other")
    another = exists().where(
        other.c.domain == active.c.domain, other.c.algorithm == active.c.algorithm, other.c.id != active.c.id,
        other.c.state != KeyState.REVOKED,
    )  # fmt: skip
    rows = select(active.c.domain, active.c.selector, active.c.algorithm).where(
        active.c.state == KeyState.ACTIVE, active.c.home != "", ~another
    )
    found = []
    for row in tx.execute(rows.order_by(active.c.id).limit(most)):
        free = next((slot for slot in SLOTS[row.algorithm] if slot != row.selector), "")
        found.append((row.domain, free, row.algorithm))
    return found


def domains_without_keys(tx: Transaction) -> list[str]:
    """Proved domains that have no key to sign with, and none that waits."""
    table = signing_key_table.c
    has = exists().where(table.domain == domain_table.c.name, table.state.in_([*WAITING, KeyState.ACTIVE]))
    return list(tx.execute(select(domain_table.c.name).where(~has).order_by(domain_table.c.name)).scalars())


def ask_old_to_go(tx: Transaction, now: datetime, timing: Timing, most: int) -> int:
    """Ask for a rotation of the keys that have grown too old, a few at a time. Says of how many."""
    if timing.rotate_after is None:
        return 0
    active, spare = signing_key_table.alias("active"), signing_key_table.alias("spare")
    rows = (
        select(func.min(spare.c.id))
        .join_from(
            active,
            spare,
            and_(spare.c.domain == active.c.domain, spare.c.algorithm == active.c.algorithm, spare.c.home != ""),
        )
        .where(
            active.c.state == KeyState.ACTIVE,
            or_(
                active.c.activated_at <= now - timing.rotate_after,
                and_(active.c.activated_at.is_(None), active.c.created_at <= now - timing.rotate_after),
            ),
            spare.c.state.in_(WAITING),
            spare.c.switch_at.is_(None),
        )
        .group_by(active.c.id)
        .limit(most)
    )
    ids = list(tx.execute(rows).scalars())
    if ids:
        table = signing_key_table.c
        tx.execute(update(signing_key_table).where(table.id.in_(ids)).values(switch_at=now, look_at=now))
    return len(ids)


def rotating(tx: Transaction, domain: str | None = None) -> list[Key]:
    """Every key that is on its way from one state to the next: waiting or retiring, of one domain or of all."""
    table = signing_key_table.c
    rows = select(*KEY_COLUMNS).where(table.state.in_([*WAITING, KeyState.RETIRING]))
    if domain:
        rows = rows.where(table.domain == domain)
    return [as_key(row) for row in tx.execute(rows.order_by(table.domain, table.id))]


# --- the steps -------------------------------------------------------------------------------------------------------


def mark_in_zone(tx: Transaction, records: Sequence[ZoneRecord], now: datetime) -> None:
    """The vendor's zone has taken these records: their keys are published."""
    table = signing_key_table.c
    homes = [record.name for record in records if record.kind == "TXT" and record.remove_at is None]
    new = update(signing_key_table).where(table.home.in_(homes), table.state == KeyState.NEXT)
    if homes:
        tx.execute(new.values(state=KeyState.PUBLISHED, published_at=now, look_at=now))


def mark_seen(tx: Transaction, key: Key, ttl: int | None, now: datetime) -> None:
    """Everybody who was asked shows the key, and may keep the answer for `ttl` seconds."""
    tx.execute(
        _one(key).values(
            state=KeyState.SEEN, seen_at=now, ttl=ttl, look_at=now, published_at=key.published_at or now,
        )
    )  # fmt: skip


def look_again(tx: Transaction, key: Key, now: datetime, *, gone: bool = False) -> None:
    """It cannot be seen yet (`gone`: not any more). Looks are frequent at first and then rare, without end."""
    waited = now - max(key.created_at, key.switch_at or key.created_at)
    wait = _SOON if waited < _LATER else _LATER if waited < timedelta(days=3) else _SELDOM
    values: dict[str, Any] = {"look_at": now + wait}
    if gone:
        values |= {"state": KeyState.PUBLISHED, "seen_at": None}
    tx.execute(_one(key).values(**values))


def activate(tx: Transaction, key: Key, timing: Timing, now: datetime) -> bool:
    """Sign with this key from now on; the one before it stays verifiable. False when another process was quicker."""
    table = signing_key_table.c
    if tx.execute(_one(key).values(state=KeyState.ACTIVE, activated_at=now, look_at=None)).rowcount != 1:
        return False
    before = update(signing_key_table).where(
        table.domain == key.domain, table.algorithm == key.algorithm, table.state == KeyState.ACTIVE, table.id != key.id
    )
    tx.execute(before.values(state=KeyState.RETIRING, retired_at=now, keep_until=now + timing.hold))
    touch(tx)
    return True


def revoke(tx: Transaction, key: Key, now: datetime) -> bool:
    """Destroy the private half, and let DNS say that the key is no more. False when another process was quicker."""
    gone = _one(key).values(state=KeyState.REVOKED, revoked_at=now, sealed_private=b"")
    if tx.execute(gone).rowcount != 1:
        return False
    if key.home:
        put_zone_record(tx, key.home, "TXT", REVOKED_RECORD, now)
    return True


def is_proved(tx: Transaction, domain: str) -> bool:
    return tx.execute(select(domain_table.c.name).where(domain_table.c.name == domain)).first() is not None


def _one(key: Key) -> Any:
    """An update of this key, if it is still in the state that we saw."""
    table = signing_key_table.c
    return update(signing_key_table).where(table.id == key.id, table.state == key.state)
