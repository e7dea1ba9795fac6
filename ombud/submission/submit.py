"""The one way in. Every door builds a Submission and calls `submit`; what is decided about mail that comes in is decided here.

    well_formed · whose_mail · may_send_as · not_too_fast · room · which_way · complete      then one transaction, synced

Only when that transaction is committed does the door say yes. Between the last byte and the yes nothing is asked of the
network, and no table is read but the one of idempotency keys: who is who is known from memory.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError

from ombud import maillog
from ombud.accounts import Customer, Directory, Mode, Product, Sender
from ombud.clock import Clock
from ombud.db import Database, GroupCommit, Transaction
from ombud.db.snapshot import Snapshot
from ombud.domains import Ownership
from ombud.errors import (
    BadField,
    BadRequest,
    CustomerSuspended,
    CustomerUnclear,
    DiskFull,
    DomainNotYours,
    IdempotencyMismatch,
    MailLoop,
    NoActiveChoice,
    NoRoute,
    NotFound,
    OmbudError,
    RegionNotAllowed,
    StillRunning,
    TooManyRecipients,
)  # fmt: skip
from ombud.ids import new_id
from ombud.mail import personal
from ombud.mail.address import Mailbox, parse_mailbox
from ombud.mail.compose import Draft
from ombud.mail.message import Examined, examine, fold, header_values, without_headers
from ombud.queue import NewMessage, NewRecipient, State, Stream, put
from ombud.routing import Action, Decision, Facts, decide_all, last_day
from ombud.settings import Settings
from ombud.submission.counting import Counting, write_counts
from ombud.submission.counting import Key as Count
from ombud.submission.idempotency import Key, remember, remembered
from ombud.submission.incoming import Batch, Item, Options, Receipt, Submission, with_fields
from ombud.submission.pace import Pace

#: More hops than any honest mail takes: it is going round (RFC 5321 6.3 says at least 100 as a last resort; 30 is common).
MOST_HOPS = 30
#: Fields that are for us or for the last hop only, and must not leave. Bcc: RFC 5322 3.6.3; Return-Path: RFC 5321 4.4.
NOT_TO_LEAVE = ("Bcc", "Return-Path", "X-Ombud-Customer", "X-Ombud-Stream", "X-Ombud-Tag")
#: Identity fields beside From: whoever they name must be the customer too, or must not be named.
ALSO_IDENTITY = (b"sender", b"resent-from", b"resent-sender")
LONGEST_WAIT = timedelta(days=30)
Incoming = TypeVar("Incoming", "Submission", "Batch")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


@dataclass(frozen=True, slots=True)
class _Acceptance:
    customer: Customer
    message: NewMessage
    key: Key | None
    answer: Mapping[str, Any]
    counts: Sequence[Count]


class Submissions:
    """The door-keeper: knows who is who from memory, and takes messages in through group commit."""

    def __init__(
        self, settings: Settings, database: Database, group: GroupCommit, clock: Clock, directory: Snapshot[Directory],
        ownership: Snapshot[Ownership], facts: Snapshot[Facts], wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._settings, self._database, self._group, self._clock, self._wake = settings, database, group, clock, wake
        self._directory, self._ownership, self._facts = directory, ownership, facts
        self._pace = Pace(settings.limits.messages_per_minute)
        self._disk = database.file.parent if database.file else None
        self._enough_disk = True
        self.public_url = settings.http.public_url.rstrip("/") or f"http://{settings.http.host}:{settings.http.port}"
        self.counting = Counting(group)
        self.accepted = 0  # recipients, since the start
        self.warned: dict[str, int] = {}  # recipients, by warning
        self.refused: dict[str, int] = {}  # messages, by error code

    # --- who ---

    def authenticate(self, user: str, secret: str) -> Sender:
        """Raises BadCredentials or CustomerSuspended."""
        return self._directory.value.authenticate(user, secret)

    def authenticate_key(self, api_key: str) -> Sender:
        """Raises BadCredentials or CustomerSuspended."""
        return self._directory.value.authenticate_key(api_key)

    # --- in ---

    async def submit(self, sender: Sender, submission: Submission) -> Receipt:
        """Take one message in. Raises Refused (change something) or TryLater (nothing was accepted); returns only when it is safe."""
        return await self._take_in(sender, submission, self._made_ready)

    async def submit_batch(self, sender: Sender, batch: Batch) -> Receipt:
        """Take a batch in: one content, many recipients, one result for each in the answer's `results`. Raises as `submit`."""
        return await self._take_in(sender, batch, self._batch_made_ready)

    async def _take_in(
        self, sender: Sender, incoming: Incoming, made_ready: Callable[[Sender, Incoming], _Acceptance]
    ) -> Receipt:
        product, door, peer = sender.product.slug, incoming.door, incoming.peer
        try:
            acceptance = made_ready(sender, incoming)
            receipt = await self._accept(acceptance)
        except OmbudError as error:
            # A call that was accepted once stays accepted: its answer does not change because something else has since.
            if earlier := await self._earlier(incoming.options.idempotency):
                return earlier
            self.refused[error.code] = self.refused.get(error.code, 0) + 1
            maillog.refused(error.code, sender.customer.slug if sender.customer else "", product, door, peer)
            raise
        if not receipt.replayed:
            message = acceptance.message
            self.accepted += len(message.recipients)
            for one in message.recipients:
                if one.warning:
                    self.warned[one.warning] = self.warned.get(one.warning, 0) + 1
            self._wake()
            maillog.accepted(
                message.id, acceptance.customer.slug, product, message.mode, door, peer, len(message.recipients),
                len(message.content), message.recipients[0].reason,
            )  # fmt: skip
        return receipt

    async def _earlier(self, key: Key | None) -> Receipt | None:
        """The first answer to this very call, if it was made before."""
        if key is None:
            return None
        found = (await self._database.reading(remembered, [key])).get((key.credential_id, key.key))
        return (
            Receipt(found.answer["id"], found.answer, replayed=True)
            if found and found.fingerprint == key.fingerprint
            else None
        )

    async def _accept(self, acceptance: _Acceptance) -> Receipt:
        try:
            return await self._group.run(_accept_all, acceptance)
        except IntegrityError as error:
            # Another process has just put the same key in; its answer will be there in a moment.
            raise StillRunning(key=acceptance.key.key if acceptance.key else "") from error

    # --- the steps for one message ---

    def _made_ready(self, sender: Sender, submission: Submission) -> _Acceptance:
        now = self._clock.now()
        if len(submission.recipients) > self._settings.smtp.max_recipients:
            raise TooManyRecipients(limit=self._settings.smtp.max_recipients)
        examined = examine(submission.content, self._settings.smtp.max_size)
        options = with_fields(submission.options, submission.content, examined)
        customer = self._whose_mail(sender, options.customer, examined.from_.address.domain)
        self._may_send_as(customer, submission, examined)
        self._pace.take(customer.id, 1)
        self._room()
        addresses = [str(address) for address in dict.fromkeys(submission.recipients)]  # one named twice gets one copy
        decisions = self._which_way(sender, customer, addresses, examined.from_.address.domain, options, now)
        id = new_id()
        content, message_id = self._completed(id, submission, examined, now)
        message = NewMessage(
            **self._common(id, sender, customer, options, now), door=submission.door, peer=submission.peer,
            mail_from=str(submission.mail_from or ""), header_from=str(examined.from_.address), message_id=message_id.strip("<>"),
            subject=examined.subject, content=content, needs_utf8=examined.needs_utf8,
            recipients=[
                NewRecipient(address, _state(decision, options, now), decision.reason, _route_id(decision), None, _warning(decision))
                for address, decision in zip(addresses, decisions, strict=True)
            ],
        )  # fmt: skip
        return _Acceptance(
            customer,
            message,
            options.idempotency,
            {"id": id, "message_id": message_id, "recipients": len(message.recipients)},
            self.counting.accepted(message),
        )

    def _whose_mail(self, sender: Sender, named: str, from_domain: str) -> Customer:
        """The credential's customer; for a product-wide credential the one that is named, or the From domain's owner."""
        if sender.customer:
            if named and named != sender.customer.slug:
                raise NotFound(kind="customer", name=named)
            return sender.customer
        directory = self._directory.value
        if named:
            customer = directory.customer(named)
        elif owned := self._ownership.value.owner(from_domain):
            customer = directory.customer_by_id(owned.customer_id)
        else:
            raise CustomerUnclear()
        if customer.suspended:
            raise CustomerSuspended(customer=customer.name)
        return customer

    def _may_send_as(self, customer: Customer, submission: Submission, examined: Examined) -> None:
        """Every address that claims to be the sender must lie in a domain that the customer has proved."""
        claimed = [examined.from_.address.domain]
        if submission.mail_from:
            claimed.append(submission.mail_from.domain)
        if not examined.names.isdisjoint(ALSO_IDENTITY):
            claimed += [
                parse_mailbox(value).address.domain
                for name in ALSO_IDENTITY
                for value in header_values(submission.content, name.decode())
            ]
        for domain in claimed:
            self._owns(customer, domain)

    def _owns(self, customer: Customer, domain: str) -> None:
        owned = self._ownership.value.owner(domain)
        if owned is None or owned.customer_id != customer.id:
            raise DomainNotYours(domain=domain)

    def _room(self) -> None:
        if not self._enough_disk:
            raise DiskFull()

    def look_at_disk(self) -> None:
        """Find out whether there is room for more mail; called every second or so. Outcomes of mail that is in may still be written."""
        if self._disk:
            self._enough_disk = shutil.disk_usage(self._disk).free >= self._settings.service.min_free

    def _which_way(
        self, sender: Sender, customer: Customer, addresses: Sequence[str], sender_domain: str, options: Options, now: datetime
    ) -> list[Decision]:  # fmt: skip
        """The way of each recipient. Raises NoActiveChoice, NoRoute or RegionNotAllowed."""
        facts, product = self._facts.value, sender.product
        decisions = decide_all(
            facts, customer.id, product.id, now, addresses, sender_domain=sender_domain, test=sender.mode is Mode.TEST,
            important=options.stream is Stream.IMPORTANT, bulk=options.stream is Stream.BULK,
        )  # fmt: skip
        for decision in decisions:
            if decision.action is Action.REFUSE:
                self.counting.refused(customer.id, product.id, len(addresses), now)
                raise self._refusal(decision, customer, product)
        return decisions

    def _refusal(self, decision: Decision, customer: Customer, product: Product) -> OmbudError:
        if decision.reason == "no_active_choice" and decision.campaign and decision.since:
            return NoActiveChoice(
                customer=customer.name, product=product.name, stop_date=last_day(decision.since),
                url=f"{self.public_url}/choose/{decision.campaign.slug}/{customer.slug}",
            )  # fmt: skip
        if decision.route:
            of_campaign = decision.campaign.allowed_regions if decision.campaign else frozenset()
            allowed = of_campaign or self._facts.value.allowed_regions
            return RegionNotAllowed(
                route=decision.route.slug, region=decision.route.region, allowed=", ".join(sorted(allowed))
            )
        return NoRoute(customer=customer.name, product=product.name)

    def _completed(self, id: str, submission: Submission, examined: Examined, now: datetime) -> tuple[bytes, str]:
        """The message as it will leave but for the signature: without what is not to leave, with a trace and what it lacks."""
        content = submission.content
        if not examined.names.isdisjoint(_NOT_TO_LEAVE):
            content = without_headers(content, NOT_TO_LEAVE)
        if b"received" in examined.names and len(header_values(content, "Received")) > MOST_HOPS:
            raise MailLoop(hops=MOST_HOPS)
        date, message_id = _date(now.replace(microsecond=0)), examined.message_id
        # RFC 5321 4.4: whoever takes mail in puts a trace on top. Not the submitter's address: it is the customer's own affair.
        name = self._settings.service.name
        added = [fold("Received", f"by {name} (Ombud) with {_PROTOCOLS[submission.door]} id {id}; {date}")]
        if message_id is None:  # RFC 6409 8.3
            message_id = f"<{id}@{name}>"
            added.append(fold("Message-ID", message_id))
        if not examined.has_date:  # RFC 6409 8.2
            added.append(fold("Date", date))
        return b"".join([*added, content]), message_id

    def _common(self, id: str, sender: Sender, customer: Customer, options: Options, now: datetime) -> dict[str, Any]:
        wait = options.deliver_at - now if options.deliver_at else timedelta(0)
        if wait > LONGEST_WAIT:
            raise BadField(field="deliver_at", reason=f"it is more than {LONGEST_WAIT.days} days ahead")
        for tag in options.tags:
            if not _TAG.fullmatch(tag):
                raise BadField(field="tags", reason="a tag is 1 to 64 letters, digits and _ . : -")
        return {
            "id": id, "customer_id": customer.id, "product_id": sender.product.id, "credential_id": sender.credential_id,
            "mode": sender.mode, "stream": options.stream, "tags": options.tags, "metadata": options.metadata, "created_at": now,
            "wait": max(wait, timedelta(0)), "expire_after": timedelta(hours=self._settings.delivery.expire_after_hours),
        }  # fmt: skip

    # --- the steps for a batch ---

    def _batch_made_ready(self, sender: Sender, batch: Batch) -> _Acceptance:
        now = self._clock.now()
        customer = self._whose_mail(sender, batch.options.customer, batch.draft.from_.address.domain)
        self._owns(customer, batch.draft.from_.address.domain)
        needed = personal.variables(batch.draft)
        items = [_fit(item, needed) for item in batch.items]
        good = [item for item in items if isinstance(item, Item)]
        if not good:
            first = next((item for item in items if isinstance(item, OmbudError)), None)
            raise first or BadRequest(reason="the batch has no recipients")
        content = personal.pack(batch.draft)
        self._fits(batch.draft, good, content, now)
        self._pace.take(customer.id, len(good))
        self._room()
        addresses = [str(item.to.address) for item in good]
        decisions = self._which_way(sender, customer, addresses, batch.draft.from_.address.domain, batch.options, now)
        id = new_id()
        address = str(batch.draft.from_.address)
        message = NewMessage(
            **self._common(id, sender, customer, batch.options, now), door=batch.door, peer=batch.peer, mail_from=address,
            header_from=address, message_id=f"{id}@{self._settings.service.name}", subject=batch.draft.subject, content=content,
            personal=True, recipients=[
                NewRecipient(
                    to, _state(decision, batch.options, now), decision.reason, _route_id(decision),
                    {**item.variables, **_name(item.to)}, _warning(decision),
                )
                for to, item, decision in zip(addresses, good, decisions, strict=True)
            ],
        )  # fmt: skip
        return _Acceptance(
            customer,
            message,
            batch.options.idempotency,
            {"id": id, "recipients": len(good), "results": _results(id, items)},
            self.counting.accepted(message),
        )

    def _fits(self, draft: Draft, items: Sequence[Item], content: bytes, now: datetime) -> None:
        """Make out one copy for real, so that a content that cannot be sent is refused now and not found out later."""
        copy = personal.make_out(content, items[0].to, items[0].variables, message_id="<a@b.example>", date=now)
        examine(copy, self._settings.smtp.max_size)


