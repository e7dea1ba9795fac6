"""What a customer sees of a month: what it costs, what was counted and what was not, day by day; for the running month, so far."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from io import StringIO

from ombud.accounts import Customer, load_directory
from ombud.billing.alarms import Alarm, Cap, alarms_of, cap_of
from ombud.billing.basis import BasisLine
from ombud.billing.close import check_period
from ombud.billing.ledger import Kept, bases_of
from ombud.billing.money import Money
from ombud.billing.planbook import load_plans
from ombud.billing.price import Priced, price_month, stretches_of
from ombud.billing.subscriptions import subscriptions_of
from ombud.clock import STOCKHOLM, day_begins, day_of, month_days
from ombud.db import Transaction
from ombud.queue.trace import trace
from ombud.usage import Counted, Tally, metered, tallies

DAY = timedelta(days=1)
#: What happened to recipients that were not counted for the invoice.
NOT_COUNTED = (
    Counted.FREE, Counted.TEST, Counted.REFUSED, Counted.SUPPRESSED, Counted.HELD, Counted.HELD_EXPIRED, Counted.RETRIED,
    Counted.FAILED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DayCount:
    day: date
    emails: int  # on the day
    total: int  # in the month, to the end of the day


@dataclass(frozen=True, slots=True)
class Projection:
    """What the month comes to if it goes on as it has begun."""

    emails: int
    net: Money


@dataclass(frozen=True, slots=True)
class Statement:
    """A customer's month. Its lines and sums are the invoice's where it is locked, else what they would be now."""

    customer: Customer
    period: str
    as_of: datetime
    ended: bool
    number: str  # of the invoice; "" while it is not locked
    plan: str
    currency: str
    emails: int
    included: int
    lines: Sequence[BasisLine]
    net: Money
    vat: Money
    total: Money
    by_product: Mapping[str, int]
    not_counted: Mapping[Counted, int]
    days: Sequence[DayCount]  # to today
    projection: Projection | None  # of the running month
    credits: Sequence[Kept]
    cap: Cap | None
    alarms: Sequence[tuple[Alarm, datetime]]

    @property
    def over(self) -> int:
        """E-mails over the included ones."""
        return max(0, self.emails - self.included)


def statement(tx: Transaction, customer: Customer, period: str, now: datetime) -> Statement:
    """The customer's month, as it stands. Raises BadField when it is not a month."""
    check_period(period)
    since, until = month_days(period)
    counted = tallies(tx, since, until, customer_id=customer.id)
    billable = _by_day(counted)
    days = _days(billable, since, min(until, day_of(now) + DAY))
    priced = _priced(tx, customer.id, period, billable)
    kept = bases_of(tx, period, customer_id=customer.id)
    invoice = next((one for one in kept if not one.basis.is_credit), None)
    shown = invoice.basis if invoice else priced
    currency = shown.currency if shown else "SEK"
    nothing = Money.zero(currency)
    ended = now >= day_begins(until)
    return Statement(
        customer=customer,
        period=period,
        as_of=now,
        ended=ended,
        number=invoice.basis.number if invoice else "",
        plan=shown.plan if shown else "",
        currency=currency,
        emails=billable.total(),
        included=priced.included if priced else 0,
        lines=shown.lines if shown else (),
        net=shown.net if shown else nothing,
        vat=shown.vat if shown else nothing,
        total=shown.total if shown else nothing,
        by_product=_by_product(tx, counted),
        not_counted=_not_counted(counted),
        days=days,
        projection=None if ended or not priced else _projection(priced, days, now),
        credits=[one for one in kept if one.basis.is_credit],
        cap=cap_of(tx, customer.id),
        alarms=alarms_of(tx, customer.id, period),
    )


def _by_day(counted: Sequence[Tally]) -> Counter[date]:
    """Billable e-mails by day."""
    by_day: Counter[date] = Counter()
    for one in counted:
        if one.what is Counted.BILLABLE:
            by_day[one.day] += one.number
    return by_day


def _priced(tx: Transaction, customer_id: int, period: str, by_day: Mapping[date, int]) -> Priced | None:
    stretches = stretches_of(period, subscriptions_of(tx, customer_id), load_plans(tx), by_day)
    return price_month(period, stretches) if stretches else None


def _days(by_day: Counter[date], since: date, until: date) -> list[DayCount]:
    days, total = [], 0
    for day in (since + DAY * n for n in range((until - since).days)):
        total += by_day[day]
        days.append(DayCount(day, by_day[day], total))
    return days


def _by_product(tx: Transaction, counted: Sequence[Tally]) -> dict[str, int]:
    """Billable e-mails by product, most first."""
    names = {one.id: one.slug for one in load_directory(tx).products.values()}
    sums: Counter[str] = Counter()
    for one in counted:
        if one.what is Counted.BILLABLE:
            sums[names.get(one.product_id, f"#{one.product_id}")] += one.number
    return dict(sums.most_common())


def _not_counted(counted: Sequence[Tally]) -> dict[Counted, int]:
    sums: Counter[Counted] = Counter()
    for one in counted:
        sums[one.what] += one.number
    return {what: sums[what] for what in NOT_COUNTED if sums[what]}


def _projection(priced: Priced, days: Sequence[DayCount], now: datetime) -> Projection | None:
    """As many a day for the rest of the month as so far. None in the first hours, which say too little."""
    since, until = month_days(priced.period)
    passed = now - day_begins(since)
    if passed < DAY:
        return None
    whole = day_begins(until) - day_begins(since)
    emails = round((days[-1].total if days else 0) * (whole / passed))
    last = priced.stretches[-1]
    more = max(0, emails - priced.emails)
    grown = replace(last, emails=last.emails + more)
    return Projection(max(emails, priced.emails), price_month(priced.period, [*priced.stretches[:-1], grown]).net)


# --- down to the message -------------------------------------------------------------------------------------------


def counted_csv(tx: Transaction, customer_id: int, period: str) -> Iterator[str]:
    """Every counted recipient of a month as CSV (RFC 4180), in pieces: the message's id and the recipient's number in it, no address.

    It ends before the daily counts do where the meter has forgotten its rows.
    """
    names = {one.id: one.slug for one in load_directory(tx).products.values()}
    yield _csv([["handed_over_at", "message", "recipient", "product"]])
    after = 0
    while page := metered(tx, customer_id, period, after=after):
        after = page[-1].recipient_id
        billable = {one.recipient_id: one for one in page if one.billable}
        rows = []
        for traced in trace(tx, list(billable)):
            one = billable[traced.recipient_id]
            at = one.at.astimezone(STOCKHOLM).isoformat(timespec="seconds")
            rows.append([at, traced.message_id, str(traced.n), names.get(one.product_id, f"#{one.product_id}")])
        yield _csv(rows)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    out = StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()
