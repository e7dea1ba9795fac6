"""What a customer's last months would have cost, for the one who is to choose."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from ombud.billing.whatif import compare, estimate
from ombud.errors import NoPlan
from ombud.routing.routes import load_routes
from ombud.usage import Counted
from tests.billing.conftest import Shop

NOW = datetime(2024, 5, 7, 10, tzinfo=UTC)


def test_whole_months_before_this_one_are_priced_from_the_first_with_mail(shop: Shop) -> None:
    shop.sent(shop.eken, date(2024, 2, 29), 40_000, Counted.FREE)
    shop.sent(shop.eken, date(2024, 4, 30), 4_000, Counted.BILLABLE)
    shop.sent(shop.eken, date(2024, 4, 30), 8_500, Counted.FREE)
    shop.sent(shop.eken, date(2024, 5, 1), 99_999, Counted.FREE)  # the month that is running
    shop.sent(shop.linden, date(2024, 4, 30), 99_999, Counted.FREE)
    with shop.database.read() as tx:
        found = estimate(tx, shop.eken.id, "molntjanst-2024", NOW)
    assert {period: (one.emails, str(one.net)) for period, one in found.months.items()} == {
        "2024-02": (40_000, "860.00"), "2024-03": (0, "500.00"), "2024-04": (12_500, "530.00")
    }  # fmt: skip
    assert (str(found.net), str(found.total), found.emails_a_month) == ("1890.00", "2362.50", 17_500)


def test_test_mail_and_what_never_left_do_not_count(shop: Shop) -> None:
    with shop.database.read() as tx:
        test = next(route.id for route in load_routes(tx).values() if route.slug == "test")
    shop.sent(shop.eken, date(2024, 4, 1), 1_000, Counted.FREE, route=test)
    shop.sent(shop.eken, date(2024, 4, 1), 500, Counted.REFUSED, route=7)
    shop.sent(shop.eken, date(2024, 4, 1), 5, Counted.FREE, route=7)
    with shop.database.read() as tx:
        assert estimate(tx, shop.eken.id, "molntjanst-2024", NOW).emails == {"2024-04": 5}


def test_one_who_has_sent_nothing_has_no_months(shop: Shop) -> None:
    with shop.database.read() as tx:
        found = estimate(tx, shop.eken.id, "molntjanst-2024", NOW)
    assert (found.months, found.emails_a_month, str(found.net)) == ({}, 0, "0.00")


def test_the_alternatives_are_compared_on_the_same_months(shop: Shop) -> None:
    shop.sent(shop.eken, date(2024, 4, 1), 40_000, Counted.FREE)
    shop.agreed(shop.eken, fixed_fee=Decimal(400))
    with shop.database.read() as tx:
        found = compare(tx, shop.eken.id, {"own": "", "subcontractor": "molntjanst-2024"}, NOW)
    assert (str(found["own"].net), str(found["subcontractor"].net)) == ("0.00", "760.00")
    assert found["own"].emails == found["subcontractor"].emails


def test_a_plan_that_nobody_knows_is_an_error(shop: Shop) -> None:
    with shop.database.read() as tx, pytest.raises(NoPlan):
        estimate(tx, shop.eken.id, "molntjanst-2030", NOW)
