from __future__ import annotations

import smtplib
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ombud.errors import DiskFull, DomainNotYours, Misconfigured, TooFast
from ombud.smtp.certificate import make_certificate
from ombud.smtp.throttle import Throttle
from tests.smtp.conftest import Opener, Running, Wire

MAIL = "Subject: Hyra\r\nFrom: alice@eken.example\r\n\r\nHej\r\n.dot\r\n..dots\r\n"
ENVELOPE = b"MAIL FROM:<alice@eken.example>\r\nRCPT TO:<bob@lind.example>\r\nDATA\r\n"
ACCEPTED = ["250 2.1.0 Sender OK", "250 2.1.5 Recipient OK", "354 Send the message, then a line with only a dot"]


# --- Mail comes in -------------------------------------------------------------------------------------------------------


def test_a_stock_client_sends_with_starttls(running: Running) -> None:
    with running.alice() as client:
        assert client.sendmail("alice@eken.example", ["bob@lind.example", "carol@LIND.example"], MAIL) == {}
    (taken,) = running.house.taken
    assert taken.content == MAIL.encode()
    assert (taken.sender, str(taken.mail_from)) == ("alice", "alice@eken.example")
    assert [str(one) for one in taken.recipients] == ["bob@lind.example", "carol@lind.example"]
    assert (taken.peer, taken.tls, taken.helo, taken.utf8) == ("127.0.0.1", "TLSv1.3", "client.example", False)


def test_a_stock_client_sends_with_tls_from_the_first_byte(running: Running) -> None:
    tls, port = running.tls_context(), running.door.tls_port
    with smtplib.SMTP_SSL("localhost", port, local_hostname="client.example", context=tls) as client:
        assert "starttls" not in client.esmtp_features
        client.login("alice", "secret")
        assert client.sendmail("alice@eken.example", "bob@lind.example", MAIL) == {}
    assert running.house.taken[0].content == MAIL.encode()
    assert running.house.taken[0].tls == "TLSv1.3"


def test_a_stock_client_may_use_auth_login(running: Running) -> None:
    with running.stock() as client:
        client.ehlo()
        client.user, client.password = "alice", "secret"
        assert client.auth("LOGIN", client.auth_login)[0] == 235


def test_a_large_message_in_many_pieces_arrives_whole(running: Running) -> None:
    mail = b"".join(b"%d %s\r\n" % (n, b".x" * 200) for n in range(10_000))
    with running.alice() as client:
        client.sendmail("alice@eken.example", "bob@lind.example", mail)
    assert running.house.taken[0].content == mail


def test_pipelined_transactions_are_answered_in_order(running: Running) -> None:
    running.house.takes_seconds = 0.02
    with running.raw_alice() as wire:
        wire.say((ENVELOPE + b"x\r\n.\r\n") * 20 + b"NOOP\r\nQUIT\r\n")
        for n in range(20):
            assert wire.lines(4) == [*ACCEPTED, f"250 2.0.0 accepted as m{n + 1}"]
        assert wire.lines(3) == ["250 2.0.0 OK", "221 2.0.0 Bye", ""]


def test_one_byte_at_a_time_is_as_good(running: Running) -> None:
    with running.raw_alice() as wire:
        for byte in ENVELOPE + b"x\r\n.\r\n":
            wire.say(bytes([byte]))
        assert wire.lines(4) == [*ACCEPTED, "250 2.0.0 accepted as m1"]


def test_the_counters_count(running: Running) -> None:
    with running.alice() as client:
        client.sendmail("alice@eken.example", "bob@lind.example", MAIL)
        running.house.fails = DiskFull()
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("alice@eken.example", "bob@lind.example", MAIL)
        running.house.fails = DomainNotYours(domain="x.example")
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("alice@eken.example", "bob@lind.example", MAIL)
        assert running.door.open == 1
    with running.raw_alice() as wire:
        wire.say(ENVELOPE + b"a\nb\r\n.\r\n")
        assert wire.lines(4)[-1].startswith("550 5.6.11")
    running.waits_for(lambda: running.door.open == 0)
    door = running.door
    assert (door.connections, door.accepted, door.deferred, door.refused, door.auth_failures) == (2, 1, 1, 2, 0)
    assert door.bytes > 3 * len(MAIL)


# --- What the house says ---------------------------------------------------------------------------------------------------


