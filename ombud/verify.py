"""Checks every invariant of the database, over all of it, in one moment's state; for `ombud verify` and after each crash test.

It is the judge, and so the one place beside the owners that reads their tables: each rule is one question in SQL that finds the
rows which break it, written from what must hold and not from how the verbs keep it. It may run while the service does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    literal,
    not_,
    or_,
    select,
    type_coerce,
    union,
    union_all,
)
from sqlalchemy import func as sql

from ombud.accounts.credentials import credential_table
from ombud.accounts.links import link_table
from ombud.accounts.people import person_table
from ombud.billing.ledger import basis_table, invoiced_table, period_table
from ombud.campaigns.cases import case_table
from ombud.choices.choosing import choice_table
from ombud.choices.extending import extension_table
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.db.snapshot import revision_table
from ombud.domains.keys import KeyState, signing_key_table
from ombud.domains.table import domain_table
from ombud.domains.watch import State as DomainState
from ombud.domains.watchlist import watch_table
from ombud.notices.letters import letter_table
from ombud.notices.outbox import State as NoticeState
from ombud.notices.outbox import notice_table
from ombud.providers.provider import Result
from ombud.queue import EVENTS, TABLE, State, Stream, lane_of
from ombud.queue.tables import (
    PRIORITY,
    attempt_table,
    body_table,
    event_table,
    fence_table,
    hold_table,
    message_table,
    recipient_table,
    worker_table,
)
from ombud.routing.routes import assignment_table, route_table
from ombud.usage import Counted, tally_table, usage_table

#: So many of the rows that break a rule are named.
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that does not hold: what it says is wrong, for how many rows, and the first of them by name.

    Messages are named by their id, recipients as `<message id>-<n>`; never by address.
    """

    rule: str
    count: int
    meaning: str
    examples: tuple[str, ...]

    @property
    def detail(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.meaning.rstrip('.')} ({self.count}: {', '.join(self.examples)}{more})"


#: Finds the rows that break the rule: their names, as one column.
Find = Callable[[Transaction], Select[Any]]
#: Every rule by its code. The docstring says what is wrong where it finds something.
RULES: dict[str, Find] = {}


def rule(find: Find) -> Find:
    RULES[find.__name__] = find
    return find


def verify(tx: Transaction) -> list[Violation]:
    """Ask every rule; [] when all hold. Takes seconds for 100 000 messages."""
    return [found for code, find in RULES.items() if (found := _ask(tx, code, find))]


def meaning_of(find: Find) -> str:
    return " ".join((find.__doc__ or "").split())


def _ask(tx: Transaction, code: str, find: Find) -> Violation | None:
    broken = find(tx).subquery()
    name = broken.c["name"]
    # The count goes with every row, so that one pass over the tables gives it and the examples.
    rows: Sequence[Any] = tx.execute(select(name, sql.count().over()).order_by(name).limit(EXAMPLES)).all()
    return Violation(code, rows[0][1], meaning_of(find), tuple(row[0] for row in rows)) if rows else None


_m, _b, _r, _a, _e = message_table.c, body_table.c, recipient_table.c, attempt_table.c, event_table.c
_u, _t, _w, _route, _hold = usage_table.c, tally_table.c, worker_table.c, route_table.c, hold_table.c
_i, _billed, _period = basis_table.c, invoiced_table.c, period_table.c
_RECIPIENT = (_r.message_id + "-" + cast(_r.n, Text)).label("name")
_QUEUED = (State.WAITING, State.DEFERRED)  # these must be due
_MAY_BE_DUE = (*_QUEUED, State.UNKNOWN)
_IN_HAND = (State.LEASED, State.SENDING)
_FINAL = [state for state in State if state.final]
_recipients_of_messages = recipient_table.join(message_table, _m.id == _r.message_id)


def _recipients(*broken: ColumnElement[bool]) -> Select[Any]:
    return select(_RECIPIENT).where(*broken)


def _named(table: str, key: ColumnElement[Any]) -> ColumnElement[str]:
    return (literal(table + " ") + cast(key, Text)).label("name")


