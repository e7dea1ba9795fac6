"""Whether a campaign will be done in time."""

from __future__ import annotations

from datetime import date

import pytest

from ombud.campaigns.pace import pace_of

BEGUN, LAST = date(2024, 1, 8), date(2024, 5, 31)


def test_what_is_needed_counts_swedish_working_days() -> None:
    # portal.md (c): 542 left on 6 May, 19 working days with Ascension Day left out: 28.5 a day.
    pace = pace_of(542, [], BEGUN, date(2024, 5, 6), LAST)
    assert (pace.days, pace.workdays) == (25, 19)
    assert pace.needed == pytest.approx(28.526, abs=0.001)


def test_the_pace_is_that_of_the_latest_ten_working_days_and_today_is_not_over() -> None:
    today = date(2024, 5, 6)
    # Ten working days back from 6 May, over 1 May and two weekends, is 19 April.
    done = [date(2024, 4, 18), date(2024, 4, 19), date(2024, 4, 30), date(2024, 5, 4), date(2024, 5, 3), today]
    pace = pace_of(100, done, BEGUN, today, LAST)
    assert (pace.done_lately, pace.measured, pace.actual) == (4, 10, 0.4)
    assert pace.forecast == round(100 - 0.4 * 19)


def test_a_campaign_of_two_days_is_measured_over_two_days() -> None:
    pace = pace_of(10, [date(2024, 1, 8), date(2024, 1, 9)], BEGUN, date(2024, 1, 10), LAST)
    assert (pace.measured, pace.actual) == (2, 1.0)


def test_after_the_last_day_all_that_is_left_stays_left() -> None:
    pace = pace_of(7, [date(2024, 5, 31)] * 3, BEGUN, date(2024, 6, 3), LAST)
    assert (pace.days, pace.workdays, pace.forecast) == (0, 0, 7)
    assert pace.needed == 7.0


def test_the_forecast_is_never_below_zero() -> None:
    assert pace_of(2, [date(2024, 5, 30)] * 50, BEGUN, date(2024, 5, 31), LAST).forecast == 0
