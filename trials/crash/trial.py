"""One trial: a sink, customers, and a service that is killed again and again; then the queue runs dry, and the judge speaks."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ombud.delivery.outlet import IN_HAND_PER_CONNECTION
from ombud.queue import State
from trials.crash.house import CONNECTIONS, ROOT, SERVE, House
from trials.crash.injector import Load
from trials.crash.judge import Verdict, judge
from trials.crash.ledger import read
from trials.crash.mail import MOST_RECIPIENTS

#: Seconds that the service is up before it is killed: exponential, cut to these bounds.
SHORTEST, MEAN, LONGEST = 0.3, 1.2, 3.0
#: This share of the kills comes while the service is still coming up, at this part of the time that it last took for that.
WHILE_STARTING, STARTING_PART = 0.15, (0.6, 1.05)
PATIENCE = 60.0  # seconds without any progress, while the queue runs dry or the injector waits for its last answers
QUIET = 3.0  # seconds in which what is not on its way would have been taken up, were it due
ROUNDS = 6
#: Recipients in the service's hands at one time, at most.
MOST_OPEN = CONNECTIONS * IN_HAND_PER_CONNECTION * MOST_RECIPIENTS
_ON_ITS_WAY = {State.WAITING, State.LEASED, State.SENDING}
_NOT_DONE = _ON_ITS_WAY | {State.DEFERRED, State.UNKNOWN, State.QUARANTINED, State.HELD}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, and how much of it at most."""

    directory: Path
    kills: int = 200
    seconds: float = 3600.0
    rate: float = 40.0  # calls a second
    seed: int = 1
    verify_every: int = 20
    database: str = ""  # a PostgreSQL address; "": SQLite in the directory
    nodes: int = 1  # processes on the database; SQLite has one
    fault: str = ""  # a fault of trials.crash.seeded to build in


@dataclass
class Figures:
    """What came out. `unknown` and `by_kill` are labels in Ombud's own words; all else is the two ledgers'."""

    database: str
    seed: int
    nodes: int = 1
    kills: int = 0
    starting: int = 0  # kills that hit while the service was coming up
    verdict: Verdict = field(default_factory=Verdict)
    unknown: int = 0
    by_kill: int = 0
    most_open: int = 0  # recipients that the service can have open at one time
    quarantined: int = 0  # innocent mail that kills alone had set aside
    left: dict[str, int] = field(default_factory=dict)  # recipients that were never done with, by state
    violations: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # the rest: a start that failed, an injector that gave up
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        bounded = self.by_kill <= self.kills * self.most_open
        return self.verdict.clean and bounded and not (self.left or self.violations or self.faults)

    def give_verdict(self, directory: Path, house: House) -> None:
        """Judge by the ledgers in the directory, and by the labels of the house, whose queue has run dry."""
        known = house.known()
        self.unknown = sum(one.unknown for one in known.values())
        self.by_kill = sum(one.lost_workers for one in known.values())
        labels = {address: one.unknown for address, one in known.items()}
        self.verdict = judge(read(directory / "injector.ledger"), read(directory / "sink.ledger"), labels)

    def as_json(self) -> dict[str, Any]:
        figures = {name: value for name, value in asdict(self).items() if name != "verdict"}
        return {"ok": self.clean, **figures, **asdict(self.verdict)}


def run(plan: Plan, say: Callable[[str], None]) -> Figures:
    """Run it; everything that was started is ended when this returns."""
    begun = time.monotonic()
    figures = Figures("postgresql" if plan.database else "sqlite", plan.seed, plan.nodes, most_open=MOST_OPEN)
    plan.directory.mkdir(parents=True, exist_ok=True)
    with sink(plan.directory, plan.seed) as port:
        house = House(plan.directory / "ombud", plan.database, command=_command(plan))
        house.set_up(port)
        houses = [house, *(house.twin(plan.directory / f"ombud{n}") for n in range(2, plan.nodes + 1))]
        try:
            with _injector(plan, houses, figures):
                _kill_and_restart(plan, houses, figures, begun, say)
            if not figures.faults:
                run_dry(house, figures, say)
        finally:
            figures.faults += [f"the last stop ended with {code}" for one in houses if (code := one.stop())]
    figures.violations += house.verify()
    figures.give_verdict(plan.directory, house)
    figures.seconds = round(time.monotonic() - begun, 1)
    return figures


def _command(plan: Plan) -> Sequence[str]:
    return (sys.executable, "-m", "trials.crash.seeded", plan.fault) if plan.fault else SERVE


