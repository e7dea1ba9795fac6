"""What a month would be invoiced as, customer by customer, by the facts of this moment. The preview shows it and the lock keeps it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from ombud.accounts import Customer, load_directory
from ombud.billing.basis import Basis, BasisLine, Kind, LineKind, Seller, VatCategory, digest, to_text
from ombud.billing.faults import Fault, faults_of
from ombud.billing.ledger import invoiced_of, locked_periods, period_of
from ombud.billing.money import Money, Quantity, Unit, UnitPrice
from ombud.billing.parties import Payer, buyer_of, load_payers, load_seller, vat_category
from ombud.billing.planbook import load_plans
from ombud.billing.plans import LANGUAGES, Plans, PricePlan
from ombud.billing.price import Priced, Subscription, price_month, stretches_of
from ombud.billing.subscriptions import changed_since, load_subscriptions
from ombud.billing.wording import count_text, month_text
from ombud.clock import month_days, months_before
from ombud.db import Transaction
from ombud.usage import Counted, billable_by_customer, daily_totals

DAY = timedelta(days=1)
#: So many months back what came late is looked for.
LOOK_BACK = 3


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What an earlier month comes to now, over what has been invoiced of it."""

    period: str
    emails: int
    net: Money
    plan: PricePlan  # the month's last: it says the words and the VAT


@dataclass(frozen=True, slots=True)
class Draft:
    """One customer's month. Without a basis when there is nothing to invoice."""

    customer: Customer
    emails: int
    basis: Basis | None
    priced: Priced | None
    adjustments: tuple[Adjustment, ...] = ()
    faults: tuple[Fault, ...] = ()
    digest: str = ""  # of the basis

    @property
    def invoiced(self) -> dict[str, tuple[int, int]]:
        """By month: how many e-mails the basis bills for how much (in öre)."""
        found = {one.period: (one.emails, one.net.minor) for one in self.adjustments}
        if self.basis and self.priced:
            found[self.basis.period] = (self.emails, self.priced.net.minor)
        return found


@dataclass(frozen=True, slots=True)
class _Month:
    """What a month is priced from: everyone's e-mails by day."""

    period: str
    emails: Mapping[int, Mapping[date, int]]

    def priced(self, customer_id: int, subscriptions: Sequence[Subscription], plans: Plans) -> Priced | None:
        stretches = stretches_of(self.period, subscriptions, plans, self.emails.get(customer_id, {}))
        return price_month(self.period, stretches) if stretches else None


@dataclass(frozen=True, slots=True)
class _Late:
    """A locked month that is looked at again, and for whom."""

    month: _Month
    customers: frozenset[int]
    invoiced: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a month's drafts are made from, read at one moment."""

    period: str
    seller: Seller
    customers: Mapping[int, Customer]
    payers: Mapping[int, Payer]
    plans: Plans
    subscriptions: Mapping[int, tuple[Subscription, ...]]
    month: _Month
    metered: Mapping[int, int]  # billable recipients in the meter, where it has the month's rows still
    late: Sequence[_Late] = field(default=())


def load_facts(tx: Transaction, period: str) -> Facts:
    """Read them. Raises SellerMissing when the vendor's own data are not there."""
    return Facts(
        period=period,
        seller=load_seller(tx),
        customers={one.id: one for one in load_directory(tx).customers.values()},
        payers=load_payers(tx),
        plans=load_plans(tx),
        subscriptions=load_subscriptions(tx),
        month=_load_month(tx, period),
        metered=billable_by_customer(tx, period),
        late=_load_late(tx, period),
    )


def _load_month(tx: Transaction, period: str) -> _Month:
    emails: dict[int, dict[date, int]] = defaultdict(dict)
    for customer_id, day, number in daily_totals(tx, *month_days(period), [Counted.BILLABLE]):
        emails[customer_id][day] = number
    return _Month(period, dict(emails))


def _load_late(tx: Transaction, period: str) -> list[_Late]:
    """The locked months before this one in which somebody's count, or time with a plan, is not what has been invoiced."""
    late = []
    looked_at = months_before(period, LOOK_BACK)
    locked = [one for one in locked_periods(tx) if one in looked_at]
    invoiced = invoiced_of(tx, locked)
    for earlier in locked:
        month = _load_month(tx, earlier)
        billed = {customer: sums for (one, customer), sums in invoiced.items() if one == earlier}
        locked_at = period_of(tx, earlier).locked_at
        assert locked_at
        customers = changed_since(tx, locked_at) | {
            customer
            for customer in month.emails.keys() | billed.keys()
            if sum(month.emails.get(customer, {}).values()) != billed.get(customer, (0, 0))[0]
        }
        if customers:
            late.append(_Late(month, customers, billed))
    return late


