"""An outlet: one route at work, with its provider, its breaker and its pace."""

from __future__ import annotations

import time
from collections.abc import Callable

from ombud.delivery.breaker import Breaker
from ombud.providers.provider import Provider
from ombud.routing import Route

#: Messages in hand for each connection: one being sent, others being signed and waiting, so that none stands idle.
IN_HAND_PER_CONNECTION = 4


class Outlet:
    """How many more messages the route can take now, and what it learns from how they went."""

    def __init__(
        self, route: Route, provider: Provider, sent_today: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.route, self.provider = route, provider
        self.breaker = Breaker(clock)
        self.in_flight = 0  # messages
        self.sent_today = sent_today  # recipients
        self.served_last = 0  # the customer whose turn was last
        self._clock = clock
        self._tokens = float(route.limits.messages_per_minute)
        self._filled_at = clock()

    def room(self) -> int:
        """How many messages it can take more."""
        if self.route.paused:
            return 0
        room = self.breaker.room(self.in_flight, self.provider.concurrency * IN_HAND_PER_CONNECTION)
        limits = self.route.limits
        if limits.messages_per_minute:
            room = min(room, int(self._fill(limits.messages_per_minute)))
        if limits.recipients_per_day:
            room = min(room, limits.recipients_per_day - self.sent_today - self.in_flight)
        return max(room, 0)

    def begin(self) -> None:
        self.in_flight += 1
        self._tokens -= 1

    def end(self) -> None:
        self.in_flight -= 1

    def _fill(self, per_minute: int) -> float:
        """The bucket holds a tenth of a minute's worth: even a fast start keeps the pace within seconds."""
        now = self._clock()
        most = max(1.0, per_minute / 10)
        self._tokens = min(most, self._tokens + (now - self._filled_at) * per_minute / 60)
        self._filled_at = now
        return self._tokens