@lru_cache(maxsize=16)  # many come in the same second
def _date(moment: datetime) -> str:
    return format_datetime(moment)


_NOT_TO_LEAVE = {name.lower().encode() for name in NOT_TO_LEAVE}
# RFC 3848: ESMTPSA is ESMTP with TLS and AUTH. For the other doors there is no registered word; HTTPS says what it was.
_PROTOCOLS = {"smtp": "ESMTPSA", "http": "HTTPS", "cli": "LOCAL", "notices": "LOCAL"}


def _state(decision: Decision, options: Options, now: datetime) -> State:
    """HELD where the decision says so; but what is to leave later only waits for now, and is decided about when it is due."""
    if decision.action is Action.SEND or (options.deliver_at and options.deliver_at > now):
        return State.WAITING
    return State.HELD


def _warning(decision: Decision) -> str | None:
    return decision.warnings[0] if decision.warnings else None


def _route_id(decision: Decision) -> int | None:
    return decision.route.id if decision.route else None


def _name(mailbox: Mailbox) -> dict[str, str]:
    return {personal.NAME: mailbox.name} if mailbox.name else {}


def _fit(item: Item | OmbudError, needed: frozenset[str]) -> Item | OmbudError:
    """The item, or what is wrong with it."""
    if isinstance(item, OmbudError):
        return item
    return personal.missing(item.variables, needed) or item


