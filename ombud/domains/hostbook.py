"""What the operator has taught about DNS hosts, and whose host nobody knows yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, delete, insert, select, update

from ombud.db import Json, Moment, Transaction, metadata
from ombud.domains.hosts import UNKNOWN, Host, host_of, known_hosts, make_host
from ombud.errors import NotFound

host_table = Table(
    "dns_host",
    metadata,
    Column("slug", Text, primary_key=True),
    Column("host", Json, nullable=False),  # the whole host; wins over the file's of that slug
    Column("taught_at", Moment, nullable=False),
    Column("taught_by", Text, nullable=False),
)

#: Which host a domain really has, where the name servers mislead.
correction_table = Table(
    "dns_host_correction",
    metadata,
    Column("domain", Text, ForeignKey("domain.name", ondelete="CASCADE"), primary_key=True),
    Column("slug", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("by", Text, nullable=False),
)

#: Name servers that nobody knows, by the domain that they are in: to be taught.
unknown_table = Table(
    "dns_host_unknown",
    metadata,
    Column("servers", Text, primary_key=True),  # the ending that the name servers share
    Column("example", Text, nullable=False),  # a domain that has them
    Column("seen", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
)


@dataclass(frozen=True, slots=True)
class UnknownHost:
    """Name servers whose host somebody should teach."""

    servers: str
    example: str
    seen: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class HostBook:
    """Every host that this installation knows, at one moment."""

    taught: tuple[Host, ...]
    corrections: Mapping[str, str]

    def host_of(self, domain: str, servers: Sequence[str]) -> Host | None:
        """The host of a domain: the one that somebody has said, else the one that its name servers tell."""
        if slug := self.corrections.get(domain):
            return self.by_slug(slug)
        return host_of(servers, self.taught)

    def by_slug(self, slug: str) -> Host:
        """Raises NotFound."""
        for host in (*self.taught, *known_hosts()):
            if host.slug == slug:
                return host
        raise NotFound(kind="DNS host", name=slug)

    def all(self) -> list[Host]:
        taught = {host.slug for host in self.taught}
        return [*self.taught, *(host for host in known_hosts() if host.slug not in taught)]


def load_hosts(tx: Transaction) -> HostBook:
    taught = tx.execute(select(host_table).order_by(host_table.c.slug))
    corrections = tx.execute(select(correction_table.c.domain, correction_table.c.slug))
    return HostBook(tuple(make_host(row.host) for row in taught), {row.domain: row.slug for row in corrections})


def teach_host(tx: Transaction, values: Mapping[str, Any], by: str, now: datetime) -> Host:
    """Add a host, or change what is known of one: `values` over what is known of that slug. Raises BadField.

    Domains whose name servers it names leave the list of the unknown.
    """
    known = next((host for host in load_hosts(tx).all() if host.slug == values.get("slug")), None)
    before = {name: value for name, value in asdict(known or UNKNOWN).items() if name != "checked"}
    host = make_host(
        {**before, **values, "sure": values.get("sure", "medium"), "source": values.get("source") or f"taught by {by}"}
    )
    kept = {name: value for name, value in asdict(host).items() if name != "checked"}
    row = {"host": {**kept, "suffixes": list(host.suffixes)}, "taught_at": now, "taught_by": by}
    if not tx.execute(update(host_table).where(host_table.c.slug == host.slug).values(row)).rowcount:
        tx.execute(insert(host_table).values(slug=host.slug, **row))
    for unknown in unknown_hosts(tx):
        if host.keeps(f"ns.{unknown.servers}"):
            tx.execute(delete(unknown_table).where(unknown_table.c.servers == unknown.servers))
    return host


def correct_host(tx: Transaction, domain: str, slug: str, by: str, now: datetime) -> Host:
    """Say which host a proved domain has, whatever its name servers are called; slug "" takes that back. Raises NotFound."""
    host = load_hosts(tx).by_slug(slug) if slug else UNKNOWN
    tx.execute(delete(correction_table).where(correction_table.c.domain == domain))
    if slug:
        tx.execute(insert(correction_table).values(domain=domain, slug=slug, at=now, by=by))
    return host


def note_unknown(tx: Transaction, domain: str, servers: Sequence[str], now: datetime) -> None:
    """Remember that nobody knows who keeps these name servers."""
    endings = {server.partition(".")[2] or server for server in servers}
    for ending in sorted(endings)[:2]:
        table = unknown_table.c
        seen = update(unknown_table).where(table.servers == ending).values(seen=table.seen + 1, last_at=now)
        if not tx.execute(seen).rowcount:
            tx.execute(insert(unknown_table).values(servers=ending, example=domain, seen=1, first_at=now, last_at=now))


def unknown_hosts(tx: Transaction) -> list[UnknownHost]:
    """Those that should be taught, the most seen first."""
    rows = tx.execute(select(unknown_table).order_by(unknown_table.c.seen.desc(), unknown_table.c.servers))
    return [UnknownHost(row.servers, row.example, row.seen, row.first_at, row.last_at) for row in rows]