def test_a_refusal_has_its_code_its_words_and_its_stable_name(running: Running) -> None:
    running.house.fails = DomainNotYours(domain="lind.example")
    with running.alice() as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("alice@lind.example", "bob@lind.example", MAIL)
    code, text = _answer(refused.value)
    assert code == 550
    assert text.startswith(b"5.7.1 The sender domain lind.example is not proved")
    assert text.endswith(b"[domain_not_proved]")


def test_a_fault_of_ours_takes_nothing_and_the_session_goes_on(running: Running) -> None:
    with running.alice() as client:
        running.house.fails = RuntimeError("a secret of ours")
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("alice@eken.example", "bob@lind.example", MAIL)
        code, text = _answer(refused.value)
        assert code == 451
        assert b"secret" not in text
        running.house.fails = None
        assert client.sendmail("alice@eken.example", "bob@lind.example", MAIL) == {}


@pytest.mark.parametrize("fault", [TooFast(seconds=3), RuntimeError("a secret of ours")], ids=["too fast", "fault"])
def test_who_cannot_be_authenticated_now_is_told_to_try_later(running: Running, fault: Exception) -> None:
    running.house.auth_fails = fault
    with running.stock() as client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        client.login("alice", "secret")
    assert refused.value.smtp_code == 454
    assert running.door.auth_failures == 0


def test_a_message_is_taken_even_if_the_client_does_not_wait(running: Running) -> None:
    running.house.takes_seconds = 0.2
    with running.raw_alice() as wire:
        wire.say(ENVELOPE + b"x\r\n.\r\n")
        wire.lines(3)
    running.waits_for(lambda: running.door.accepted == 1)
    running.waits_for(lambda: running.door.room.used == 0)


# --- Who is it ---------------------------------------------------------------------------------------------------------------


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer_in_the_same_time(running: Running) -> None:
    answers, times = set(), {"YWxpY2U=": 9.0, "bm9ib2R5": 9.0}
    for user in [*times] * 3:  # the fastest of three: this machine may have more to do
        running.door.throttle = Throttle(first=0.2)
        with running.stock() as client:
            client.ehlo()
            began = time.monotonic()
            answers.add(client.docmd("AUTH LOGIN " + user))
            answers.add(client.docmd("d3Jvbmc="))
            times[user] = min(times[user], time.monotonic() - began)
    assert len(answers) == 2  # the prompt and the refusal, the same for both
    assert min(times.values()) > 0.19
    assert max(times.values()) - min(times.values()) < 0.1


def test_each_wrong_password_takes_longer_and_the_last_one_closes(running: Running) -> None:
    running.door.throttle = Throttle(first=0.1)
    times = []
    with running.raw() as wire:
        wire.say(b"STARTTLS\r\n")
        wire.line()
        wire.start_tls(running.tls_context())
        wire.say(b"HELO client.example\r\n")
        wire.line()
        for _ in range(3):
            began = time.monotonic()
            wire.say(b"AUTH PLAIN AGFsaWNlAHdyb25n\r\n")
            assert wire.line().startswith("535 5.7.8 ")
            times.append(time.monotonic() - began)
        assert wire.line() == "421 4.7.0 Too many failed authentications; closing"
        assert wire.line() == ""
    assert times[0] > 0.09
    assert times[1] > 0.19
    assert times[2] > 0.39


def test_the_right_user_is_not_kept_out_by_anothers_guesses(running: Running) -> None:
    running.door.throttle = Throttle(first=20)
    with running.raw_alice():  # has a number of its own
        guesser = running.stock()
        guesser.ehlo()
        guesser.putcmd("AUTH", "PLAIN AGFsaWNlAHdyb25n")
        began = time.monotonic()
        with running.alice() as client:
            client.noop()
        assert time.monotonic() - began < 5
        guesser.close()


def test_without_tls_neither_mail_nor_password_is_taken(running: Running) -> None:
    with smtplib.SMTP("127.0.0.1", running.door.starttls_port, local_hostname="client.example") as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH PLAIN AGFsaWNlAHNlY3JldA==")[0] == 530
        assert client.mail("alice@eken.example")[0] == 530


