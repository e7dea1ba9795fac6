"""Ours against the provider's own count, and against what has been invoiced: by day and customer, and down to the message where
the provider's events are at hand."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from io import StringIO
from typing import Any, NoReturn

from sqlalchemy import BigInteger, Column, Integer, Table, delete, insert, select
from sqlalchemy import func as sql

from ombud.billing.ledger import invoiced_of
from ombud.clock import day_of, month_days, parse_moment
from ombud.db import Day, Many, Moment, Transaction, metadata
from ombud.errors import BadCount
from ombud.queue import State
from ombud.queue.trace import Traced, trace, trace_headers
from ombud.usage import Counted, daily_totals, metered

#: What the provider of a route says that it took for a customer on a day.
count_table = Table(
    "provider_count",
    metadata,
    Column("route_id", Integer, primary_key=True, autoincrement=False),
    Column("day", Day, primary_key=True),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("at", Moment, nullable=False),  # when it was taken in
)
_c = count_table.c
_COUNTS = Many(insert(count_table), "route_id", "day", "customer_id", "number", "at")
DAY = timedelta(days=1)


class Why(StrEnum):
    """Why a recipient is in one count and not in the other."""

    THEIR_SUPPRESSED = "their_suppressed"  # we handed it over, and they do not write to that address
    OUR_TEST = "our_test"  # sent with a test credential: not ours to bill
    OTHER_DAY = "other_day"  # both have it, on two sides of midnight
    SECOND_COPY = "second_copy"  # they took it twice: an answer was lost, and it was sent again
    NOT_SETTLED = "not_settled"  # we do not know (yet) that they took it
    MISSING_THERE = "missing_there"  # we handed it over, and they say nothing of it
    NOT_THROUGH_US = "not_through_us"  # they took it from someone else


#: These explain themselves; the others need somebody to look.
KNOWN = frozenset({Why.THEIR_SUPPRESSED, Why.OUR_TEST, Why.OTHER_DAY, Why.SECOND_COPY})


@dataclass(frozen=True, slots=True)
class Compared:
    """One customer's day. `reasons` says of how many recipients the difference is, where their events are at hand."""

    customer_id: int
    day: date
    ours: int
    theirs: int
    reasons: Mapping[Why, int]

    @property
    def explained(self) -> bool:
        """Whether the counts are the same, or known reasons make up all of the difference."""
        if not self.reasons:
            return self.ours == self.theirs
        return set(self.reasons) <= KNOWN


@dataclass(frozen=True, slots=True)
class Differing:
    """One recipient that only one side has counted on that day."""

    customer_id: int
    day: date
    side: str  # ours | theirs
    message: str  # ours, or their Message-ID
    address: str
    why: Why


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a provider's log."""

    at: datetime
    customer_id: int
    header_id: str  # Message-ID without the angle brackets
    address: str
    event: str  # accepted | suppressed; others are not looked at


# --- taking their counts in ----------------------------------------------------------------------------------------

#: From a customer's slug or one of its domains to its number; None when it is nobody's.
FindCustomer = Callable[[str], int | None]
_COUNT_COLUMNS, _EVENT_COLUMNS = {"day", "customer", "number"}, {"at", "customer", "message_id", "recipient", "event"}


def take_in(tx: Transaction, route_id: int, counts: Mapping[tuple[date, int], int], now: datetime) -> None:
    """Keep what the route's provider says for these days; what it said of them before is forgotten."""
    days = sorted({day for day, _ in counts})
    for start in range(0, len(days), 500):
        tx.execute(delete(count_table).where(_c.route_id == route_id, _c.day.in_(days[start : start + 500])))
    _COUNTS.run(tx, [(route_id, day, customer, number, now) for (day, customer), number in sorted(counts.items())])


def read_counts(file: str, text: str, find: FindCustomer) -> dict[tuple[date, int], int]:
    """A provider's counts: `day,customer,number`; the customer by slug or by domain. Raises BadCount, naming the line."""
    counts: dict[tuple[date, int], int] = defaultdict(int)
    for row, refuse in _rows(file, text, _COUNT_COLUMNS):
        try:
            day = date.fromisoformat(row["day"])
        except ValueError:
            refuse(f"{row['day']!r} is not a day; write it as 2024-05-07")
        if not (row["number"].isascii() and row["number"].isdecimal()):
            refuse(f"{row['number']!r} is not a whole number")
        counts[day, _customer(row["customer"], find, refuse)] += int(row["number"])
    return dict(counts)


