"""Whether a campaign will be done in time: what is left, what must be done a working day, and what is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ombud.workdays import count_workdays, is_workday

#: Over so many of the latest working days the pace is measured: two weeks even out what happens on Mondays.
MEASURED = 10
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """In customers; a working day is one on which the banks are open."""

    left: int  # not done, and without more time
    days: int  # until the last day, that day not counted
    workdays: int  # from today to the last day, both counted
    done_lately: int  # went live in the latest `measured` working days before today
    measured: int  # the working days that they took
    needed: float  # a working day from now on; 0.0 with nothing left
    actual: float  # a working day, lately

    @property
    def forecast(self) -> int:
        """How many will be left when the last day ends, if it goes on like this."""
        return max(0, round(self.left - self.actual * self.workdays))


def pace_of(left: int, done: Sequence[date], begun: date, today: date, last: date) -> Pace:
    """`done`: the day of each customer that went live; `begun`: the campaign's first day, before which nothing is measured."""
    since, measured = _measured_since(begun, today)
    workdays = count_workdays(today, last + DAY)
    lately = sum(1 for day in done if since <= day < today)
    return Pace(
        left=left,
        days=max(0, (last - today).days),
        workdays=workdays,
        done_lately=lately,
        measured=measured,
        needed=left / workdays if workdays else float(left),
        actual=lately / measured if measured else 0.0,
    )


def _measured_since(begun: date, today: date) -> tuple[date, int]:
    """The first of the latest MEASURED working days before today, and how many there are of them."""
    day, found = today, 0
    while found < MEASURED and day > begun:
        day -= DAY
        found += is_workday(day)
    return day, found