def test_what_is_injected_before_tls_is_not_run_under_it(running: Running) -> None:
    with running.raw() as wire:
        wire.say(b"EHLO client.example\r\nSTARTTLS\r\nVRFY evil\r\nRSET\r\n")
        while not wire.line().startswith("220 "):
            pass
        wire.start_tls(running.tls_context())
        wire.say(b"NOOP\r\nMAIL FROM:<alice@eken.example>\r\n")
        assert wire.lines(2) == ["250 2.0.0 OK", "503 5.5.1 Say EHLO first"]


def test_tls_older_than_1_2_is_refused(running: Running) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    plain = socket.create_connection(("127.0.0.1", running.door.tls_port), timeout=20)
    with plain, pytest.raises((ssl.SSLError, ConnectionResetError)):
        old.wrap_socket(plain)


def test_rubbish_for_a_handshake_costs_only_its_own_connection(running: Running) -> None:
    for port in (running.door.tls_port, running.door.starttls_port):
        with Wire(socket.create_connection(("127.0.0.1", port), timeout=20)) as wire:
            wire.say(b"STARTTLS\r\n")
            while wire.line().startswith("220 "):
                wire.say(b"no TLS at all\r\n" * 10)
    running.waits_for(lambda: running.door.open == 0)
    with running.alice() as client:
        assert client.noop()[0] == 250


# --- Bad input ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"a\nb", b"a\rb", b"a\n.\nb", b"a\x00b"], ids=repr)
def test_a_bare_line_break_or_a_nul_is_refused_and_never_passes(running: Running, text: bytes) -> None:
    with running.raw_alice() as wire:
        wire.say(ENVELOPE + text + b"\r\n.\r\n" + ENVELOPE + b"clean\r\n.\r\n")
        assert wire.lines(4)[3].startswith("550 5.6.11 ")
        assert wire.lines(4)[3] == "250 2.0.0 accepted as m1"
    assert [taken.content for taken in running.house.taken] == [b"clean\r\n"]


def test_a_line_of_10_mb_is_refused(running: Running) -> None:
    with running.raw_alice() as wire:
        wire.say(b"x" * 10_000_000 + b"\r\nNOOP\r\n")
        assert wire.lines(2) == ["500 5.5.2 Line too long", "250 2.0.0 OK"]


def test_a_message_of_30_mb_is_refused_and_the_session_goes_on(running: Running) -> None:
    with running.raw_alice() as wire:
        wire.say(b"MAIL FROM:<alice@eken.example> SIZE=30000000\r\n")
        assert wire.line().startswith("552 5.3.4 ")
        wire.say(ENVELOPE + (b"x" * 98 + b"\r\n") * 300_000 + b".\r\n")
        assert wire.lines(4)[3].startswith("552 5.3.4 ")
        wire.say(ENVELOPE + b"x\r\n.\r\n")
        assert wire.lines(4)[3] == "250 2.0.0 accepted as m1"
    assert running.door.room.used == 0


def test_the_1001st_recipient_is_put_off_and_the_others_get_the_message(running: Running) -> None:
    recipients = [f"r{n}@lind.example" for n in range(1001)]
    with running.alice() as client:
        refused = client.sendmail("alice@eken.example", recipients, MAIL)
    assert {name: code for name, (code, _) in refused.items()} == {"r1000@lind.example": 452}
    assert len(running.house.taken[0].recipients) == 1000


def test_message_bytes_in_flight_are_bounded_over_all_connections(opened: Opener) -> None:
    running = opened(max_bytes_in_flight=100_000)
    with running.raw_alice() as slow, running.raw_alice() as other:
        slow.say(ENVELOPE + b"x" * 90_000)
        slow.lines(3)
        running.waits_for(lambda: running.door.room.used > 89_000)
        other.say(b"MAIL FROM:<alice@eken.example> SIZE=20000\r\n")
        assert other.line().startswith("452 4.3.1 ")
        slow.say(b"\r\n.\r\n")
        assert slow.line() == "250 2.0.0 accepted as m1"
        other.say(b"MAIL FROM:<alice@eken.example> SIZE=20000\r\n")
        assert other.line() == "250 2.1.0 Sender OK"


# --- Times and numbers ---------------------------------------------------------------------------------------------------------


def test_a_client_that_says_nothing_is_sent_away(opened: Opener) -> None:
    running = opened(command_timeout=0.3)
    with running.raw() as wire:
        assert wire.lines(2) == ["421 4.4.2 Waited too long; closing", ""]


