"""Watching all domains: what is due is looked at, kept, told of, and taught; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from ombud.db import Database, Transaction
from ombud.db.snapshot import revision
from ombud.dns import Zone
from ombud.domains import Lost, forget_domain, load_ownership, prove_domain
from ombud.domains.claims import claim_domain
from ombud.domains.hostbook import unknown_hosts
from ombud.domains.watch import Change, State, What
from ombud.domains.watching import Nothing, Watching
from ombud.domains.watchlist import changes_of, load_lost, look_again, report_of, standings, take_due, watch_of
from ombud.errors import NotFound, TooSoon
from ombud.mail.records import Purpose, Record
from tests.conftest import NOON, Cast

KEY = Record(
    Purpose.DKIM, "CNAME", "om1._domainkey.kund.example", "om1.k7.dkim.vendor.example", spare=True, asked_by="dkim"
)
BASE: dict[str, dict[str, list[str]]] = {
    "kund.example": {
        "SOA": ["ns1.nagonstans.example. h.example. 1 1 1 1 300"], "NS": ["ns1.nagonstans.example", "ns2.nagonstans.example"],
        "TXT": ["v=spf1 ~all"], "MX": ["10 mx.example"],
    },
    "ns1.nagonstans.example": {"A": ["192.0.2.1"]}, "ns2.nagonstans.example": {"A": ["192.0.2.2"]},
    "_dmarc.kund.example": {"TXT": ["v=DMARC1; p=reject"]},
}  # fmt: skip
THERE = {**BASE, KEY.name: {"CNAME": [KEY.value]}}


class House:
    """A database with Eken's domain, and DNS as the test says it is."""

    def __init__(self, database: Database) -> None:
        self.database, self.told, self.now = database, list[Change](), NOON
        self.dns = Zone(BASE)
        self.asked = 0

    async def round(self, after: timedelta = timedelta()) -> list[Change]:
        self.now += after
        watching = Watching(
            self.database.reading,
            self._write,
            self.dns,
            self._needs,
            lambda tx, change: self.told.append(change),
            confirm=0,
        )
        return await watching.round(self.now)

    def _needs(self, tx: Transaction, names: Any, now: datetime) -> Mapping[str, Nothing]:
        self.asked += len(names)
        return dict.fromkeys(names, Nothing((KEY,)))

    async def _write(self, verb: Any, /, *arguments: Any) -> Any:
        def run() -> Any:
            with self.database.write() as tx:
                return verb(tx, *arguments)

        return await asyncio.to_thread(run)

    def standing(self) -> Any:
        with self.database.read() as tx:
            (one,) = standings(tx)
        return one


@pytest.fixture
def house(database: Database, cast: Cast) -> House:
    with database.write() as tx:
        prove_domain(tx, "kund.example", cast.eken, "operator", "seen", NOON)
    return House(database)


async def test_a_domain_is_looked_at_at_once_and_until_it_is_there(house: House) -> None:
    assert house.standing().state is State.UNCHECKED
    await house.round()
    first = house.standing()
    assert (first.state, first.turn) == (State.PENDING, "it_supplier")
    assert first.codes == ("dkim.missing", "dmarc.strict_unaligned"), (
        "with p=reject and nothing there, mail is refused today"
    )
    assert first.next_check == NOON + timedelta(seconds=30)
    assert await house.round(timedelta(seconds=5)) == [] and house.asked == 1, "it was not due"
    house.dns = Zone(THERE)
    (change,) = await house.round(timedelta(seconds=30))
    assert change.what is What.READY and house.told == [change]
    assert house.standing().state is State.OK
    with house.database.read() as tx:
        assert [one.what for one in changes_of(tx, "kund.example")] == [What.READY]
        report = report_of(tx, "kund.example")
    assert report and report["records"][0]["found"] == KEY.value


