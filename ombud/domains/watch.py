"""Watching one domain: what each check changes, and when to look the next time. Pure functions over one frozen value.

    unchecked ─> pending ─> ok ─> at_risk ─> lost
                             <──────┴─────────┘   as soon as everything is there again

Only definite answers count. What was in order is at risk after two misses among the last three definite answers; from then on it
has 72 hours, and is lost only if it is still definitely missing then. A server that does not answer changes nothing, ever.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ombud.clock import STOCKHOLM
from ombud.domains.checks.report import WRONG, Looked, Outcome, Report, in_hindsight
from ombud.domains.checks.report import State as RecordState
from ombud.domains.findings import Turn
from ombud.mail.records import Weight

#: Misses among the last definite answers that make what was in order `at_risk`.
MISSES, AMONG = 2, 3
#: How long a domain at risk has before it is lost.
GRACE = timedelta(hours=72)
#: Definite misses in all before anything is lost, however long ago the first was.
LEAST_MISSES = 3
#: Without any change for so long, whoever has the ball is told again.
STUCK = timedelta(days=3)

_SOON = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 120, 300, 600, 1200, 1800))
_HOUR, _SELDOM, _DAY = timedelta(hours=1), timedelta(hours=6), timedelta(days=1)
_HOURLY_FOR = timedelta(days=3)


class State(StrEnum):
    """What is known of a domain."""

    UNCHECKED = "unchecked"  # nobody has looked yet
    PENDING = "pending"  # something that is required has yet to come
    OK = "ok"
    AT_RISK = "at_risk"  # it was in order, and is not: mail still goes, until `stop_at`
    LOST = "lost"  # it was in order, and has not been for days


class What(StrEnum):
    """What happened to a domain; each is worth a letter."""

    SEEN = "seen"  # the first of its records is there
    READY = "ready"  # everything that is required is there
    STUCK = "stuck"  # nothing has changed for three days
    AT_RISK = "at_risk"  # what was there has gone; it has until `stop_at`
    LOST = "lost"  # it has not come back
    BACK = "back"  # it has


@dataclass(frozen=True, slots=True)
class Watch:
    """One domain's watch. `since`: of its state. `good`: the places of required records that have been in order once."""

    domain: str
    state: State = State.UNCHECKED
    since: datetime | None = None
    checked_at: datetime | None = None
    next_at: datetime | None = None
    tries: int = 0  # checks since it was told to look anew
    moved_at: datetime | None = None  # when anything last changed
    stuck_told: bool = False
    stop_at: datetime | None = None
    answers: str = ""  # the latest definite ones, `+` and `-`
    missed: int = 0  # definite misses without a break
    doubtful: bool = False  # the last check was no definite yes
    good: frozenset[str] = frozenset()
    codes: tuple[str, ...] = ()
    turn: Turn = Turn.WAIT
    states: tuple[str, ...] = field(default=())  # of each record, to see whether anything moved


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to a domain, for whoever writes letters."""

    domain: str
    what: What
    at: datetime
    turn: Turn
    codes: tuple[str, ...] = ()
    stop_at: datetime | None = None


def step(watch: Watch, report: Report, now: datetime) -> tuple[Watch, Change | None]:
    """The watch after a check, and what is news in it."""
    outcome = outcome_of(watch, report)
    good = watch.good | {
        place(looked) for looked in report.records if looked.required and looked.state is RecordState.OK
    }
    states = tuple(looked.state.value for looked in report.records)
    moved = states != watch.states
    after = replace(
        watch, checked_at=now, tries=watch.tries + 1, good=good, codes=report.codes, turn=turn_of(report), states=states,
        moved_at=now if moved or watch.moved_at is None else watch.moved_at, stuck_told=watch.stuck_told and not moved,
        doubtful=outcome is not Outcome.OK,
    )  # fmt: skip
    if outcome in (Outcome.OK, Outcome.MISS):
        sign = "+" if outcome is Outcome.OK else "-"
        after = replace(
            after, answers=(watch.answers + sign)[-AMONG:], missed=0 if outcome is Outcome.OK else watch.missed + 1
        )
    after, what = _moved(watch, after, report, outcome, now)
    after = replace(after, next_at=now + delay(after, now))
    return after, Change(watch.domain, what, now, after.turn, after.codes, after.stop_at) if what else None


def place(looked: Looked) -> str:
    return f"{looked.record.purpose} {looked.record.name}"


def outcome_of(watch: Watch, report: Report) -> Outcome:
    """What the check says of what this domain has had in order. A record that has newly been asked for is never a miss, and what
    has gone is back only by the word of the zone's own servers: a resolver may still hold what was there."""
    if report.ok:
        gone = watch.state in (State.AT_RISK, State.LOST)
        return Outcome.OK if report.reached or not gone else Outcome.UNKNOWN
    missed = any(
        looked.required and looked.sure and looked.state in WRONG and place(looked) in watch.good
        for looked in report.records
    )
    return Outcome.MISS if missed else Outcome.UNKNOWN


