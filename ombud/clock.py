"""Time: UTC inside, Europe/Stockholm at the edges, and a clock that the sandbox and the tests can turn.

The clock gives *business* time (which day is it, which month is billed). The queue's schedule and leases do not use it:
they go by the database's own clock (`Transaction.now`), so that turning this one neither expires nor delays a mail.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

STOCKHOLM = ZoneInfo("Europe/Stockholm")


class Clock(Protocol):
    def now(self) -> datetime:
        """This moment, aware, in UTC."""
        ...


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class TurnedClock:
    """Runs at the wall's pace from another moment: `ombud --at 2024-06-01T00:00`, and tests.

    >>> clock = TurnedClock(datetime(2024, 6, 1, tzinfo=UTC)); clock.turn(timedelta(days=1)); clock.now().day
    2
    """

    def __init__(self, at: datetime, since: datetime | None = None) -> None:
        """It shows `at` at the real moment `since` (None: now)."""
        self._ahead = at - (since or datetime.now(UTC))

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def turn(self, by: timedelta) -> None:
        self._ahead += by


def parse_moment(text: str) -> datetime:
    """Read an ISO moment as a person types it; without an offset it is Stockholm time. Raises ValueError, also for a year
    that is too far away to be reckoned with.

    >>> parse_moment("2024-06-01T00:00").isoformat()
    '2024-05-31T22:00:00+00:00'
    """
    moment = datetime.fromisoformat(text)
    if not 1900 <= moment.year < 3000:
        raise ValueError(f"the year {moment.year} is out of reach")
    return (moment if moment.tzinfo else moment.replace(tzinfo=STOCKHOLM)).astimezone(UTC)


def month_of(moment: datetime) -> str:
    """The calendar month in Stockholm that a moment falls in, as `2024-05`: the period that usage is billed by."""
    return moment.astimezone(STOCKHOLM).strftime("%Y-%m")


def day_of(moment: datetime) -> date:
    """The calendar day in Stockholm that a moment falls on."""
    return moment.astimezone(STOCKHOLM).date()


def day_begins(day: date) -> datetime:
    """The first moment of a calendar day in Stockholm, in UTC."""
    return datetime.combine(day, time(), STOCKHOLM).astimezone(UTC)


def month_days(month: str) -> tuple[date, date]:
    """The first day of a month such as `2024-05`, and of the next one. Raises ValueError.

    >>> month_days("2024-12")
    (datetime.date(2024, 12, 1), datetime.date(2025, 1, 1))
    """
    first = date.fromisoformat(f"{month}-01")
    return first, (first.replace(day=28) + timedelta(days=4)).replace(day=1)


def months_before(month: str, number: int) -> list[str]:
    """So many months before one, oldest first.

    >>> months_before("2024-02", 3)
    ['2023-11', '2023-12', '2024-01']
    """
    first, found = month_days(month)[0], list[str]()
    for _ in range(number):
        first = (first - timedelta(days=1)).replace(day=1)
        found.insert(0, first.isoformat()[:7])
    return found
