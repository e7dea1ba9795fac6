from __future__ import annotations

import itertools
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.errors import BadAddress, DomainNotYours
from ombud.mail.reply import Reply
from ombud.mail.smtp import replies
from ombud.mail.smtp.data import Room
from ombud.mail.smtp.server import Authenticate, Close, Dialogue, Limits, Message, StartTls
from tests.mail.smtp.conversation import Conversation, hold

DIALOGUES = sorted(Path(__file__).parents[2].glob("dialogues/*.smtp"))
ENVELOPE = b"MAIL FROM:<alice@eken.example>\r\nRCPT TO:<bob@lind.example>\r\nDATA\r\n"
OK = Reply(250, "2.0.0", "accepted as m1")
SMALL = Limits(max_size=1000, max_recipients=3)


@pytest.fixture
def alice() -> Conversation:
    return authenticated()


def authenticated(limits: Limits = SMALL, room: Room | None = None) -> Conversation:
    talk = Conversation(limits=limits, room=room or Room(10_000))
    talk.authenticate()
    return talk


# --- The written dialogues ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_the_dialogue_is_held_as_written(path: Path) -> None:
    hold(path)


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_the_dialogue_is_the_same_byte_by_byte(path: Path) -> None:
    hold(path, lambda data: [data[n : n + 1] for n in range(len(data))])


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_the_dialogue_is_the_same_when_events_are_answered_late(path: Path) -> None:
    hold(path, lambda data: [data[n : n + 7] for n in range(0, len(data), 7)], late=True)


LINES = st.sampled_from([
    b"MAIL FROM:<alice@eken.example>\r\n", b"MAIL FROM:<a@b> SIZE=9999\r\n", b"RCPT TO:<bob@lind.example>\r\n", b"DATA\r\n",
    b"RCPT TO:<bad>\r\n", b"RSET\r\n", b"NOOP\r\n", b"AUTH PLAIN x\r\n", b"QUIT\r\n", b".\r\n", b"..\r\n", b"text\r\n", b"a\rb\r\n",
    b"a\nb\r\n", b"\0\r\n", b"\r\r\n", b"\n.\r\n", b"x" * 600 + b"\r\n", b"y" * 13_000 + b"\r\n", b"S: x\r\n", b".", b"\r", b"\r\n",
])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=25), st.lists(st.integers(0, 400), max_size=60), st.booleans())
def test_the_same_bytes_give_the_same_replies_and_messages_in_whatever_pieces(
    lines: list[bytes], cuts: list[int], late: bool
) -> None:
    data = ENVELOPE + b"".join(lines)
    whole, pieces = authenticated(), authenticated()
    pieces.late = late
    edges = [0, *itertools.accumulate(cuts), len(data)]
    chopped = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert pieces.client(chopped) == whole.client([data])
    assert pieces.messages == whole.messages


# --- The end of a message ------------------------------------------------------------------------------------------------

BREAKS = (b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\r\n\0", b"\0\r\n")
FALSE_ENDS = [a + b"." + b for a in BREAKS for b in BREAKS if not (a.endswith(b"\r\n") and b.startswith(b"\r\n"))]


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
def test_nothing_but_a_dot_on_a_line_of_its_own_ends_a_message(alice: Conversation, end: bytes) -> None:
    smuggled = b"first" + end + ENVELOPE.replace(b"alice", b"mallory") + b"second\r\n.\r\nNOOP\r\n"
    said = alice.client([ENVELOPE + smuggled])
    assert alice.messages == []
    assert [line[3:14] for line in said[3:]] == ["550 5.6.11 ", "250 2.0.0 O"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b".", b"..", b"a", b"\xe5", b"", b". ", b" ."]), max_size=30))
def test_a_message_arrives_as_it_was_before_it_was_stuffed(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines)
    talk = authenticated()
    talk.client([ENVELOPE + stuffed + b".\r\n"])
    assert [message.content for message in talk.messages] == [content]


# --- Bounds --------------------------------------------------------------------------------------------------------------