def test_a_command_that_trickles_gains_no_time(opened: Opener) -> None:
    running = opened(command_timeout=0.5)
    began = time.monotonic()
    with running.raw() as wire, pytest.raises(OSError):  # noqa: PT012 - it is closed at some byte of these
        for _ in range(100):
            wire.say(b"x")
            time.sleep(0.05)
    assert time.monotonic() - began < 3


def test_data_that_stops_is_cut(opened: Opener) -> None:
    running = opened(data_timeout=0.3)
    with running.raw_alice() as wire:
        wire.say(ENVELOPE + b"x\r\n")
        assert wire.lines(5) == [*ACCEPTED, "421 4.4.2 Waited too long; closing", ""]
    assert running.house.taken == []
    running.waits_for(lambda: running.door.room.used == 0)


def test_data_that_trickles_is_cut_when_the_messages_time_is_over(opened: Opener) -> None:
    running = opened(data_timeout=0.5, message_timeout=1)
    began = time.monotonic()
    with running.raw_alice() as wire, pytest.raises(OSError):  # noqa: PT012 - it is closed at some byte of these
        wire.say(ENVELOPE)
        for _ in range(100):
            wire.say(b"x\r\n")
            time.sleep(0.05)
    assert 0.9 < time.monotonic() - began < 8


def test_a_slow_house_is_waited_for(opened: Opener) -> None:
    running = opened(command_timeout=0.3, data_timeout=0.3)
    running.house.takes_seconds = 0.8
    with running.raw_alice() as wire:
        wire.say(ENVELOPE + b"x\r\n.\r\n")
        assert wire.lines(4)[3] == "250 2.0.0 accepted as m1"


def test_connections_beyond_the_limit_are_refused_politely(opened: Opener) -> None:
    running = opened(max_connections=20)
    wires = [running.raw(greeting=False) for _ in range(100)]
    first = [wire.line() for wire in wires]
    assert [line[:4] for line in first[:20]] == ["220 "] * 20
    assert {line[:10] for line in first[20:]} == {"421 4.7.0 "}
    assert {wire.line() for wire in wires[20:]} == {""}
    assert (running.door.open, running.door.turned_away) == (20, 80)
    wires.pop(0).close()
    running.waits_for(lambda: running.door.open == 19)
    wires.append(running.raw())
    for wire in wires:
        wire.close()


def test_one_peer_cannot_take_all_connections(opened: Opener) -> None:
    running = opened(max_connections_per_peer=1)
    with running.raw():
        refused = running.raw(greeting=False)
        assert refused.line().startswith("421 4.7.0 ")
        refused.close()
        with socket.create_connection(
            ("127.0.0.1", running.door.starttls_port), source_address=("127.0.0.2", 0)
        ) as other:
            assert other.recv(4) == b"220 "


def test_a_connection_counts_before_its_handshake(opened: Opener) -> None:
    running = opened(max_connections=1)
    with socket.create_connection(("127.0.0.1", running.door.tls_port), timeout=20):
        running.waits_for(lambda: running.door.open == 1)
        with socket.create_connection(("127.0.0.1", running.door.tls_port), timeout=20) as second:
            assert second.recv(100) == b""
    running.waits_for(lambda: running.door.open == 0)


