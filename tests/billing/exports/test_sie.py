"""The vouchers, as a bookkeeping program reads them: by a parser that knows only the format's description."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.billing.basis import Basis, VatCategory
from ombud.billing.exports import proof, sie
from ombud.billing.exports.sie import Accounts
from tests.billing.exports.conftest import BUYER, SELLER, credit_of, emails, fee, invoice, line

MADE = date(2024, 5, 2)


@dataclass
class Voucher:
    series: str
    day: str
    text: str
    posted: list[tuple[str, Decimal]] = field(default_factory=list)


def fields(row: str) -> list[str]:
    """The fields of a line: parted by spaces; in quotation marks they may hold spaces, and \\" stands for one of those marks."""
    found, at = [], 0
    while at < len(row):
        if row[at] == " ":
            at += 1
        elif row[at] == '"':
            at, text = at + 1, ""
            while row[at] != '"':
                at += row[at] == "\\"
                text, at = text + row[at], at + 1
            found, at = [*found, text], at + 1
        elif row[at] == "{":
            end = row.index("}", at) if "}" in row[at:] else at
            found, at = [*found, row[at : end + 1]], end + 1
        else:
            end = row.find(" ", at) if " " in row[at:] else len(row)
            found, at = [*found, row[at:end]], end
    return found


def parsed(data: bytes) -> tuple[dict[str, list[str]], list[Voucher]]:
    """The labels outside vouchers (the last of each), and the vouchers."""
    assert data.endswith(b"\r\n")
    head: dict[str, list[str]] = {}
    vouchers: list[Voucher] = []
    inside = False
    for row in data.decode("cp437").split("\r\n")[:-1]:
        label, *values = fields(row) or [""]
        if label == "{":
            inside = True
        elif label == "}":
            inside = False
        elif label == "#VER":
            series, number, day, text = values
            assert number == ""
            vouchers.append(Voucher(series, day, text))
        elif label == "#TRANS":
            assert inside
            account, objects, amount = values
            assert objects == "{}"
            vouchers[-1].posted.append((account, Decimal(amount)))
        else:
            assert not inside
            head[label if label != "#KONTO" else f"#KONTO {values[0]}"] = values
    return head, vouchers


def written(*bases: Basis) -> bytes:
    data = sie.write(bases, SELLER, Accounts(), MADE)
    assert proof.fault("sie", data, bases) == ""
    return data


def test_an_invoice_is_booked_as_claim_sale_and_vat() -> None:
    head, (voucher,) = parsed(written(invoice()))
    assert voucher.posted == [("1510", Decimal("1075")), ("3041", Decimal("-860")), ("2611", Decimal("-215"))]
    assert (voucher.series, voucher.day, voucher.text) == ("F", "20240502", "Faktura 2024-0001 Stiftelsen Lindgården")
    assert head["#SIETYP"] == ["4"]
    assert head["#FLAGGA"] == ["0"]
    assert head["#FORMAT"] == ["PC8"]
    assert head["#GEN"] == ["20240502"]
    assert head["#ORGNR"] == ["559990-1005"]
    assert head["#FNAMN"] == ["Molntjänst AB"]
    assert head["#KONTO 1510"] == ["1510", "Kundfordringar"]


def test_a_credit_is_booked_the_other_way_round_and_names_its_invoice() -> None:
    original = invoice()
    _, (first, second) = parsed(written(original, credit_of(original)))
    assert [(account, -amount) for account, amount in first.posted] == second.posted
    assert second.text == "Kreditfaktura 2024-0002 (faktura 2024-0001) Stiftelsen Lindgården"


def test_each_vat_rate_has_its_account() -> None:
    lines = [line(n, "Mejl", 100, "1", vat=vat) for n, vat in enumerate(("25", "12", "6", "0"), start=1)]
    _, (voucher,) = parsed(written(invoice(*lines)))
    vat = {account: amount for account, amount in voucher.posted if account.startswith("26")}
    assert vat == {"2611": Decimal(-25), "2621": Decimal(-12), "2631": Decimal(-6)}
    assert [amount for account, amount in voucher.posted if account == "3044"] == [Decimal(-100)]


def test_a_sale_to_another_eu_country_has_an_account_of_its_own_and_no_vat() -> None:
    abroad = replace(fee(), vat_rate=Decimal(0), vat_category=VatCategory.REVERSE_CHARGE)
    _, (voucher,) = parsed(written(invoice(abroad)))
    assert voucher.posted == [("1510", Decimal(500)), ("3308", Decimal(-500))]


def test_swedish_letters_are_those_of_code_page_437() -> None:
    data = written(invoice(buyer=replace(BUYER, name="Ånge Älv & Öar")))
    assert b"\x8fnge \x8elv & \x99ar" in data
    assert b"Molntj\x84nst" in data


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ('Bolaget "Eken"', 'Bolaget "Eken"'),
        ("Back\\slash AB", "Back\\slash AB"),
        ("Żółw – € AB", "Zólw - EUR AB"),
        ("Grønne Bolig ApS", "Grönne Bolig ApS"),
        ("株式会社", "????"),
        ("Rad\u00a0ett\r\nrad två", "Rad ett rad två"),
    ],
)
def test_whatever_a_customer_is_called_the_voucher_can_be_read(name: str, read: str) -> None:
    _, (voucher,) = parsed(written(invoice(buyer=replace(BUYER, name=name))))
    assert voucher.text.removeprefix("Faktura 2024-0001 ") == read
    assert len(voucher.posted) == 3


@given(st.lists(st.tuples(st.integers(-50_000, 50_000), st.sampled_from(["25", "12", "6"])), min_size=1, max_size=5))
def test_every_voucher_balances_to_the_ore(amounts: list[tuple[int, str]]) -> None:
    lines = [line(n, "Mejl", number, "0.0123", vat=vat) for n, (number, vat) in enumerate(amounts, start=1)]
    _, vouchers = parsed(written(invoice(*lines), credit_of(invoice(*lines))))
    assert len(vouchers) in (0, 2)  # what comes to nothing is not booked
    assert not any(sum(amount for _, amount in voucher.posted) for voucher in vouchers)


def test_an_invoice_of_nothing_is_not_booked() -> None:
    _, vouchers = parsed(written(invoice(line(1, "Mejl", 0, "0.012")), invoice(number="2024-0002")))
    assert [voucher.text for voucher in vouchers] == ["Faktura 2024-0002 Stiftelsen Lindgården"]


def test_the_proof_reader_finds_a_voucher_that_does_not_balance() -> None:
    data = written(invoice())
    assert (
        proof.fault("sie", data.replace(b"-860", b"-861"), [invoice()]) == "the voucher of 2024-0001 does not balance"
    )
    assert proof.fault("sie", data.replace(b"20240502 ", b"20240503 "), [invoice()])
    assert proof.fault("sie", data, [invoice(fee(), emails(1))])


def test_the_accounts_are_the_vendors_to_choose() -> None:
    data = sie.write([invoice()], SELLER, Accounts(receivable=1512, sales=3011, series="OMB"), MADE)
    _, (voucher,) = parsed(data)
    assert (voucher.series, [account for account, _ in voucher.posted]) == ("OMB", ["1512", "3011", "2611"])


def test_the_same_invoices_give_the_same_bytes() -> None:
    assert written(invoice()) == written(invoice())
