"""Bad input at the doors of a whole service: the reply code, the stable code, and that nothing of it is kept or leaves."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from smtplib import SMTPAuthenticationError

import pytest

from ombud.queue import State
from tests.flows.conftest import Serve, fresh, on_sqlite
from tests.flows.house import EKEN, House, InThread, mail, until
from tests.flows.nexthop import NextHop
from tests.smtp.conftest import Wire

MB = 10**6


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def open_house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for them all: what one of them does must not harm the next."""
    directory: Path = tmp_path_factory.mktemp("house")
    hop = NextHop()
    house = House(directory, fresh(request, request.param, directory), hop)
    running = InThread(house)
    yield house
    running.stop()
    assert house.unwell() == []
    hop.close()


@pytest.fixture
def house(open_house: House) -> Iterator[House]:
    """The house, in which nothing was kept and nothing left but what a test says, and which is as good as before."""
    before = len(open_house.known())
    copies = len(open_house.hop.copies)
    yield open_house
    assert len(open_house.known()) == before
    assert len(open_house.hop.copies) == copies
    well = f"well-{time.monotonic_ns()}@post.example"
    assert open_house.submit(well)[0] == 250
    open_house.arrives(well)


# --- who ---


def test_a_wrong_password_is_535_and_401(house: House) -> None:
    with house.client(who="") as client, pytest.raises(SMTPAuthenticationError) as refusal:
        client.login(house.keys["eken"].user, "wrong")
    assert refusal.value.smtp_code == 535
    words = bytes(refusal.value.smtp_error).decode()  # type: ignore[arg-type]  # bytes, whatever the stubs say
    assert words.startswith("5.7.8 ") and words.endswith("[bad_credentials]")
    answer = house.post(who="ombud_live_nobody_knows")
    assert (answer.status, answer.code) == (401, "bad_credentials")


