"""The one way in: who may send as whom, what is let through, and what a repeated call gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func as sql
from sqlalchemy import select

from ombud import settings as settings_module
from ombud.accounts import Mode, Sender, load_directory, suspend_customer
from ombud.clock import TurnedClock
from ombud.db import Database, GroupCommit
from ombud.db.snapshot import Snapshot
from ombud.domains import load_ownership, prove_domain
from ombud.errors import (
    BadField,
    BareLineBreak,
    CustomerSuspended,
    CustomerUnclear,
    DomainNotYours,
    FromNotSingle,
    IdempotencyMismatch,
    MailLoop,
    MissingVariable,
    NoRoute,
    NotFound,
    OmbudError,
    RegionNotAllowed,
    TooBig,
    TooManyRecipients,
)  # fmt: skip
from ombud.mail.address import Mailbox, parse_address
from ombud.mail.compose import Draft
from ombud.mail.message import examine
from ombud.queue import Scope, Stream, content, get_message, list_messages
from ombud.queue.find import Filter
from ombud.queue.tables import message_table
from ombud.routing import assign, load_facts, put_allowed_regions, put_route, unassign
from ombud.seal import Seal
from ombud.submission import Batch, Item, Key, Options, Receipt, Submission, Submissions
from tests.conftest import NOON, Cast

ANNA = parse_address("anna@post.example")


@dataclass
class Desk:
    database: Database
    submissions: Submissions
    cast: Cast
    clock: TurnedClock
    snapshots: tuple[Snapshot[Any], ...]

    def sender(self, customer: str | None = "eken", mode: Mode = Mode.LIVE, credential: int = 1) -> Sender:
        return Sender(credential, self.cast.hyra, getattr(self.cast, customer) if customer else None, mode)

    async def submit(
        self, header: str = "From: hyra@eken.example\r\nSubject: Avi\r\n", *, customer: str | None = "eken",
        mail_from: str | None = "hyra@eken.example", to: int = 1, credential: int = 1, raw: bytes | None = None, **options: Any,
    ) -> Receipt:  # fmt: skip
        recipients = tuple(parse_address(f"r{n}@post.example") for n in range(to))
        submission = Submission(
            parse_address(mail_from) if mail_from else None, recipients, raw or header.encode() + b"\r\nHej\r\n", "smtp",
            options=Options(**options),
        )  # fmt: skip
        return await self.submissions.submit(self.sender(customer, credential=credential), submission)

    def stored(self) -> int:
        with self.database.read() as tx:
            return int(tx.execute(select(sql.count()).select_from(message_table)).scalar_one())

    def refresh(self) -> None:
        for snapshot in self.snapshots:
            snapshot.refresh(self.database)


@pytest.fixture
async def desk(database: Database, cast: Cast, tmp_path: Path) -> AsyncIterator[Desk]:
    with database.write() as tx:
        put_route(tx, Seal(b"k" * 32), "relay", "smtp", {"host": "relay.example"}, None, NOON, region="EU")
        route = load_facts(tx).route("relay")
        assert route
        assign(tx, None, cast.hyra.id, route.id, NOON)
        prove_domain(tx, "eken.example", cast.eken, "operator", "the tests", NOON)
        prove_domain(tx, "linden.example", cast.linden, "operator", "the tests", NOON)
        prove_domain(tx, "delad.eken.example", cast.linden, "operator", "the tests", NOON)
    snapshots = Snapshot(load_directory), Snapshot(load_ownership), Snapshot(load_facts)
    group = GroupCommit(database)
    group.start()
    clock = TurnedClock(NOON)
    settings = settings_module.load(tmp_path, service={"name": "ombud.example", "min_free": 0})
    desk = Desk(
        database, Submissions(settings, database, group, clock, *snapshots, lambda: None), cast, clock, snapshots
    )
    desk.refresh()
    yield desk
    await asyncio.to_thread(group.stop)


# --- who ---


@pytest.mark.parametrize(
    "field",
    [
        "From: h@linden.example",
        "From: h@eken.example\r\nSender: h@linden.example",
        "From: h@eken.example\r\nResent-From: h@linden.example",
    ],
)
async def test_no_field_that_names_a_sender_may_name_someone_elses_domain(desk: Desk, field: str) -> None:
    with pytest.raises(DomainNotYours):
        await desk.submit(field + "\r\n")
    assert desk.stored() == 0


async def test_nor_may_the_envelope(desk: Desk) -> None:
    with pytest.raises(DomainNotYours):
        await desk.submit(mail_from="h@linden.example")


async def test_the_null_sender_may_be_used(desk: Desk) -> None:
    await desk.submit(mail_from=None)
    assert desk.stored() == 1


async def test_a_subdomain_of_a_proved_domain_is_the_owners(desk: Desk) -> None:
    await desk.submit("From: h@avi.eken.example\r\n")


async def test_unless_someone_else_has_proved_the_subdomain(desk: Desk) -> None:
    with pytest.raises(DomainNotYours):
        await desk.submit("From: h@delad.eken.example\r\n")


async def test_nobodys_domain_is_refused(desk: Desk) -> None:
    with pytest.raises(DomainNotYours):
        await desk.submit("From: h@someone.example\r\n")


async def test_a_domain_that_only_looks_alike_is_refused(desk: Desk) -> None:
    for domain in ("eken.example.evil.example", "xeken.example", "eken-example.example", "example"):
        with pytest.raises(OmbudError):
            await desk.submit(f"From: h@{domain}\r\n")
    assert desk.stored() == 0


async def test_a_product_wide_credential_takes_the_from_domains_owner(desk: Desk) -> None:
    receipt = await desk.submit(customer=None)
    with desk.database.read() as tx:
        assert get_message(tx, Scope(), receipt.id).customer_id == desk.cast.eken.id


async def test_a_product_wide_credential_may_name_the_customer(desk: Desk) -> None:
    await desk.submit("From: h@eken.example\r\nX-Ombud-Customer: eken\r\n", customer=None)
    with pytest.raises(DomainNotYours):
        await desk.submit("From: h@eken.example\r\nX-Ombud-Customer: linden\r\n", customer=None)


async def test_a_product_wide_credential_and_an_unknown_domain_is_unclear(desk: Desk) -> None:
    with pytest.raises(CustomerUnclear):
        await desk.submit("From: h@someone.example\r\n", customer=None)


async def test_a_customers_credential_cannot_name_another_customer(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.submit("From: h@linden.example\r\nX-Ombud-Customer: linden\r\n")


async def test_a_suspended_customers_mail_is_refused(desk: Desk) -> None:
    with desk.database.write() as tx:
        suspend_customer(tx, "eken", NOON)
    desk.refresh()
    with pytest.raises(CustomerSuspended):
        await desk.submit(customer=None)


# --- what ---


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"From: h@eken.example\r\nFrom: h@eken.example\r\n\r\n", OmbudError),
        (b"From: h@eken.example, h@linden.example\r\n\r\nHej\r\n", FromNotSingle),
        (b"Subject: no from\r\n\r\nHej\r\n", FromNotSingle),
        (b"From: h@eken.example\r\n\r\nHej\nBcc: x@y.example\r\n", BareLineBreak),
        (b"From: h@eken.example\r\n\r\n" + b"x" * 26 * 1024 * 1024 + b"\r\n", TooBig),
        (b"Received: by a\r\n" * 31 + b"From: h@eken.example\r\n\r\nHej\r\n", MailLoop),
        (b"From: h@eken.example\r\nX-Ombud-Stream: whatever\r\n\r\nHej\r\n", BadField),
    ],
)
async def test_bad_mail_is_refused_with_its_own_code_and_nothing_is_kept(
    desk: Desk, content: bytes, error: type[OmbudError]
) -> None:
    with pytest.raises(error):
        await desk.submit(raw=content)
    assert desk.stored() == 0
    assert sum(desk.submissions.refused.values()) == 1


async def test_the_1001st_recipient_is_refused(desk: Desk) -> None:
    with pytest.raises(TooManyRecipients):
        await desk.submit(to=1001)
    await desk.submit(to=1000)


async def test_a_recipient_named_twice_gets_one_copy(desk: Desk) -> None:
    submission = Submission(None, (ANNA, ANNA), b"From: h@eken.example\r\n\r\nHej\r\n", "http")
    receipt = await desk.submissions.submit(desk.sender(), submission)
    assert receipt.answer["recipients"] == 1


async def test_stream_and_tags_may_be_said_in_the_header(desk: Desk) -> None:
    await desk.submit("From: h@eken.example\r\nX-Ombud-Stream: important\r\nX-Ombud-Tag: avi, maj\r\n")
    with desk.database.read() as tx:
        ((found,), _) = list_messages(tx, Scope(), Filter(tag="maj"), 10)
    assert (found.stream, list(found.tags)) == (Stream.IMPORTANT, ["avi", "maj"])


async def test_what_is_kept_passes_the_gate_and_has_date_and_message_id(desk: Desk) -> None:
    receipt = await desk.submit()
    with desk.database.read() as tx:
        examined = examine(content(tx, Scope(), receipt.id), 1 << 20)
    assert examined.has_date
    assert examined.message_id == receipt.answer["message_id"]


async def test_no_way_out_is_told_before_anything_is_taken_in(desk: Desk) -> None:
    with desk.database.write() as tx:
        unassign(tx, None, desk.cast.hyra.id)
    desk.refresh()
    with pytest.raises(NoRoute):
        await desk.submit()
    assert desk.stored() == 0


async def test_a_route_outside_the_allowed_regions_is_never_used(desk: Desk) -> None:
    with desk.database.write() as tx:
        put_allowed_regions(tx, frozenset({"SE"}))
    desk.refresh()
    with pytest.raises(RegionNotAllowed):
        await desk.submit()


# --- the same again ---


def key(fingerprint: bytes = b"body", name: str = "avi-1", credential: int = 1) -> Key:
    return Key(credential, name, fingerprint)


async def test_the_same_call_again_gets_the_first_answer_and_does_nothing(desk: Desk) -> None:
    first = await desk.submit(idempotency=key())
    again = await desk.submit(idempotency=key())
    assert (again.answer, again.replayed) == (first.answer, True)
    assert desk.stored() == 1


async def test_the_same_key_with_another_body_is_refused(desk: Desk) -> None:
    await desk.submit(idempotency=key())
    with pytest.raises(IdempotencyMismatch):
        await desk.submit(idempotency=key(b"other"))
    assert desk.stored() == 1


async def test_two_calls_at_once_with_one_key_make_one_message(desk: Desk) -> None:
    results = await asyncio.gather(*(desk.submit(idempotency=key()) for _ in range(10)), return_exceptions=True)
    assert desk.stored() == 1
    assert all(isinstance(result, Receipt) or getattr(result, "code", "") == "still_running" for result in results)


async def test_keys_are_not_shared_between_credentials(desk: Desk) -> None:
    await desk.submit(idempotency=key())
    await desk.submit(idempotency=key(b"other", credential=2), credential=2)
    assert desk.stored() == 2


async def test_a_repeated_call_gets_its_first_answer_whatever_has_changed_since(desk: Desk) -> None:
    first = await desk.submit(customer=None, idempotency=key())
    with desk.database.write() as tx:
        suspend_customer(tx, "eken", NOON)
    desk.refresh()
    assert (await desk.submit(customer=None, idempotency=key())).answer == first.answer
    with pytest.raises(CustomerSuspended):
        await desk.submit(customer=None, idempotency=key(b"other", "avi-2"))


async def test_a_refused_call_is_not_remembered(desk: Desk) -> None:
    with pytest.raises(FromNotSingle):
        await desk.submit("Subject: x\r\n", idempotency=key())
    await desk.submit(idempotency=key())
    assert desk.stored() == 1


# --- batches ---


def draft(text: str = "Hej {{namn}}!") -> Draft:
    return Draft(Mailbox("Eken", parse_address("hyra@eken.example")), subject="Avi för {{namn}}", text=text)


async def test_a_batch_has_one_result_for_each_item(desk: Desk) -> None:
    items = [
        Item(Mailbox("", ANNA), {"namn": "Anna"}),
        Item(Mailbox("", ANNA), {}),
        Item(Mailbox("Åsa", ANNA), {"namn": "Åsa"}),
    ]
    receipt = await desk.submissions.submit_batch(desk.sender(), Batch(draft(), items, "http"))
    statuses = [(result["status"], result.get("code")) for result in receipt.answer["results"]]
    assert statuses == [("accepted", None), ("refused", "missing_variable"), ("accepted", None)]
    assert receipt.answer["recipients"] == 2


async def test_a_batch_in_which_nobody_can_be_reached_is_refused_whole(desk: Desk) -> None:
    with pytest.raises(MissingVariable):
        await desk.submissions.submit_batch(desk.sender(), Batch(draft(), [Item(Mailbox("", ANNA), {})], "http"))
    assert desk.stored() == 0


async def test_a_batch_may_not_use_someone_elses_domain(desk: Desk) -> None:
    batch = Batch(draft(), [Item(Mailbox("", ANNA), {"namn": "Anna"})], "http")
    with pytest.raises(DomainNotYours):
        await desk.submissions.submit_batch(desk.sender("linden"), batch)


async def test_mail_for_later_waits_and_too_late_is_refused(desk: Desk) -> None:
    await desk.submit(deliver_at=NOON + timedelta(hours=2))
    with pytest.raises(BadField):
        await desk.submit(deliver_at=NOON + timedelta(days=31))