def read_events(file: str, text: str, find: FindCustomer) -> list[Event]:
    """A provider's log: `at,customer,message_id,recipient,event`. Raises BadCount, naming the line."""
    events = []
    for row, refuse in _rows(file, text, _EVENT_COLUMNS):
        try:
            at = parse_moment(row["at"])
        except ValueError:
            refuse(f"{row['at']!r} is not a moment; write it as 2024-05-07T10:00:00Z")
        customer = _customer(row["customer"], find, refuse)
        events.append(
            Event(at, customer, row["message_id"].strip("<>"), row["recipient"].lower(), row["event"].lower())
        )
    return events


def counts_of(events: Iterable[Event]) -> dict[tuple[date, int], int]:
    """What a log comes to: what they took, but for what they then did not send since they suppress it."""
    counts: Counter[tuple[date, int]] = Counter()
    for one in events:
        if one.event in _STEPS:
            counts[day_of(one.at), one.customer_id] += _STEPS[one.event]
    return dict(counts)


_STEPS = {"accepted": 1, "suppressed": -1}


def _rows(file: str, text: str, needed: set[str]) -> Iterator[tuple[dict[str, str], Callable[[str], NoReturn]]]:
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    rows = csv.DictReader(StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True)

    def refuse(reason: str) -> NoReturn:
        raise BadCount(file=file, line=rows.line_num, reason=reason)

    try:
        if missing := needed - set(rows.fieldnames or ()):
            refuse(f"the columns {', '.join(sorted(missing))} are missing")
        for row in rows:
            if None in row or None in row.values():
                refuse("it has another number of columns than the header")
            yield {name: value.strip() for name, value in row.items()}, refuse
    except csv.Error as error:
        refuse(str(error))


def _customer(name: str, find: FindCustomer, refuse: Callable[[str], NoReturn]) -> int:
    if (customer := find(name)) is None:
        refuse(f"there is no customer or domain {name}")
    return customer


# --- comparing -----------------------------------------------------------------------------------------------------


def provider_counts(tx: Transaction, period: str) -> tuple[dict[int, int], dict[int, int]] | None:
    """By customer, ours and theirs for the month, by the routes whose providers' counts have been taken in; None: there are none."""
    since, until = month_days(period)
    month = (_c.day >= since, _c.day < until)
    query = select(_c.customer_id, sql.sum(_c.number)).where(*month).group_by(_c.customer_id)
    rows: Sequence[Any] = tx.execute(query).all()
    theirs = {customer: int(number) for customer, number in rows}
    if not theirs:
        return None
    ours: Counter[int] = Counter()
    for customer, _, number in daily_totals(tx, since, until, [Counted.BILLABLE], routes=_routes(tx, period)):
        ours[customer] += number
    return dict(ours), theirs


def compare(
    tx: Transaction, period: str, why: Mapping[tuple[int, date], Mapping[Why, int]] | None = None
) -> list[Compared]:
    """Each customer's days in the month on which either side has counted anything, where their counts have been taken in."""
    since, until = month_days(period)
    query = select(_c.customer_id, _c.day, sql.sum(_c.number)).where(_c.day >= since, _c.day < until)
    rows: Sequence[Any] = tx.execute(query.group_by(_c.customer_id, _c.day)).all()
    theirs = {(customer, day): int(number) for customer, day, number in rows}
    counted = daily_totals(tx, since, until, [Counted.BILLABLE], routes=_routes(tx, period))
    ours = {(customer, day): number for customer, day, number in counted}
    return [
        Compared(key[0], key[1], ours.get(key, 0), theirs.get(key, 0), (why or {}).get(key, {}))
        for key in sorted(ours.keys() | theirs.keys())
    ]


def _routes(tx: Transaction, period: str) -> list[int]:
    since, until = month_days(period)
    query = select(_c.route_id).where(_c.day >= since, _c.day < until).distinct()
    return list(tx.execute(query).scalars())


def billed_against(tx: Transaction, period: str) -> dict[int, tuple[int, int]]:
    """By customer, the month's billable e-mails now, and how many of them have been invoiced."""
    ours: Counter[int] = Counter()
    for customer, _, number in daily_totals(tx, *month_days(period), [Counted.BILLABLE]):
        ours[customer] += number
    billed = {customer: emails for (_, customer), (emails, _) in invoiced_of(tx, [period]).items()}
    return {customer: (ours[customer], billed.get(customer, 0)) for customer in sorted(ours.keys() | billed.keys())}


