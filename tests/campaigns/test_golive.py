"""Going live looks at what the alternative needs, switches, and starts what it costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from ombud.accounts import Customer, load_directory, put_product
from ombud.billing.subscriptions import running_of, subscriptions_of
from ombud.campaigns.cases import CaseState, case_of, comments_of
from ombud.campaigns.choosing import ServiceCentre
from ombud.campaigns.golive import go_live, lacks, ready
from ombud.campaigns.picture import Picture, load_picture
from ombud.campaigns.stages import DomainFact, Flag, Stage, stage_of
from ombud.db import Database
from ombud.domains import forget_domain
from ombud.errors import BadField, ChoiceConflict, NotReadyToGoLive, SwitchedMeanwhile, WrongState
from ombud.notices.outbox import find_notices
from ombud.routing import Switch, decide, load_facts, load_switches, roll_back
from tests.campaigns.house import NOON, House, furnish, on_sqlite

AT = datetime(2024, 5, 6, 9, tzinfo=UTC)
GOOD = DomainFact("eken.example", "ok", AT, "wait", proven_at=AT)


@pytest.fixture
def house(database: Database) -> House:
    return furnish(database, price_plan="molntjanst-2024")


def picture(house: House, *domains: DomainFact, now: datetime = NOON) -> Picture:
    """As it is, with Eken's domains as said."""
    with house.database.read() as tx:
        seen = load_picture(tx, "molntjanst-2024", now, {})
    eken = replace(seen.facts[house.eken.id], domains=domains)
    return replace(
        seen, facts={**seen.facts, house.eken.id: eken}, standings={**seen.standings, house.eken.id: stage_of(eken)}
    )


def live(
    house: House, seen: Picture, customer: Customer | None = None, now: datetime = NOON, **more: object
) -> list[Switch]:
    with house.database.write() as tx:
        return go_live(tx, seen, customer or house.eken, now, by="anna", **more)  # type: ignore[arg-type]  # handed on


def reasons(house: House, now: datetime = NOON) -> dict[str, str]:
    with house.database.read() as tx:
        facts = load_facts(tx)
    return {slug: decide(facts, house.eken.id, house.product(slug), now).reason for slug in ("hyra", "marknad")}


def test_a_customer_that_lacks_nothing_goes_live_from_the_ways_it_came_by(house: House) -> None:
    house.choose(house.eken, "mailgun")
    switches = live(house, picture(house, GOOD))
    assert {(one.from_route_id, one.to_route_id, one.product_ids) for one in switches} == {
        (house.route("vipre"), house.route("mailgun"), frozenset({house.product("hyra")})),
        (house.route("egna"), house.route("mailgun"), frozenset({house.product("marknad")})),
    }
    assert reasons(house) == {"hyra": "choice_live", "marknad": "choice_live"}
    assert picture(house).standings[house.eken.id].stage is Stage.LIVE


def test_going_live_closes_the_case_tells_the_service_centre_and_starts_the_fee(house: House) -> None:
    house.choose(house.eken, "mailgun")
    live(house, picture(house, GOOD), centre=ServiceCentre("service-centre"))
    with house.database.read() as tx:
        case = case_of(tx, house.campaign.id, house.eken.id)
        assert case and case.state is CaseState.CLOSED
        assert "I drift från 2024-05-07 12:00 via mailgun: Hyra, Marknad." in [
            one.text for one in comments_of(tx, case.id)
        ]
        (notice,) = find_notices(tx, target="service-centre")
        assert notice.payload["type"] == "choice.live"
        running = running_of(tx, house.eken.id)
    assert running and (running.plan, running.from_date) == ("molntjanst-2024", date(2024, 5, 7))


@on_sqlite
def test_what_is_missing_is_named_and_nothing_is_switched(house: House) -> None:
    house.choose(house.eken, "mailgun")
    missing = DomainFact("eken.example", "pending", AT, "customer")
    seen = picture(house, missing, replace(GOOD, name="b.example", proven_at=None))
    assert [(one.code, one.about) for one in lacks(seen, house.eken)] == [
        ("records", "eken.example"), ("proof", "eken.example"), ("proof", "b.example"),
    ]  # fmt: skip
    with pytest.raises(NotReadyToGoLive) as raised:
        live(house, seen)
    assert "eken.example" in raised.value.text() and "provmejl" in raised.value.text("sv")
    assert reasons(house) == {"hyra": "legacy", "marknad": "legacy"}
    with house.database.read() as tx:
        assert load_switches(tx) == [] and running_of(tx, house.eken.id) is None


@on_sqlite
@pytest.mark.parametrize(("alternative", "code"), [("mailgun", "domain"), ("egen", "route")])
def test_a_customer_without_a_domain_or_a_way_is_not_ready(house: House, alternative: str, code: str) -> None:
    house.choose(house.linden, alternative)
    with house.database.write() as tx:
        forget_domain(tx, "linden.example")
    with pytest.raises(NotReadyToGoLive) as raised:
        live(house, picture(house), house.linden)
    assert code in raised.value.details["codes"]  # type: ignore[operator]  # a list


@on_sqlite
def test_without_a_choice_nobody_goes_live_not_even_with_a_reason(house: House) -> None:
    with pytest.raises(NotReadyToGoLive, match="nothing is chosen"):
        live(house, picture(house, GOOD), override_reason="vill så")


