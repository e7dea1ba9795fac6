"""The service killed at each of its writes: strace ends it as it begins its first, second, third ... call of a kind.

A flow is played once under strace to see which calls there are. Then it is played again for each of them, the service is
killed there, started again, and judged. Calls are counted in each thread by itself, and the first thread that comes to its Nth
call of the kind is where it ends. The flows: `mail`, messages taken in by both doors and a batch, delivered, and written down;
and `first start`, in an empty directory: master key, certificate and every step of the database's making.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from trials.crash.house import House, free_ports
from trials.crash.judge import Verdict
from trials.crash.trial import MOST_OPEN, Figures, run_dry, sink, start_injector

#: Whatever puts something on disk or on the wire. (A write may be a log line or a thread waking another: good moments too.)
WRITES = (
    "pwrite64", "pwritev", "fsync", "fdatasync", "ftruncate", "rename", "link", "unlink", "write", "writev", "sendto", "sendmsg",
)  # fmt: skip
CALLS = 12
RATE = 60.0
FLOW_WITHIN = 60.0  # seconds
COUNTED = ("acknowledged", "lost", "duplicates", "labelled", "unlabelled", "twice", "altered", "strange")
COLUMNS = ("flow", "strace", "points", "tried", "killed", "survived", *COUNTED, "seconds", "ok")


@dataclass(frozen=True, slots=True)
class Point:
    """Where it is killed: as it begins the `n`th `call` of a thread. `on` is what that was a call on, when it was first seen."""

    call: str
    n: int
    on: str

    def __str__(self) -> str:
        return f"{self.call} {self.n} ({self.on})"


@dataclass
class PointFigures:
    """What came out. A point may not be reached when it is tried: what goes into one commit differs from run to run."""

    flow: str
    strace: bool = True
    points: int = 0
    tried: int = 0
    killed: int = 0
    survived: int = 0
    failed: dict[str, Any] = field(default_factory=dict)  # by the point's name
    names: list[str] = field(default_factory=list)  # of the points at which it was killed
    total: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        own = {name: value for name, value in asdict(self).items() if name != "total"}
        return {"ok": not self.failed, **own, **{name: getattr(self.total, name) for name in COUNTED}}


Play = Callable[[Path, Sequence[str]], Figures]
"""Plays a flow in a new directory, with strace's words before the service's command the first time that it is started."""


def run(directory: Path, most: int, seed: int, say: Callable[[str], None]) -> list[PointFigures]:
    """Try the points of each flow, at most `most` of them (0: all). Without strace nothing is tried, and the figures say so."""
    directory = directory.resolve()
    shutil.rmtree(directory, ignore_errors=True)
    if not shutil.which("strace"):
        say("strace is not installed: no kill point was tried")
        return [PointFigures("none", strace=False)]
    flows: dict[str, Play] = {
        "first start": partial(_first_start, seed),
        "mail": _Mail(directory / "template", seed).play,
    }
    return [_flow(name, play, directory / name.replace(" ", "-"), most, seed, say) for name, play in flows.items()]


def _flow(name: str, play: Play, directory: Path, most: int, seed: int, say: Callable[[str], None]) -> PointFigures:
    figures, begun = PointFigures(name), time.monotonic()
    points = _survey(play, directory / "survey")
    figures.points = len(points)
    for point in _spread(points, most, seed):
        place = directory / f"{point.call}-{point.n}"
        inject = f"inject={point.call}:signal=SIGKILL:when={point.n}"
        one = play(place, ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject))
        _note(figures, point, one)
        say(f"{name}, {figures.tried}: {point}: {_said(one)}")
        if one.clean:  # else it is left there to look at
            shutil.rmtree(place)
    figures.seconds = round(time.monotonic() - begun, 1)
    return figures


def _said(one: Figures) -> str:
    if not one.clean:
        return "FAILED"
    return "survived" if one.kills else "not reached"


def _survey(play: Play, place: Path) -> list[Point]:
    """Every point of the flow: for each kind of call as many as the busiest thread makes."""
    place.mkdir(parents=True)
    trace = place / "trace"
    play(place / "played", ("strace", "-D", "-f", "-qq", "-y", "-o", str(trace), "-e", f"trace={','.join(WRITES)}"))
    counts, seen = Counter[tuple[str, str]](), dict[tuple[str, int], str]()
    for line in trace.read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +(\w+)\((?:\d+<([^>]*)>)?", line):
            counts[found[1], found[2]] += 1
            seen.setdefault((found[2], counts[found[1], found[2]]), _kind(found[3] or ""))
    return [Point(call, n, on) for (call, n), on in sorted(seen.items())]


def _kind(descriptor: str) -> str:
    """What a call was on, in a word: the end of a path, or what kind of socket."""
    return re.sub(r":\[.*", "", Path(descriptor).name) or "?"


def _spread(points: list[Point], most: int, seed: int) -> list[Point]:
    """All of them, or so many taken evenly over the list, from a start that the seed decides."""
    if not most or most >= len(points):
        return points
    step = len(points) / most
    first = random.Random(seed).uniform(0, step)
    return [points[int(first + step * n)] for n in range(most)]


def _note(figures: PointFigures, point: Point, one: Figures) -> None:
    figures.tried += 1
    figures.killed += one.kills
    figures.survived += one.clean and one.kills
    if one.kills:
        figures.names.append(str(point))
    if not one.clean:
        figures.failed[str(point)] = one.as_json()
    for name in COUNTED:
        setattr(figures.total, name, getattr(figures.total, name) + getattr(one.verdict, name))


# --- the flows -----------------------------------------------------------------------------------------------------


def _first_start(seed: int, place: Path, strace: Sequence[str]) -> Figures:
    """Start it in an empty directory; killed, it must come up there the next time."""
    figures = Figures("sqlite", seed)
    house = House(place / "ombud", prefix=strace)
    house.make_directory()
    with _kept_up(house, figures):
        house.wait_until_up()
    figures.violations += house.verify()
    return figures


class _Mail:
    """Messages in and out, each time in a fresh copy of an installation that has run once (so that none begins with making one)."""

    def __init__(self, template: Path, seed: int) -> None:
        self._seed = seed
        (self._sink_port,) = free_ports(1)
        self._template = House(template)
        self._template.set_up(self._sink_port)
        self._template.start()
        self._template.stop()

    def play(self, place: Path, strace: Sequence[str]) -> Figures:
        figures = Figures("sqlite", self._seed, most_open=MOST_OPEN)
        place.mkdir(parents=True)
        house = replace(self._template, directory=place / "ombud", prefix=strace, service=None)
        shutil.copytree(self._template.directory, house.directory)
        with sink(place, self._seed, self._sink_port), _kept_up(house, figures):
            with start_injector(place, [house], self._seed, RATE, CALLS, plain=True) as injector:
                try:
                    injector.wait(FLOW_WITHIN)
                except subprocess.TimeoutExpired:
                    injector.kill()
                    figures.faults.append("the injector had no answers")
            run_dry(house, figures, lambda words: None)
        figures.violations += house.verify()
        figures.give_verdict(place, house)
        return figures


@contextmanager
def _kept_up(house: House, figures: Figures) -> Iterator[None]:
    """The service runs while the block does: killed at its point, it is started again without strace."""

    def guard(first: subprocess.Popen[bytes]) -> None:
        if first.wait() == -signal.SIGKILL:
            figures.kills += 1
            house.prefix = ()
            if not house.start():
                figures.faults.append("it did not start again; see ombud/serve.log")

    house.start(wait=False)
    assert house.service
    first = house.service
    thread = threading.Thread(target=guard, args=(first,))
    thread.start()
    try:
        yield
    finally:
        if first.poll() is not None:
            thread.join()  # until it is up again: whoever stops it in the middle of that has not seen it come up
        code = house.stop()
        thread.join()
        if house.service.poll() is None:  # the point came while it was stopping
            code = house.stop()
        if code not in (0, -signal.SIGKILL):
            figures.faults.append(f"the last stop ended with {code}")
