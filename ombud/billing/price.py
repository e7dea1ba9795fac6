"""What a month costs: pure functions from plans and counts to lines.

The rounding rule: each line is rounded once, half up, to öre; VAT once for each rate, on the sum. A part of a fee, from one day of
the month to another, is the fee's share up to its end less the share up to its beginning, each rounded: so parts always make the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ombud.billing.basis import BasisLine, LineKind, Summed
from ombud.billing.money import Money, Quantity, Unit, UnitPrice
from ombud.billing.plans import LANGUAGES, Plans, PricePlan, Proration
from ombud.billing.wording import count_text, days_text, month_text, price_text
from ombud.clock import month_days
from ombud.errors import BadPlan

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Subscription:
    """From when to when (inclusive; None: until further notice) a customer pays by a plan: its alternative 2 is live."""

    customer_id: int
    plan: str
    from_date: date
    until_date: date | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days of a month that are billed by one version of a plan, with the e-mails that were handed over on them."""

    plan: PricePlan
    start: date
    end: date  # inclusive
    emails: int


@dataclass(frozen=True, slots=True)
class Priced(Summed):
    """What a customer's month comes to."""

    period: str
    emails: int
    included: int
    currency: str
    lines: tuple[BasisLine, ...]
    stretches: tuple[Stretch, ...]

    @property
    def plan(self) -> str:
        """The versions that it was priced by."""
        return ", ".join(dict.fromkeys(one.plan.version for one in self.stretches))


def price(plan: PricePlan, emails: int, period: str | None = None) -> Priced:
    """A whole month under one version of a plan.

    >>> price(plan, 40_000).net  # doctest: +SKIP
    Money(amount=Decimal('860.00'), currency='SEK')
    """
    period = period or plan.valid_from.isoformat()[:7]
    first, after = month_days(period)
    return price_month(period, [Stretch(plan, first, after - DAY, emails)])


def price_month(period: str, stretches: Sequence[Stretch]) -> Priced:
    """A month that is billed by these stretches, at least one, in order; their plans have one currency.

    The included e-mails of all stretches make one volume. The month's e-mails use it up in the order of their days, and each one
    over it has the price of its day.
    """
    days, share = _days(period), sum(map(_length, stretches))
    included = sum(_included(one, period) for one in stretches)
    lines: list[BasisLine] = []
    before = 0
    for one in stretches:
        if fee := _fee(one, period):
            fixed = UnitPrice(fee.amount, fee.currency, Unit.MONTH)
            lines.append(_line(len(lines) + 1, LineKind.FIXED, one, Quantity(1, Unit.MONTH), fixed, period, included))
        for number, unit_price in _over(one.plan, before, before + one.emails, included, share, days):
            over = Quantity(number, Unit.EMAIL)
            lines.append(_line(len(lines) + 1, LineKind.EMAILS, one, over, unit_price, period, included))
        before += one.emails
    return Priced(period, before, included, stretches[0].plan.currency, tuple(lines), tuple(stretches))


def _fee(stretch: Stretch, period: str) -> Money:
    fee, days = stretch.plan.fixed_fee, _days(period)
    return fee.share(stretch.end.day, days) - fee.share(stretch.start.day - 1, days)


def _included(stretch: Stretch, period: str) -> int:
    """Its share of the included volume, by days, by the same rule as the fee's."""
    days, included = _days(period), stretch.plan.included
    return _share(included, stretch.end.day, days) - _share(included, stretch.start.day - 1, days)


def _over(
    plan: PricePlan, before: int, after: int, included: int, share: int, days: int
) -> Iterator[tuple[int, UnitPrice]]:
    """Of the month's e-mails number `before` + 1 to `after`, how many cost which price. What is included costs nothing."""
    begins = [included, *(max(included, _share(tier.above, share, days)) for tier in plan.tiers[1:])]
    for tier, begin, end in zip(plan.tiers, begins, [*begins[1:], max(after, *begins)], strict=True):
        if (number := min(after, end) - max(before, begin)) > 0:
            yield number, tier.price


