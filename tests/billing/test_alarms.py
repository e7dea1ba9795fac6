"""Alarms come once, at 80 % and 100 % of what is included and at the customer's own cap."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from ombud.billing.alarms import Alarm, Level, alarms_of, cap_of, due_alarms, put_alarms, remove_cap, set_cap
from ombud.errors import BadField
from ombud.routing.caps import load_over_cap
from tests.billing.conftest import SQLITE, Shop
from tests.conftest import NOON

MAY_7, JUNE_1 = date(2024, 5, 7), date(2024, 6, 1)
JUNE = datetime(2024, 6, 1, 10, 0, tzinfo=UTC)


@pytest.fixture
def live(shop: Shop) -> Shop:
    shop.live(shop.eken, date(2024, 5, 1))
    return shop


def raised(shop: Shop, now: datetime = NOON) -> list[Alarm]:
    with shop.database.write() as tx:
        return put_alarms(tx, due_alarms(tx, now), now)


def test_each_level_is_told_once_when_it_is_reached(live: Shop) -> None:
    live.sent(live.eken, MAY_7, 7_999)
    assert raised(live) == []
    live.sent(live.eken, MAY_7, 1)
    assert raised(live) == [Alarm(live.eken.id, "2024-05", Level.NEARLY, 8_000, 10_000)]
    assert raised(live) == []
    live.sent(live.eken, MAY_7, 2_000)
    assert [one.level for one in raised(live)] == [Level.INCLUDED]
    assert raised(live) == []
    with live.database.read() as tx:
        assert [one.level for one, _ in alarms_of(tx, live.eken.id, "2024-05")] == [Level.NEARLY, Level.INCLUDED]


@SQLITE
def test_a_new_month_begins_anew(live: Shop) -> None:
    live.sent(live.eken, MAY_7, 10_000)
    assert len(raised(live)) == 2
    assert raised(live, JUNE) == []
    live.sent(live.eken, JUNE_1, 9_000)
    assert [(one.period, one.level) for one in raised(live, JUNE)] == [("2024-06", Level.NEARLY)]


@SQLITE
def test_what_is_included_is_what_was_agreed(live: Shop) -> None:
    live.agreed(live.eken, included=100)
    live.sent(live.eken, MAY_7, 85)
    assert [(one.level, one.of) for one in raised(live)] == [(Level.NEARLY, 100)]


def test_who_pays_by_no_plan_has_nothing_included_and_no_alarm(shop: Shop) -> None:
    shop.sent(shop.eken, MAY_7, 50_000)
    shop.agreed(shop.linden, price=Decimal("0.01"))
    assert raised(shop) == []


@SQLITE
def test_a_plan_that_has_ended_this_month_raises_no_alarm(live: Shop) -> None:
    live.ends(live.eken, date(2024, 5, 6))
    live.sent(live.eken, MAY_7, 10_000)
    assert raised(live) == []


def test_a_soft_cap_tells_and_holds_nothing(live: Shop) -> None:
    with live.database.write() as tx:
        set_cap(tx, live.eken.id, 500, NOON, "åsa")
    live.sent(live.eken, MAY_7, 500)
    assert [(one.level, one.of) for one in raised(live)] == [(Level.CAP, 500)]
    with live.database.write() as tx:
        assert load_over_cap(tx) == {}
        set_cap(tx, live.eken.id, 400, NOON, "åsa")  # below what has been sent already
        assert load_over_cap(tx) == {}


def test_a_hard_cap_marks_the_month_for_routing_until_it_is_raised_or_taken_away(live: Shop) -> None:
    with live.database.write() as tx:
        set_cap(tx, live.eken.id, 500, NOON, "åsa", hard=True)
        set_cap(tx, live.linden.id, 1_000_000, NOON, "göran", hard=True)
    live.sent(live.eken, MAY_7, 501)
    assert [(one.level, one.of) for one in raised(live)] == [(Level.HARD_CAP, 500)]
    with live.database.write() as tx:
        assert load_over_cap(tx) == {live.eken.id: "2024-05"}
        set_cap(tx, live.eken.id, 600, NOON, "åsa", hard=True)
        assert load_over_cap(tx) == {}
        set_cap(tx, live.eken.id, 501, NOON, "åsa", hard=True)  # no more than has been sent already: at once
        assert load_over_cap(tx) == {live.eken.id: "2024-05"}
        assert remove_cap(tx, live.eken.id)
        assert not remove_cap(tx, live.eken.id)
        assert (load_over_cap(tx), cap_of(tx, live.eken.id)) == ({}, None)


def test_a_cap_that_was_raised_can_be_reached_and_told_again(live: Shop) -> None:
    for cap in (100, 200):
        with live.database.write() as tx:
            set_cap(tx, live.eken.id, cap, NOON, "åsa")
        live.sent(live.eken, MAY_7, 100)
        assert [(one.level, one.of) for one in raised(live)] == [(Level.CAP, cap)]


def test_of_two_processes_that_look_at_once_one_tells(live: Shop) -> None:
    live.sent(live.eken, MAY_7, 9_000)
    with live.database.read() as tx:
        due = due_alarms(tx, NOON)
    with live.database.write() as tx:
        assert put_alarms(tx, due, NOON) == due
    with live.database.write() as tx:
        assert put_alarms(tx, due, NOON) == []


@SQLITE
@pytest.mark.parametrize("emails", [0, -5, 10**9])
def test_a_cap_that_cannot_be_right_is_refused(live: Shop, emails: int) -> None:
    with live.database.write() as tx, pytest.raises(BadField, match="cap"):
        set_cap(tx, live.eken.id, emails, NOON, "åsa")
