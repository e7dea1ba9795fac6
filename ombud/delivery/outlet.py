"""An outlet: one route at work, with its provider, its breaker and its pace."""

from __future__ import annotations

import time
from collections.abc import Callable

from ombud.delivery.breaker import Breaker
from ombud.providers.provider import Provider
from ombud.routing import Route

#: Messages in hand for each connection: one being sent, others being signed and waiting, so that none stands idle.
IN_HAND_PER_CONNECTION = 6


#: How often the meter is asked how much has gone by a route with a daily limit: other processes send by it too.
COUNT_EVERY = 60.0


class Outlet:
    """How many more messages the route can take now, and what it learns from how they went."""

    def __init__(
        self, route: Route, provider: Provider, sent_today: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.route, self.provider = route, provider
        self.breaker = Breaker(clock)
        self.in_flight = 0  # messages
        self.handed_over = 0  # recipients in the last day and night, as far as is known
        self.counted_at = -COUNT_EVERY  # when that was last asked of the meter
        self.served_last = 0  # the customer whose turn was last
        self._clock = clock
        self._tokens = float(route.limits.messages_per_minute)
        self._filled_at = clock()

    @property
    def worth_a_lease(self) -> int:
        """Less room than this is not worth a trip to the database while there is work in hand."""
        return self.provider.concurrency * IN_HAND_PER_CONNECTION // 3

    def room(self) -> int:
        """How many messages it can take more."""
        if self.route.paused:
            return 0
        room = self.breaker.room(self.in_flight, self.provider.concurrency * IN_HAND_PER_CONNECTION)
        limits = self.route.limits
        if limits.messages_per_minute:
            room = min(room, int(self._fill(limits.messages_per_minute)))
        if limits.recipients_per_day:
            room = min(room, limits.recipients_per_day - self.handed_over - self.in_flight)
        return max(room, 0)

    @property
    def wants_count(self) -> bool:
        """Whether it is time to ask the meter again."""
        return bool(self.route.limits.recipients_per_day) and self._clock() - self.counted_at >= COUNT_EVERY

    def counted(self, handed_over: int) -> None:
        """What the meter says of the last day and night."""
        self.handed_over, self.counted_at = handed_over, self._clock()

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