def test_an_endless_line_is_read_past_without_growth_and_in_the_end_cut() -> None:
    talk = authenticated(Limits(max_size=10_000_000))
    assert _growth(lambda: talk.client([b"x" * 65536] * 100)) < 1_000_000
    assert talk.client([b"\r\nNOOP\r\n"]) == ["S: 500 5.5.2 Line too long", "S: 250 2.0.0 OK"]
    assert talk.client([b"x" * 65536] * 200)[-2:] == [f"S: {replies.TOO_MUCH}", "CLOSE"]


def test_a_message_without_end_is_read_past_without_growth_and_in_the_end_cut() -> None:
    talk = authenticated(Limits(max_size=500_000), Room(10_000_000))
    assert _growth(lambda: talk.client([ENVELOPE, *[b"x" * 998 + b"\r\n"] * 1500])) < 2_000_000
    assert talk.room.used == 0
    assert talk.client([b".\r\nNOOP\r\n"]) == [f"S: {replies.TOO_BIG}", "S: 250 2.0.0 OK"]
    assert talk.client([ENVELOPE, *[b"x" * 998 + b"\r\n"] * 3000])[-2:] == [f"S: {replies.TOO_MUCH}", "CLOSE"]


def test_lines_are_as_long_as_the_standards_allow_and_no_longer(alice: Conversation) -> None:
    assert alice.client([b"NOOP " + b"x" * 505 + b"\r\n"]) == ["S: 250 2.0.0 OK"]  # RFC 5321 4.5.3.1.4: 512 with CRLF
    assert alice.client([b"NOOP " + b"x" * 506 + b"\r\n"]) == ["S: 500 5.5.2 Line too long"]
    assert alice.client([b"MAIL FROM:<a@b.example> AUTH=" + b"x" * 500 + b"\r\n"]) == ["S: 250 2.1.0 Sender OK"]
    talk = Conversation()
    talk.client([b"EHLO client.example\r\n"])
    assert talk.client([b"AUTH PLAIN " + b"A" * 12_275 + b"\r\n"]) == [f"S: {replies.BAD_RESPONSE}"]  # RFC 4954 4
    assert talk.client([b"AUTH PLAIN " + b"A" * 12_276 + b"\r\n"]) == ["S: 500 5.5.2 Line too long"]


def test_what_all_sessions_hold_together_is_bounded() -> None:
    room = Room(1000)
    one, two = authenticated(room=room), authenticated(room=room)
    one.client([ENVELOPE + b"x" * 800])
    assert two.client([ENVELOPE[:32].replace(b"\r\n", b" SIZE=300\r\n")]) == [f"S: {replies.TOO_BUSY}"]
    assert two.client([ENVELOPE + b"y" * 300 + b"\r\n.\r\n"])[-1] == f"S: {replies.TOO_BUSY}"
    one.client([b"\r\n.\r\n"])
    assert room.used == 0
    assert two.client([ENVELOPE + b"y" * 300 + b"\r\n.\r\n"])[-1] == "S: 250 2.0.0 accepted as m1"


def test_a_message_keeps_its_room_until_it_is_answered_even_if_the_client_has_gone() -> None:
    room = Room(1000)
    dialogue = authenticated(room=room).dialogue
    assert isinstance(dialogue.receive(ENVELOPE + b"x" * 800 + b"\r\n.\r\n"), Message)
    dialogue.close()
    assert room.used == 802
    assert dialogue.answer(OK) is None
    assert room.used == 0


def test_a_client_that_goes_away_in_the_middle_of_a_message_gives_back_its_room() -> None:
    room = Room(1000)
    dialogue = authenticated(room=room).dialogue
    dialogue.receive(ENVELOPE + b"x" * 800)
    dialogue.close()
    assert room.used == 0


def test_small_talk_without_end_is_cut(alice: Conversation) -> None:
    said = alice.client([b"NOOP\r\n" * 1000])
    assert said[-2:] == [f"S: {replies.TOO_MANY_ERRORS}", "CLOSE"]
    assert len(said) < 130


def test_small_talk_between_messages_is_no_offence(alice: Conversation) -> None:
    for _ in range(200):
        assert alice.client([b"RSET\r\n" + ENVELOPE + b"x\r\n.\r\n"])[-1].startswith("S: 250 2.0.0 accepted")


