"""Telling what the outbox holds: posts webhooks, hands letters to the one way in, and writes down what came of it.

Any number of processes may tell from one database. Each receiver has its own few places in every process, so one that hangs
delays nobody else's notices.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from ombud.accounts import Mode, Sender
from ombud.accounts.vendor import Vendor, load_vendor
from ombud.clock import Clock
from ombud.db import Database, GroupCommit, Transaction
from ombud.errors import DomainNotYours, NoRoute, OmbudError, TryLater
from ombud.ids import new_id
from ombud.mail.address import Mailbox, parse_address
from ombud.mail.compose import Draft, compose
from ombud.notices.letters import submitted
from ombud.notices.outbox import Kind, Notice, State, Told, claim, due_targets, settle
from ombud.notices.posting import Answer, Poster
from ombud.notices.webhooks import Webhook, body_of, load_webhooks, signed_headers
from ombud.queue import Stream
from ombud.seal import Seal
from ombud.submission import Options, Submission, Submissions
from ombud.submission.idempotency import Key

log = structlog.get_logger("ombud.notices")

#: Letters handed in at a time, whoever they are to: the queue takes it from there.
LETTERS_AT_ONCE = 50
LOOK_EVERY = 1.0
_UNREACHABLE = "there is no webhook of that name: add one, and it is told"
_NO_SENDER = "nobody is set as the sender of letters: add customer and sender to [vendor], and `ombud apply`"
#: What a notice's answer is given to, in the transaction that settles it.
Learn = Callable[[Transaction, Notice, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class _Settled:
    notice: Notice
    told: Told
    now: datetime
    message_id: str
    learn: Learn | None


class Teller:
    """Tells until it is cancelled: `await run()`. `tell_due()` tells what is due now, once, for commands and tests."""

    def __init__(
        self, database: Database, group: GroupCommit, clock: Clock, seal: Seal, poster: Poster,
        submissions: Submissions, service_name: str, *, at_once: int = 5, learn: Learn | None = None,
    ) -> None:  # fmt: skip
        self._database, self._group, self._clock, self._seal, self._poster = database, group, clock, seal, poster
        self._submissions, self._service_name, self._at_once, self._learn = submissions, service_name, at_once, learn
        self._under_way: dict[tuple[Kind, str], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something to tell."""
        self._woken.set()

    async def run(self) -> None:
        async with self._poster:
            try:
                while True:
                    try:
                        await self._begin()
                    except TryLater as error:  # the database is away; the next look may find it back
                        log.warning("telling_waits", error=error.code)
                    except Exception:
                        log.exception("telling_failed")
                    await self._wait()
            finally:
                # What is under way has its claim; what is not settled is told again, under the same id.
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def tell_due(self) -> None:
        """Tell what is due now, and wait until it is told or has failed."""
        while await self._begin():
            await asyncio.gather(*self._tasks)

    async def _wait(self) -> None:
        self._woken.clear()
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _begin(self) -> int:
        """Take what is due, as much as there are places for, and begin to tell it. Returns how many."""
        due = await self._database.reading(due_targets)
        began = 0
        for (kind, target), number in due.items():
            places = min(number, self._places(kind, target))
            for notice in await self._group.run(_claim_all, (kind, target, places)) if places > 0 else ():
                self._start(notice)
                began += 1
        return began

    def _places(self, kind: Kind, target: str) -> int:
        if kind is Kind.MAIL:
            return LETTERS_AT_ONCE - sum(n for (one, _), n in self._under_way.items() if one is Kind.MAIL)
        return self._at_once - self._under_way.get((kind, target), 0)

    def _start(self, notice: Notice) -> None:
        place = (notice.kind, notice.target)
        self._under_way[place] = self._under_way.get(place, 0) + 1
        task = asyncio.create_task(self._tell(notice))
        self._tasks.add(task)

        def done(_: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._under_way[place] -= 1
            if not self._under_way[place]:
                del self._under_way[place]
            self.wake()

        task.add_done_callback(done)

    async def _tell(self, notice: Notice) -> None:
        try:
            told, message_id = await (self._post(notice) if notice.kind is Kind.WEBHOOK else self._mail(notice))
            settled = _Settled(notice, told, self._clock.now(), message_id, self._learn)
            state = await self._group.run(_settle_all, settled)
        except TryLater as error:  # not even settled: the claim runs out, and it is told again
            log.warning("notice_unsettled", notice=notice.ref, error=error.code)
            return
        except Exception:
            log.exception("notice_failed", notice=notice.ref)
            return
        write = log.error if state is State.GIVEN_UP else log.info if told.ok else log.warning
        write(
            "notice",
            notice=notice.ref,
            kind=notice.kind,
            state=state,
            tries=notice.tries,
            status=told.status,
            words=told.words[:200],
        )

    # --- webhooks ---

    async def _post(self, notice: Notice) -> tuple[Told, str]:
        webhook = (await self._database.reading(load_webhooks, self._seal)).get(notice.target)
        if webhook is None:
            return Told(False, words=_UNREACHABLE), ""
        answer = await self._posted(webhook, notice)
        again = timedelta(seconds=answer.retry_after) if answer.retry_after else None
        ok = 200 <= answer.status < 300
        return Told(ok, answer.status, answer.words, answer.seconds, again, _json_object(answer) if ok else None), ""

    async def _posted(self, webhook: Webhook, notice: Notice) -> Answer:
        body = body_of(notice)
        # The wall's clock, not the business one: the receiver compares it with its own.
        headers = signed_headers(webhook, notice.ref, body, datetime.now(UTC))
        return await self._poster.post(webhook.url, headers, body)

    # --- mail ---

    async def _mail(self, notice: Notice) -> tuple[Told, str]:
        """Hand it to the one way in, where the notice's id keeps it from being taken in twice."""
        vendor = await self._database.reading(load_vendor)
        if vendor is None:
            return Told(False, words=_NO_SENDER), ""
        try:
            sender = Sender(0, vendor.product, vendor.customer, Mode.LIVE)
            receipt = await self._submissions.submit(sender, self._submission(vendor, notice))
        except (DomainNotYours, NoRoute) as error:
            return Told(False, words=f"{error.text()} (The vendor's own: see [vendor].)"), ""
        except OmbudError as error:
            return Told(False, words=error.text()), ""
        return Told(True, 250, receipt.id), receipt.id

    def _submission(self, vendor: Vendor, notice: Notice) -> Submission:
        payload = notice.payload
        recipient = parse_address(notice.target)
        draft = Draft(
            from_=vendor.sender,
            to=(Mailbox(_one_line(payload.get("name", "")), recipient),),
            reply_to=(vendor.reply_to,) if vendor.reply_to else (),
            subject=_one_line(payload.get("subject", "")),
            text=str(payload.get("text", "")),
            html=str(payload["html"]) if payload.get("html") else None,
            headers=(("Auto-Submitted", "auto-generated"),),  # RFC 3834 5: no out-of-office answers, please
        )
        content = compose(draft, message_id=f"<{new_id()}@{self._service_name}>", date=self._clock.now())
        options = Options(
            stream=Stream(payload.get("stream", Stream.TRANSACTIONAL)),
            tags=tuple(payload.get("tags", ())),
            idempotency=Key(0, notice.ref, hashlib.sha256(notice.ref.encode()).digest()),
        )
        return Submission(vendor.sender.address, (recipient,), content, "notices", options=options)


def _claim_all(tx: Transaction, pieces: Sequence[tuple[Kind, str, int]]) -> list[list[Notice]]:
    return [claim(tx, kind, target, most) for kind, target, most in pieces]


def _settle_all(tx: Transaction, pieces: Sequence[_Settled]) -> list[State | None]:
    results = []
    for one in pieces:
        state = settle(tx, one.notice, one.told, one.now)
        if state is State.TOLD and one.message_id:
            submitted(tx, one.notice.ref, one.message_id)
        if state is State.TOLD and one.told.answer and one.learn:
            # Whatever they answer, the notice is told: an answer that makes no sense must not have it told again.
            try:
                with tx.savepoint():
                    one.learn(tx, one.notice, one.told.answer)
            except OmbudError as error:
                log.warning("answer_refused", notice=one.notice.ref, error=error.code, detail=error.text())
        results.append(state)
    return results


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _json_object(answer: Answer) -> Mapping[str, Any] | None:
    """What the receiver answered, if it is a JSON object."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
