"""When a campaign's letters are due: so many days before and after a customer's last day, on working days, in bank hours.

A step that falls on a closed day moves to the working day before it, or after it when it lies after the last day: nobody is told
later than was meant that time is running out. Of steps that fall together the most urgent counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache

from ombud.clock import STOCKHOLM
from ombud.workdays import is_workday, next_bank_hours, workday_on_or_after, workday_on_or_before

#: Days from the last day; the last day itself is 0.
OFFSETS = (-60, -30, -14, -7, -3, -1, 0, 1, 5)
#: So many days before the risk date those who have not chosen are told of it.
RISK_NOTICE = 7
#: From then on there is no time for an invitation: the letter is one of those that hurry.
TOO_LATE_TO_INVITE = 7
#: Letters go out so that there is time left in the day to do something about them.
FIRST, LAST = time(8), time(15)
#: From this step on those who have never opened a letter are telephoned.
PHONE_FROM = -14
LONGEST_SNOOZE = 7
DAY = timedelta(days=1)


class StepKind(StrEnum):
    INVITATION = "invitation"  # the first letter to a person who is to choose
    ORDER = "order"  # the first letter to a supplier or a Microsoft administrator
    RISK = "risk"  # the risk date comes
    CADENCE = "cadence"
    DONE = "done"  # the only letter to those who are: you need do nothing


@dataclass(frozen=True, slots=True)
class Step:
    """One letter of the cadence: its name is part of the letter's key."""

    kind: StepKind
    day: date  # the working day on which it is due
    offset: int = 0  # for CADENCE: days from the last day

    @property
    def name(self) -> str:
        return f"{self.offset:+d}" if self.kind is StepKind.CADENCE and self.offset else self._plain

    @property
    def _plain(self) -> str:
        return "0" if self.kind is StepKind.CADENCE else self.kind.value


@lru_cache(maxsize=4096)
def steps(last_day: date, risk_date: date | None = None) -> tuple[Step, ...]:
    """Every dated step of a customer whose last day this is, in order. `risk_date` None: the customer has chosen."""
    found = [Step(StepKind.CADENCE, _moved(last_day, offset), offset) for offset in OFFSETS]
    if risk_date:
        found.append(Step(StepKind.RISK, workday_on_or_before(risk_date - RISK_NOTICE * DAY)))
    return tuple(sorted(found, key=lambda step: (step.day, step.kind is StepKind.CADENCE, step.offset)))


def step_on(day: date, last_day: date, risk_date: date | None = None) -> Step | None:
    """The step that counts on that day: the newest whose day has come. None: it is too early for any."""
    come = [step for step in steps(last_day, risk_date) if step.day <= day]
    return come[-1] if come else None


def phone_day(last_day: date) -> date:
    """The day from which those who have never opened a letter are telephoned."""
    return _moved(last_day, PHONE_FROM)


def is_letter_time(moment: datetime) -> bool:
    """Whether letters may go out now."""
    local = moment.astimezone(STOCKHOLM)
    return is_workday(local.date()) and FIRST <= local.time() < LAST


def next_letter_time(moment: datetime) -> datetime:
    """The moment itself if letters may go out then, else when they next may; UTC."""
    if is_letter_time(moment):
        return moment
    opens = next_bank_hours(moment)
    if is_letter_time(opens):
        return opens
    local = opens.astimezone(STOCKHOLM)  # the banks are open, and it is too late in their day
    day = workday_on_or_after(local.date() + DAY)
    return next_bank_hours(datetime.combine(day, FIRST, STOCKHOLM))


def snoozed_until(today: date, last_day: date) -> date | None:
    """Until when a person who asks for it today is left alone (that day counts again): at most a week, and never over the day
    before the last one. None: there is no time left to be left alone in."""
    until = min(today + LONGEST_SNOOZE * DAY, last_day - DAY)
    return until if until > today else None


def _moved(last_day: date, offset: int) -> date:
    day = last_day + offset * DAY
    return workday_on_or_after(day) if offset > 0 else workday_on_or_before(day)