def test_time_grows_with_the_bytes_not_with_the_pieces() -> None:
    def seconds(size: int) -> float:
        talk = authenticated(Limits(max_size=10_000_000), Room(10_000_000))
        data = ENVELOPE + b"x\r\n" * (size // 3) + b".\r\n"
        began = time.thread_time()
        talk.client(data[n : n + 16] for n in range(0, len(data), 16))
        assert len(talk.messages) == 1
        return time.thread_time() - began

    # 16 times the bytes; quadratic would be 256 times the time.
    assert min(seconds(1_600_000) for _ in range(3)) < 80 * min(seconds(100_000) for _ in range(5))


def _growth(work: object) -> int:
    tracemalloc.start()
    assert callable(work)
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


# --- What the door does --------------------------------------------------------------------------------------------------


def test_nothing_is_obeyed_between_an_event_and_its_answer(alice: Conversation) -> None:
    dialogue = alice.dialogue
    event = dialogue.receive(ENVELOPE + b"x\r\n.\r\nNOOP\r\n")
    assert isinstance(event, Message)
    assert dialogue.receive(b"QUIT\r\n") is None
    assert dialogue.replies().endswith(b"only a dot\r\n")
    assert dialogue.answer(OK) == Close()
    assert dialogue.replies() == b"250 2.0.0 accepted as m1\r\n250 2.0.0 OK\r\n221 2.0.0 Bye\r\n"


def test_tls_forgets_everything_that_was_said_before() -> None:
    dialogue = Dialogue("mx.ombud.example", Limits(), Room(1000))
    assert dialogue.receive(b"EHLO client.example\r\nSTARTTLS\r\nEHLO evil.example\r\n") == StartTls()
    assert dialogue.receive(b"EHLO evil.example\r\n") is None
    dialogue.replies()
    dialogue.tls_started()
    assert (dialogue.helo, dialogue.replies()) == ("", b"")
    dialogue.receive(b"NOOP\r\n")
    assert dialogue.replies() == b"250 2.0.0 OK\r\n"


def test_a_draining_session_finishes_its_message_and_takes_no_other(alice: Conversation) -> None:
    dialogue = alice.dialogue
    dialogue.receive(ENVELOPE + b"x\r\n")
    assert dialogue.drain() is None
    assert isinstance(dialogue.receive(b".\r\n" + ENVELOPE), Message)
    dialogue.replies()
    assert dialogue.answer(OK) == Close()
    assert dialogue.replies().decode().splitlines() == [str(OK), str(replies.SHUTTING_DOWN)]
    assert dialogue.receive(b"NOOP\r\n") is None
    assert dialogue.replies() == b""


def test_a_draining_session_that_is_idle_is_closed_at_once(alice: Conversation) -> None:
    assert alice.dialogue.drain() == Close()
    assert alice.dialogue.replies().decode() == f"{replies.SHUTTING_DOWN}\r\n"


def test_an_answer_of_421_closes(alice: Conversation) -> None:
    alice.dialogue.receive(ENVELOPE + b"x\r\n.\r\nNOOP\r\n")
    assert alice.dialogue.answer(replies.SHUTTING_DOWN) == Close()


def test_a_refusal_that_may_pass_is_no_failed_authentication() -> None:
    dialogue = Dialogue("mx.ombud.example", Limits(max_auth_failures=1), Room(1000), tls=True)
    dialogue.receive(b"EHLO client.example\r\n")
    assert isinstance(dialogue.receive(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"), Authenticate)
    assert dialogue.answer(replies.AUTH_FAULT) is None
    assert dialogue.receive(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n") == Authenticate("alice", "secret")


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Authenticate("alice", "secret"))


def test_an_error_becomes_a_reply_of_one_line_with_its_stable_code() -> None:
    reply = replies.reply_to(DomainNotYours(domain="eken.example"))
    assert reply.wire().startswith(b"550 5.7.1 The sender domain eken.example is not proved")
    assert reply.wire().endswith(b"[domain_not_proved]\r\n")


def test_what_a_client_said_cannot_break_the_reply_that_quotes_it() -> None:
    wire = replies.reply_to(BadAddress(address="a\r\n250 OK\x1bå" + "x" * 1000, reason="no")).wire()
    assert wire.count(b"\r") == wire.count(b"\n") == 1
    assert wire.isascii() and len(wire) <= 512  # RFC 5321 4.5.3.1.5
    assert wire.endswith(b"[bad_address]\r\n")
