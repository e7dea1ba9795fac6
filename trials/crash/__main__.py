"""`python -m trials.crash`: run the trials, print one table and one JSON object. Exit code 0: everything held."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trials.crash import killpoints
from trials.crash.seeded import FAULTS, SHOWS_IN
from trials.crash.trial import Figures, Plan, run

KILLS, CONTROL_KILLS = 200, 12
_COLUMNS = (
    "database", "fault", "nodes", "kills", "acknowledged", "lost", "duplicates", "labelled", "unlabelled", "unknown", "twice", "altered",
    "quarantined", "left", "violations", "faults", "seconds", "ok",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    wanted = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended
    if wanted.kill_points:
        figures = killpoints.run(wanted.dir / "points", wanted.most, wanted.seed, _say)
        return _show([one.as_json() for one in figures], killpoints.COLUMNS)
    if wanted.control:
        return _show(list(_controls(wanted)), _COLUMNS)
    return _show(list(_trials(wanted)), _COLUMNS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trials.crash", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--kills", type=int, help=f"how many on each database ({KILLS}; in a control {CONTROL_KILLS})")
    parser.add_argument("--nodes", type=int, default=1, help="service processes on the one PostgreSQL database")
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin no kill after so long on each database")
    parser.add_argument("--rate", type=float, default=40.0, help="calls a second")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills, and of the messages")
    parser.add_argument(
        "--dir", type=Path, default=Path("var/crash"), help="where the ledgers and the installation go; emptied first"
    )
    parser.add_argument("--control", action="store_true", help="build faults in; 0 when the judge finds each")
    parser.add_argument(
        "--kill-points", action="store_true", help="kill at the first, second, third ... write instead (needs strace)"
    )
    parser.add_argument(
        "--most", type=int, default=0, help="of each flow's kill points try so many, evenly spread (0: every one)"
    )
    return parser


def _trials(wanted: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if wanted.database in ("sqlite", "both"):
        yield _one(wanted, "sqlite", "").as_json()
    if wanted.database in ("postgresql", "both"):
        with _postgres() as url:
            yield _one(wanted, "postgresql", url(), nodes=wanted.nodes).as_json()


def _controls(wanted: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A trial with each fault; `ok` is whether it showed in the figure that it must show in."""
    wanted.kills = wanted.kills or CONTROL_KILLS
    for fault in FAULTS:
        figures = _one(wanted, f"control-{fault}", "", fault).as_json()
        yield {**figures, "fault": fault, "ok": figures[SHOWS_IN[fault]] > 0}


def _one(wanted: argparse.Namespace, name: str, database: str, fault: str = "", nodes: int = 1) -> Figures:
    directory = (wanted.dir / name).resolve()
    shutil.rmtree(directory, ignore_errors=True)
    plan = Plan(
        directory, wanted.kills or KILLS, wanted.seconds, wanted.rate, wanted.seed, database=database, fault=fault, nodes=nodes
    )  # fmt: skip
    return run(plan, _say)


@contextmanager
def _postgres() -> Iterator[Callable[[], str]]:
    """A server that outlives every kill; gives what makes a fresh database."""
    from tests.conftest import Postgres  # the tests' own: one way to run a server is enough

    server = Postgres()
    try:
        yield server.fresh
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _show(rows: list[dict[str, Any]], columns: Sequence[str]) -> int:
    """The table for people on stderr, the whole as JSON on stdout."""
    table = [[name for name in columns if any(name in row for row in rows)]]
    table += [[_short(row.get(name, "")) for name in table[0]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        _say("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    ok = all(row["ok"] for row in rows)
    print(json.dumps({"ok": ok, "runs": rows}, ensure_ascii=False))
    return 0 if ok else 1


def _short(value: Any) -> str:
    if isinstance(value, list | dict):
        return str(len(value))
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
