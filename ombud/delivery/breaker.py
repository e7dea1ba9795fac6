"""A route's breaker: stops sending by a route that is down, tries it with one mail now and then, and comes back gently."""

from __future__ import annotations

import time
from collections.abc import Callable

#: So many route faults in a row open it. One may be chance; a route that is down makes them by the dozen.
FAULTS_TO_OPEN = 5
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds


class Breaker:
    """closed: all may pass. open: none, until the pause is over. Then one may try; if it succeeds the room doubles with every
    success until it is no limit any more (slow start), if it fails the pause doubles."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._faults = 0
        self._pause = FIRST_PAUSE
        self._opened_until: float | None = None
        self._ramp: int | None = None  # how many at a time while it starts slowly; None: no limit

    @property
    def open(self) -> bool:
        return self._opened_until is not None and self._clock() < self._opened_until

    @property
    def remaining(self) -> float:
        """Seconds until one may try again; 0 when it is not open."""
        return max(0.0, self._opened_until - self._clock()) if self._opened_until is not None else 0.0

    def room(self, in_flight: int, capacity: int) -> int:
        """How many more may be sent now."""
        if self.open:
            return 0
        return max(0, min(capacity, self._ramp or capacity) - in_flight)

    def succeeded(self) -> None:
        """The route answered, whatever it said of the mail."""
        self._faults, self._pause, self._opened_until = 0, FIRST_PAUSE, None
        if self._ramp is not None:
            self._ramp = self._ramp * 2 if self._ramp < 512 else None

    def failed(self) -> None:
        """The route itself was at fault."""
        self._faults += 1
        if self.open:
            return  # others were under way when it opened
        if self._ramp is not None or self._faults >= FAULTS_TO_OPEN:
            self._opened_until = self._clock() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._ramp = 1