def turn_of(report: Report) -> Turn:
    """Who has the ball: whoever must act on what is required; if nobody must, it is only to wait."""
    turns = {finding.kind.turn for finding in report.everything if finding.weight is Weight.REQUIRED}
    return next((turn for turn in (Turn.CUSTOMER, Turn.IT_SUPPLIER, Turn.VENDOR) if turn in turns), Turn.WAIT)


def _moved(before: Watch, after: Watch, report: Report, outcome: Outcome, now: datetime) -> tuple[Watch, What | None]:
    """The state that follows."""
    if outcome is Outcome.OK:
        if before.state is State.OK:
            return after, None
        back = before.state in (State.AT_RISK, State.LOST)
        return _becomes(after, State.OK, now), What.BACK if back else What.READY
    match before.state:
        case State.UNCHECKED | State.PENDING:
            return _waited(before, after, now)
        case State.OK if outcome is Outcome.MISS and after.answers.count("-") >= MISSES:
            return _becomes(after, State.AT_RISK, now), What.AT_RISK
        case State.OK if _asked_for_more(after, report):
            return replace(_becomes(after, State.PENDING, now), tries=0), None
        case State.AT_RISK if outcome is Outcome.MISS and before.stop_at and now >= before.stop_at:
            if after.missed >= LEAST_MISSES:
                return _becomes(after, State.LOST, now), What.LOST
    return after, None


def _becomes(watch: Watch, state: State, now: datetime) -> Watch:
    stop_at = {State.AT_RISK: now + GRACE, State.LOST: watch.stop_at}.get(state)
    return replace(watch, state=state, since=now, stop_at=stop_at)


def _waited(before: Watch, after: Watch, now: datetime) -> tuple[Watch, What | None]:
    if before.state is State.UNCHECKED:
        after = _becomes(after, State.PENDING, now)
    if after.good and not before.good:
        return after, What.SEEN
    if after.moved_at and now - after.moved_at >= STUCK and not after.stuck_told:
        return replace(after, stuck_told=True), What.STUCK
    return after, None


def _asked_for_more(watch: Watch, report: Report) -> bool:
    """Whether a required record that never was in order is definitely not there: the domain has got another route."""
    return any(
        looked.required and looked.state in WRONG and place(looked) not in watch.good for looked in report.records
    )


# --- when --------------------------------------------------------------------------------------------------------------


def delay(watch: Watch, now: datetime) -> timedelta:
    """How long until the next look. It grows, but never ends; what is long is spread, so that not all come at one time."""
    if watch.state is State.OK:
        wait = _HOUR if watch.doubtful else _DAY
    elif watch.state is State.AT_RISK:
        wait = _HOUR
    elif watch.state is not State.LOST and watch.tries <= len(_SOON):
        wait = _SOON[max(watch.tries, 1) - 1]
    else:
        wait = _HOUR if now - (watch.since or now) < _HOURLY_FOR else _SELDOM
    return wait if wait < _HOUR else wait * (0.9 + 0.2 * _share(f"{watch.domain} {watch.tries}"))


def _share(text: str) -> float:
    """A number from 0 to 1, always the same for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**32


def anew(watch: Watch, now: datetime) -> Watch:
    """Look at once, and then as often as in the beginning: somebody says that something was done, or wants other records."""
    return replace(watch, tries=0, next_at=now, stuck_told=False, moved_at=now)


# --- told --------------------------------------------------------------------------------------------------------------


def told(report: Report, watch: Watch) -> Report:
    """The report with what the watch knows beside it: what is gone is `lost`, and until when the domain has."""
    codes = {State.AT_RISK: "domain.at_risk", State.LOST: "domain.lost"}
    if watch.state not in codes:
        return report
    values = {"stop": _moment(watch.stop_at), "since": _moment(watch.since)}
    return in_hindsight(report, codes[watch.state], values)


def _moment(at: datetime | None) -> str:
    return at.astimezone(STOCKHOLM).strftime("%Y-%m-%d %H:%M") if at else "–"
