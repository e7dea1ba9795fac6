"""What keeps an invoice from being right: faults stop the lock (or are locked with a reason), notes are only told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ombud.billing.basis import Basis, VatCategory
from ombud.billing.parties import is_org_number


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with one customer's invoice. `red`: it must be mended before the month is locked."""

    code: str
    customer: str  # slug
    red: bool
    sv: str
    en: str

    def text(self, language: str) -> str:
        return self.sv if language == "sv" else self.en


#: Of each code: whether it is red, and the words, with what is filled in.
_TEXTS = {
    "billable_without_plan": (
        True,
        "{emails} mejl har lämnats över på en väg som faktureras, men ingen prisplan gäller för kunden. Starta den eller ändra vägen.",
        "{emails} e-mails were handed over by a route that is billed, and the customer has no price plan. Start it, or change the route.",
    ),
    "counts_differ": (
        True,
        "Dagssummorna säger {emails} mejl och mätaren {metered}. Kör `ombud verify`.",
        "The daily counts say {emails} e-mails and the meter {metered}. Run `ombud verify`.",
    ),
    "org_number_missing": (
        True,
        "Organisationsnumret saknas. Lägg in det i kundlistan.",
        "The organisation number is missing. Put it in the customer list.",
    ),
    "org_number_wrong": (
        True,
        "Organisationsnumret {org_number} är felskrivet: kontrollsiffran stämmer inte. Rätta det i kundlistan.",
        "The organisation number {org_number} is mistyped: its check digit is wrong. Correct it in the customer list.",
    ),
    "vat_number_missing": (
        True,
        "Momsregistreringsnumret saknas; det behövs för en köpare utanför Sverige.",
        "The VAT number is missing; a buyer outside Sweden needs one.",
    ),
    "buyer_reference_missing": (
        True,
        "Er referens saknas. Fråga kunden och lägg in den: `ombud billing payer set {customer} --reference ...`.",
        "The buyer's reference is missing. Ask the customer and put it in: `ombud billing payer set {customer} --reference ...`.",
    ),
    "endpoint_assumed": (
        False,
        "Ingen e-fakturaadress är angiven; 0007 och organisationsnumret används.",
        "No e-invoice address is given; 0007 and the organisation number are used.",
    ),
    "endpoint_missing": (
        True,
        "E-fakturaadressen saknas. Lägg in den: `ombud billing payer set {customer} --endpoint 0007:...`.",
        "The e-invoice address is missing. Put it in: `ombud billing payer set {customer} --endpoint 0007:...`.",
    ),
    "address_missing": (
        False,
        "Adressen är inte fullständig; en faktura ska ha köparens adress.",
        "The address is not complete; an invoice must have the buyer's address.",
    ),
    "reverse_charge": (
        False,
        "Köparen finns i ett annat EU-land: omvänd betalningsskyldighet. Kontrollera momsnumret i VIES.",
        "The buyer is in another EU country: reverse charge. Check the VAT number in VIES.",
    ),
    "not_positive": (False, "Fakturan blir {total}.", "The invoice comes to {total}."),
}


def faults_of(basis: Basis | None, slug: str, emails: int, *, billed: bool, metered: int) -> tuple[Fault, ...]:
    """All that is wrong with a customer's month."""
    codes = [*_of_counts(emails, billed, metered), *(_of_buyer(basis) if basis else ())]
    values: dict[str, object] = {"customer": slug, "emails": emails, "metered": metered}
    if basis:
        values |= {"org_number": basis.buyer.org_number, "total": f"{basis.total} {basis.currency}"}
    return tuple(_fault(code, slug, values) for code in codes)


def _fault(code: str, slug: str, values: Mapping[str, object]) -> Fault:
    red, sv, en = _TEXTS[code]
    return Fault(code, slug, red, sv.format_map(values), en.format_map(values))


def _of_counts(emails: int, billed: bool, metered: int) -> Iterator[str]:
    if emails and not billed:
        yield "billable_without_plan"
    if metered and metered != emails:  # the meter's rows may be forgotten by now, and then it says nothing
        yield "counts_differ"


def _of_buyer(basis: Basis) -> Iterator[str]:
    buyer, address = basis.buyer, basis.buyer.address
    swedish, registered = address.country == "SE", is_org_number(buyer.org_number)
    if swedish and not registered:
        yield "org_number_wrong" if buyer.org_number else "org_number_missing"
    if not swedish and not buyer.vat_number:
        yield "vat_number_missing"
    if not (buyer.reference or buyer.order_number):
        yield "buyer_reference_missing"
    if not buyer.endpoint:
        yield "endpoint_assumed" if swedish and registered else "endpoint_missing"
    if not (address.street or address.postal_code) or not address.city:
        yield "address_missing"
    if basis.lines and basis.lines[0].vat_category is VatCategory.REVERSE_CHARGE:
        yield "reverse_charge"
    if not basis.total.amount > 0:
        yield "not_positive"
