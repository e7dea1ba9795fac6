"""What keeps an invoice from being right: faults stop the lock (or are locked with a reason), notes are only told."""

from __future__ import annotations

from collections.abc import Iterator
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


def faults_of(basis: Basis | None, slug: str, emails: int, *, billed: bool, metered: int) -> tuple[Fault, ...]:
    """All that is wrong with a customer's month."""
    found = list(_of_counts(emails, billed, metered))
    if basis:
        found += _of_buyer(basis)
    return tuple(Fault(code, slug, red, sv, en) for code, red, sv, en in found)


_Found = tuple[str, bool, str, str]


def _of_counts(emails: int, billed: bool, metered: int) -> Iterator[_Found]:
    if emails and not billed:
        yield (
            "billable_without_plan",
            True,
            f"{emails} mejl har lämnats över på en väg som faktureras, men inget prisplan gäller för kunden. Starta den eller ändra vägen.",
            f"{emails} e-mails were handed over by a route that is billed, and the customer has no price plan. Start it, or change the route.",
        )
    if metered and metered != emails:  # the meter's rows may be forgotten by now, and then it says nothing
        yield (
            "counts_differ",
            True,
            f"Dagssummorna säger {emails} mejl och mätaren {metered}. Kör `ombud verify`.",
            f"The daily counts say {emails} e-mails and the meter {metered}. Run `ombud verify`.",
        )


def _of_buyer(basis: Basis) -> Iterator[_Found]:
    buyer = basis.buyer
    swedish = buyer.address.country == "SE"
    if swedish and not buyer.org_number:
        yield (
            "org_number_missing",
            True,
            "Organisationsnumret saknas. Lägg in det i kundlistan.",
            "The organisation number is missing. Put it in the customer list.",
        )
    elif swedish and not is_org_number(buyer.org_number):
        yield (
            "org_number_wrong",
            True,
            f"Organisationsnumret {buyer.org_number} är felskrivet: kontrollsiffran stämmer inte. Rätta det i kundlistan.",
            f"The organisation number {buyer.org_number} is mistyped: its check digit is wrong. Correct it in the customer list.",
        )
    if not swedish and not buyer.vat_number:
        yield (
            "vat_number_missing",
            True,
            "Momsregistreringsnumret saknas; det behövs för en köpare utanför Sverige.",
            "The VAT number is missing; a buyer outside Sweden needs one.",
        )
    if not (buyer.reference or buyer.order_number):
        yield (
            "buyer_reference_missing",
            True,
            "Er referens saknas. Fråga kunden och lägg in den: `ombud billing payer set KUND --reference ...`.",
            "The buyer's reference is missing. Ask the customer and put it in: `ombud billing payer set CUSTOMER --reference ...`.",
        )
    if not buyer.endpoint:
        if swedish and is_org_number(buyer.org_number):
            yield (
                "endpoint_assumed",
                False,
                "Ingen e-fakturaadress är angiven; 0007 och organisationsnumret används.",
                "No e-invoice address is given; 0007 and the organisation number are used.",
            )
        else:
            yield (
                "endpoint_missing",
                True,
                "E-fakturaadressen saknas. Lägg in den: `ombud billing payer set KUND --endpoint 0007:...`.",
                "The e-invoice address is missing. Put it in: `ombud billing payer set CUSTOMER --endpoint 0007:...`.",
            )
    if not (buyer.address.street or buyer.address.postal_code) or not buyer.address.city:
        yield (
            "address_missing",
            False,
            "Adressen är inte fullständig; en faktura ska ha köparens adress.",
            "The address is not complete; an invoice must have the buyer's address.",
        )
    if basis.lines and basis.lines[0].vat_category is VatCategory.REVERSE_CHARGE:
        yield (
            "reverse_charge",
            False,
            "Köparen finns i ett annat EU-land: omvänd betalningsskyldighet. Kontrollera momsnumret i VIES.",
            "The buyer is in another EU country: reverse charge. Check the VAT number in VIES.",
        )
    if not basis.total.amount > 0:
        yield (
            "not_positive",
            False,
            f"Fakturan blir {basis.total} {basis.currency}.",
            f"The invoice comes to {basis.total} {basis.currency}.",
        )
