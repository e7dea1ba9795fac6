"""Dates, times and numbers as a Swede writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ombud.wording import said_day, said_list, said_moment, said_number, said_time

AFTERNOON = datetime(2024, 6, 3, 12, 10, tzinfo=UTC)  # 14.10 in Stockholm


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (said_day(date(2024, 5, 31), "sv"), "31 maj 2024"),
        (said_day(date(2024, 5, 31), "en"), "31 May 2024"),
        (said_day(date(2024, 5, 1), "sv", year=False), "1 maj"),
        (said_time(AFTERNOON, "sv"), "kl. 14.10"),
        (said_time(AFTERNOON, "en"), "14:10"),
        (said_moment(AFTERNOON, "sv"), "3 juni kl. 14.10"),
        (said_moment(AFTERNOON, "en"), "3 June, 14:10"),
        (said_number(10_000, "sv"), "10 000"),
        (said_number(1_234_567, "en"), "1,234,567"),
        (said_number(7, "sv"), "7"),
        (said_list(["a", "b", "c"], "sv"), "a, b och c"),
        (said_list(["a", "b"], "en"), "a and b"),
        (said_list(["a"], "sv"), "a"),
        (said_list([], "sv"), ""),
    ],
)
def test_as_it_is_written(written: str, expected: str) -> None:
    assert written.replace("\N{NO-BREAK SPACE}", " ") == expected


def test_a_number_and_its_day_are_never_torn_apart() -> None:
    assert " " not in said_number(10_000, "sv")
    assert said_day(date(2024, 5, 31), "sv").count(" ") == 1  # only before the year