def test_a_client_that_never_reads_is_not_read_either(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ombud.smtp.connection.SHUTDOWN_TIMEOUT", 0.3)
    running = opened(command_timeout=0.5, max_errors=10**9)
    wire = running.raw()
    wire.socket.settimeout(0.3)
    sent = 0
    with suppress(TimeoutError):  # the buffers between us may be full at some time
        while sent < 3_000_000:
            sent += wire.socket.send(b"HELP\r\n" * 10_000)
    running.waits_for(lambda: running.door.open == 0)
    assert running.door.bytes < sent - 100_000
    wire.close()


# --- Stopping and reloading ------------------------------------------------------------------------------------------------------


def test_stopping_tells_the_idle_and_takes_nobody_new(running: Running) -> None:
    with running.raw() as wire, running.raw_alice() as tls:
        stopping = running.stop_later()
        assert wire.lines(2) == ["421 4.3.2 The service is stopping; nothing more is taken [shutting_down]", ""]
        assert tls.line().startswith("421 4.3.2 ")
    stopping.result(timeout=20)
    with pytest.raises(ConnectionRefusedError):
        running.raw()


def test_stopping_lets_a_message_on_its_way_finish(running: Running) -> None:
    with running.raw_alice() as wire:
        wire.say(ENVELOPE)
        wire.lines(3)
        stopping = running.stop_later(grace=10)
        time.sleep(0.1)
        wire.say(b"x\r\n.\r\n" + ENVELOPE)
        assert wire.line() == "250 2.0.0 accepted as m1"
        assert wire.line().startswith("421 4.3.2 ")
    stopping.result(timeout=20)


def test_stopping_waits_for_a_message_that_is_being_accepted_and_answers_it(running: Running) -> None:
    running.house.takes_seconds = 0.5
    with running.raw_alice() as wire:
        wire.say(ENVELOPE + b"x\r\n.\r\n")
        wire.lines(3)
        stopping = running.stop_later(grace=0.05)
        assert wire.line() == "250 2.0.0 accepted as m1"
        assert wire.line().startswith("421 4.3.2 ")
    stopping.result(timeout=20)


def test_stopping_does_not_wait_for_a_client_that_hung_up_on_its_refusal(running: Running) -> None:
    running.door.throttle = Throttle(first=20)
    wire = running.raw_tls()
    wire.say(b"HELO client.example\r\nAUTH PLAIN AGFsaWNlAHdyb25n\r\n")
    assert wire.line().startswith("250 ")
    running.waits_for(lambda: running.door.auth_failures == 1)
    wire.close()
    running.stop_later(grace=0.1).result(timeout=5)


def test_stopping_cuts_what_does_not_finish(running: Running) -> None:
    with running.raw_alice() as wire, socket.create_connection(("127.0.0.1", running.door.tls_port)):
        wire.say(ENVELOPE + b"x\r\n")
        wire.lines(3)
        stopping = running.stop_later(grace=0.1)
        assert wire.line().startswith("421 4.3.2 ")
    stopping.result(timeout=5)
    assert running.house.taken == []


@pytest.mark.parametrize("moment", ["as it comes", "in its handshake", "in STARTTLS"])
def test_stopping_does_not_wait_for_a_handshake(opened: Opener, moment: str) -> None:
    for _ in range(5):  # whether a task has begun when it is stopped is a matter of luck
        running = opened()
        port = running.door.starttls_port if moment == "in STARTTLS" else running.door.tls_port
        with running.knock(port) as client:
            if moment == "in STARTTLS":
                client.sendall(b"STARTTLS\r\n")
                while not client.recv(1000).endswith(b"Start TLS now\r\n"):
                    pass
            elif moment == "in its handshake":
                client.sendall(b"\x16\x03\x01\x02\x00")  # the beginning of a ClientHello
                running.waits_for(lambda door=running.door: door.open == 1)
            running.stop_later(grace=10).result(timeout=5)
            assert running.door.open == 0
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""


def test_clients_that_come_as_it_stops_are_let_go(opened: Opener) -> None:
    for wait in (0, 0.001, 0.003):
        running = opened()
        clients = [running.knock(port) for port in (running.door.tls_port, running.door.starttls_port) * 20]
        time.sleep(wait)
        running.stop_later(grace=10).result(timeout=5)
        assert running.door.open == 0
        for client in clients:
            with client, suppress(ConnectionResetError):
                assert client.recv(1000)[:4] in (b"", b"220 ")
                while client.recv(1000):
                    pass


def test_a_new_certificate_is_served_after_a_reload(running: Running, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    certificate, key = make_certificate(tmp_path / "new", "new.ombud.example")
    for old, new in zip(running.files, (certificate, key), strict=True):
        new.rename(old)
    running.door.reload_certificate()
    assert "new.ombud.example" in _names(running)


def test_a_reload_of_a_broken_certificate_keeps_the_old_one(running: Running) -> None:
    running.files[1].write_text("not a key")
    with pytest.raises(Misconfigured):
        running.door.reload_certificate()
    assert "mx.ombud.example" in _names(running)


def _answer(refusal: smtplib.SMTPResponseException) -> tuple[int, bytes]:
    text: Any = refusal.smtp_error
    return refusal.smtp_code, text


def _names(running: Running) -> list[object]:
    tls, port = running.tls_context(), running.door.tls_port
    with smtplib.SMTP_SSL("localhost", port, local_hostname="client.example", context=tls) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate: Any = client.sock.getpeercert()
    return [name for _, name in certificate["subjectAltName"]]
