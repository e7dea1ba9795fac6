"""Sums and list say the same, under every filter."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.accounts import Customer
from ombud.campaigns.nextsteps import NEXT_STEPS
from ombud.campaigns.picture import Picture, load_picture
from ombud.campaigns.stages import Ball, Flag, Stage, Standing
from ombud.campaigns.status import Filter, Line, Sum, load_lines, select_lines, status_of
from ombud.usage import Counted, Tally, add_tallies
from tests.campaigns.house import House
from tests.campaigns.values import campaign

NOW = datetime(2024, 5, 6, 10, tzinfo=UTC)


def seen(now: datetime = NOW) -> Picture:
    return Picture(campaign(), now, None, None, (), {}, {})  # type: ignore[arg-type]  # the sums look at nothing else


moments = st.sampled_from([None, *(NOW - timedelta(days=days) for days in (0, 3, 6, 30))])
standings = st.builds(
    Standing, st.just(1), st.sampled_from(Stage), st.sampled_from([Stage.REACHED, Stage.CHOSEN, Stage.LIVE]),
    st.sampled_from(Ball), moments, st.sampled_from(list(NEXT_STEPS.values())), st.frozensets(st.sampled_from(Flag), max_size=3),
)  # fmt: skip
lines_of = st.lists(
    st.builds(
        Line, st.builds(Customer, st.integers(1, 9), st.sampled_from(["eken", "linden"]), st.sampled_from(["Eken", "Östra"])),
        standings, st.sampled_from(["", "egen", "mailgun"]), st.integers(0, 999), st.integers(0, 99), st.integers(0, 9),
    ),
    max_size=30,
)  # fmt: skip
filters = st.builds(
    Filter, st.frozensets(st.sampled_from(Stage), max_size=4), st.frozensets(st.sampled_from(Ball), max_size=3),
    st.frozensets(st.sampled_from(["none", "egen", "mailgun"]), max_size=2), st.frozensets(st.sampled_from(Flag), max_size=1),
    st.frozensets(st.sampled_from(list(NEXT_STEPS)), max_size=3), st.sampled_from([None, timedelta(days=5)]),
    st.sampled_from(["", "EK", "öst"]),
)  # fmt: skip


@given(lines_of, filters)
def test_the_sums_are_those_of_the_list_under_every_filter(lines: list[Line], wanted: Filter) -> None:
    listed = select_lines(lines, wanted, NOW)
    status = status_of(seen(), listed)
    assert status.total == Sum(len(listed), sum(one.emails for one in listed), sum(one.to_gmail for one in listed))
    by_stage = [status.stage(stage) for stage in Stage]
    by_ball = [status.ball(ball) for ball in Ball]
    for parts in (by_stage, by_ball, list(status.cells.values())):
        assert (
            Sum(*map(sum, zip(*((one.customers, one.emails, one.to_gmail) for one in parts), strict=True)))
            == status.total
            if parts
            else True
        )
    for (stage, ball), found in status.cells.items():
        again = select_lines(listed, Filter(stages=frozenset({stage}), balls=frozenset({ball})), NOW)
        assert len(again) == found.customers
    for flag, found in status.flags.items():
        assert len(select_lines(listed, Filter(flags=frozenset({flag})), NOW)) == found.customers
    assert status.at_risk.customers == sum(1 for one in listed if one.standing.stage not in (Stage.LIVE, Stage.EXEMPT))
    assert 0 <= status.pace.forecast <= status.pace.left and status.forecast.customers == status.pace.forecast


def line(
    stage: Stage, ball: Ball = Ball.CUSTOMER, since: datetime | None = None, emails: int = 100, code: str = "choose"
) -> Line:
    step = Stage.OPENED if stage in (Stage.EXTENDED, Stage.EXEMPT, Stage.STOPPED) else stage
    return Line(
        Customer(1, "eken", "Eken"),
        Standing(1, stage, step, ball, since, NEXT_STEPS[code], frozenset()),
        "",
        emails,
        10,
        2,
    )


def test_what_is_left_is_who_is_neither_done_nor_has_more_time() -> None:
    lines = [
        line(Stage.LIVE, since=NOW),
        line(Stage.EXEMPT),
        line(Stage.EXTENDED),
        line(Stage.OPENED),
        line(Stage.STOPPED),
    ]
    status = status_of(seen(), lines)
    assert (status.pace.left, status.at_risk.customers) == (2, 3)
    assert status.gmail_at_risk == 10


def test_the_forecast_weighs_the_mail_of_those_who_will_be_left() -> None:
    # 40 left on 6 May with 19 working days; ten working days back four went live: 0.4 a day.
    done = [line(Stage.LIVE, Ball.NOBODY, datetime(2024, 4, 25, 9, tzinfo=UTC), code="none") for _ in range(4)]
    status = status_of(seen(), done + [line(Stage.OPENED, emails=50) for _ in range(40)])
    assert (status.pace.workdays, status.pace.actual) == (19, 0.4)
    assert status.forecast == Sum(32, 1600, 320)
    assert status.forecast.gmail_share == 0.2


def test_who_can_be_moved_today_is_counted() -> None:
    lines = [
        line(Stage.PROVEN, Ball.VENDOR, code="switch"), line(Stage.CHOSEN, Ball.VENDOR, code="switch_rest"),
        line(Stage.SETTING_UP, Ball.IT_SUPPLIER, NOW - timedelta(days=6), code="records_supplier"),
        line(Stage.SETTING_UP, Ball.IT_SUPPLIER, NOW - timedelta(days=5), code="records_supplier"),
    ]  # fmt: skip
    status = status_of(seen(), lines)
    assert (status.ready, status.slow_suppliers) == (2, 1)


@pytest.mark.parametrize(
    ("wanted", "lets"),
    [
        (Filter(), True),
        (Filter(alternatives=frozenset({"none"})), True),
        (Filter(alternatives=frozenset({"egen"})), False),
        (Filter(at_least=timedelta(days=3)), True),  # since the beginning
        (Filter(text="EKEN"), True),
        (Filter(text="linden"), False),
        (Filter(flags=frozenset({Flag.CANARY})), False),
    ],
)
def test_a_filter_lets_through_what_it_says(wanted: Filter, lets: bool) -> None:
    assert wanted.lets(line(Stage.OPENED), NOW) is lets


def test_a_line_has_the_mail_of_the_last_30_days_and_who_is_at_risk(house: House) -> None:
    def tally(day: date, what: Counted, number: int) -> Tally:
        return Tally(day, house.eken.id, house.product("hyra"), house.route("vipre"), what, number)

    with house.database.write() as tx:
        add_tallies(
            tx,
            [
                tally(date(2024, 5, 6), Counted.ACCEPTED, 60),
                tally(date(2024, 4, 7), Counted.ACCEPTED, 40),
                tally(date(2024, 4, 6), Counted.ACCEPTED, 1000),  # 31 days ago
                tally(date(2024, 5, 6), Counted.TO_GMAIL, 20),
                tally(date(2024, 5, 6), Counted.AT_RISK, 5),
            ],
        )
        picture = load_picture(tx, "molntjanst-2024", NOW, {})
        eken, linden = load_lines(tx, picture)
    assert (eken.emails, eken.to_gmail, eken.gmail_at_risk) == (100, 20, 5)
    assert (linden.emails, linden.alternative) == (0, "")
    status = status_of(picture, [eken, linden])
    assert status.total == Sum(2, 100, 20) and status.no_choice == Sum(2, 100, 20) and status.gmail_at_risk == 5
