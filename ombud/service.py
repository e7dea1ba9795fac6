"""Puts the parts together, starts and stops them; the only file that knows them all."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from ombud import maillog, metrics, queue
from ombud.accounts import Sender, load_directory
from ombud.billing.alarms import Alarm, due_alarms, put_alarms
from ombud.campaigns.answering import learn_case_number
from ombud.campaigns.brownouts import tell_what_it_did
from ombud.campaigns.correspondence import due_letters
from ombud.campaigns.jobs import CampaignJobs
from ombud.campaigns.mailing import letter_writer
from ombud.campaigns.usageletters import usage_letters
from ombud.choices import load_choices
from ombud.clock import Clock
from ombud.db import GroupCommit, Transaction
from ombud.db.listen import Listener
from ombud.db.snapshot import Snapshot
from ombud.delivery import Delivery, Following
from ombud.delivery.prover import Prover
from ombud.delivery.schedule import AFTER_UNKNOWN
from ombud.dns import Resolver
from ombud.domains import Rotation, load_key_ring, load_ownership
from ombud.domains.volume import note_bulk_senders
from ombud.domains.watching import Watching
from ombud.errors import Misconfigured, Refused, TryLater
from ombud.installation import Installation
from ombud.mail.address import Address
from ombud.mail.dkim import SigningKey
from ombud.needs import Needs, keyless_names, needs_by_name, unproven
from ombud.notices.letters import Letter, follow_letters, put_letters
from ombud.notices.outbox import Notice
from ombud.notices.posting import Poster
from ombud.notices.telling import Teller
from ombud.providers import make_provider
from ombud.providers.provider import Provider, Surroundings
from ombud.routing import Route, load_facts, route_secret
from ombud.smtp import SubmissionDoor, raise_open_files
from ombud.smtp.certificate import make_certificate
from ombud.submission import Submission, Submissions, forget_older
from ombud.web import HttpDoor, Web, create_app

log = structlog.get_logger("ombud.service")

BEATS_A_LEASE = 4  # so that three may be missed before a lease is lost
RECOVER_EVERY = 5.0
#: What is held is released so soon after its way opens.
FOLLOW_EVERY = 5.0
CAMPAIGNS_EVERY = 60.0
WATCH_EVERY = 20.0
COUNT_EVERY = 20.0
#: Domains whose records are due to be looked at are looked for so often.
LOOK_EVERY = 1.0
#: So many in one round, and seconds between two: ten thousand that come at once take most of an hour, and a fifth of a core.
LOOK_MOST, LOOK_PACE = 20, 0.25
#: Steps of key rotation are taken so often, and the probe mailbox looked into.
ROTATE_EVERY, READ_PROBES_EVERY = 60.0, 30.0
PROOFS_AT_A_TIME = 10
FORGET_EVERY = 3600.0
#: Bytes of so many messages are looked at, and forgotten, at a time.
BODIES_A_COMMIT = 500
#: Letters that are due are looked for so often, and those on their way followed.
WRITE_EVERY, LETTERS_FOLLOWED_EVERY = 60.0, 5.0
LETTERS_A_COMMIT = 100
#: So often it is looked at who has used up what is included, or reached a cap.
ALARM_EVERY = 60.0
#: A job that is still there so many seconds after it was cancelled is cancelled again; so many times, then it is left.
CANCEL_AGAIN, CANCEL_MOST = 0.5, 10
#: Open files beside the SMTP door's connections: HTTP, next hops, the database.
OTHER_FILES = 3000


class Service:
    """One process of an installation: both doors, delivery, and the small jobs that keep them going.

    `await start()`, then wait for whatever ends it, then `await stop()`.
    """

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.settings, self.database, self.clock = installation.settings, installation.database, installation.clock
        self.group = GroupCommit(self.database)
        self.directory = Snapshot(load_directory)
        self.ownership = Snapshot(load_ownership)
        self.facts = Snapshot(load_facts)
        opened: dict[int, SigningKey] = {}
        self.ring = Snapshot(lambda tx: load_key_ring(tx, installation.seal, opened))
        self._resolver = Resolver(self.settings.delivery.dns_servers, authority_port=self.settings.dns.authority_port)
        self.delivery = Delivery(
            self.settings, self.database, self.group, self.clock, self.facts, self.ownership, self.ring, self.directory,
            self._provider,
        )  # fmt: skip
        self.submissions = Submissions(
            self.settings,
            self.database,
            self.group,
            self.clock,
            self.directory,
            self.ownership,
            self.facts,
            self.delivery.wake,
        )
        self.following = Following(self.settings, self.database, self.group, self.clock, self.facts, self.delivery.wake)
        self.teller = self._teller()
        self.watching = Watching(
            self.database.reading, self._in_group, self._resolver, self._needs, most=LOOK_MOST, pace=LOOK_PACE
        )
        self.rotation = Rotation.of(
            self.settings.dns, installation.seal, self._resolver, self.database.reading, self._in_group
        )
        self.prover = Prover(
            self.settings.proof, self.database.reading, self._in_group, self.clock, self._resolver.ask, self._provider,
            self.settings.service.name,
        )  # fmt: skip
        self.smtp = SubmissionDoor[Sender](
            self.settings.smtp,
            self.settings.service.name,
            self._tls_files(),
            authenticate=self._authenticate,
            submit=self._submit,
        )
        self.http = HttpDoor(self.settings.http, create_app(self._web()))
        self.campaigns = CampaignJobs(self.settings, self.database, self.group, self.clock, installation.seal)
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: Listener | None = None
        self._last_refresh = 0.0

    async def start(self) -> None:
        """Come up: what earlier processes left is taken back before anything new is taken in. Raises Misconfigured."""
        # More, shorter turns for the threads: a signer that waits for its turn keeps a whole core idle.
        sys.setswitchinterval(0.0005)
        # What was made at the start stays; and mail makes many small objects but no cycles, so look for those more seldom.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        self._refresh()
        self.group.start()
        try:
            await self._come_up()
        except BaseException:
            await self.stop()  # the mail that has begun to leave, and the doors that are open, end well here too
            raise
        log.info(
            "started",
            database=self.database.version(),
            smtp=self.smtp.starttls_port,
            smtps=self.smtp.tls_port,
            http=self.http.port,
        )

    async def _come_up(self) -> None:
        await self._beat()
        await self._recover(alone=not self.database.postgres)
        if self.database.postgres:
            listener = Listener(self.database, partial(_call_on, asyncio.get_running_loop(), self.delivery.wake))
            listener.start()
            self._listener = listener
        if self.settings.delivery.workers:
            self._spawn(self.delivery.run())
        self._spawn(self._every(1.0, self._look_around))
        self._spawn(self._every(self.settings.delivery.lease_seconds / BEATS_A_LEASE, self._beat))
        self._spawn(self._every(RECOVER_EVERY, self._recover))
        self._spawn(self._every(FORGET_EVERY, self._forget))
        self._spawn(self._every(FOLLOW_EVERY, self.following.look))
        self._spawn(self._every(WATCH_EVERY, self.following.watch_switches))
        self._spawn(self._every(COUNT_EVERY, self.submissions.counting.flush))
        self._spawn(self._every(CAMPAIGNS_EVERY, self.campaigns.go_live))
        self._spawn(self._every(CAMPAIGNS_EVERY, self.campaigns.tell_of_brownouts))
        self._spawn(self._every(CAMPAIGNS_EVERY, self.campaigns.settle_fees))
        self._spawn(self._every(FORGET_EVERY, self.campaigns.forget))
        self._spawn(self._every(ALARM_EVERY, self._raise_alarms))
        if self.settings.dns.watch:
            self._spawn(self._every(LOOK_EVERY, self._look_at_domains))
            self._spawn(self._every(ROTATE_EVERY, self._rotate_keys))
            self._spawn(self._every(READ_PROBES_EVERY, self._read_probes))
            self._spawn(self._every(ROTATE_EVERY, self._prove_ready))
            self._spawn(self._every(ROTATE_EVERY, self._note_bulk_senders))
        if self.settings.notices.tell:
            self._spawn(self.teller.run())
            self._spawn(self._every(LETTERS_FOLLOWED_EVERY, self._follow_letters))
            self._spawn(self._every(WRITE_EVERY, self._write_letters))
        raise_open_files(self.settings.smtp.max_connections + OTHER_FILES)
        await self.smtp.start()
        await self.http.start()
        if not self.settings.http.public_url:
            self.submissions.public_url = f"http://{self.settings.http.host}:{self.http.port}"

    async def stop(self, grace: float = 10.0) -> None:
        """Go down: close the doors, let what is under way finish for `grace` seconds, keep every outcome that is known."""
        await asyncio.gather(self.smtp.stop(grace), self.http.stop(grace))
        if self.settings.delivery.workers:
            await self.delivery.stop(grace)
        await _end(self._tasks)
        try:
            await self.submissions.counting.flush()
        except TryLater as error:
            log.warning("refusals_not_counted", error=error.code)
        if self._listener:
            await asyncio.to_thread(self._listener.stop)
        await asyncio.to_thread(self.group.stop)
        log.info("stopped")

    async def catch_up(self) -> None:
        """Do at once what the jobs do every so often: for whoever has turned the clock, and will not wait."""
        await self._look_around()
        await self.campaigns.go_live()
        await self._look_around()
        await self.following.look(at_once=True)
        await self.following.watch_switches()
        await self.campaigns.tell_of_brownouts()
        await self.campaigns.settle_fees()
        if self.settings.notices.tell:
            await self._write_letters()
            await self._follow_letters()
        self.delivery.wake()

    def reload(self) -> None:
        """Read the certificates again (SIGHUP)."""
        self.smtp.reload_certificate()

    def not_ready(self) -> list[str]:
        """What keeps this process from serving; empty when nothing does."""
        missing = []
        if time.monotonic() - self._last_refresh > 15:
            missing.append("database")
        if any(task.done() for task in self._tasks):
            missing.append("jobs")
        return missing

    # --- what the doors are given ---

    async def _authenticate(self, user: str, password: str, peer: str, /) -> Sender:
        return self.submissions.authenticate(user, password)

    async def _submit(
        self, sender: Sender, mail_from: Address | None, recipients: tuple[Address, ...], content: bytes, /,
        *, utf8: bool, peer: str, tls: str, helo: str,
    ) -> str:  # fmt: skip
        receipt = await self.submissions.submit(sender, Submission(mail_from, recipients, content, "smtp", peer))
        return receipt.id

    def _web(self) -> Web:
        return Web(
            submissions=self.submissions, database=self.database, group=self.group, clock=self.clock, facts=self.facts,
            directory=self.directory, settings=self.settings, healthy=self.not_ready, metrics=lambda: metrics.text(self),
            seal=self.installation.seal,
        )  # fmt: skip

    def _tls_files(self) -> tuple[Path, Path]:
        smtp = self.settings.smtp
        if smtp.certificate and smtp.key:
            return smtp.certificate, smtp.key
        return make_certificate(self.installation.directory, self.settings.service.name)

    # --- what tells ---

    def _teller(self) -> Teller:
        notices = self.settings.notices
        poster = Poster(
            self._resolver.addresses, private=notices.private_addresses, timeout=notices.timeout,
            ca_file=str(notices.ca_file) if notices.ca_file else None,
        )  # fmt: skip
        return Teller(
            self.database, self.group, self.clock, self.installation.seal, poster, self.submissions, self.settings.service.name,
            at_once=notices.at_once, learn=self._learn,
        )  # fmt: skip

    def _learn(self, tx: Transaction, notice: Notice, answer: Mapping[str, Any]) -> None:
        learn_case_number(tx, notice, answer, self.clock.now())

    # --- what delivery is given ---

    def _provider(self, route: Route) -> Provider:
        with self.database.read() as tx:
            secret = route_secret(tx, self.installation.seal, route.slug)
        around = Surroundings(self._resolver.addresses, self.settings.service.name)
        return make_provider(
            route.provider, route.settings, secret, around,
            connections=route.limits.connections, delivery=self.settings.delivery,
        )  # fmt: skip

    # --- what watching is given ---

    async def _in_group(self, verb: Callable[..., Any], /, *arguments: Any) -> Any:
        return await self.group.run(_run_all, (verb, arguments))

    def _needs(self, tx: Transaction, names: Sequence[str], now: datetime) -> Mapping[str, Needs]:
        return needs_by_name(
            tx, names, now, ownership=self.ownership.value, facts=self.facts.value, directory=self.directory.value,
            vendor_zone=self.settings.dns.vendor_zone,
        )  # fmt: skip

    async def _look_at_domains(self) -> None:
        await self.watching.round(self.clock.now())

    # --- keys, proofs, counts ---

    async def _rotate_keys(self) -> None:
        now = self.clock.now()
        if keyless := await self.database.reading(self._keyless, now):
            await self.rotation.make_first(keyless, now)
        done = await self.rotation.round(now)
        if done.refused:
            log.warning("zone_not_taken", zone=self.rotation.vendor_zone, reason=done.refused)

    def _keyless(self, tx: Transaction, now: datetime) -> list[str]:
        return keyless_names(
            tx, now, ownership=self.ownership.value, facts=self.facts.value, directory=self.directory.value
        )

    async def _read_probes(self) -> None:
        await self.prover.read()

    async def _prove_ready(self) -> None:
        if not (self.settings.proof.mailbox and self.settings.proof.automatic):
            return
        for domain, route in (await self.database.reading(self._unproven, self.clock.now()))[:PROOFS_AT_A_TIME]:
            try:
                await self.prover.prove(domain, route, self.ownership.value, self.ring.value, "ombud")
            except (Refused, Misconfigured) as error:  # it is told, and the others go on
                log.warning("probe_not_sent", domain=domain, route=route.slug, error=error.text())

    def _unproven(self, tx: Transaction, now: datetime) -> list[tuple[str, Route]]:
        return unproven(tx, now, ownership=self.ownership.value, facts=self.facts.value, directory=self.directory.value)

    async def _note_bulk_senders(self) -> None:
        for one in await self._in_group(note_bulk_senders, self.clock.now()):
            log.warning("bulk_sender", organisation=one.organisation, receiver=one.receiver, reason=one.reason)

    # --- jobs ---

    def _spawn(self, work: Awaitable[None]) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _every(self, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await job()
            except TryLater as error:  # the database is away; the next time may find it back
                log.warning("job_failed", job=job.__name__, error=error.code)
            except Exception:
                log.exception("job_failed", job=job.__name__)  # a job that ended would not come again

    async def _look_around(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._refresh)

    def _refresh(self) -> None:
        """Read again what is kept in memory, if it has changed; see how much room the disk has."""
        for snapshot in (self.directory, self.ownership, self.facts, self.ring):
            snapshot.refresh(self.database)
        self.submissions.look_at_disk()
        self._last_refresh = time.monotonic()

    async def _beat(self) -> None:
        await self.group.run(_beat_all, (self.delivery.worker, self.settings.delivery.lease_seconds))

    async def _recover(self, *, alone: bool = False) -> None:
        resend = AFTER_UNKNOWN if self.settings.delivery.unknown == "resend" else None
        taken = await self.group.run(_recover_all, (self.delivery.worker if alone else None, self.clock, resend))
        if taken:
            maillog.recovered(taken)
            self.delivery.wake()

    async def _follow_letters(self) -> None:
        await self.group.run(_follow_all, self.clock)

    async def _write_letters(self) -> None:
        """Work out, by reading only, which letters are due; then put them."""
        due = await self.database.reading(due_letters, self.clock.now())
        for start in range(0, max(1, len(due)), LETTERS_A_COMMIT):  # mail that comes in does not wait for all of them
            await self.group.run(_write_all, (due[start : start + LETTERS_A_COMMIT], self.installation))
        self.teller.wake()

    async def _raise_alarms(self) -> None:
        """Look at what customers have used; tell them of what they have reached, and hold what is over a hard cap."""
        due = await self.database.reading(due_alarms, self.clock.now())
        if due:
            await self.group.run(_alarm_all, (due, self.installation))
            self.teller.wake()

    async def _forget(self) -> None:
        await self.group.run(_forget_all, (timedelta(days=self.settings.limits.idempotency_days), self.clock))
        await self._forget_bodies()

    async def _forget_bodies(self) -> None:
        """Look through all bytes that are kept, some messages at a time: mail that comes in does not wait for it."""
        before, forgotten, after = self.clock.now() - timedelta(days=self.settings.privacy.body_days), 0, ""
        while True:
            over, after = await self.database.reading(queue.bodies_to_forget, before, after, BODIES_A_COMMIT)
            if over:
                forgotten += await self.group.run(_forget_bodies_all, over)
            if not after:
                break
        if forgotten:
            log.info("bodies_forgotten", messages=forgotten)


async def _end(jobs: Sequence[asyncio.Task[None]]) -> None:
    """Cancel them until they are gone.

    Once is not enough: `asyncio.wait_for` of Python 3.11, by which dnspython waits, loses a cancellation that comes in the same
    turn of the loop as what it waits for; the job would go on as if nothing had been said, for ever.
    """
    left = set(jobs)
    for _ in range(CANCEL_MOST):
        if not left:
            return
        for job in left:
            job.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN)
    log.error("jobs_not_ended", jobs=" ".join(sorted(str(job.get_coro()) for job in left)))


def _call_on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)


def _run_all(tx: Transaction, pieces: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[Any]:
    return [verb(tx, *arguments) for verb, arguments in pieces]


def _beat_all(tx: Transaction, beats: Sequence[tuple[str, int]]) -> list[None]:
    for worker, seconds in beats:
        queue.beat(tx, worker, seconds)
    return [None] * len(beats)


def _recover_all(tx: Transaction, pieces: Sequence[tuple[str | None, Clock, timedelta | None]]) -> list[int]:
    return [queue.recover(tx, clock.now(), resend, all_but=alone) for alone, clock, resend in pieces]


def _follow_all(tx: Transaction, pieces: Sequence[Clock]) -> list[None]:
    for clock in pieces:
        follow_letters(tx, clock.now())
    return [None] * len(pieces)


def _write_all(tx: Transaction, pieces: Sequence[tuple[list[Letter], Installation]]) -> list[int]:
    written = []
    for due, installation in pieces:
        writer, now = letter_writer(tx, installation.seal, installation.settings), installation.clock.now()
        new = put_letters(tx, writer, due, now)
        directory, choices = load_directory(tx), load_choices(tx)
        for campaign in choices.campaigns:
            new += tell_what_it_did(tx, campaign, directory, writer, now)
        written.append(len(new))
    return written


def _alarm_all(tx: Transaction, pieces: Sequence[tuple[list[Alarm], Installation]]) -> list[int]:
    raised = []
    for due, installation in pieces:
        now = installation.clock.now()
        new = put_alarms(tx, due, now)
        put_letters(tx, letter_writer(tx, installation.seal, installation.settings), usage_letters(tx, new, now), now)
        raised.append(len(new))
    return raised


def _forget_all(tx: Transaction, pieces: Sequence[tuple[timedelta, Clock]]) -> list[int]:
    return [forget_older(tx, than, clock.now()) for than, clock in pieces]


def _forget_bodies_all(tx: Transaction, pieces: Sequence[Sequence[str]]) -> list[int]:
    return [queue.forget_bodies(tx, ids) for ids in pieces]


@contextmanager
def alone(installation: Installation) -> Iterator[None]:
    """On SQLite there is one service process; a second is refused. On PostgreSQL there may be any number. Raises Misconfigured."""
    if installation.database.postgres:
        yield
        return
    with (installation.directory / "serve.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Misconfigured(reason="another `ombud serve` runs here; on SQLite there can be only one") from error
        yield


async def serve(
    installation: Installation, until: asyncio.Event, started: Callable[[Service], None] | None = None
) -> None:
    """Run the service until the event is set."""
    with alone(installation):
        service = Service(installation)
        await service.start()
        try:
            if started:
                started(service)
            await until.wait()
        finally:
            await service.stop()