def test_without_tls_nothing_is_taken(house: House) -> None:
    with house.wire(tls=False) as wire:
        wire.say(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\nMAIL FROM:<hyra@eken.example>\r\n")
        for line in wire.lines(2):
            assert line.startswith("530 5.7.0 ") and line.endswith("[tls_required]")


def test_without_a_key_nothing_is_taken(house: House) -> None:
    with house.wire(who="") as wire:
        wire.say(b"MAIL FROM:<hyra@eken.example>\r\n")
        line = wire.line()
        assert line.startswith("530 5.7.0 ") and line.endswith("[not_authenticated]")
    assert house.post(who="").status == 401


# --- in whose name ---


@pytest.mark.parametrize("who", ["eken", "test"])
def test_a_foreign_from_is_550_and_403(house: House, who: str) -> None:
    code, words = house.submit(who=who, content=mail(sender="hyra@linden.example"))
    assert code == 550 and words.startswith("5.7.1 ") and words.endswith("[domain_not_proved]")
    answer = house.post(who=who, **{"from": "hyra@linden.example"})
    assert (answer.status, answer.code) == (403, "domain_not_proved")


def test_a_foreign_envelope_is_refused_though_the_from_is_ones_own(house: House) -> None:
    code, words = house.submit(content=mail(), sender="hyra@linden.example")
    assert code == 550 and words.endswith("[domain_not_proved]")


def test_a_key_for_all_customers_may_not_name_one_and_send_as_another(house: House) -> None:
    code, words = house.submit(who="vendor", content=b"X-Ombud-Customer: linden\r\n" + mail())
    assert code == 550 and words.endswith("[domain_not_proved]")
    answer = house.call(
        "POST", "/v1/messages", "vendor", headers={"X-Ombud-Customer": "linden"},
        json={"from": EKEN, "to": ["anna@post.example"], "text": "Hej!"},
    )  # fmt: skip
    assert (answer.status, answer.code) == (403, "domain_not_proved")


# --- what it says ---

TWO_FROMS = b"From: hyra@eken.example\r\nFrom: hyra@linden.example\r\nTo: a@b.example\r\n\r\nHej!\r\n"
TWO_MAILBOXES = b"From: hyra@eken.example, hyra@linden.example\r\nTo: a@b.example\r\n\r\nHej!\r\n"
BAD = {
    "two Froms": (TWO_FROMS, 554, "5.6.0", "from_not_single", 422),
    "a From with two mailboxes": (TWO_MAILBOXES, 554, "5.6.0", "from_not_single", 422),
    "no From": (b"To: a@b.example\r\n\r\nHej!\r\n", 554, "5.6.0", "from_not_single", 422),
    "two Subjects": (mail().replace(b"To:", b"Subject: a\r\nTo:"), 554, "5.6.0", "header_repeated", 422),
    "a bare LF": (mail(text="a\nb"), 550, "5.6.11", "bare_line_break", 422),
    "a bare CR": (mail(text="a\rb"), 550, "5.6.11", "bare_line_break", 422),
    "a smuggled end": (mail(text="a\n.\nMAIL FROM:<hyra@linden.example>"), 550, "5.6.11", "bare_line_break", 422),
    "another smuggled end": (mail(text="a\r\n.\rb"), 550, "5.6.11", "bare_line_break", 422),
    "a NUL": (mail(text="a\0b"), 550, "5.6.11", "nul_byte", 422),
    "a line of 10 MB": (mail(text="a" * 10 * MB), 554, "5.6.0", "line_too_long", 422),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_message_has_one_code_by_both_doors(house: House, bad: str) -> None:
    content, code, enhanced, name, status = BAD[bad]
    with house.wire() as wire:  # as it is: a stock client would mend the line ends
        wire.say(b"MAIL FROM:<hyra@eken.example>\r\nRCPT TO:<anna@post.example>\r\nDATA\r\n")
        assert [line[:3] for line in wire.lines(3)] == ["250", "250", "354"]
        wire.say(content.replace(b"\r\n.", b"\r\n..") + b".\r\nNOOP\r\n")
        line = wire.line()
        assert line.startswith(f"{code} {enhanced} ") and line.endswith(f"[{name}]")
        assert wire.line().startswith("250 ")  # to NOOP: nothing of the message was taken for a command
    answer = house.post_raw(content, to=["anna@post.example"])
    assert (answer.status, answer.code) == (status, name)


def test_a_message_of_30_mb_is_552_and_413(house: House) -> None:
    line = b"a" * 70 + b"\r\n"
    content = mail() + line * (30 * MB // len(line))
    with house.wire() as wire:
        wire.say(b"EHLO client.example\r\n")
        while not wire.line().startswith("250 "):
            pass
        wire.say(b"MAIL FROM:<hyra@eken.example> SIZE=30000000\r\n")
        assert wire.line().startswith("552 5.3.4 ")
        wire.say(b"MAIL FROM:<hyra@eken.example>\r\nRCPT TO:<anna@post.example>\r\nDATA\r\n")
        wire.lines(3)
        wire.say(content + b".\r\n")
        answer = wire.line()
        assert answer.startswith("552 5.3.4 ") and answer.endswith("[message_too_big]")
    by_http = house.post_raw(content, to=["anna@post.example"])
    assert (by_http.status, by_http.code) == (413, "message_too_big")


def test_the_1001st_recipient_is_452_and_422(house: House) -> None:
    with house.wire() as wire:
        recipients = b"".join(b"RCPT TO:<r%d@post.example>\r\n" % n for n in range(1001))
        wire.say(b"MAIL FROM:<hyra@eken.example>\r\n" + recipients + b"RSET\r\n")
        lines = wire.lines(1003)
        assert {line[:3] for line in lines[:1001]} == {"250"}
        assert lines[1001].startswith("452 4.5.3 ") and lines[1001].endswith("[too_many_recipients]")
    answer = house.post(to=[f"r{n}@post.example" for n in range(1001)])
    assert (answer.status, answer.code) == (422, "too_many_recipients")


# --- how it behaves ---


@on_sqlite
def test_a_slow_client_is_sent_away_with_421_and_keeps_nobody_else_waiting(serve: Serve) -> None:
    house = serve(smtp={"command_timeout": 1, "data_timeout": 1, "message_timeout": 2}).house
    with house.wire() as idle, house.wire() as slow:
        slow.say(b"MAIL FROM:<hyra@eken.example>\r\nRCPT TO:<slow@post.example>\r\nDATA\r\n")
        slow.lines(3)
        slow.say(mail()[:40])
        assert house.submit()[0] == 250
        assert idle.line().startswith("421 4.4.2 ")
        assert slow.line().startswith("421 4.4.2 ")
    house.arrives("anna@post.example")
    assert house.known() == {"anna@post.example": State.DELIVERED}


@on_sqlite
def test_many_idle_connections_are_refused_politely_and_those_inside_are_served(serve: Serve) -> None:
    house = serve(smtp={"max_connections": 50, "max_connections_per_peer": 50}).house
    with house.client() as inside:
        idle = [_knock(house) for _ in range(49)]
        turned_away = [_knock(house) for _ in range(100)]
        for wire in turned_away:
            line = wire.line()
            assert line.startswith("421 4.7.0 ") and line.endswith("[too_many_connections]")
        assert not inside.sendmail(EKEN, ["anna@post.example"], mail())
        for wire in (*idle, *turned_away):
            wire.close()
    until(lambda: _welcome(house))  # there is room again
    house.arrives("anna@post.example")


def _knock(house: House) -> Wire:
    return Wire(socket.create_connection(("127.0.0.1", house.starttls_port), timeout=30))


def _welcome(house: House) -> bool:
    with _knock(house) as wire:
        return bool(wire.line().startswith("220 "))


def test_mail_of_a_test_key_is_taken_and_never_leaves(open_house: House) -> None:
    copies = len(open_house.hop.copies)
    answer = open_house.post(who="test", to=["try@post.example"])
    assert answer.status == 202
    assert open_house.submit("try-too@post.example", who="test")[0] == 250
    until(lambda: open_house.known()["try@post.example"] is State.DELIVERED)
    until(lambda: open_house.known()["try-too@post.example"] is State.DELIVERED)
    assert len(open_house.hop.copies) == copies