@on_sqlite
def test_an_operator_goes_live_all_the_same_with_a_reason_that_is_kept(house: House) -> None:
    house.choose(house.eken, "mailgun")
    (first, _) = live(house, picture(house, replace(GOOD, proven_at=None)), override_reason="provat för hand")
    assert (first.by, first.reason) == ("anna", "provat för hand")
    with house.database.read() as tx:
        case = case_of(tx, house.campaign.id, house.eken.id)
        assert case
        words = next(one.text for one in comments_of(tx, case.id) if "I drift" in one.text)
    assert "Trots att inget provmejl har bevisat eken.example." in words and "Skäl: provat för hand" in words


@on_sqlite
def test_one_product_at_a_time_and_the_case_stays_open_until_the_last(house: House) -> None:
    house.choose(house.eken, "mailgun")
    live(house, picture(house, GOOD), products=[house.product("hyra")])
    assert reasons(house) == {"hyra": "choice_live", "marknad": "legacy"}
    seen = picture(house, GOOD)
    assert seen.standings[house.eken.id].next.code == "switch_rest"
    with house.database.read() as tx:
        case = case_of(tx, house.campaign.id, house.eken.id)
    assert case and case.state is CaseState.OPEN
    live(house, seen)  # the rest
    assert reasons(house) == {"hyra": "choice_live", "marknad": "choice_live"}
    with house.database.read() as tx:
        case = case_of(tx, house.campaign.id, house.eken.id)
    assert case and case.state is CaseState.CLOSED
    with pytest.raises(WrongState):
        live(house, picture(house, GOOD))


@on_sqlite
def test_a_product_of_another_campaign_is_refused(house: House) -> None:
    house.choose(house.eken, "mailgun")
    with house.database.write() as tx:
        put_product(tx, "lokaler", "Lokaler", NOON)
        other = load_directory(tx).product("lokaler").id
    with pytest.raises(BadField, match="lokaler"):
        live(house, picture(house, GOOD), products=[other])


@on_sqlite
def test_a_canary_goes_first_and_leaves_the_case_open(house: House) -> None:
    house.choose(house.eken, "mailgun")
    live(house, picture(house, GOOD), canary_percent=10, canary_until=NOON + timedelta(hours=4))
    seen = picture(house, GOOD)
    assert Flag.CANARY in seen.standings[house.eken.id].flags and seen.standings[house.eken.id].stage is Stage.PROVEN
    assert ready(seen) == []  # it goes live by itself when the canary ends
    assert picture(house, GOOD, now=NOON + timedelta(hours=4)).standings[house.eken.id].stage is Stage.LIVE


def test_nobody_goes_live_with_a_choice_that_was_left_meanwhile(house: House) -> None:
    first = house.choose(house.eken, "mailgun")
    seen = picture(house, GOOD)
    house.choose(house.eken, "egen", expected=first.choice.id)
    with pytest.raises(ChoiceConflict):
        live(house, seen)
    assert reasons(house) == {"hyra": "legacy", "marknad": "legacy"}


def test_of_two_operators_who_go_live_at_once_the_second_is_told(house: House) -> None:
    house.choose(house.eken, "mailgun")
    seen = picture(house, GOOD)  # by both
    live(house, seen)
    with pytest.raises(SwitchedMeanwhile):
        live(house, seen)
    with house.database.read() as tx:
        assert len(load_switches(tx)) == 2
        assert len(subscriptions_of(tx, house.eken.id)) == 1


def test_going_over_to_ones_own_server_ends_the_fee_when_every_product_is_there(house: House) -> None:
    first = house.choose(house.eken, "mailgun")
    live(house, picture(house, GOOD))
    later = NOON + timedelta(days=10)
    house.choose(house.eken, "egen", later, expected=first.choice.id)
    live(house, picture(house, GOOD, now=later), now=later, products=[house.product("hyra")])
    with house.database.read() as tx:
        assert running_of(tx, house.eken.id)
    live(house, picture(house, GOOD, now=later), now=later)
    with house.database.read() as tx:
        (paid,) = subscriptions_of(tx, house.eken.id)
    assert (paid.from_date, paid.until_date) == (date(2024, 5, 7), date(2024, 5, 17))


@on_sqlite
def test_ready_are_those_who_lack_nothing_and_were_not_taken_back(house: House) -> None:
    house.choose(house.eken, "mailgun")
    house.choose(house.linden, "mailgun")
    assert ready(picture(house, GOOD)) == [house.eken]  # Linden has no domain that is known to be right
    (first, _) = live(house, picture(house, GOOD))
    assert ready(picture(house, GOOD)) == []
    with house.database.write() as tx:
        roll_back(tx, first.id, NOON, by="ombud", reason="studsar")
    assert ready(picture(house, GOOD, now=NOON + timedelta(hours=1))) == []


@on_sqlite
def test_an_operators_word_is_no_way_where_there_is_none(house: House) -> None:
    house.choose(house.linden, "egen")  # its own server is not set up
    with pytest.raises(NotReadyToGoLive):
        live(house, picture(house), house.linden, override_reason="vill så")


@on_sqlite
def test_what_goes_live_later_leaves_its_case_open_until_then(house: House) -> None:
    house.choose(house.eken, "mailgun")
    live(house, picture(house, GOOD), at=NOON + timedelta(days=1))
    with house.database.read() as tx:
        case = case_of(tx, house.campaign.id, house.eken.id)
    assert case and case.state is CaseState.OPEN