# --- states and leases ---------------------------------------------------------------------------------------------


@rule
def state_unknown(tx: Transaction) -> Select[Any]:
    """A recipient is in a state that does not exist."""
    return _recipients(_r.state.not_in(list(State)))


@rule
def never_due(tx: Transaction) -> Select[Any]:
    """A recipient waits without a time or a route to be tried by: it would never be sent."""
    return _recipients(or_(
        and_(_r.state.in_(_QUEUED), _r.due_at.is_(None)),
        and_(_r.due_at.is_not(None), _r.route_id.is_(None)),
    ))  # fmt: skip


@rule
def wrongly_due(tx: Transaction) -> Select[Any]:
    """A recipient is due though its state is not one that is tried again."""
    return _recipients(_r.due_at.is_not(None), _r.state.in_(set(State).difference(_MAY_BE_DUE)))


@rule
def lease_differs(tx: Transaction) -> Select[Any]:
    """A recipient is in a worker's hands by its state and not by its worker, or the other way round."""
    return _recipients(_r.worker.is_not(None) != _r.state.in_(_IN_HAND))


@rule
def lease_orphaned(tx: Transaction) -> Select[Any]:
    """A recipient is leased to a worker that nobody knows: no one would ever take it back."""
    return _recipients(_r.worker.is_not(None), ~exists().where(_w.id == _r.worker))


@rule
def fence_ahead(tx: Transaction) -> Select[Any]:
    """A recipient has a fence number that was never given out."""
    given_out = select(sql.max(fence_table.c.number)).scalar_subquery()
    return _recipients(or_(_r.fence > given_out, and_(_r.state.in_(_IN_HAND), _r.fence == 0)))


@rule
def counter_wrong(tx: Transaction) -> Select[Any]:
    """A counter that must have one row has none or several."""
    counters = [
        select(literal(table.name).label("name"), sql.count().label("rows")).select_from(table)
        for table in (fence_table, revision_table)
    ]
    rows = union_all(*counters).subquery()
    return select(rows.c.name).where(rows.c.rows != 1)


@rule
def hold_differs(tx: Transaction) -> Select[Any]:
    """A recipient is held and nothing says since when and why, or something says so and it is not held."""
    open_hold = exists().where(_hold.recipient_id == _r.id, _hold.ended_at.is_(None))
    return _recipients((_r.state == State.HELD) != open_hold)


@rule
def hold_unended(tx: Transaction) -> Select[Any]:
    """A hold has an end without what ended it, or ended before it began."""
    half = _hold.ended_at.is_(None) != _hold.ended_as.is_(None)
    return select(_named("hold", _hold.id)).where(or_(half, _hold.ended_at < _hold.held_at))


@rule
def hold_of_another(tx: Transaction) -> Select[Any]:
    """A hold is of another customer, product or sender domain than its message: the wrong way would release it."""
    of_message = hold_table.join(recipient_table, _r.id == _hold.recipient_id).join(
        message_table, _m.id == _r.message_id
    )
    differs = or_(
        _hold.customer_id != _m.customer_id, _hold.product_id != _m.product_id,
        not_(_m.header_from.endswith("@" + _hold.sender_domain)),
    )  # fmt: skip
    return select(_named("hold", _hold.id)).select_from(of_message).where(differs)


# --- who and which way ---------------------------------------------------------------------------------------------


@rule
def customer_differs(tx: Transaction) -> Select[Any]:
    """A recipient or an event belongs to another customer than its message does."""
    events = event_table.join(message_table, _m.id == _e.message_id)
    return _all_of(
        select(_RECIPIENT).select_from(_recipients_of_messages).where(_r.customer_id != _m.customer_id),
        select(_named("event", _e.id)).select_from(events).where(_e.customer_id != _m.customer_id),
    )


@rule
def credential_differs(tx: Transaction) -> Select[Any]:
    """A message was submitted with a credential of another customer, product or mode."""
    c = credential_table.c
    return (
        select(_m.id.label("name"))
        .join(credential_table, c.id == _m.credential_id)
        .where(or_(c.product_id != _m.product_id, c.customer_id != _m.customer_id, c.mode != _m.mode))
    )


