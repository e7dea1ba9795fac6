"""How dates, numbers and places are written for people: Swedish form, and English that a Swede would write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from ombud.clock import STOCKHOLM

HARD_SPACE = "\N{NO-BREAK SPACE}"  # a number is not torn apart at the end of a line

_MONTHS = {
    "sv": ("januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
}  # fmt: skip


def said_day(day: date, language: str, *, year: bool = True) -> str:
    """A day within a sentence.

    >>> said_day(date(2024, 5, 31), "sv"), said_day(date(2024, 5, 31), "en", year=False)
    ('31\\xa0maj 2024', '31\\xa0May')
    """
    written = f"{day.day}{HARD_SPACE}{_MONTHS[language][day.month - 1]}"
    return f"{written} {day.year}" if year else written


def said_time(moment: datetime, language: str) -> str:
    """The time of day in Stockholm: `kl. 14.30`, `14:30`."""
    local = moment.astimezone(STOCKHOLM)
    return f"kl.{HARD_SPACE}{local:%H.%M}" if language == "sv" else f"{local:%H:%M}"


def said_moment(moment: datetime, language: str) -> str:
    """A moment within a sentence: `3 juni kl. 14.30`."""
    day = said_day(moment.astimezone(STOCKHOLM).date(), language, year=False)
    joint = " " if language == "sv" else ", "
    return f"{day}{joint}{said_time(moment, language)}"


def said_number(number: int, language: str) -> str:
    """A whole number: `10 000` with hard spaces, `10,000`."""
    return f"{number:,}".replace(",", HARD_SPACE) if language == "sv" else f"{number:,}"


def said_list(words: Sequence[str], language: str) -> str:
    """`a, b och c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {'och' if language == 'sv' else 'and'} {words[-1]}"
