"""The invoices for programs: JSON of our own, and the bodies for Fortnox."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ombud.billing.exports import fortnox, proof
from ombud.billing.exports import json as export
from tests.billing.exports.conftest import BUYER, credit_of, emails, fee, invoice, line


def body(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fortnox.write(invoice(**changed)))
    return found


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_amounts_are_texts_that_add_up() -> None:
    (one,) = json.loads(export.write([invoice()], "2024-04"))["invoices"]
    assert sum(Decimal(line["net"]) for line in one["lines"]) == Decimal(one["net"]) == Decimal("860.00")
    assert one["vat"] == [{"category": "S", "rate": "25", "net": "860.00", "vat": "215.00"}]
    assert one["total"] == "1075.00"
    assert one["lines"][1]["price"] == {"amount": "12.00", "per": 1000}
    assert one["lines"][1]["quantity"] == 30_000


def test_a_credit_says_what_it_credits_and_why() -> None:
    (one,) = json.loads(export.write([credit_of(invoice())], "2024-04"))["invoices"]
    assert (one["kind"], one["credits"], one["reason"]) == (
        "credit", {"number": "2024-0001", "issued": "2024-05-02"}, "Dubbelt utskick",
    )  # fmt: skip
    assert one["lines"][1]["credits_line"] == 2


def test_the_proof_reader_adds_up_the_json() -> None:
    data = export.write([invoice()], "2024-04")
    assert proof.fault("json", data, [invoice()]) == ""
    assert (
        proof.fault("json", data.replace(b'"360.00"', b'"361.00"'), [invoice()]) == "2024-0001 does not come to 1075.00"
    )


def test_the_same_invoices_give_the_same_json() -> None:
    data = export.write([invoice(buyer=replace(BUYER, name="Åkers\u00a0Bostäder"))], "2024-04")
    assert data == export.write([invoice(buyer=replace(BUYER, name="Åkers\u00a0Bostäder"))], "2024-04")
    assert "Åkers Bostäder" in data.decode()


# --- Fortnox ----------------------------------------------------------------------------------------------------------


def test_the_body_has_the_fields_that_fortnox_documents() -> None:
    assert body() == {
        "Invoice": {
            "CustomerNumber": "10023",
            "InvoiceDate": "2024-05-02",
            "DueDate": "2024-06-01",
            "Currency": "SEK",
            "Language": "SV",
            "VATIncluded": False,
            "YourReference": "4711",
            "ExternalInvoiceReference1": "2024-0001",
            "InvoiceRows": [
                {
                    "ArticleNumber": "OMBUD-MEJL", "Description": "Utskick via underleverantör", "DeliveredQuantity": "1", "Price": 500,
                    "VAT": 25,
                },
                {
                    "ArticleNumber": "OMBUD-MEJL", "Description": "Mejl utöver 10 000", "DeliveredQuantity": "1", "Price": 360, "VAT": 25,
                },
                {"Description": "30 000 st à 1,2 öre"},
            ],
        }
    }  # fmt: skip


def test_texts_are_cut_to_the_lengths_that_fortnox_takes() -> None:
    found = body(buyer=replace(BUYER, reference="r" * 80, order_number="o" * 80))["Invoice"]
    assert (len(found["YourReference"]), len(found["YourOrderNumber"])) == (50, 30)
    (row,) = json.loads(fortnox.write(invoice(line(1, "å" * 80, 1, "1"))))["Invoice"]["InvoiceRows"]
    assert row["Description"] == "å" * 50


def test_a_credit_has_negative_quantities_and_names_its_invoice() -> None:
    found = json.loads(fortnox.write(credit_of(invoice())))["Invoice"]
    assert [row.get("DeliveredQuantity") for row in found["InvoiceRows"]] == ["-1", "-1", None]
    assert found["InvoiceRows"][2] == {"Description": "-30 000 st à 1,2 öre"}
    assert found["ExternalInvoiceReference2"] == "2024-0001"
    assert found["Remarks"] == "Dubbelt utskick"


@pytest.mark.parametrize("price", ["0.5", "499.99", "0.01", "99999999.99"])
def test_a_price_in_whole_ore_is_multiplied_by_fortnox(price: str) -> None:
    basis = invoice(line(1, "Mejl", 3, price))
    data = fortnox.write(basis)
    (row,) = json.loads(data, parse_float=Decimal)["Invoice"]["InvoiceRows"]
    assert (Decimal(row["Price"]), row["DeliveredQuantity"]) == (Decimal(price), "3")
    assert proof.fault("fortnox", data, [basis]) == ""


@pytest.mark.parametrize("price", ["0.012", "0.0085", "1.234567890123", "12.005"])
def test_a_finer_price_is_right_whatever_decimals_fortnox_keeps(price: str) -> None:
    basis = invoice(line(1, "Mejl", 30_000, price))
    data = fortnox.write(basis)
    row, text = json.loads(data, parse_float=Decimal)["Invoice"]["InvoiceRows"]
    assert (row["DeliveredQuantity"], Decimal(row["Price"])) == ("1", basis.net.amount)
    assert list(text) == ["Description"]
    assert proof.fault("fortnox", data, [basis]) == ""


def test_the_proof_reader_adds_up_the_rows_and_counts_the_digits() -> None:
    data = fortnox.write(invoice())
    assert proof.fault("fortnox", data, [invoice()]) == ""
    wrong = data.replace(b'"Price": 360', b'"Price": 361')
    assert proof.fault("fortnox", wrong, [invoice()]) == "its rows come to 861.00, and the basis to 860.00"
    many = invoice(fee(), line(2, "Mejl", 1, "12345678901.23"))
    assert "12 digits" in proof.fault("fortnox", fortnox.write(many), [many])
    assert proof.fault("fortnox", data, [invoice(fee(), emails(1))])
