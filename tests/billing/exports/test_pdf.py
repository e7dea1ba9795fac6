"""The statement: it says what is charged and why, in both languages, and the same month gives the same bytes."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from pypdf import PdfReader

from ombud.billing.basis import Basis, VatCategory
from ombud.billing.exports import pdf, proof
from ombud.billing.exports.pdf import Month
from ombud.errors import PdfNotInstalled
from tests.billing.exports.conftest import BUYER, credit_of, emails, fee, invoice, line

MONTH = Month(
    [(date(2024, 4, 1) + timedelta(n), 1_600 if n % 7 < 5 else 0) for n in range(30)], 10_000,
    [("Hyra", 30_000), ("Teknisk Förvaltning", 10_000)], [("test", 41), ("suppressed", 7)],
)  # fmt: skip


def read(basis: Basis, language: str, month: Month | None = MONTH) -> str:
    data = pdf.write(basis, language, month)
    assert proof.fault("pdf", data, [basis]) == ""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages).split())


def test_the_swedish_statement_says_what_is_charged() -> None:
    text = read(invoice(), "sv")
    for words in (
        "Specifikation", "april 2024", "Stiftelsen Lindgården", "2024-0001", "2024-06-01", "Er referens".upper(), "4711",
        "Utskick via underleverantör", "1 mån", "500,00", "30 000 st", "1,2 öre", "360,00", "Summa exkl. moms", "860,00",
        "Moms 25 % på 860,00", "215,00", "Att betala", "1 075,00 kr", "10 000 ingår", "Teknisk Förvaltning", "Spärrade adresser",
        "Bankgiro 123-4567", "Godkänd för F-skatt", "SE559990100501", "Säte: Stockholm",
    ):  # fmt: skip
        assert words in text, words


def test_the_english_statement_says_the_same() -> None:
    text = read(invoice(), "en")
    for words in (
        "Statement", "April 2024", "Mail by subcontractor", "1 month", "30,000 pcs", "1.2 öre", "VAT 25 % on 860.00", "To pay",
        "SEK 1,075.00", "10,000 included", "Approved for Swedish F-tax",
    ):  # fmt: skip
        assert words in text, words
    assert "moms" not in text.lower()


def test_a_credit_says_what_it_credits_and_gives_back() -> None:
    text = read(credit_of(invoice()), "sv", None)
    for words in (
        "Kreditspecifikation",
        "Dubbelt utskick",
        "2024-0001, 2024-05-02",
        "−30 000 st",
        "−360,00",
        "Att få tillbaka",
        "1 075,00 kr",
    ):
        assert words in text, words
    assert "Månaden dag för dag" not in text


def test_no_vat_is_said_to_be_none_or_the_buyers_to_account_for() -> None:
    free = replace(fee(), vat_rate=Decimal(0))
    assert "Moms 0 % på 500,00" in read(invoice(free), "sv")
    reverse = read(invoice(replace(free, vat_category=VatCategory.REVERSE_CHARGE)), "sv")
    assert "Omvänd betalningsskyldighet: köparen redovisar momsen." in reverse
    assert "Moms 0 %" not in reverse


def test_the_same_month_gives_the_same_bytes_and_another_does_not() -> None:
    assert pdf.write(invoice(), "sv", MONTH) == pdf.write(invoice(), "sv", MONTH)
    assert pdf.write(invoice(), "sv", MONTH) != pdf.write(invoice(fee(), emails(1)), "sv", MONTH)


def test_what_a_customer_is_called_is_text_and_never_markup() -> None:
    name = '#panic("x") $x^2$ *AB* _Eken_ [länk] \\'
    text = read(invoice(buyer=replace(BUYER, name=name)), "sv")
    assert name in text


@pytest.mark.parametrize(
    ("name", "printed"), [("Żółw Άλφα Ящик €", "Żółw Άλφα Ящик €"), ("株式会社 Eken \N{GRINNING FACE}", "???? Eken ?")]
)
def test_a_name_in_letters_that_the_fonts_lack_does_not_stop_the_statement(name: str, printed: str) -> None:
    assert printed in read(invoice(buyer=replace(BUYER, name=name)), "sv")


def test_many_lines_go_on_to_further_pages_with_the_heading_again() -> None:
    lines = [line(n, f"Justering nummer {n}", 1, "1.50") for n in range(1, 80)]
    data = pdf.write(invoice(*lines), "sv", MONTH)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(data)).pages]
    assert len(pages) > 2
    assert all("BENÄMNING" in page for page in pages[:2])
    assert f"Sida {len(pages)} ({len(pages)})" in pages[-1]


def test_it_is_archivable_and_can_be_read_aloud() -> None:
    reader = PdfReader(io.BytesIO(pdf.write(invoice(), "sv", MONTH)))
    root = reader.trailer["/Root"]
    assert root["/Lang"] == "sv"
    assert root["/MarkInfo"]["/Marked"]
    assert b"pdfaid:part" in root["/Metadata"].get_data()
    assert reader.metadata is not None
    assert reader.metadata.title == "Specifikation 2024-0001, Stiftelsen Lindgården"


def test_a_month_without_mail_has_a_chart_with_nothing_in_it() -> None:
    quiet = Month([(date(2024, 4, 1) + timedelta(n), 0) for n in range(30)], 10_000, [], [])
    assert "10 000 ingår" in read(invoice(fee()), "sv", quiet)


@pytest.mark.parametrize("most", [1, 4, 7, 99, 10_000, 38_000, 123_456_789])
def test_the_scale_is_round_and_has_room(most: int) -> None:
    top, step = pdf._scale(most)
    assert top > most
    assert str(step).rstrip("0") in ("1", "2", "5")
    assert 1 <= top // step <= 6


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(PdfNotInstalled, match=r"pip install 'ombud\[pdf\]'"):
        pdf.write(invoice(), "sv")
