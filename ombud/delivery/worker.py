"""The one way out: takes what is due, sends it by the route that the facts say now, and writes down what became of it.

    lease ─> which way ─> prepare (make out, sign, gate) ─> commit `sending` ─> final dot ─> settle: state + attempt + event + usage

A worker that dies loses nothing: before `sending` its leases are simply due again, after it the recipient is `unknown`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import structlog

from ombud import maillog, queue, usage
from ombud.accounts import Directory
from ombud.clock import Clock
from ombud.db import Database, GroupCommit
from ombud.db.snapshot import Snapshot
from ombud.delivery.outlet import Outlet
from ombud.delivery.prepare import Job, NoKey, Reserve, prepare
from ombud.delivery.schedule import AFTER_UNKNOWN, jittered, wait_after
from ombud.delivery.settlement import (
    Settlement,
    Want,
    at_great_receivers,
    commit_all,
    counted,
    lease_all,
    lease_suspects,
    settle_all,
    watched_switch,
)
from ombud.domains import KeyRing, Ownership
from ombud.errors import OmbudError, Refused, TryLater
from ombud.ids import new_handle
from ombud.mail.reply import Reply
from ombud.providers.provider import Outcome, Provider, Result
from ombud.queue import Attempt, Change, Lease, Mail, What
from ombud.routing import Action, Counts, Decision, Facts, Route, decide_all
from ombud.settings import Settings

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


class Delivery:
    """A delivery worker. `run` it; `wake` it when there is mail; `stop` lets it finish what it has in hand."""

    def __init__(
        self, settings: Settings, database: Database, group: GroupCommit, clock: Clock, facts: Snapshot[Facts],
        ownership: Snapshot[Ownership], ring: Snapshot[KeyRing], directory: Snapshot[Directory], make_provider: MakeProvider,
    ) -> None:  # fmt: skip
        self.worker = f"w{new_handle()}"
        self._settings, self._database, self._group, self._clock = settings, database, group, clock
        self._facts, self._ownership, self._ring, self._directory = facts, ownership, ring, directory
        self._make_provider = make_provider
        self._outlets: dict[int, Outlet] = {}
        self._broken: dict[int, Route] = {}  # as they were when their providers could not be made
        self._signers = ThreadPoolExecutor(settings.delivery.signing_threads, thread_name_prefix="sign")
        self._awake = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._suspect: Sequence[asyncio.Task[None]] = ()
        self._next_suspects = 0.0
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
                wants.append(Want(self.worker, route_id, room, outlet.served_last))
                left -= room
        found = await asyncio.gather(*(self._group.run(lease_all, want) for want in wants))
        leases = [lease for taken in found for lease in taken]
        if leases:
            await self._dispatch(leases)
        return bool(leases) | await self._take_suspect([want.route_id for want in wants])

    async def _take_suspect(self, route_ids: Sequence[int]) -> bool:
        """Take one of those over whom workers have died, if none is in hand. Says whether there was one."""
        if any(not task.done() for task in self._suspect) or time.monotonic() < self._next_suspects or not route_ids:
            return False
        if await self._database.reading(queue.suspects_wait) and (
            leases := await self._group.run(lease_suspects, (self.worker, route_ids))
        ):
            self._suspect = await self._dispatch(leases)
            return True
        self._next_suspects = time.monotonic() + LOOK_EVERY
        return False

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

    async def _dispatch(self, leases: Sequence[Lease]) -> list[asyncio.Task[None]]:
        """Read what is leased and start a task for each message and route."""
        ids = list(dict.fromkeys(lease.message_id for lease in leases))
        try:
            fetched = await self._database.reading(queue.fetch, ids)
        except TryLater:
            await self._give_back(leases)
            raise
        tasks: list[asyncio.Task[None]] = []
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
                tasks.append(self._spawn(self._deliver(outlet, mail, content, group[start : start + most])))
        return tasks

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._awake.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("delivery_task_failed", error=repr(error))  # its leases end with this worker's next restart

    # --- one message ---

    async def _deliver(self, outlet: Outlet, mail: Mail, content: bytes, leases: Sequence[Lease]) -> None:
        leases, reserve = await self._still_this_way(outlet.route, mail, leases)
        if not leases:
            return
        outlet.begin()
        self._bytes_in_flight += mail.size
        started = self._clock.now()
        try:
            outcomes = await self._send(outlet, mail, content, leases, reserve)
        finally:
            outlet.end()
            self._bytes_in_flight -= mail.size
        if outcomes:
            await self._settle(outlet, mail, leases, outcomes, started, reserve)

    async def _still_this_way(
        self, route: Route, mail: Mail, leases: Sequence[Lease]
    ) -> tuple[Sequence[Lease], Reserve | None]:
        """Decide again, now: mail in the queue follows the facts. Those for whom they have changed go round by their new way.

        Returns the others, and what they are sent as when that is not the customer.
        """
        now = self._clock.now()
        decisions = decide_all(
            self._facts.value, mail.customer_id, mail.product_id, now, [lease.address for lease in leases],
            sender_domain=mail.header_from.rpartition("@")[2], test=mail.mode == "test",
            important=queue.is_important(leases[0].lane), bulk=queue.is_bulk(leases[0].lane),
        )  # fmt: skip
        staying: list[Lease] = []
        changes: list[Change] = []
        for lease, decision in zip(leases, decisions, strict=True):
            if decision.action is Action.SEND and decision.route and decision.route.id == route.id:
                staying.append(lease)
            else:
                changes.append(_turned(lease, decision, now))
        if changes:
            await self._write(Settlement(self.worker, changes, mail, route))
        return staying, self._reserve(mail, decisions[0])

    def _reserve(self, mail: Mail, decision: Decision) -> Reserve | None:
        if not decision.sender:
            return None
        customer = self._directory.value.customer_by_id(mail.customer_id)
        return Reserve(decision.sender.replace("{slug}", customer.slug), customer.name, customer.slug)

    async def _send(
        self, outlet: Outlet, mail: Mail, content: bytes, leases: Sequence[Lease], reserve: Reserve | None
    ) -> Sequence[Outcome] | None:
        """One Outcome for each lease, or None when it is held instead."""
        return_path = str(outlet.route.settings.get("return_path") or "")
        job = Job(mail, content, leases, outlet.route.sign, self._settings.smtp.max_size, reserve, return_path)
        loop = asyncio.get_running_loop()
        try:
            outgoing = await loop.run_in_executor(self._signers, prepare, job, self._ownership.value, self._ring.value)
        except NoKey as error:
            await self._hold(mail, outlet.route, leases, error.code)
            return None
        except Refused as error:
            log.error("stopped_at_last_gate", message=mail.id, code=error.code)
            return [Outcome(Result.FAILED, Reply(*error.smtp, error.text()))] * len(leases)

        async def commit() -> bool:
            return all(await self._group.run(commit_all, [(lease.recipient_id, lease.fence) for lease in leases]))

        try:
            return await outlet.provider.send(outgoing, commit)
        except TryLater as error:  # `sending` could not be written, so nothing was sent
            return [Outcome(Result.DEFERRED, Reply(*error.smtp, error.text()))] * len(leases)

    async def _hold(self, mail: Mail, route: Route, leases: Sequence[Lease], reason: str) -> None:
        now = self._clock.now()
        changes = [Change(lease.recipient_id, lease.fence, What.HOLD, now, reason=reason) for lease in leases]
        await self._write(Settlement(self.worker, changes, mail, route))

    async def _give_back(self, leases: Sequence[Lease]) -> None:
        now, wait = self._clock.now(), timedelta(seconds=1)
        await self._write(
            Settlement(
                self.worker,
                [Change(lease.recipient_id, lease.fence, What.GIVE_BACK, now, wait=wait) for lease in leases],
            )
        )

    # --- outcomes ---

    async def _settle(
        self, outlet: Outlet, mail: Mail, leases: Sequence[Lease], outcomes: Sequence[Outcome], started: datetime,
        reserve: Reserve | None = None,
    ) -> None:  # fmt: skip
        """Write down what became of each recipient; tell the breaker; count what was handed over."""
        now = self._clock.now()
        if any(outcome.route_fault for outcome in outcomes):
            outlet.breaker.failed()
        else:
            outlet.breaker.succeeded()
        changes = [
            self._change(outlet, lease, outcome, started, now, reserve)
            for lease, outcome in zip(leases, outcomes, strict=True)
        ]
        for lease, outcome in zip(leases, outcomes, strict=True):
            self.outcomes[outcome.result] += 1
            maillog.outcome(
                mail.id, lease.n, lease.attempts + 1, outcome.result, outlet.route.slug, outcome.remote, outcome.reply
            )
        outlet.handed_over += sum(outcome.result is Result.DELIVERED for outcome in outcomes)
        switch_id = watched_switch(self._facts.value, mail, outlet.route, now)
        counts = counted(outcomes) if switch_id is not None else Counts()
        great = at_great_receivers(mail, leases, reserve)
        await self._write(Settlement(self.worker, changes, mail, outlet.route, switch_id, counts, great))

    def _change(
        self, outlet: Outlet, lease: Lease, outcome: Outcome, started: datetime, now: datetime, reserve: Reserve | None
    ) -> Change:
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
        said = []
        if outcome.result is Result.DELIVERED and reserve:
            said.append(f"in reserve mode, sent as {reserve.address}")
        if outcome.result is Result.DELIVERED and lease.repeated:
            said.append("may be a second copy")
        words = "; ".join(said)
        return Change(lease.recipient_id, lease.fence, what, now, wait=wait, attempt=attempt, words=words)

    async def _write(self, settlement: Settlement) -> None:
        """Until it is written: an outcome is not lost because the database is away for a while."""
        pause = 0.2
        while True:
            try:
                await self._group.run(settle_all, settlement)
                return
            except TryLater as error:
                log.warning("outcome_waits", error=error.code, seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10.0)


def _turned(lease: Lease, decision: Decision, now: datetime) -> Change:
    """What becomes of a recipient whose mail does not go this way any more."""
    if decision.action is Action.SEND and decision.route:
        what, wait, route_id = What.GIVE_BACK, timedelta(0), decision.route.id
        return Change(lease.recipient_id, lease.fence, what, now, wait=wait, reason=decision.reason, route_id=route_id)
    # It has been accepted, so it cannot be refused any more: it is kept until a person, or a change of the facts, lets it go.
    return Change(lease.recipient_id, lease.fence, What.HOLD, now, reason=decision.reason)
