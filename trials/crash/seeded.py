"""The service with a fault built in, which the judge must find: `python -m trials.crash.seeded FAULT --dir DIR`.

The fault is patched in from outside, here; there is nothing in Ombud that could be switched on by mistake.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ombud.queue
from ombud import maillog
from ombud.db import GroupCommit
from ombud.installation import opened
from ombud.service import serve
from ombud.submission import Receipt, submit

LATE = 0.2  # seconds between the yes and the commit


def ack_before_commit() -> None:
    """Say yes at once, and write it down a moment later: what many a fast queue does by default."""
    honest = GroupCommit.run

    async def run(self: GroupCommit, verb: Any, piece: Any) -> Any:
        if verb is not submit._accept_all:
            return await honest(self, verb, piece)
        loop = asyncio.get_running_loop()
        loop.call_later(LATE, lambda: loop.create_task(honest(self, verb, piece)))
        return Receipt(piece.message.id, piece.answer)

    GroupCommit.run = run  # type: ignore[method-assign]  # that is the fault


def no_point_of_no_return() -> None:
    """Send without having written down that it is about to be sent: after a crash it looks as if nothing had left."""

    def commit_sending(tx: Any, leases: Sequence[Any]) -> list[bool]:
        return [True] * len(leases)

    ombud.queue.commit_sending = commit_sending


def no_memory_of_keys() -> None:
    """Forget every Idempotency-Key at once."""
    vars(submit).update(remembered=lambda tx, keys: {}, remember=lambda tx, answers, now: None)


FAULTS: dict[str, Callable[[], None]] = {
    "ack-before-commit": ack_before_commit,
    "no-point-of-no-return": no_point_of_no_return,
    "no-memory-of-keys": no_memory_of_keys,
}
#: The figure in which each must show.
SHOWS_IN = {"ack-before-commit": "lost", "no-point-of-no-return": "unlabelled", "no-memory-of-keys": "twice"}


async def _serve_until_killed(directory: Path) -> None:
    with opened(directory) as installation:
        maillog.configure(installation.settings.log)
        until = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(15, until.set)
        await serve(installation, until)


if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    asyncio.run(_serve_until_killed(Path(sys.argv[sys.argv.index("--dir") + 1])))
