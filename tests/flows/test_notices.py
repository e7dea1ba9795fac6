"""What is told leaves a running service: letters by its own way out, webhooks to a service centre that comes and goes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import select

from ombud import installation as installation_module
from ombud.accounts import load_directory, put_customer, put_product
from ombud.accounts.people import put_person
from ombud.accounts.vendor import OWN_PRODUCT, load_vendor, put_vendor
from ombud.db import Database
from ombud.domains import keep_key, prove_domain
from ombud.mail.dkim import new_key
from ombud.notices.letters import Writer, letters_of, put_letters, to_person
from ombud.notices.outbox import Kind, State, notice_table, put_notice
from ombud.notices.webhooks import put_webhook
from ombud.queue import State as MailState
from ombud.routing import assign, load_facts
from ombud.seal import load_or_make
from tests.flows.conftest import Build, Serve, Start, on_postgres, on_sqlite
from tests.flows.house import House
from tests.notices.receiver import answer, receiving

NOW = datetime.fromisoformat("2024-05-07T12:00:00+02:00")
LOCAL = {"private_addresses": True, "timeout": 1.0}


def _opened(house: House) -> Database:
    return Database.open(house.database or f"sqlite:///{house.directory / 'ombud.db'}")


def _furnish(house: House, url: str, notices: int) -> None:
    """The vendor's own letters, a webhook, and so many notices that wait for it."""
    seal = load_or_make(house.directory / installation_module.MASTER_KEY)
    database = _opened(house)
    with database.write() as tx:
        put_customer(tx, "vendor", "Molntjänst AB", NOW)
        put_product(tx, OWN_PRODUCT, "Ombud", NOW)
        directory, route = load_directory(tx), load_facts(tx).route("hop")
        assert route
        vendor, product = directory.customer("vendor"), directory.product(OWN_PRODUCT)
        prove_domain(tx, "molntjanst.example", vendor, "operator", "", NOW)
        keep_key(tx, seal, new_key("molntjanst.example", "om1", "ed25519-sha256"), NOW)  # the route signs
        assign(tx, None, product.id, route.id, NOW)
        put_vendor(tx, "Molntjänst AB", vendor, product, "epost@molntjanst.example", NOW)
        put_webhook(tx, seal, "centre", url, "", NOW)
        for n in range(notices):
            put_notice(tx, Kind.WEBHOOK, "centre", {"type": "test", "n": n}, NOW)
    database.close()


def _put_letter(house: House, address: str) -> None:
    seal = load_or_make(house.directory / installation_module.MASTER_KEY)
    database = _opened(house)
    with database.write() as tx:
        eken = load_directory(tx).customer("eken")
        person = put_person(tx, eken.id, "Anna", address, NOW)
        values = {"domain": "eken.example", "since": "kl. 10.14"}
        writer = Writer(seal, load_vendor(tx), "https://ombud.example")
        put_letters(tx, writer, [to_person(person, eken.id, f"test/{address}", "domain_back", values=values)], NOW)
    database.close()


async def _until(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not come to that in time"
        await asyncio.sleep(0.05)


def _states(house: House) -> Counter[str]:
    with house.looking() as tx:
        return Counter(tx.execute(select(notice_table.c.state)).scalars())


@on_sqlite
async def test_a_letter_leaves_by_the_vendors_way_and_its_arrival_is_known(serve: Serve) -> None:
    async with receiving(answer()) as centre:
        running = await asyncio.to_thread(serve, notices=LOCAL)
        house = running.house
        await asyncio.to_thread(_furnish, house, centre.url, 3)
        await asyncio.to_thread(_put_letter, house, "anna@post.example")
        await _until(lambda: house.hop.taken["anna@post.example"] == 1)
        await _until(lambda: len(centre.posts) == 3)

        def arrived() -> bool:
            with house.looking() as tx:
                return letters_of(tx)[0].outcome is MailState.DELIVERED

        await _until(arrived)
        await _until(lambda: _states(house) == {State.TOLD: 4})
        assert house.unwell() == []


@on_postgres
async def test_two_processes_tell_everything_once_and_a_killed_one_loses_nothing(build: Build, start: Start) -> None:
    async with receiving(answer("503 Busy")) as centre:
        house = build(notices=LOCAL)
        await asyncio.to_thread(_furnish, house, centre.url, 20)
        first, second = await asyncio.to_thread(start, house), await asyncio.to_thread(start, house)
        await _until(lambda: len(centre.posts) >= 10)
        os.kill(first.process.pid, signal.SIGKILL)  # with some in its hands
        centre.behaviour = answer()
        told_from = len(centre.posts)

        def hurried() -> bool:
            database = _opened(house)
            with database.write() as tx:  # what waits for its next try, or for the dead one's claim, is due now
                due = notice_table.c.due_at.is_not(None) & (notice_table.c.due_at > tx.now + timedelta(seconds=2))
                tx.execute(notice_table.update().where(due).values(due_at=tx.now))
            database.close()
            return _states(house) == {State.TOLD: 20}

        await _until(hurried)
        assert {post.told["n"] for post in centre.posts[told_from:]} == set(range(20))
        assert len({post.told["id"] for post in centre.posts}) == 20
        assert second.process.poll() is None
