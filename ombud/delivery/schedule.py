"""When to try again: quickly at first (greylisting, a restart), then ever more seldom, never in step with the others."""

from __future__ import annotations

import random
from datetime import timedelta

#: Waits after the first, second ... try. RFC 5321 4.5.4.1 asks for 30 minutes between tries once the first ones have failed.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 120, 240))
#: How long to leave a recipient alone whose answer was lost: the other side may still be delivering it.
AFTER_UNKNOWN = timedelta(minutes=5)
_JITTER = 0.2


def wait_after(tries: int) -> timedelta:
    """How long to wait after so many tries (from 1)."""
    return jittered(WAITS[min(tries, len(WAITS)) - 1])


def jittered(wait: timedelta) -> timedelta:
    """The wait, up to a fifth longer or shorter: what was deferred together does not come back together."""
    return wait * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # spreads load; nothing secret hangs on it
