"""One round of key rotation: publish, look, switch, take back. The service runs it every minute, a command when it is asked to.

The rules are in `rotation`; here are the questions to the network between them. Transactions are the caller's: it hands in
`read` and `write`, which run a verb in one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from ombud.db import Transaction
from ombud.dns import Answer, Authority, UpdateServer
from ombud.domains import rotation
from ombud.domains.keys import SLOTS, Key, keep_key, keys_of, put_next
from ombud.domains.rotation import Timing
from ombud.domains.zone import ZoneRecord, all_changes, mark_published, unpublished, zone_text
from ombud.errors import SelectorTaken
from ombud.mail import dkim
from ombud.mail.dkimrecord import Same, compare
from ombud.seal import Seal
from ombud.settings import DnsSettings

log = structlog.get_logger("ombud.domains")

#: The most of each kind in one round: a round is to be over before the next, and the servers are not ours alone.
MOST = 200
#: Keys made in one round: each takes some tenths of a second of one core.
MOST_KEYS = 5
MOST_RECORDS = 2000


class Lookup(Protocol):
    """What is asked of DNS: `Resolver` answers it, and `Zone`."""

    async def ask(self, name: str, kind: str) -> Answer: ...

    async def ask_at(self, server: str, name: str, kind: str) -> Answer: ...

    async def name_servers(self, domain: str) -> Authority: ...


class Run(Protocol):
    """Runs `verb(tx, ...)` in a transaction."""

    def __call__(self, verb: Any, /, *arguments: Any) -> Awaitable[Any]: ...


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. `refused`: why the vendor's zone did not take its records; "" when it did."""

    published: int = 0
    seen: int = 0
    switched: int = 0
    revoked: int = 0
    made: int = 0
    refused: str = ""

    @property
    def anything(self) -> bool:
        return bool(self.published or self.seen or self.switched or self.revoked or self.made)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What rotating needs. `server` is None where the vendor's zone is loaded by hand, or where there is none."""

    read: Run
    write: Run
    lookup: Lookup
    seal: Seal
    timing: Timing
    vendor_zone: str = ""
    server: UpdateServer | None = None

    @classmethod
    def of(cls, settings: DnsSettings, seal: Seal, lookup: Lookup, read: Run, write: Run) -> Rotation:
        """As the installation's settings say."""
        timing = Timing(
            timedelta(minutes=settings.settle_minutes), timedelta(days=settings.hold_days),
            timedelta(days=settings.rotate_days) if settings.rotate_days else None,
        )  # fmt: skip
        return cls(read, write, lookup, seal, timing, settings.vendor_zone.lower().rstrip("."), server_of(settings))

    async def round(self, now: datetime) -> Round:
        """Take every step that is due, in an order in which one round can do several. Never raises for what the network did."""
        published, refused = await self.publish(now)
        await self.write(rotation.ask_old_to_go, now, self.timing, MOST_KEYS)
        due = await self.read(rotation.due, now, self.timing, self.vendor_zone, MOST)
        seen = sum(await asyncio.gather(*(self._look(key, now) for key in due.look)))
        switched = sum(await asyncio.gather(*(self._switch(key, now) for key in due.switch)))
        revoked = sum([await self.write(rotation.revoke, key, now) for key in due.revoke])
        made = [await self._make(spare, now) for spare in due.spare[:MOST_KEYS]]
        if revoked or made:
            more, refused = await self.publish(now)
            published += more
        return Round(published, seen, switched, revoked, sum(made), refused)

    async def publish(self, now: datetime, *, everything: bool = False) -> tuple[int, str]:
        """Tell the zone's server what it does not know yet, or `everything`: how many records it took, and why not where it did
        not."""
        if self.server is None:
            return 0, ""
        records = await (self.read(all_changes, now) if everything else self.read(unpublished, now, MOST_RECORDS))
        if not records:
            return 0, ""
        if why := await self.server.publish([change_of(record, now) for record in records]):
            return 0, why
        await self.write(_published, records, now)
        return len(records), ""

    async def make_first(self, names: Sequence[str], now: datetime) -> int:
        """A key for each of these domains that has none, a few at a time. It is used at once: until its record is seen its signatures
        say nothing, as none would. Says how many were made."""
        made = 0
        for name in names[:MOST_KEYS]:
            selector = SLOTS["rsa-sha256"][0]
            key = await asyncio.to_thread(dkim.new_key, name, selector)
            made += bool(await self.write(_keep_first, self.seal, key, self.vendor_zone, now))
        if made:
            await self.publish(now)
        return made

    async def _look(self, key: Key, now: datetime) -> bool:
        found, ttl = await self.visible(key)
        if found:
            await self.write(rotation.mark_seen, key, ttl, now)
        else:
            await self.write(rotation.look_again, key, now)
        return found is True

    async def _switch(self, key: Key, now: datetime) -> bool:
        """Look a last time: what was seen an hour ago may have been taken away since."""
        found, _ = await self.visible(key)
        if not found:
            await self.write(lambda tx: rotation.look_again(tx, key, now, gone=found is False))
            return False
        switched = bool(await self.write(rotation.activate, key, self.timing, now))
        if switched:
            log.info("key_switched", domain=key.domain, selector=key.selector)
        return switched

    async def visible(self, key: Key) -> tuple[bool | None, int | None]:
        """Whether receivers find the key by the customer's name, as the resolver and every server of its zone that answers
        say; None when nobody can tell. And for how many seconds the answer may be kept."""
        answer = await self.lookup.ask(key.name, "TXT")
        if answer.unknown:
            return None, None
        if not _is(key, answer):
            return False, answer.ttl
        name = answer.aliases[-1] if answer.aliases else key.name
        said = [one for one in await self._servers_say(name) if not one.unknown]
        if not said:
            return None, answer.ttl
        return all(_is(key, one) for one in said), max(one.ttl or 0 for one in (answer, *said))

    async def _servers_say(self, name: str) -> Sequence[Answer]:
        authority = await self.lookup.name_servers(name)
        addresses = [address for server in authority.servers for address in server.addresses]
        return await asyncio.gather(*(self.lookup.ask_at(address, name, "TXT") for address in addresses))

    async def _make(self, spare: tuple[str, str, dkim.Algorithm], now: datetime) -> bool:
        domain, selector, algorithm = spare
        if not selector:
            return False
        key = await asyncio.to_thread(dkim.new_key, domain, selector, algorithm)
        return bool(await self.write(_keep, self.seal, key, self.vendor_zone, now))


