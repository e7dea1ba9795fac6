"""The formats: what is asked for, and which files an order's invoices become."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ombud.billing.basis import Basis
from ombud.billing.exports import csv, fortnox, pdf, peppol, proof, sie
from ombud.billing.exports import json as json_form
from ombud.billing.exports.runs import Run
from ombud.billing.exports.sie import Accounts
from ombud.billing.exports.writing import File
from ombud.billing.money import total
from ombud.errors import ExportUnsound

#: The form of the manifest; changes when a program that reads it would have to.
MANIFEST = "ombud.export/1"


class Format(StrEnum):
    CSV = "csv"  # RFC 4180
    EXCEL_SV = "excel-sv"  # CSV as a Swedish Excel opens it
    JSON = "json"
    PEPPOL = "peppol"
    SIE = "sie"
    FORTNOX = "fortnox"
    PDF = "pdf"


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. `language` is that of the PDF; "": each customer's own. `anew`: also what has been handed over before."""

    period: str
    format: Format
    language: str = ""
    anew: bool = False
    accounts: Accounts = field(default_factory=Accounts)

    @property
    def form(self) -> str:
        """The format, with the language where one was asked for: what an invoice goes into one run of."""
        return f"{self.format}-{self.language}" if self.language else str(self.format)


#: Told after each invoice: how many are done, and how many there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Made:
    """A file before the run has its number, which is part of some names."""

    name: str  # `{run}` stands for the number
    data: bytes
    numbers: tuple[str, ...]  # of the invoices in it

    @property
    def waits(self) -> bool:
        """Whether its name is not known before the run has its number."""
        return "{run}" in self.name

    def named(self, run: int) -> str:
        return self.name.replace("{run}", str(run))


def made(
    order: Order, bases: Sequence[Basis], months: Mapping[str, pdf.Month], progress: Progress = lambda done, of: None
) -> Iterator[Made]:
    """All files but the manifest, one at a time, each read again and found sound. `months`, by invoice number, is what a PDF tells beside the invoice.

    Raises ExportUnsound, and PdfNotInstalled.
    """
    for done, one in enumerate(_made(order, bases, months), start=1):
        concerned = (
            [basis for basis in bases if basis.number in one.numbers] if len(one.numbers) < len(bases) else bases
        )
        if fault := proof.fault(order.format, one.data, concerned):
            raise ExportUnsound(file=one.name, reason=fault)
        progress(done, len(bases) if len(one.numbers) == 1 else 1)
        yield one


def _made(order: Order, bases: Sequence[Basis], months: Mapping[str, pdf.Month]) -> Iterator[Made]:
    if order.format in _ONE_EACH:
        for basis in bases:
            data = _each(order, basis, months.get(basis.number))
            yield Made(f"{_safe(basis.number)}-{basis.buyer.slug}{_ending(order)}", data, (basis.number,))
    else:
        yield Made(
            f"{order.period}-{order.format}-run{{run}}{_ending(order)}",
            _all(order, bases),
            tuple(one.number for one in bases),
        )


_ONE_EACH = (Format.PEPPOL, Format.FORTNOX, Format.PDF)


def _each(order: Order, basis: Basis, month: pdf.Month | None) -> bytes:
    if order.format is Format.PEPPOL:
        return peppol.write(basis)
    if order.format is Format.FORTNOX:
        return fortnox.write(basis)
    return pdf.write(basis, order.language or basis.buyer.language, month)


def _all(order: Order, bases: Sequence[Basis]) -> bytes:
    if order.format is Format.SIE:
        return sie.write(bases, bases[-1].seller, order.accounts, max(one.issued for one in bases))
    if order.format is Format.JSON:
        return json_form.write(bases, order.period)
    return csv.write(bases, csv.EXCEL_SV if order.format is Format.EXCEL_SV else csv.RFC4180)


def _ending(order: Order) -> str:
    language = f"-{order.language}" if order.language else ""
    return {
        Format.CSV: ".csv", Format.EXCEL_SV: ".csv", Format.JSON: ".json", Format.PEPPOL: ".xml", Format.SIE: ".si",
        Format.FORTNOX: ".fortnox.json", Format.PDF: f"{language}.pdf",
    }[order.format]  # fmt: skip


def _safe(number: str) -> str:
    """A number as part of a file's name: a vendor's series may have a slash in it."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", number)


def manifest(order: Order, run: Run, bases: Sequence[Basis], files: Sequence[File], where: Mapping[str, str]) -> Made:
    """What the run holds: each file with its checksum, each invoice with its sums and its file, which `where` has by its number."""
    document: dict[str, Any] = {
        "form": MANIFEST,
        "run": run.number,
        "period": order.period,
        "format": order.form,
        "made_at": run.at.isoformat().replace("+00:00", "Z"),
        "made_by": run.by,
        "files": [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in files],
        "invoices": [
            {
                "number": one.number, "kind": one.kind, "customer": one.buyer.slug, "net": str(one.net), "vat": str(one.vat),
                "total": str(one.total), "currency": one.currency, "file": where[one.number],
            }
            for one in bases
        ],
        "sums": [_sums(bases, currency) for currency in sorted({one.currency for one in bases})],
    }  # fmt: skip
    data = (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()
    return Made(f"manifest-{order.period}-{order.form}-run{run.number}.json", data, ())


def _sums(bases: Sequence[Basis], currency: str) -> dict[str, Any]:
    mine = [one for one in bases if one.currency == currency]
    return {
        "currency": currency,
        "count": len(mine),
        "net": str(total((one.net for one in mine), currency)),
        "vat": str(total((one.vat for one in mine), currency)),
        "total": str(total((one.total for one in mine), currency)),
    }
