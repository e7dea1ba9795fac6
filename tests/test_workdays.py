from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ombud import workdays
from ombud.clock import STOCKHOLM


@pytest.mark.parametrize(
    "day",
    [
        date(2024, 1, 1),  # nyårsdagen
        date(2024, 3, 29),  # långfredagen
        date(2024, 4, 1),  # annandag påsk
        date(2024, 5, 1),  # första maj
        date(2024, 5, 9),  # Kristi himmelsfärdsdag
        date(2024, 6, 6),  # nationaldagen
        date(2024, 6, 21),  # midsommarafton
        date(2024, 12, 24),  # julafton
        date(2024, 12, 31),  # nyårsafton
        date(2024, 5, 11),  # a Saturday
        date(2024, 5, 12),  # a Sunday
    ],
)
def test_banks_are_closed_on_holidays_their_eves_and_weekends(day: date) -> None:
    assert not workdays.is_workday(day)


@pytest.mark.parametrize("day", [date(2024, 5, 10), date(2024, 5, 31), date(2024, 3, 28), date(2024, 12, 23)])
def test_a_day_that_only_feels_like_a_holiday_is_a_working_day(day: date) -> None:
    assert workdays.is_workday(day)


def test_working_days_left_to_a_stop_leave_ascension_day_out() -> None:
    assert workdays.count_workdays(date(2024, 5, 6), date(2024, 6, 1)) == 19
    assert workdays.count_workdays(date(2024, 5, 9), date(2024, 5, 10)) == 0
    assert workdays.count_workdays(date(2024, 6, 1), date(2024, 5, 1)) == 0


def test_what_falls_on_a_holiday_is_moved_to_a_working_day() -> None:
    assert workdays.workday_on_or_before(date(2024, 4, 1)) == date(2024, 3, 28)  # over the whole of Easter
    assert workdays.workday_on_or_after(date(2024, 3, 29)) == date(2024, 4, 2)
    assert workdays.workday_on_or_after(date(2024, 12, 28)) == date(2024, 12, 30)


def test_bank_hours_are_stockholms_on_both_sides_of_a_change_of_the_clock() -> None:
    # Easter 2024: the clock changes on Sunday 31 March; the next working day opens at 8, which is 06:00 UTC and no longer 07:00.
    thursday_night = datetime(2024, 3, 28, 17, 0, tzinfo=STOCKHOLM)
    assert workdays.next_bank_hours(thursday_night) == datetime(2024, 4, 2, 6, 0, tzinfo=UTC)
    assert workdays.next_bank_hours(datetime(2024, 3, 28, 5, tzinfo=UTC)) == datetime(2024, 3, 28, 7, tzinfo=UTC)
    inside = datetime(2024, 3, 28, 12, tzinfo=UTC)
    assert workdays.next_bank_hours(inside) == inside
    assert workdays.in_bank_hours(datetime(2024, 3, 28, 15, 59, tzinfo=STOCKHOLM))
    assert not workdays.in_bank_hours(datetime(2024, 3, 28, 16, 0, tzinfo=STOCKHOLM))


def test_every_day_of_a_century_is_what_the_package_of_holidays_says() -> None:
    from holidays.countries.sweden import Sweden  # slow to import, which is why the product does not

    closed = Sweden(years=range(1990, 2090), categories=("public", "de_facto"), include_sundays=False)
    day, last = date(1990, 1, 1), date(2089, 12, 31)
    while day <= last:
        assert workdays.is_workday(day) == (day.weekday() < 5 and day not in closed), day
        day += workdays.DAY