def _results(id: str, items: Sequence[Item | OmbudError]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    n = 0
    for item in items:
        if isinstance(item, Item):
            results.append({"status": "accepted", "id": f"{id}-{n}", "to": str(item.to.address)})
            n += 1
        else:
            results.append({"status": "refused", "code": item.code, "detail": item.text()})
    return results


def _accept_all(tx: Transaction, acceptances: Sequence[_Acceptance]) -> list[Receipt | Exception]:
    """The verb of acceptance: messages, recipients, events, idempotency keys and counts, in one transaction."""
    keys = [acceptance.key for acceptance in acceptances if acceptance.key]
    earlier = remembered(tx, keys) if keys else {}
    results: list[Receipt | Exception] = []
    accepted: list[_Acceptance] = []
    for acceptance in acceptances:
        message, key = acceptance.message, acceptance.key
        known = earlier.get((key.credential_id, key.key)) if key else None
        if key and known:
            replay = Receipt(known.answer["id"], known.answer, replayed=True)
            results.append(replay if known.fingerprint == key.fingerprint else IdempotencyMismatch(key=key.key))
        elif key and any(
            other.key and other.key.key == key.key and other.key.credential_id == key.credential_id
            for other in accepted
        ):
            results.append(StillRunning(key=key.key))
        else:
            accepted.append(acceptance)
            results.append(Receipt(message.id, acceptance.answer))
    if accepted:
        put(tx, [acceptance.message for acceptance in accepted])
        remember(tx, [(one.key, one.answer) for one in accepted if one.key], accepted[0].message.created_at)
        write_counts(tx, [key for one in accepted for key in one.counts])
    return results
