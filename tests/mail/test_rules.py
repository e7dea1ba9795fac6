"""The receivers' rules that a message shows, and whose domains are whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.mail.dkim import new_key, sign
from ombud.mail.rules import RULES, Receiver, Verdict, check_message, is_consumer, read, receiver_of

NOW = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)
KEY = new_key("eken.example", "om1", "ed25519-sha256")
GOOD = (
    b"Date: Tue, 07 May 2024 12:00:00 +0200\r\nFrom: Bostads AB Eken <hyra@eken.example>\r\nTo: Asa <asa@x.example>\r\n"
    b"Subject: Hyresavi\r\nMessage-ID: <1@eken.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHej\r\n"
)
ONE_CLICK = b"List-Unsubscribe: <https://x.example/u/1>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def signed(content: bytes) -> bytes:
    return sign(content, [KEY], NOW) + content


def verdicts(content: bytes, *, marketing: bool = False, bulk: bool = False) -> dict[str, Verdict]:
    found = check_message(read(content), NOW, marketing=marketing, bulk=bulk)
    assert len({one.rule.id for one in found}) == len(found)
    return {one.rule.id: one.verdict for one in found}


def test_a_good_message_breaks_no_rule() -> None:
    assert set(verdicts(signed(GOOD)).values()) == {Verdict.PASS, Verdict.NOT_FOR_YOU}


@pytest.mark.parametrize(
    ("old", "new", "rule", "verdict"),
    [
        (b"<hyra@eken.example>", b"<hyra@gmail.com>", "FMT-GMAILFROM", Verdict.FAIL),
        (b"<hyra@eken.example>", b"<hyra@live.se>", "FMT-GMAILFROM", Verdict.FAIL),
        (b"<hyra@eken.example>", b"<hyra@eken.example>, b@c.se", "FMT-FROM", Verdict.FAIL),
        (b"Message-ID: <1@eken.example>\r\n", b"", "FMT-HDR", Verdict.FAIL),
        (b"Date: Tue, 07 May 2024", b"Date: Tue, 07 May 2019", "FMT-HDR", Verdict.FAIL),
        (b"Date: Tue, 07 May 2024", b"Date: Wed, 08 May 2024", "FMT-HDR", Verdict.FAIL),
        (b"Date: Tue, 07 May 2024", b"Date: Tue, 02 May 2024", "FMT-HDR", Verdict.PASS),
        (b"Date: Tue, 07 May 2024 12:00:00 +0200", b"Date: next week", "FMT-HDR", Verdict.FAIL),
        (b"Subject: Hyresavi\r\n", b"Subject: a\r\nSubject: b\r\n", "FMT-HDR", Verdict.FAIL),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\r\nno colon\r\n", "FMT-HDR", Verdict.FAIL),
        (b"Hej\r\n", b"Hej\n", "FMT-LINE", Verdict.FAIL),
        (b"Hej\r\n", b"a" * 999 + b"\r\n", "FMT-LINE", Verdict.FAIL),
        (b"Subject: Hyresavi", b"Subject: SV: Hyresavi", "FMT-DISP", Verdict.ADVICE),
        (b"Bostads AB Eken <", b"\"help@bank.se\" <", "FMT-DISP", Verdict.ADVICE),
        (b"From: Bostads AB Eken", b"From: Bank =?utf-8?b?4pyF?=", "FMT-DISP", Verdict.ADVICE),
    ],
)  # fmt: skip
def test_each_rule_sees_its_fault(old: bytes, new: bytes, rule: str, verdict: Verdict) -> None:
    assert old in GOOD
    assert verdicts(GOOD.replace(old, new))[rule] is verdict


def test_a_message_too_large_for_anybody_is_told() -> None:
    largest = (GOOD + (b"x" * 996 + b"\r\n") * 25_100)[: 25_000_000 - 2] + b"\r\n"
    assert verdicts(largest)["FMT-SIZE"] is Verdict.PASS
    assert verdicts(largest + b"\r\n")["FMT-SIZE"] is Verdict.FAIL


def test_the_signature_must_be_of_the_senders_organisation_and_of_this_body() -> None:
    whole = verdicts(signed(GOOD))
    assert (whole["AUTH-ALIGN"], whole["AUTH-SIGS"]) == (Verdict.PASS, Verdict.PASS)
    assert verdicts(signed(GOOD) + b"P.S.\r\n")["AUTH-SIGS"] is Verdict.FAIL
    assert verdicts(signed(GOOD).replace(b"d=eken.example", b"d=leverantor.example"))["AUTH-ALIGN"] is Verdict.FAIL
    assert verdicts(GOOD)["AUTH-DKIM"] is Verdict.NOT_TESTED


def test_marketing_needs_one_click_under_the_signature_and_a_link() -> None:
    bare = verdicts(signed(GOOD), marketing=True)
    assert (bare["UNS-1CLICK"], bare["UNS-BODY"]) == (Verdict.ADVICE, Verdict.ADVICE)
    whole = signed(ONE_CLICK + GOOD.replace(b"Hej", b"Avregistrera: https://x.example/u/1"))
    found = verdicts(whole, marketing=True)
    assert (found["UNS-1CLICK"], found["UNS-BODY"]) == (Verdict.PASS, Verdict.PASS)
    bare_of_it = whole.replace(
        b"list-unsubscribe", b"other-field"
    )  # as h= has it; the fields themselves are capitalised
    assert verdicts(bare_of_it, marketing=True)["UNS-1CLICK"] is Verdict.ADVICE
    half = whole.replace(b"list-unsubscribe-post", b"other-field")
    misspelt = signed(ONE_CLICK.replace(b"=One-Click", b"=one-click") + GOOD)
    assert half != whole
    for wrong in (half, misspelt):
        assert verdicts(wrong, marketing=True)["UNS-1CLICK"] is Verdict.ADVICE
    assert verdicts(signed(GOOD))["UNS-1CLICK"] is Verdict.NOT_FOR_YOU


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(b"maj:eken:avi:ombud", Verdict.PASS), (b"ombud", Verdict.PASS), (b"a:b:c:d:ombud", Verdict.ADVICE),
     (b"maj:maj:avi:ombud", Verdict.ADVICE), (b"maj:eken:avi:om", Verdict.ADVICE)],
)  # fmt: skip
def test_a_feedback_id_has_its_form(value: bytes, verdict: Verdict) -> None:
    assert verdicts(signed(b"Feedback-ID: " + value + b"\r\n" + GOOD), bulk=True)["FBID"] is verdict


def test_the_receivers_domains_are_known() -> None:
    assert receiver_of("gmail.com") is receiver_of("googlemail.com") is Receiver.GMAIL
    outlook = ("outlook.com", "hotmail.com", "hotmail.se", "live.se", "live.co.uk", "msn.com", "outlook.com.br")
    assert {receiver_of(name) for name in outlook} == {Receiver.OUTLOOK}
    assert {receiver_of(name) for name in ("google.com", "outlook.eken.se.example.com", "live", "eken.se")} == {None}
    assert all(
        is_consumer(name) for name in ("yahoo.com", "yahoo.se", "icloud.com", "aol.com", "gmail.com", "hotmail.se")
    )
    assert not is_consumer("yahooligans.se")


def test_every_rule_speaks_both_languages() -> None:
    assert len(RULES) == 26 and all(rule.sv and rule.en for rule in RULES.values())


@given(st.binary(max_size=300))
def test_no_bytes_make_the_rules_fail(content: bytes) -> None:
    check_message(read(content), NOW, marketing=True, bulk=True)
    check_message(read(GOOD[:60] + content), NOW + timedelta(days=400), marketing=True)
