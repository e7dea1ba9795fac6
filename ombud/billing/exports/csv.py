"""CSV: one row for each line of each invoice, as RFC 4180 has it or as a Swedish Excel opens it at a double click."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO

from ombud.billing.basis import Basis, BasisLine, Kind
from ombud.billing.exports.written import UNITS, plain

#: The columns, in order; the Excel profile has the Swedish headings.
COLUMNS = {
    "number": "fakturanummer",
    "kind": "slag",
    "issued": "fakturadatum",
    "due": "förfallodatum",
    "credits": "krediterar",
    "period": "period",
    "customer": "kund",
    "customer_number": "kundnummer",
    "name": "namn",
    "org_number": "organisationsnummer",
    "vat_number": "momsregistreringsnummer",
    "buyer_reference": "er referens",
    "order_number": "ert ordernummer",
    "cost_center": "kostnadsställe",
    "line": "rad",
    "article": "artikel",
    "text": "benämning",
    "from": "från",
    "to": "till",
    "quantity": "antal",
    "unit": "enhet",
    "unit_price": "à-pris",
    "net": "netto",
    "adjusts": "justerar",
    "vat_rate": "moms %",
    "invoice_net": "fakturans netto",
    "invoice_vat": "fakturans moms",
    "invoice_total": "fakturans summa",
    "currency": "valuta",
    "plan": "prisplan",
}
_KINDS = {Kind.INVOICE: "faktura", Kind.CREDIT: "kreditfaktura"}
#: What makes a spreadsheet take a text for a formula when it stands first, also as East Asian keyboards write it.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Profile:
    """A way to write CSV."""

    delimiter: str
    decimal_mark: str
    prologue: str
    swedish: bool  # headings, and the few words that are not the invoice's own


#: Commas and decimal points (RFC 4180), UTF-8.
RFC4180 = Profile(",", ".", "", swedish=False)
#: What Excel with Swedish settings expects; without the byte order mark it would take UTF-8 for something else.
EXCEL_SV = Profile(";", ",", "\ufeff", swedish=True)


def write(bases: Sequence[Basis], profile: Profile) -> bytes:
    """The file, with a heading and CRLF after each row."""
    out = StringIO(newline="")
    rows = csv.writer(out, delimiter=profile.delimiter, lineterminator="\r\n")
    rows.writerow(COLUMNS.values() if profile.swedish else COLUMNS)
    for basis in bases:
        for line in basis.lines:
            rows.writerow(_row(basis, line, profile))
    return (profile.prologue + out.getvalue()).encode()


def _row(basis: Basis, line: BasisLine, profile: Profile) -> list[str]:
    buyer, amount = basis.buyer, _amounts(profile)
    original = basis.original.number if basis.original else ""
    return [
        harmless(basis.number), _KINDS[basis.kind] if profile.swedish else basis.kind, basis.issued.isoformat(), basis.due.isoformat(), harmless(original),
        basis.period, harmless(buyer.slug), harmless(buyer.number), harmless(buyer.name), harmless(buyer.org_number),
        harmless(buyer.vat_number), harmless(buyer.reference), harmless(buyer.order_number), harmless(buyer.cost_center),
        str(line.n), harmless(line.article), harmless(line.text(buyer.language)), line.start.isoformat(), line.end.isoformat(),
        str(line.quantity), UNITS[line.quantity.unit]["sv"] if profile.swedish else line.quantity.unit, amount(line.unit_price.amount), amount(line.net.rounded().amount),
        line.adjusts, amount(line.vat_rate),
        amount(basis.net.rounded().amount), amount(basis.vat.rounded().amount), amount(basis.total.rounded().amount), basis.currency, harmless(basis.plan),
    ]  # fmt: skip


def _amounts(profile: Profile) -> Callable[[Decimal], str]:
    return lambda value: format(value, "f").replace(".", profile.decimal_mark)


def harmless(text: str) -> str:
    """A text that no spreadsheet runs: one that begins like a formula gets an apostrophe, which is how one types such a text."""
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULA) else text
