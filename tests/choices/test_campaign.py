from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.choices import Kind, end_of, make_choices, start_of
from ombud.errors import AlternativeNotOffered, CampaignEnded, UnknownCampaign
from tests.choices.conftest import MAILGUN, OWN, campaign

SECOND = timedelta(seconds=1)


def test_on_the_stop_date_mail_still_leaves_and_at_the_midnight_after_it_no_more() -> None:
    assert campaign().stop_at == datetime(2024, 5, 31, 22, tzinfo=UTC), "midnight in Stockholm, summer time"
    assert campaign().risk_at == datetime(2024, 1, 31, 23, tzinfo=UTC), "midnight in Stockholm, winter time"


@pytest.mark.parametrize(
    ("day", "zone", "first", "after"),
    [
        (date(2024, 3, 31), "Europe/Stockholm", "2024-03-30T23:00", "2024-03-31T22:00"),  # 23 hours long
        (date(2024, 10, 27), "Europe/Stockholm", "2024-10-26T22:00", "2024-10-27T23:00"),  # 25 hours long
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04T03:00", "2018-11-05T02:00"),  # has no midnight
        (date(2024, 10, 27), "Atlantic/Azores", "2024-10-27T00:00", "2024-10-28T01:00"),  # has two of them
    ],
)
def test_a_day_has_its_own_length_where_clocks_are_turned(day: date, zone: str, first: str, after: str) -> None:
    assert start_of(day, zone) == datetime.fromisoformat(first).replace(tzinfo=UTC)
    assert end_of(day, zone) == datetime.fromisoformat(after).replace(tzinfo=UTC)


@given(st.dates(date(1990, 1, 1), date(2037, 1, 1)), st.sampled_from(["Europe/Stockholm", "America/Sao_Paulo", "Asia/Beirut", "Atlantic/Azores", "Pacific/Apia"]))  # fmt: skip
def test_days_follow_each_other_without_a_gap_in_every_zone(day: date, zone: str) -> None:
    assert end_of(day, zone) == start_of(day + timedelta(days=1), zone)
    if (zone, day) != ("Pacific/Apia", date(2011, 12, 30)):  # a day that never was there
        assert start_of(day, zone) < end_of(day, zone)
        assert campaign(zone=zone).today(start_of(day, zone)) == day
        assert campaign(zone=zone).today(end_of(day, zone) - SECOND) == day


def test_the_recommended_alternative_comes_first_and_a_withdrawn_one_is_found_but_not_offered() -> None:
    gone = type(OWN)("old", Kind.SUBCONTRACTOR, "vipre", (), False, OWN.name, OWN.text, offered=False)
    made = campaign(alternatives=(gone, MAILGUN, OWN))
    assert [one.slug for one in made.offered] == ["own", "subcontractor"]
    assert made.alternative("old") is gone
    with pytest.raises(AlternativeNotOffered, match="own, subcontractor"):
        made.alternative("pigeon")


def test_an_alternatives_route_is_the_customers() -> None:
    assert OWN.route_of("eken") == "eken-egen"
    assert MAILGUN.route_of("eken") == "mailgun-eu"


def test_the_own_alternative_costs_nothing_and_the_subcontractors_is_the_campaigns_plan() -> None:
    made = campaign(price_plan="molntjanst-2024")
    assert (made.plan_of(OWN), made.plan_of(MAILGUN)) == ("", "molntjanst-2024")


def test_a_products_campaign_is_the_newest_that_has_started() -> None:
    first = campaign(id=1)
    later = campaign(id=2, slug="byte-2026", start_date=date(2026, 1, 1))
    choices = make_choices([later, first])
    assert choices.campaign_of(1, first.start_at - SECOND) is None
    assert choices.campaign_of(1, first.start_at) is first
    assert choices.campaign_of(1, later.start_at) is later
    assert choices.campaigns_of(1, later.start_at) == (later, first)
    assert choices.campaign_of(99, later.start_at) is None


def test_an_unknown_campaign_and_one_that_has_ended_are_named() -> None:
    ended = make_choices([campaign(end_date=date(2024, 12, 31))])
    with pytest.raises(UnknownCampaign, match="molntjanst-2024"):
        ended.campaign("molntjanst-2025")
    assert ended.open_campaign("molntjanst-2024", datetime(2024, 12, 31, 22, 59, tzinfo=UTC))
    with pytest.raises(CampaignEnded, match="2024-12-31"):
        ended.open_campaign("molntjanst-2024", datetime(2024, 12, 31, 23, tzinfo=UTC))