def _line(
    n: int, kind: LineKind, stretch: Stretch, quantity: Quantity, unit_price: UnitPrice, period: str, included: int
) -> BasisLine:
    plan = stretch.plan
    return BasisLine(
        n=n,
        kind=kind,
        article=plan.articles.fixed if kind is LineKind.FIXED else plan.articles.emails,
        texts={language: _text(kind, stretch, period, included, unit_price, language) for language in LANGUAGES},
        quantity=quantity,
        unit_price=unit_price,
        net=(unit_price * quantity).rounded(),
        vat_rate=plan.vat_rate,
        start=stretch.start,
        end=stretch.end,
        plan=plan.version,
    )


def _text(kind: LineKind, stretch: Stretch, period: str, included: int, unit_price: UnitPrice, language: str) -> str:
    texts = stretch.plan.texts[language]
    text = texts.fixed if kind is LineKind.FIXED else texts.emails
    days = days_text(stretch.start, stretch.end, language)
    filled = text.format(
        period=month_text(period, language),
        days=days,
        included=count_text(included, language),
        emails=count_text(stretch.emails, language),
        price=price_text(unit_price, language),
    )
    part = _length(stretch) < _days(period) and "{days}" not in text
    return f"{filled} ({days})" if part else filled


# --- which plan on which day ---------------------------------------------------------------------------------------


def stretches_of(
    period: str, subscriptions: Sequence[Subscription], plans: Plans, emails_by_day: Mapping[date, int]
) -> list[Stretch]:
    """How a customer's month is to be billed; [] when alternative 2 was live on no day of it.

    A version, an agreement or a subscription that begins within the month begins a stretch of its own. Without proration, days at the
    ends and between, on which it was not live, belong to the stretch beside them. E-mails of days that are billed by none (the queue
    may still empty when alternative 2 has ended) belong to the stretch before them, or else to the first. Raises NoPlan.
    """
    found = list(_filled(period, list(_live(period, subscriptions, plans))))
    emails = [0] * len(found)
    for day, number in emails_by_day.items():
        if found:
            emails[max((n for n, (_, start, _) in enumerate(found) if start <= day), default=0)] += number
    return [Stretch(plan, start, end, number) for (plan, start, end), number in zip(found, emails, strict=True)]


_Days = tuple[PricePlan, date, date]


def _live(period: str, subscriptions: Sequence[Subscription], plans: Plans) -> list[_Days]:
    """The days on which a customer was live, each with the version of that day, joined to as few as there can be."""
    first, after = month_days(period)
    live: list[_Days] = []
    for one in sorted(subscriptions, key=lambda one: one.from_date):
        start = max(one.from_date, live[-1][2] + DAY if live else first)
        end = min(one.until_date or after, after - DAY)
        changes = [day for day in plans.changes(one.plan, one.customer_id) if start < day <= end]
        for since, until in zip([start, *changes], [*(day - DAY for day in changes), end], strict=True):
            if since <= until:
                _add(live, plans.plan(one.plan, since, one.customer_id), since, until)
    return live


def _add(live: list[_Days], plan: PricePlan, start: date, end: date) -> None:
    if live and live[-1][0] == plan and live[-1][2] + DAY == start:
        _, start, _ = live.pop()
    if live and live[-1][0].currency != plan.currency:
        raise BadPlan(plan=plan.version, reason="a customer's month cannot be in two currencies")
    live.append((plan, start, end))


def _filled(period: str, live: Sequence[_Days]) -> Iterator[_Days]:
    """Without proration the stretches fill the month."""
    first, after = month_days(period)
    for n, (plan, start, end) in enumerate(live):
        if plan.proration is Proration.NONE:
            start = first if n == 0 else start
            end = live[n + 1][1] - DAY if n + 1 < len(live) else after - DAY
        yield plan, start, end


def _days(period: str) -> int:
    first, after = month_days(period)
    return (after - first).days


def _length(stretch: Stretch) -> int:
    return (stretch.end - stretch.start).days + 1


def _share(number: int, part: int, whole: int) -> int:
    """`part` / `whole` of a number, rounded half up."""
    return (2 * number * part + whole) // (2 * whole)
