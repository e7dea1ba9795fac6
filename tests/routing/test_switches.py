"""Switches, overrides and brownouts as they are kept: what is refused, what happens once, and when failures are too many."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.db import Database
from ombud.errors import (
    BadField,
    BrownoutOver,
    NotFound,
    OverrideOver,
    RegionNotAllowed,
    RouteNotTheirs,
    SelfApproval,
    SwitchOver,
)
from ombud.routing import (
    Counts,
    approve_brownout,
    ask_brownout,
    count_outcomes,
    counts_of,
    end_override,
    get_switch,
    load_facts,
    mark_announced,
    pause_brownout,
    put_allowed_regions,
    put_override,
    put_route,
    put_switch,
    roll_back,
    too_many_failures,
)
from ombud.routing.switches import LEAST_TRIES
from ombud.seal import Seal
from tests.conftest import NOON, Cast

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def routes(database: Database, cast: Cast) -> dict[str, int]:
    with database.write() as tx:
        for slug, owner, region in (
            ("old", None, "EU"), ("new", None, "EU"), ("eken-egen", cast.eken.id, "EU"), ("linden-egen", cast.linden.id, "EU"),
            ("overseas", None, "US"),
        ):  # fmt: skip
            put_route(
                tx, Seal(b"k" * 32), slug, "smtp", {"host": "h.example"}, None, NOON, customer_id=owner, region=region
            )
        return {route.slug: route.id for route in load_facts(tx).routes.values()}


def test_a_switch_comes_back_as_it_was_put(database: Database, cast: Cast, routes: dict[str, int]) -> None:
    with database.write() as tx:
        put = put_switch(
            tx, cast.eken.id, routes["eken-egen"], NOON, product_ids=[cast.hyra.id], at=NOON + HOUR, from_route_id=routes["old"],
            canary_percent=10, canary_until=NOON + DAY, by="anna", reason="case 4711",
        )  # fmt: skip
        assert load_facts(tx).switches == (put,)
    assert (put.product_ids, put.canary_percent, put.watch_until) == ({cast.hyra.id}, 10, NOON + 4 * DAY)
    assert not put.stands(NOON) and put.stands(NOON + HOUR)


def test_the_switch_that_comes_last_rules_and_not_the_one_that_was_put_last(
    database: Database, cast: Cast, routes: dict[str, int]
) -> None:
    with database.write() as tx:
        later = put_switch(tx, cast.eken.id, routes["new"], NOON, at=NOON + 2 * DAY, by="anna")
        sooner = put_switch(tx, cast.eken.id, routes["eken-egen"], NOON, at=NOON + DAY, by="anna")
        assert load_facts(tx).switches_of[cast.eken.id] == (later, sooner)


def test_a_switch_is_rolled_back_once_also_before_it_has_come(
    database: Database, cast: Cast, routes: dict[str, int]
) -> None:
    with database.write() as tx:
        put = put_switch(tx, cast.eken.id, routes["new"], NOON, at=NOON + DAY)
        assert roll_back(tx, put.id, NOON, by="bo", reason="the wrong customer").rolled_back_by == "bo"
        assert not get_switch(tx, put.id).stands(NOON + 2 * DAY)
        with pytest.raises(SwitchOver):
            roll_back(tx, put.id, NOON, by="anna")
        with pytest.raises(NotFound):
            roll_back(tx, put.id + 1, NOON, by="anna")


@pytest.mark.parametrize(
    ("route", "values", "error"),
    [
        ("linden-egen", {}, RouteNotTheirs),
        ("test", {}, RouteNotTheirs),
        ("overseas", {}, RegionNotAllowed),
        ("new", {"canary_percent": 0, "canary_until": NOON + DAY}, BadField),
        ("new", {"canary_percent": 20}, BadField),
        ("new", {"canary_until": NOON + DAY}, BadField),
        ("new", {"canary_percent": 20, "canary_until": NOON - DAY}, BadField),
        ("new", {"margin_percent": 101}, BadField),
    ],
)
def test_a_switch_that_makes_no_sense_is_refused_and_nothing_is_kept(
    database: Database,
    cast: Cast,
    routes: dict[str, int],
    route: str,
    values: dict[str, object],
    error: type[Exception],
) -> None:
    with database.write() as tx:
        put_allowed_regions(tx, frozenset({"EU"}))
        with pytest.raises(error):
            put_switch(tx, cast.eken.id, routes[route], NOON, **values)  # type: ignore[arg-type]  # the test's own table
        with pytest.raises(NotFound):
            put_switch(tx, cast.eken.id, 9999, NOON)
        assert load_facts(tx).switches == ()


def test_workers_count_each_in_a_row_of_its_own(database: Database, cast: Cast, routes: dict[str, int]) -> None:
    with database.write() as tx:
        first, second = (put_switch(tx, cast.eken.id, routes["new"], NOON).id for _ in range(2))
        count_outcomes(tx, "a", {first: Counts(5, 1), second: Counts(0, 0)})
        count_outcomes(tx, "b", {first: Counts(2, 0)})
        count_outcomes(tx, "a", {first: Counts(0, 3)})
        assert counts_of(tx, [first, second]) == {first: Counts(7, 4), second: Counts(0, 0)}


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (Counts(0, LEAST_TRIES - 1), Counts(1000, 0), False),  # too few to say anything
        (Counts(0, LEAST_TRIES), Counts(1000, 0), True),
        (Counts(97, 3), Counts(980, 20), False),  # as before
        (Counts(90, 10), Counts(980, 20), False),  # more, but it may be chance
        (Counts(70, 30), Counts(980, 20), True),
        (Counts(70, 30), Counts(700, 300), False),  # it was as bad before
        (Counts(20, 20), Counts(), True),  # no history: against none failing
    ],
)
def test_failures_are_too_many_when_they_are_surely_more_than_before(
    now: Counts, before: Counts, expected: bool
) -> None:
    assert too_many_failures(now, before, 5) is expected


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_one_more_failure_never_makes_a_switch_look_better(delivered: int, failed: int, before: int) -> None:
    was = Counts(1000, before)
    if too_many_failures(Counts(delivered, failed), was, 5):
        assert too_many_failures(Counts(delivered, failed + 1), was, 5)
        assert too_many_failures(Counts(max(delivered - 1, 0), failed + 1), was, 5)


def test_an_override_has_an_end_and_a_reason(database: Database, cast: Cast, routes: dict[str, int]) -> None:
    with database.write() as tx:
        for until, reason, route in (
            (NOON, "because", None), (NOON + 15 * DAY, "because", None), (NOON + HOUR, " ", None),
        ):  # fmt: skip
            with pytest.raises(BadField):
                put_override(tx, cast.eken.id, None, route, NOON, until=until, by="anna", reason=reason)
        with pytest.raises(RouteNotTheirs):
            put_override(tx, cast.eken.id, None, routes["linden-egen"], NOON, until=NOON + HOUR, by="anna", reason="x")
        put = put_override(tx, cast.eken.id, None, routes["new"], NOON, until=NOON + HOUR, by="anna", reason="x")
        assert load_facts(tx).overrides == (put,)
        end_override(tx, put.id, NOON + timedelta(minutes=1), by="bo")
        with pytest.raises(OverrideOver):
            end_override(tx, put.id, NOON + timedelta(minutes=2), by="bo")
        with pytest.raises(NotFound):
            end_override(tx, put.id + 1, NOON, by="bo")
        over = put_override(tx, cast.eken.id, None, None, NOON, until=NOON + HOUR, by="anna", reason="x")
        with pytest.raises(OverrideOver):
            end_override(tx, over.id, NOON + HOUR, by="bo")


def test_a_brownout_takes_two_people_and_anyone_may_pause_it(database: Database) -> None:
    with database.write() as tx:
        asked = ask_brownout(tx, 1, NOON + DAY, NOON + DAY + 2 * HOUR, NOON, by="anna", reason="as announced")
        with pytest.raises(SelfApproval):
            approve_brownout(tx, asked.id, NOON, by="Anna")
        assert not asked.in_force(NOON + DAY)
        approved = approve_brownout(tx, asked.id, NOON, by="bo")
        assert approved.in_force(NOON + DAY) and not approved.in_force(NOON + DAY + 2 * HOUR)
        with pytest.raises(BrownoutOver):
            approve_brownout(tx, asked.id, NOON, by="cecilia")
        assert mark_announced(tx, asked.id, NOON)
        assert not mark_announced(tx, asked.id, NOON)
        paused = pause_brownout(tx, asked.id, NOON + DAY + HOUR, by="anna")
        assert not paused.in_force(NOON + DAY + HOUR)
        with pytest.raises(BrownoutOver):
            pause_brownout(tx, asked.id, NOON + DAY + HOUR, by="bo")
        assert load_facts(tx).brownouts == (paused,)
        never = ask_brownout(tx, 1, NOON + DAY, NOON + DAY + HOUR, NOON, by="anna")
        pause_brownout(tx, never.id, NOON, by="anna")
        with pytest.raises(BrownoutOver):
            approve_brownout(tx, never.id, NOON, by="bo")


@pytest.mark.parametrize(("start", "end"), [(-HOUR, HOUR), (2 * HOUR, HOUR), (HOUR, HOUR), (HOUR, 26 * HOUR)])
def test_a_brownout_lies_ahead_and_is_short(database: Database, start: timedelta, end: timedelta) -> None:
    with database.write() as tx, pytest.raises(BadField):
        ask_brownout(tx, 1, NOON + start, NOON + end, NOON, by="anna")
