"""Swedish working days and bank hours, for letters that go out when someone is there to read them and for the pace of a campaign.

A working day is a day on which the banks are open: not a Saturday, a Sunday or a public holiday, nor one of the eves that are
holidays in all but name: midsommarafton, julafton and nyårsafton (they are closed days in Riksbanken's calendar).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from ombud.clock import STOCKHOLM

OPENS, CLOSES = time(8), time(16)  # letters leave between these, Stockholm time
DAY = timedelta(days=1)


@lru_cache(maxsize=16)
def holidays_of(year: int) -> frozenset[date]:
    """The days of a year on which the banks are closed although it is no Saturday or Sunday by itself.

    Lag (1989:253) om allmänna helgdagar, but for those that always fall on a Sunday, or on a Saturday after a closed Friday.
    """
    easter = easter_sunday(year)
    midsummer_eve = date(year, 6, 19)  # the Friday of 19 to 25 June
    midsummer_eve += (4 - midsummer_eve.weekday()) % 7 * DAY
    days = {
        date(year, 1, 1),  # nyårsdagen
        date(year, 1, 6),  # trettondedag jul
        easter - 2 * DAY,  # långfredagen
        easter + DAY,  # annandag påsk
        date(year, 5, 1),  # första maj
        easter + 39 * DAY,  # Kristi himmelsfärdsdag
        midsummer_eve,
        date(year, 12, 24),
        date(year, 12, 25),
        date(year, 12, 26),
        date(year, 12, 31),
    }
    # In 2005 the national day became a holiday, and annandag pingst none.
    days.add(date(year, 6, 6) if year >= 2005 else easter + 50 * DAY)
    return frozenset(days)


def easter_sunday(year: int) -> date:
    """By the Gregorian calendar (Meeus, Astronomical Algorithms, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def is_workday(day: date) -> bool:
    return day.weekday() < 5 and day not in holidays_of(day.year)


def workday_on_or_before(day: date) -> date:
    """The day itself if it is a working day, else the last one before it: for what must be told no later than `day`."""
    while not is_workday(day):
        day -= DAY
    return day


def workday_on_or_after(day: date) -> date:
    """The day itself if it is a working day, else the next one."""
    while not is_workday(day):
        day += DAY
    return day


def workdays(since: date, until: date) -> Iterator[date]:
    """Each working day from `since` (inclusive) to `until` (exclusive)."""
    day = since
    while day < until:
        if is_workday(day):
            yield day
        day += DAY


def count_workdays(since: date, until: date) -> int:
    """How many working days there are from `since` (inclusive) to `until` (exclusive); 0 if `until` is not after `since`.

    >>> count_workdays(date(2024, 5, 6), date(2024, 6, 1))  # Ascension Day, 9 May, is in it
    19
    """
    return sum(1 for _ in workdays(since, until))


def in_bank_hours(moment: datetime) -> bool:
    """Whether a moment is on a working day from 8 to 16 in Stockholm."""
    local = moment.astimezone(STOCKHOLM)
    return is_workday(local.date()) and OPENS <= local.time() < CLOSES


def next_bank_hours(moment: datetime) -> datetime:
    """The moment itself if it is in bank hours, else when the banks open next; UTC."""
    local = moment.astimezone(STOCKHOLM)
    if in_bank_hours(moment):
        return moment.astimezone(UTC)
    day = local.date() if local.time() < OPENS else local.date() + DAY
    return datetime.combine(workday_on_or_after(day), OPENS, STOCKHOLM).astimezone(UTC)
