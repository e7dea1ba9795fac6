"""`python -m trials.rotation`: one line for people, one JSON object. Exit code 0: no mail failed, at any moment."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from ombud import maillog
from ombud.settings import LogSettings
from trials.rotation.trial import Plan, run


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m trials.rotation", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--domains", type=int, default=6)
    parser.add_argument("--rate", type=int, default=120, help="messages a second")
    parser.add_argument("--control", action="store_true", help="without the waits: the judge must find faults")
    given = parser.parse_args(arguments)
    maillog.configure(LogSettings(level="error"))
    plan = Plan(given.messages, given.domains, given.rate, control=given.control)
    with (
        tempfile.TemporaryDirectory(prefix="ombud-rotation-") as directory,
        Progress(console=Console(stderr=True)) as bar,
    ):
        task = bar.add_task("sending", total=plan.messages)
        score = run(plan, Path(directory), lambda number: bar.update(task, completed=number))
    print(
        f"{score.arrived} of {score.messages} arrived, over {score.switches} changes of key: "
        f"{score.failed_at_once} failed on arrival, {score.failed_late} later",
        file=sys.stderr,
    )
    print(json.dumps({**asdict(score), "clean": score.clean}, ensure_ascii=False))
    return 0 if score.clean != plan.control else 1


if __name__ == "__main__":
    sys.exit(main())
