"""How fast a customer may submit: a bucket that leaks evenly (GCRA), one number for each customer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ombud.errors import TooFast


class Pace:
    """At most `per_minute` messages a minute of each customer, of which a whole minute's worth may come at once.

    In memory, for each process: it protects the service from a runaway program, it does not count money.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / per_minute
        self._clock = clock
        self._full_at: dict[int, float] = {}  # when each customer's bucket will have run empty

    def take(self, customer_id: int, messages: int) -> None:
        """Count messages in. Raises TooFast, having counted nothing."""
        now = self._clock()
        level = max(self._full_at.get(customer_id, now), now)
        # A batch may overfill the bucket once (it could never get in otherwise); the next one then waits for longer.
        if level - now >= 60:
            raise TooFast(seconds=max(1, math.ceil(level - now - 60)))
        self._full_at[customer_id] = level + messages * self._interval
