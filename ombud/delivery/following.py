"""Mail that waits follows the facts: what is held is released when its way opens, or expires; what stands in the queue of a route
that it is not to take any more is moved; and a switch whose mail fails is rolled back.

The worker decides anew about each mail that it leases. This looks after those that it does not lease: the held ones, and those
that wait for their next try by a route that has been left.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from ombud import queue, usage
from ombud.clock import Clock, day_of
from ombud.db import Database, GroupCommit, Transaction
from ombud.db.snapshot import Snapshot
from ombud.errors import SwitchOver
from ombud.queue import Change, Held, Origin, Queued, State, What
from ombud.routing import (
    AUTOMATIC,
    REASONS,
    Action,
    Counts,
    Decision,
    Facts,
    Switch,
    counts_of,
    decide,
    roll_back,
    too_many_failures,
)
from ombud.settings import Settings
from ombud.usage import Counted, Tally

log = structlog.get_logger("ombud.delivery")

#: Recipients changed for one customer in one transaction, and customers at once, which share commits: others' commits wait for
#: no longer than these take together.
AT_A_TIME, AT_ONCE = 250, 4
MOVE_EVERY = 60.0
_MINUTE = timedelta(minutes=1)
#: The old route is judged by so many days before the switch.
BASELINE = timedelta(days=28)
#: What a decision has held, a decision releases; what a person has held, or lacks a key, a person does.
_BY_DECISION = frozenset(REASONS)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Recipients of one customer's mail from one product and domain, and what is to happen to all of them."""

    changes: Sequence[Change]
    customer_id: int
    origin: Origin
    route_id: int
    counted: Counted | None
    prolong: timedelta | None = None  # so much time to be delivered in, from now on


