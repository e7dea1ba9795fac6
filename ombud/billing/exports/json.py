"""JSON: the invoices with all that is known of them, for whoever writes a program. Amounts are texts, so that nobody rounds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

from ombud.billing.basis import Basis, BasisLine, Buyer, Seller
from ombud.billing.exports.written import plain, price_for
from ombud.billing.money import Money

#: Changes when a program that reads the file would have to.
FORM = "ombud.invoices/1"


def write(bases: Sequence[Basis], period: str) -> bytes:
    """The file: UTF-8, keys always in the same order."""
    document = {"form": FORM, "period": period, "invoices": [_invoice(one) for one in bases]}
    return (json.dumps(_plain(document), ensure_ascii=False, indent=2) + "\n").encode()


def _invoice(basis: Basis) -> dict[str, Any]:
    return {
        "number": basis.number,
        "kind": basis.kind,
        "issued": basis.issued,
        "due": basis.due,
        "credits": asdict(basis.original) if basis.original else None,
        "reason": basis.reason or None,
        "period": {"month": basis.period, "start": basis.start, "end": basis.end},
        "plan": basis.plan,
        "emails": basis.emails,
        "currency": basis.currency,
        "seller": _seller(basis.seller),
        "buyer": _party(basis.buyer),
        "lines": [_line(line) for line in basis.lines],
        "vat": [{"category": one.category, "rate": one.rate, "net": one.net, "vat": one.vat} for one in basis.vats],
        "net": basis.net,
        "vat_total": basis.vat,
        "total": basis.total,
    }


def _seller(seller: Seller) -> dict[str, Any]:
    """Without what says how the vendor numbers its invoices."""
    inner = ("payment_days", "number_prefix", "first_number")
    return {name: value for name, value in _party(seller).items() if name not in inner}


def _party(party: Seller | Buyer) -> dict[str, Any]:
    return {**asdict(party), "endpoint": str(party.endpoint) if party.endpoint else None}


def _line(line: BasisLine) -> dict[str, Any]:
    price = price_for(line.unit_price)
    return {
        "line": line.n,
        "kind": line.kind,
        "article": line.article,
        "text": line.texts,
        "start": line.start,
        "end": line.end,
        "quantity": line.quantity.number,
        "unit": line.quantity.unit,
        "unit_price": line.unit_price.amount,
        "price": {"amount": price.amount, "per": price.quantity},
        "net": line.net,
        "vat_category": line.vat_category,
        "vat_rate": line.vat_rate,
        "plan": line.plan,
        "adjusts": line.adjusts or None,
        "credits_line": line.credits or None,
    }


def _plain(value: Any) -> Any:
    """What JSON has words for; amounts and dates as texts."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Money):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    return plain(value) if isinstance(value, str) else value
