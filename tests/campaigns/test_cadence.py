"""When letters are due: on working days, in bank hours, never later than was meant."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.campaigns.cadence import (
    OFFSETS,
    is_letter_time,
    next_letter_time,
    phone_day,
    snoozed_until,
    step_on,
    steps,
)
from ombud.clock import STOCKHOLM
from ombud.workdays import is_workday

STOP, RISK = date(2024, 5, 31), date(2024, 2, 1)


def test_the_days_of_the_2024_campaign() -> None:
    days = {step.name: step.day.isoformat() for step in steps(STOP, RISK)}
    assert days == {
        "risk": "2024-01-25",
        "-60": "2024-03-28",  # 1 April is Easter Monday, and Good Friday comes before it
        "-30": "2024-04-30",  # 1 May
        "-14": "2024-05-17",
        "-7": "2024-05-24",
        "-3": "2024-05-28",
        "-1": "2024-05-30",
        "0": "2024-05-31",
        "+1": "2024-06-03",  # a Saturday
        "+5": "2024-06-05",  # 6 June is the national day
    }
    assert phone_day(STOP) == date(2024, 5, 17)


@pytest.mark.parametrize(
    ("day", "name"),
    [("2024-01-24", None), ("2024-01-25", "risk"), ("2024-03-27", "risk"), ("2024-03-28", "-60"), ("2024-05-31", "0"),
     ("2024-06-02", "0"), ("2024-06-03", "+1"), ("2024-12-24", "+5")],
)  # fmt: skip
def test_on_a_day_the_newest_step_counts(day: str, name: str | None) -> None:
    step = step_on(date.fromisoformat(day), STOP, RISK)
    assert (step.name if step else None) == name


def test_a_stop_on_a_sunday_is_told_on_the_friday_before() -> None:
    days = {step.name: step.day for step in steps(date(2024, 6, 30))}
    assert days["0"] == days["-1"] == date(2024, 6, 28) and days["+1"] == date(2024, 7, 1)
    step = step_on(date(2024, 6, 28), date(2024, 6, 30))
    assert step and step.name == "0"  # the most urgent of those that fall together


@given(st.dates(date(2023, 1, 1), date(2027, 1, 1)))
def test_every_step_is_a_working_day_in_order_and_on_its_side_of_the_last_day(last: date) -> None:
    found = steps(last, last - timedelta(days=90))
    assert len(found) == len(OFFSETS) + 1
    assert [step.day for step in found] == sorted(step.day for step in found)
    for step in found:
        assert is_workday(step.day)
        assert (step.day > last) == (step.offset > 0)


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2024-05-07T07:59", "2024-05-07T08:00"),
        ("2024-05-07T08:00", "2024-05-07T08:00"),
        ("2024-05-07T14:59", "2024-05-07T14:59"),
        ("2024-05-07T15:00", "2024-05-08T08:00"),
        ("2024-05-08T15:30", "2024-05-10T08:00"),  # Ascension Day
        ("2024-05-31T20:00", "2024-06-03T08:00"),
        ("2024-03-30T12:00", "2024-04-02T08:00"),  # Easter, over the change to summer time
        ("2024-12-23T16:00", "2024-12-27T08:00"),
    ],
)
def test_letters_go_out_from_eight_to_three_on_working_days(moment: str, opens: str) -> None:
    at, expected = (datetime.fromisoformat(one).replace(tzinfo=STOCKHOLM) for one in (moment, opens))
    assert next_letter_time(at) == expected
    assert is_letter_time(at) == (at == expected)


def test_a_pause_ends_before_the_last_day() -> None:
    assert snoozed_until(date(2024, 5, 7), STOP) == date(2024, 5, 14)
    assert snoozed_until(date(2024, 5, 28), STOP) == date(2024, 5, 30)
    assert snoozed_until(date(2024, 5, 30), STOP) is None
    assert snoozed_until(date(2024, 6, 7), STOP) is None
