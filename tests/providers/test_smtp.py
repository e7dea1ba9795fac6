"""The provider `smtp` over real sockets: against a server that follows a script, and against aiosmtpd, an independent one."""

from __future__ import annotations

import asyncio
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trustme
import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session
from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.errors import BadField
from ombud.mail.address import Address
from ombud.providers.provider import Outcome, Outgoing, Result, Surroundings
from ombud.providers.smtp import Smtp, SmtpRoute
from tests.providers.contract import (
    ALICE,
    AROUND,
    BOB,
    CHARLIE,
    CONTENT,
    Delivered,
    ProviderContract,
    go,
    lease_lost,
    outgoing,
)
from tests.providers.scripted import DROP, EHLO, SILENCE, Scripted

LOCKSTEP = tuple(offer for offer in EHLO if offer != "PIPELINING")
BIG = CONTENT + (b"x" * 998 + b"\r\n") * 3000


def smtp(relay: Scripted, password: str = "", **more: object) -> Smtp:
    return Smtp.make(relay.settings(**more), password, AROUND)


async def send(relay: Scripted, mail: Outgoing | None = None, password: str = "", **more: object) -> list[Outcome]:
    provider = smtp(relay, password, **more)
    try:
        return await provider.send(mail or outgoing(), go)
    finally:
        await provider.close()


def results(outcomes: list[Outcome]) -> list[tuple[str, bool]]:
    return [(outcome.result.value, outcome.route_fault) for outcome in outcomes]


# --- the contract, and the round trip through an independent server ---


class Mailbox:
    """aiosmtpd's handler: keeps what was delivered; announces PIPELINING when told to (aiosmtpd takes it, but does not say so)."""

    def __init__(self, pipelining: bool) -> None:
        self.contents: list[bytes] = []
        self._pipelining = pipelining

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self._pipelining else responses

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.original_content, bytes)
        self.contents.append(envelope.original_content)
        return "250 2.0.0 kept"


class Peer:
    """aiosmtpd on loopback, in this event loop."""

    def __init__(self, pipelining: bool) -> None:
        self.mailbox = Mailbox(pipelining)
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Peer:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self.mailbox, enable_SMTPUTF8=True, data_size_limit=1 << 28, loop=loop), "127.0.0.1", 0
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    def provider(self, **more: object) -> Smtp:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return Smtp.make({"host": "127.0.0.1", "port": port, "tls": "none", **more}, "", AROUND)


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "lockstep"])
class TestSmtp(ProviderContract):
    @pytest.fixture
    async def peer(self, pipelining: bool) -> AsyncIterator[Peer]:
        async with Peer(pipelining) as peer:
            yield peer

    @pytest.fixture
    async def provider(self, peer: Peer) -> AsyncIterator[Smtp]:
        provider = peer.provider(connections=3)
        yield provider
        await provider.close()

    @pytest.fixture
    def delivered(self, peer: Peer) -> Delivered:
        return lambda: len(peer.mailbox.contents)


LINES = st.lists(
    st.sampled_from(
        [b"", b".", b"..", b"...", b".a", b"a.", b"QUIT", b"\xc3\xa5", b"\xff.", b"x" * 998, b"RCPT TO:<x@y>"]
    )
    | st.binary(max_size=20).map(lambda line: line.translate(None, b"\r\n\0")),
    min_size=1,
    max_size=40,
)


