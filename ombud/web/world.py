"""What the door needs of the rest of the house."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ombud.accounts import Directory
from ombud.clock import Clock
from ombud.db import Database, GroupCommit
from ombud.db.snapshot import Snapshot
from ombud.routing import Facts
from ombud.seal import Seal
from ombud.settings import Settings
from ombud.submission import Submissions


@dataclass(frozen=True, slots=True)
class Web:
    submissions: Submissions
    database: Database
    group: GroupCommit
    clock: Clock
    facts: Snapshot[Facts]
    directory: Snapshot[Directory]
    settings: Settings
    healthy: Callable[[], list[str]]  # the names of what is not ready; empty: ready
    metrics: Callable[[], bytes]  # as Prometheus reads them
    seal: Seal  # opens what is kept sealed: the secrets of links and webhooks
