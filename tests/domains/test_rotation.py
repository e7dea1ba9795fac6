"""Keys change, and no mail that was sent fails for it: real records in a real name server, checked by an independent verifier."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dkim as dkimpy
import dns.resolver
import pytest

from ombud.db import Database
from ombud.dns import Resolver, UpdateServer
from ombud.domains import (
    Key,
    KeyState,
    Rotation,
    Timing,
    active_keys,
    destroy_keys,
    forget_domain,
    keep_key,
    key_records,
    key_slots,
    keys_of,
    load_key_ring,
    prove_domain,
    put_next,
)
from ombud.domains.rotation import ask_switch, due, end_hold, plan_rotation
from ombud.domains.zone import customers_label, home_of, zone_records, zone_text
from ombud.errors import RotationUnderWay, SelectorTaken
from ombud.mail.dkim import SigningKey, dns_record, new_key, sign
from ombud.sandbox.nameserver import NameServer, Zones
from ombud.seal import Seal
from tests.conftest import NOON, Cast

SEAL = Seal(bytes(32))
ZONE = "dkim.leverantor.example"
SECRET = base64.b64encode(bytes(32)).decode()
DOMAIN = "eken.example"
MAIL = b"From: a@eken.example\r\nTo: b@x.example\r\nSubject: Hej\r\nDate: Tue, 7 May 2024 12:00:00 +0200\r\n\r\nHej\r\n"
KEYS = [new_key(DOMAIN, selector) for selector in ("om1", "om2", "om1", "om2")]
TIMING = Timing(settle=timedelta(hours=1), hold=timedelta(days=7))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    zones = Zones()
    zones.add(f"{ZONE}. IN SOA ns1.namnserver.example. hostmaster.{ZONE}. 1 3600 600 86400 0")
    zones.add(f"{ZONE}. IN NS ns1.namnserver.example.\nns1.namnserver.example. IN A 127.0.0.1")
    for selector in ("om1", "om2"):
        zones.add(f"{selector}._domainkey.{DOMAIN}. IN CNAME {home_of(selector, DOMAIN, ZONE)}.")
    zones.allow_updates("ombud", SECRET)
    server = NameServer(zones)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def house(database: Database, cast: Cast, server: NameServer) -> Rotation:
    address = f"{server.address[0]}:{server.address[1]}"

    with database.write() as tx:
        prove_domain(tx, DOMAIN, cast.eken, "operator", "seen", NOON)
    return Rotation(
        database.reading, database.writing,
        Resolver([address], authority_port=server.address[1], seconds=0.2), SEAL, TIMING, ZONE,
        UpdateServer(address, ZONE, "ombud", secret=SECRET),
    )  # fmt: skip


def states(database: Database) -> dict[str, str]:
    with database.read() as tx:
        return {key.selector: key.state.value for key in keys_of(tx, DOMAIN)}


def key(database: Database, selector: str) -> Key:
    with database.read() as tx:
        return next(key for key in keys_of(tx, DOMAIN) if key.selector == selector)


def signed(database: Database) -> bytes:
    """A mail as delivery would sign it now."""
    with database.read() as tx:
        return sign(MAIL, load_key_ring(tx, SEAL).of(DOMAIN), NOON) + MAIL


async def all_verify(server: NameServer, mails: Sequence[bytes]) -> bool:
    """Whether an independent verifier, asking the same name server, lets all of them through."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [server.address[0]], server.address[1]

    def text(name: bytes, timeout: float = 5) -> bytes | None:
        try:
            return b"".join(resolver.resolve(name.decode(), "TXT")[0].strings)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None

    return await asyncio.to_thread(lambda: all(dkimpy.verify(mail, dnsfunc=text) for mail in mails))


def test_a_domain_has_its_own_name_in_the_vendors_zone() -> None:
    names = [
        "kund.se",
        "en-kund.se",
        "en.kund.se",
        "en--kund.se",
        "xn--rksmrgs-5wao1o.se",
        "a" * 60 + "." + "b" * 60 + ".se",
    ]
    labels = [customers_label(name) for name in names]
    assert len(set(labels)) == len(names) and all(len(label) <= 63 for label in labels)


