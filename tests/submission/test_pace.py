"""How fast a customer may submit."""

from __future__ import annotations

import pytest

from ombud.errors import TooFast
from ombud.submission.pace import Pace


class Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_minutes_worth_may_come_at_once_and_then_no_more() -> None:
    pace = Pace(60, Watch())
    for _ in range(60):
        pace.take(1, 1)
    with pytest.raises(TooFast):
        pace.take(1, 1)


def test_it_says_how_long_to_wait_and_keeps_its_word() -> None:
    watch = Watch()
    pace = Pace(60, watch)
    pace.take(1, 120)
    with pytest.raises(TooFast) as refusal:
        pace.take(1, 1)
    watch.now += int(str(refusal.value.details["seconds"])) + 1
    pace.take(1, 1)


def test_one_customer_does_not_slow_another() -> None:
    pace = Pace(10, Watch())
    pace.take(1, 10)
    pace.take(2, 1)


def test_a_batch_larger_than_a_minutes_worth_gets_in_and_the_next_one_pays() -> None:
    watch = Watch()
    pace = Pace(100, watch)
    pace.take(1, 1000)
    with pytest.raises(TooFast):
        pace.take(1, 1)
    watch.now += 9 * 60 + 1
    pace.take(1, 1)