def server_of(settings: DnsSettings) -> UpdateServer | None:
    """The vendor's zone's primary server; None where the zone is loaded by hand."""
    if not settings.update_server or not settings.vendor_zone:
        return None
    return UpdateServer(
        settings.update_server,
        settings.vendor_zone,
        settings.update_key,
        settings.update_algorithm,
        settings.update_secret,
    )


def change_of(record: ZoneRecord, now: datetime) -> tuple[str, str, str | None, int]:
    """The record as a dynamic update has it: taken away when its time is up."""
    value = zone_text(record.value) if record.kind == "TXT" else record.value
    gone = record.remove_at is not None and record.remove_at <= now
    return record.name, record.kind, None if gone else value, record.ttl


def _is(key: Key, answer: Answer) -> bool:
    return compare(answer.values, key.record).state is Same.SAME


def _keep_first(tx: Transaction, seal: Seal, key: dkim.SigningKey, vendor_zone: str, now: datetime) -> bool:
    if not rotation.is_proved(tx, key.domain) or keys_of(tx, key.domain):
        return False
    keep_key(tx, seal, key, now, vendor_zone=vendor_zone)
    return True


def _published(tx: Transaction, records: Sequence[ZoneRecord], now: datetime) -> None:
    mark_published(tx, records, now)
    rotation.mark_in_zone(tx, records, now)


def _keep(tx: Transaction, seal: Seal, key: dkim.SigningKey, vendor_zone: str, now: datetime) -> bool:
    """The domain may have been given up, or another process have made one, while this key was made."""
    if not rotation.is_proved(tx, key.domain):
        return False
    try:
        put_next(tx, seal, key, now, vendor_zone=vendor_zone)
    except SelectorTaken:
        return False
    return True
