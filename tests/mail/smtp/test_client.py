"""The sending side's dialogue, spoken as text: S is the server, C is what the dialogue must say; no sockets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.mail.address import Address
from ombud.mail.reply import Reply
from ombud.mail.smtp.answer import Answer, Stage
from ombud.mail.smtp.capabilities import read_capabilities
from ombud.mail.smtp.client import (
    MAX_REPLY,
    BodyWanted,
    Dialogue,
    Ended,
    Event,
    Finished,
    Ready,
    SecureNow,
    StartTls,
)
from ombud.mail.smtp.data import dot_stuffed
from ombud.mail.smtp.login import Login
from ombud.mail.smtp.transaction import Envelope

ALICE = Address("alice", "alice.example")
BOB = Address("bob", "bob.example")
CHARLIE = Address("charlie", "charlie.example")
AASA = Address("åsa", "bob.example")

PIPELINING = "250-relay.example\n250-PIPELINING\n250-SIZE 50000\n250-8BITMIME\n250 SMTPUTF8"
LOCKSTEP = "250-relay.example\n250-8BITMIME\n250 SIZE 50000"


def envelope(*recipients: Address, size: int = 100, **more: bool) -> Envelope:
    return Envelope(ALICE, recipients or (BOB,), size, **more)


def new(login: Login | None = None, starttls: StartTls = StartTls.NEVER, clear_login: bool = True) -> Dialogue:
    return Dialogue("ombud.example", starttls=starttls, login=login, clear_login=clear_login)


def hear(dialogue: Dialogue, text: str) -> list[Event]:
    dialogue.take_output()  # what was not looked at has been sent all the same
    return dialogue.receive("".join(f"{line}\r\n" for line in text.split("\n")).encode())


def said(dialogue: Dialogue) -> list[str]:
    return dialogue.take_output().decode().split("\r\n")[:-1]


def ready(ehlo: str = PIPELINING) -> Dialogue:
    dialogue = new()
    assert hear(dialogue, "220 relay.example ESMTP") == []
    assert said(dialogue) == ["EHLO ombud.example"]
    assert hear(dialogue, ehlo) == [Ready()]
    return dialogue


def in_body(dialogue: Dialogue, *recipients: Address) -> Dialogue:
    dialogue.begin(envelope(*recipients))
    dialogue.take_output()
    assert hear(dialogue, "250 ok\n" + "250 ok\n" * max(1, len(recipients)) + "354 go") == [BodyWanted()]
    return dialogue


def answers(events: list[Event]) -> list[Answer]:
    finished = [event for event in events if isinstance(event, Finished)]
    assert len(finished) == 1
    return list(finished[0].answers)


def end(events: list[Event]) -> Answer:
    assert isinstance(events[-1], Ended)
    return events[-1].answer


# --- opening ---


def test_a_server_that_does_not_know_ehlo_is_greeted_with_helo() -> None:
    dialogue = new()
    hear(dialogue, "220 old.example")
    said(dialogue)
    assert hear(dialogue, "502 what?") == []
    assert said(dialogue) == ["HELO ombud.example"]
    assert hear(dialogue, "250 old.example") == [Ready()]
    assert dialogue.capabilities.names == frozenset()


@pytest.mark.parametrize("greeting", ["554 5.3.2 no service", "421 4.3.2 too many connections", "450 later"])
def test_a_refused_greeting_ends_the_session_with_the_servers_own_words(greeting: str) -> None:
    dialogue = new()
    answer = end(hear(dialogue, greeting))
    assert (answer.stage, str(answer.reply), answer.heard) == (Stage.GREETING, greeting, True)
    assert said(dialogue) == []


def test_a_multi_line_greeting_is_one_reply() -> None:
    dialogue = new()
    assert hear(dialogue, "220-relay.example\n220-no spam please\n220 ready") == []
    assert said(dialogue) == ["EHLO ombud.example"]


def test_what_the_server_offers_is_read_whatever_its_case() -> None:
    offer = read_capabilities(
        "relay.example\nsize 1000\npipelining\n8bitmime\nsmtputf8\nauth plain\nAUTH=LOGIN PLAIN\n"
    )
    assert (offer.max_size, offer.pipelining, offer.eight_bit, offer.utf8) == (1000, True, True, True)
    assert offer.mechanisms == {"PLAIN", "LOGIN"}


@pytest.mark.parametrize("line", ["SIZE", "SIZE 0", "SIZE lots", "SIZE -5", "SIZE " + "9" * 5000, "SIZE ²"])
def test_a_size_that_is_no_limit_is_none(line: str) -> None:
    assert read_capabilities(f"relay.example\n{line}").max_size == 0


@pytest.mark.parametrize(
    "name", ["", "a b", "a\r\nRSET", "a\n", "a\0", "-a", "a>", "å.example", "x" * 300, "[1.2.3.4]\r\nNOOP"]
)
def test_a_name_that_could_not_stand_in_ehlo_is_refused_before_the_socket(name: str) -> None:
    with pytest.raises(ValueError, match="EHLO"):
        Dialogue(name, starttls=StartTls.NEVER)


@pytest.mark.parametrize("name", ["localhost", "a.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "x1-y.example"])
def test_host_names_and_address_literals_may_stand_in_ehlo(name: str) -> None:
    Dialogue(name, starttls=StartTls.NEVER)


# --- STARTTLS ---


def test_after_starttls_everything_is_forgotten_and_ehlo_said_again() -> None:
    dialogue = new(starttls=StartTls.REQUIRED)
    hear(dialogue, "220 relay.example")
    said(dialogue)
    hear(dialogue, "250-relay.example\n250-SIZE 5\n250 STARTTLS")
    assert said(dialogue) == ["STARTTLS"]
    assert hear(dialogue, "220 go") == [SecureNow()]
    dialogue.secured()
    assert said(dialogue) == ["EHLO ombud.example"]
    assert dialogue.capabilities.max_size == 0
    assert hear(dialogue, "250 relay.example") == [Ready()]


def test_plaintext_after_the_220_is_discarded_and_nothing_in_it_trusted() -> None:
    dialogue = new(Login("u", "p"), StartTls.REQUIRED, clear_login=False)
    hear(dialogue, "220 relay.example")
    hear(dialogue, "250-relay.example\n250 STARTTLS")
    said(dialogue)
    assert hear(dialogue, "220 go\n250-evil\n250 AUTH PLAIN\n235 welcome") == [SecureNow()]
    assert hear(dialogue, "250 AUTH PLAIN") == []
    dialogue.secured()
    assert said(dialogue) == ["EHLO ombud.example"]
    assert end(hear(dialogue, "250 relay.example")).stage is Stage.AUTH  # the real server offers no AUTH
    assert said(dialogue) == []


@pytest.mark.parametrize("ehlo", ["250 relay.example", "250-relay.example\n250 AUTH PLAIN"])
def test_a_stripped_starttls_gets_neither_password_nor_mail(ehlo: str) -> None:
    dialogue = new(Login("u", "p"), StartTls.REQUIRED, clear_login=False)
    hear(dialogue, "220 relay.example")
    said(dialogue)
    answer = end(hear(dialogue, ehlo))
    assert (answer.stage, answer.heard, answer.reply.enhanced) == (Stage.TLS, False, "4.7.5")
    assert said(dialogue) == []


def test_a_refused_starttls_ends_the_session_where_tls_is_required() -> None:
    dialogue = new(starttls=StartTls.REQUIRED)
    hear(dialogue, "220 relay.example")
    hear(dialogue, "250-relay.example\n250 STARTTLS")
    said(dialogue)
    assert end(hear(dialogue, "454 4.7.0 no certificate today")).stage is Stage.TLS


@pytest.mark.parametrize("refusal", [None, "454 4.7.0 not today"])
def test_opportunistic_tls_goes_on_in_the_clear_but_never_with_a_password(refusal: str | None) -> None:
    def without_tls(login: Login | None) -> list[Event]:
        dialogue = new(login, StartTls.OFFERED, clear_login=False)
        hear(dialogue, "220 relay.example")
        events = hear(dialogue, "250-relay.example\n250-AUTH PLAIN\n250 " + ("STARTTLS" if refusal else "HELP"))
        said(dialogue)
        return hear(dialogue, refusal) if refusal else events

    assert without_tls(None) == [Ready()]
    assert end(without_tls(Login("u", "p"))).stage is Stage.AUTH


# --- AUTH ---


def logging_in(login: Login, mechanisms: str) -> Dialogue:
    dialogue = new(login)
    hear(dialogue, "220 relay.example")
    said(dialogue)
    hear(dialogue, f"250-relay.example\n250 AUTH {mechanisms}")
    return dialogue


def test_auth_plain_goes_in_one_line() -> None:
    dialogue = logging_in(Login("alice", "secret"), "LOGIN PLAIN")
    assert said(dialogue) == ["AUTH PLAIN AGFsaWNlAHNlY3JldA=="]
    assert hear(dialogue, "235 2.7.0 welcome") == [Ready()]


def test_auth_plain_that_does_not_fit_in_a_line_waits_for_the_challenge() -> None:
    dialogue = logging_in(Login("alice", "s" * 600), "PLAIN")
    assert said(dialogue) == ["AUTH PLAIN"]
    hear(dialogue, "334 ")
    assert said(dialogue)[0].startswith("AGFsaWNl")
    assert hear(dialogue, "235 welcome") == [Ready()]


def test_auth_login_answers_two_challenges() -> None:
    dialogue = logging_in(Login("alice", "secret"), "LOGIN")
    assert said(dialogue) == ["AUTH LOGIN"]
    hear(dialogue, "334 VXNlcm5hbWU6")
    assert said(dialogue) == ["YWxpY2U="]
    hear(dialogue, "334 UGFzc3dvcmQ6")
    assert said(dialogue) == ["c2VjcmV0"]
    assert hear(dialogue, "235 welcome") == [Ready()]


def test_a_server_that_asks_for_ever_is_left() -> None:
    dialogue = logging_in(Login("alice", "secret"), "PLAIN")
    said(dialogue)
    assert end(hear(dialogue, "334 more?")).heard is False


def test_a_wrong_password_ends_the_session_with_the_servers_words() -> None:
    dialogue = logging_in(Login("alice", "wrong"), "PLAIN")
    said(dialogue)
    assert end(hear(dialogue, "535 5.7.8 bad credentials")) == Answer(
        Stage.AUTH, Reply(535, "5.7.8", "bad credentials")
    )


@pytest.mark.parametrize("mechanisms", ["", "XOAUTH2", "PLAINISH"])
def test_without_a_mechanism_in_common_no_mail_goes_unauthenticated(mechanisms: str) -> None:
    dialogue = new(Login("alice", "secret"))
    hear(dialogue, "220 relay.example")
    said(dialogue)
    assert end(hear(dialogue, f"250-relay.example\n250 AUTH {mechanisms}")).stage is Stage.AUTH
    assert said(dialogue) == []


@pytest.mark.parametrize("bad", ["a\0b", "a\r\nRSET", "a\nb", "a\x7fb", "a\u2028b", "a\x85b"])
def test_control_characters_in_credentials_are_refused(bad: str) -> None:
    for user, password in ((bad, "p"), ("u", bad)):
        with pytest.raises(ValueError, match="control"):
            Login(user, password)


def test_a_password_does_not_show_when_printed() -> None:
    assert "hunter2" not in repr(Login("u", "hunter2"))


# --- the transaction ---


def test_the_envelope_is_one_write_where_the_server_pipelines() -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB, CHARLIE, size=10))
    assert said(dialogue) == [
        "MAIL FROM:<alice@alice.example> SIZE=10",
        "RCPT TO:<bob@bob.example>",
        "RCPT TO:<charlie@charlie.example>",
        "DATA",
    ]
    assert hear(dialogue, "250 ok\n250 ok\n250 ok") == []
    assert hear(dialogue, "354 go") == [BodyWanted()]


def test_without_pipelining_each_command_waits_for_its_reply() -> None:
    dialogue = ready(LOCKSTEP)
    dialogue.begin(envelope(BOB, CHARLIE))
    for expected, reply in (
        ("MAIL FROM:<alice@alice.example> SIZE=100", "250 ok"),
        ("RCPT TO:<bob@bob.example>", "251 will forward"),
        ("RCPT TO:<charlie@charlie.example>", "250 ok"),
    ):
        assert said(dialogue) == [expected]
        assert hear(dialogue, reply) == []
    assert said(dialogue) == ["DATA"]
    assert hear(dialogue, "354 go") == [BodyWanted()]


@pytest.mark.parametrize("ehlo", [PIPELINING, LOCKSTEP])
def test_each_recipient_keeps_its_own_answer_word_for_word(ehlo: str) -> None:
    dialogue = ready(ehlo)
    dialogue.begin(envelope(BOB, CHARLIE, ALICE))
    replies = [
        "250 ok",
        "250 2.1.5 ok",
        "450-4.2.1 greylisted,\n450 4.2.1 try in 5 min",
        "550 5.1.1 no such user",
        "354 go",
    ]
    events: list[Event] = []
    for reply in replies:
        events += hear(dialogue, reply)
    assert events == [BodyWanted()]
    dialogue.pass_the_dot()
    dialogue.take_output()
    got = answers(hear(dialogue, "250 2.0.0 queued as 4711"))
    assert got == [
        Answer(Stage.DOT, Reply(250, "2.0.0", "queued as 4711")),
        Answer(Stage.RCPT, Reply(450, "4.2.1", "greylisted,\ntry in 5 min")),
        Answer(Stage.RCPT, Reply(550, "5.1.1", "no such user")),
    ]
    assert dialogue.stage is Stage.IDLE


def test_when_all_are_refused_and_the_server_pipelines_only_a_lone_dot_follows_its_go() -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB))
    said(dialogue)
    assert hear(dialogue, "250 ok\n550 5.1.1 no such user\n354 go") == []
    assert dialogue.take_output() == b".\r\n"
    got = answers(hear(dialogue, "554 no valid recipients"))
    assert got == [Answer(Stage.RCPT, Reply(550, "5.1.1", "no such user"))]


def test_when_all_are_refused_and_data_too_the_next_transaction_starts_with_rset() -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB))
    said(dialogue)
    assert len(answers(hear(dialogue, "250 ok\n550 no\n554 no valid recipients"))) == 1
    dialogue.begin(envelope(CHARLIE))
    assert said(dialogue)[:2] == ["RSET", "MAIL FROM:<alice@alice.example> SIZE=100"]
    assert hear(dialogue, "250 reset\n250 ok\n250 ok\n354 go") == [BodyWanted()]


def test_when_all_are_refused_without_pipelining_no_data_is_said() -> None:
    dialogue = ready(LOCKSTEP)
    dialogue.begin(envelope(BOB))
    hear(dialogue, "250 ok")
    said(dialogue)
    assert answers(hear(dialogue, "550 no"))[0].stage is Stage.RCPT
    assert said(dialogue) == []
    dialogue.begin(envelope(CHARLIE))
    assert said(dialogue) == ["RSET"]
    hear(dialogue, "250 ok")
    assert said(dialogue) == ["MAIL FROM:<alice@alice.example> SIZE=100"]


def test_a_refused_sender_is_the_answer_of_every_recipient() -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB, CHARLIE))
    got = answers(hear(dialogue, "553 5.1.8 bad sender\n503 need MAIL\n503 need MAIL\n503 need RCPT"))
    assert got == [Answer(Stage.MAIL, Reply(553, "5.1.8", "bad sender"))] * 2
    assert dialogue.stage is Stage.IDLE


def test_a_refused_data_is_the_answer_of_those_who_were_accepted() -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB, CHARLIE))
    got = answers(hear(dialogue, "250 ok\n550 no such user\n250 ok\n451 4.3.0 not now"))
    assert [(answer.stage, answer.reply.code) for answer in got] == [(Stage.RCPT, 550), (Stage.DATA, 451)]


# --- what the server offers ---


def test_8_bit_content_says_so() -> None:
    dialogue = ready(LOCKSTEP)
    dialogue.begin(envelope(has_8bit=True))
    assert said(dialogue) == ["MAIL FROM:<alice@alice.example> SIZE=100 BODY=8BITMIME"]


def test_smtputf8_is_asked_for_when_an_address_needs_it_and_only_then() -> None:
    dialogue = ready()
    dialogue.begin(envelope(AASA))
    assert said(dialogue)[:2] == ["MAIL FROM:<alice@alice.example> SIZE=100 SMTPUTF8", "RCPT TO:<åsa@bob.example>"]


@pytest.mark.parametrize(
    ("mail", "code", "enhanced"),
    [
        (envelope(size=50_001), 552, "5.3.4"),
        (envelope(has_8bit=True), 554, "5.6.3"),
        (envelope(needs_utf8=True), 554, "5.6.7"),
        (envelope(AASA), 553, "5.6.7"),
        (Envelope(AASA, (BOB,), 1), 554, "5.6.7"),
    ],
)
def test_mail_that_the_server_cannot_take_is_not_even_tried(mail: Envelope, code: int, enhanced: str) -> None:
    dialogue = ready("250-relay.example\n250 SIZE 50000")
    got = answers(dialogue.begin(mail))
    assert [(a.stage, a.reply.code, a.reply.enhanced) for a in got] == [(Stage.OURS, code, enhanced)]
    assert said(dialogue) == []
    assert dialogue.stage is Stage.IDLE


def test_one_recipient_that_the_server_cannot_name_does_not_stop_the_others() -> None:
    dialogue = ready(LOCKSTEP)
    dialogue.begin(envelope(AASA, BOB))
    hear(dialogue, "250 ok")
    assert said(dialogue) == ["RCPT TO:<bob@bob.example>"]
    hear(dialogue, "250 ok")
    said(dialogue)
    hear(dialogue, "354 go")
    dialogue.pass_the_dot()
    assert [a.stage for a in answers(hear(dialogue, "250 ok"))] == [Stage.OURS, Stage.DOT]


@pytest.mark.parametrize(
    "local", ["a\r\nRCPT TO:<x@y.example", "a\nb", "a\0b", "a>b", "a b", '"a"', "a\u2028b", "a\x85b", "a" * 300, "a\\b"]
)
def test_an_address_that_could_end_the_command_never_reaches_the_wire(local: str) -> None:
    bad = Address(local, "bob.example")
    for mail in (envelope(bad), Envelope(bad, (BOB,), 1)):
        dialogue = ready()
        assert answers(dialogue.begin(mail))[0].reply.code == 501
        assert said(dialogue) == []


def test_the_null_sender_is_written_as_empty_brackets() -> None:
    dialogue = ready("250 relay.example")
    dialogue.begin(Envelope(None, (BOB,), 1))
    assert said(dialogue) == ["MAIL FROM:<>"]


# --- trouble ---


def test_lost_before_the_dot_every_open_recipient_is_told_so() -> None:
    dialogue = in_body(ready(), BOB, CHARLIE)
    got = answers(dialogue.lost("was lost"))
    assert {(a.stage, a.heard) for a in got} == {(Stage.BODY, False)}


def test_lost_after_the_dot_the_stage_says_so() -> None:
    dialogue = in_body(ready(), BOB)
    dialogue.pass_the_dot()
    assert answers(dialogue.lost("was lost"))[0].stage is Stage.DOT


def test_what_was_refused_before_the_loss_stays_refused() -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB, CHARLIE))
    hear(dialogue, "250 ok\n550 no such user")
    assert [(a.stage, a.heard) for a in answers(dialogue.lost("was lost"))] == [(Stage.RCPT, True), (Stage.RCPT, False)]


@pytest.mark.parametrize("heard", ["", "250 ok\n", "250 ok\n250 ok\n", "250 ok\n250 ok\n354 go\n"])
def test_421_ends_it_at_any_stage(heard: str) -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB))
    got = hear(dialogue, f"{heard}421 4.3.2 shutting down")
    assert answers(got)[0].reply == Reply(421, "4.3.2", "shutting down")
    assert isinstance(got[-1], Ended)


def test_421_to_the_dot_is_an_answer_to_the_dot() -> None:
    dialogue = in_body(ready(), BOB)
    dialogue.pass_the_dot()
    got = hear(dialogue, "421 4.3.2 shutting down")
    assert answers(got)[0] == Answer(Stage.DOT, Reply(421, "4.3.2", "shutting down"))
    assert isinstance(got[-1], Ended)


def test_a_delivered_mail_stays_so_when_the_server_leaves_in_the_same_breath() -> None:
    dialogue = in_body(ready(), BOB)
    dialogue.pass_the_dot()
    got = hear(dialogue, "250 queued\n421 bye")
    assert answers(got) == [Answer(Stage.DOT, Reply(250, "", "queued"))]
    assert end(got).stage is Stage.IDLE


@pytest.mark.parametrize(
    "garbage",
    [
        "hello",
        "25 ok",
        "250_ok",
        "999 ok",
        "100 go",
        "250-a\r\n251 b",
        "\0\0\0",
        "HTTP/1.1 400 Bad Request",
        "",
        "²50 ok",
    ],
)
def test_what_is_no_reply_ends_the_session_and_is_not_heard(garbage: str) -> None:
    dialogue = in_body(ready(), BOB)
    dialogue.pass_the_dot()
    got = dialogue.receive(garbage.encode() + b"\r\n")
    assert [(a.stage, a.heard) for a in answers(got)] == [(Stage.DOT, False)]
    assert isinstance(got[-1], Ended)


@pytest.mark.parametrize(
    "drop", [b"2" * (MAX_REPLY + 1), b"250-go on\r\n" * 2000, b"250 " + b"x" * MAX_REPLY + b"\r\n"]
)
def test_an_endless_reply_is_cut_off(drop: bytes) -> None:
    dialogue = in_body(ready(), BOB)
    dialogue.pass_the_dot()
    assert answers(dialogue.receive(drop))[0].heard is False


@pytest.mark.parametrize("reply", ["250 fine", "220 hi"])
def test_a_yes_to_data_that_is_not_354_is_out_of_step(reply: str) -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB))
    assert answers(hear(dialogue, f"250 ok\n250 ok\n{reply}"))[0].heard is False


def test_a_reply_nobody_asked_for_is_never_taken_for_the_next_answer() -> None:
    for early in ("250 queued\n250 ok", "250 queued\n250 ok\n250 ok\n354 go\n250 delivered"):
        dialogue = in_body(ready(), BOB)
        dialogue.pass_the_dot()
        got = hear(dialogue, early)
        assert answers(got)[0].reply.text == "queued"
        assert end(got).heard is False


def test_a_greeting_that_answers_commands_not_yet_said_is_not_believed() -> None:
    dialogue = new()
    assert end(hear(dialogue, "220 relay.example\n250 relay.example")).heard is False
    assert said(dialogue) == []


def test_a_lockstep_server_that_answers_ahead_is_not_believed() -> None:
    dialogue = ready(LOCKSTEP)
    dialogue.begin(envelope(BOB, CHARLIE))
    got = hear(dialogue, "250 ok\n250 ok\n250 ok\n354 go\n250 delivered")
    assert all(not answer.heard for answer in answers(got))
    assert said(dialogue) == []


def test_a_no_in_the_middle_of_the_content_is_heard_and_the_dot_not_sent() -> None:
    dialogue = in_body(ready(), BOB)
    assert answers(hear(dialogue, "552 5.3.4 too big"))[0] == Answer(Stage.BODY, Reply(552, "5.3.4", "too big"))
    with pytest.raises(RuntimeError):
        dialogue.pass_the_dot()


def test_controls_in_a_reply_cannot_reach_a_log_or_a_database() -> None:
    dialogue = ready()
    dialogue.begin(envelope(BOB))
    got = hear(dialogue, "250 ok\n550 5.1.1 no\0 such\x1b[31m us\rer\x85 \xff\n503 no")
    assert not set(answers(got)[0].reply.text) & set("\0\x1b\r\n\x85")


def test_quit_is_said_and_its_answer_ends_the_session() -> None:
    dialogue = ready()
    assert dialogue.quit() == []
    assert said(dialogue) == ["QUIT"]
    assert end(hear(dialogue, "221 bye")).stage is Stage.QUIT
    assert dialogue.stage is Stage.ENDED


# --- any bytes at all ---


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([b"250 ok\r\n", b"354 go\r\n", b"250-a\r\n", b"421 x\r\n"]),
        max_size=12,
    )
)
@settings(max_examples=200, deadline=None)
def test_whatever_a_server_says_each_recipient_gets_exactly_one_answer(chunks: list[bytes]) -> None:
    dialogue = ready()
    events = dialogue.begin(envelope(BOB, CHARLIE))
    dialogue.take_output()
    for chunk in chunks:
        events += dialogue.receive(chunk)
        dialogue.take_output()
        if dialogue.stage is Stage.BODY:
            dialogue.pass_the_dot()
    events += dialogue.lost("was lost")
    assert len(answers(events)) == 2
    assert sum(isinstance(event, Ended) for event in events) == 1


@given(st.lists(st.integers(1, 30), max_size=20))
@settings(max_examples=100, deadline=None)
def test_where_the_network_cuts_the_replies_makes_no_difference(cuts: list[int]) -> None:
    stream = b"250-2.1.0 sender\r\n250 2.1.0 ok\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n250 ok\r\n354 go\r\n"

    def run(pieces: list[bytes]) -> list[Answer]:
        dialogue = ready()
        dialogue.begin(envelope(BOB, CHARLIE))
        dialogue.take_output()
        for piece in pieces:
            dialogue.receive(piece)
        dialogue.pass_the_dot()
        return answers(hear(dialogue, "250 queued"))

    pieces: list[bytes] = []
    rest = stream
    for cut in cuts:
        pieces, rest = [*pieces, rest[:cut]], rest[cut:]
    assert run([*pieces, rest]) == run([stream])


# --- dots ---


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"a\r\n", b"a\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"..\r\n.\r\n", b"...\r\n..\r\n"),
        (b"a\r\n.b\r\n", b"a\r\n..b\r\n"),
        (b"a.\r\nb.c\r\n", b"a.\r\nb.c\r\n"),
        (b"no end", b"no end\r\n"),
        (b"", b""),
    ],
)
def test_a_dot_at_the_start_of_a_line_is_doubled(content: bytes, wire: bytes) -> None:
    assert dot_stuffed(content) == wire


LINES = st.lists(st.sampled_from([b"", b".", b"..", b".a", b"a", b"a.", b"\xe5"]), min_size=1, max_size=30)


@given(LINES)
def test_the_final_dot_is_the_only_one_alone_on_a_line(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    wire = dot_stuffed(content) + b".\r\n"
    assert (b"\r\n" + wire).find(b"\r\n.\r\n") == len(wire) - 3
    unstuffed = [line[1:] if line.startswith(b".") else line for line in wire.split(b"\r\n")[:-2]]
    assert unstuffed == lines
