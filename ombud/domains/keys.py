"""The keys that sign for a domain, sealed at rest, and the ring that delivery signs with.

A key's record stands either in the customer's own zone (a TXT that the customer puts there), or in the vendor's (`home`), to
which two CNAMEs of the customer's point: one for the key in use and one for the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Row, Table, Text, delete, insert, select

from ombud.db import Identity, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.domains.zone import home_of, put_zone_record, remove_zone_record
from ombud.errors import SelectorTaken
from ombud.mail import dkim
from ombud.mail.dkim import SigningKey
from ombud.seal import Seal


class KeyState(StrEnum):
    """A key's life, in order. At most one key of a domain and algorithm is ACTIVE."""

    NEXT = "next"  # made; its record is not published yet, as far as we know
    PUBLISHED = "published"  # the vendor's zone has taken its record
    SEEN = "seen"  # receivers find it by the customer's name
    ACTIVE = "active"  # mail is signed with it
    RETIRING = "retiring"  # nothing is signed with it any more; its record stays for mail that is on its way
    REVOKED = "revoked"  # its private half is destroyed, its record taken back


#: States in which a key may take over one day.
WAITING = (KeyState.NEXT, KeyState.PUBLISHED, KeyState.SEEN)
#: The selectors that take turns where the customer's domain points into the vendor's zone.
SLOTS = {"rsa-sha256": ("om1", "om2"), "ed25519-sha256": ("om3", "om4")}
#: Mail from a domain that was given up may be on its way for so long; until then its keys can be verified.
IN_FLIGHT = timedelta(days=7)

