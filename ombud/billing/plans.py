"""Price plans: dated versions that are never changed, and what was agreed with single customers on top of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from string import Formatter

from ombud.billing.money import CURRENCIES, Money, Unit, UnitPrice
from ombud.errors import BadPlan, NoPlan, UnknownCurrency

LANGUAGES = ("sv", "en")
DAY = timedelta(days=1)
#: The VAT rates of Sweden, in per cent; 0 for sellers who are not liable.
VAT_RATES = frozenset(map(Decimal, (25, 12, 6, 0)))
#: Above these a price is a slip of the pen: a fee of a million a month, an e-mail for more than a hundred.
MOST_FEE, MOST_PRICE = Decimal(1_000_000), Decimal(100)
#: What a line's text may have filled in.
PLACEHOLDERS = ("period", "days", "included", "emails", "price")


class Proration(StrEnum):
    """What a month costs that alternative 2 is live in for a part only."""

    NONE = "none"  # all of it: the fee starts with the month in which it goes live
    DAILY = "daily"  # by the days, and so is the included volume


@dataclass(frozen=True, slots=True)
class Tier:
    """What each e-mail costs after so many in the month; the first tier begins where the included volume ends."""

    above: int
    price: UnitPrice


@dataclass(frozen=True, slots=True)
class PlanTexts:
    """What people read, in one language. `{period}`, `{days}`, `{included}`, `{emails}` and `{price}` are filled in."""

    name: str
    fixed: str
    emails: str
    adjustment: str


@dataclass(frozen=True, slots=True)
class Articles:
    """The vendor's article numbers."""

    fixed: str = ""
    emails: str = ""
    adjustment: str = ""


