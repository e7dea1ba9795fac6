"""The one way out: takes what is due, sends it by the route that the facts say now, and writes down what became of it.

    lease ─> which way ─> prepare (make out, sign, gate) ─> commit `sending` ─> final dot ─> settle: state + attempt + event + usage

A worker that dies loses nothing: before `sending` its leases are simply due again, after it the recipient is `unknown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from ombud import maillog, queue, usage
from ombud.clock import Clock
from ombud.db import Database, GroupCommit, Transaction
from ombud.db.snapshot import Snapshot
from ombud.delivery.outlet import Outlet
from ombud.delivery.prepare import Job, NoKey, prepare
from ombud.delivery.schedule import AFTER_UNKNOWN, jittered, wait_after
from ombud.domains import KeyRing, Ownership
from ombud.errors import OmbudError, Refused, TryLater
from ombud.ids import new_handle
from ombud.mail.reply import Reply
from ombud.providers.provider import Outcome, Provider, Result
from ombud.queue import Attempt, Change, Changed, Lease, Mail, State, What
from ombud.routing import Action, Facts, Route, decide
from ombud.settings import Settings
from ombud.usage import HandOver

log = structlog.get_logger("ombud.delivery")

#: Makes the provider of a route: settings, secret and surroundings are the service's affair.
MakeProvider = Callable[[Route], Provider]
#: Without being woken, look for due mail this often: deferred mail comes due by itself.
LOOK_EVERY = 1.0
_WHAT = {
    Result.DELIVERED: What.DELIVER,
    Result.DEFERRED: What.DEFER,
    Result.FAILED: What.FAIL,
    Result.UNKNOWN: What.LOSE,
}


@dataclass(frozen=True, slots=True)
class _Want:
    """A question to the queue: this many due recipients of that route."""

    worker: str
    route_id: int
    most: int
    served_last: int


@dataclass(frozen=True, slots=True)
class _Settlement:
    """What became of some recipients of one message, to be written in one transaction with its usage."""

    changes: Sequence[Change]
    mail: Mail | None = None
    route: Route | None = None


class Delivery:
    """A delivery worker. `run` it; `wake` it when there is mail; `stop` lets it finish what it has in hand."""

    def __init__(
        self, settings: Settings, database: Database, group: GroupCommit, clock: Clock, facts: Snapshot[Facts],
        ownership: Snapshot[Ownership], ring: Snapshot[KeyRing], make_provider: MakeProvider,
    ) -> None:  # fmt: skip
        self.worker = f"w{new_handle()}"
        self._settings, self._database, self._group, self._clock = settings, database, group, clock
        self._facts, self._ownership, self._ring, self._make_provider = facts, ownership, ring, make_provider
        self._outlets: dict[int, Outlet] = {}
        self._broken: dict[int, Route] = {}  # as they were when their providers could not be made
        self._signers = ThreadPoolExecutor(settings.delivery.signing_threads, thread_name_prefix="sign")
        self._awake = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes_in_flight = 0
        self.outcomes = dict.fromkeys(Result, 0)  # recipients, since the start

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    @property
    def outlets(self) -> Sequence[Outlet]:
        return tuple(self._outlets.values())

    def wake(self) -> None:
        """There may be mail: look now."""
        self._awake.set()

    async def run(self) -> None:
        """Deliver until `stop`."""
        while not self._stopping:
            self._awake.clear()
            try:
                more = await self._pump()
            except TryLater as error:
                log.warning("queue_unreadable", error=error.code)
                more = False
            except Exception:
                log.exception("pump_failed")  # whatever it was, the rest of the queue still wants to leave
                more = False
            if not more:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def stop(self, seconds: float = 30.0) -> None:
        """Lease no more, let what is in hand finish for so long, then break it off (it becomes due again, or `unknown`)."""
        self._stopping = True
        self._awake.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        await asyncio.gather(*(outlet.provider.close() for outlet in self._outlets.values()), return_exceptions=True)
        self._signers.shutdown(wait=False, cancel_futures=True)

    # --- leasing ---

    async def _pump(self) -> bool:
        """Lease for every route that has mail and room. Says whether there was anything."""
        wants = []
        left = self._room_over_all()
        for route_id in await self._database.reading(queue.routes_with_mail):
            outlet = self._outlet(route_id)
            if outlet and (room := min(await self._room_of(outlet), left)) > 0:
                wants.append(_Want(self.worker, route_id, room, outlet.served_last))
                left -= room
        found = await asyncio.gather(*(self._group.run(_lease_all, want) for want in wants))
        leases = [lease for taken in found for lease in taken]
        if leases:
            await self._dispatch(leases)
        return bool(leases)

    def _room_over_all(self) -> int:
        if self._bytes_in_flight >= self._settings.delivery.max_bytes_in_flight:
            return 0
        return self._settings.delivery.max_in_flight - len(self._tasks)

    async def _room_of(self, outlet: Outlet) -> int:
        """How many messages the outlet is to be given now: none while so few have room that the trip is not worth it."""
        if outlet.wants_count:
            day = self._clock.now() - timedelta(days=1)
            outlet.counted(await self._database.reading(usage.handed_over_since, outlet.route.id, day))
        room = outlet.room()
        return room if outlet.in_flight == 0 or room >= outlet.worth_a_lease else 0

    def _outlet(self, route_id: int) -> Outlet | None:
        """The route's outlet; a new one when the route has changed since. None: its mail must wait, since the route is not
        known here yet, or its provider cannot be made (a file is gone, a setting is wrong). Other routes go on."""
        route, outlet = self._facts.value.routes.get(route_id), self._outlets.get(route_id)
        if route is None or self._broken.get(route_id) == route:
            return None
        if outlet and outlet.route == route:
            return outlet
        try:
            self._outlets[route_id] = Outlet(route, self._make_provider(route))
        except OmbudError as error:
            log.error("route_broken", route=route.slug, error=error.text())
            self._broken[route_id] = route
            return None
        if outlet:
            self._spawn(outlet.provider.close())
        return self._outlets[route_id]

    async def _dispatch(self, leases: Sequence[Lease]) -> None:
        """Read what is leased and start a task for each message and route."""
        ids = list(dict.fromkeys(lease.message_id for lease in leases))
        try:
            fetched = await self._database.reading(queue.fetch, ids)
        except TryLater:
            await self._give_back(leases)
            raise
        groups: dict[tuple[str, int, int], list[Lease]] = {}
        for lease in leases:
            mail, _ = fetched[lease.message_id]
            together = lease.n if mail.personal else -1  # each personal copy goes by itself
            groups.setdefault((lease.message_id, lease.route_id, together), []).append(lease)
        for (id, route_id, _), group in groups.items():
            outlet, (mail, content) = self._outlets[route_id], fetched[id]
            outlet.served_last = mail.customer_id
            most = outlet.provider.recipients_per_message
            for start in range(0, len(group), most):
                self._spawn(self._deliver(outlet, mail, content, group[start : start + most]))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._awake.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("delivery_task_failed", error=repr(error))  # its leases end with this worker's next restart

    # --- one message ---

    async def _deliver(self, outlet: Outlet, mail: Mail, content: bytes, leases: Sequence[Lease]) -> None:
        if not await self._still_this_way(outlet.route, mail, leases):
            return
        outlet.begin()
        self._bytes_in_flight += mail.size
        started = self._clock.now()
        try:
            outcomes = await self._send(outlet, mail, content, leases)
        finally:
            outlet.end()
            self._bytes_in_flight -= mail.size
        if outcomes:
            await self._settle(outlet, mail, leases, outcomes, started)

    async def _still_this_way(self, route: Route, mail: Mail, leases: Sequence[Lease]) -> bool:
        """Decide again, now: mail in the queue follows the facts. If they have changed, send it round by its new way."""
        now = self._clock.now()
        decision = decide(self._facts.value, mail.customer_id, mail.product_id, now, test=mail.mode == "test")
        if decision.action is Action.SEND and decision.route and decision.route.id == route.id:
            return True
        if decision.action is Action.SEND and decision.route:
            what, new_route, wait = What.GIVE_BACK, decision.route.id, timedelta(0)
        else:  # it has been accepted, so it cannot be refused any more: a person must look
            what, new_route, wait = What.HOLD, None, None
        changes = [
            Change(lease.recipient_id, lease.fence, what, now, wait=wait, reason=decision.reason, route_id=new_route)
            for lease in leases
        ]
        await self._write(_Settlement(changes))
        return False

    async def _send(
        self, outlet: Outlet, mail: Mail, content: bytes, leases: Sequence[Lease]
    ) -> Sequence[Outcome] | None:
        """One Outcome for each lease, or None when it is held instead."""
        job = Job(mail, content, leases, outlet.route.sign, self._settings.smtp.max_size)
        loop = asyncio.get_running_loop()
        try:
            outgoing = await loop.run_in_executor(self._signers, prepare, job, self._ownership.value, self._ring.value)
        except NoKey as error:
            await self._hold(leases, error.code)
            return None
        except Refused as error:
            log.error("stopped_at_last_gate", message=mail.id, code=error.code)
            return [Outcome(Result.FAILED, Reply(*error.smtp, error.text()))] * len(leases)

        async def commit() -> bool:
            return all(await self._group.run(_commit_all, [(lease.recipient_id, lease.fence) for lease in leases]))

        try:
            return await outlet.provider.send(outgoing, commit)
        except TryLater as error:  # `sending` could not be written, so nothing was sent
            return [Outcome(Result.DEFERRED, Reply(*error.smtp, error.text()))] * len(leases)

    async def _hold(self, leases: Sequence[Lease], reason: str) -> None:
        now = self._clock.now()
        await self._write(
            _Settlement([Change(lease.recipient_id, lease.fence, What.HOLD, now, reason=reason) for lease in leases])
        )

    async def _give_back(self, leases: Sequence[Lease]) -> None:
        now, wait = self._clock.now(), timedelta(seconds=1)
        await self._write(
            _Settlement([Change(lease.recipient_id, lease.fence, What.GIVE_BACK, now, wait=wait) for lease in leases])
        )

    # --- outcomes ---

    async def _settle(
        self, outlet: Outlet, mail: Mail, leases: Sequence[Lease], outcomes: Sequence[Outcome], started: datetime
    ) -> None:
        """Write down what became of each recipient; tell the breaker; count what was handed over."""
        now = self._clock.now()
        if any(outcome.route_fault for outcome in outcomes):
            outlet.breaker.failed()
        else:
            outlet.breaker.succeeded()
        changes = [
            self._change(outlet, lease, outcome, started, now) for lease, outcome in zip(leases, outcomes, strict=True)
        ]
        for lease, outcome in zip(leases, outcomes, strict=True):
            self.outcomes[outcome.result] += 1
            maillog.outcome(
                mail.id, lease.n, lease.attempts + 1, outcome.result, outlet.route.slug, outcome.remote, outcome.reply
            )
        outlet.handed_over += sum(outcome.result is Result.DELIVERED for outcome in outcomes)
        await self._write(_Settlement(changes, mail, outlet.route))

    def _change(self, outlet: Outlet, lease: Lease, outcome: Outcome, started: datetime, now: datetime) -> Change:
        attempt = Attempt(outlet.route.id, started, outcome.result, outcome.reply, outcome.remote)
        what, tries = _WHAT[outcome.result], lease.attempts + 1
        wait: timedelta | None = None
        if what is What.DEFER and lease.expired and tries >= self._settings.delivery.min_attempts:
            what = What.EXPIRE
        elif what is What.DEFER:
            pause = timedelta(seconds=outlet.breaker.remaining)
            # A route that is down says nothing of the recipient: come back when the route may be tried again.
            wait = jittered(max(pause, timedelta(seconds=10))) if outcome.route_fault else wait_after(tries)
        elif what is What.LOSE:
            wait = AFTER_UNKNOWN if self._settings.delivery.unknown == "resend" else None
        words = "may be a second copy" if lease.repeated and outcome.result is Result.DELIVERED else ""
        return Change(lease.recipient_id, lease.fence, what, now, wait=wait, attempt=attempt, words=words)

    async def _write(self, settlement: _Settlement) -> None:
        """Until it is written: an outcome is not lost because the database is away for a while."""
        pause = 0.2
        while True:
            try:
                await self._group.run(_settle_all, settlement)
                return
            except TryLater as error:
                log.warning("outcome_waits", error=error.code, seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10.0)


# --- verbs ---------------------------------------------------------------------------------------------------------


def _lease_all(tx: Transaction, wants: Sequence[_Want]) -> list[list[Lease]]:
    return [queue.lease(tx, want.worker, want.route_id, want.most, want.served_last) for want in wants]


def _commit_all(tx: Transaction, pieces: Sequence[Sequence[tuple[int, int]]]) -> list[list[bool]]:
    fits = iter(queue.commit_sending(tx, [pair for piece in pieces for pair in piece]))
    return [[next(fits) for _ in piece] for piece in pieces]


def _settle_all(tx: Transaction, settlements: Sequence[_Settlement]) -> list[list[Changed]]:
    """The verb of outcomes: state, attempt, event and usage commit or fail together."""
    changes = [change for settlement in settlements for change in settlement.changes]
    changed = iter(queue.change_all(tx, changes))
    results = [[next(changed) for _ in settlement.changes] for settlement in settlements]
    usage.meter(
        tx,
        [
            HandOver(
                change.recipient_id,
                one.mail.customer_id,
                one.mail.product_id,
                one.route.id,
                one.route.billable,
                change.at,
            )
            for one, result in zip(settlements, results, strict=True)
            if one.mail and one.route
            for change, done in zip(one.changes, result, strict=True)
            if done.now is State.DELIVERED
        ],
    )
    return results
