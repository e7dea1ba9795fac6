"""What each check changes, and when the next one is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ombud.domains.checks import Looked, Report, finding_json
from ombud.domains.checks import State as RecordState
from ombud.domains.findings import Finding, Turn
from ombud.domains.watch import GRACE, State, Watch, What, delay, step, told
from ombud.mail.records import Purpose, Record
from tests.conftest import NOON
from trials.dns import faults

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEY = Record(Purpose.DKIM, "CNAME", "om1._domainkey.kund.example", "om1.k7.dkim.vendor.example")
PATH = Record(Purpose.RETURN_PATH, "CNAME", "studs.kund.example", "studs.vendor.example")


def report(state: RecordState, *others: Looked, sure: bool = True) -> Report:
    codes = () if state is RecordState.OK else (Finding("dkim.missing", {"name": KEY.name}),)
    return Report("kund.example", NOON, (Looked(KEY, state, findings=codes, sure=sure), *others))


OK, MISSING, UNKNOWN = report(RecordState.OK), report(RecordState.MISSING), report(RecordState.UNTESTABLE)


def played(*reports: Report, watch: Watch | None = None) -> tuple[Watch, list[What]]:
    watch, news, now = watch or Watch("kund.example"), [], NOON
    for one in reports:
        watch, change = step(watch, one, now)
        news += [change.what] if change else []
        assert watch.next_at and watch.next_at > now
        now = watch.next_at
    return watch, news


def test_a_domain_waits_until_everything_is_there_and_is_told_once() -> None:
    watch, news = played(MISSING, MISSING, OK, OK, OK)
    assert watch.state is State.OK and news == [What.READY]


def test_a_single_servfail_or_miss_changes_nothing() -> None:
    watch, news = played(OK, UNKNOWN, UNKNOWN, OK, MISSING, OK, UNKNOWN, OK, UNKNOWN)
    assert watch.state is State.OK and news == [What.READY]


def test_two_of_three_definite_misses_put_it_at_risk_with_a_stop_time() -> None:
    watch, news = played(OK, MISSING, OK, UNKNOWN, MISSING)
    assert (watch.state, news) == (State.AT_RISK, [What.READY, What.AT_RISK])
    assert watch.since and watch.stop_at == watch.since + GRACE == watch.since + timedelta(hours=72)


def test_one_source_alone_is_no_miss() -> None:
    doubtful = report(RecordState.MISSING, sure=False)
    assert played(OK, *[doubtful] * 20)[0].state is State.OK


def test_back_is_ok_at_once_and_told() -> None:
    watch, news = played(OK, MISSING, MISSING, OK)
    assert (watch.state, watch.stop_at, news[-1]) == (State.OK, None, What.BACK)


def test_it_is_lost_only_when_it_is_still_definitely_missing_after_three_days() -> None:
    watch, _ = played(OK, MISSING, MISSING)
    assert watch.stop_at
    silent = watch
    for hours in range(1, 200):
        silent, change = step(silent, UNKNOWN, NOON + hours * HOUR)
        assert change is None and silent.state is State.AT_RISK
    early, _ = step(watch, MISSING, watch.stop_at - HOUR)
    assert early.state is State.AT_RISK
    late, change = step(early, MISSING, watch.stop_at)
    assert late.state is State.LOST and change and change.what is What.LOST
    back, change = step(late, OK, watch.stop_at + DAY)
    assert back.state is State.OK and change and change.what is What.BACK


def test_a_record_that_is_newly_asked_for_is_waited_for_and_never_a_loss() -> None:
    watch, _ = played(OK)
    more = report(RecordState.OK, Looked(PATH, RecordState.MISSING, findings=(Finding("rp.missing"),), sure=True))
    watch, news = played(*[more] * 5, watch=watch)
    assert (watch.state, news) == (State.PENDING, [])
    assert watch.turn is Turn.IT_SUPPLIER


def test_the_first_record_is_told_of_and_three_days_without_change() -> None:
    missing = Looked(PATH, RecordState.MISSING, findings=(Finding("rp.missing"),), sure=True)
    half = report(RecordState.OK, missing)
    watch, news = played(report(RecordState.MISSING, missing), half, *[half] * 120)
    assert news == [What.SEEN, What.STUCK]
    assert watch.state is State.PENDING


def test_the_schedule_grows_and_never_ends() -> None:
    watch, now, waits = Watch("kund.example"), NOON, []
    while now < NOON + timedelta(days=30):
        watch, _ = step(watch, MISSING, now)
        assert watch.next_at
        waits.append(watch.next_at - now)
        now = watch.next_at
    assert [wait.total_seconds() for wait in waits[:7]] == [30, 60, 120, 300, 600, 1200, 1800]
    hourly = [wait for wait in waits[7:] if wait < 2 * HOUR]
    seldom = waits[7 + len(hourly) :]
    assert 60 < len(hourly) < 80 and all(0.9 * HOUR <= wait <= 1.1 * HOUR for wait in hourly)
    assert len(seldom) > 90 and all(0.9 * 6 * HOUR <= wait <= 1.1 * 6 * HOUR for wait in seldom)


def test_what_is_in_order_is_looked_at_daily_and_not_all_at_one_time() -> None:
    waits = {delay(replace(Watch(f"kund{n}.example"), state=State.OK), NOON) for n in range(200)}
    assert len(waits) > 190 and min(waits) >= 0.9 * DAY and max(waits) <= 1.1 * DAY


@pytest.mark.parametrize(
    ("weights", "turn"),
    [
        (["dkim.missing", "dns.null_mx"], Turn.CUSTOMER), (["dkim.missing", "dkim.no_key"], Turn.IT_SUPPLIER),
        (["dkim.target_missing"], Turn.VENDOR), (["dmarc.missing", "dns.servfail"], Turn.WAIT), ([], Turn.WAIT),
    ],
)  # fmt: skip
def test_the_ball_is_with_whoever_must_act(weights: list[str], turn: Turn) -> None:
    watch, _ = step(
        Watch("kund.example"), Report("kund.example", NOON, findings=tuple(Finding(code) for code in weights)), NOON
    )
    assert watch.turn is turn


def test_what_is_gone_is_told_with_its_stop_time_in_stockholm() -> None:
    watch, _ = played(OK, MISSING, MISSING)
    seen = told(MISSING, watch)
    assert [looked.state for looked in seen.records] == [RecordState.LOST]
    (finding,) = seen.everything
    assert finding.code == "domain.at_risk" and finding_json(finding)["weight"] == "required"
    assert watch.stop_at and "2024-05-1" in finding.verdict("sv")
    assert told(OK, watch) == OK


async def test_scripted_faults_raise_no_false_alarm_and_hide_no_real_loss() -> None:
    sequences = await faults.play_all(60)
    assert [one.false for one in sequences if one.false] == []
    assert faults.overdue(sequences) == []
    assert sum(one.removed for one in sequences) > 10


def test_what_has_gone_is_back_only_by_the_word_of_the_zones_own_servers() -> None:
    watch, _ = played(OK, MISSING, MISSING)
    by_resolver = replace(OK, reached=False)
    assert played(by_resolver, by_resolver, watch=watch)[0].state is State.AT_RISK
    assert played(by_resolver)[0].state is State.OK, "where nobody else can ever be asked, it must do"
