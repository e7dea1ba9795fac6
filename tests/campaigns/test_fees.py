"""What a customer pays follows the way that its mail takes: on, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pytest

from ombud.billing import subscriptions
from ombud.campaigns.cases import case_of, comments_of
from ombud.campaigns.fees import settle_rolled_back
from ombud.campaigns.golive import go_live
from ombud.campaigns.jobs import CampaignJobs
from ombud.campaigns.picture import load_picture
from ombud.clock import TurnedClock
from ombud.db import Database, GroupCommit
from ombud.routing import AUTOMATIC, Switch, assign, put_switch, roll_back
from ombud.settings import Settings
from tests.campaigns.house import NOON, SEAL, House, furnish, on_sqlite

PLAN = "molntjanst-2024"
LATER = NOON + timedelta(days=2)
TODAY, BACK = date(2024, 5, 7), date(2024, 5, 9)
RUNNING = [(PLAN, TODAY, None)]


@pytest.fixture
def house(database: Database) -> House:
    return furnish(database, price_plan=PLAN)


def live(house: House, now: datetime = NOON, *, at: datetime | None = None, canary: int = 100) -> list[Switch]:
    """Eken goes live with what it has chosen; one switch for each of its two products."""
    until = NOON + timedelta(days=20) if canary < 100 else None
    with house.database.write() as tx:
        picture = load_picture(tx, PLAN, now, {})
        return go_live(
            tx, picture, house.eken, now, by="anna", override_reason="prov", at=at, canary_percent=canary, canary_until=until,
        )  # fmt: skip


def take_back(house: House, switches: Sequence[Switch], at: datetime = LATER) -> int:
    """Roll them back; returns for how many customers that changed the fee."""
    with house.database.write() as tx:
        for one in switches:
            roll_back(tx, one.id, at, by="anna")
        return len(settle_rolled_back(tx, at, by="anna"))


def paid(house: House) -> list[tuple[str, date, date | None]]:
    with house.database.read() as tx:
        return [(one.plan, one.from_date, one.until_date) for one in subscriptions.subscriptions_of(tx, house.eken.id)]


def test_a_switch_that_is_rolled_back_ends_the_fee_that_it_began_once_and_the_case_says_so(house: House) -> None:
    house.choose(house.eken, "mailgun")
    switches = live(house)
    assert paid(house) == RUNNING
    assert take_back(house, switches) == 1
    assert paid(house) == [(PLAN, TODAY, BACK)]
    assert take_back(house, []) == 0  # a second time nothing
    assert paid(house) == [(PLAN, TODAY, BACK)]
    with house.database.read() as tx:
        case = case_of(tx, house.campaign.id, house.eken.id)
        assert case
        said = [one.text for one in comments_of(tx, case.id) if "återställt" in one.text]
    assert said == ["Omslaget är återställt: nu kostar e-posten inget mer."]


def test_the_fee_goes_on_while_one_product_still_goes_by_the_subcontractor(house: House) -> None:
    house.choose(house.eken, "mailgun")
    first, second = live(house)
    assert take_back(house, [first]) == 0
    assert paid(house) == RUNNING
    assert take_back(house, [second]) == 1
    assert paid(house) == [(PLAN, TODAY, BACK)]


@on_sqlite
def test_a_rollback_at_the_very_moment_of_going_live_ends_the_fee_too(house: House) -> None:
    house.choose(house.eken, "mailgun")
    assert take_back(house, live(house), at=NOON) == 1
    assert paid(house) == [(PLAN, TODAY, TODAY)]


@on_sqlite
def test_a_canary_costs_and_its_rollback_ends_that(house: House) -> None:
    house.choose(house.eken, "mailgun")
    switches = live(house, canary=10)
    assert paid(house) == RUNNING
    take_back(house, switches)
    assert paid(house) == [(PLAN, TODAY, BACK)]


@on_sqlite
def test_a_switch_that_is_called_off_before_its_time_costs_nothing_at_all(house: House) -> None:
    house.choose(house.eken, "mailgun")
    switches = live(house, at=NOON + timedelta(days=10))
    assert paid(house) == [(PLAN, date(2024, 5, 17), None)]
    take_back(house, switches)
    assert paid(house) == [(PLAN, date(2024, 5, 17), date(2024, 5, 16))]
    with house.database.read() as tx:
        assert subscriptions.first_live(tx, date(2024, 5, 1), date(2024, 6, 1)) is None


def test_back_from_an_own_server_to_the_subcontractor_the_fee_begins_again(house: House) -> None:
    first = house.choose(house.eken, "mailgun")
    live(house)
    house.choose(house.eken, "egen", NOON + timedelta(days=1), expected=first.choice.id)
    own = live(house, NOON + timedelta(days=1))
    assert paid(house) == [(PLAN, TODAY, date(2024, 5, 8))]
    assert take_back(house, own) == 1
    assert paid(house) == [(PLAN, TODAY, date(2024, 5, 8)), (PLAN, BACK, None)]


@on_sqlite
def test_mail_that_goes_by_the_subcontractor_by_hand_is_paid_for_after_a_rollback_too(house: House) -> None:
    house.choose(house.eken, "mailgun")
    switches = live(house)
    with house.database.write() as tx:
        assign(tx, house.eken.id, house.product("hyra"), house.route("mailgun"), NOON)
    assert take_back(house, switches) == 0
    assert paid(house) == RUNNING


@on_sqlite
def test_the_rollback_of_an_operators_own_switch_says_nothing_of_the_fee(house: House) -> None:
    with house.database.write() as tx:
        own = put_switch(tx, house.eken.id, house.route("mailgun"), NOON, by="anna")
        subscriptions.start(tx, house.eken.id, PLAN, TODAY, NOON, by="anna")
    assert take_back(house, [own]) == 0
    assert paid(house) == RUNNING


@on_sqlite
def test_what_an_operator_said_of_the_fee_after_the_rollback_is_the_last_word(house: House) -> None:
    house.choose(house.eken, "mailgun")
    take_back(house, live(house))
    agreed = LATER + timedelta(hours=1)
    with house.database.write() as tx:
        subscriptions.start(tx, house.eken.id, PLAN, BACK, agreed, by="anna", reason="överenskommet")
        assert settle_rolled_back(tx, agreed + timedelta(hours=1), by=AUTOMATIC) == []
    assert paid(house)[-1] == (PLAN, BACK, None)


@on_sqlite
def test_a_plan_that_is_no_campaigns_was_agreed_by_hand_and_goes_on(house: House) -> None:
    first = house.choose(house.eken, "egen")
    own = live(house)
    with house.database.write() as tx:
        subscriptions.start(tx, house.eken.id, "annat-avtal", TODAY, NOON, by="anna")
    assert take_back(house, own) == 0
    assert paid(house) == [("annat-avtal", TODAY, None)]
    house.choose(house.eken, "mailgun", LATER, expected=first.choice.id)
    live(house, LATER)  # ... until the campaign's takes its place
    assert paid(house) == [("annat-avtal", TODAY, date(2024, 5, 8)), (PLAN, BACK, None)]


async def test_the_service_ends_the_fee_of_whoever_was_rolled_back_by_whomever(house: House) -> None:
    house.choose(house.eken, "mailgun")
    switches = live(house)
    group = GroupCommit(house.database)
    group.start()
    try:
        jobs = CampaignJobs(Settings(), house.database, group, TurnedClock(LATER), SEAL)
        await jobs.settle_fees()
        assert group.commits == 0  # nobody was rolled back: nobody who writes was disturbed
        with house.database.write() as tx:
            for one in switches:
                roll_back(tx, one.id, LATER, by=AUTOMATIC, reason="30 of 100 failed")
        await jobs.settle_fees()
        assert paid(house) == [(PLAN, TODAY, BACK)]
        commits = group.commits
        await jobs.settle_fees()
        assert group.commits == commits
    finally:
        group.stop()
