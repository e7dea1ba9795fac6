"""What keeps an invoice from being exported in a format: each complaint names whom it is about and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ombud.billing.basis import Basis, Buyer, VatCategory
from ombud.billing.parties import is_org_number
from ombud.billing.plans import VAT_RATES


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is missing or wrong."""

    customer: str
    code: str
    en: str
    sv: str


def complaints(bases: Iterable[Basis], form: str) -> list[Complaint]:
    """All of them, each only once. Empty: the invoices can be exported in the format."""
    found = [complaint for basis in bases for complaint in _of_basis(basis, form)]
    return list(dict.fromkeys(found))


def _of_basis(basis: Basis, form: str) -> Iterator[Complaint]:
    if form == "peppol":
        yield from _peppol(basis)
    if form == "sie":
        yield from _sie(basis)
    if form == "fortnox":
        yield from _fortnox(basis)


# --- the formats ---------------------------------------------------------------------------------------------------


def _peppol(basis: Basis) -> Iterator[Complaint]:
    buyer = basis.buyer
    if not (buyer.reference or buyer.order_number):
        yield _about(
            buyer, "buyer_reference_missing", "has no buyer reference, which Peppol demands (PEPPOL-EN16931-R003)", "ask the customer for it",
            "saknar er referens, som Peppol kräver (PEPPOL-EN16931-R003)", "fråga kunden efter den", "reference",
        )  # fmt: skip
    swedish = buyer.address.country == "SE"
    if swedish and not is_org_number(buyer.org_number):
        yield Complaint(
            buyer.slug, "org_number_missing",
            f"{_named(buyer)} has no organisation number, or a mistyped one: look it up at Bolagsverket, put it in the customer list and "
            "run `ombud apply`.",
            f"{_named(buyer)} saknar organisationsnummer, eller har ett felskrivet: slå upp det hos Bolagsverket, lägg in det i kundlistan "
            "och kör `ombud apply`.",
        )  # fmt: skip
    if not swedish and not buyer.endpoint:  # a Swedish one's is its organisation number, when it has no other
        yield _about(
            buyer, "endpoint_missing", "has no e-invoice address", "ask the customer for its Peppol ID",
            "saknar e-fakturaadress", "fråga kunden efter dess Peppol-id", "endpoint",
        )  # fmt: skip
    yield from _rates(basis)


def _rates(basis: Basis) -> Iterator[Complaint]:
    for line in basis.lines:
        if line.vat_category is VatCategory.STANDARD and line.vat_rate not in VAT_RATES:  # SE-R-006
            yield Complaint(
                basis.buyer.slug, "vat_rate", f"{_named(basis.buyer)}: {line.vat_rate:f} % is no Swedish VAT rate; correct the price plan and credit the basis.",
                f"{_named(basis.buyer)}: {line.vat_rate:f} % är ingen svensk momssats; rätta prisplanen och kreditera fakturan.",
            )  # fmt: skip
        if line.vat_category is VatCategory.REVERSE_CHARGE and not basis.buyer.vat_number:
            yield _about(
                basis.buyer, "vat_number_missing", "is to account for the VAT itself and has no VAT number", "ask the customer for it",
                "ska själv redovisa momsen och saknar momsregistreringsnummer", "fråga kunden efter det", "vat_number",
            )  # fmt: skip


def _sie(basis: Basis) -> Iterator[Complaint]:
    yield from _rates(basis)
    if basis.currency != "SEK":
        yield Complaint(
            basis.buyer.slug, "not_in_sek", f"{_named(basis.buyer)} is invoiced in {basis.currency}; the vouchers must be in SEK: book it by hand.",
            f"{_named(basis.buyer)} faktureras i {basis.currency}; verifikationerna måste vara i SEK: bokför den för hand.",
        )  # fmt: skip


def _fortnox(basis: Basis) -> Iterator[Complaint]:
    if not basis.buyer.number:
        yield _about(
            basis.buyer, "customer_number_missing", "has no customer number in Fortnox", "look it up in Fortnox's customer register",
            "saknar kundnummer i Fortnox", "slå upp det i kundregistret i Fortnox", "number",
        )  # fmt: skip


def _about(buyer: Buyer, code: str, lacks: str, find: str, saknar: str, hitta: str, option: str) -> Complaint:
    command = f"`ombud billing payer set {buyer.slug} --{option.replace('_', '-')} ...`"
    return Complaint(
        buyer.slug, code, f"{_named(buyer)} {lacks}: {find} and set it with {command}.",
        f"{_named(buyer)} {saknar}: {hitta} och ange det med {command}.",
    )  # fmt: skip


def _named(buyer: Buyer) -> str:
    return f"{buyer.name} ({buyer.slug})"
