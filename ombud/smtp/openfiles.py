"""The number of files that the process may have open: each connection is one."""

from __future__ import annotations

import resource
from contextlib import suppress

import structlog

log = structlog.get_logger("ombud.smtp")

_ENOUGH = 65_536  # where the system sets no limit: a table for a thousand million costs memory, and nobody fills it


def raise_open_files(needed: int) -> int:
    """Raise the process's soft limit as far as it may; the limit now. Says so in the log if that is less than `needed`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(needed, _ENOUGH)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # some systems have a limit of their own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft != resource.RLIM_INFINITY and soft < needed:
        log.warning("few_open_files", limit=soft, needed=needed)
    return soft
