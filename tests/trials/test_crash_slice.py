"""The crash trial itself: the judge finds what is wrong, the sink writes down what it took, and a few kills of each kind."""

from __future__ import annotations

import shutil
import smtplib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trials.crash import killpoints
from trials.crash.judge import Verdict, judge
from trials.crash.ledger import Ack, Copy, Entry, Ledger, No, Offer, Refusal, read
from trials.crash.trial import Plan, run, sink

ANNA, BO = "ok-a-0@mottagare.example", "never-a-1@mottagare.example"
OFFER = Offer("a", "kund1", "raw", [ANNA, BO], "the content's sha", "key a")
COPY = Copy(
    [ANNA], "avi@kund1.example", "a@injector.example", "01x", "the content's sha", "all bytes' sha", answered=True
)
TAKEN = (OFFER, Ack("a", "yes"))


def copy(**changed: Any) -> Copy:
    return Copy(**{**{name: getattr(COPY, name) for name in Copy.__dataclass_fields__}, **changed})


def wrong(verdict: Verdict) -> dict[str, int]:
    names = ("lost", "unlabelled", "twice", "altered", "strange", "refused_in")
    return {name: number for name in names if (number := getattr(verdict, name))}


def test_an_acknowledged_recipient_is_at_the_sink_or_refused_by_it() -> None:
    verdict = judge(TAKEN, [COPY, No(BO)], {})
    assert (verdict.acknowledged, verdict.delivered, verdict.refused_out, verdict.clean) == (2, 1, 1, True)


def test_an_acknowledged_recipient_who_is_neither_is_lost_and_named() -> None:
    verdict = judge(TAKEN, [COPY], {})
    assert wrong(verdict) == {"lost": 1}
    assert verdict.examples == {"lost": [BO]}


def test_nothing_is_promised_for_what_was_offered_and_not_acknowledged() -> None:
    verdict = judge([OFFER], [], {})
    assert (verdict.unacknowledged, verdict.acknowledged, verdict.clean) == (2, 0, True)


def test_a_second_copy_is_allowed_once_for_each_time_that_it_was_labelled() -> None:
    twice, thrice = [COPY, COPY, No(BO)], [COPY, COPY, COPY, No(BO)]
    assert judge(TAKEN, twice, {ANNA: 1}).clean
    assert wrong(judge(TAKEN, twice, {})) == {"unlabelled": 1}
    assert wrong(judge(TAKEN, thrice, {ANNA: 1})) == {"unlabelled": 1}


@pytest.mark.parametrize("difference", [{"sha": "other"}, {"whole": "other"}, {"message_id": "other"}])
def test_a_second_copy_with_other_bytes_is_altered(difference: dict[str, str]) -> None:
    assert "altered" in wrong(judge(TAKEN, [COPY, copy(**difference), No(BO)], {ANNA: 1}))


def test_a_single_copy_that_differs_from_what_was_handed_in_is_altered() -> None:
    assert wrong(judge(TAKEN, [copy(sha="other"), No(BO)], {})) == {"altered": 1}


@pytest.mark.parametrize(
    "foreign", [{"mail_from": "avi@kund2.example"}, {"recipients": [ANNA, "nobody@mottagare.example"]}]
)
def test_a_copy_from_another_customer_or_for_someone_not_offered_is_strange(foreign: dict[str, Any]) -> None:
    assert wrong(judge(TAKEN, [copy(**foreign), No(BO)], {})) == {"strange": 1}


def test_a_call_with_a_key_that_was_accepted_twice_is_found_by_its_two_ids() -> None:
    copies = [COPY, copy(ombud="01y"), No(BO)]
    assert wrong(judge(TAKEN, copies, {ANNA: 1})) == {"twice": 1}


def test_a_call_with_a_key_must_be_answered_alike_each_time() -> None:
    assert wrong(judge([*TAKEN, Ack("a", "another yes")], [COPY, No(BO)], {})) == {"twice": 1}


def test_what_ombud_refuses_is_an_error_of_the_trial_and_shown() -> None:
    assert wrong(judge([OFFER, Refusal("a", "422 no")], [], {})) == {"refused_in": 1}


def test_the_ledger_gives_back_what_was_written_but_for_a_line_cut_off(tmp_path: Path) -> None:
    entries: Sequence[Entry] = (OFFER, Ack("a", "å"), COPY, No(BO))
    ledger = Ledger(tmp_path / "ledger")
    for entry in entries:
        ledger.write(entry, sync=True)
    with (tmp_path / "ledger").open("a") as file:
        file.write('["Ack", {"token": "b"')
    assert list(read(tmp_path / "ledger")) == list(entries)


def send(port: int, *recipients: str) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        return client.sendmail("avi@kund1.example", list(recipients), b"From: avi@kund1.example\r\n\r\nHej\r\n.\r\n")


def test_the_sink_treats_a_recipient_as_the_name_says_once_and_writes_down_what_it_took(tmp_path: Path) -> None:
    with sink(tmp_path, seed=1) as port:
        assert send(port, "ok-1@x.example", "later-1@x.example", "never-1@x.example").keys() == {
            "later-1@x.example",
            "never-1@x.example",
        }
        with pytest.raises(smtplib.SMTPDataError):
            send(port, "soft-1@x.example")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            send(port, "hang-1@x.example")
        for address in ("later-1@x.example", "soft-1@x.example", "hang-1@x.example"):
            assert send(port, address) == {}
    entries = list(read(tmp_path / "sink.ledger"))
    taken = [(entry.recipients[0], entry.answered) for entry in entries if isinstance(entry, Copy)]
    assert taken == [
        ("ok-1@x.example", True),
        ("hang-1@x.example", False),
        ("later-1@x.example", True),
        ("soft-1@x.example", True),
        ("hang-1@x.example", True),
    ]
    assert [entry for entry in entries if isinstance(entry, No)] == [No("never-1@x.example")]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_nothing_acknowledged_is_lost_when_the_service_is_killed_again_and_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = "" if kind == "sqlite" else str(request.getfixturevalue("postgres").fresh())
    figures = run(Plan(tmp_path, kills=4, verify_every=2, seed=5, database=database), print)
    assert figures.kills == 4
    assert figures.verdict.acknowledged > 50
    assert figures.clean, figures.as_json()


def test_a_service_that_says_yes_before_it_has_committed_is_found_out(tmp_path: Path) -> None:
    figures = run(Plan(tmp_path, kills=3, seed=5, fault="ack-before-commit"), print)
    assert figures.verdict.lost > 0


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_the_service_survives_being_killed_as_it_begins_to_write(tmp_path: Path) -> None:
    starting, mail = killpoints.run(tmp_path / "points", most=2, seed=5, say=print)
    assert min(starting.points, mail.points) > 50
    assert (starting.tried, starting.failed, mail.tried, mail.failed) == (2, {}, 2, {})
    assert starting.killed + mail.killed > 2
