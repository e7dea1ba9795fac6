"""A plan that cannot be right is refused; one that is in force is never changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from ombud.billing.money import Money
from ombud.billing.planbook import load_plans, put_plan
from ombud.billing.plans import Agreement, PlanTexts, PricePlan, check_agreements, check_versions
from ombud.db import Database
from ombud.errors import BadPlan, NoPlan, PlanFixed, UnknownCurrency
from tests.billing.conftest import SQLITE, TEXTS, Shop, make_plan

NOW, TODAY = datetime(2024, 5, 7, 10, tzinfo=UTC), date(2024, 5, 7)
JANUARY, JULY = date(2024, 1, 1), date(2024, 7, 1)


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ([make_plan(fee="-1")], "fixed_fee must not be negative"),
        ([make_plan(fee="5000000")], "more than 1000000 is taken for a mistake"),
        ([make_plan(fee="0.001")], "whole öre"),
        ([make_plan(price="-0.012")], "price must not be negative"),
        ([make_plan(price="120")], "more than 100 is taken for a mistake"),
        ([make_plan(included=-1)], "included must not be negative"),
        ([make_plan(vat_rate=Decimal(20))], "20 per cent is no Swedish VAT rate"),
        ([make_plan(valid_until=date(2023, 12, 31))], "before it begins"),
        ([make_plan(tiers=[(12_000, "0.012")])], "e-mails 10001 to 12000 have no price"),
        ([make_plan(tiers=[(9_000, "0.012")])], "among the 10000 included"),
        ([make_plan(tiers=[(10_000, "0.012"), (50_000, "0.01"), (50_000, "0.008")])], "tiers overlap"),
        ([make_plan(texts={"sv": TEXTS["sv"]})], "missing in the language en"),
        ([make_plan(texts={**TEXTS, "en": replace(TEXTS["en"], fixed=" ")})], "fixed in en is empty"),
        ([make_plan(texts={**TEXTS, "en": replace(TEXTS["en"], emails="{month}")})], "something else in braces"),
        ([make_plan(texts={**TEXTS, "sv": replace(TEXTS["sv"], emails="{period.year}")})], "something else in braces"),
        ([make_plan(texts={**TEXTS, "sv": replace(TEXTS["sv"], name="{")})], "something else in braces"),
        ([make_plan(), make_plan()], "two versions are valid from 2024-01-01"),
        ([make_plan(valid_until=JULY), make_plan(JULY)], "two versions are valid on 2024-07-01"),
        ([make_plan(valid_until=date(2024, 6, 15)), make_plan(JULY)], "no version is valid on 2024-06-16"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_right_is_refused_with_the_reason(versions: list[PricePlan], words: str) -> None:
    with pytest.raises(BadPlan, match=words):
        check_versions("molntjanst-2024", versions)


def test_versions_in_different_currencies_are_refused() -> None:
    euro = replace(make_plan(JULY), currency="EUR", fixed_fee=Money(Decimal(50), "EUR"))
    with pytest.raises(BadPlan, match="same currency"):
        check_versions("molntjanst-2024", [make_plan(), euro])
    with pytest.raises(UnknownCurrency):
        check_versions("molntjanst-2024", [replace(make_plan(), currency="XXX")])


def agreement(**values: Any) -> Agreement:
    return replace(Agreement("molntjanst-2024", 1, JANUARY, None, "Eva", "ramavtal", Decimal(400)), **values)


@pytest.mark.parametrize(
    ("agreements", "words"),
    [
        ([agreement(approved_by="")], "approved_by and reason"),
        ([agreement(fixed_fee=None)], "must change fixed_fee, included or price"),
        ([agreement(valid_until=date(2023, 1, 1))], "before it begins"),
        ([agreement(fixed_fee=Decimal(-1))], "must not be negative"),
        ([agreement(), agreement(valid_from=JULY)], "two agreements with a customer hold on 2024-07-01"),
    ],
)
def test_an_agreement_that_cannot_be_right_is_refused(agreements: list[Agreement], words: str) -> None:
    with pytest.raises(BadPlan, match=words):
        check_agreements("molntjanst-2024", [make_plan()], agreements)


def test_an_agreement_changes_what_it_names_and_nothing_else() -> None:
    plan = make_plan(tiers=[(10_000, "0.012"), (50_000, "0.01")])
    assert agreement().applied(plan).fixed_fee.amount == 400
    more = agreement(fixed_fee=None, included=20_000).applied(plan)
    assert [(one.above, str(one.price)) for one in more.tiers] == [(20_000, "0.012"), (50_000, "0.01")]
    all_of_it = agreement(fixed_fee=None, included=60_000).applied(plan)
    assert [(one.above, str(one.price)) for one in all_of_it.tiers] == [(60_000, "0.012")]
    flat = agreement(fixed_fee=None, price=Decimal("0.009")).applied(plan)
    assert [(one.above, str(one.price)) for one in flat.tiers] == [(10_000, "0.009")]
    assert "ramavtal" in flat.agreed


# --- kept ----------------------------------------------------------------------------------------------------------


def put(database: Database, *versions: PricePlan, agreements: tuple[Agreement, ...] = ()) -> list[bool]:
    with database.write() as tx:
        return [one.changed for one in put_plan(tx, versions, agreements, NOW, TODAY)]


def test_the_version_of_a_day_is_the_last_that_has_begun(shop: Shop) -> None:
    assert put(shop.database, make_plan(), make_plan(JULY, fee="600")) == [False, True]
    with shop.database.read() as tx:
        plans = load_plans(tx)
    assert plans.plan("molntjanst-2024", date(2024, 6, 30)).fixed_fee.amount == 500
    assert plans.plan("molntjanst-2024", JULY).fixed_fee.amount == 600
    assert plans.plan("molntjanst-2024", JULY) == make_plan(JULY, fee="600")
    with pytest.raises(NoPlan):
        plans.plan("molntjanst-2024", date(2023, 12, 31))
    with pytest.raises(NoPlan, match="molntjanst-2024"):
        plans.plan("molntjanst-2025", JULY)


@SQLITE
def test_a_version_in_force_is_never_changed_and_one_to_come_may_be(shop: Shop) -> None:
    for changed in (
        make_plan(fee="501"),
        make_plan(price="0.013"),
        make_plan(texts={**TEXTS, "en": PlanTexts("a", "b", "c", "d")}),
    ):
        with pytest.raises(PlanFixed, match="2024-01-01"):
            put(shop.database, changed)
    put(shop.database, make_plan(), make_plan(JULY, fee="600"))
    assert put(shop.database, make_plan(), make_plan(JULY, fee="590")) == [False, True]
    with shop.database.read() as tx:
        assert load_plans(tx).plan("molntjanst-2024", JULY).fixed_fee.amount == 590


@SQLITE
def test_the_last_day_of_a_version_in_force_may_be_set_but_not_in_the_past(shop: Shop) -> None:
    with pytest.raises(PlanFixed):
        put(shop.database, make_plan(valid_until=date(2024, 4, 30)))
    assert put(shop.database, make_plan(valid_until=date(2024, 12, 31))) == [True]
    with shop.database.read() as tx, pytest.raises(NoPlan):
        load_plans(tx).plan("molntjanst-2024", date(2025, 1, 1))


@SQLITE
def test_no_version_is_put_into_the_past_or_taken_away(shop: Shop) -> None:
    with pytest.raises(BadPlan, match="from 2024-05-08 at the earliest"):
        put(shop.database, make_plan(), make_plan(date(2024, 5, 1), fee="600"))
    put(shop.database, make_plan(), make_plan(JULY, fee="600"))
    with pytest.raises(BadPlan, match="2024-07-01 is missing"):
        put(shop.database, make_plan())


def test_an_agreement_may_begin_this_month_and_not_before(shop: Shop) -> None:
    mine = agreement(customer_id=shop.eken.id, valid_from=date(2024, 4, 30))
    with pytest.raises(BadPlan, match="from 2024-05-01 at the earliest"):
        put(shop.database, make_plan(), agreements=(mine,))
    put(shop.database, make_plan(), agreements=(replace(mine, valid_from=date(2024, 5, 1)),))
    with shop.database.read() as tx:
        plans = load_plans(tx)
    assert plans.plan("molntjanst-2024", TODAY, shop.eken.id).fixed_fee.amount == 400
    assert plans.plan("molntjanst-2024", TODAY, shop.linden.id).fixed_fee.amount == 500
    assert plans.plan("molntjanst-2024", date(2024, 4, 30), shop.eken.id).fixed_fee.amount == 500


def test_an_agreement_that_has_begun_stays(shop: Shop) -> None:
    for begins in (TODAY, JULY):
        put(
            shop.database,
            make_plan(),
            agreements=(agreement(customer_id=shop.eken.id, valid_from=begins, valid_until=begins),),
        )
    cheaper = agreement(customer_id=shop.eken.id, fixed_fee=Decimal(300))
    with pytest.raises(PlanFixed):
        put(shop.database, make_plan(), agreements=(replace(cheaper, valid_from=TODAY, valid_until=TODAY),))
    put(shop.database, make_plan(), agreements=(replace(cheaper, valid_from=JULY),))
    with shop.database.read() as tx:
        plans = load_plans(tx)
    assert [plans.plan("molntjanst-2024", day, shop.eken.id).fixed_fee.amount for day in (TODAY, JULY)] == [400, 300]
