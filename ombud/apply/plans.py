"""What a file says of money: [[price_plans]], the vendor's [vendor.invoice], and how customers want to be invoiced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from ombud.accounts import Directory, load_directory
from ombud.apply.step import Done, Step, differences
from ombud.apply.table import Table
from ombud.billing.basis import Address, Endpoint, Seller
from ombud.billing.money import CURRENCIES, Money, Unit, UnitPrice
from ombud.billing.parties import (
    PAYER_FIELDS,
    Payer,
    check_payer,
    payer_of,
    put_payer,
    put_seller,
    seller_faults,
    seller_or_none,
    with_default_vat_number,
)
from ombud.billing.planbook import put_plan
from ombud.billing.plans import (
    LANGUAGES,
    Agreement,
    Articles,
    PlanTexts,
    PricePlan,
    Proration,
    Tier,
    check_agreements,
    check_versions,
)
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.errors import BadField, BadPlan, Misconfigured, OmbudError, PlanFixed

#: The columns of the customer list, and keys of [[customers]], that say how a customer wants to be invoiced.
PAYER_COLUMNS = {
    "vat_number": "vat_number",
    "street": "street",
    "address_extra": "extra",
    "postal_code": "postal_code",
    "city": "city",
    "country": "country",
    "e_invoice_address": "endpoint",
    "buyer_reference": "reference",
    "order_number": "order_number",
    "cost_center": "cost_center",
    "customer_number": "number",
    "invoice_contact": "contact",
    "invoice_email": "email",
}
_TEXTS = ("name", "fixed", "emails", "adjustment")
_NOT_SAID = Payer()


@dataclass(frozen=True, slots=True)
class WantedAgreement:
    """An agreement with a customer that the database may not know yet: its `customer_id` is filled in later."""

    customer: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class WantedPlan:
    where: str
    versions: tuple[PricePlan, ...]
    agreements: tuple[WantedAgreement, ...]


# --- reading -------------------------------------------------------------------------------------------------------


def plan_of_table(table: Table) -> WantedPlan:
    """One [[price_plans]] table, checked as far as it can be without the database. Raises Misconfigured, naming the place."""
    slug, currency = table.slug(), table.text("currency", "SEK")
    if currency not in CURRENCIES:
        table.refuse(f"the currency {currency} cannot be billed in; there are {', '.join(CURRENCIES)}")
    texts, articles = _texts(table, {}), _articles(table)
    rate = table.decimal("vat_rate", Decimal(25))
    versions = tuple(_version(one, slug, currency, rate, texts, articles) for one in table.tables("versions"))
    agreements = tuple(_agreement(one, slug) for one in table.tables("agreements"))
    table.close()
    if not versions:
        table.refuse("it has no [[price_plans.versions]], so nothing has a price")
    try:
        check_versions(slug, versions)
        for group in _by_customer(agreements).values():
            check_agreements(slug, versions, [replace(one.agreement, customer_id=1) for one in group])
    except BadPlan as error:
        table.refuse(str(error.details["reason"]))
    return WantedPlan(table.where, versions, agreements)


def _version(
    table: Table, slug: str, currency: str, rate: Decimal, texts: Mapping[str, PlanTexts], articles: Articles
) -> PricePlan:
    included = table.number("included", 0)
    proration = table.text("proration", Proration.NONE)
    if proration not in set(Proration):
        table.refuse(f"proration must be {' or '.join(Proration)}, not {proration}")
    version = PricePlan(
        slug=slug,
        valid_from=table.day("valid_from"),
        valid_until=table.day("valid_until") if table.has("valid_until") else None,
        currency=currency,
        vat_rate=table.decimal("vat_rate", rate),
        fixed_fee=Money(table.decimal("fixed_fee"), currency),
        included=included,
        tiers=_tiers(table, included, currency),
        proration=Proration(proration),
        texts=_texts(table, texts),
        articles=articles,
    )
    table.close()
    return version


def _tiers(table: Table, included: int, currency: str) -> tuple[Tier, ...]:
    if table.has("tiers") and table.has("price"):
        table.refuse("price and tiers both say what an e-mail costs; leave one of them out")
    if not table.has("tiers"):
        return (Tier(included, UnitPrice(table.decimal("price"), currency, Unit.EMAIL)),)
    tiers = []
    for one in table.tables("tiers"):
        tiers.append(Tier(one.number("above", 0), UnitPrice(one.decimal("price"), currency, Unit.EMAIL)))
        one.close()
    return tuple(tiers)


def _texts(table: Table, default: Mapping[str, PlanTexts]) -> dict[str, PlanTexts]:
    """`name`, `fixed`, `emails` and `adjustment`, each in every language; a version has the plan's where it says nothing else."""
    given = {name: table.table(name).texts_by_name() for name in _TEXTS if table.has(name)}
    for name, by_language in given.items():
        for language in by_language:
            if language not in LANGUAGES:
                table.refuse(f"{name}: there is no language {language}; there are {', '.join(LANGUAGES)}")
        for language in LANGUAGES:
            if language not in by_language:
                table.refuse(f"{name} is missing in the language {language}")
    if not default and (missing := [name for name in _TEXTS if name not in given]):
        table.refuse(f"{missing[0]} is missing: what people read, as {{ sv = ..., en = ... }}")
    return {
        language: PlanTexts(
            *(given[name][language] if name in given else getattr(default[language], name) for name in _TEXTS)
        )
        for language in LANGUAGES
    }


