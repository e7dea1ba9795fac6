"""Mail follows the facts: held at the stop, released in order when the choice is live, moved with a switch and back with a rollback."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import dkim
import pytest
from sqlalchemy import select

from ombud.accounts import Mode
from ombud.choices import (
    AfterStop,
    Campaign,
    ExtensionKind,
    Reserve,
    approve_extension,
    ask_extension,
    put_campaign,
)
from ombud.clock import day_of
from ombud.delivery.following import baseline
from ombud.domains import keep_key, key_records
from ombud.errors import NoActiveChoice, TooBusy
from ombud.mail.dkim import new_key
from ombud.mail.message import header_values
from ombud.queue import Change, Fate, State, Stream, What, change_all, fate_of_held
from ombud.queue.tables import recipient_table
from ombud.routing import (
    Action,
    Counts,
    Decision,
    Route,
    approve_brownout,
    ask_brownout,
    assign,
    count_outcomes,
    end_override,
    get_switch,
    load_facts,
    pause_brownout,
    put_override,
    put_route,
    put_switch,
    roll_back,
    unassign,
)
from ombud.usage import Counted, Tally, add_tallies, tallies
from ombud.verify import verify
from tests.conftest import NOON
from tests.delivery.conftest import House

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STOP = date(2024, 5, 31)


@pytest.fixture
def campaign(house: House) -> Campaign:
    """Hyra's mail takes the relay until the stop; what is held after it, is held for 14 days."""
    with house.database.write() as tx:
        relay = load_facts(tx).route("relay")
        assert relay
        unassign(tx, house.cast.eken.id, None)
        put_route(tx, house.seal, "new", "smtp", relay.settings, None, NOON, billable=True)
        put_route(tx, house.seal, "dead", "smtp", {**relay.settings, "port": 1, "command_seconds": 1}, None, NOON)
        wanted = Campaign(
            id=0, slug="epost-2024", version=0, name={"sv": "E-post", "en": "E-mail"}, products={house.cast.hyra.id: relay.id},
            alternatives=(), start_date=date(2024, 1, 8), risk_date=date(2024, 2, 1), stop_date=STOP, last_extension_date=date(2024, 8, 31),
            after_stop=AfterStop.HOLD, hold_days=14, reserve=Reserve(relay.id, "{slug}@linden.example"),
        )  # fmt: skip
        made = put_campaign(tx, wanted, {}, NOON)
    house.refresh()
    return made


def refusing(house: House, campaign: Campaign) -> None:
    with house.database.write() as tx:
        put_campaign(tx, replace(campaign, after_stop=AfterStop.REFUSE, hold_days=0), {}, NOON)
    house.refresh()


def turn_to(house: House, days: float) -> None:
    """Turn the clock to so many days after noon on 2024-05-07; the stop is at 24.5."""
    house.clock.turn(NOON + timedelta(days=days) - house.clock.now())


AFTER_THE_STOP = 25.0


def route(house: House, slug: str) -> Route:
    found = house.delivery._facts.value.route(slug)
    assert found
    return found


def go_live(house: House, campaign: Campaign, slug: str = "new", **more: object) -> int:
    with house.database.write() as tx:
        put = put_switch(
            tx, house.cast.eken.id, route(house, slug).id, house.clock.now(), campaign_id=campaign.id,
            from_route_id=route(house, "relay").id, **more,  # type: ignore[arg-type]  # a test's own words
        )  # fmt: skip
    house.refresh()
    return put.id


async def counted(house: House) -> Mapping[Counted, int]:
    day = day_of(NOON)
    found = await house.database.reading(tallies, day - 40 * DAY, day + 90 * DAY)
    return {what: sum(one.number for one in found if one.what is what) for what in Counted}


# --- the stop ---


async def test_after_the_stop_mail_is_refused_with_the_link_where_the_choice_is_made(
    house: House, campaign: Campaign
) -> None:
    refusing(house, campaign)
    turn_to(house, AFTER_THE_STOP)
    house.submissions.public_url = "https://epost.example"
    with pytest.raises(NoActiveChoice) as refused:
        await house.submit("a@gmail.com", "b@post.example")
    assert refused.value.smtp == (550, "5.7.1")
    assert "https://epost.example/choose/epost-2024/eken" in refused.value.text("sv")
    assert "2024-05-31" in refused.value.text("en")
    assert (await counted(house))[Counted.REFUSED] == 0

    async def away(*_: object) -> None:
        raise TooBusy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.group, "run", away)
        with pytest.raises(TooBusy):
            await house.submissions.counting.flush()
    await house.submissions.counting.flush()
    await house.submissions.counting.flush()  # nothing is counted twice
    found = await counted(house)
    assert (found[Counted.REFUSED], found[Counted.TO_GMAIL], found[Counted.ACCEPTED]) == (2, 0, 0)


