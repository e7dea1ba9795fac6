"""The one way out: from accepted to an outcome for each recipient, with what is written down on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import dkim
from sqlalchemy import select, update

from ombud import usage
from ombud.accounts import Mode
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.domains import keep_key, key_records, prove_domain
from ombud.mail.dkim import new_key
from ombud.mail.message import header_values
from ombud.queue import State
from ombud.queue.tables import SUSPECTED, attempt_table, recipient_table
from ombud.routing import Limits, load_facts, put_route, unassign
from tests.conftest import NOON
from tests.delivery.conftest import House


async def test_a_mail_is_delivered_and_everything_is_written_down(house: House) -> None:
    id = await house.submit()
    assert await house.settled(id) == [State.DELIVERED]
    ((to, content),) = house.relay.got
    assert to == ("anna@post.example",)
    assert content.endswith(b"\r\n\r\nHej!\r\n")
    assert [one.type for one in await house.timeline(id)] == ["accepted", "delivered"]
    (line,) = await house.database.reading(usage.usage_of, house.cast.eken.id, "2024-05")
    assert (line.emails, line.billable) == (1, True)


async def test_each_recipient_gets_its_own_outcome_with_the_other_sides_words(house: House) -> None:
    id = await house.submit("anna@post.example", "later@post.example", "never@post.example")
    assert await house.settled(id) == [State.DELIVERED, State.DEFERRED, State.FAILED]
    replies = {one.recipient: one.data["reply"] for one in await house.timeline(id) if one.recipient}
    assert replies == {
        "anna@post.example": "250 2.0.0 taken",
        "later@post.example": "451 4.7.1 come back in a while",
        "never@post.example": "550 5.1.1 no such person here",
    }


async def test_the_day_counts_what_became_of_each(house: House) -> None:
    await house.settled(await house.submit("anna@post.example", "later@post.example", "never@post.example"))
    counted = {usage.Counted.BILLABLE, usage.Counted.FREE, usage.Counted.RETRIED, usage.Counted.FAILED}
    day = day_of(NOON)
    tallies = await house.database.reading(usage.tallies, day, day + timedelta(days=1), what=counted)
    route = house.delivery.outlets[0].route.id
    assert {(one.customer_id, one.route_id, one.what, one.number) for one in tallies} == {
        (house.cast.eken.id, route, usage.Counted.BILLABLE, 1),
        (house.cast.eken.id, route, usage.Counted.RETRIED, 1),
        (house.cast.eken.id, route, usage.Counted.FAILED, 1),
    }


async def test_only_who_was_deferred_is_tried_again(house: House) -> None:
    id = await house.submit("anna@post.example", "later@post.example", "never@post.example")
    await house.settled(id)
    await house.due_now()
    async with asyncio.timeout(5):
        while [one.type for one in await house.timeline(id)].count("deferred") < 2:
            await asyncio.sleep(0.02)
    assert len(house.relay.got) == 1


async def test_a_lost_answer_is_unknown_and_the_second_copy_has_the_same_bytes(house: House) -> None:
    id = await house.submit("lost@post.example")
    assert await house.settled(id) == [State.UNKNOWN]
    await house.due_now()
    async with asyncio.timeout(5):
        while len(house.relay.got) < 2:
            await asyncio.sleep(0.02)
    first, second = house.relay.got
    assert first == second
    assert await house.database.reading(usage.usage_of, house.cast.eken.id) == []  # nobody has said yes


async def test_a_lost_answer_can_be_left_for_a_person(house: House) -> None:
    hold = house.delivery._settings.delivery.model_copy(update={"unknown": "hold"})
    house.delivery._settings = house.delivery._settings.model_copy(update={"delivery": hold})
    id = await house.submit("lost@post.example")
    assert await house.settled(id) == [State.UNKNOWN]
    await house.due_now()
    await asyncio.sleep(0.3)
    assert len(house.relay.got) == 1


async def test_what_leaves_is_what_came_in_with_our_fields_on_top(house: House) -> None:
    await house.settled(await house.submit())
    ((_, content),) = house.relay.got
    ours, _, theirs = content.partition(b"From: Bostads AB Eken")
    assert theirs == b" <hyra@eken.example>\r\nTo: anna@post.example\r\nSubject: Hyresavi\r\n\r\nHej!\r\n"
    assert {line.split(b":")[0] for line in ours.splitlines() if line[:1] != b" "} == {
        b"Received",
        b"Message-ID",
        b"Date",
    }


async def test_fields_for_us_alone_do_not_leave(house: House) -> None:
    content = b"X-Ombud-Tag: avi\r\nBcc: hemlig@post.example\r\nFrom: hyra@eken.example\r\nTo: anna@post.example\r\n\r\nHej\r\n"
    await house.settled(await house.submit(content=content))
    ((_, left),) = house.relay.got
    assert b"hemlig" not in left
    assert b"X-Ombud" not in left


async def test_a_route_that_signs_signs_with_the_from_domains_key(house: House) -> None:
    house.use_route("signing", sign=True)
    with house.database.read() as tx:
        (record,) = key_records(tx, "eken.example")
    await house.settled(await house.submit())
    ((_, content),) = house.relay.got
    assert " d=eken.example;" in header_values(content, "DKIM-Signature")[0]
    assert record.name == "om1._domainkey.eken.example"
    assert content.startswith(b"DKIM-Signature:")


async def test_a_mail_that_must_be_signed_and_cannot_be_is_held_not_sent_bare(house: House) -> None:
    with house.database.write() as tx:
        prove_domain(tx, "nyckellos.example", house.cast.eken, "operator", "the tests", NOON)
    house.use_route("signing", sign=True)
    content = b"From: hyra@nyckellos.example\r\n\r\nHej\r\n"
    id = await house.submit(content=content)
    assert await house.settled(id) == [State.HELD]
    assert house.relay.got == []
    assert (await house.timeline(id))[-1].data["reason"] == "no_signing_key"


async def test_test_mode_does_everything_but_send(house: House) -> None:
    id = await house.submit(mode=Mode.TEST)
    assert await house.settled(id) == [State.DELIVERED]
    assert house.relay.connections == 0
    (line,) = await house.database.reading(usage.usage_of, house.cast.eken.id)
    assert line.billable is False


async def test_mail_in_the_queue_follows_the_facts_when_its_turn_comes(house: House) -> None:
    house.pause("relay")
    id = await house.submit()
    await asyncio.sleep(0.2)
    assert await house.states(id) == [State.WAITING]
    other = house.use_route("other")
    house.resume("relay")
    assert await house.settled(id) == [State.DELIVERED]
    with house.database.read() as tx:
        assert tx.execute(select(attempt_table.c.route_id)).scalars().all() == [other.id]


async def test_mail_whose_way_is_gone_is_held_with_the_reason(house: House) -> None:
    house.pause("relay")
    id = await house.submit()
    with house.database.write() as tx:
        unassign(tx, house.cast.eken.id, None)
    house.resume("relay")
    assert await house.settled(id) == [State.HELD]
    assert (await house.timeline(id))[-1].data["reason"] == "no_route"


async def test_a_recipient_that_is_not_reached_in_its_time_expires_with_an_event(house: House) -> None:
    id = await house.submit("later@post.example")
    await house.settled(id)
    with house.database.write() as tx:
        tx.execute(update(recipient_table).values(expires_at=tx.now - timedelta(hours=1)))
    for _ in range(4):
        await house.due_now()
        await asyncio.sleep(0.1)
    assert await house.settled(id, State.EXPIRED) == [State.EXPIRED]
    with house.database.read() as tx:
        tries = tx.execute(select(attempt_table.c.n)).scalars().all()
    assert len(tries) == 4  # time alone expires nothing: a clock that jumps must not


async def test_a_route_that_is_down_is_left_alone_and_comes_back_gently(house: House) -> None:
    house.relay.down = True
    ids = [await house.submit(f"{n}@post.example") for n in range(40)]
    async with asyncio.timeout(10):
        while not house.delivery.outlets or not any(outlet.breaker.open for outlet in house.delivery.outlets):
            await asyncio.sleep(0.02)
    knocked = house.relay.connections
    await asyncio.sleep(0.5)
    assert house.relay.connections <= knocked + 4  # those that were under way
    house.relay.down = False
    for outlet in house.delivery.outlets:
        outlet.breaker._opened_until = 0.0  # the pause is over
    async with asyncio.timeout(20):
        while len(house.relay.got) < 40:
            await house.due_now()
            await asyncio.sleep(0.05)
    for id in ids:
        await house.settled(id, State.DELIVERED)


async def test_no_more_connections_than_the_route_allows(house: House) -> None:
    house.relay.dot_delay = 0.05
    ids = [await house.submit(f"{n}@post.example") for n in range(30)]
    for id in ids:
        await house.settled(id, State.DELIVERED)
    assert house.relay.most_at_once <= 4


async def test_a_stop_lets_what_is_under_way_finish(house: House) -> None:
    house.relay.dot_delay = 0.4
    id = await house.submit()
    async with asyncio.timeout(5):
        while house.delivery.in_flight == 0:
            await asyncio.sleep(0.01)
    await house.delivery.stop(5)
    assert await house.states(id) == [State.DELIVERED]


async def test_each_signature_verifies_with_an_independent_library(house: House) -> None:
    with house.database.write() as tx:
        keep_key(tx, house.seal, new_key("eken.example", "rsa1", "rsa-sha256"), NOON)
        records = {record.name + ".": record.value for record in key_records(tx)}
    house.use_route("signing", sign=True)
    await house.settled(await house.submit())
    ((_, content),) = house.relay.got
    assert len(header_values(content, "DKIM-Signature")) == 2
    verifier = dkim.DKIM(content)
    assert verifier.verify(idx=0, dnsfunc=lambda name, timeout=5: records[name.decode()].encode())


async def test_a_route_that_cannot_be_made_does_not_stop_the_others(house: House) -> None:
    broken = house.use_route(
        "broken", settings={"host": "127.0.0.1", "port": house.relay.port, "ca_file": "/nowhere.pem"}
    )
    stuck = await house.submit()
    house.use_route("relay")
    fine = await house.submit()
    with house.database.write() as tx:  # what was to go by the broken route still is
        tx.execute(update(recipient_table).where(recipient_table.c.message_id == stuck).values(route_id=broken.id))
    assert await house.settled(fine) == [State.DELIVERED]
    assert await house.states(stuck) == [State.WAITING]


async def test_a_new_password_takes_effect_on_the_next_mail(house: House) -> None:
    await house.settled(await house.submit())
    before = house.relay.connections
    with house.database.read() as tx:
        settings = next(route.settings for route in load_facts(tx).routes.values() if route.slug == "relay")
    with house.database.write() as tx:
        put_route(
            tx, house.seal, "relay", "smtp", settings, "a new one", NOON, billable=True, limits=Limits(connections=4)
        )
    house.refresh()
    await house.settled(await house.submit())
    assert house.relay.connections == before + 1


async def test_those_over_whom_workers_died_go_one_at_a_time_and_arrive(house: House) -> None:
    house.relay.dot_delay = 0.05
    house.pause("relay")
    ids = [await house.submit(f"anna{n}@post.example") for n in range(4)]

    def died(tx: Transaction, pieces: Sequence[None]) -> list[None]:
        tx.execute(update(recipient_table).values(crashes=SUSPECTED))
        return [None for _ in pieces]

    await house.group.run(died, None)
    house.resume("relay")
    for id in ids:
        assert await house.settled(id) == [State.DELIVERED]
    assert house.relay.most_at_once == 1
