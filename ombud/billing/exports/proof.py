"""Reads a finished file again, as its receiver will, and compares it with the invoices that it was made of.

What is checked here is checked in the bytes, by code that shares nothing with the writers: a wrong total does not leave the house.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from xml.etree import ElementTree as Tree

from ombud.billing.basis import Basis
from ombud.billing.exports.csv import COLUMNS, FORMULA

_HARD_SPACES = "\u00a0\u2007\u202f\u2060\ufeff"
_CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
_CAC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2}"
_SLACK = Decimal("0.02")  # PEPPOL-EN16931-R120


def fault(form: str, data: bytes, bases: Sequence[Basis]) -> str:
    """The first thing that is wrong with the file, in English, or ""."""
    return next(_FAULTS[form](data, bases), "")


# --- Peppol --------------------------------------------------------------------------------------------------------


def _peppol(data: bytes, bases: Sequence[Basis]) -> Iterator[str]:
    (basis,) = bases
    yield from _text_faults(data.decode())
    root = Tree.fromstring(data)  # noqa: S314  # our own bytes of a moment ago
    yield from (f"{one.tag} is empty" for one in root.iter() if not len(one) and not (one.text or "").strip())
    kind = "CreditNote" if root.tag.endswith("CreditNote") else "Invoice"
    lines = root.findall(f"{_CAC}{kind}Line")
    totals = root.find(f"{_CAC}LegalMonetaryTotal")
    if totals is None or len(lines) != len(basis.lines):
        yield "its lines or its totals are missing"
        return
    net = sum((_amount(line, "LineExtensionAmount") for line in lines), Decimal(0))
    for line in lines:
        yield from _line_faults(line, "CreditedQuantity" if kind == "CreditNote" else "InvoicedQuantity")
    vat = Decimal(0)
    for part in root.findall(f"{_CAC}TaxTotal/{_CAC}TaxSubtotal"):
        rate = Decimal(part.findtext(f"{_CAC}TaxCategory/{_CBC}Percent", "0"))
        tax = _amount(part, "TaxAmount")
        if tax != (_amount(part, "TaxableAmount") * rate / 100).quantize(Decimal("0.01"), ROUND_HALF_UP):  # BR-CO-17
            yield f"the VAT of {rate} % is wrong"
        vat += tax
    sums = {
        "LineExtensionAmount": net,  # BR-CO-10
        "TaxExclusiveAmount": net,  # BR-CO-13
        "TaxInclusiveAmount": net + vat,  # BR-CO-15
        "PayableAmount": net + vat,  # BR-CO-16
    }
    yield from (f"{name} is not {due}" for name, due in sums.items() if _amount(totals, name) != due)
    if (sign := -1 if kind == "CreditNote" else 1) * (net + vat) != basis.total.amount:
        yield f"it comes to {sign * (net + vat)}, and the basis to {basis.total}"


def _line_faults(line: Tree.Element, quantity_name: str) -> Iterator[str]:
    quantity, price = line.find(_CBC + quantity_name), line.find(f"{_CAC}Price")
    if quantity is None or price is None:
        yield "a line has no quantity or no price"
        return
    base = price.find(f"{_CBC}BaseQuantity")
    per = Decimal(base.text or "0") if base is not None else Decimal(1)
    worth = Decimal(quantity.text or "0") * _amount(price, "PriceAmount") / per
    if abs(worth - _amount(line, "LineExtensionAmount")) > _SLACK:
        yield f"a line's quantity and price make {worth}, and its amount is another (PEPPOL-EN16931-R120)"
    if base is not None and base.get("unitCode") != quantity.get("unitCode"):
        yield "a price is for another unit than the line's (PEPPOL-EN16931-R130)"


def _amount(at: Tree.Element, name: str) -> Decimal:
    return Decimal(at.findtext(_CBC + name, "NaN"))


# --- SIE -----------------------------------------------------------------------------------------------------------

_VOUCHER = re.compile(
    r'^#VER "[^"]*" "" (\d{8}) .*\r\n\{\r\n((?:   #TRANS \d{4} \{\} -?\d+(?:\.\d{1,2})?\r\n)*)\}\r\n', re.MULTILINE
)


def _sie(data: bytes, bases: Sequence[Basis]) -> Iterator[str]:
    text = data.decode("cp437")
    yield from _text_faults(text)
    vouchers, booked = _VOUCHER.findall(text), [one for one in bases if any(sum_.net for sum_ in one.vats)]
    if len(vouchers) != len(booked):
        yield f"it has {len(vouchers)} vouchers for {len(booked)} invoices"
    for (day, posted), basis in zip(vouchers, booked, strict=False):
        amounts = [Decimal(line.split()[-1]) for line in posted.splitlines()]
        if sum(amounts) != 0:
            yield f"the voucher of {basis.number} does not balance"
        if day != f"{basis.issued:%Y%m%d}":
            yield f"the voucher of {basis.number} has another date than the invoice"
        if basis.total and (not amounts or amounts[0] != basis.total.amount):
            yield f"the voucher of {basis.number} does not book {basis.total}"


# --- CSV and JSON --------------------------------------------------------------------------------------------------


def _csv(data: bytes, bases: Sequence[Basis]) -> Iterator[str]:
    yield from _rows_faults(list(csv.reader(io.StringIO(data.decode(), newline=""))), ".", bases)
    yield from _text_faults(data.decode())


def _excel(data: bytes, bases: Sequence[Basis]) -> Iterator[str]:
    text = data.decode("utf-8-sig")
    yield from _rows_faults(list(csv.reader(io.StringIO(text, newline=""), delimiter=";")), ",", bases)
    yield from _text_faults(text)


def _rows_faults(rows: list[list[str]], mark: str, bases: Sequence[Basis]) -> Iterator[str]:
    net = list(COLUMNS).index("net")
    expected = [(basis, line) for basis in bases for line in basis.lines]
    if len(rows) != len(expected) + 1:
        yield f"it has {len(rows) - 1} rows for {len(expected)} lines"
        return
    for row, (basis, line) in zip(rows[1:], expected, strict=True):
        if len(row) != len(rows[0]):
            yield f"a row of {basis.number} has {len(row)} cells"
        elif Decimal(row[net].replace(mark, ".")) != line.net.amount:
            yield f"a row of {basis.number} does not say {line.net}"
        if any(cell.startswith(FORMULA) and not re.fullmatch(r"-?\d+([.,]\d+)?", cell) for cell in row):
            yield f"a row of {basis.number} has a cell that a spreadsheet would run"


def _json(data: bytes, bases: Sequence[Basis]) -> Iterator[str]:
    yield from _text_faults(data.decode())
    found = json.loads(data)["invoices"]
    for written, basis in zip(found, bases, strict=True):
        net = sum((Decimal(line["net"]) for line in written["lines"]), Decimal(0))
        vat = sum((Decimal(group["vat"]) for group in written["vat"]), Decimal(0))
        if net + vat != Decimal(written["total"]) or net + vat != basis.total.amount:
            yield f"{basis.number} does not come to {basis.total}"


def _fortnox(data: bytes, bases: Sequence[Basis]) -> Iterator[str]:
    (basis,) = bases
    yield from _text_faults(data.decode())
    net = Decimal(0)
    for row in json.loads(data, parse_float=Decimal)["Invoice"]["InvoiceRows"]:
        if "Price" not in row:
            continue  # a row of text
        worth = Decimal(row["DeliveredQuantity"]) * Decimal(row["Price"])
        net += worth.quantize(Decimal("0.01"), ROUND_HALF_UP)
        if len(f"{row['Price']}".replace(".", "").lstrip("-")) > 12:
            yield f"the price {row['Price']} has more than the 12 digits that Fortnox takes"
    if net != basis.net.amount:
        yield f"its rows come to {net}, and the basis to {basis.net}"


def _pdf(data: bytes, bases: Sequence[Basis]) -> Iterator[str]:
    if not data.startswith(b"%PDF-1.") or not data.rstrip().endswith(b"%%EOF"):
        yield "it is no whole PDF"


def _text_faults(text: str) -> Iterator[str]:
    if found := set(text) & set(_HARD_SPACES):
        yield f"it holds a space that is none (U+{ord(min(found)):04X})"


_FAULTS = {
    "peppol": _peppol, "sie": _sie, "csv": _csv, "excel-sv": _excel, "json": _json, "fortnox": _fortnox, "pdf": _pdf,
}  # fmt: skip
