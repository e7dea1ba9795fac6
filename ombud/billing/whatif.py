"""What a customer's last months would have cost under another plan: for the one who is to choose, before it has chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ombud.billing.money import Money, total
from ombud.billing.planbook import load_plans
from ombud.billing.plans import PricePlan
from ombud.billing.price import Priced, price
from ombud.clock import day_of, month_days, month_of, months_before
from ombud.db import Transaction
from ombud.routing import TEST_ROUTE
from ombud.routing.routes import load_routes
from ombud.usage import Counted, tallies

MONTHS = 12


@dataclass(frozen=True, slots=True)
class Estimate:
    """The last whole months, each priced by today's version of a plan. Without a plan (alternative 1) nothing costs anything."""

    plan: PricePlan | None
    emails: Mapping[str, int]  # by month, oldest first: everything that was handed over, by whatever way
    months: Mapping[str, Priced]

    @property
    def net(self) -> Money:
        """All the months together, without VAT."""
        return total((one.net for one in self.months.values()), self._currency)

    @property
    def total(self) -> Money:
        return total((one.total for one in self.months.values()), self._currency)

    @property
    def emails_a_month(self) -> int:
        """On average; 0 when nothing has been sent yet."""
        return round(sum(self.emails.values()) / len(self.emails)) if self.emails else 0

    @property
    def _currency(self) -> str:
        return self.plan.currency if self.plan else "SEK"


def estimate(tx: Transaction, customer_id: int, plan: str, now: datetime, *, months: int = MONTHS) -> Estimate:
    """The customer's last whole months under a plan ("": under none). Months before its first mail are left out. Raises NoPlan."""
    return _estimate(tx, customer_id, _emails(tx, customer_id, now, months), plan, now)


def compare(
    tx: Transaction, customer_id: int, plans: Mapping[str, str], now: datetime, *, months: int = MONTHS
) -> dict[str, Estimate]:
    """The same for several alternatives at once: from an alternative to its plan, or "" where it costs nothing. Raises NoPlan."""
    emails = _emails(tx, customer_id, now, months)
    return {name: _estimate(tx, customer_id, emails, plan, now) for name, plan in plans.items()}


def _estimate(tx: Transaction, customer_id: int, emails: Mapping[str, int], slug: str, now: datetime) -> Estimate:
    if not slug:
        return Estimate(None, emails, {})
    plan = load_plans(tx).plan(slug, day_of(now), customer_id)
    return Estimate(plan, emails, {period: price(plan, number, period) for period, number in emails.items()})


def _emails(tx: Transaction, customer_id: int, now: datetime, months: int) -> dict[str, int]:
    """What was handed over in each of the last whole months, but for test mail, from the first month with any."""
    periods = months_before(month_of(now), months)
    since, until = month_days(periods[0])[0], month_days(periods[-1])[1]
    test = {route.id for route in load_routes(tx).values() if route.slug == TEST_ROUTE}
    sums: Counter[str] = Counter()
    for one in tallies(tx, since, until, customer_id=customer_id, what=[Counted.BILLABLE, Counted.FREE]):
        if one.route_id not in test:
            sums[one.day.isoformat()[:7]] += one.number
    first = min(sums, default="9999-12")
    return {period: sums[period] for period in periods if period >= first}
