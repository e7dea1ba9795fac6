"""`make campaign-scale`: 5 000 customers, 10 million messages, sixty days; prints what it measured and ends with 1 if anything is wrong."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from ombud.campaigns.dryrun import dry_run
from ombud.campaigns.mailing import load_reach
from ombud.campaigns.picture import load_picture
from ombud.campaigns.status import load_lines, status_of
from ombud.clock import parse_moment
from ombud.db import Database
from ombud.db.migrate import upgrade
from ombud.seal import Seal
from trials.campaign.made import DAYS, MESSAGES, SLUG, Made, make, noon, put_traffic
from trials.campaign.trial import Trial

FIRST = date(2024, 4, 5)  # 56 days before the stop
STOP = parse_moment("2024-06-01T00:00")
#: What issue 3 asks for.
STATUS_WITHIN, DRY_RUN_WITHIN = 1.0, 10.0
TRIES = 3
T = TypeVar("T")


@dataclass
class Figures:
    customers: int
    messages: int
    counts: int  # rows of daily counts
    status_seconds: float
    dry_run_seconds: float
    dry_run_stopped: int
    dry_run_messages: int
    faults: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m trials.campaign", description=__doc__)
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--database",
        default="",
        help="an empty database: sqlite:///FILE or postgresql://...; the default is a file that is taken away",
    )
    parser.add_argument("--json", action="store_true", help="only the figures, as JSON")
    given = parser.parse_args(arguments)
    gc.set_threshold(100_000, 20, 20)  # as the commands do
    tell: Callable[[str], None] = (lambda words: None) if given.json else lambda words: print(words, flush=True)
    with tempfile.TemporaryDirectory() as directory:
        database = Database.open(given.database or f"sqlite:///{Path(directory) / 'ombud.db'}")
        try:
            upgrade(database)
            return _run(database, given, tell)
        finally:
            database.close()


def _run(database: Database, given: argparse.Namespace, tell: Callable[[str], None]) -> int:
    tell(f"{given.customers} customers, {given.messages} messages in {DAYS} days, {given.days} days of the campaign")
    made = make(database, Seal(b"k" * 32), given.customers, given.seed)
    counts = put_traffic(made, FIRST, given.messages)
    trial = Trial(made, tell)
    half = given.days // 2
    trial.run(FIRST, half)
    figures = measured(made, FIRST + timedelta(days=half), counts, given)
    result = trial.run(FIRST + timedelta(days=half), given.days - half)
    print(
        json.dumps(
            {**asdict(figures), "simulation": result.values()}, ensure_ascii=False, indent=None if given.json else 2
        )
    )
    return 1 if result.wrong or figures.faults else 0


def measured(made: Made, day: date, counts: int, given: argparse.Namespace) -> Figures:
    """Status and dry run in the middle of the campaign, each the best of three: the machine may have more to do."""
    now = noon(day)
    database, faults = made.database, []

    def status() -> int:
        with database.read() as tx:
            picture = load_picture(tx, SLUG, now, load_reach(tx, SLUG))
            return status_of(picture, load_lines(tx, picture)).total.customers

    def dry() -> tuple[int, int, int]:
        with database.read() as tx:
            # As seen on the first day, when all of the traffic is in the last 30.
            done = dry_run(tx, SLUG, STOP, noon(FIRST - timedelta(days=1)), DAYS)
            return done.stopped_customers, done.stopped_messages, sum(one.messages for one in done.outcomes)

    status_seconds, customers = _timed(status)
    dry_seconds, (stopped, stopped_messages, messages) = _timed(dry)
    if customers != given.customers:
        faults.append(f"the status counts {customers} customers")
    if messages != given.messages:
        faults.append(f"the dry run counts {messages} messages")
    if given.customers == 5000 and status_seconds >= STATUS_WITHIN:
        faults.append(f"the status took {status_seconds} s")
    if given.customers == 5000 and dry_seconds >= DRY_RUN_WITHIN:
        faults.append(f"the dry run took {dry_seconds} s")
    return Figures(customers, messages, counts, status_seconds, dry_seconds, stopped, stopped_messages, faults)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    best, answer = float("inf"), work()
    for _ in range(TRIES):
        began = time.monotonic()
        answer = work()
        best = min(best, time.monotonic() - began)
    return round(best, 3), answer


if __name__ == "__main__":
    sys.exit(main())