@rule
def lane_differs(tx: Transaction) -> Select[Any]:
    """A recipient stands in a lane that is not its customer's and stream's."""
    lanes_a_customer = lane_of(1, Stream.IMPORTANT)
    lane = _m.customer_id * lanes_a_customer + case(PRIORITY, value=_m.stream, else_=-1)
    return select(_RECIPIENT).select_from(_recipients_of_messages).where(_r.lane != lane)


@rule
def route_foreign(tx: Transaction) -> Select[Any]:
    """A recipient that is not done with is to go by another customer's own route."""
    of_route = recipient_table.join(route_table, _route.id == _r.route_id)
    return select(_RECIPIENT).select_from(of_route).where(_route.customer_id != _r.customer_id, _r.state.not_in(_FINAL))


@rule
def route_unknown(tx: Transaction) -> Select[Any]:
    """Something went, or is to go, by a route that does not exist."""

    def unknown(column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(column.is_not(None), column.not_in(select(_route.id)))

    return _all_of(
        _recipients(unknown(_r.route_id)),
        select(_named("attempt at recipient", _a.recipient_id)).where(unknown(_a.route_id)),
        select(_named("usage of recipient", _u.recipient_id)).where(unknown(_u.route_id)),
    )


@rule
def assigned_twice(tx: Transaction) -> Select[Any]:
    """A customer and a product have two routes at once."""
    customer, product = assignment_table.c.customer_id, assignment_table.c.product_id
    who = literal("customer ") + _or_all(customer) + literal(", product ") + _or_all(product)
    return select(who.label("name")).group_by(customer, product).having(sql.count() > 1)


# --- messages ------------------------------------------------------------------------------------------------------


@rule
def message_empty(tx: Transaction) -> Select[Any]:
    """A message has no recipient."""
    return select(_m.id.label("name")).where(~exists().where(_r.message_id == _m.id))


@rule
def recipients_gap(tx: Transaction) -> Select[Any]:
    """A message's recipients are not numbered from 0 without a gap."""
    counted = sql.count(_r.n.distinct())
    return select(_r.message_id.label("name")).group_by(_r.message_id).having(
        or_(sql.min(_r.n) != 0, sql.max(_r.n) != counted - 1, sql.count() != counted)
    )  # fmt: skip


@rule
def body_differs(tx: Transaction) -> Select[Any]:
    """A message has no body, or one of another size than was accepted."""
    of_message = message_table.outerjoin(body_table, _b.message_id == _m.id)
    return select(_m.id.label("name")).select_from(of_message).where(_m.size.is_distinct_from(sql.length(_b.content)))


@rule
def accepted_differs(tx: Transaction) -> Select[Any]:
    """A message has no `accepted` event, or several."""
    accepted = _times(_e.message_id, _e.type == "accepted")
    of_message = message_table.outerjoin(accepted, accepted.c.key == _m.id)
    return select(_m.id.label("name")).select_from(of_message).where(accepted.c.times.is_distinct_from(1))


@rule
def points_nowhere(tx: Transaction) -> Select[Any]:
    """A row belongs to a message or a recipient that does not exist."""
    no_message, no_recipient = select(_m.id), select(_r.id)
    strangers = event_table.outerjoin(recipient_table, and_(_r.id == _e.recipient_id, _r.message_id == _e.message_id))
    return _all_of(
        _recipients(_r.message_id.not_in(no_message)),
        select(_named("body of", _b.message_id)).where(_b.message_id.not_in(no_message)),
        select(_named("attempt at recipient", _a.recipient_id)).where(_a.recipient_id.not_in(no_recipient)),
        select(_named("usage of recipient", _u.recipient_id)).where(_u.recipient_id.not_in(no_recipient)),
        select(_named("event", _e.id)).where(_e.message_id.not_in(no_message)),
        # An event's recipient must be one of its own message.
        select(_named("event", _e.id)).select_from(strangers).where(_e.recipient_id.is_not(None), _r.id.is_(None)),
    )


# --- attempts, events, usage ---------------------------------------------------------------------------------------


@rule
def attempts_gap(tx: Transaction) -> Select[Any]:
    """A recipient's attempts are not numbered from 1 to the number of them that it says it has."""
    made = select(
        _a.recipient_id, sql.count().label("times"), sql.min(_a.n).label("first"), sql.max(_a.n).label("last")
    ).group_by(_a.recipient_id).subquery()  # fmt: skip
    of_recipient = recipient_table.outerjoin(made, made.c.recipient_id == _r.id)
    gap = or_(made.c.first != 1, made.c.last != made.c.times, sql.coalesce(made.c.times, 0) != _r.attempts)
    return select(_RECIPIENT).select_from(of_recipient).where(gap)


@rule
def attempt_differs(tx: Transaction) -> Select[Any]:
    """A recipient is delivered without exactly one attempt that says so, or an attempt says so and it is not."""
    said = _times(_a.recipient_id, _a.result == Result.DELIVERED)
    of_recipient = recipient_table.outerjoin(said, said.c.key == _r.id)
    expected = case((_r.state == State.DELIVERED, 1), else_=0)
    return select(_RECIPIENT).select_from(of_recipient).where(sql.coalesce(said.c.times, 0) != expected)


@rule
def event_differs(tx: Transaction) -> Select[Any]:
    """A recipient's last event is not one that leads to its state."""
    newest = _events_by_recipient()
    of_recipient = recipient_table.outerjoin(newest, newest.c.recipient_id == _r.id).outerjoin(
        event_table, _e.id == newest.c.last
    )
    told = _r.state + ":" + sql.coalesce(_e.type, "")
    fits = [f"{state}:{event}" for state, events in LAST_EVENTS.items() for event in events]
    return select(_RECIPIENT).select_from(of_recipient).where(told.not_in(fits), _r.state.in_(list(State)))


@rule
def event_after_the_end(tx: Transaction) -> Select[Any]:
    """A recipient has an event after one that was final."""
    events = _events_by_recipient()
    of_recipient = recipient_table.join(events, events.c.recipient_id == _r.id)
    return select(_RECIPIENT).select_from(of_recipient).where(events.c.end < events.c.last)


@rule
def usage_missing(tx: Transaction) -> Select[Any]:
    """A recipient is delivered and was not counted."""
    return _recipients(_r.state == State.DELIVERED, ~exists().where(_u.recipient_id == _r.id))


@rule
def usage_extra(tx: Transaction) -> Select[Any]:
    """A recipient was counted and is not delivered."""
    of_usage = usage_table.join(recipient_table, _r.id == _u.recipient_id)
    return select(_RECIPIENT).select_from(of_usage).where(_r.state != State.DELIVERED)


@rule
def usage_differs(tx: Transaction) -> Select[Any]:
    """A recipient was counted for another customer, product or route, or test mail as billable."""
    of_usage = usage_table.join(recipient_table, _r.id == _u.recipient_id).join(message_table, _m.id == _r.message_id)
    differs = or_(
        _u.customer_id != _m.customer_id, _u.product_id != _m.product_id, _u.route_id.is_distinct_from(_r.route_id),
        and_(_m.mode == "test", _u.billable),
    )  # fmt: skip
    return select(_RECIPIENT).select_from(of_usage).where(differs)


@rule
def usage_period_differs(tx: Transaction) -> Select[Any]:
    """A recipient was counted in another month (Stockholm's) than the one in which it was handed over."""
    periods = [row.period for row in tx.execute(select(_u.period).distinct())]
    months = {period: month for period in periods if (month := _month(period))}
    right = [
        and_(_u.period == period, _u.handed_over_at >= first, _u.handed_over_at < after)
        for period, (first, after) in months.items()
    ]
    return select(_named("usage of recipient", _u.recipient_id)).where(not_(or_(false(), *right)))


@rule
def tally_differs(tx: Transaction) -> Select[Any]:
    """A day's count of what was handed over is not the number of metered recipients."""
    metered_day = ((_u.handed_over_at + _ahead_of_utc(tx)) // literal(_DAY, BigInteger)).label("day")
    what = case((_u.billable, Counted.BILLABLE), else_=Counted.FREE).label("what")
    metered = select(metered_day, _u.customer_id, _u.product_id, _u.route_id, what, literal(1).label("number"))
    tallied = select(
        type_coerce(_t.day, Integer).label("day"),
        _t.customer_id,
        _t.product_id,
        _t.route_id,
        _t.what,
        (-_t.number).label("number"),
    )
    both = union_all(metered, tallied.where(_t.what.in_((Counted.BILLABLE, Counted.FREE)))).subquery().c
    # The rows of the meter may have been forgotten, whole days of a customer at a time; the counts stay.
    first = select(_u.customer_id, sql.min(metered_day).label("day")).group_by(_u.customer_id).subquery().c
    name = literal("customer ") + cast(both.customer_id, Text) + " on " + _date(tx, both.day) + ", " + both.what
    return (
        select(name.label("name"))
        .where(first.customer_id == both.customer_id, both.day >= first.day)
        .group_by(both.day, both.customer_id, both.product_id, both.route_id, both.what)
        .having(sql.sum(both.number) != 0)
    )


# --- choices -------------------------------------------------------------------------------------------------------

_choice, _extension, _person, _case = choice_table.c, extension_table.c, person_table.c, case_table.c


@rule
def choice_missing(tx: Transaction) -> Select[Any]:
    """The choices of a customer in a campaign are not numbered 1, 2, 3: a part of their history is gone."""
    chain = (
        select(_choice.customer_id, sql.max(_choice.number).label("last"), sql.count().label("links"))
        .group_by(_choice.campaign_id, _choice.customer_id)
        .subquery()
    )
    return select(_named("customer", chain.c.customer_id)).where(chain.c.last != chain.c.links)


@rule
def choice_by_a_stranger(tx: Transaction) -> Select[Any]:
    """A choice was made by a person of another customer, or by nobody."""
    strange = or_(
        _choice.by == "",
        _person.customer_id != _choice.customer_id,
        _choice.by_operator == _choice.person_id.is_not(None),
    )
    joined = choice_table.outerjoin(person_table, _person.id == _choice.person_id)
    return select(_named("choice", _choice.id)).select_from(joined).where(strange)


@rule
def case_missing(tx: Transaction) -> Select[Any]:
    """A customer has chosen in a campaign and has no case there."""
    its_own = exists().where(_case.campaign_id == _choice.campaign_id, _case.customer_id == _choice.customer_id)
    return select(_named("customer", _choice.customer_id)).where(not_(its_own)).distinct()


@rule
def case_differs(tx: Transaction) -> Select[Any]:
    """A case says another alternative than what was chosen last, or nothing was ever chosen."""
    chain = select(_choice.campaign_id, _choice.customer_id, sql.max(_choice.number).label("last"))
    last = chain.group_by(_choice.campaign_id, _choice.customer_id).subquery().c
    newest = exists().where(
        _choice.campaign_id == _case.campaign_id, _choice.customer_id == _case.customer_id,
        _choice.campaign_id == last.campaign_id, _choice.customer_id == last.customer_id, _choice.number == last.last,
        sql.coalesce(_choice.alternative, "") == _case.alternative,
    )  # fmt: skip
    return select(_named("case", _case.reference)).where(not_(newest))


@rule
def extension_by_one(tx: Transaction) -> Select[Any]:
    """An extension was approved by the one who asked for it, or by nobody."""
    alone = or_(_extension.approved_by == "", sql.lower(_extension.approved_by) == sql.lower(_extension.asked_by))
    return select(_named("extension", _extension.id)).where(_extension.approved_at.is_not(None), alone)


# --- what is told --------------------------------------------------------------------------------------------------

_notice, _letter, _link = notice_table.c, letter_table.c, link_table.c


@rule
def notice_adrift(tx: Transaction) -> Select[Any]:
    """A notice waits and is never due, or it is settled and yet due."""
    waiting = _notice.state == NoticeState.WAITING
    return select(_named("notice", _notice.ref)).where(waiting != _notice.due_at.is_not(None))


@rule
def letter_unsent(tx: Transaction) -> Select[Any]:
    """A letter has no notice, or its notice is told and the letter names no message that there is."""
    kept = or_(
        _letter.message_id.is_(None) & (_notice.state != NoticeState.TOLD),
        exists().where(_m.id == _letter.message_id),
    )
    joined = letter_table.outerjoin(notice_table, _notice.ref == _letter.notice_ref)
    broken = or_(_notice.id.is_(None), not_(kept))
    return select(_named("letter", _letter.key)).select_from(joined).where(broken)


@rule
def link_of_a_stranger(tx: Transaction) -> Select[Any]:
    """A personal link opens one customer's page for a person of another."""
    joined = link_table.join(person_table, _person.id == _link.person_id)
    return select(_named("link", _link.id)).select_from(joined).where(_person.customer_id != _link.customer_id)


# --- keys ----------------------------------------------------------------------------------------------------------

_key = signing_key_table.c


@rule
def keys_doubled(tx: Transaction) -> Select[Any]:
    """Two keys of a domain sign by the same algorithm, or two keys that are not revoked have one selector."""
    live = _key.state != KeyState.REVOKED
    at_a_time = (
        select(_key.domain)
        .where(_key.state == KeyState.ACTIVE)
        .group_by(_key.domain, _key.algorithm)
        .having(sql.count() > 1)
    )
    one_name = select(_key.domain).where(live).group_by(_key.domain, _key.selector).having(sql.count() > 1)
    both = union(at_a_time, one_name).subquery()
    return select(_named("domain", both.c.domain))


@rule
def key_half_there(tx: Transaction) -> Select[Any]:
    """A key that is not revoked has lost its private half, or a revoked one still has it."""
    gone = sql.length(_key.sealed_private) == 0
    return select(_named("key", _key.id)).where(gone != (_key.state == KeyState.REVOKED))


# --- domains -------------------------------------------------------------------------------------------------------

_watch = watch_table.c


@rule
def domain_unwatched(tx: Transaction) -> Select[Any]:
    """A proved domain is not watched."""
    return select(domain_table.c.name).where(domain_table.c.name.not_in(select(_watch.domain)))


@rule
def domain_stops_when(tx: Transaction) -> Select[Any]:
    """A domain at risk has no time at which it stops, or one that is in order still has one."""
    at_risk = _watch.state.in_((DomainState.AT_RISK, DomainState.LOST))
    return select(_watch.domain.label("name")).where(at_risk == _watch.stop_at.is_(None))


# --- invoices ------------------------------------------------------------------------------------------------------


@rule
def invoice_numbers_gap(tx: Transaction) -> Select[Any]:
    """The numbers of invoices and credits are not one series without gaps."""
    before = select(_i.running, sql.lag(_i.running).over(order_by=_i.running).label("before")).subquery().c
    return select(_named("number", before.running)).where(before.running != before.before + 1)


@rule
def invoice_unlocked(tx: Transaction) -> Select[Any]:
    """There is an invoice of a month that is not locked."""
    locked = select(_period.period).where(_period.locked_at.is_not(None))
    return select(_i.number.label("name")).where(_i.period.not_in(locked))


@rule
def credited_too_much(tx: Transaction) -> Select[Any]:
    """The credits of an invoice come to more than it does."""
    given = (
        select(_i.credits, sql.sum(_i.net).label("net"))
        .where(_i.credits.is_not(None))
        .group_by(_i.credits)
        .subquery()
        .c
    )
    return select(_i.number.label("name")).where(given.credits == _i.id, sql.abs(given.net) > sql.abs(_i.net))


@rule
def invoiced_differs(tx: Transaction) -> Select[Any]:
    """What an invoice has billed, month by month, is not what it comes to."""
    billed = select(_billed.basis_id, sql.sum(_billed.net).label("net")).group_by(_billed.basis_id).subquery()
    of_invoice = basis_table.outerjoin(billed, billed.c.basis_id == _i.id)
    return (
        select(_i.number.label("name"))
        .select_from(of_invoice)
        .where(_i.serial == 0, _i.net.is_distinct_from(billed.c.net))
    )


# --- what the rules are made with ----------------------------------------------------------------------------------


def _all_of(*parts: Select[Any]) -> Select[Any]:
    found = union_all(*parts).subquery()
    return select(*found.c)


def _or_all(key: ColumnElement[Any]) -> ColumnElement[str]:
    return sql.coalesce(cast(key, Text), "all")


def _times(rows: ColumnElement[Any], which: ColumnElement[bool]) -> Subquery:
    """How many of a table's rows there are by this key."""
    return select(rows.label("key"), sql.count().label("times")).where(which).group_by(rows).subquery()


def _events_by_recipient() -> Subquery:
    """Each recipient's last event, and its first final one, by their numbers (given out under the recipient's lock)."""
    final = _e.type.in_({EVENTS[what] for (_, what), state in TABLE.items() if state.final})
    return (
        select(_e.recipient_id, sql.max(_e.id).label("last"), sql.min(case((final, _e.id))).label("end"))
        .where(_e.recipient_id.is_not(None))
        .group_by(_e.recipient_id)
        .subquery()
    )


def _last_events() -> Mapping[State, frozenset[str]]:
    """For each state the events that can have come last, "" for none: worked out from the table of states itself."""
    found: dict[State, set[str]] = {state: set() for state in State}
    for state in (State.WAITING, State.HELD, State.SUPPRESSED):
        found[state].add("")  # as accepted: the message's own event says it
    for _ in TABLE:  # no chain of silent changes is longer than the table
        for (before, what), now in TABLE.items():
            found[now] |= {EVENTS[what]} if what in EVENTS else found[before]
    return {state: frozenset(events) for state, events in found.items()}


LAST_EVENTS = _last_events()


def _month(period: str) -> tuple[datetime, datetime] | None:
    """When the month begins in Stockholm, and the next one; None when it is not a month."""
    if not (found := re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", period)):
        return None
    year, month = int(found[1]), int(found[2])
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    return datetime(year, month, 1, tzinfo=STOCKHOLM), datetime(*after, 1, tzinfo=STOCKHOLM)


_DAY, _HOUR = timedelta(days=1) // timedelta(microseconds=1), timedelta(hours=1)


def _ahead_of_utc(tx: Transaction) -> ColumnElement[int]:
    """How far Stockholm is ahead of UTC, in microseconds, when a recipient was handed over."""
    span: Any = tx.execute(select(sql.min(_u.handed_over_at), sql.max(_u.handed_over_at))).one()
    first, last = span
    changes = list(_changes_of_offset(first, last)) if first else []
    last_ahead = _offset(last) if last else 0
    return (
        case(*((_u.handed_over_at < at, ahead) for at, ahead in changes), else_=last_ahead)
        if changes
        else literal(last_ahead, BigInteger)
    )


def _changes_of_offset(first: datetime, last: datetime) -> Iterator[tuple[datetime, int]]:
    """Each moment from `first` to `last` at which the clocks of Stockholm are put on or back, and the offset before it."""
    moment = first.replace(minute=0, second=0, microsecond=0)  # they are at whole hours
    while moment < last:
        after = moment + _HOUR
        if _offset(after) != _offset(moment):
            yield after, _offset(moment)
        moment = after


def _offset(moment: datetime) -> int:
    return (moment.astimezone(STOCKHOLM).utcoffset() or timedelta(0)) // timedelta(microseconds=1)


def _date(tx: Transaction, day: ColumnElement[Any]) -> ColumnElement[str]:
    """Days since 1970 as 2024-05-07."""
    if tx.postgres:
        return sql.to_char(literal(date(1970, 1, 1)) + cast(day, Integer), "YYYY-MM-DD")
    return sql.date(day * 86_400, "unixepoch")