async def test_what_is_gone_is_at_risk_then_lost_and_then_back(house: House) -> None:
    house.dns = Zone(THERE)
    await house.round()
    house.dns = Zone(BASE)
    await house.round(timedelta(days=2))
    await house.round(timedelta(hours=2))
    at_risk = house.standing()
    assert at_risk.state is State.AT_RISK and at_risk.stop_at == at_risk.since + timedelta(hours=72)
    for _ in range(74):
        await house.round(timedelta(hours=1.2))
    assert house.standing().state is State.LOST
    with house.database.read() as tx:
        lost = load_lost(tx)
        known = revision(tx)
    await house.round(timedelta(hours=7))
    with house.database.read() as tx:
        assert revision(tx) > known, "who needs its records may have changed"
    assert lost == {"kund.example": Lost(at_risk.stop_at, frozenset({"dkim"}))}
    house.dns = Zone(THERE)
    await house.round(timedelta(hours=7))
    assert house.standing().state is State.OK
    assert [one.what for one in house.told] == [What.READY, What.AT_RISK, What.LOST, What.BACK]


async def test_a_server_that_does_not_answer_for_a_week_changes_nothing(house: House) -> None:
    house.dns = Zone(THERE)
    await house.round()
    house.dns = Zone({}, faults={"kund.example": "servfail", KEY.name: "timeout"})
    for _ in range(60):
        await house.round(timedelta(hours=3))
    assert house.standing().state is State.OK and [one.what for one in house.told] == [What.READY]


async def test_two_processes_never_look_at_the_same_domain(house: House) -> None:
    with house.database.write() as tx:
        assert len(take_due(tx, NOON, 10)) == 1
        assert take_due(tx, NOON, 10) == []
    assert await house.round() == [] and house.asked == 0
    await house.round(timedelta(minutes=11))  # the one who had it is gone
    assert house.asked == 1


async def test_look_again_is_at_once_but_not_in_a_row(house: House) -> None:
    await house.round()
    with pytest.raises(TooSoon) as caught, house.database.write() as tx:
        look_again(tx, "kund.example", NOON + timedelta(seconds=5))
    assert caught.value.details["seconds"] == 10
    with house.database.write() as tx:
        look_again(tx, "kund.example", NOON + timedelta(seconds=20))
        assert watch_of(tx, "kund.example").next_at == NOON + timedelta(seconds=20)
    with pytest.raises(NotFound), house.database.write() as tx:
        look_again(tx, "nobody.example", NOON)


async def test_a_domain_that_is_given_up_meanwhile_leaves_nothing_behind(house: House) -> None:
    dns = house.dns

    class Slow(Zone):
        async def name_servers(self, domain: str) -> Any:
            with house.database.write() as tx:
                forget_domain(tx, "kund.example", NOON)
            return await dns.name_servers(domain)

    house.dns = Slow(BASE)
    assert await house.round() == []
    with house.database.read() as tx:
        assert standings(tx) == []


async def test_a_clock_that_was_turned_back_stops_no_watching(house: House) -> None:
    house.now = NOON + timedelta(days=400)
    await house.round()
    house.now, house.asked = NOON, 0
    await house.round()
    assert house.asked == 1
    await house.round()
    assert house.asked == 1, "and it goes on by its schedule"


async def test_name_servers_that_nobody_knows_are_to_be_taught(house: House) -> None:
    await house.round()
    with house.database.read() as tx:
        (unknown,) = unknown_hosts(tx)
    assert (unknown.servers, unknown.example, unknown.seen) == ("nagonstans.example", "kund.example", 1)


async def test_a_claimed_domain_becomes_the_customers_when_its_token_is_seen(house: House, cast: Cast) -> None:
    with house.database.write() as tx:
        claim = claim_domain(tx, "ny.example", cast.linden, NOON)
    zone = {**BASE, "ny.example": BASE["kund.example"]}
    house.dns = Zone(zone)
    await house.round()
    with house.database.read() as tx:
        assert "ny.example" not in load_ownership(tx).domains
    house.dns = Zone({**zone, claim.record.name: {"TXT": [claim.record.value]}})
    await house.round(timedelta(seconds=31))
    with house.database.read() as tx:
        assert load_ownership(tx).domains["ny.example"].customer_id == cast.linden.id
        assert "ny.example" in {one.domain for one in standings(tx, cast.linden.id)}