async def test_what_was_accepted_before_the_stop_is_held_then_and_not_refused(house: House, campaign: Campaign) -> None:
    refusing(house, campaign)
    house.pause("relay")
    id = await house.submit()
    turn_to(house, AFTER_THE_STOP)
    house.resume("relay")
    assert await house.settled(id) == [State.HELD]
    assert (await house.timeline(id))[-1].data["reason"] == "no_active_choice"
    assert house.relay.got == []


async def test_mail_that_waits_for_its_next_try_is_held_at_the_stop_and_not_hours_later(
    house: House, campaign: Campaign
) -> None:
    id = await house.submit("later@post.example")
    await house.settled(id, State.DEFERRED)
    turn_to(house, AFTER_THE_STOP)
    await house.following.look(at_once=True)
    assert await house.states(id) == [State.HELD]


async def test_held_mail_is_released_in_order_when_the_choice_goes_live(house: House, campaign: Campaign) -> None:
    turn_to(house, AFTER_THE_STOP)
    ids = [await house.submit(f"r{n}@post.example") for n in range(6)]
    assert [await house.states(id) for id in ids] == [[State.HELD]] * 6
    await house.following.look(at_once=True)
    assert [await house.states(id) for id in ids] == [[State.HELD]] * 6
    go_live(house, campaign)
    await house.following.look(at_once=True)
    for id in ids:
        assert await house.settled(id) == [State.DELIVERED]
        assert [one.type for one in await house.timeline(id)] == ["accepted", "held", "released", "delivered"]
    r = recipient_table.c
    with house.database.read() as tx:
        rows = tx.execute(select(r.reason, r.route_id).order_by(r.id)).all()
        fate = fate_of_held(tx, "no_active_choice", NOON, NOON + 60 * DAY)
        assert verify(tx) == []
    assert {(row.reason, row.route_id) for row in rows} == {("choice_live", route(house, "new").id)}
    assert fate == Fate(held=6, released=6, customers=1)
    found = await counted(house)
    assert (found[Counted.HELD], found[Counted.RELEASED], found[Counted.BILLABLE]) == (6, 6, 6)