def _articles(table: Table) -> Articles:
    articles = table.table("articles")
    found = Articles(*(articles.text(name, "") for name in ("fixed", "emails", "adjustment")))
    articles.close()
    return found


def _agreement(table: Table, slug: str) -> WantedAgreement:
    agreement = Agreement(
        slug=slug,
        customer_id=0,
        valid_from=table.day("valid_from"),
        valid_until=table.day("valid_until") if table.has("valid_until") else None,
        approved_by=table.text("approved_by"),
        reason=table.text("reason"),
        fixed_fee=table.decimal("fixed_fee") if table.has("fixed_fee") else None,
        included=table.number("included", 0) if table.has("included") else None,
        price=table.decimal("price") if table.has("price") else None,
    )
    wanted = WantedAgreement(table.text("customer"), agreement)
    table.close()
    return wanted


def _by_customer(agreements: Iterable[WantedAgreement]) -> dict[str, list[WantedAgreement]]:
    found: dict[str, list[WantedAgreement]] = {}
    for one in agreements:
        found.setdefault(one.customer, []).append(one)
    return found


def seller_of_table(table: Table, name: str) -> Seller:
    """[vendor.invoice]: the vendor as its invoices name it. Raises Misconfigured, naming the place."""
    default = Seller(name, "", "")
    text = table.text
    try:
        endpoint = Endpoint.parse(text("e_invoice_address", ""))
    except ValueError as error:
        table.refuse(f"e_invoice_address: {error}")
    seller = Seller(
        name=name,
        org_number=text("org_number"),
        vat_number=text("vat_number", ""),
        address=Address(
            text("street", ""),
            text("address_extra", ""),
            text("postal_code", ""),
            text("city", ""),
            text("country", "SE"),
        ),
        f_tax=table.flag("f_tax", default.f_tax),
        endpoint=endpoint,
        payment_days=table.number("payment_days", default.payment_days),
        number_prefix=text("number_prefix", ""),
        first_number=table.number("first_number", default.first_number),
        **{one: text(one, "") for one in ("bankgiro", "plusgiro", "iban", "bic", "contact", "phone", "email", "seat")},
    )
    table.close()
    seller = with_default_vat_number(seller)
    for field, reason in seller_faults(seller):
        table.refuse(f"{field}: {reason}" if field != "name" else "[vendor] must have a name")
    return seller


def payer_of_values(values: Mapping[str, str], columns: Collection[str]) -> Payer | None:
    """What the list says of how a customer wants to be invoiced; None when it has no such column. Raises BadField."""
    given = {PAYER_COLUMNS[name]: values[name] for name in PAYER_COLUMNS if name in columns}
    if not given:
        return None
    payer = Payer(**{name: value for name, value in given.items() if value})
    check_payer(payer)
    return payer


# --- applying ------------------------------------------------------------------------------------------------------


def put_wanted_money(
    tx: Transaction, plans: Sequence[WantedPlan], seller: Seller | None, payers: Mapping[str, Payer], now: datetime
) -> list[Step]:
    """Bring price plans, the vendor's data and the customers' to what is wanted. Raises Misconfigured."""
    directory = load_directory(tx)
    return [
        *_seller_step(tx, seller),
        *(_payer_step(tx, directory, slug, payer) for slug, payer in payers.items() if payer != _NOT_SAID),
        *(step for plan in plans for step in _plan_steps(tx, directory, plan, now)),
    ]


def _seller_step(tx: Transaction, seller: Seller | None) -> list[Step]:
    if seller is None:
        return []
    before = seller_or_none(tx)
    changed = put_seller(tx, seller)
    detail = differences(asdict(before), asdict(seller)) if before and changed else seller.org_number
    return [Step(Done.of(before, changed), "seller", seller.name, detail)]


def _payer_step(tx: Transaction, directory: Directory, slug: str, payer: Payer) -> Step:
    """What the list leaves empty stays as somebody has said it since."""
    customer = directory.customer(slug)
    before = payer_of(tx, customer.id)
    given = {name: getattr(payer, name) for name in PAYER_FIELDS if getattr(payer, name) != getattr(_NOT_SAID, name)}
    after = replace(before, **given)
    changed = put_payer(tx, customer.id, after)
    detail = differences(asdict(before), given) if changed and before != _NOT_SAID else ""
    return Step(Done.of(before if before != _NOT_SAID else None, changed), "payer", slug, detail)


def _plan_steps(tx: Transaction, directory: Directory, plan: WantedPlan, now: datetime) -> Iterable[Step]:
    for one in plan.agreements:
        if one.customer not in directory.customers:
            raise Misconfigured(reason=f"{plan.where}: there is no customer {one.customer}")
    agreements = [replace(one.agreement, customer_id=directory.customer(one.customer).id) for one in plan.agreements]
    names = {directory.customer(one.customer).id: one.customer for one in plan.agreements}
    try:
        put = put_plan(tx, plan.versions, agreements, now, day_of(now))
    except (BadPlan, PlanFixed, BadField) as error:
        raise Misconfigured(reason=f"{plan.where}: {_reason(error)}") from error
    return [_plan_step(one.slug, one.valid_from, names.get(one.customer_id, ""), one.known, one.changed) for one in put]


def _reason(error: OmbudError) -> str:
    return str(error.details["reason"]) if isinstance(error, BadPlan) else error.text().rstrip(".")


def _plan_step(slug: str, valid_from: date, customer: str, known: bool, changed: bool) -> Step:
    name = f"{slug} {valid_from.isoformat()}"
    return Step(Done.of(slug if known else None, changed), "price_plan", f"{name} / {customer}" if customer else name)