signing_key_table = Table(
    "signing_key",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("domain", Text, ForeignKey("domain.name"), nullable=False, index=True),
    Column("selector", Text, nullable=False),
    Column("algorithm", Text, nullable=False),  # rsa-sha256 | ed25519-sha256
    Column("sealed_private", LargeBinary, nullable=False),  # empty once it is revoked
    Column("record", Text, nullable=False),  # the TXT value that must stand in DNS
    Column("created_at", Moment, nullable=False),
    Column("retired_at", Moment),
    Column("state", Text, nullable=False),
    Column("home", Text, nullable=False),  # where in the vendor's zone the record stands; "": in the customer's own
    Column("published_at", Moment),
    Column("seen_at", Moment),  # since when receivers find it, without a break
    Column("ttl", Integer),  # seconds that an answer about its name may be kept
    Column("look_at", Moment),  # when to look for it again
    Column("switch_at", Moment),  # from when it is to take over; NULL: it is a spare
    Column("activated_at", Moment),
    Column("keep_until", Moment),  # until when its record must stay after it was retired
    Column("revoked_at", Moment),
    Index("ix_signing_key_state", "state", "look_at"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret half."""

    id: int
    domain: str
    selector: str
    algorithm: str
    record: str
    home: str
    state: KeyState
    created_at: datetime
    published_at: datetime | None = None
    seen_at: datetime | None = None
    ttl: int | None = None
    look_at: datetime | None = None
    switch_at: datetime | None = None
    activated_at: datetime | None = None
    retired_at: datetime | None = None
    keep_until: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def name(self) -> str:
        """Where receivers look for it (RFC 6376 3.6.2.1)."""
        return record_name(self.domain, self.selector)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The DNS record by which receivers verify a key's signatures."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A record that must stand in the customer's zone for a domain's keys.

    With `target` it is a CNAME to there, and `text` is what must be found behind it ("": whatever valid key is there). Without,
    it is a TXT with `text`.
    """

    selector: str
    algorithm: str
    name: str
    target: str
    text: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The opened keys in use, by domain: RSA first, then Ed25519 where there is one."""

    keys: Mapping[str, Sequence[SigningKey]]

    def of(self, domain: str) -> Sequence[SigningKey]:
        return self.keys.get(domain, ())


# --- putting them there ----------------------------------------------------------------------------------------------


def keep_key(tx: Transaction, seal: Seal, key: SigningKey, now: datetime, *, vendor_zone: str = "") -> KeyRecord:
    """Seal a key of a proved domain; mail is signed with it from now on, so its record should be published first.

    The key is made before the transaction (`dkim.new_key`): RSA takes long enough to keep every other writer waiting. With
    `vendor_zone` its record is to stand there. Raises SelectorTaken.
    """
    touch(tx)
    return _insert(tx, seal, key, now, vendor_zone, state=KeyState.ACTIVE, activated_at=now)


def put_next(
    tx: Transaction, seal: Seal, key: SigningKey, now: datetime, *, vendor_zone: str = "", switch_at: datetime | None = None
) -> KeyRecord:  # fmt: skip
    """Seal a key that is to be published, and to take over when it has been seen and `switch_at` has come (None: when asked
    to). Raises SelectorTaken."""
    return _insert(tx, seal, key, now, vendor_zone, state=KeyState.NEXT, look_at=now, switch_at=switch_at)


def _insert(
    tx: Transaction, seal: Seal, key: SigningKey, now: datetime, vendor_zone: str, **more: object
) -> KeyRecord:  # fmt: skip
    home = home_of(key.selector, key.domain, vendor_zone) if vendor_zone else ""
    if any(known.selector == key.selector for known in keys_of(tx, key.domain)):
        raise SelectorTaken(domain=key.domain, selector=key.selector)
    record = dkim.dns_record(key)
    tx.execute(
        insert(signing_key_table).values(
            domain=key.domain, selector=key.selector, algorithm=key.algorithm, record=record, created_at=now, home=home,
            sealed_private=seal.seal(dkim.to_pem(key), _about(key.domain, key.selector)), **more,
        )
    )  # fmt: skip
    if home:
        put_zone_record(tx, home, "TXT", record, now)
    return KeyRecord(home or record_name(key.domain, key.selector), record)


def destroy_keys(tx: Transaction, domain: str, now: datetime | None = None) -> None:
    """Forget the domain's keys, retired ones too: nobody can sign with them again. Records in the vendor's zone stay for as
    long as mail that has left may be checked against them."""
    for key in keys_of(tx, domain):
        if key.home:
            remove_zone_record(tx, key.home, "TXT", (now or tx.now) + IN_FLIGHT)
    tx.execute(delete(signing_key_table).where(signing_key_table.c.domain == domain))
    touch(tx)


# --- asking ----------------------------------------------------------------------------------------------------------


def keys_of(tx: Transaction, domain: str) -> list[Key]:
    """The domain's keys that are not revoked, oldest first."""
    table = signing_key_table.c
    rows = select(*KEY_COLUMNS).where(table.domain == domain, table.state != KeyState.REVOKED).order_by(table.id)
    return [as_key(row) for row in tx.execute(rows)]


def active_keys(tx: Transaction, domain: str) -> list[tuple[str, str]]:
    """Selector and algorithm of the domain's keys in use."""
    return active_keys_by_domain(tx, domain).get(domain, [])


def active_keys_by_domain(tx: Transaction, domain: str | None = None) -> dict[str, list[tuple[str, str]]]:
    """The same for every domain that has any, in one question."""
    table = signing_key_table.c
    rows = (
        select(table.domain, table.selector, table.algorithm).where(table.state == KeyState.ACTIVE).order_by(table.id)
    )
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in tx.execute(rows.where(table.domain == domain) if domain else rows):
        found[row.domain].append((row.selector, row.algorithm))
    return found


def key_records(tx: Transaction, domain: str | None = None) -> list[KeyRecord]:
    """The TXT records by which the keys in use are verified, of one domain or of all, each where it stands."""
    table = signing_key_table.c
    rows = select(*KEY_COLUMNS).where(table.state == KeyState.ACTIVE).order_by(table.domain, table.id)
    found = tx.execute(rows.where(table.domain == domain) if domain else rows)
    return [KeyRecord(key.home or key.name, key.record) for key in map(as_key, found)]


def key_slots(tx: Transaction, domain: str, vendor_zone: str = "") -> list[Slot]:
    """What must stand in the customer's zone: two CNAMEs for each algorithm whose keys are in the vendor's zone (or will be:
    `vendor_zone` where the domain has no key yet), and a TXT for each key that the customer publishes."""
    keys = keys_of(tx, domain)
    slots = [Slot(key.selector, key.algorithm, key.name, "", key.record) for key in keys if not key.home]
    typed = {slot.selector for slot in slots}
    pointing = {key.algorithm: key.home for key in keys if key.home}
    if vendor_zone and not keys:
        pointing = {"rsa-sha256": home_of(SLOTS["rsa-sha256"][0], domain, vendor_zone)}
    for algorithm, home in pointing.items():
        around = home.partition(".")[2]
        there = {key.selector: key for key in keys if key.home and key.algorithm == algorithm}
        for selector in dict.fromkeys((*SLOTS[algorithm], *there)):
            key = there.get(selector)
            if key is None and (selector in typed or len(there) >= len(SLOTS[algorithm])):
                continue  # the name is still a TXT's, or the keys have selectors of their own choosing
            text = key.record if key and key.state is not KeyState.RETIRING else ""
            target = key.home if key else f"{selector}.{around}"
            slots.append(Slot(selector, algorithm, record_name(domain, selector), target, text))
    return slots


def load_key_ring(tx: Transaction, seal: Seal, opened: dict[int, SigningKey] | None = None) -> KeyRing:
    """Open every key in use. Raises Misconfigured when the seal cannot (another installation's key file).

    `opened` is kept by who loads again and again: what is in it is not opened anew, which is nearly all of the work.
    """
    table = signing_key_table.c
    known = opened if opened is not None else {}
    keys: dict[str, list[SigningKey]] = {}
    in_use: dict[int, SigningKey] = {}
    # rsa-sha256 sorts last: descending puts it first, where a verifier that knows only RSA meets it first.
    for row in tx.execute(
        select(signing_key_table).where(table.state == KeyState.ACTIVE).order_by(table.algorithm.desc(), table.id)
    ):
        key = known.get(row.id) or _opened(seal, row)
        in_use[row.id] = key
        keys.setdefault(row.domain, []).append(key)
    known.clear()
    known.update(in_use)
    return KeyRing({domain: tuple(found) for domain, found in keys.items()})


def _opened(seal: Seal, row: Row[tuple[object, ...]]) -> SigningKey:
    pem = seal.open(bytes(row.sealed_private), _about(row.domain, row.selector))
    return dkim.from_pem(row.domain, row.selector, pem, trusted=True)


KEY_COLUMNS = [column for column in signing_key_table.c if column.name != "sealed_private"]


def as_key(row: Row[tuple[object, ...]]) -> Key:
    """A row of `KEY_COLUMNS`."""
    key = Key(**row._mapping)
    return replace(key, state=KeyState(key.state))


def record_name(domain: str, selector: str) -> str:
    return f"{selector}._domainkey.{domain}"


def _about(domain: str, selector: str) -> str:
    return f"signing_key|{domain}|{selector}"
