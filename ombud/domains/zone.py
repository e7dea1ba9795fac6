"""The vendor's own zone: what customers' domains point into, so that keys change without them.

Each customer's domain has its names here once and for all, neutral ones: nothing in them says which provider carries the mail,
so a later change of provider is a change of this zone and of nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Column, Integer, Row, Table, Text, delete, insert, select, update

from ombud.db import Moment, Transaction, metadata

#: Seconds that receivers may keep what stands here: short, since it is the vendor's own and changes by plan.
TTL = 300
_MAX_LABEL = 63
_STRING = 255  # octets of one character-string (RFC 1035 3.3); a longer text is several, joined without a space

zone_record_table = Table(
    "zone_record",
    metadata,
    Column("name", Text, primary_key=True),  # lower-case, without a final dot
    Column("kind", Text, primary_key=True),
    Column("value", Text, nullable=False),  # a TXT's is its text
    Column("ttl", Integer, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("published_at", Moment, index=True),  # when the zone's server took it as it is now; NULL: it has not
    Column("remove_at", Moment),
)


@dataclass(frozen=True, slots=True)
class ZoneRecord:
    name: str
    kind: str
    value: str
    ttl: int
    published_at: datetime | None = None
    remove_at: datetime | None = None

    @property
    def line(self) -> str:
        """As a zone file has it (RFC 1035 5.1)."""
        value = zone_text(self.value) if self.kind == "TXT" else self.value
        return f"{self.name}. {self.ttl} IN {self.kind} {value}"


def zone_text(text: str) -> str:
    """A text as the value of a TXT record in a zone file.

    >>> zone_text('v=spf1 -all')
    '"v=spf1 -all"'
    """
    parts = [text[start : start + _STRING] for start in range(0, len(text), _STRING)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)


def customers_label(domain: str) -> str:
    """The one label that stands for a domain in the vendor's zone; no two domains have the same.

    >>> customers_label("kund.se"), customers_label("en-kund.se")
    ('kund-se', 'en--kund-se')
    """
    # Neither a label's first nor its last character is a hyphen, so a single one can only have been a dot.
    label = domain.replace("-", "--").replace(".", "-")
    return label if len(label) <= _MAX_LABEL else "h-" + sha256(domain.encode()).hexdigest()[:40]


def home_of(selector: str, domain: str, vendor_zone: str) -> str:
    """Where in the vendor's zone a domain's key stands: what `SELECTOR._domainkey.DOMAIN` is a CNAME of."""
    return f"{selector}.{customers_label(domain)}.{vendor_zone}"


def put_zone_record(tx: Transaction, name: str, kind: str, value: str, now: datetime, ttl: int = TTL) -> None:
    """Let `value` be all that stands at this name and type; it is to be published."""
    table = zone_record_table
    here = (table.c.name == name) & (table.c.kind == kind)
    values = {"value": value, "ttl": ttl, "changed_at": now, "published_at": None, "remove_at": None}
    if tx.execute(update(table).where(here).values(**values)).rowcount == 0:
        tx.execute(insert(table).values(name=name, kind=kind, **values))


def remove_zone_record(tx: Transaction, name: str, kind: str, at: datetime) -> None:
    """Take it away, at `at` and not before: mail that has left may still be checked against it."""
    table = zone_record_table.c
    tx.execute(
        update(zone_record_table).where(table.name == name, table.kind == kind).values(remove_at=at, published_at=None)
    )


def zone_records(tx: Transaction, now: datetime) -> list[ZoneRecord]:
    """All that the vendor's zone must hold for the customers' domains, by name."""
    table = zone_record_table.c
    kept = table.remove_at.is_(None) | (table.remove_at > now)
    return [_record(row) for row in tx.execute(select(zone_record_table).where(kept).order_by(table.name, table.kind))]


def unpublished(tx: Transaction, now: datetime, most: int) -> list[ZoneRecord]:
    """What the zone's server has not been told yet: new and changed records, and those whose time is up."""
    table = zone_record_table.c
    due = table.published_at.is_(None) & (table.remove_at.is_(None) | (table.remove_at <= now))
    return [_record(row) for row in tx.execute(select(zone_record_table).where(due).order_by(table.name).limit(most))]


def all_changes(tx: Transaction, now: datetime, most: int | None = None) -> list[ZoneRecord]:
    """`unpublished`, and all that the server has been told before: for one that was set up anew."""
    table = zone_record_table.c
    return [_record(row) for row in tx.execute(select(zone_record_table).order_by(table.name, table.kind).limit(most))]


def mark_published(tx: Transaction, records: Sequence[ZoneRecord], now: datetime) -> None:
    """The server has taken them: what was to be removed by now is forgotten. What has changed meanwhile stays to be published."""
    table = zone_record_table
    for record in records:
        same = (
            (table.c.name == record.name)
            & (table.c.kind == record.kind)
            & (table.c.value == record.value)
            & (table.c.remove_at.is_(None) if record.remove_at is None else table.c.remove_at == record.remove_at)
        )
        if record.remove_at is None:
            tx.execute(update(table).where(same).values(published_at=now))
        elif record.remove_at <= now:
            tx.execute(delete(table).where(same))


def _record(row: Row[tuple[object, ...]]) -> ZoneRecord:
    return ZoneRecord(row.name, row.kind, row.value, row.ttl, row.published_at, row.remove_at)
