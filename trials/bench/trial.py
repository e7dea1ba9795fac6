"""One trial: the generator sends, the system works, the sink counts. And the check before it: does the system sign at all?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dkim

from trials.bench.machine import PeakPss, cpu_seconds
from trials.bench.systems import System, sink_command

HERE = Path(__file__).parent
CHECKED = 20  # messages whose signatures are looked at
#: The sink has nothing new for so long: what is missing does not come any more.
STALLED = 20.0
_Command = Sequence[str | Path]


@dataclass(frozen=True)
class Trial:
    """What came of one load."""

    system: str
    size: str
    accepted: int
    failed: int
    arrived: int
    accepted_a_second: float
    end_to_end_a_second: float  # from the generator's first connection to the last message at the sink
    p50_ms: float  # from MAIL to the answer to the dot, as the client sees it
    p99_ms: float
    cpu_s_per_1000: float
    pss_mb: float
    load_cpu_s_per_1000: float
    sink_cpu_s_per_1000: float


@dataclass(frozen=True)
class Tools:
    """The generator and the sink, compiled where that can be done."""

    load: _Command
    sink: _Command
    remarks: tuple[str, ...]

    @classmethod
    def ready(cls, folder: Path, sink_port: int) -> Tools:
        """Compile them into `folder`; in their place those written in Python, with a remark."""
        remarks: list[str] = []
        load: _Command = [folder / "load"]
        if why := _compiled("load", folder, "-lssl", "-lcrypto"):
            load = [sys.executable, HERE / "load.py"]
            remarks.append(f"the load generator is the one in Python, which takes CPU from what is measured ({why})")
        sink: _Command = sink_command(sink_port)
        if not sink:
            sink = [folder / "sink", str(sink_port)]
            if why := _compiled("sink", folder):
                sink = [sys.executable, HERE / "sink.py", str(sink_port)]
                remarks.append(f"the sink is the one in Python, which takes CPU from what is measured ({why})")
        return cls(load, sink, tuple(remarks))


def _compiled(name: str, folder: Path, *libraries: str) -> str:
    """Why it could not be; "" when it was."""
    if not shutil.which("cc"):
        return "there is no cc"
    command: _Command = ["cc", "-O2", "-o", folder / name, HERE / f"{name}.c", *libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"cc: {next(iter(done.stderr.splitlines()), 'failed')}"


class Sink:
    """A sink at work."""

    def __init__(self, command: _Command, out: Path) -> None:
        self._command, self._out = command, out

    @contextmanager
    def running(self) -> Iterator[Sink]:
        with self._out.open("wb") as out:
            self._program = subprocess.Popen(
                self._command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        try:
            time.sleep(0.3)
            yield self
        finally:
            self._program.terminate()
            self._program.wait()

    @property
    def pid(self) -> int:
        return self._program.pid

    def count(self) -> int:
        with self._out.open("rb") as out:
            out.seek(max(0, out.seek(0, 2) - 200))
            found = re.findall(rb"mesg=\s*(\d+)[^\d]", out.read())
        return int(found[-1]) if found else 0


def generate(tools: Tools, system: System, mails: Path, n: int, options: Sequence[str] = ()) -> subprocess.Popen[str]:
    command = [*tools.load, "-p", str(system.port), "-n", str(n), "-t", mails, *system.load_options, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result_of(generator: subprocess.Popen[str]) -> dict[str, Any]:
    """What the generator says at its end. Raises RuntimeError when it says nothing."""
    out, words = generator.communicate()
    if words:
        print(words.rstrip(), file=sys.stderr)
    if not out.strip():
        raise RuntimeError(f"the load generator failed: {words}")
    said: dict[str, Any] = json.loads(out)
    return said


def run(tools: Tools, system: System, sink: Sink, mails: Path, n: int, options: Sequence[str]) -> Trial:
    """Send n messages and wait until all that were accepted have arrived."""
    before, sink_before, came_before = _cpu(system), cpu_seconds(sink.pid), sink.count()
    with PeakPss(system.roots) as peak:
        said, arrived, last = _until_all_arrived(generate(tools, system, mails, n, options), sink, came_before)
        time.sleep(0.5)  # what the system does after the last delivery is part of its cost
    per_1000 = 1000 / max(arrived, 1)
    return Trial(
        system.name, mails.name, said["accepted"], said["failed"], arrived,
        round(said["accepted"] / max(said["last"] - said["first"], 1e-9), 1), round(arrived / max(last - said["first"], 1e-9), 1),
        round(said["p50"], 1), round(said["p99"], 1), round((_cpu(system) - before) * per_1000, 3), round(peak.bytes / 1e6, 1),
        round(said["cpu"] * per_1000, 3), round((cpu_seconds(sink.pid) - sink_before) * per_1000, 3),
    )  # fmt: skip


def _cpu(system: System) -> float:
    return sum(map(cpu_seconds, system.roots))


def _until_all_arrived(generator: subprocess.Popen[str], sink: Sink, before: int) -> tuple[dict[str, Any], int, float]:
    """What the generator said, how many have arrived, and when the last did."""
    arrived, last = 0, time.time()
    said: dict[str, Any] | None = None
    while said is None or (arrived < said["accepted"] and time.time() - last < STALLED):
        time.sleep(0.01)
        if (came := sink.count() - before) != arrived:
            arrived, last = came, time.time()
        if said is None and generator.poll() is not None:
            said = result_of(generator)
    return said, arrived, last


def check(tools: Tools, system: System, sink_port: int, mails: Path, folder: Path, keys: Path) -> int:
    """Send a few messages to a sink that keeps them; how many of CHECKED carry a signature of their domain that holds."""
    kept = folder / "kept"
    kept.mkdir()
    command: _Command = [sys.executable, HERE / "sink.py", str(sink_port), kept]
    with Sink(command, folder / "kept.out").running() as sink:
        _until_all_arrived(generate(tools, system, mails, CHECKED, ["-c", "4"]), sink, 0)
    return sum(_is_signed(path.read_bytes(), keys) for path in kept.iterdir())


def _is_signed(mail: bytes, keys: Path) -> bool:
    """Judged by dkimpy, which shares no code with any of the systems."""
    sender = re.search(rb"^From: .*@([a-z0-9.]+)>", mail, re.MULTILINE)
    signer = re.search(rb"^DKIM-Signature:.*?\bd=([a-z0-9.]+)", mail, re.MULTILINE | re.DOTALL)
    if not sender or not signer or sender[1] != signer[1]:
        return False
    record = (keys / f"{sender[1].decode()}.txt").read_bytes()
    return bool(dkim.verify(mail, dnsfunc=lambda _name, timeout=5: record))
