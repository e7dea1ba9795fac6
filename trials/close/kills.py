"""Kill whoever closes a month, at any moment; sometimes two of them at once. Then look, and try again until it is locked."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from ombud.billing.close import lock, preview
from ombud.billing.ledger import State, basis_table, invoiced_table, period_of
from ombud.clock import month_days
from ombud.db import Database
from ombud.db.migrate import upgrade
from ombud.errors import OmbudError
from ombud.usage import Counted, Tally, add_tallies
from trials.close.shop import open_shop

CUSTOMERS = 25
FIRST = date(2000, 1, 1)
LONG_AFTER = datetime(2199, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Figures:
    """What came of it; `ok` when each customer has exactly one basis for each month that was locked, and no number is left out."""

    database: str
    kills: int = 0
    killed_inside: int = 0  # processes that were at work when they were hit
    late: int = 0  # kills after which the month had been previewed, or was locked
    months: int = 0
    bases: int = 0
    twice: int = 0
    missing: int = 0
    half_written: int = 0
    gaps: int = 0
    uncounted: int = 0  # e-mails that no basis bills
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.twice or self.missing or self.half_written or self.gaps or self.uncounted or self.wrong)


def run(name: str, address: str, directory: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill `kills` times on a fresh database."""
    chance, figures, began = random.Random(seed), Figures(name), time.monotonic()
    customers = _set_up(address)
    period, takes = FIRST, 0.5
    _send(address, customers, period)
    while figures.kills < kills:
        takes = _round(address, _name(period), figures, chance, takes)
        if _look(address, _name(period), customers, figures):
            figures.months += 1
            period = month_days(_name(period))[1]
            _send(address, customers, period)
    _finish(address, _name(period))
    figures.months += 1
    _judge(address, customers, figures)
    figures.seconds = round(time.monotonic() - began, 1)
    return {**asdict(figures), "ok": figures.ok}


def _set_up(address: str) -> list[int]:
    database = Database.open(address)
    upgrade(database)
    customers = open_shop(database, CUSTOMERS, FIRST)
    database.close()
    return customers


def _name(first: date) -> str:
    return first.isoformat()[:7]


def _send(address: str, customers: list[int], first: date) -> None:
    """A month's e-mails; some of them also in the month before, which is locked by now."""
    database = Database.open(address)
    with database.write() as tx:
        add_tallies(tx, [Tally(first, id, 1, 1, Counted.BILLABLE, 900 + 10 * n) for n, id in enumerate(customers)])
        if first > FIRST:
            add_tallies(tx, [Tally(first - DAY, id, 1, 1, Counted.BILLABLE, 7) for id in customers[::5]])
    database.close()


# --- one round -----------------------------------------------------------------------------------------------------


def _round(address: str, period: str, figures: Figures, chance: random.Random, takes: float) -> float:
    """One or two that close the month, killed somewhere on the way. Returns how long an undisturbed one takes, as far as known."""
    began = time.monotonic()
    children = [_fork(address, period) for _ in range(2 if chance.random() < 0.3 else 1)]
    until = began + chance.uniform(0, takes)
    ends: dict[int, int] = {}
    while len(ends) < len(children) and time.monotonic() < until:
        time.sleep(0.002)
        for child in children:
            if child not in ends and (done := os.waitpid(child, os.WNOHANG))[0]:
                ends[child] = done[1]
    took = time.monotonic() - began
    hit = [child for child in children if child not in ends]
    for child in hit:
        os.kill(child, signal.SIGKILL)  # not waited for yet, so the number is nobody else's
        ends[child] = os.waitpid(child, 0)[1]
    figures.kills += bool(hit)
    figures.killed_inside += sum(os.WIFSIGNALED(ends[child]) for child in hit)
    if any(os.WIFEXITED(end) and os.WEXITSTATUS(end) for end in ends.values()):
        figures.wrong.append(f"{period}: ended with {[os.waitstatus_to_exitcode(end) for end in ends.values()]}")
    # So that about every second one is let through: the moments of the kills then lie all over what it does.
    return min(takes * 1.1, 10.0) if hit else max(0.05, (takes + took) / 2)


def _fork(address: str, period: str) -> int:
    """A process that closes the month; everything is imported already, so it is at work at once."""
    if child := os.fork():
        return child
    try:
        _close(address, period)
    except OmbudError as error:  # the other one was quicker
        os._exit(0 if error.code in ("period_locked", "preview_differs") else 2)
    except BaseException:
        os._exit(3)
    os._exit(0)


def _close(address: str, period: str) -> None:
    database = Database.open(address)
    try:
        preview(database, period, LONG_AFTER, "trial")
        lock(database, period, LONG_AFTER, "trial")
    finally:
        database.close()


def _finish(address: str, period: str) -> None:
    try:
        _close(address, period)
    except OmbudError as error:
        if error.code != "period_locked":
            raise


# --- looking -------------------------------------------------------------------------------------------------------


def _look(address: str, period: str, customers: list[int], figures: Figures) -> bool:
    """Whether the month is locked; none of it, or all of it, must be there."""
    database = Database.open(address)
    with database.read() as tx:
        state = period_of(tx, period).state
        found = Counter(tx.execute(select(basis_table.c.customer_id).where(basis_table.c.period == period)).scalars())
    database.close()
    figures.late += state is not State.OPEN
    if found != (Counter(customers) if state is State.LOCKED else Counter()):
        figures.half_written += 1
    return state is State.LOCKED


def _judge(address: str, customers: list[int], figures: Figures) -> None:
    b, i = basis_table.c, invoiced_table.c
    database = Database.open(address)
    with database.read() as tx:
        bases: list[Any] = list(tx.execute(select(b.customer_id, b.period, b.running).order_by(b.running)))
        billed = sum(tx.execute(select(i.emails)).scalars())
    database.close()
    counted = Counter((row.customer_id, row.period) for row in bases)
    figures.bases = len(bases)
    figures.twice = sum(number > 1 for number in counted.values())
    figures.missing = figures.months * len(customers) - len(counted)
    figures.gaps = sum(row.running != n for n, row in enumerate(bases, start=1))
    sent = figures.months * sum(900 + 10 * n for n in range(len(customers))) + (figures.months - 1) * 7 * len(
        customers[::5]
    )
    figures.uncounted = sent - billed