@dataclass(frozen=True, slots=True)
class PricePlan:
    """One version of a price plan, in force from one day to another (inclusive; None: until the next version).

    Prices are without VAT. Build it with `checked`, which refuses what cannot be right.
    """

    slug: str
    valid_from: date
    currency: str
    vat_rate: Decimal  # per cent
    fixed_fee: Money  # a month
    included: int  # e-mails a month
    tiers: tuple[Tier, ...]
    proration: Proration
    texts: Mapping[str, PlanTexts]
    articles: Articles = Articles()
    valid_until: date | None = None
    agreed: str = ""  # with one customer: who approved it, and why

    @property
    def version(self) -> str:
        """`molntjanst-2024 2024-01-01`."""
        return f"{self.slug} {self.valid_from.isoformat()}"

    @property
    def price(self) -> UnitPrice:
        """What the first e-mail over the included ones costs."""
        return self.tiers[0].price


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was agreed with one customer from one day to another (inclusive; None: without end). None: as in the plan."""

    slug: str
    customer_id: int
    valid_from: date
    valid_until: date | None
    approved_by: str
    reason: str
    fixed_fee: Decimal | None = None
    included: int | None = None
    price: Decimal | None = None  # of each e-mail over the included ones, in place of the plan's tiers

    def holds(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_until is None or day <= self.valid_until)

    def applied(self, plan: PricePlan) -> PricePlan:
        fee = plan.fixed_fee if self.fixed_fee is None else Money(self.fixed_fee, plan.currency)
        included = plan.included if self.included is None else self.included
        tiers = plan.tiers
        if self.price is not None:
            tiers = (Tier(included, UnitPrice(self.price, plan.currency, Unit.EMAIL)),)
        elif included != plan.included:
            later = [tier for tier in tiers[1:] if tier.above > included]
            tiers = (Tier(included, tiers[0].price), *later)
        return replace(plan, fixed_fee=fee, included=included, tiers=tiers, agreed=f"{self.approved_by}: {self.reason}")


@dataclass(frozen=True, slots=True)
class Plans:
    """All price plans at one moment."""

    versions: Mapping[str, tuple[PricePlan, ...]]  # by slug, oldest first
    agreements: Mapping[tuple[str, int], tuple[Agreement, ...]]  # by slug and customer

    def plan(self, slug: str, day: date, customer_id: int | None = None) -> PricePlan:
        """The version in force on a day, with what was agreed with the customer. Raises NoPlan."""
        found = [one for one in self.versions.get(slug, ()) if one.valid_from <= day]
        if not found or (found[-1].valid_until and day > found[-1].valid_until):
            raise NoPlan(plan=slug, day=day.isoformat(), known=", ".join(sorted(self.versions)) or "-")
        for agreement in self.agreements.get((slug, customer_id or 0), ()):
            if agreement.holds(day):
                return agreement.applied(found[-1])
        return found[-1]

    def changes(self, slug: str, customer_id: int) -> list[date]:
        """The days on which something else begins to hold for a customer, in order."""
        days = {one.valid_from for one in self.versions.get(slug, ())}
        for one in self.agreements.get((slug, customer_id), ()):
            days.add(one.valid_from)
            if one.valid_until:
                days.add(one.valid_until + DAY)
        return sorted(days)


# --- what may not be -----------------------------------------------------------------------------------------------


def check_versions(slug: str, versions: Sequence[PricePlan]) -> None:
    """Refuse versions that overlap or leave a gap between them, and each that cannot be right. Raises BadPlan, UnknownCurrency."""
    for one in versions:
        check(one)
    ordered = sorted(versions, key=lambda one: one.valid_from)
    for earlier, later in pairwise(ordered):
        if earlier.valid_from == later.valid_from:
            raise BadPlan(plan=slug, reason=f"two versions are valid from {later.valid_from}")
        if earlier.valid_until and earlier.valid_until >= later.valid_from:
            raise BadPlan(plan=slug, reason=f"two versions are valid on {later.valid_from}")
        if earlier.valid_until and earlier.valid_until + DAY < later.valid_from:
            raise BadPlan(plan=slug, reason=f"no version is valid on {earlier.valid_until + DAY}")
        if earlier.currency != later.currency:
            raise BadPlan(plan=slug, reason="its versions must all have the same currency")


def check(plan: PricePlan) -> None:
    """Refuse a version that cannot be right. Raises BadPlan or UnknownCurrency."""
    if plan.currency not in CURRENCIES:
        raise UnknownCurrency(currency=plan.currency, known=", ".join(CURRENCIES))
    for wrong in _faults(plan):
        raise BadPlan(plan=plan.version, reason=wrong)


def _faults(plan: PricePlan) -> list[str]:
    faults = []
    if plan.valid_until and plan.valid_until < plan.valid_from:
        faults.append(f"it ends on {plan.valid_until}, before it begins")
    if plan.vat_rate not in VAT_RATES:
        faults.append(f"{plan.vat_rate} per cent is no Swedish VAT rate; there are 25, 12, 6 and 0")
    faults += _fault_of_amount("fixed_fee", plan.fixed_fee.amount, MOST_FEE)
    if plan.fixed_fee.amount != plan.fixed_fee.rounded().amount:
        faults.append("fixed_fee must be in whole öre (two decimals)")
    if plan.included < 0:
        faults.append("included must not be negative")
    faults += _faults_of_tiers(plan)
    for language in LANGUAGES:
        if language not in plan.texts:
            faults.append(f"its texts are missing in the language {language}")
        else:
            faults += _faults_of_texts(language, plan.texts[language])
    return faults


def _fault_of_amount(name: str, amount: Decimal, most: Decimal) -> list[str]:
    if amount < 0:
        return [f"{name} must not be negative"]
    return [f"{name} is {amount}; more than {most} is taken for a mistake"] if amount > most else []


def _faults_of_tiers(plan: PricePlan) -> list[str]:
    if not plan.tiers:
        return ["it has no price for an e-mail over the included ones"]
    faults = [wrong for tier in plan.tiers for wrong in _fault_of_amount("price", tier.price.amount, MOST_PRICE)]
    steps = [tier.above for tier in plan.tiers]
    if steps[0] > plan.included:
        faults.append(
            f"e-mails {plan.included + 1} to {steps[0]} have no price: the first tier must begin at {plan.included}"
        )
    if steps[0] < plan.included:
        faults.append(f"the first tier begins at {steps[0]}, among the {plan.included} included e-mails")
    if any(later <= earlier for earlier, later in pairwise(steps)):
        faults.append("its tiers overlap: each must begin above the one before it")
    return faults


def _faults_of_texts(language: str, texts: PlanTexts) -> list[str]:
    faults = []
    for name in ("name", "fixed", "emails", "adjustment"):
        text = getattr(texts, name)
        if not text.strip() or not text.isprintable():
            faults.append(f"its text {name} in {language} is empty or cannot be printed")
            continue
        if not _placeholders(text) <= set(PLACEHOLDERS):
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            faults.append(f"its text {name} in {language} has something else in braces than {known}")
    return faults


def _placeholders(text: str) -> set[str]:
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return {text}
    return {name + (spec or "") + (conversion or "") for _, name, spec, conversion in parts if name is not None}


def check_agreements(plan: str, versions: Sequence[PricePlan], agreements: Sequence[Agreement]) -> None:
    """Refuse agreements that overlap for a customer, that nobody has approved, or that agree on nothing. Raises BadPlan."""
    by_customer: dict[int, list[Agreement]] = {}
    for one in agreements:
        if not (one.approved_by.strip() and one.reason.strip()):
            raise BadPlan(plan=plan, reason="what is agreed with a customer needs approved_by and reason")
        if (one.fixed_fee, one.included, one.price) == (None, None, None):
            raise BadPlan(plan=plan, reason="what is agreed with a customer must change fixed_fee, included or price")
        if one.valid_until and one.valid_until < one.valid_from:
            raise BadPlan(plan=plan, reason=f"an agreement ends on {one.valid_until}, before it begins")
        by_customer.setdefault(one.customer_id, []).append(one)
        for version in versions:
            check(one.applied(version))
    for group in by_customer.values():
        ordered = sorted(group, key=lambda one: one.valid_from)
        for earlier, later in pairwise(ordered):
            if earlier.valid_until is None or earlier.valid_until >= later.valid_from:
                raise BadPlan(plan=plan, reason=f"two agreements with a customer hold on {later.valid_from}")
