"""SIE type 4I: vouchers for the vendor's bookkeeping, one for each invoice and credit note.

The format is that of the SIE group (version 4B): lines of text in code page 437, `#LABEL field field`, dates as 20240531, amounts
with a decimal point. A voucher's amounts come to nothing: debit is positive, credit negative.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ombud.billing.basis import Basis, Seller, VatCategory, VatSum
from ombud.billing.exports.written import plain
from ombud.billing.money import Money

CODE_PAGE = "cp437"
NEWLINE = "\r\n"
_VERSION = "1"  # of this file's form, not of the program: an upgrade does not change the bytes
#: What this code page lacks and Swedish texts have, in words that it has.
_INSTEAD = str.maketrans(
    {
        "ø": "ö",
        "Ø": "Ö",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "–": "-",
        "—": "-",
        "−": "-",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "…": "...",
        "€": "EUR",
    }
)


@dataclass(frozen=True, slots=True)
class Account:
    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Accounts:
    """Where an invoice is booked; the defaults are those of the BAS plan. `sales` is for what Swedish VAT is paid on."""

    receivable: int = 1510
    sales: int = 3041
    sales_eu: int = 3308
    sales_exempt: int = 3044
    vat_25: int = 2611
    vat_12: int = 2621
    vat_6: int = 2631
    series: str = "F"

    def named(self) -> dict[int, str]:
        return {
            self.receivable: "Kundfordringar",
            self.sales: "Försäljning av tjänster",
            self.sales_eu: "Försäljning av tjänster till annat EU-land",
            self.sales_exempt: "Försäljning av tjänster, momsfri",
            self.vat_25: "Utgående moms 25 %",
            self.vat_12: "Utgående moms 12 %",
            self.vat_6: "Utgående moms 6 %",
        }

    def of_sale(self, sum_: VatSum) -> int:
        if sum_.category is VatCategory.REVERSE_CHARGE:
            return self.sales_eu
        return self.sales if sum_.rate else self.sales_exempt

    def of_vat(self, sum_: VatSum) -> int:
        return {Decimal(25): self.vat_25, Decimal(12): self.vat_12, Decimal(6): self.vat_6}[sum_.rate]


def write(bases: Sequence[Basis], seller: Seller, accounts: Accounts, made: date) -> bytes:
    """The whole file, in SEK. `made` is the date that it says it was made: given, so that the same invoices give the same bytes."""
    text = "".join(line + NEWLINE for line in _lines(bases, seller, accounts, made))
    return text.encode(CODE_PAGE)


def _lines(bases: Sequence[Basis], seller: Seller, accounts: Accounts, made: date) -> Iterator[str]:
    yield "#FLAGGA 0"
    yield f'#PROGRAM "Ombud" "{_VERSION}"'
    yield "#FORMAT PC8"
    yield f"#GEN {made:%Y%m%d}"
    yield "#SIETYP 4"
    yield f"#ORGNR {seller.org_number}"
    yield f"#FNAMN {quoted(seller.name)}"
    yield "#VALUTA SEK"
    names = accounts.named()
    booked = [(basis, postings(basis, accounts)) for basis in bases]
    vouchers = [(basis, posted) for basis, posted in booked if posted]
    for number in sorted({account for _, posted in vouchers for account, _ in posted}):
        yield f"#KONTO {number} {quoted(names[number])}"
    for basis, posted in vouchers:
        # Without a number: whoever reads the file gives it the next one of the series.
        yield f'#VER {quoted(accounts.series)} "" {basis.issued:%Y%m%d} {quoted(_title(basis))}'
        yield "{"
        for account, amount in posted:
            yield f"   #TRANS {account} {{}} {amount}"
        yield "}"


def postings(basis: Basis, accounts: Accounts) -> list[tuple[int, Money]]:
    """Account and amount; they come to nothing. What is nothing is left out."""
    posted = [(accounts.receivable, basis.total)]
    for sum_ in basis.vats:
        posted.append((accounts.of_sale(sum_), -sum_.net))
        if sum_.vat:
            posted.append((accounts.of_vat(sum_), -sum_.vat))
    return [(account, amount) for account, amount in posted if amount]


def _title(basis: Basis) -> str:
    if basis.original:
        return f"Kreditfaktura {basis.number} (faktura {basis.original.number}) {basis.buyer.name}"
    return f"Faktura {basis.number} {basis.buyer.name}"


def quoted(text: str) -> str:
    """A field. What the code page has no letter for is written with the nearest one, or a question mark."""
    fitting = "".join(_fitting(one) for one in plain(text).translate(_INSTEAD))
    return '"' + fitting.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _fitting(letter: str) -> str:
    for form in (letter, unicodedata.normalize("NFKD", letter)[0]):
        if form.encode(CODE_PAGE, "ignore"):
            return form
    return "?"
