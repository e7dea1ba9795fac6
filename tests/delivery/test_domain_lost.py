"""A sender domain whose records are gone: its mail is held from the stop time on, and released when they are back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from ombud.accounts import Mode, load_directory
from ombud.dns import Zone
from ombud.domains import Ownership, keep_key, key_records, load_ownership, prove_domain
from ombud.domains.watch import GRACE, State
from ombud.domains.watching import Watching
from ombud.domains.watchlist import watch_of
from ombud.mail.dkim import new_key
from ombud.needs import needs_by_name
from ombud.queue import Fate, Stream, fate_of_held, held
from ombud.queue import State as Mail
from ombud.queue.tables import recipient_table
from ombud.routing import load_facts
from ombud.usage import Counted
from ombud.verify import verify
from tests.conftest import NOON
from tests.delivery.conftest import MAIL, House
from tests.delivery.test_following import counted

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEY = new_key("eken.example", "om2")
ZONE: dict[str, dict[str, list[str]]] = {
    "eken.example": {
        "SOA": ["ns1.nagonstans.example. h.example. 1 1 1 1 300"], "NS": ["ns1.nagonstans.example", "ns2.nagonstans.example"],
        "TXT": ["v=spf1 ~all"], "MX": ["10 mx.example"],
    },
    "ns1.nagonstans.example": {"A": ["192.0.2.1"]}, "ns2.nagonstans.example": {"A": ["192.0.2.2"]},
    "_dmarc.eken.example": {"TXT": ["v=DMARC1; p=none"]},
}  # fmt: skip


class Domains:
    """The house's domains, watched for real, in a DNS that the test changes."""

    def __init__(self, house: House, names: tuple[str, ...] = ("eken.example",)) -> None:
        self.house, self.names = house, names
        with house.database.read() as tx:
            self.keys = {one.name: {"TXT": [one.value]} for one in key_records(tx, "eken.example")}
        self.dns = Zone({**ZONE, **self.keys})

    def silence(self) -> None:
        """No server says anything from now on."""
        self.dns = Zone({}, faults=dict.fromkeys(("eken.example", "_dmarc.eken.example", *self.keys), "servfail"))

    async def look(self, after: timedelta = timedelta()) -> State:
        house = self.house
        house.clock.turn(after)

        async def write(verb: Any, /, *arguments: Any) -> Any:
            return await house.group.run(lambda tx, _: [verb(tx, *arguments)], None)

        await Watching(house.database.reading, write, self.dns, self._needs, confirm=0).round(house.clock.now())
        house.refresh()
        with house.database.read() as tx:
            return watch_of(tx, "eken.example").state

    def _needs(self, tx: Any, names: Any, now: Any) -> Any:
        ownership = Ownership({name: one for name, one in load_ownership(tx).domains.items() if name in self.names})
        facts, directory = load_facts(tx), load_directory(tx)
        return needs_by_name(tx, names, now, ownership=ownership, facts=facts, directory=directory, vendor_zone="")

    async def lose(self) -> None:
        """Until it is lost: the records are gone, and three days pass."""
        assert await self.look() is State.OK
        self.dns = Zone(ZONE)
        for _ in range(3):
            await self.look(26 * HOUR)
        assert await self.look(GRACE) is State.LOST

    async def find(self) -> None:
        self.dns = Zone({**ZONE, **self.keys})
        assert await self.look(7 * HOUR) is State.OK


@pytest.fixture
def domains(house: House) -> Domains:
    with house.database.write() as tx:
        keep_key(tx, house.seal, KEY, NOON)
    house.use_route("signed", sign=True, billable=True)
    return Domains(house)


def reasons(house: House) -> list[str]:
    r = recipient_table.c
    with house.database.read() as tx:
        return [row.reason for row in tx.execute(select(r.reason).order_by(r.id))]


async def test_mail_of_a_lost_domain_is_held_and_leaves_in_order_when_the_domain_is_back(
    house: House, domains: Domains
) -> None:
    await domains.lose()
    ids = [await house.submit(f"r{n}@post.example", stream=stream) for n, stream in enumerate(Stream)]
    assert [await house.states(id) for id in ids] == [[Mail.HELD]] * 3, "important mail too, and none is refused"
    assert reasons(house) == ["domain_lost"] * 3
    with house.database.read() as tx:
        (found,) = held(tx)
    assert (found.reason, found.origin.sender_domain, found.recipients) == ("domain_lost", "eken.example", 3)
    await house.following.look(at_once=True)
    assert [await house.states(id) for id in ids] == [[Mail.HELD]] * 3
    await domains.find()
    house.pause("signed")
    await house.following.look()
    r = recipient_table.c
    with house.database.read() as tx:
        due = [row.address for row in tx.execute(select(r.address).order_by(r.due_at, r.id))]
    assert due == [f"r{n}@post.example" for n in range(3)]
    house.resume("signed")
    assert [await house.settled(id) for id in ids] == [[Mail.DELIVERED]] * 3
    with house.database.read() as tx:
        assert fate_of_held(tx, "domain_lost", NOON, NOON + 60 * DAY) == Fate(held=3, released=3, customers=1)
        assert verify(tx) == []
    found_counts = await counted(house)
    assert [found_counts[what] for what in (Counted.HELD, Counted.RELEASED, Counted.REFUSED)] == [3, 3, 0]