async def test_a_large_backlog_leaves_in_the_order_in_which_it_was_accepted(
    house: House, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ombud.delivery.following.AT_A_TIME", 2)
    turn_to(house, AFTER_THE_STOP)
    for n in range(7):
        await house.submit(f"r{n}@post.example")
    go_live(house, campaign)
    house.pause("new")
    await house.following.look(at_once=True)
    r = recipient_table.c
    with house.database.read() as tx:
        due = [row.address for row in tx.execute(select(r.address).order_by(r.due_at, r.id))]
        assert verify(tx) == []
    assert due == [f"r{n}@post.example" for n in range(7)]


async def test_held_mail_expires_after_the_policys_days_and_says_so(house: House, campaign: Campaign) -> None:
    turn_to(house, AFTER_THE_STOP)
    old = await house.submit()
    turn_to(house, AFTER_THE_STOP + 10)
    young = await house.submit()
    turn_to(house, AFTER_THE_STOP + 14.01)
    await house.following.look(at_once=True)
    assert (await house.states(old), await house.states(young)) == ([State.EXPIRED], [State.HELD])
    last = (await house.timeline(old))[-1]
    assert (last.type, last.data["reason"]) == ("expired", "hold_expired")
    go_live(house, campaign)
    await house.following.look(at_once=True)
    assert (await house.states(old), await house.settled(young)) == ([State.EXPIRED], [State.DELIVERED])
    with house.database.read() as tx:
        assert fate_of_held(tx, "no_active_choice", NOON, NOON + 60 * DAY) == Fate(
            held=2, released=1, expired=1, customers=1
        )
        assert verify(tx) == []
    assert (await counted(house))[Counted.HELD_EXPIRED] == 1


async def test_what_something_else_held_first_expires_by_the_policy_all_the_same(
    house: House, campaign: Campaign
) -> None:
    turn_to(house, AFTER_THE_STOP - 2)
    with house.database.write() as tx:
        now = house.clock.now()
        put_override(tx, house.cast.eken.id, None, None, now, until=now + DAY, by="anna", reason="complaints")
    house.refresh()
    house.clock.turn(timedelta(seconds=1))
    house.pause("relay")
    id = await house.submit()
    turn_to(house, AFTER_THE_STOP)
    await house.following.look(at_once=True)
    assert await house.states(id) == [State.HELD]
    turn_to(house, AFTER_THE_STOP + 13)
    await house.following.look(at_once=True)
    assert await house.states(id) == [State.EXPIRED]


async def test_what_is_to_leave_later_keeps_its_time_through_the_stop(house: House, campaign: Campaign) -> None:
    turn_to(house, AFTER_THE_STOP)
    id = await house.submit(deliver_at=house.clock.now() + 2 * HOUR)
    assert await house.states(id) == [State.WAITING]
    await house.following.look(at_once=True)
    assert await house.states(id) == [State.WAITING]
    await house.due_now()
    assert await house.settled(id) == [State.HELD]


# --- brownouts and overrides ---


async def test_a_brownout_holds_and_then_releases_all_of_it_and_lets_the_important_through(
    house: House, campaign: Campaign
) -> None:
    with house.database.write() as tx:
        asked = ask_brownout(tx, campaign.id, NOON + HOUR, NOON + 3 * HOUR, NOON, by="anna")
        approve_brownout(tx, asked.id, NOON, by="bo")
    house.refresh()
    turn_to(house, 1.5 / 24)
    held = [await house.submit(f"r{n}@post.example") for n in range(3)]
    important = await house.submit("alarm@post.example", stream=Stream.IMPORTANT)
    assert await house.settled(important) == [State.DELIVERED]
    await house.following.look(at_once=True)
    for id in held:
        assert await house.states(id) == [State.HELD]
    turn_to(house, 3 / 24)
    await house.following.look(at_once=True)
    for id in held:
        assert await house.settled(id) == [State.DELIVERED]
    with house.database.read() as tx:
        assert fate_of_held(tx, "brownout", NOON, NOON + DAY) == Fate(held=3, released=3, customers=1)


async def test_a_pause_releases_what_a_brownout_holds_at_once(house: House, campaign: Campaign) -> None:
    with house.database.write() as tx:
        asked = ask_brownout(tx, campaign.id, NOON + HOUR, NOON + 3 * HOUR, NOON, by="anna")
        approve_brownout(tx, asked.id, NOON, by="bo")
    house.refresh()
    turn_to(house, 2 / 24)
    id = await house.submit()
    with house.database.write() as tx:
        pause_brownout(tx, asked.id, house.clock.now(), by="anna")
    house.refresh()
    await house.following.look(at_once=True)
    assert await house.settled(id) == [State.DELIVERED]


async def test_what_an_override_holds_is_released_when_it_ends(house: House, campaign: Campaign) -> None:
    with house.database.write() as tx:
        override = put_override(
            tx, house.cast.eken.id, None, None, NOON, until=NOON + DAY, by="anna", reason="complaints"
        )
    house.refresh()
    id = await house.submit()
    assert await house.states(id) == [State.HELD]
    await house.following.look(at_once=True)
    assert await house.states(id) == [State.HELD]
    with house.database.write() as tx:
        end_override(tx, override.id, house.clock.now() + timedelta(seconds=1), by="anna")
    house.refresh()
    house.clock.turn(timedelta(seconds=2))
    await house.following.look(at_once=True)
    assert await house.settled(id) == [State.DELIVERED]


async def test_what_a_person_holds_only_a_person_lets_go(house: House, campaign: Campaign) -> None:
    house.pause("relay")
    id = await house.submit()
    r = recipient_table.c
    with house.database.write() as tx:
        (number,) = tx.execute(select(r.id)).scalars()
        change_all(tx, [Change(number, None, What.HOLD, NOON, reason="held_by_operator")])
    house.resume("relay")
    await house.following.look(at_once=True)
    assert await house.states(id) == [State.HELD]
    turn_to(house, AFTER_THE_STOP + 20)
    await house.following.look(at_once=True)
    assert await house.states(id) == [State.HELD], "nor does it expire"


async def test_what_was_held_for_want_of_a_way_goes_when_there_is_one(house: House) -> None:
    house.pause("relay")
    id = await house.submit()
    with house.database.write() as tx:
        unassign(tx, house.cast.eken.id, None)
    house.refresh()
    house.resume("relay")
    assert await house.settled(id) == [State.HELD]
    with house.database.write() as tx:
        assign(tx, house.cast.eken.id, None, route(house, "relay").id, NOON)
    house.refresh()
    await house.following.look(at_once=True)
    assert await house.settled(id) == [State.DELIVERED]


# --- switches ---


async def test_mail_that_is_put_off_follows_a_switch_at_once(house: House, campaign: Campaign) -> None:
    house.pause("relay")
    id = await house.submit()
    go_live(house, campaign)
    await house.following.look(at_once=True)
    assert await house.settled(id) == [State.DELIVERED]
    with house.database.read() as tx:
        (row,) = tx.execute(select(recipient_table.c.route_id, recipient_table.c.reason))
    assert (row.route_id, row.reason) == (route(house, "new").id, "choice_live")


async def test_what_is_to_leave_later_keeps_its_time_by_the_new_way_too(house: House, campaign: Campaign) -> None:
    id = await house.submit(deliver_at=house.clock.now() + 2 * HOUR)
    go_live(house, campaign)
    await house.following.look(at_once=True)
    r = recipient_table.c
    with house.database.read() as tx:
        (row,) = tx.execute(select(r.route_id, r.due_at).where(r.message_id == id))
        assert (row.route_id, row.due_at > tx.now + HOUR) == (route(house, "new").id, True)


async def test_a_lost_domains_mail_is_kept_as_long_as_the_campaign_keeps_any(house: House, campaign: Campaign) -> None:
    def kept(campaign: Campaign | None) -> timedelta | None:
        return house.following._held_for(Decision(Action.HOLD, route(house, "new"), "domain_lost", campaign=campaign))

    assert (kept(None), kept(campaign), kept(replace(campaign, hold_days=1))) == (5 * DAY, 14 * DAY, 5 * DAY)


async def test_a_canary_sends_each_recipient_of_a_message_its_own_way(house: House, campaign: Campaign) -> None:
    go_live(house, campaign, canary_percent=50, canary_until=NOON + DAY)
    id = await house.submit(*(f"r{n}@post.example" for n in range(40)))
    assert set(await house.settled(id)) == {State.DELIVERED}
    r = recipient_table.c
    with house.database.read() as tx:
        rows = tx.execute(select(r.route_id, r.reason)).all()
        assert verify(tx) == []
    by = {(row.route_id, row.reason) for row in rows}
    assert by == {(route(house, "relay").id, "legacy"), (route(house, "new").id, "canary")}


async def test_what_waits_for_its_canary_stays_with_it(house: House, campaign: Campaign) -> None:
    go_live(house, campaign, canary_percent=50, canary_until=NOON + DAY)
    house.pause("new")
    id = await house.submit(*(f"r{n}@post.example" for n in range(20)))
    async with asyncio.timeout(10):
        while State.LEASED in (states := await house.states(id)) or State.DELIVERED not in states:
            await asyncio.sleep(0.02)
    await house.following.look(at_once=True)
    r = recipient_table.c
    with house.database.read() as tx:
        waiting = tx.execute(select(r.route_id, r.reason).where(r.state == State.WAITING)).all()
    assert waiting and {(row.route_id, row.reason) for row in waiting} == {(route(house, "new").id, "canary")}


def test_a_switch_is_measured_by_how_its_own_mail_went_before_by_other_routes(house: House, campaign: Campaign) -> None:
    id = go_live(house, campaign, product_ids=[house.cast.hyra.id])
    eken, hyra, day = house.cast.eken.id, house.cast.hyra.id, day_of(NOON)
    old, new = route(house, "relay").id, route(house, "new").id
    with house.database.write() as tx:
        add_tallies(tx, [
            Tally(day - 28 * DAY, eken, hyra, old, Counted.FREE, 5), Tally(day - DAY, eken, hyra, old, Counted.FAILED, 2),
            Tally(day - DAY, eken, hyra, old, Counted.BILLABLE, 3), Tally(day - DAY, eken, hyra, old, Counted.HELD, 100),
            Tally(day - 29 * DAY, eken, hyra, old, Counted.FREE, 100), Tally(day, eken, hyra, old, Counted.FREE, 100),
            Tally(day - DAY, eken, hyra, new, Counted.FAILED, 100), Tally(day - DAY, eken, hyra + 1, old, Counted.FAILED, 100),
            Tally(day - DAY, house.cast.linden.id, hyra, old, Counted.FAILED, 100),
        ])  # fmt: skip
        assert baseline(tx, get_switch(tx, id)) == Counts(8, 2)


async def test_too_many_failures_roll_a_switch_back_and_its_mail_goes_the_old_way(
    house: House, campaign: Campaign
) -> None:
    for n in range(25):
        await house.submit(f"before{n}@post.example")
    switch = go_live(house, campaign, "dead")
    ids = [await house.submit(f"r{n}@post.example") for n in range(30)]
    async with asyncio.timeout(30):
        while house.delivery._facts.value.switches[0].rolled_back_at is None:
            await house.due_now()
            await asyncio.sleep(0.05)
            for outlet in house.delivery.outlets:
                outlet.breaker.succeeded()  # the test has no minutes to wait for the next try
            await house.following.watch_switches()
            house.refresh()
    (found,) = house.delivery._facts.value.switches
    assert (found.id, found.rolled_back_by) == (switch, "ombud")
    assert "100.0%" in (found.rollback_reason or "")
    await house.following.look(at_once=True)
    for id in ids:
        assert await house.settled(id, State.DELIVERED) == [State.DELIVERED]


async def test_a_switch_is_not_rolled_back_into_the_stop(house: House, campaign: Campaign) -> None:
    turn_to(house, AFTER_THE_STOP)
    go_live(house, campaign, "dead")
    with house.database.write() as tx:
        count_outcomes(tx, "w", {house.delivery._facts.value.switches[0].id: Counts(0, 500)})
    await house.following.watch_switches()
    house.refresh()
    assert house.delivery._facts.value.switches[0].rolled_back_at is None


async def test_a_person_rolls_back_in_one_step_and_the_queue_follows(house: House, campaign: Campaign) -> None:
    switch = go_live(house, campaign)
    house.pause("new")
    id = await house.submit()
    with house.database.write() as tx:
        roll_back(tx, switch, house.clock.now(), by="anna", reason="their server is down")
    house.refresh()
    await house.following.look(at_once=True)
    assert await house.settled(id) == [State.DELIVERED]
    with house.database.read() as tx:
        (row,) = tx.execute(select(recipient_table.c.reason))
    assert row.reason == "rolled_back"


# --- reserve mode ---


async def test_in_reserve_mode_mail_leaves_in_the_vendors_name_and_says_so(house: House, campaign: Campaign) -> None:
    turn_to(house, AFTER_THE_STOP)
    with house.database.write() as tx:
        keep_key(tx, house.seal, new_key("linden.example", "om1", "ed25519-sha256"), NOON)
        asked = ask_extension(
            tx, campaign, house.cast.eken, ExtensionKind.RESERVE, date(2024, 6, 14), house.clock.now(), reason_code="technical_problem",
            reason="their server burned", by="anna",
        )  # fmt: skip
        approve_extension(tx, campaign, asked, "bo", house.clock.now())
        (record,) = key_records(tx, "linden.example")
    house.refresh()
    id = await house.submit()
    assert await house.settled(id) == [State.DELIVERED]
    ((_, content),) = house.relay.got
    assert header_values(content, "From") == ["Bostads AB Eken <eken@linden.example>"]
    assert header_values(content, "Reply-To") == ["Bostads AB Eken <hyra@eken.example>"]
    assert header_values(content, "X-Ombud-Reserve") == ["eken"]
    assert content.endswith(b"To: anna@post.example\r\nSubject: Hyresavi\r\n\r\nHej!\r\n")
    assert dkim.verify(content, dnsfunc=lambda name, timeout=5: record.value.encode())
    assert b"d=linden.example;" in content
    assert b"eken.example" not in b"".join(house.relay.senders)
    events = await house.timeline(id)
    assert events[0].data["reason"] == "reserve_mode"
    assert "sent as eken@linden.example" in events[-1].data["words"]


# --- what is counted where mail comes in ---


async def test_warnings_are_kept_with_each_recipient_and_counted(house: House, campaign: Campaign) -> None:
    id = await house.submit("a@gmail.com", "b@post.example", "c@googlemail.com")
    await house.settled(id)
    await house.submit("a@gmail.com", mode=Mode.TEST)
    r = recipient_table.c
    with house.database.read() as tx:
        rows = tx.execute(select(r.warning).where(r.message_id == id).order_by(r.n))
        assert [row.warning for row in rows] == ["gmail_at_risk", None, "gmail_at_risk"]
    accepted = (await house.timeline(id))[0]
    assert accepted.data["warnings"] == {"gmail_at_risk": 2}
    found = await counted(house)
    assert [found[what] for what in (Counted.ACCEPTED, Counted.TO_GMAIL, Counted.AT_RISK, Counted.TEST)] == [3, 2, 2, 1]
    assert house.submissions.warned == {"gmail_at_risk": 2}
