"""Fortnox: for each invoice the body of `POST https://api.fortnox.se/3/invoices`, with the fields as Fortnox documents them.

A credit note is a body too, with negative quantities, which Fortnox makes a credit invoice of. Fortnox gives its own document
number; ours goes along as `ExternalInvoiceReference1`, and that of the invoice that is credited as `ExternalInvoiceReference2`.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from ombud.billing.basis import Basis, BasisLine
from ombud.billing.exports.written import UNITS, plain, price_for
from ombud.billing.wording import count_text, price_text

# The longest texts that Fortnox takes, by its documentation.
_DESCRIPTION, _REFERENCE, _ORDER, _REMARKS = 50, 50, 30, 1024


def write(basis: Basis) -> bytes:
    """The body. What the invoice does not say is left out, so that Fortnox takes it from its own customer register."""
    return (json.dumps({"Invoice": _invoice(basis)}, ensure_ascii=False, indent=2) + "\n").encode()


def _invoice(basis: Basis) -> dict[str, Any]:
    buyer, original = basis.buyer, basis.original
    values: dict[str, Any] = {
        "CustomerNumber": buyer.number,
        "InvoiceDate": basis.issued.isoformat(),
        "DueDate": basis.due.isoformat(),
        "Currency": basis.currency,
        "Language": buyer.language.upper(),
        "VATIncluded": False,
        "YourReference": plain(buyer.reference)[:_REFERENCE],
        "YourOrderNumber": plain(buyer.order_number)[:_ORDER],
        "ExternalInvoiceReference1": basis.number,
        "ExternalInvoiceReference2": original.number if original else "",
        "Remarks": plain(basis.reason)[:_REMARKS],
        "InvoiceRows": [row for line in basis.lines for row in _rows(line, buyer.language)],
    }
    return {name: value for name, value in values.items() if value != ""}


def _rows(line: BasisLine, language: str) -> list[dict[str, Any]]:
    """The line, and where its price has more decimals than money, a row of text that says how its amount came about.

    How many decimals Fortnox keeps of a price is a setting there: 0.012 could become 0.01, and 30 000 e-mails 300 kr instead of 360.
    So such a line is one piece at its amount, which is right under every setting.
    """
    fine = price_for(line.unit_price).quantity != 1
    values: dict[str, Any] = {
        "ArticleNumber": plain(line.article),
        "Description": plain(line.text(language))[:_DESCRIPTION],
        "DeliveredQuantity": str(_sign(line)) if fine else str(line.quantity),
        "Price": _number(abs(line.net.amount) if fine else line.unit_price.amount),
        "VAT": _number(line.vat_rate),
    }
    row = {name: value for name, value in values.items() if value != ""}
    if not fine:
        return [row]
    count, unit = count_text(line.quantity.number, language), UNITS[line.quantity.unit][language]
    return [row, {"Description": f"{count} {unit} à {price_text(line.unit_price, language)}"[:_DESCRIPTION]}]


def _sign(line: BasisLine) -> int:
    return -1 if line.quantity.number < 0 else 1


def _number(value: Decimal) -> int | float:
    """A JSON number that is exactly the amount: a float has room for 15 digits, and Fortnox takes at most 12."""
    return int(value) if value == value.to_integral_value() else float(value)