async def test_mail_that_waits_is_held_when_its_time_comes(house: House, domains: Domains) -> None:
    await domains.look()
    house.pause("signed")
    id = await house.submit()
    domains.dns = Zone(ZONE)
    for wait in (26 * HOUR, 26 * HOUR, 26 * HOUR, GRACE):
        await domains.look(wait)
    house.resume("signed")
    assert await house.settled(id) == [Mail.HELD]
    assert reasons(house) == ["domain_lost"]


async def test_at_risk_is_not_lost_and_an_answer_that_does_not_come_is_neither(house: House, domains: Domains) -> None:
    assert await domains.look() is State.OK
    domains.dns = Zone(ZONE)
    await domains.look(26 * HOUR)
    assert await domains.look(2 * HOUR) is State.AT_RISK
    assert await house.settled(await house.submit()) == [Mail.DELIVERED]
    domains.silence()
    assert await domains.look(GRACE) is State.AT_RISK
    assert await house.settled(await house.submit()) == [Mail.DELIVERED]


async def test_what_is_lost_stays_lost_while_nobody_answers(house: House, domains: Domains) -> None:
    await domains.lose()
    id = await house.submit()
    domains.silence()
    assert await domains.look(7 * HOUR) is State.LOST
    await house.following.look(at_once=True)
    assert await house.states(id) == [Mail.HELD]


async def test_what_does_not_need_the_domains_records_leaves_all_the_same(house: House, domains: Domains) -> None:
    await domains.lose()
    test = await house.submit(mode=Mode.TEST)
    house.use_route("plain")
    plain = await house.submit()
    assert await house.settled(plain) == [Mail.DELIVERED]
    assert await house.states(test) != [Mail.HELD]


async def test_another_domain_of_the_same_customer_and_product_is_not_concerned(house: House, domains: Domains) -> None:
    """Nor is one below the lost one that has proved itself; one that has not is spoken for by it."""
    with house.database.write() as tx:
        for name in ("eken-post.example", "egen.eken.example"):
            prove_domain(tx, name, house.cast.eken, "operator", "the tests", NOON)
            keep_key(tx, house.seal, new_key(name, "om1", "ed25519-sha256"), NOON)
    await domains.lose()

    async def from_(domain: str) -> str:
        return await house.submit(content=MAIL.replace(b"hyra@eken.example", b"hyra@" + domain.encode()))

    lost, below = await from_("eken.example"), await from_("avi.eken.example")
    others = [await from_("eken-post.example"), await from_("egen.eken.example")]
    assert [await house.settled(id) for id in others] == [[Mail.DELIVERED]] * 2
    await house.following.look(at_once=True)
    assert [await house.states(id) for id in (lost, below)] == [[Mail.HELD]] * 2
    with house.database.read() as tx:
        assert {one.origin.sender_domain for one in held(tx)} == {"eken.example", "avi.eken.example"}
    await domains.find()
    await house.following.look()
    assert [await house.settled(id) for id in (lost, below)] == [[Mail.DELIVERED]] * 2


async def test_what_one_domain_waits_for_does_not_keep_anothers_mail_nor_let_it_go(
    house: House, domains: Domains
) -> None:
    """Held by one reason, for one customer and product, from two domains: each is released by its own."""
    with house.database.write() as tx:
        prove_domain(tx, "eken-post.example", house.cast.eken, "operator", "the tests", NOON)
        keep_key(tx, house.seal, new_key("eken-post.example", "om1", "ed25519-sha256"), NOON)
    await domains.lose()
    mine = await house.submit()
    other = await house.submit(content=MAIL.replace(b"eken.example", b"eken-post.example"))
    assert await house.settled(other) == [Mail.DELIVERED]
    with house.database.read() as tx:
        assert [one.origin.sender_domain for one in held(tx)] == ["eken.example"]
    await house.following.look(at_once=True)
    assert await house.states(mine) == [Mail.HELD]


async def test_what_is_held_for_a_lost_domain_expires_when_mail_does(house: House, domains: Domains) -> None:
    await domains.lose()
    old = await house.submit()
    await domains.look(4 * DAY)
    young = await house.submit()
    await domains.look(1.1 * DAY)
    await house.following.look(at_once=True)
    assert (await house.states(old), await house.states(young)) == ([Mail.EXPIRED], [Mail.HELD])
    last = (await house.timeline(old))[-1]
    assert (last.type, last.data["reason"]) == ("expired", "hold_expired")
    assert (await counted(house))[Counted.HELD_EXPIRED] == 1


async def test_a_route_that_asks_for_records_of_its_own_needs_the_domain_too(house: House, domains: Domains) -> None:
    """Not only what we sign: the next server may sign, by a selector in the customer's zone."""
    with house.database.read() as tx:
        relay = load_facts(tx).route("relay")
    assert relay
    house.use_route("their-own", settings={**relay.settings, "dkim_selectors": ["om2"]})
    await domains.lose()
    id = await house.submit()
    assert await house.states(id) == [Mail.HELD]
    await domains.find()
    await house.following.look()
    assert await house.settled(id) == [Mail.DELIVERED]
