"""The story of `ombud demo --story`: the notice of 2024 from the first letter to the day after the stop, with the clock turned.

World and service run in one process and share a clock that is turned from day to day. What became of each mail is read from the
recipients' Maildirs and from what the doors answered; at the end the two must account for everything that was submitted.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from ombud import queue
from ombud.accounts import load_directory
from ombud.sandbox.stage import DAY, HYRA, LARGE, LEGEND, MARKNAD, RISK, ROUTES, Happening, Stage, on_stage
from ombud.usage import Counted, tallies
from ombud.workdays import is_workday

FIRST, LAST = date(2024, 1, 8), date(2024, 6, 3)


@dataclass(slots=True)
class Fate:
    """What became of a customer's mail."""

    submitted: int = 0
    delivered: int = 0
    refused: int = 0  # at the door
    failed: int = 0  # at the receiver
    held: int = 0
    by_route: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> int:
        return self.submitted - self.delivered - self.refused - self.failed - self.held


@dataclass(slots=True)
class Year:
    """The whole run, as it was counted."""

    customers: dict[str, Fate]
    days: int
    duplicates: int
    at_risk: int
    letters: int
    held_in_brownout: int
    released_from_brownout: int
    disagreements: list[str]  # where Ombud's own counts are not those of the mailboxes
    seconds: float

    def total(self, what: str) -> int:
        return sum(int(getattr(fate, what)) for fate in self.customers.values())

    @property
    def ok(self) -> bool:
        return not (self.total("lost") or self.duplicates or self.disagreements or self.held_in_brownout != self.released_from_brownout)  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        names = ("submitted", "delivered", "refused", "failed", "held", "lost")
        return {
            "days": self.days, **{name: self.total(name) for name in names}, "duplicates": self.duplicates,
            "gmail_at_risk": self.at_risk, "letters": self.letters,
            "brownout": {"held": self.held_in_brownout, "released": self.released_from_brownout},
            "customers": {
                slug: {**{name: getattr(fate, name) for name in names}, "by_route": dict(fate.by_route)}
                for slug, fate in sorted(self.customers.items())
            },
            "disagreements": self.disagreements, "seconds": round(self.seconds, 1),
        }  # fmt: skip


# --- the run -------------------------------------------------------------------------------------------------------

#: What happens on a day, in order; each is done and then what follows from it has time to happen.
Plot = dict[date, list[Happening]]


async def play(
    directory: Path, plot: Plot, say: Callable[[str], None], progress: Callable[[int, int], None], *, first: date = FIRST,
    last: date = LAST,
) -> Year:  # fmt: skip
    """Play every day from the first to the last, and count."""
    started = time.monotonic()
    async with on_stage(directory, say, first) as stage:
        slugs = sorted(stage.domains)
        say(f"{LEGEND}.")
        days = [first + n * DAY for n in range((last - first).days + 1)]
        say(f"{'':10}  " + " ".join(f"{slug[:7]:7}" for slug in slugs))
        for number, day in enumerate(days):
            progress(number, len(days))
            if is_workday(day) or day in plot:
                await _play_day(stage, plot.get(day, []), day, slugs)
        progress(len(days), len(days))
        return await _counted(stage, len(days), time.monotonic() - started)


async def _play_day(stage: Stage, happenings: Sequence[Happening], day: date, slugs: Sequence[str]) -> None:
    stage.turn_to(day, 8 if is_workday(day) else 0)
    for receiver in stage.world.receptions.values():
        receiver.receiver = replace(receiver.receiver, strict=receiver.receiver.host == LARGE.host and day >= RISK)
    since = len(stage.ledger)
    for happening in happenings:
        await happening(stage)
        await stage.settled()
    if is_workday(day):
        stage.turn_to(day, 9)
        await stage.usual_mail()
    await stage.settled()
    copies = stage.collect()
    line = " ".join(f"{stage.cell(slug, since, copies):7}" for slug in slugs)
    stage.say(f"{day} {_WEEKDAYS[day.weekday()]}  {line}".rstrip())


_WEEKDAYS = ("m", "t", "o", "t", "f", "l", "s")


async def _counted(stage: Stage, days: int, seconds: float) -> Year:
    await stage.service.submissions.counting.flush()
    stage.collect()
    with stage.installation.database.read() as tx:
        theirs = {product.id for product in load_directory(tx).products.values() if product.slug in (HYRA, MARKNAD)}
        told = Counter[Counted]()
        for one in tallies(tx, FIRST, LAST + DAY):
            if one.product_id in theirs:  # the vendor's letters are not what the story counts
                told[one.what] += one.number
        window = queue.fate_of_held(tx, "brownout", stage.now - 365 * DAY, stage.now + DAY)
    year = Year(
        _fates(stage),
        days,
        stage.duplicates,
        told[Counted.AT_RISK],
        stage.letters,
        window.held,
        window.released,
        [],
        seconds,
    )
    year.disagreements = list(_disagreements(stage, year, told))
    return year


def _fates(stage: Stage) -> dict[str, Fate]:
    fates: defaultdict[str, Fate] = defaultdict(Fate)
    for mail in stage.ledger.values():
        fate = fates[mail.customer]
        fate.submitted += 1
        fate.refused += bool(mail.answer)
    for message_id, copy in stage.copies.items():
        fate = fates[stage.ledger[message_id].customer]
        fate.delivered += not copy.refused
        fate.failed += copy.refused
        fate.by_route[ROUTES.get(copy.relay, copy.relay)] += 1
    for slug, number in stage.held().items():
        fates[slug].held = number
    return dict(fates)


def _disagreements(stage: Stage, year: Year, told: Counter[Counted]) -> Iterator[str]:
    """Ombud's own daily counts against the doors' answers and the mailboxes."""
    accepted = sum(not mail.answer for mail in stage.ledger.values())
    for what, counted, seen in (
        ("refused", told[Counted.REFUSED], year.total("refused")),
        ("accepted", told[Counted.ACCEPTED], accepted),
        ("handed over", told[Counted.BILLABLE] + told[Counted.FREE], year.total("delivered")),
        ("failed", told[Counted.FAILED], year.total("failed")),
        ("at risk", told[Counted.AT_RISK], sum(map(stage.at_risk, stage.ledger.values()))),
    ):  # fmt: skip
        if counted != seen:
            yield f"{what}: Ombud says {counted}, the world says {seen}"