async def test_a_key_is_changed_and_no_mail_fails_before_during_or_after(
    database: Database, house: Rotation, server: NameServer
) -> None:
    now = NOON
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], now, vendor_zone=ZONE)
        put_next(tx, SEAL, KEYS[1], now, vendor_zone=ZONE)
    done = await house.round(now)
    assert (done.published, done.seen, done.switched) == (2, 1, 0)
    assert states(database) == {"om1": "active", "om2": "seen"}
    sent = [(now, signed(database))]
    assert b"s=om1;" in sent[0][1]

    with database.write() as tx:
        ask_switch(tx, key(database, "om2"), now)
    for minutes in (10, 40, 70, 130, *range(8 * 60, 8 * 24 * 60, 11 * 60)):
        now = NOON + timedelta(minutes=minutes)
        await house.round(now)
        sent.append((now, signed(database)))
        in_flight = [mail for at, mail in sent if now - at < DAY * 7]
        assert await all_verify(server, in_flight[:: max(1, len(in_flight) // 3)])
        assert (states(database)["om2"] == "active") == (now >= NOON + HOUR)  # settled, and no sooner
        if states(database).get("om1") not in ("active", "retiring"):
            break
    await house.round(now)
    assert now - NOON > DAY * 7
    assert b"s=om2;" in sent[-1][1]
    # The old slot has its next key, made ahead; the old one cannot sign again, and says so to nobody any more.
    assert states(database) == {"om2": "active", "om1": "published"}
    assert key(database, "om1").record != dns_record(KEYS[0])
    assert not await all_verify(server, [sent[0][1]])


async def test_a_key_that_cannot_be_seen_never_takes_over(
    database: Database, house: Rotation, server: NameServer
) -> None:
    server.zones.withdraw(f"om2._domainkey.{DOMAIN}", "CNAME")
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
        put_next(tx, SEAL, KEYS[1], NOON, vendor_zone=ZONE, switch_at=NOON)
    for hours in range(0, 24 * 30, 40):
        await house.round(NOON + HOUR * hours)
    assert states(database) == {"om1": "active", "om2": "published"}
    server.zones.add(f"om2._domainkey.{DOMAIN}. IN CNAME {home_of('om2', DOMAIN, ZONE)}.")
    for hours in range(24 * 30, 24 * 31, 2):  # the customer was late, and did not have to say so
        await house.round(NOON + HOUR * hours)
    assert states(database) == {"om1": "retiring", "om2": "active"}


@pytest.mark.parametrize("fault", ["SERVFAIL", "timeout"])
async def test_when_nobody_knows_nothing_changes(
    database: Database, house: Rotation, server: NameServer, fault: str
) -> None:
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
        put_next(tx, SEAL, KEYS[1], NOON, vendor_zone=ZONE, switch_at=NOON)
    await house.round(NOON)
    server.zones.faults[f"om2._domainkey.{DOMAIN}"] = fault
    await house.round(NOON + HOUR * 2)
    assert states(database) == {"om1": "active", "om2": "seen"}
    server.zones.faults.clear()
    await house.round(NOON + HOUR * 4)
    assert states(database) == {"om1": "retiring", "om2": "active"}


async def test_a_record_that_is_taken_away_before_the_switch_starts_the_wait_anew(
    database: Database, house: Rotation, server: NameServer
) -> None:
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
        put_next(tx, SEAL, KEYS[1], NOON, vendor_zone=ZONE, switch_at=NOON)
    await house.round(NOON)
    server.zones.withdraw(f"om2._domainkey.{DOMAIN}", "CNAME")
    await house.round(NOON + HOUR * 2)
    assert states(database) == {"om1": "active", "om2": "published"}
    server.zones.add(f"om2._domainkey.{DOMAIN}. IN CNAME {home_of('om2', DOMAIN, ZONE)}.")
    await house.round(NOON + HOUR * 4)
    await house.round(NOON + HOUR * 4.5)
    assert states(database)["om2"] == "seen"  # half an hour since it came back
    await house.round(NOON + HOUR * 6)
    assert states(database)["om2"] == "active"


async def test_a_server_that_still_has_the_old_zone_holds_the_switch_up(
    database: Database, house: Rotation, server: NameServer
) -> None:
    behind = Zones()
    behind.add(f"{ZONE}. IN SOA ns1.namnserver.example. hostmaster.{ZONE}. 1 3600 600 86400 0")
    second = NameServer(behind)
    await second.start("127.0.0.9", server.address[1])
    server.zones.add(f"{ZONE}. IN NS ns2.namnserver.example.\nns2.namnserver.example. IN A 127.0.0.9")
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
        put_next(tx, SEAL, KEYS[1], NOON, vendor_zone=ZONE, switch_at=NOON)
    await house.round(NOON)
    assert states(database)["om2"] == "published"
    home = home_of("om2", DOMAIN, ZONE)
    behind.add(f"{home}. 7200 IN TXT {zone_text(key(database, 'om2').record)}")
    await house.round(NOON + HOUR)
    assert states(database)["om2"] == "seen"
    assert key(database, "om2").ttl == 7200  # whoever has asked that one may keep its answer for so long
    await second.stop()


async def test_a_server_that_refuses_our_key_is_told_and_the_records_wait(database: Database, house: Rotation) -> None:
    stranger = replace(house, server=UpdateServer(house.server.address, ZONE, "stranger", secret=SECRET))  # type: ignore[union-attr]  # it has one
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
    refused = await stranger.round(NOON)
    assert refused.published == 0 and refused.refused in ("not_signed", "bad_key", "notauth")
    assert (await house.round(NOON)).published >= 1


async def test_a_key_in_the_customers_own_zone_is_changed_when_the_customer_has_published_it(
    database: Database, house: Rotation, server: NameServer
) -> None:
    house = replace(house, vendor_zone="", server=None)
    old, new = new_key(DOMAIN, "sel1"), new_key(DOMAIN, "om202405")
    with database.write() as tx:
        keep_key(tx, SEAL, old, NOON)
        wish = plan_rotation(tx, DOMAIN, "rsa-sha256", "", NOON)
        assert (wish.selector, wish.vendor_zone, wish.waiting) == ("om202405", "", None)
        record = put_next(tx, SEAL, new, NOON, switch_at=NOON)
    await house.round(NOON)
    assert states(database) == {"sel1": "active", "om202405": "next"}
    server.zones.publish(record.name, "TXT", record.value)
    await house.round(NOON + timedelta(minutes=2))
    await house.round(NOON + HOUR * 2)
    assert states(database) == {"sel1": "retiring", "om202405": "active"}


async def test_a_key_that_somebody_else_may_have_is_taken_back_at_once(database: Database, house: Rotation) -> None:
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
        put_next(tx, SEAL, KEYS[1], NOON, vendor_zone=ZONE, switch_at=NOON)
    await house.round(NOON)
    await house.round(NOON + HOUR)
    with database.write() as tx:
        with pytest.raises(RotationUnderWay):
            plan_rotation(tx, DOMAIN, "rsa-sha256", ZONE, NOON + HOUR)
        assert end_hold(tx, DOMAIN, NOON + HOUR) == 1
    done = await house.round(NOON + HOUR)
    assert done.revoked == 1 and states(database) == {"om2": "active"}


async def test_a_key_that_has_grown_old_is_changed_unasked(database: Database, house: Rotation) -> None:
    house = replace(house, timing=replace(TIMING, rotate_after=DAY * 180))
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
        put_next(tx, SEAL, KEYS[1], NOON, vendor_zone=ZONE)
    await house.round(NOON + DAY * 179)
    assert key(database, "om2").switch_at is None
    for hours in (0, 2):
        await house.round(NOON + DAY * 181 + HOUR * hours)
    assert states(database) == {"om1": "retiring", "om2": "active"}


def test_what_must_stand_in_the_customers_zone_is_two_aliases_whatever_the_keys_are(
    database: Database, house: Rotation
) -> None:
    def slots() -> list[tuple[str, str, bool]]:
        with database.read() as tx:
            return [(slot.name, slot.target, bool(slot.text)) for slot in key_slots(tx, DOMAIN, ZONE)]

    aliases = [(f"{one}._domainkey.{DOMAIN}", f"{one}.eken-example.{ZONE}") for one in ("om1", "om2")]
    assert slots() == [(*one, False) for one in aliases]
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
    assert slots() == [(*aliases[0], True), (*aliases[1], False)]
    with database.write() as tx:
        put_next(tx, SEAL, KEYS[1], NOON, vendor_zone=ZONE)
        assert [record.name for record in key_records(tx)] == [home_of("om1", DOMAIN, ZONE)]
    assert slots() == [(*one, True) for one in aliases]


def test_a_key_that_the_customer_has_published_keeps_its_name_until_it_is_revoked(
    database: Database, house: Rotation
) -> None:
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON)
        put_next(tx, SEAL, KEYS[1], NOON, vendor_zone=ZONE)
        assert [(slot.selector, bool(slot.target)) for slot in key_slots(tx, DOMAIN, ZONE)] == [
            ("om1", False),
            ("om2", True),
        ]


async def test_a_first_key_is_made_for_a_proved_domain_that_has_none(database: Database, house: Rotation) -> None:
    assert await house.make_first(["nobody.example", DOMAIN], NOON) == 1
    assert states(database) == {"om1": "active"}
    assert await house.make_first([DOMAIN], NOON) == 0


async def test_no_spare_is_made_for_a_domain_that_is_given_up_meanwhile(database: Database, house: Rotation) -> None:
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)

    async def read(verb: Any, /, *arguments: Any) -> Any:
        found = await database.reading(verb, *arguments)
        if verb is due:
            await database.writing(forget_domain, DOMAIN)
        return found

    assert (await replace(house, read=read).round(NOON)).made == 0
    assert states(database) == {}


def test_a_ring_that_is_loaded_again_opens_only_what_is_new(database: Database, house: Rotation) -> None:
    opened: dict[int, SigningKey] = {}
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON)
        (first,) = load_key_ring(tx, SEAL, opened).of(DOMAIN)
        (second,) = load_key_ring(tx, SEAL, opened).of(DOMAIN)
        assert first is second
        destroy_keys(tx, DOMAIN)
        assert load_key_ring(tx, SEAL, opened).keys == {} and opened == {}


def test_a_selector_is_used_by_one_key_at_a_time(database: Database, house: Rotation) -> None:
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON)
        with pytest.raises(SelectorTaken):
            put_next(tx, SEAL, KEYS[2], NOON)


def test_a_domain_that_is_given_up_leaves_its_records_for_mail_on_its_way(database: Database, house: Rotation) -> None:
    with database.write() as tx:
        keep_key(tx, SEAL, KEYS[0], NOON, vendor_zone=ZONE)
        forget_domain(tx, DOMAIN)
        assert active_keys(tx, DOMAIN) == []
        (left,) = zone_records(tx, datetime.now(NOON.tzinfo))
        assert left.remove_at is not None
        assert zone_records(tx, left.remove_at) == []
    assert KeyState.REVOKED.value == "revoked"