# --- to the message ------------------------------------------------------------------------------------------------

_Key = tuple[str, str]  # Message-ID and address


def differing(tx: Transaction, period: str, route_id: int, events: Sequence[Event]) -> list[Differing]:
    """Every recipient of the month that only one side has counted on its day, by the provider's own log, with the reason."""
    since, until = month_days(period)
    theirs: dict[int, dict[_Key, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for one in events:
        theirs[one.customer_id][one.header_id, one.address].append(one)
    customers = {customer for customer, _, _ in daily_totals(tx, since, until, [Counted.BILLABLE], routes=[route_id])}
    found: list[Differing] = []
    for customer in sorted(customers | theirs.keys()):
        found += _differing_of(tx, period, route_id, customer, theirs.get(customer, {}))
    return [one for one in found if since <= one.day < until]


def reasons_of(found: Iterable[Differing]) -> dict[tuple[int, date], Counter[Why]]:
    """How often each reason comes up, by customer and day."""
    reasons: dict[tuple[int, date], Counter[Why]] = defaultdict(Counter)
    for one in found:
        reasons[one.customer_id, one.day][one.why] += 1
    return dict(reasons)


def _differing_of(
    tx: Transaction, period: str, route_id: int, customer: int, theirs: Mapping[_Key, Sequence[Event]]
) -> Iterator[Differing]:
    ours = dict(_ours(tx, customer, period, route_id))
    for key, (day, traced) in ours.items():
        taken = [one for one in theirs.get(key, ()) if one.event == "accepted"]
        days = [day_of(one.at) for one in taken]
        if day not in days or any(one.event == "suppressed" for one in theirs[key]):
            yield Differing(customer, day, "ours", traced.message_id, traced.address, _why_ours(key, theirs, days))
    unknown = [key for key in theirs if key not in ours]
    known_elsewhere = {
        (one.header_id, one.address): one for one in trace_headers(tx, sorted({header for header, _ in unknown}))
    }
    for key, log in theirs.items():
        yield from _of_theirs(customer, key, log, ours.get(key), known_elsewhere.get(key))


def _ours(tx: Transaction, customer: int, period: str, route_id: int) -> Iterator[tuple[_Key, tuple[date, Traced]]]:
    """What we have billed, by what they know it by."""
    after = 0
    while page := metered(tx, customer, period, after=after):
        after = page[-1].recipient_id
        days = {one.recipient_id: day_of(one.at) for one in page if one.billable and one.route_id == route_id}
        for traced in trace(tx, list(days)):
            yield (traced.header_id, traced.address.lower()), (days[traced.recipient_id], traced)


def _why_ours(key: _Key, theirs: Mapping[_Key, Sequence[Event]], days: Sequence[date]) -> Why:
    if any(one.event == "suppressed" for one in theirs.get(key, ())):
        return Why.THEIR_SUPPRESSED
    return Why.OTHER_DAY if days else Why.MISSING_THERE


def _of_theirs(
    customer: int, key: _Key, log: Sequence[Event], ours: tuple[date, Traced] | None, known: Traced | None
) -> Iterator[Differing]:
    """What they took and we did not bill, or not on that day."""
    taken = sorted(day_of(one.at) for one in log if one.event == "accepted")
    if any(one.event == "suppressed" for one in log) and ours is None:
        taken = taken[1:]  # they do not count it either
    for n, day in enumerate(taken):
        if ours is not None and n == 0:
            if day != ours[0] and ours[0] not in taken:
                yield Differing(customer, day, "theirs", key[0], key[1], Why.OTHER_DAY)
        elif ours is not None or n > 0:
            yield Differing(customer, day, "theirs", key[0], key[1], Why.SECOND_COPY)
        else:
            yield Differing(customer, day, "theirs", key[0], key[1], _why_theirs(known))


def _why_theirs(known: Traced | None) -> Why:
    if known is None:
        return Why.NOT_THROUGH_US
    if known.mode == "test":
        return Why.OUR_TEST
    return Why.OTHER_DAY if known.state is State.DELIVERED else Why.NOT_SETTLED
