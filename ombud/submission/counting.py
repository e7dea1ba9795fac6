"""What is counted by day where mail comes in: of the accepted it is written with them, of the refused a little later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from ombud.clock import day_begins, day_of
from ombud.db import GroupCommit, Transaction
from ombud.queue import NewMessage, State
from ombud.routing import GMAIL_AT_RISK, to_google
from ombud.usage import Counted, Tally, add_tallies

#: (day in Stockholm, customer, product, route or 0, what), as a `Tally` has them.
Key = tuple[date, int, int, int, Counted]


class Counting:
    """Knows what to count. A refused mail has no transaction of its own to be counted in, so refusals are kept here until `flush`."""

    def __init__(self, group: GroupCommit) -> None:
        self._group = group
        self._refused = Counter[Key]()
        self._day, self._begins, self._ends = date.min, _LONG_AGO, _LONG_AGO  # today

    def accepted(self, message: NewMessage) -> list[Key]:
        """What taking this message in is to be counted as, a key for each time."""
        day, customer, product = self._today(message.created_at), message.customer_id, message.product_id
        keys: list[Key] = []
        for one in message.recipients:
            route_id = one.route_id or 0
            if message.mode != "live":
                keys.append((day, customer, product, route_id, Counted.TEST))
                continue
            keys.append((day, customer, product, route_id, Counted.ACCEPTED))
            if to_google(one.address):
                keys.append((day, customer, product, route_id, Counted.TO_GMAIL))
            if one.warning is GMAIL_AT_RISK:
                keys.append((day, customer, product, route_id, Counted.AT_RISK))
            if one.state is State.HELD:
                keys.append((day, customer, product, route_id, Counted.HELD))
        return keys

    def refused(self, customer_id: int, product_id: int, recipients: int, now: datetime) -> None:
        """Count recipients that no way was open for."""
        self._refused[self._today(now), customer_id, product_id, 0, Counted.REFUSED] += recipients

    async def flush(self) -> None:
        """Write the refusals down. They are kept when that fails; a crash loses those since the last time."""
        taken, self._refused = self._refused, Counter()
        try:
            if taken:
                await self._group.run(_write_all, taken)
        except BaseException:
            self._refused.update(taken)
            raise

    def _today(self, now: datetime) -> date:
        """The day, worked out once for all its mail."""
        if not self._begins <= now < self._ends:
            self._day = day_of(now)
            self._begins, self._ends = day_begins(self._day), day_begins(self._day + _DAY)
        return self._day


_DAY = timedelta(days=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def write_counts(tx: Transaction, keys: Iterable[Key]) -> None:
    """Count each key once for each time that it comes, or so many times as a Counter says."""
    add_tallies(tx, [Tally(*key, number) for key, number in Counter(keys).items()])


def _write_all(tx: Transaction, pieces: Sequence[Counter[Key]]) -> list[None]:
    for piece in pieces:
        write_counts(tx, piece)
    return [None] * len(pieces)
