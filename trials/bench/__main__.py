"""`python -m trials.bench`: measure, print tables and one JSON object. Nothing passes or fails by what comes out."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ombud.installation import opened
from ombud.routing import pause_route
from trials.bench import machine
from trials.bench.batches import RECIPIENTS, send_batches
from trials.bench.mails import SIZES, write_mails
from trials.bench.systems import BY_TLS, ROUTE, SYSTEMS, Ombud, System
from trials.bench.trial import CHECKED, Sink, Tools, Trial, check, generate, result_of, run

PARTS = ("smtp", "http", "memory")
_REMARKS = (
    "Ombud takes mail in by TLS and AUTH with gate, identity, events and usage; its peers by plain SMTP without a password, which favours them, "
    "and, as NAME+tls, by TLS (Haraka with AUTH, Postfix without)",
    "load, system and sink share the machine's cores",
)


@dataclass
class Figures:
    """All that was found."""

    machine: str
    when: str
    remarks: list[str]
    missing: dict[str, str] = field(default_factory=dict)
    signed: dict[str, int] = field(default_factory=dict)  # of CHECKED
    rsa2048_a_second: list[float] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    metered: int | None = None
    http: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    wanted = _wanted(arguments)
    figures = Figures(machine.describe(), datetime.now(UTC).isoformat(timespec="seconds"), list(_REMARKS))
    with machine.going_first(wanted.undisturbed) as remark, _folder(wanted.keep) as folder:
        figures.remarks.append(remark)
        bench = Bench(wanted, figures, folder)
        for part in wanted.parts:
            getattr(bench, part)()
    if not wanted.json:
        _print_tables(figures, wanted.sizes)
    print(json.dumps({**asdict(figures), "medians": _medians(figures), "ratios": _ratios(figures)}))
    return 0


def _wanted(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trials.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small slice of everything: n=300, one round, 10 KB")
    parser.add_argument("--parts", type=_some(PARTS), default=PARTS, help="of smtp,http,memory; default: all")
    parser.add_argument(
        "--systems",
        type=_some(tuple(SYSTEMS)),
        default=tuple(SYSTEMS),
        help=f"of {','.join(SYSTEMS)}; default: all that are installed",
    )
    parser.add_argument("--sizes", type=_some(tuple(SIZES)), default=tuple(SIZES), help="of 10k,50k; default: both")
    parser.add_argument("-n", type=int, default=2000, help="messages of a trial (Ombud: twice as many); default 2000")
    parser.add_argument("-c", type=int, default=20, help="sessions at a time; default 20")
    parser.add_argument("-k", type=int, default=100, help="messages of a session; default 100")
    parser.add_argument("--runs", type=int, default=3, help="rounds, each system once in each; default 3")
    parser.add_argument("--pipelined", action="store_true", help="send MAIL, RCPT and DATA in one go")
    parser.add_argument(
        "--calls", type=int, default=200, help=f"HTTP batch calls, of {RECIPIENTS} recipients each; default 200"
    )
    parser.add_argument(
        "--queued", type=int, default=100_000, help="messages in the queue whose memory is measured; default 100000"
    )
    parser.add_argument("--undisturbed", action="store_true", help="go before whatever else the machine does (as root)")
    parser.add_argument("--keep", type=Path, help="work in this new folder and leave it there")
    parser.add_argument("--json", action="store_true", help="no tables, only JSON")
    wanted = parser.parse_args(arguments)
    if wanted.keep and wanted.keep.exists():
        parser.error(f"{wanted.keep} is there already")
    if wanted.quick:
        wanted.n, wanted.runs, wanted.sizes, wanted.calls, wanted.queued = 300, 1, ("10k",), 20, 1000
    return wanted


def _some(all_of_them: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        if unknown := set(chosen) - set(all_of_them):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: it is none of {', '.join(all_of_them)}")
        return chosen

    return read


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """A folder that the systems' own users can pass through."""
    folder = (keep or Path(tempfile.mkdtemp(prefix="ombud-bench-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bench:
    """The parts, over one set of mails, keys and tools."""

    def __init__(self, wanted: argparse.Namespace, figures: Figures, folder: Path) -> None:
        self.wanted, self.figures, self.folder = wanted, figures, folder
        self.mails, self.keys, self.sink_port = folder / "mails", folder / "keys", machine.free_port()
        self.keys.mkdir()
        write_mails(self.mails)
        self.tools = Tools.ready(folder, self.sink_port)
        figures.remarks += self.tools.remarks
        _say("making a hundred domains with their keys ...")
        self.ombud = Ombud(folder / "ombud", self.sink_port, self.keys)

    # --- SMTP, end to end ---

    def smtp(self) -> None:
        """Every system in turn, round by round, so that whatever else the machine does meets all of them."""
        with self._all_up() as systems:
            for system in systems:
                self._check(system)
            with Sink(self.tools.sink, self.folder / "sink.out").running() as sink:
                for size in self.wanted.sizes:
                    for number in range(1, self.wanted.runs + 1):
                        self._round(systems, sink, size, number)
        if self.ombud in systems:
            self.figures.metered = self.ombud.metered()

    @contextmanager
    def _all_up(self) -> Iterator[list[System]]:
        systems: list[System] = []
        try:
            for name in self.wanted.systems:
                if system := self._start(name):
                    systems.append(system)
            yield systems
        finally:
            for system in reversed(systems):
                system.stop()

    def _start(self, name: str) -> System | None:
        folder = self.folder / name
        system: System = self.ombud if name == Ombud.name else SYSTEMS[name](folder, self.sink_port, self.keys)
        folder.mkdir(exist_ok=True)
        if why := system.missing():
            self.figures.missing[name] = why
            _say(f"{name}: left out, {why}")
            return None
        system.start()
        return system

    def _check(self, system: System) -> None:
        signed = check(self.tools, system, self.sink_port, self.mails / "10k", self.folder / system.name, self.keys)
        self.figures.signed[system.name] = signed
        _say(f"{system.name}: {signed} of {CHECKED} signatures hold")

    def _round(self, systems: Sequence[System], sink: Sink, size: str, number: int) -> None:
        if rsa := machine.rsa_signatures_a_second(1 if self.wanted.quick else 3):
            self.figures.rsa2048_a_second.append(rsa)
        for system in systems:
            n = self.wanted.n * (2 if system is self.ombud else 1)
            options = ["-c", str(self.wanted.c), "-k", str(self.wanted.k), *(["-P"] if self.wanted.pipelined else [])]
            trial = run(self.tools, system, sink, self.mails / size, n, options)
            self.figures.trials.append(trial)
            _say(
                f"{size} round {number} {system.name}: {trial.end_to_end_a_second:.0f}/s, {trial.cpu_s_per_1000:.2f} CPU-s per 1000"
            )
            time.sleep(1)

    # --- HTTP ---

    def http(self) -> None:
        """Batches accepted while their route rests: how fast they are taken in, not how fast they leave."""
        self._pause(True)
        self.ombud.start()
        try:
            send_batches(self.ombud.http_port, self.ombud.api_key, 4)
            before = sum(map(machine.cpu_seconds, self.ombud.roots))
            with machine.PeakPss(self.ombud.roots) as peak:
                found = send_batches(self.ombud.http_port, self.ombud.api_key, self.wanted.calls)
            cpu = sum(map(machine.cpu_seconds, self.ombud.roots)) - before
        finally:
            self.ombud.stop()
            self._pause(False)
        per_1000 = round(cpu / max(found.recipients, 1) * 1000, 4)
        self.figures.http = {
            **asdict(found),
            "cpu_s_per_1000_recipients": per_1000,
            "pss_mb": round(peak.bytes / 1e6, 1),
        }
        _say(f"http: {found.recipients_a_second:.0f} recipients/s accepted")

    def _pause(self, rests: bool) -> None:
        with opened(self.ombud.folder) as installation, installation.database.write() as tx:
            pause_route(tx, ROUTE, datetime.now(UTC) if rests else None)

    # --- memory ---

    def memory(self) -> None:
        """The next hop is down and mail piles up: memory must not. Seen at the start, with half of it and with all of it."""
        ombud = Ombud(self.folder / "ombud-queue", machine.free_port(), self.keys)  # nobody listens there
        ombud.start()
        try:
            result_of(generate(self.tools, ombud, self.mails / "10k", min(1000, self.wanted.queued)))
            seen = [self._settled_pss(ombud)]
            halves = []
            for _ in range(2):
                halves.append(result_of(generate(self.tools, ombud, self.mails / "10k", self.wanted.queued // 2)))
                seen.append(self._settled_pss(ombud))
        finally:
            ombud.stop()
        seconds = sum(half["last"] - half["first"] for half in halves)
        queued = sum(half["accepted"] for half in halves)
        self.figures.memory = {
            "queued": queued, "failed": sum(half["failed"] for half in halves), "pss_before_mb": seen[0], "pss_half_mb": seen[1],
            "pss_after_mb": seen[2], "accepted_a_second": round(queued / max(seconds, 1e-9), 1),
            "p99_ms": round(max(half["p99"] for half in halves), 1),
        }  # fmt: skip
        _say(f"memory: {seen[0]} MB, {seen[1]} MB, {seen[2]} MB with {queued} queued")

    def _settled_pss(self, ombud: Ombud) -> float:
        time.sleep(2)
        return round(sum(map(machine.pss_bytes, ombud.roots)) / 1e6, 1)


# --- what is printed -------------------------------------------------------------------------------------------------

_MEDIANS = (
    "end_to_end_a_second", "accepted_a_second", "cpu_s_per_1000", "p50_ms", "p99_ms", "pss_mb", "sink_cpu_s_per_1000", "load_cpu_s_per_1000",
)  # fmt: skip


def _medians(figures: Figures) -> dict[str, dict[str, dict[str, float]]]:
    """By size and system: the median of each figure, the least and the most end to end, and how many rounds and lost there were."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for trial in figures.trials:
        group = [one for one in figures.trials if (one.size, one.system) == (trial.size, trial.system)]
        row: dict[str, float] = {name: statistics.median(getattr(one, name) for one in group) for name in _MEDIANS}
        rates = [one.end_to_end_a_second for one in group]
        more = {
            "rounds": len(group),
            "least": min(rates),
            "most": max(rates),
            "missing": sum(one.accepted - one.arrived for one in group),
        }
        found.setdefault(trial.size, {})[trial.system] = {**row, **more}
    return found


def _ratios(figures: Figures) -> dict[str, dict[str, float]]:
    """By size: Ombud's rate over the best signing peer's, and over what RSA alone allows on all cores."""
    found: dict[str, dict[str, float]] = {}
    for size, rows in _medians(figures).items():
        if not (ours := rows.get(Ombud.name)):
            continue
        rate = ours["end_to_end_a_second"]
        peers = {name: row["end_to_end_a_second"] for name, row in rows.items() if name != Ombud.name}
        alike = {name: rate for name, rate in peers.items() if name.endswith(BY_TLS)}
        found[size] = {
            word: round(ours["end_to_end_a_second"] / max(of.values()), 2)
            for word, of in (("to_best_peer", peers), ("to_best_peer_by_tls", alike))
            if of
        }
        if figures.rsa2048_a_second:
            found[size]["of_rsa_limit"] = round(rate / statistics.median(figures.rsa2048_a_second), 3)
    return found


def _print_tables(figures: Figures, sizes: Sequence[str]) -> None:
    print(f"\n{figures.machine}, {figures.when}")
    for remark in figures.remarks:
        print(f"- {remark}")
    for name, why in figures.missing.items():
        print(f"- {name}: left out, {why}")
    _print_smtp(figures, sizes)
    for title, values in (("HTTP batches accepted", figures.http), ("Queue with the next hop down", figures.memory)):
        if values:
            print(f"\n{title}: " + ", ".join(f"{name} {value}" for name, value in values.items()))
    print()


def _print_smtp(figures: Figures, sizes: Sequence[str]) -> None:
    medians, ratios = _medians(figures), _ratios(figures)
    if figures.rsa2048_a_second:
        print(f"- openssl speed rsa2048, all cores: {statistics.median(figures.rsa2048_a_second):.0f} signatures/s")
    if medians:
        print(
            "\nsize system              rounds   e2e/s  least-most  accepted/s CPU-s/1000  p50 ms  p99 ms  PSS MB signed missing sink/1000 load/1000"
        )
    for size in (size for size in sizes if size in medians):
        for name, row in sorted(medians[size].items(), key=lambda item: -item[1]["end_to_end_a_second"]):
            print(_line(size, name, row, figures.signed))
        print("     " + ", ".join(f"{name} {value}" for name, value in ratios.get(size, {}).items()))
    if figures.metered is not None:
        print(f"\nOmbud's meter counted {figures.metered} e-mails")


def _line(size: str, name: str, row: Mapping[str, float], signed: Mapping[str, int]) -> str:
    return (
        f"{size:4} {name:20} {row['rounds']:5.0f} {row['end_to_end_a_second']:7.0f} {row['least']:6.0f}-{row['most']:<6.0f}"
        f"{row['accepted_a_second']:9.0f} {row['cpu_s_per_1000']:10.2f} {row['p50_ms']:7.0f} {row['p99_ms']:7.0f} {row['pss_mb']:7.0f}"
        f" {signed.get(name, 0):3}/{CHECKED} {row['missing']:6.0f} {row['sink_cpu_s_per_1000']:9.2f} {row['load_cpu_s_per_1000']:9.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