@given(lines=LINES, pipelining=st.booleans(), large=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_byte_arrives_as_it_was_sent(lines: list[bytes], pipelining: bool, large: bool) -> None:
    content = b"".join(line + b"\r\n" for line in (lines * 200 if large else lines))

    async def round_trip() -> list[bytes]:
        async with Peer(pipelining) as peer:
            provider = peer.provider()
            for _ in range(2):
                (outcome,) = await provider.send(outgoing(content=content), go)
                assert outcome.result is Result.DELIVERED
            await provider.close()
            return peer.mailbox.contents

    assert asyncio.run(round_trip()) == [content, content]


def test_it_runs_on_uvloop_too() -> None:
    async def story() -> None:
        async with Scripted() as relay:
            provider = smtp(relay, connections=2, messages_per_connection=2)
            many = await asyncio.gather(*(provider.send(outgoing(content=c), go) for c in [CONTENT, BIG] * 5))
            assert {outcome.result for (outcome,) in many} == {Result.DELIVERED}
            assert sorted(map(len, relay.contents)) == [len(CONTENT)] * 5 + [len(BIG)] * 5
            await provider.close()

    uvloop.run(story())


# --- what the server says, at each stage ---


@pytest.mark.parametrize("offers", [EHLO, LOCKSTEP], ids=["pipelining", "lockstep"])
async def test_each_recipient_has_its_own_outcome_with_the_servers_own_words(offers: tuple[str, ...]) -> None:
    answers: dict[str, str | list[str]] = {"RCPT bob": "450 4.2.1 grey", "RCPT charlie": "550-5.1.1 no\n550 5.1.1 such"}
    async with Scripted(answers, offers) as relay:
        outcomes = await send(relay, outgoing(ALICE, BOB, CHARLIE))
    assert results(outcomes) == [("delivered", False), ("deferred", False), ("failed", False)]
    assert [o.reply.text for o in outcomes] == ["queued", "grey", "no\nsuch"]
    assert {o.remote for o in outcomes} == {f"127.0.0.1[127.0.0.1]:{relay.port}"}
    assert len(relay.contents) == 1


@pytest.mark.parametrize("offers", [EHLO, LOCKSTEP], ids=["pipelining", "lockstep"])
async def test_when_all_are_refused_nothing_is_sent_and_the_connection_is_good_for_more(
    offers: tuple[str, ...],
) -> None:
    async with Scripted({"RCPT bob": "550 5.1.1 no"}, offers) as relay:
        provider = smtp(relay)

        async def never() -> bool:
            raise AssertionError("there is nothing to commit")

        assert results(await provider.send(outgoing(BOB), never)) == [("failed", False)]
        assert results(await provider.send(outgoing(CHARLIE), go)) == [("delivered", False)]
        await provider.close()
    assert relay.sessions == 1
    assert relay.contents[-1] == CONTENT


@pytest.mark.parametrize("offers", [EHLO, LOCKSTEP], ids=["pipelining", "lockstep"])
@pytest.mark.parametrize(
    ("verb", "answer", "expected"),
    [
        ("GREETING", "554 5.3.2 go away", ("deferred", True)),
        ("GREETING", "421 4.3.2 busy", ("deferred", True)),
        ("EHLO", "550 5.7.1 not you", ("deferred", True)),
        ("MAIL", "451 4.7.1 later", ("deferred", False)),
        ("MAIL", "550 5.7.1 not that sender", ("failed", False)),
        ("MAIL", "530 5.7.0 authenticate first", ("deferred", True)),
        ("RCPT", "451 4.7.1 later", ("deferred", False)),
        ("RCPT", "550 5.1.1 nobody", ("failed", False)),
        ("RCPT", "421 4.3.2 closing", ("deferred", True)),
        ("DATA", "451 4.3.5 trouble", ("deferred", True)),
        ("DATA", "554 5.7.1 no", ("failed", False)),
        ("DOT", "451 4.7.1 later", ("deferred", False)),
        ("DOT", "421 4.3.2 closing", ("deferred", True)),
        ("DOT", "554 5.7.1 spam", ("failed", False)),
    ],
)
async def test_a_refusal_is_the_outcome(
    verb: str, answer: str, expected: tuple[str, bool], offers: tuple[str, ...]
) -> None:
    async with Scripted({verb: answer}, offers) as relay:
        (outcome,) = await send(relay)
    assert results([outcome]) == [expected]
    assert str(outcome.reply) == answer
    assert relay.contents == []


@pytest.mark.parametrize("offers", [EHLO, LOCKSTEP], ids=["pipelining", "lockstep"])
@pytest.mark.parametrize("trouble", [DROP, SILENCE, "lorem ipsum", "250-never\n" * 5000, "250 ok\n250 ok"])
@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_trouble_before_the_dot_defers_and_blames_the_route(
    verb: str, trouble: str, offers: tuple[str, ...]
) -> None:
    async with Scripted({verb: trouble}, offers) as relay:
        (outcome,) = await send(relay, command_seconds=0.1, dot_seconds=0.1)
    assert results([outcome]) == [("deferred", True)]
    assert relay.contents == []


@pytest.mark.parametrize("trouble", [DROP, SILENCE, "lorem ipsum", "250-never\n" * 5000, "354 go on"])
async def test_trouble_after_the_dot_is_unknown(trouble: str) -> None:
    async with Scripted({"DOT": trouble}) as relay:
        (outcome,) = await send(relay, dot_seconds=0.1)
    assert results([outcome]) == [("unknown", True)]
    assert outcome.reply.code == 451


async def test_what_was_refused_before_the_trouble_stays_refused() -> None:
    async with Scripted({"RCPT bob": "550 5.1.1 nobody", "DOT": DROP}) as relay:
        assert results(await send(relay, outgoing(BOB, CHARLIE))) == [("failed", False), ("unknown", True)]


async def test_a_server_that_says_no_in_the_middle_of_a_large_content_is_heard() -> None:
    async with Scripted({"BODY": "552 5.3.4 too big"}, reads_ahead=1 << 16) as relay:
        (outcome,) = await send(relay, outgoing(content=BIG * 5))
    assert (outcome.result, str(outcome.reply)) == (Result.FAILED, "552 5.3.4 too big")
    assert relay.contents == []


async def test_a_server_that_does_not_take_the_content_is_left_after_its_time() -> None:
    async with Scripted({"BODY": SILENCE}, reads_ahead=1 << 16) as relay:
        (outcome,) = await send(relay, outgoing(content=BIG * 5), data_seconds=0.2)
    assert results([outcome]) == [("deferred", True)]
    assert "BODY" in outcome.reply.text


async def test_lost_while_the_lease_is_committed_nothing_is_sent_and_nothing_unknown() -> None:
    async with Scripted() as relay:
        provider = smtp(relay)

        async def commit() -> bool:
            await relay.__aexit__()
            await asyncio.sleep(0.05)
            return True

        assert results(await provider.send(outgoing(), commit)) == [("deferred", True)]
        await provider.close()
    assert relay.contents == []


async def test_a_message_over_the_announced_size_is_refused_in_our_words() -> None:
    async with Scripted(offers=("SIZE 1000",)) as relay:
        (outcome,) = await send(relay, outgoing(content=CONTENT + b"x\r\n" * 1000))
    assert (outcome.result, outcome.reply.code, outcome.reply.enhanced) == (Result.FAILED, 552, "5.3.4")
    assert "MAIL" not in relay.verbs()


async def test_8_bit_content_and_utf8_addresses_are_declared() -> None:
    async with Scripted() as relay:
        await send(relay, outgoing(Address("åsa", "bob.example"), content=CONTENT + "å\r\n".encode()))
    assert relay.heard[1].endswith(" BODY=8BITMIME SMTPUTF8")
    assert relay.heard[2] == "RCPT TO:<åsa@bob.example>"


async def test_more_recipients_than_the_route_takes_are_the_callers_mistake() -> None:
    async with Scripted() as relay:
        provider = smtp(relay, recipients_per_message=1)
        with pytest.raises(ValueError, match="recipients"):
            await provider.send(outgoing(BOB, CHARLIE), go)


# --- TLS and passwords ---


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


Certified = Callable[[str], ssl.SSLContext]


@pytest.fixture(scope="module")
def certified(authority: trustme.CA) -> Certified:
    def make(name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context

    return make


def named(relay: Scripted, tls: str, **more: object) -> dict[str, object]:
    return {"host": "relay.example", "port": relay.port, "tls": tls, "command_seconds": 2, **more}


async def send_named(settings: dict[str, object], password: str = "") -> Outcome:
    provider = Smtp.make(settings, password, AROUND)
    (outcome,) = await provider.send(outgoing(), go)
    await provider.close()
    return outcome


STARTTLS = (*EHLO, "STARTTLS", "AUTH PLAIN LOGIN")


@pytest.mark.parametrize("tls", ["required", "implicit"])
async def test_a_verified_server_gets_password_and_mail_over_tls(tls: str, ca_file: str, certified: Certified) -> None:
    async with Scripted(offers=STARTTLS, tls=certified("relay.example"), implicit=tls == "implicit") as relay:
        outcome = await send_named(named(relay, tls, ca_file=ca_file, user="alice"), "secret")
    assert outcome.result is Result.DELIVERED
    assert outcome.remote == f"relay.example[127.0.0.1]:{relay.port}"
    assert "AUTH PLAIN AGFsaWNlAHNlY3JldA==" in relay.heard
    assert relay.verbs().count("EHLO") == (2 if tls == "required" else 1)


@pytest.mark.parametrize("tls", ["required", "implicit"])
@pytest.mark.parametrize("fault", ["unknown authority", "other name"])
async def test_a_certificate_that_is_not_accepted_gets_nothing(
    tls: str, fault: str, ca_file: str, certified: Certified
) -> None:
    context = certified("impostor.example" if fault == "other name" else "relay.example")
    trust = {"ca_file": ca_file} if fault == "other name" else {}
    async with Scripted(offers=STARTTLS, tls=context, implicit=tls == "implicit") as relay:
        outcome = await send_named(named(relay, tls, user="alice", **trust), "secret")
    assert results([outcome]) == [("deferred", True)]
    assert outcome.reply.enhanced == "4.7.5"
    assert "certificate" in outcome.reply.text
    assert {"AUTH", "MAIL"}.isdisjoint(relay.verbs())


@pytest.mark.parametrize("tls", ["required_unverified", "opportunistic"])
async def test_an_unverified_route_takes_any_certificate_and_says_the_password_only_over_it(
    tls: str, certified: Certified
) -> None:
    async with Scripted(offers=STARTTLS, tls=certified("impostor.example")) as relay:
        outcome = await send_named(named(relay, tls, user="alice"), "secret")
    assert outcome.result is Result.DELIVERED
    assert relay.verbs()[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


@pytest.mark.parametrize("tls", ["required", "required_unverified", "opportunistic"])
async def test_where_starttls_is_stripped_no_password_leaves(tls: str) -> None:
    async with Scripted(offers=(*EHLO, "AUTH PLAIN LOGIN")) as relay:
        outcome = await send_named(named(relay, tls, user="alice"), "secret")
    assert results([outcome]) == [("deferred", True)]
    assert relay.verbs() == ["EHLO"]


async def test_opportunistic_mail_without_a_password_goes_on_in_the_clear() -> None:
    async with Scripted() as relay:
        assert (await send_named(named(relay, "opportunistic"))).result is Result.DELIVERED


async def test_old_tls_is_refused(ca_file: str, certified: Certified) -> None:
    context = certified("relay.example")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():  # that it is deprecated is the point
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with Scripted(offers=STARTTLS, tls=context) as relay:
        outcome = await send_named(named(relay, "required", ca_file=ca_file))
    assert results([outcome]) == [("deferred", True)]
    assert relay.contents == []


async def test_a_server_that_says_go_and_leaves_is_no_tls() -> None:
    async with Scripted(offers=STARTTLS) as relay:
        outcome = await send_named(named(relay, "required"))
    assert results([outcome]) == [("deferred", True)]


async def test_answers_slipped_in_before_tls_are_not_believed(ca_file: str, certified: Certified) -> None:
    injected = "220 go\n250-scripted.example\n250 AUTH PLAIN\n235 welcome"
    context = certified("relay.example")
    async with Scripted({"STARTTLS": injected}, offers=(*EHLO, "STARTTLS"), tls=context) as relay:
        outcome = await send_named(named(relay, "required", ca_file=ca_file, user="alice"), "secret")
    assert results([outcome]) == [("deferred", True)]
    assert "AUTH" not in relay.verbs()  # only the injected text offered it


async def test_a_wrong_password_blames_the_route_and_keeps_the_mail() -> None:
    async with Scripted({"AUTH": "535 5.7.8 bad credentials"}, offers=(*EHLO, "AUTH PLAIN")) as relay:
        (outcome,) = await send(relay, None, "wrong", user="alice")
    assert results([outcome]) == [("deferred", True)]
    assert str(outcome.reply) == "535 5.7.8 bad credentials"


async def test_clear_text_goes_no_further_than_this_machine() -> None:
    async def resolve(host: str) -> list[str]:
        return ["192.0.2.1"]

    route = {"host": "relay.example", "tls": "none", "connect_seconds": 0.2}
    provider = Smtp.make(route, "", Surroundings(resolve))
    (outcome,) = await provider.send(outgoing(), go)
    assert results([outcome]) == [("deferred", True)]
    assert "allow_clear" in outcome.reply.text


# --- finding the server ---


async def test_the_addresses_of_a_host_are_tried_in_turn() -> None:
    async with Scripted() as relay:

        async def resolve(host: str) -> list[str]:
            return ["127.0.0.2", "127.0.0.1"]

        provider = Smtp.make(relay.settings(host="relay.example"), "", Surroundings(resolve))
        (outcome,) = await provider.send(outgoing(), go)
        await provider.close()
    assert outcome.result is Result.DELIVERED
    assert outcome.remote == f"relay.example[127.0.0.1]:{relay.port}"


@pytest.mark.parametrize("kind", ["nobody knows", "no address", "nobody listens"])
async def test_a_host_that_is_not_there_defers_and_blames_the_route(kind: str) -> None:
    async def resolve(host: str) -> list[str]:
        if kind == "nobody knows":
            raise OSError("SERVFAIL")
        return [] if kind == "no address" else ["127.0.0.1"]

    provider = Smtp.make({"host": "relay.example", "port": 1, "tls": "none"}, "", Surroundings(resolve))
    (outcome,) = await provider.send(outgoing(), go)
    assert results([outcome]) == [("deferred", True)]
    assert provider.counts.connections_failed == 1
    assert provider.pool.open == 0


# --- the pool ---


async def test_connections_are_reused_and_never_more_than_allowed() -> None:
    async with Scripted(hold=0.005) as relay:
        provider = smtp(relay, connections=3, messages_per_connection=10)
        many = await asyncio.gather(*(provider.send(outgoing(), go) for _ in range(60)))
        await provider.close()
    assert {outcome.result for (outcome,) in many} == {Result.DELIVERED}
    assert len(relay.contents) == 60
    assert relay.most_open == 3
    assert 6 <= relay.sessions <= 8
    assert relay.verbs().count("QUIT") == relay.sessions


async def test_whoever_waits_for_a_connection_is_served_in_turn() -> None:
    async with Scripted(hold=0.002) as relay:
        provider = smtp(relay, connections=1)
        done: list[int] = []

        async def one(number: int) -> None:
            await provider.send(outgoing(), go)
            done.append(number)

        await asyncio.gather(*map(one, range(10)))
        await provider.close()
    assert done == list(range(10))


async def test_an_idle_connection_says_goodbye() -> None:
    async with Scripted() as relay:
        provider = smtp(relay, idle_seconds=0.1)
        await provider.send(outgoing(), go)
        assert (provider.pool.idle, provider.pool.open) == (1, 1)
        await asyncio.sleep(0.4)
        assert (provider.pool.idle, provider.pool.open) == (0, 0)
    assert relay.verbs()[-1] == "QUIT"


@pytest.mark.parametrize("stale", [DROP, "421 4.4.2 idle too long"])
async def test_a_reused_connection_that_is_dead_costs_the_message_nothing(stale: str) -> None:
    async with Scripted({"MAIL": ["250 ok", stale, "250 ok"]}) as relay:
        provider = smtp(relay)
        for _ in range(3):
            assert results(await provider.send(outgoing(), go)) == [("delivered", False)]
        await provider.close()
    assert relay.sessions == 2
    assert provider.counts.stale == 1
    assert len(relay.contents) == 3


async def test_a_fresh_connection_that_dies_is_not_tried_again() -> None:
    async with Scripted({"MAIL": DROP}) as relay:
        assert results(await send(relay)) == [("deferred", True)]
    assert relay.sessions == 1


async def test_a_connection_closed_while_idle_is_forgotten() -> None:
    async with Scripted({"DOT": "250 queued\n421 bye"}) as relay:
        provider = smtp(relay, connections=1)
        for _ in range(3):
            assert results(await provider.send(outgoing(), go)) == [("delivered", False)]
        await provider.close()
    assert relay.sessions == 3
    assert provider.counts.stale == 0


async def test_a_slow_server_buys_time_with_replies_but_not_with_bytes() -> None:
    """RFC 5321 4.5.3.2 times each reply, so ten slow RCPTs may take ten times as long as one; a dripped line may not."""
    recipients = tuple(Address(f"r{n}", "bob.example") for n in range(8))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(text: str, drip: float = 0) -> None:
            for piece in text if drip else [text]:
                writer.write(piece.encode())
                await asyncio.sleep(drip)

        await say("220 slow\r\n")
        await reader.readuntil(b"\r\n")
        await say("250-slow\r\n250 PIPELINING\r\n")
        await reader.readuntil(b"DATA\r\n")
        for _ in range(9):
            await asyncio.sleep(0.1)
            await say("250 ok\r\n")
        await say("354 " + "z" * 60 + "\r\n", drip=0.1)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    route = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "tls": "none", "command_seconds": 0.4}
    provider = Smtp.make(route, "", AROUND)
    start = time.monotonic()
    outcomes = await provider.send(Outgoing(ALICE, recipients, CONTENT), go)
    took = time.monotonic() - start
    assert {o.result for o in outcomes} == {Result.DEFERRED}
    assert "DATA" in outcomes[0].reply.text
    assert 1.2 < took < 3
    server.close()
    await asyncio.sleep(0.1)


async def test_closing_lets_a_message_under_way_arrive_and_takes_no_new_one() -> None:
    async with Scripted(hold=0.1) as relay:
        provider = smtp(relay, connections=1)
        under_way = asyncio.create_task(provider.send(outgoing(), go))
        waiting = asyncio.create_task(provider.send(outgoing(), go))
        await asyncio.sleep(0.05)
        await provider.close()
        assert results(await under_way) == [("delivered", False)]
        assert results(await waiting) == [("deferred", False)]
        assert results(await provider.send(outgoing(), go)) == [("deferred", False)]
    assert len(relay.contents) == 1
    assert relay.verbs()[-1] == "QUIT"


@pytest.mark.parametrize("given", ["a connection", "a slot"])
async def test_what_was_given_to_a_cancelled_waiter_goes_to_the_next(given: str) -> None:
    async with Scripted() as relay:
        provider = smtp(relay, connections=1)
        connection = await provider.pool.take()
        waiters = [asyncio.create_task(provider.pool.take()) for _ in range(2)]
        await asyncio.sleep(0)
        if given == "a slot":
            connection.give_up("was lost")
        else:
            provider.pool.give_back(connection)
        waiters[0].cancel()  # it has been given something, and has not had time to notice
        async with asyncio.timeout(10):
            taken = await waiters[1]
        assert taken.usable
        provider.pool.give_back(taken)
        await provider.close()


async def test_many_cancelled_sends_leave_no_slot_behind() -> None:
    async with Scripted(hold=0.01) as relay:
        provider = smtp(relay, connections=2)
        for wait in (0, 0.001, 0.005, 0.02):
            tasks = [asyncio.create_task(provider.send(outgoing(), go)) for _ in range(20)]
            await asyncio.sleep(wait)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert results(await provider.send(outgoing(), go)) == [("delivered", False)]
        assert provider.pool.waiting == 0
        await provider.close()
        assert provider.pool.open == 0


async def test_a_lost_lease_breaks_only_its_own_connection() -> None:
    async with Scripted() as relay:
        provider = smtp(relay)
        assert results(await provider.send(outgoing(content=BIG), lease_lost)) == [("deferred", False)]
        assert results(await provider.send(outgoing(), go)) == [("delivered", False)]
        await provider.close()
    assert relay.contents == [CONTENT]


# --- settings ---


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({}, "host"),
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": "a\r\nb"}, "host"),
        ({"host": 5}, "host"),
        ({"host": "r", "prot": 25}, "prot"),
        ({"host": "r", "password": "x"}, "password"),
        ({"host": "r", "port": "25"}, "port"),
        ({"host": "r", "port": 0}, "port"),
        ({"host": "r", "port": True}, "port"),
        ({"host": "r", "tls": "yes"}, "tls"),
        ({"host": "r", "tls": ["required"]}, "tls"),
        ({"host": "r", "auth": "xoauth2"}, "auth"),
        ({"host": "r", "user": "u"}, "password"),
        ({"host": "r", "connections": 0}, "connections"),
        ({"host": "r", "idle_seconds": -1}, "idle_seconds"),
        ({"host": "r", "idle_seconds": float("nan")}, "idle_seconds"),
        ({"host": "r", "allow_clear": "true"}, "allow_clear"),
        ({"host": "r", "hello": "a b"}, "hello"),
        ({"host": "r", "bind": "eth0"}, "bind"),
        ({"host": "r", "ca_file": "/does/not/exist.pem"}, "ca_file"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(table: dict[str, object], field: str) -> None:
    with pytest.raises(BadField) as refused:
        Smtp.make(table, "", AROUND)
    assert refused.value.details["field"] == field


@pytest.mark.parametrize(("user", "password"), [("u\r\n", "p"), ("u", "p\0q"), ("u", "p\r\nRSET"), ("", "p")])
def test_a_login_that_could_not_go_over_the_wire_is_refused(user: str, password: str) -> None:
    with pytest.raises(BadField):
        SmtpRoute.from_dict({"host": "r", "user": user}, password)


def test_tls_from_the_first_byte_has_its_own_port() -> None:
    assert SmtpRoute.from_dict({"host": "r", "tls": "implicit"}).port == 465
    assert SmtpRoute.from_dict({"host": "r"}).port == 587
    assert SmtpRoute.from_dict({"host": "r", "tls": "implicit", "port": 2465}).port == 2465


def test_a_route_does_not_show_its_password_when_printed() -> None:
    assert "hunter2" not in repr(SmtpRoute.from_dict({"host": "r", "user": "u"}, "hunter2"))