def drafts(facts: Facts) -> Iterator[Draft]:
    """Of each customer that has e-mails to be billed, a plan that was live, or something of an earlier month; by slug."""
    concerned = set(facts.month.emails) | set(facts.subscriptions)
    for late in facts.late:
        concerned |= late.customers
    for customer in sorted((facts.customers[id] for id in concerned), key=lambda one: one.slug):
        draft = _draft(facts, customer)
        if draft.basis or draft.faults or draft.emails:
            yield draft


def _draft(facts: Facts, customer: Customer) -> Draft:
    subscriptions = facts.subscriptions.get(customer.id, ())
    priced = facts.month.priced(customer.id, subscriptions, facts.plans)
    adjustments = tuple(_adjustments(facts, customer.id, subscriptions))
    emails = sum(facts.month.emails.get(customer.id, {}).values())
    basis = _basis(facts, customer, priced, adjustments, emails)
    metered = facts.metered.get(customer.id, 0)
    faults = faults_of(basis, customer.slug, emails, billed=priced is not None, metered=metered)
    return Draft(customer, emails, basis, priced, adjustments, faults, digest(to_text(basis)) if basis else "")


def _adjustments(facts: Facts, customer_id: int, subscriptions: Sequence[Subscription]) -> Iterator[Adjustment]:
    for late in facts.late:
        if customer_id not in late.customers or not subscriptions:
            continue
        now = late.month.priced(customer_id, subscriptions, facts.plans)
        last = subscriptions[-1]  # none was live, as it has turned out: what was invoiced is given back
        plan = now.stretches[-1].plan if now else facts.plans.plan(last.plan, last.from_date, customer_id)
        emails, net = late.invoiced.get(customer_id, (0, 0))
        change = (now.net if now else Money.zero(plan.currency)) - Money.of_minor(net, plan.currency)
        more = (now.emails if now else 0) - emails
        if change or more:
            yield Adjustment(late.month.period, more, change, plan)


def _basis(
    facts: Facts, customer: Customer, priced: Priced | None, adjustments: Sequence[Adjustment], emails: int
) -> Basis | None:
    lines = list(priced.lines) if priced else []
    for one in adjustments:
        if one.net:
            lines.append(_adjustment_line(len(lines) + 1, one))
    if not lines:
        return None
    buyer = buyer_of(customer, facts.payers.get(customer.id, Payer()))
    if (category := vat_category(buyer)) is not VatCategory.STANDARD:
        lines = [replace(line, vat_category=category, vat_rate=line.vat_rate * 0) for line in lines]
    first, after = month_days(facts.period)
    return Basis(
        number="",
        kind=Kind.INVOICE,
        issued=after,
        due=after + timedelta(days=facts.seller.payment_days),
        period=facts.period,
        start=first,
        end=after - DAY,
        currency=lines[0].net.currency,
        seller=facts.seller,
        buyer=buyer,
        lines=tuple(lines),
        emails=emails,
        plan=priced.plan if priced else "",
    )


def _adjustment_line(n: int, one: Adjustment) -> BasisLine:
    plan = one.plan
    first, after = month_days(one.period)
    texts = {
        language: plan.texts[language].adjustment.format(
            period=month_text(one.period, language),
            emails=count_text(one.emails, language),
            days="",
            included="",
            price="",
        )
        for language in LANGUAGES
    }
    sign = -1 if one.net < Money.zero(one.net.currency) else 1
    return BasisLine(
        n=n,
        kind=LineKind.ADJUSTMENT,
        article=plan.articles.adjustment or plan.articles.emails,
        texts=texts,
        quantity=Quantity(sign, Unit.ENTRY),
        unit_price=UnitPrice(abs(one.net.amount), one.net.currency, Unit.ENTRY),
        net=one.net,
        vat_rate=plan.vat_rate,
        start=first,
        end=after - DAY,
        plan=plan.version,
        adjusts=one.period,
    )
