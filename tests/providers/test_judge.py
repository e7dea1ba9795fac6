"""Permanent or passing, and who is to blame: the whole table."""

from __future__ import annotations

import pytest

from ombud.mail.reply import Reply
from ombud.mail.smtp.answer import Answer, Stage
from ombud.providers.provider import LEASE_LOST, Result, judge

D, P, F, U = Result.DELIVERED, Result.DEFERRED, Result.FAILED, Result.UNKNOWN


def heard(stage: Stage, code: int, enhanced: str = "") -> Answer:
    return Answer(stage, Reply(code, enhanced, "words"))


def unheard(stage: Stage) -> Answer:
    return Answer(stage, Reply(451, "4.4.2", "our words"), heard=False)


@pytest.mark.parametrize(
    ("answer", "result", "route_fault"),
    [
        (heard(Stage.DOT, 250), D, False),
        (heard(Stage.DOT, 451), P, False),
        (heard(Stage.DOT, 452, "4.3.1"), P, True),  # the server's disk is full: that is not the mail's fault
        (heard(Stage.DOT, 421, "4.3.2"), P, True),
        (heard(Stage.DOT, 554, "5.7.1"), F, False),
        (unheard(Stage.DOT), U, True),
        (unheard(Stage.BODY), P, True),
        (heard(Stage.BODY, 552, "5.3.4"), F, False),
        (heard(Stage.BODY, 421), P, True),
        (heard(Stage.DATA, 451), P, False),
        (heard(Stage.DATA, 554), F, False),
        (unheard(Stage.DATA), P, True),
        (heard(Stage.RCPT, 450, "4.2.1"), P, False),
        (heard(Stage.RCPT, 452, "4.2.2"), P, False),  # mailbox full, for now
        (heard(Stage.RCPT, 452, "4.5.3"), P, False),  # too many recipients: the rest goes in the next message
        (heard(Stage.RCPT, 552), P, False),  # the same as said by old servers
        (heard(Stage.RCPT, 552, "5.5.3"), P, False),
        (heard(Stage.RCPT, 552, "5.2.2"), F, False),  # mailbox full, for good
        (heard(Stage.RCPT, 550, "5.1.1"), F, False),
        (heard(Stage.RCPT, 421), P, True),
        (unheard(Stage.RCPT), P, True),
        (heard(Stage.MAIL, 451), P, False),
        (heard(Stage.MAIL, 550, "5.7.1"), F, False),
        (heard(Stage.MAIL, 530, "5.7.0"), P, True),  # "authenticate first": the route's set-up
        (heard(Stage.RCPT, 530, "5.7.0"), P, True),
        (unheard(Stage.MAIL), P, True),
        (heard(Stage.GREETING, 554), P, True),
        (heard(Stage.GREETING, 421), P, True),
        (heard(Stage.HELLO, 550), P, True),
        (heard(Stage.TLS, 454), P, True),
        (heard(Stage.AUTH, 535, "5.7.8"), P, True),
        (heard(Stage.RESET, 500), P, True),
        (unheard(Stage.CONNECT), P, True),
        (heard(Stage.OURS, 552, "5.3.4"), F, False),
        (LEASE_LOST, P, False),
        (heard(Stage.RCPT, 250), P, True),  # a yes to a recipient is no delivery
    ],
)
def test_an_answer_is_judged(answer: Answer, result: Result, route_fault: bool) -> None:
    outcome = judge(answer, "relay.example[192.0.2.1]:25")
    assert (outcome.result, outcome.route_fault) == (result, route_fault)
    assert outcome.reply is answer.reply
    assert outcome.remote == "relay.example[192.0.2.1]:25"


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("code", [200, 250, 354, 421, 450, 500, 530, 554])
def test_only_the_final_dot_delivers_and_only_a_real_no_after_the_greeting_fails(stage: Stage, code: int) -> None:
    result = judge(heard(stage, code), "").result
    assert (result is Result.DELIVERED) == (stage is Stage.DOT and code < 400)
    if result is Result.FAILED:
        assert code >= 500
        assert stage in (Stage.OURS, Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY, Stage.DOT)