# --- processes -----------------------------------------------------------------------------------------------------


@contextmanager
def sink(directory: Path, seed: int, port: int = 0) -> Iterator[int]:
    """A sink that writes to `sink.ledger`; gives its port (0: any that is free)."""
    command = [sys.executable, "-m", "trials.crash.sink", str(directory / "sink.ledger"), str(seed), str(port)]
    with (
        (directory / "sink.log").open("ab") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def _injector(plan: Plan, houses: Sequence[House], figures: Figures) -> Iterator[None]:
    """Load for as long as the block runs; afterwards the service must be up, since what has a key is sent until it is answered."""
    with start_injector(plan.directory, houses, plan.seed, plan.rate) as process:
        try:
            yield
            if not figures.faults:
                process.communicate(timeout=2 * PATIENCE)  # closes its stdin: it is to end
        except subprocess.TimeoutExpired:
            figures.faults.append("the injector had no answers")
        finally:
            if process.poll() is None:
                process.kill()
            elif process.returncode:
                figures.faults.append("the injector gave up; see injector.log")


def start_injector(
    directory: Path, houses: Sequence[House], seed: int, rate: float, most: int = 0, *, plain: bool = False
) -> subprocess.Popen[bytes]:
    """An injector that writes to `injector.ledger`. It ends after `most` calls, or when its stdin is closed."""
    nodes, first = [house.ports for house in houses], houses[0]
    load = Load(str(directory / "injector.ledger"), seed, rate, nodes, first.ca_file, first.senders, most, plain)
    with (directory / "injector.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "trials.crash.injector"], cwd=ROOT, stdin=subprocess.PIPE, stderr=log
        )
    assert process.stdin
    process.stdin.write(json.dumps(asdict(load)).encode() + b"\n")
    process.stdin.flush()
    return process


# --- killing -------------------------------------------------------------------------------------------------------


def _kill_and_restart(
    plan: Plan, houses: Sequence[House], figures: Figures, begun: float, say: Callable[[str], None]
) -> None:
    """Kill one so many times, each time another one or the same, and leave all of them running."""
    chance, up_in, next_one = random.Random(plan.seed), 0.0, houses[0]
    if not all(house.start() for house in houses[1:]):
        figures.faults.append("the first start failed; see serve.log")
        return
    while figures.kills < plan.kills and time.monotonic() - begun < plan.seconds:
        while_starting = up_in > 0 and chance.random() < WHILE_STARTING
        started = time.monotonic()
        if while_starting:
            next_one.start(wait=False)
            time.sleep(up_in * chance.uniform(*STARTING_PART))
        elif next_one.start():
            up_in = time.monotonic() - started
            time.sleep(min(max(chance.expovariate(1 / MEAN), SHORTEST), LONGEST))
        else:
            figures.faults.append(f"start {figures.kills + 1} failed; see {next_one.directory.name}/serve.log")
            return
        if not while_starting:
            next_one = chance.choice(houses)
        next_one.kill()
        figures.kills += 1
        figures.starting += while_starting
        if figures.kills % plan.verify_every == 0:
            figures.violations += houses[0].verify()
            say(f"{figures.database}: {figures.kills} of {plan.kills} kills")
    if not next_one.start():
        figures.faults.append("the last start failed; see serve.log")


# --- the end -------------------------------------------------------------------------------------------------------


def run_dry(house: House, figures: Figures, say: Callable[[str], None]) -> None:
    """Until nothing waits any more: what is to be tried again later is tried now, what was set aside is released."""
    for _ in range(ROUNDS):
        states = _settled(house)
        if not any(states[state] for state in _NOT_DONE):
            break
        say(f"{figures.database}: " + ", ".join(f"{number} {state}" for state, number in sorted(states.items())))
        hurried = house.hurry()
        figures.quarantined += hurried[State.QUARANTINED]
        if not hurried.total():
            break
    figures.left = {str(state): number for state, number in _settled(house).items() if state in _NOT_DONE}


def _settled(house: House) -> Counter[State]:
    """The states when all are done with, when no more is being sent, or when what is on its way has stood still for too long."""
    open_before, since = -1, 0.0
    while True:
        states = house.states()
        still_open = sum(states[state] for state in _NOT_DONE)
        if still_open != open_before:
            open_before, since = still_open, time.monotonic()
        patience = PATIENCE if any(states[state] for state in _ON_ITS_WAY) else QUIET
        if not still_open or time.monotonic() - since > patience:
            return states
        time.sleep(0.3)
