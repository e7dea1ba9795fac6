"""The dry run asks the same `decide` about a moment to come, and lays its answers over the mail of the last days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from ombud.campaigns.dryrun import DryRun, dry_run
from ombud.clock import parse_moment
from ombud.db import Database
from ombud.errors import UnknownCampaign
from ombud.routing import Action, assign, decide, load_facts, put_switch
from ombud.usage import Counted, Tally, add_tallies
from tests.campaigns.house import NOON, House, furnish, on_sqlite

#: All of it is read by the owners' questions, which their own tests ask of both databases.
pytestmark = on_sqlite

LAST_SECOND, STOP = parse_moment("2024-05-31T23:59:59"), parse_moment("2024-06-01T00:00")


def count(house: House, customer: str, product: str, day: date, accepted: int, to_gmail: int = 0) -> None:
    who = house.directory.customer(customer).id, house.product(product), house.route("vipre")
    with house.database.write() as tx:
        add_tallies(tx, [Tally(day, *who, Counted.ACCEPTED, accepted), Tally(day, *who, Counted.TO_GMAIL, to_gmail)])


def run(house: House, at: datetime, now: datetime = NOON, replay: int = 30) -> DryRun:
    with house.database.read() as tx:
        return dry_run(tx, "molntjanst-2024", at, now, replay)


@pytest.fixture
def sent(house: House) -> House:
    count(house, "eken", "hyra", date(2024, 5, 6), 90, 30)
    count(house, "eken", "hyra", date(2024, 5, 7), 10)  # today counts
    count(house, "eken", "hyra", date(2024, 4, 7), 1000)  # 30 days and one ago: it does not
    count(house, "linden", "marknad", date(2024, 4, 8), 7, 7)
    return house


def test_until_the_last_second_nobody_is_stopped_and_from_midnight_everyone_without_a_live_choice(sent: House) -> None:
    before = run(sent, LAST_SECOND)
    assert (before.stopped_customers, before.stopped_messages) == (0, 0)
    after = run(sent, STOP)
    assert (after.stopped_customers, after.stopped_messages, after.stopped_to_gmail) == (2, 107, 37)
    assert {(one.action, one.reason) for one in after.outcomes} == {(Action.REFUSE, "no_active_choice")}


def test_each_customer_and_product_of_the_campaign_is_there_with_its_traffic(sent: House) -> None:
    found = {(one.customer.slug, one.product.slug): (one.messages, one.gmail_share) for one in run(sent, STOP).outcomes}
    assert found == {
        ("eken", "hyra"): (100, 0.3), ("eken", "marknad"): (0, 0.0), ("linden", "hyra"): (0, 0.0), ("linden", "marknad"): (7, 1.0),
    }  # fmt: skip


def test_the_replayed_days_are_those_that_were_asked_for(sent: House) -> None:
    assert run(sent, STOP, replay=1).stopped_messages == 10
    assert run(sent, STOP, replay=31).stopped_messages == 1107


def test_a_choice_that_is_live_for_one_product_saves_that_product(sent: House) -> None:
    sent.choose(sent.eken, "mailgun")
    with sent.database.write() as tx:
        put_switch(
            tx,
            sent.eken.id,
            sent.route("mailgun"),
            NOON,
            product_ids=[sent.product("hyra")],
            campaign_id=sent.campaign.id,
        )
    found = {(one.customer.slug, one.product.slug): one.reason for one in run(sent, STOP).outcomes}
    assert found["eken", "hyra"] == "choice_live" and found["eken", "marknad"] == "no_active_choice"
    assert run(sent, STOP).stopped_messages == 7


def test_a_choice_that_is_not_live_saves_nobody(sent: House) -> None:
    sent.choose(sent.eken, "mailgun")
    assert run(sent, STOP).stopped_customers == 2


def test_it_answers_as_decide_does_for_every_customer_product_and_moment(sent: House) -> None:
    with sent.database.write() as tx:
        assign(tx, sent.linden.id, None, sent.route("mailgun"), NOON)
        facts = load_facts(tx)
    for at in (NOON, LAST_SECOND, STOP, STOP + timedelta(days=100)):
        for one in run(sent, at).outcomes:
            decision = decide(facts, one.customer.id, one.product.id, at)
            assert (one.action, one.reason) == (decision.action, decision.reason)


def test_a_policy_that_holds_stops_the_mail_as_held(database: Database) -> None:
    from ombud.choices import AfterStop

    house = furnish(database, after_stop=AfterStop.HOLD, hold_days=14)
    assert {one.action for one in run(house, STOP).outcomes} == {Action.HOLD}
    assert run(house, STOP).stopped_customers == 2


def test_most_mail_comes_first_among_the_stopped(sent: House) -> None:
    assert [one.messages for one in run(sent, STOP).stopped] == [100, 7, 0, 0]


def test_an_unknown_campaign_is_refused(house: House) -> None:
    with pytest.raises(UnknownCampaign), house.database.read() as tx:
        dry_run(tx, "telefoni-2030", STOP, datetime(2024, 5, 7, tzinfo=UTC))
