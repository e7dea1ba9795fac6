"""What Ombud writes for Peppol passes the schema and the European rules, and says what the invoice says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.billing.basis import Address, Basis, BasisLine, Endpoint, LineKind, VatCategory
from ombud.billing.exports import peppol, proof
from ombud.billing.money import Unit
from tests.billing.exports.conftest import APRIL, BUYER, SELLER, Ubl, credit_of, emails, fee, invoice, line

SPACES = {
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
}


def texts(document: bytes, path: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(document).findall(path, SPACES)]


# --- the rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2_500, 30_000, 90_000])
def test_the_invoices_of_the_price_table_pass(ubl: Ubl, number: int) -> None:
    lines = (fee(), emails(number)) if number else (fee(),)
    assert ubl.complaints(peppol.write(invoice(*lines))) == []


@pytest.mark.parametrize("vat", ["25", "12", "6", "0"])
def test_every_vat_rate_passes(ubl: Ubl, vat: str) -> None:
    assert ubl.complaints(peppol.write(invoice(line(1, "Mejl", 12_345, "0.012", vat=vat)))) == []


def test_a_credit_of_the_whole_and_one_of_a_part_pass(ubl: Ubl) -> None:
    assert ubl.complaints(peppol.write(credit_of(invoice()))) == []
    part = line(1, "Mejl som skickades två gånger", -500, "0.012", kind=LineKind.CREDIT, credits=2)
    assert ubl.complaints(peppol.write(credit_of(invoice(), part))) == []


def test_an_adjustment_of_an_earlier_month_passes_upwards_and_downwards(ubl: Ubl) -> None:
    march = (date(2024, 3, 1), date(2024, 3, 31))
    for number in (1, -1):
        late = line(
            2,
            "Justering mars 2024",
            number,
            "7.32",
            unit=Unit.ENTRY,
            kind=LineKind.ADJUSTMENT,
            days=march,
            adjusts="2024-03",
        )
        assert ubl.complaints(peppol.write(invoice(fee(), late))) == []


def test_an_invoice_that_comes_to_less_than_nothing_passes(ubl: Ubl) -> None:
    late = line(2, "Justering mars 2024", -1, "900", unit=Unit.ENTRY, kind=LineKind.ADJUSTMENT, adjusts="2024-03")
    assert ubl.complaints(peppol.write(invoice(fee(), late))) == []


def test_reverse_charge_to_another_eu_country_passes(ubl: Ubl) -> None:
    buyer = replace(
        BUYER, org_number="", vat_number="DE123456789", address=Address("Ring 1", "", "10115", "Berlin", "DE"),
        endpoint=Endpoint("9930", "DE123456789"), language="en",
    )  # fmt: skip
    lines = (replace(fee(), vat_rate=Decimal(0), vat_category=VatCategory.REVERSE_CHARGE),)
    written = peppol.write(invoice(*lines, buyer=buyer))
    assert ubl.complaints(written) == []
    assert "VATEX-EU-AE" in written.decode()


@pytest.mark.parametrize(
    "account",
    [
        {"plusgiro": "12345-6"},
        {"iban": "SE45 5000 0000 0583 9825 7466", "bic": "ESSESESS"},
        {"iban": "SE4550000000058398257466"},
    ],
)
def test_other_accounts_than_bankgiro_pass(ubl: Ubl, account: dict[str, str]) -> None:
    assert ubl.complaints(peppol.write(invoice(seller=replace(SELLER, bankgiro="", **account)))) == []


def any_line(n: int) -> st.SearchStrategy[BasisLine]:
    price = st.decimals("0", "2", places=4)
    number = st.integers(-100_000, 100_000)
    vat = st.sampled_from(["25", "12", "6"])
    return st.builds(
        lambda number, price, vat: line(n, 'Mejl <&> \u00a0 "à la carte"', number, str(price), vat=vat),
        number,
        price,
        vat,
    )


@settings(max_examples=60)
@given(st.tuples(any_line(1), any_line(2), any_line(3)), st.booleans())
def test_whatever_the_lines_are_the_document_passes(ubl: Ubl, lines: tuple[BasisLine, ...], credit: bool) -> None:
    basis = credit_of(invoice(*lines)) if credit else invoice(*lines)
    written = peppol.write(basis)
    assert ubl.complaints(written) == []
    assert proof.fault("peppol", written, [basis]) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("1075.00</cbc:PayableAmount>", "1076.00</cbc:PayableAmount>", "BR-CO-16"),
        ("1075.00</cbc:TaxInclusiveAmount>", "1076.00</cbc:TaxInclusiveAmount>", "BR-CO-15"),
        ("860.00</cbc:LineExtensionAmount>", "861.00</cbc:LineExtensionAmount>", "BR-CO-10"),
        ("<cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>", "", "BR-04"),
    ],
)
def test_the_judges_find_what_is_wrong(ubl: Ubl, right: str, wrong: str, rule: str) -> None:
    """So that their silence means something; and our own proof-reader finds the wrong sums too, before a file leaves."""
    written = peppol.write(invoice()).decode()
    assert right in written
    broken = written.replace(right, wrong).encode()
    assert rule in ubl.complaints(broken)
    if "Amount" in right:
        assert proof.fault("peppol", broken, [invoice()])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('currencyID="SEK">12.00<', 'currencyID="SEK">13.00<'),
        ('unitCode="C62">1000<', 'unitCode="MON">1000<'),
        (
            '"SEK">215.00</cbc:TaxAmount>\n      <cac:TaxCategory>',
            '"SEK">215.01</cbc:TaxAmount>\n      <cac:TaxCategory>',
        ),
        ("<cbc:Name>Mejl", "<cbc:Name>\u00a0Mejl"),
        ("4711", ""),
    ],
)
def test_the_proof_reader_finds_what_the_european_rules_do_not_ask(right: str, wrong: str) -> None:
    written = peppol.write(invoice()).decode()
    assert right in written
    assert proof.fault("peppol", written.replace(right, wrong).encode(), [invoice()])


def test_the_proof_reader_finds_a_document_of_another_invoice() -> None:
    other = invoice(fee(), emails(30_001))
    assert proof.fault("peppol", peppol.write(invoice()), [other]) == "it comes to 1075.00, and the basis to 1075.01"


# --- what it says ----------------------------------------------------------------------------------------------------


def test_one_point_two_ore_is_twelve_kronor_for_a_thousand() -> None:
    written = peppol.write(invoice())
    assert texts(written, "cac:InvoiceLine/cac:Price/cbc:PriceAmount") == ["500.00", "12.00"]
    assert texts(written, "cac:InvoiceLine/cac:Price/cbc:BaseQuantity") == ["1000"]
    assert texts(written, "cac:InvoiceLine/cbc:InvoicedQuantity") == ["1", "30000"]
    assert texts(written, "cac:LegalMonetaryTotal/cbc:PayableAmount") == ["1075.00"]


def test_each_tier_is_a_line_with_its_own_price() -> None:
    tiers = (fee(), line(2, "Mejl 10 001-50 000", 40_000, "0.012"), line(3, "Mejl från 50 001", 7, "0.0085"))
    written = peppol.write(invoice(*tiers))
    prices = zip(
        texts(written, "cac:InvoiceLine/cac:Price/cbc:PriceAmount"),
        texts(written, "cac:InvoiceLine/cbc:LineExtensionAmount"),
        strict=True,
    )
    assert list(prices) == [("500.00", "500.00"), ("12.00", "480.00"), ("8.50", "0.06")]


def test_a_credit_note_refers_unmistakably_to_its_invoice_and_gives_back_positive_amounts() -> None:
    written = peppol.write(credit_of(invoice()))
    reference = "cac:BillingReference/cac:InvoiceDocumentReference"
    assert texts(written, f"{reference}/cbc:ID") == ["2024-0001"]
    assert texts(written, f"{reference}/cbc:IssueDate") == ["2024-05-02"]
    assert texts(written, "cbc:CreditNoteTypeCode") == ["381"]
    assert texts(written, "cbc:Note") == ["Dubbelt utskick"]
    assert texts(written, "cac:LegalMonetaryTotal/cbc:PayableAmount") == ["1075.00"]
    assert texts(written, "cac:CreditNoteLine/cbc:CreditedQuantity") == ["1", "30000"]


def test_the_period_of_an_adjustment_is_not_claimed_to_lie_in_this_month() -> None:
    march = (date(2024, 3, 1), date(2024, 3, 31))
    late = line(2, "Justering mars 2024", 610, "0.012", kind=LineKind.ADJUSTMENT, days=march, adjusts="2024-03")
    assert texts(peppol.write(invoice(fee(), late)), "cac:InvoiceLine/cac:InvoicePeriod/cbc:StartDate") == [
        "2024-04-01"
    ]


def test_the_swedish_particulars_stand_where_swedish_receivers_look() -> None:
    written = peppol.write(invoice())
    seller = "cac:AccountingSupplierParty/cac:Party"
    assert texts(written, f"{seller}/cac:PartyTaxScheme/cbc:CompanyID") == ["SE559990100501", "Godkänd för F-skatt"]
    assert texts(written, f"{seller}/cac:PartyLegalEntity/cbc:CompanyID") == ["5599901005"]
    assert texts(written, f"{seller}/cac:PartyLegalEntity/cbc:CompanyLegalForm") == ["Säte: Stockholm"]
    account = "cac:PaymentMeans/cac:PayeeFinancialAccount"
    assert texts(written, f"{account}/cbc:ID") == ["1234567"]
    assert texts(written, f"{account}/cac:FinancialInstitutionBranch/cbc:ID") == ["SE:BANKGIRO"]
    assert texts(written, "cbc:BuyerReference") == ["4711"]


def test_the_lines_are_in_the_language_of_the_customer() -> None:
    written = peppol.write(invoice(buyer=replace(BUYER, language="en")))
    assert texts(written, "cac:InvoiceLine/cac:Item/cbc:Name") == ["Mail by subcontractor", "E-mails over 10,000"]


def test_the_same_invoice_gives_the_same_bytes_and_no_hard_space() -> None:
    basis: Basis = invoice(fee(), line(2, "Mejl\u00a0utöver\u202f10\u00a0000", 30_000, "0.012"))
    assert peppol.write(basis) == peppol.write(basis)
    assert "Mejl utöver 10 000" in peppol.write(basis).decode()
    assert APRIL[0].isoformat() in peppol.write(basis).decode()
