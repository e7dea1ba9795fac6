"""How a campaign goes: stages by who has the ball, the mail that is at risk, and whether it will be done in time.

What is summed up and what is listed are the same lines under the same filter, so the sums are those of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

from ombud.accounts import Customer
from ombud.campaigns.pace import Pace, pace_of
from ombud.campaigns.picture import Picture
from ombud.campaigns.stages import Ball, Flag, Stage, Standing
from ombud.choices import Campaign
from ombud.db import Transaction
from ombud.usage import Counted
from ombud.usage.totals import totals_by_customer

K = TypeVar("K")

#: What "a month" is: the last so many days.
MONTH = 30
DAY = timedelta(days=1)
_COUNTED = (Counted.ACCEPTED, Counted.TO_GMAIL, Counted.AT_RISK)
#: A supplier that has had the ball for longer is called.
PATIENCE = 5 * DAY


@dataclass(frozen=True, slots=True)
class Line:
    """One customer in a campaign, with the mail of the last 30 days."""

    customer: Customer
    standing: Standing
    alternative: str  # "": none is chosen
    emails: int
    to_gmail: int
    gmail_at_risk: int  # of these, those by a way that nobody has seen authenticated, since the risk date

    def days_with_ball(self, now: datetime) -> int | None:
        """Whole days; None: since the beginning."""
        return max(0, (now - self.standing.since).days) if self.standing.since else None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines. Empty: all of them."""

    stages: frozenset[Stage] = frozenset()
    balls: frozenset[Ball] = frozenset()
    alternatives: frozenset[str] = frozenset()  # "none": nothing is chosen
    flags: frozenset[Flag] = frozenset()  # all of these
    next_steps: frozenset[str] = frozenset()
    at_least: timedelta | None = None  # the ball has lain there for so long
    text: str = ""  # in the name or the slug

    def lets(self, line: Line, now: datetime) -> bool:
        standing = line.standing
        return (
            (not self.stages or standing.stage in self.stages)
            and (not self.balls or standing.ball in self.balls)
            and (not self.alternatives or (line.alternative or NOTHING_CHOSEN) in self.alternatives)
            and self.flags <= standing.flags
            and (not self.next_steps or standing.next.code in self.next_steps)
            and (self.at_least is None or standing.since is None or now - standing.since >= self.at_least)
            and self.text.casefold() in f"{line.customer.name} {line.customer.slug}".casefold()
        )


NOTHING_CHOSEN = "none"
EVERYONE = Filter()


@dataclass(frozen=True, slots=True)
class Sum:
    """So many customers, with so much mail in the last 30 days."""

    customers: int = 0
    emails: int = 0
    to_gmail: int = 0

    @property
    def gmail_share(self) -> float:
        return round(self.to_gmail / self.emails, 4) if self.emails else 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """The sums of some lines."""

    campaign: Campaign
    at: datetime
    today: date
    total: Sum
    cells: Mapping[tuple[Stage, Ball], Sum]  # only those that are not empty
    flags: Mapping[Flag, Sum]
    at_risk: Sum  # all that are not done: their mail would not leave after the stop
    no_choice: Sum  # of these, those who have chosen nothing
    gmail_at_risk: int  # e-mails to Gmail in the last 30 days by a way that nobody has seen authenticated
    pace: Pace
    forecast: Sum  # those whom the last day will find not done, if it goes on like this
    ready: int  # lack nothing, and wait for us to switch them
    slow_suppliers: int  # have had the ball for more than five days

    def stage(self, stage: Stage) -> Sum:
        return _added(found for (one, _), found in self.cells.items() if one is stage)

    def ball(self, ball: Ball) -> Sum:
        return _added(found for (_, one), found in self.cells.items() if one is ball)


def load_lines(tx: Transaction, picture: Picture) -> list[Line]:
    """A line for each customer, by slug."""
    until = picture.campaign.today(picture.at) + DAY
    counted = totals_by_customer(tx, until - MONTH * DAY, until, _COUNTED)
    return [
        Line(
            customer,
            picture.standings[customer.id],
            _chosen(picture, customer),
            *(counted.get((customer.id, what), 0) for what in _COUNTED),
        )
        for customer in picture.customers
    ]


def _chosen(picture: Picture, customer: Customer) -> str:
    choice = picture.facts[customer.id].choice
    return choice.alternative if choice else ""


def select_lines(lines: Iterable[Line], wanted: Filter, now: datetime) -> list[Line]:
    return [line for line in lines if wanted.lets(line, now)]


def status_of(picture: Picture, lines: Sequence[Line]) -> Status:
    """Sum up these lines. Pure."""
    now, campaign = picture.at, picture.campaign
    today = campaign.today(now)
    not_done = [line for line in lines if not line.standing.done]
    # Those with more time are not left for the stop date; what they have is shown beside it.
    left = [line for line in not_done if line.standing.stage is not Stage.EXTENDED]
    done = [
        campaign.today(line.standing.since)
        for line in lines
        if line.standing.stage is Stage.LIVE and line.standing.since
    ]
    pace = pace_of(len(left), done, campaign.start_date, today, campaign.stop_date)
    return Status(
        campaign=campaign,
        at=now,
        today=today,
        total=_sum(lines),
        cells=_by(lines, lambda line: [(line.standing.stage, line.standing.ball)]),
        flags=_by(lines, lambda line: line.standing.flags),
        at_risk=_sum(not_done),
        no_choice=_sum(line for line in not_done if not line.alternative),
        gmail_at_risk=sum(line.gmail_at_risk for line in lines),
        pace=pace,
        forecast=_share(_sum(left), pace.forecast),
        ready=sum(1 for line in not_done if line.standing.next.code in ("switch", "switch_rest")),
        slow_suppliers=sum(1 for line in not_done if _is_slow(line.standing, now)),
    )


def _is_slow(standing: Standing, now: datetime) -> bool:
    return standing.ball is Ball.IT_SUPPLIER and standing.since is not None and now - standing.since > PATIENCE


# --- sums ----------------------------------------------------------------------------------------------------------


def _sum(lines: Iterable[Line]) -> Sum:
    return _added(Sum(1, line.emails, line.to_gmail) for line in lines)


def _added(sums: Iterable[Sum]) -> Sum:
    customers = emails = to_gmail = 0
    for one in sums:
        customers, emails, to_gmail = customers + one.customers, emails + one.emails, to_gmail + one.to_gmail
    return Sum(customers, emails, to_gmail)


def _by(lines: Iterable[Line], keys: Callable[[Line], Iterable[K]]) -> dict[K, Sum]:
    found: dict[K, list[Line]] = {}
    for line in lines:
        for key in keys(line):
            found.setdefault(key, []).append(line)
    return {key: _sum(those) for key, those in found.items()}


def _share(whole: Sum, customers: int) -> Sum:
    """So many customers of that kind, with the mail that so many have."""
    if not whole.customers:
        return Sum()
    return Sum(
        customers,
        round(whole.emails * customers / whole.customers),
        round(whole.to_gmail * customers / whole.customers),
    )
