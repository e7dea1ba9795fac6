"""What is missing is said of the customer that it is missing for, in both languages, with the command that puts it right."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from ombud.billing.basis import Address, Buyer, Endpoint, VatCategory
from ombud.billing.exports import Format
from ombud.billing.exports.complaints import complaints
from tests.billing.exports.conftest import BUYER, fee, invoice

BERLIN = Address("Ring 1", "", "10115", "Berlin", "DE")
ABROAD = replace(
    BUYER, org_number="", address=BERLIN, vat_number="DE123456789", endpoint=Endpoint("9930", "DE123456789")
)
REVERSED = replace(fee(), vat_rate=Decimal(0), vat_category=VatCategory.REVERSE_CHARGE)


@pytest.mark.parametrize("form", list(Format))
def test_a_complete_invoice_is_not_complained_of(form: Format) -> None:
    assert complaints([invoice()], form) == []
    assert complaints([invoice(REVERSED, buyer=ABROAD)], form) == []


@pytest.mark.parametrize(
    ("buyer", "code", "remedy"),
    [
        (
            replace(BUYER, reference=""),
            "buyer_reference_missing",
            "`ombud billing payer set lindgarden --reference ...`",
        ),
        (replace(BUYER, org_number=""), "org_number_missing", "`ombud apply`"),
        (replace(BUYER, org_number="559990-1386"), "org_number_missing", "`ombud apply`"),
        (replace(ABROAD, endpoint=None), "endpoint_missing", "`ombud billing payer set lindgarden --endpoint ...`"),
        (replace(ABROAD, vat_number=""), "vat_number_missing", "`ombud billing payer set lindgarden --vat-number ...`"),
    ],
)
def test_peppol_needs_what_its_rules_say(buyer: Buyer, code: str, remedy: str) -> None:
    lines = (REVERSED,) if buyer.address.country == "DE" else ()
    (one,) = complaints([invoice(*lines, buyer=buyer)], Format.PEPPOL)
    assert (one.customer, one.code) == ("lindgarden", code)
    for text in (one.en, one.sv):
        assert text.startswith("Stiftelsen Lindgården (lindgarden) ")
        assert remedy in text
    assert " saknar " in one.sv or " har " in one.sv


def test_an_order_number_will_do_in_place_of_a_reference() -> None:
    assert complaints([invoice(buyer=replace(BUYER, reference="", order_number="PO-17"))], Format.PEPPOL) == []


def test_fortnox_needs_the_customers_number_there() -> None:
    (one,) = complaints([invoice(buyer=replace(BUYER, number=""))], Format.FORTNOX)
    assert (one.code, "`ombud billing payer set lindgarden --number ...`" in one.sv) == (
        "customer_number_missing",
        True,
    )


def test_vouchers_are_in_kronor() -> None:
    (one,) = complaints([replace(invoice(), currency="EUR")], Format.SIE)
    assert one.code == "not_in_sek"
    assert complaints([replace(invoice(), currency="EUR")], Format.CSV) == []


@pytest.mark.parametrize("form", [Format.PEPPOL, Format.SIE])
def test_a_vat_rate_that_sweden_does_not_have_is_refused(form: Format) -> None:
    found = complaints([invoice(replace(fee(), vat_rate=Decimal(24)))], form)
    assert [one.code for one in found] == ["vat_rate"]


def test_the_same_complaint_is_made_once_for_a_customer_with_several_invoices() -> None:
    bare = replace(BUYER, reference="")
    assert len(complaints([invoice(buyer=bare), invoice(buyer=bare, number="2024-0002")], Format.PEPPOL)) == 1
