from __future__ import annotations

from datetime import date

import pytest

from ombud.choices import Page, page_text, put_campaign, texts_of, versions_of
from ombud.errors import NotFound
from tests.choices.conftest import MAILGUN, OWN, TEXTS, TOLD, House, campaign
from tests.conftest import NOON


def test_a_campaign_comes_back_as_it_was_put(house: House) -> None:
    assert house.choices().campaign("molntjanst-2024") == house.campaign
    assert house.campaign.version == 1
    assert {key: one.version for key, one in house.campaign.pages.items()} == dict.fromkeys(TEXTS, 1)


def test_putting_the_same_again_changes_nothing(house: House) -> None:
    with house.database.write() as tx:
        assert put_campaign(tx, campaign(), TEXTS, NOON) == house.campaign
        assert len(versions_of(tx, house.campaign.id)) == 1


def test_a_moved_date_is_a_new_version_and_the_old_one_stays_readable(house: House) -> None:
    with house.database.write() as tx:
        moved = put_campaign(tx, campaign(stop_date=date(2024, 6, 30)), TEXTS, NOON)
        first, second = versions_of(tx, house.campaign.id)
    assert (moved.id, moved.version) == (house.campaign.id, 2)
    assert (first.campaign, first.at) == (house.campaign, TOLD)
    assert (second.campaign, second.at) == (moved, NOON)
    assert house.choices().campaign("molntjanst-2024").stop_date == date(2024, 6, 30)


def test_a_changed_text_is_a_new_version_of_that_page_only(house: House) -> None:
    with house.database.write() as tx:
        changed = put_campaign(tx, campaign(), {**TEXTS, (Page.FAQ, "sv"): "# Nytt"}, NOON)
        assert page_text(tx, changed, Page.FAQ, "sv").text == "# Nytt"
        assert page_text(tx, changed, Page.FAQ, "sv", 1).text == "# faq sv"
        assert page_text(tx, house.campaign, Page.FAQ, "sv").text == "# faq sv", (
            "the old version of the campaign has its own"
        )
        assert [one.version for one in texts_of(tx, changed.id, Page.FAQ, "sv")] == [1, 2]
        assert [one.version for one in texts_of(tx, changed.id, Page.NOTICE)] == [1, 1]
        with pytest.raises(NotFound):
            page_text(tx, changed, Page.FAQ, "sv", 3)
    assert changed.version == 2
    assert changed.pages[Page.FAQ, "en"].version == 1


def test_an_alternative_that_is_gone_is_kept_for_those_who_have_chosen_it_and_can_come_back(house: House) -> None:
    with house.database.write() as tx:
        fewer = put_campaign(tx, campaign(alternatives=(OWN,)), TEXTS, NOON)
        assert put_campaign(tx, campaign(alternatives=(OWN,)), TEXTS, NOON) == fewer, "a second time it is no news"
        assert fewer.alternative("subcontractor").name == MAILGUN.name
        assert [one.slug for one in fewer.offered] == ["own"]
        back = put_campaign(tx, campaign(), TEXTS, NOON)
    assert [one.slug for one in back.offered] == ["own", "subcontractor"]


def test_a_later_campaign_is_one_more_beside_the_first(house: House) -> None:
    with house.database.write() as tx:
        put_campaign(tx, campaign(slug="byte-2026", start_date=date(2026, 1, 1)), {}, NOON)
    assert [one.slug for one in house.choices().campaigns] == ["molntjanst-2024", "byte-2026"]
