"""Telling: a service centre that fails, hangs or talks nonsense loses nothing and delays nobody else."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from sqlalchemy import update

from ombud.db import Database, Transaction
from ombud.errors import BadField
from ombud.notices.outbox import Kind, Notice, State, find_notices, get_notice, notice_table, put_notice, tries_of
from ombud.notices.webhooks import load_webhooks, new_webhook_secret, put_webhook, remove_webhook, sign, verified
from ombud.queue import Scope, list_messages
from ombud.queue.find import Filter
from ombud.verify import verify
from tests.conftest import NOON
from tests.notices.conftest import SEAL, Desk
from tests.notices.receiver import Behaviour, answer, endless, garbage, hang, hang_up, receiving

SECRET = new_webhook_secret()


def _put(database: Database, url: str, *, target: str = "centre", payload: dict[str, Any] | None = None) -> str:
    with database.write() as tx:
        if url:
            put_webhook(tx, SEAL, target, url, SECRET, NOON)
        return put_notice(tx, Kind.WEBHOOK, target, payload or {"type": "choice.made"}, NOON)


def _state(database: Database, ref: str) -> tuple[State, str]:
    with database.read() as tx:
        notice = get_notice(tx, ref)
        tries = tries_of(tx, notice.id)
        return notice.state, tries[-1].words if tries else ""


def _due_now(database: Database) -> None:
    with database.write() as tx:
        tx.execute(update(notice_table).where(notice_table.c.due_at.is_not(None)).values(due_at=tx.now))


async def test_a_webhook_is_signed_so_that_its_receiver_can_tell(desk: Desk) -> None:
    async with receiving(answer()) as centre, desk.telling() as teller:
        ref = _put(desk.database, centre.url, payload={"type": "choice.made", "customer": "Ängsgården"})
        await teller.tell_due()
        (post,) = centre.posts
        assert post.told["id"] == ref == post.headers["webhook-id"]
        assert post.told["customer"] == "Ängsgården"
        now = datetime.now(UTC)
        assert verified(SECRET, post.headers, post.body, now)
        assert not verified(SECRET, post.headers, post.body + b" ", now)
        assert not verified(new_webhook_secret(), post.headers, post.body, now)
        assert not verified(SECRET, post.headers, post.body, now + timedelta(minutes=6))  # a replay
        assert not verified(SECRET, post.headers, post.body, now - timedelta(minutes=6))  # made to be kept for later
        assert not verified(SECRET, {**post.headers, "webhook-id": "another"}, post.body, now)
        assert _state(desk.database, ref)[0] is State.TOLD


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification (standard-webhooks/spec, "Signature scheme").
    body = b'{"test": 2432232314}'
    made = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (answer("500 Internal Server Error", b"Tr\xc3\xa5kigt"), "Tråkigt"),
        (answer("404 Not Found"), ""),
        (answer("302 Found", b"", "Location: http://169.254.169.254/latest/meta-data"), "sends us on"),
        (answer("204 Nothing", b"", "Content-Encoding: gzip"), None),
        (garbage, "Bad"),
        (hang_up, "Disconnected"),
        (hang, "no answer within"),
        (endless, None),
    ],
    ids=["fails", "not-there", "redirects", "says-gzip", "talks-nonsense", "hangs-up", "hangs", "never-ends"],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_whatever_the_service_centre_does_the_notice_is_kept_or_told(
    desk: Desk, behaviour: Behaviour, words: str | None
) -> None:
    async with receiving(behaviour) as centre, desk.telling(patience=0.5) as teller:
        ref = _put(desk.database, centre.url)
        began = time.monotonic()
        await teller.tell_due()
        assert time.monotonic() - began < 5
        state, said = _state(desk.database, ref)
        if words is None:
            assert state is State.TOLD
        else:
            assert state is State.WAITING and words in said
        # It comes back, and is told under the same id.
        centre.behaviour = answer()
        _due_now(desk.database)
        await teller.tell_due()
        assert _state(desk.database, ref)[0] is State.TOLD
        assert {post.told["id"] for post in centre.posts} == {ref}


async def test_nobody_is_there_and_nobody_is_set_and_both_are_waited_for(desk: Desk) -> None:
    async with receiving(answer()) as centre, desk.telling() as teller:
        nobody_listens = _put(desk.database, "http://127.0.0.1:9/")
        not_set = _put(desk.database, "", target="later")
        await teller.tell_due()
        assert _state(desk.database, nobody_listens)[0] is State.WAITING
        assert "no webhook of that name" in _state(desk.database, not_set)[1]
        with desk.database.write() as tx:
            put_webhook(tx, SEAL, "later", centre.url, "", NOON)
        _due_now(desk.database)
        await teller.tell_due()
        assert _state(desk.database, not_set)[0] is State.TOLD


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_receiver_that_hangs_delays_only_its_own(desk: Desk) -> None:
    async with receiving(hang) as slow, receiving(answer()) as quick, desk.telling(patience=1.5) as teller:
        for _ in range(8):
            _put(desk.database, slow.url, target="slow")
        refs = [_put(desk.database, quick.url, target="quick") for _ in range(20)]
        telling = asyncio.create_task(teller.run())
        began = time.monotonic()
        while any(_state(desk.database, ref)[0] is not State.TOLD for ref in refs):
            await asyncio.sleep(0.02)
        assert time.monotonic() - began < 1.4  # before the first of the slow ones has been given up
        assert slow.connections <= 5
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def test_as_often_as_it_asks_for_and_never_sooner(desk: Desk) -> None:
    async with receiving(answer("429 Slow Down", b"", "Retry-After: 7200")) as centre, desk.telling() as teller:
        ref = _put(desk.database, centre.url)
        await teller.tell_due()
        with desk.database.write() as tx:
            due = get_notice(tx, ref).due_at
            assert due and due - tx.now > timedelta(seconds=7100)


async def test_what_it_answers_is_learnt_in_the_same_transaction_and_nonsense_does_no_harm(desk: Desk) -> None:
    learnt: list[Any] = []

    def learn(tx: Transaction, notice: Notice, found: Any) -> None:
        learnt.append(found)
        if found.get("number") == "bad":
            put_notice(tx, Kind.WEBHOOK, "never", {}, NOON)
            raise BadField(field="number", reason="bad")

    async with receiving(answer("200 OK", b'{"number": "bad"}')) as centre, desk.telling(learn=learn) as teller:
        ref = _put(desk.database, centre.url)
        await teller.tell_due()
        assert learnt == [{"number": "bad"}]
        assert _state(desk.database, ref)[0] is State.TOLD
        with desk.database.read() as tx:
            assert find_notices(tx, target="never") == []  # undone with it


async def test_forty_notices_to_a_receiver_that_fails_a_third_of_the_time_all_arrive(desk: Desk) -> None:
    turn = 0

    async def moody(writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        await (answer("503 Busy") if turn % 3 == 0 else answer())(writer)

    async with receiving(moody) as centre, desk.telling() as teller:
        refs = {_put(desk.database, centre.url) for _ in range(40)}
        for _ in range(6):
            await teller.tell_due()
            _due_now(desk.database)
        assert {post.told["id"] for post in centre.posts} == refs
        with desk.database.read() as tx:
            assert len(find_notices(tx, states=[State.TOLD])) == 40


# --- mail ----------------------------------------------------------------------------------------------------------


async def test_a_letter_goes_by_the_one_way_in_and_only_once(desk: Desk) -> None:
    payload = {"name": "Åsa Öberg", "subject": "Välj\r\nBcc: x@y.example", "text": "Hej!\n", "html": "<p>Hej!</p>"}
    with desk.database.write() as tx:
        ref = put_notice(tx, Kind.MAIL, "asa@eken.example", payload, NOON)
    async with desk.telling() as teller:
        await teller.tell_due()
        # A crash after it was taken in and before that was written down: it is told again, and not taken in again.
        with desk.database.write() as tx:
            tx.execute(
                update(notice_table).values(state=State.WAITING, due_at=tx.now, payload=payload, settled_at=None)
            )
        await teller.tell_due()
    (body,) = desk.bodies()
    mail = message_from_bytes(body, policy=policy.default)
    assert mail["From"] == "Molntjänst <epost@molntjanst.example>"
    assert mail["Reply-To"] == "Kundtjänst <hjalp@molntjanst.example>"
    assert mail["To"] == "Åsa Öberg <asa@eken.example>"
    assert mail["Subject"] == "Välj Bcc: x@y.example" and mail["Bcc"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    with desk.database.read() as tx:
        assert get_notice(tx, ref).state is State.TOLD
        (message,), _ = list_messages(tx, Scope(), Filter(), 10)
        assert message.door == "notices"
        assert verify(tx) == []


async def test_a_letter_that_cannot_leave_yet_waits_and_says_why(desk: Desk) -> None:
    with desk.database.write() as tx:
        ref = put_notice(tx, Kind.MAIL, "not an address", {"subject": "x", "text": "y"}, NOON)
    async with desk.telling() as teller:
        await teller.tell_due()
    state, words = _state(desk.database, ref)
    assert state is State.WAITING and "address" in words


# --- webhooks ------------------------------------------------------------------------------------------------------


def test_a_webhooks_secret_is_sealed_kept_and_can_be_changed(database: Database) -> None:
    with database.write() as tx:
        assert put_webhook(tx, SEAL, "centre", "https://centre.example/hook", "", NOON)
        first = load_webhooks(tx, SEAL)["centre"]
        assert not put_webhook(tx, SEAL, "centre", "https://centre.example/hook", "", NOON)
        assert put_webhook(tx, SEAL, "centre", "https://centre.example/new", "", NOON)
        assert load_webhooks(tx, SEAL)["centre"].secret == first.secret
        assert put_webhook(tx, SEAL, "centre", "https://centre.example/new", SECRET, NOON)
        assert load_webhooks(tx, SEAL)["centre"].secret == SECRET
        assert SECRET not in repr(load_webhooks(tx, SEAL))
        remove_webhook(tx, "centre", NOON)
        assert load_webhooks(tx, SEAL) == {}


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("ftp://centre.example/", ""),
        ("https://user:pass@centre.example/", ""),
        ("https:///hook", ""),
        ("https://centre.example:99999/", ""),
        ("https://centre.example/\r\nHost: x", ""),
        ("https://centre.example/hook", "short"),
        ("https://centre.example/hook", "whsec_c2hvcnQ="),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_address_or_a_secret_that_cannot_be_one_is_refused(database: Database, url: str, secret: str) -> None:
    with database.write() as tx, pytest.raises(BadField):
        put_webhook(tx, SEAL, "centre", url, secret, NOON)
