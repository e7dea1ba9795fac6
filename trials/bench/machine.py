"""What a run costs, and what the machine can do at all: CPU and memory of a tree of processes, RSA signatures a second."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def tree(root: int) -> list[int]:
    """The process and all that descend from it and live."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        if fields := _stat(path):
            children[int(fields[1])].append(int(path.parent.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def cpu_seconds(root: int) -> float:
    """CPU time of the tree, and of all those in it that have ended: a parent inherits the time of the children it waits for."""
    ticks = 0
    for pid in tree(root):
        if fields := _stat(Path(f"/proc/{pid}/stat")):
            ticks += sum(map(int, fields[11:15]))  # utime stime cutime cstime
    return ticks / _TICKS


def pss_bytes(root: int) -> int:
    """Memory of the tree; what processes share is counted once in all."""
    total = 0
    for pid in tree(root):
        try:
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue  # it has just ended, or is not ours to look at
        total += int(found[1]) * 1024 if found else 0
    return total


def _stat(path: Path) -> list[str]:
    """The fields after the name, which may hold anything; [] when the process is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


class PeakPss:
    """The most memory that some trees held together while the `with` lasted, seen once a second."""

    def __init__(self, roots: list[int]) -> None:
        self.bytes = 0
        self._roots = roots
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, sum(pss_bytes(root) for root in self._roots))


def rsa_signatures_a_second(seconds: int) -> float | None:
    """RSA-2048 signatures a second on all cores: no system that signs each message can be faster. None without openssl."""
    if not shutil.which("openssl"):
        return None
    command = ["openssl", "speed", "-elapsed", "-multi", str(os.cpu_count()), "-seconds", str(seconds), "rsa2048"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"^rsa +2048 bits +\S+ +\S+ +([\d.]+)", said, re.MULTILINE)
    return float(found[1]) if found else None


#: The folder of the cpu controller, its file that says how much of the cores a group gets, and the most that can stand there.
_CPU_CONTROLLERS = ((Path("/sys/fs/cgroup/cpu"), "cpu.shares", 262144), (Path("/sys/fs/cgroup"), "cpu.weight", 10000))


@contextmanager
def going_first(wanted: bool) -> Iterator[str]:
    """This process, and what it starts while the `with` lasts, gets the cores before all others. Says whether that is so.

    It takes a control group, and so root: priorities do not reach beyond a session where the kernel groups by sessions.
    """
    if not wanted:
        yield "whatever else the machine does takes part too (--undisturbed, as root, goes first)"
        return
    for folder, file, most in _CPU_CONTROLLERS:
        group = folder / "ombud-bench"
        try:
            group.mkdir(exist_ok=True)
            (group / file).write_text(str(most))
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            continue
        try:
            yield "went before whatever else the machine does"
        finally:
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(OSError):
                    (folder / "cgroup.procs").write_text(pid)
            with suppress(OSError):
                group.rmdir()
        return
    yield "whatever else the machine does took part too: it has no control group that we may make"


def describe() -> str:
    """The processor and how many of it, for whoever reads the figures later."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{os.cpu_count()} x {found[1] if found else 'unknown processor'}"