class Following:
    """`look` does what is to be done now; the service calls it every few seconds. Several processes may: who is late changes nothing."""

    def __init__(
        self, settings: Settings, database: Database, group: GroupCommit, clock: Clock, facts: Snapshot[Facts],
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._settings, self._database, self._group, self._clock = settings, database, group, clock
        self._facts, self._wake = facts, wake
        self._moved_by: Facts | None = None
        self._move_at = 0.0
        self.held: Sequence[Held] = ()  # as it was at the last look

    async def look(self, *, at_once: bool = False) -> None:
        """Release, expire, move. `at_once`: look for what is to be moved although that was done a moment ago."""
        self.held = await self._database.reading(queue.held)
        by_customer: defaultdict[tuple[str, int], list[Origin]] = defaultdict(list)
        for one in self.held:
            if one.reason in _BY_DECISION:
                by_customer[one.reason, one.customer_id].append(one.origin)
        await _few_at_once(self._let_go(*whose, origins) for whose, origins in by_customer.items())
        if at_once or self._facts.value is not self._moved_by or time.monotonic() >= self._move_at:
            await self._move()

    async def _let_go(self, reason: str, customer_id: int, origins: Sequence[Origin]) -> None:
        await self._release(reason, customer_id, origins)
        await self._expire(reason, customer_id, origins)

    def _decide(self, customer_id: int, origin: Origin, *, bulk: bool = False) -> Decision:
        return decide(
            self._facts.value, customer_id, origin.product_id, self._clock.now(), sender_domain=origin.sender_domain, bulk=bulk
        )  # fmt: skip

    # --- what is held ---

    async def _release(self, reason: str, customer_id: int, origins: Sequence[Origin]) -> None:
        """Let go what may go now, the first accepted first. Each batch is decided about anew, so that a pause takes hold at once."""
        after = 0
        while ways := self._open_ways(customer_id, origins, bulk=reason == "over_cap"):
            ids = await self._database.reading(queue.held_ids, reason, customer_id, list(ways), AT_A_TIME, after=after)
            if not ids:
                return
            after = ids[-1][0]
            # In one transaction, so that the order in which they were accepted is the order in which they leave.
            await self._group.run(_change_all, self._releases(customer_id, ids, ways))
            self._wake()

    def _open_ways(self, customer_id: int, origins: Sequence[Origin], *, bulk: bool) -> dict[Origin, Decision]:
        ways = {origin: self._decide(customer_id, origin, bulk=bulk) for origin in origins}
        return {origin: way for origin, way in ways.items() if way.action is Action.SEND and way.route}

    def _releases(
        self, customer_id: int, ids: Sequence[tuple[int, Origin]], ways: Mapping[Origin, Decision]
    ) -> list[_Batch]:
        patience, now = timedelta(hours=self._settings.delivery.expire_after_hours), self._clock.now()
        return [
            _Batch(
                [_released(id, way, now) for id, from_there in ids if from_there == origin], customer_id, origin,
                way.route.id if way.route else 0, Counted.RELEASED, patience,
            )
            for origin, way in ways.items()
            if any(from_there == origin for _, from_there in ids)
        ]  # fmt: skip

    async def _expire(self, reason: str, customer_id: int, origins: Sequence[Origin]) -> None:
        """Give up what has been held for as long as what holds it now keeps it, whatever held it first."""
        for origin in origins:
            way = self._decide(customer_id, origin)
            if not (longest := self._held_for(way)):
                continue
            before = self._clock.now() - longest
            after = 0
            while ids := await self._database.reading(
                queue.held_ids, reason, customer_id, [origin], AT_A_TIME, after=after, held_before=before
            ):
                after = ids[-1][0]
                now = self._clock.now()
                changes = [Change(id, None, What.EXPIRE, now, reason="hold_expired") for id, _ in ids]
                route_id = way.route.id if way.route else 0
                await self._group.run(
                    _change_all, [_Batch(changes, customer_id, origin, route_id, Counted.HELD_EXPIRED)]
                )

    def _held_for(self, way: Decision) -> timedelta | None:
        """How long it keeps what it holds; None: until it ends, as everything does that has an end of its own."""
        of_campaign = (
            timedelta(days=way.campaign.hold_days) if way.campaign else timedelta()
        )  # 0: until somebody decides
        if way.reason == "no_active_choice":
            return of_campaign or None
        if way.reason == "domain_lost":
            return max(of_campaign, timedelta(hours=self._settings.delivery.expire_after_hours))
        return None

    # --- what waits by a route that is left ---

    async def _move(self) -> None:
        """Mail whose next try would be by a route that its customer has left: it may be hours off.

        Looked for when the facts have changed, and else every minute, since their dates come by themselves.
        """
        facts, now = self._facts.value, self._clock.now()
        self._moved_by, self._move_at = facts, time.monotonic() + MOVE_EVERY
        left = []
        for place, one in enumerate(await self._database.reading(queue.customers_with_mail)):
            if place % 100 == 99:
                await asyncio.sleep(0)  # thousands of customers take a while, and others have work too
            if _may_have_left(facts, *one, now):
                left.append(one)
        await _few_at_once(self._move_from(*one) for one in left)

    async def _move_from(self, route_id: int, customer_id: int) -> None:
        after = 0
        while waiting := await self._database.reading(queue.queued, route_id, customer_id, AT_A_TIME, after=after):
            after = waiting[-1].recipient_id
            now = self._clock.now()
            ways = {origin: self._decide(customer_id, origin) for origin in {one.origin for one in waiting}}
            batches = []
            for origin, way in ways.items():
                if way.action is Action.SEND and way.route and way.route.id == route_id:
                    continue
                changes = [change for one in waiting if one.origin == origin and (change := _moved(one, way, now))]
                counted = None if way.action is Action.SEND else Counted.HELD
                batches.append(_Batch(changes, customer_id, origin, route_id, counted))
            if batches:
                await self._group.run(_change_all, batches)
                self._wake()

    # --- switches that fail ---

    async def watch_switches(self) -> None:
        """Roll back every switch since which surely more fails than did before it, where there is a way to go back to."""
        facts, now = self._facts.value, self._clock.now()
        watched = [one for one in facts.switches if one.watched(now)]
        if not watched:
            return
        counts = await self._database.reading(counts_of, [one.id for one in watched])
        for switch in watched:
            if counts[switch.id].failed and _can_go_back(facts, switch, now):
                before = await self._database.reading(baseline, switch)
                if too_many_failures(counts[switch.id], before, switch.margin_percent):
                    await self._roll_back(switch, counts[switch.id], before)

    async def _roll_back(self, switch: Switch, counts: Counts, before: Counts) -> None:
        reason = f"{counts.failed} of {counts.tries} failed ({counts.share:.1%}), {before.share:.1%} before the switch"
        try:
            await self._group.run(_roll_back_all, (switch.id, self._clock.now(), reason))
        except SwitchOver:
            return  # another process, or a person, was quicker
        log.warning("switch_rolled_back", switch=switch.id, reason=reason)


async def _few_at_once(jobs: Iterable[Awaitable[None]]) -> None:
    """Each customer for itself, a few at the same time, so that thousands do not wait for each other's commits."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def take(job: Awaitable[None]) -> None:
        async with turn:
            await job

    await asyncio.gather(*(take(job) for job in jobs))


def baseline(tx: Transaction, switch: Switch) -> Counts:
    """How the customer's mail went in the weeks before the switch, by every route but the new one."""
    what = (Counted.BILLABLE, Counted.FREE, Counted.FAILED)
    found = usage.tallies(
        tx, day_of(switch.at - BASELINE), day_of(switch.at), customer_id=switch.customer_id, what=what
    )
    found = [one for one in found if one.route_id != switch.to_route_id and switch.concerns(one.product_id)]
    failed = sum(one.number for one in found if one.what is Counted.FAILED)
    return Counts(sum(one.number for one in found) - failed, failed)


def _can_go_back(facts: Facts, switch: Switch, now: datetime) -> bool:
    """Whether every product's mail would still have a way without the switch: a rollback must not be a stop."""
    without = replace(facts, switches=tuple(one for one in facts.switches if one.id != switch.id))
    products = switch.product_ids or facts.products
    return all(decide(without, switch.customer_id, product, now).action is Action.SEND for product in products)


def _may_have_left(facts: Facts, route_id: int, customer_id: int, now: datetime) -> bool:
    """Whether to look at the customer's mail that waits there: nothing takes the route any more, or something has just changed."""
    switches = facts.switches_of.get(customer_id, ())
    if any(one.in_canary(now) and one.stands(now) for one in switches):
        return False  # both routes are taken then; the worker asks for each recipient
    taken = {facts.assigned.get((customer_id, None))}
    for product in facts.products:
        way = decide(facts, customer_id, product, now)
        if way.action is Action.SEND and way.route:
            taken.add(way.route.id)
    return route_id not in taken or _just_changed(facts, customer_id, now)


def _just_changed(facts: Facts, customer_id: int, now: datetime) -> bool:
    moments: list[datetime | None] = []
    for switch in facts.switches_of.get(customer_id, ()):
        moments += [switch.at, switch.canary_until, switch.rolled_back_at]
    for override in facts.overrides_of.get(customer_id, ()):
        moments += [override.at, override.until, override.ended_at]
    for _, reserve in facts.reserves_of.get(customer_id, ()):
        moments += [reserve.approved_at, reserve.ends_at, reserve.ended_at]
    return any(moment is not None and moment <= now < moment + 10 * _MINUTE for moment in moments)


def _released(id: int, way: Decision, now: datetime) -> Change:
    assert way.route
    return Change(id, None, What.RELEASE, now, wait=timedelta(0), reason=way.reason, route_id=way.route.id)


def _moved(one: Queued, way: Decision, now: datetime) -> Change | None:
    """What was put off is tried by the new way at once; what the sender wants to leave later keeps its time."""
    if way.action is Action.SEND and way.route:
        wait = timedelta(0) if one.state is State.DEFERRED else one.due_in
        return Change(one.recipient_id, None, What.RETRY, now, wait=wait, reason=way.reason, route_id=way.route.id)
    if one.state is State.WAITING and one.due_in:
        return None  # it is decided about when its time comes
    return Change(one.recipient_id, None, What.HOLD, now, reason=way.reason)


# --- verbs ---------------------------------------------------------------------------------------------------------


def _change_all(tx: Transaction, pieces: Sequence[Sequence[_Batch]]) -> list[int]:
    """States, holds, events and counts commit or fail together. Returns how many of each piece's recipients were changed."""
    return [sum(_change(tx, batch) for batch in piece) for piece in pieces]


def _change(tx: Transaction, batch: _Batch) -> int:
    changed = queue.change_all(tx, batch.changes)  # locks in order of the key, so it comes first
    ids = [change.recipient_id for change, one in zip(batch.changes, changed, strict=True) if one.now is not None]
    if batch.prolong is not None and ids:
        queue.prolong(tx, ids, batch.prolong)
    done = len(ids)
    if batch.counted and done:
        day = day_of(batch.changes[0].at)
        usage.add_tallies(
            tx, [Tally(day, batch.customer_id, batch.origin.product_id, batch.route_id, batch.counted, done)]
        )
    tx.wake_others()
    return done


def _roll_back_all(tx: Transaction, pieces: Sequence[tuple[int, datetime, str]]) -> list[Switch | Exception]:
    found: list[Switch | Exception] = []
    for switch_id, now, reason in pieces:
        try:
            found.append(roll_back(tx, switch_id, now, by=AUTOMATIC, reason=reason))
        except SwitchOver as over:
            found.append(over)
    return found
