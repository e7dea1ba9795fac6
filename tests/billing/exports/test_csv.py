"""The tables for spreadsheets: each line once, numbers as the reader writes them, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from decimal import Decimal

import pytest

from ombud.billing.basis import Basis
from ombud.billing.exports import csv as export
from ombud.billing.exports import proof
from ombud.billing.exports.csv import EXCEL_SV, RFC4180, Profile
from tests.billing.exports.conftest import BUYER, credit_of, invoice, line


def rows(data: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter, strict=True))


def test_each_line_is_a_row_with_what_its_invoice_comes_to() -> None:
    first, second = rows(export.write([invoice()], RFC4180))
    assert (first["number"], first["name"], first["text"]) == (
        "2024-0001",
        "Stiftelsen Lindgården",
        "Utskick via underleverantör",
    )
    assert (second["quantity"], second["unit"], second["unit_price"], second["net"]) == (
        "30000",
        "C62",
        "0.012",
        "360.00",
    )
    assert [one["invoice_total"] for one in (first, second)] == ["1075.00", "1075.00"]
    assert (second["from"], second["to"], second["vat_rate"]) == ("2024-04-01", "2024-04-30", "25")


def test_the_amounts_of_the_rows_make_the_invoice() -> None:
    found = rows(export.write([invoice()], RFC4180))
    assert sum(Decimal(one["net"]) for one in found) == Decimal(found[0]["invoice_net"])


def test_the_plain_profile_is_what_rfc_4180_says() -> None:
    data = export.write([invoice(buyer=replace(BUYER, name='Eken, "Lunden" & Co'))], RFC4180)
    assert data.startswith(b"number,kind,issued,")
    assert data.endswith(b"\r\n")
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b'"Eken, ""Lunden"" & Co"' in data


def test_a_swedish_excel_opens_its_profile_at_a_double_click() -> None:
    data = export.write([invoice()], EXCEL_SV)
    assert data.startswith(b"\xef\xbb\xbffakturanummer;slag;")
    _, second = rows(data, ";")
    assert (second["slag"], second["enhet"]) == ("faktura", "st")
    assert (second["antal"], second["à-pris"], second["netto"], second["fakturans summa"]) == (
        "30000",
        "0,012",
        "360,00",
        "1075,00",
    )


def test_a_credit_has_negative_amounts_and_names_its_invoice() -> None:
    first, _ = rows(export.write([credit_of(invoice())], RFC4180))
    assert (first["kind"], first["credits"], first["net"], first["invoice_total"]) == (
        "credit",
        "2024-0001",
        "-500.00",
        "-1075.00",
    )


@pytest.mark.parametrize("profile", [RFC4180, EXCEL_SV])
@pytest.mark.parametrize(
    "name", ["=1+1", "+46 8 AB", "-Minus AB", "@SUM(A1)", "\t=cmd|' /C calc'!A0", "＝1", "\r\n=1", " =1"]
)
def test_a_name_that_a_spreadsheet_would_run_is_only_a_name(profile: Profile, name: str) -> None:
    data = export.write([invoice(buyer=replace(BUYER, name=name, reference=name))], profile)
    (first, *_) = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=profile.delimiter))[1:]
    assert not [cell for cell in first if cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))]
    assert [cell for cell in first if cell.startswith("'")]


def test_numbers_stay_numbers_when_they_are_negative() -> None:
    (row,) = rows(export.write([invoice(line(1, "Justering", -1, "7.32"))], RFC4180))
    assert (row["quantity"], row["net"]) == ("-1", "-7.32")


def test_hard_spaces_and_line_breaks_do_not_come_into_the_file() -> None:
    data = export.write([invoice(buyer=replace(BUYER, name="Bostads\u00a0AB\u202f1\nEken"))], EXCEL_SV).decode(
        "utf-8-sig"
    )
    assert "Bostads AB 1 Eken" in data
    assert not set(data) & set("\u00a0\u202f\u2007")


@pytest.mark.parametrize(("form", "profile"), [("csv", RFC4180), ("excel-sv", EXCEL_SV)])
def test_the_proof_reader_finds_a_wrong_amount_a_lost_row_and_a_formula(form: str, profile: Profile) -> None:
    basis: Basis = invoice()
    data = export.write([basis], profile)
    assert proof.fault(form, data, [basis]) == ""
    assert proof.fault(form, data.replace(b"360", b"361", 1), [basis])
    assert proof.fault(form, b"\r\n".join(data.split(b"\r\n")[:-2]) + b"\r\n", [basis]) == "it has 1 rows for 2 lines"
    assert proof.fault(form, data.replace(b"Stiftelsen", b"=Stiftels", 1), [basis])


@pytest.mark.parametrize("profile", [RFC4180, EXCEL_SV])
def test_the_same_invoices_give_the_same_bytes(profile: Profile) -> None:
    assert export.write([invoice()], profile) == export.write([invoice()], profile)
