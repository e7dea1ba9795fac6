"""PDF: the statement that a customer gets for a month, in Swedish or English. Needs the extra `pdf` (typst).

The layout is in `statement.typ`; here are the words. The fonts are those inside typst, so that every machine makes the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from ombud.billing.basis import Address, Basis, BasisLine, Buyer, Seller, VatCategory
from ombud.billing.exports.written import UNITS, plain
from ombud.billing.money import Money
from ombud.billing.wording import amount_text, count_text, money_text, month_text, number_text, price_text
from ombud.errors import PdfNotInstalled
from ombud.usage import Counted

_TEMPLATE = Path(__file__).with_name("statement.typ")
_WORDS: dict[str, dict[str, Any]] = {
    "sv": {
        "statement": "Specifikation", "credit": "Kreditspecifikation", "to": "Till", "page": "Sida",
        "charged": "Det här debiteras", "credited": "Det här krediteras", "columns": ["Benämning", "Antal", "À-pris", "Moms", "Belopp"],
        "net": "Summa exkl. moms", "vat": "Moms {rate} % på {net}", "reverse": "Omvänd betalningsskyldighet",
        "pay": "Att betala", "give_back": "Att få tillbaka",
        "number": "Fakturanummer", "issued": "Fakturadatum", "due": "Förfaller", "period": "Period", "reference": "Er referens",
        "order": "Ert ordernummer", "customer": "Kundnummer", "plan": "Prisplan", "credits": "Krediterar faktura",
        "by-day": "Månaden dag för dag",
        "curve-key": "Staplarna är antalet mejl varje dag (i egen skala), linjen det sammanlagda antalet hittills i månaden.",
        "included": "{number} ingår", "by-product": "Per produkt", "not-counted": "Räknas inte",
        "org": "Org.nr", "vat_number": "Momsreg.nr", "f_tax": "Godkänd för F-skatt", "seat": "Säte",
        Counted.FREE: "Skickade utan underleverantören", Counted.TEST: "Testmejl", Counted.REFUSED: "Avvisade",
        Counted.SUPPRESSED: "Spärrade adresser", Counted.HELD: "Hållna", Counted.HELD_EXPIRED: "Hållna för länge", Counted.FAILED: "Gick inte att lämna över",
        Counted.RETRIED: "Nya försök",
        "alt": "Diagram: {number} mejl under perioden, {included} ingår i priset.",
        "explanation": "Ett debiterat mejl är en mottagare som lämnats över till underleverantören. Testmejl, mejl som avvisats "
        "eller stoppats innan de lämnats över och nya försök räknas aldrig.",
        "reverse_note": "Omvänd betalningsskyldighet: köparen redovisar momsen.",
    },
    "en": {
        "statement": "Statement", "credit": "Credit statement", "to": "To", "page": "Page",
        "charged": "What is charged", "credited": "What is credited", "columns": ["Description", "Quantity", "Price", "VAT", "Amount"],
        "net": "Total excl. VAT", "vat": "VAT {rate} % on {net}", "reverse": "Reverse charge",
        "pay": "To pay", "give_back": "To be returned",
        "number": "Invoice number", "issued": "Invoice date", "due": "Due", "period": "Period", "reference": "Your reference",
        "order": "Your order number", "customer": "Customer number", "plan": "Price plan", "credits": "Credits invoice",
        "by-day": "The month, day by day",
        "curve-key": "The bars are the number of e-mails of each day (on a scale of their own), the line is their sum so far in the month.",
        "included": "{number} included", "by-product": "By product", "not-counted": "Not counted",
        "org": "Reg. no.", "vat_number": "VAT no.", "f_tax": "Approved for Swedish F-tax", "seat": "Registered office",
        Counted.FREE: "Sent without the subcontractor", Counted.TEST: "Test mail", Counted.REFUSED: "Refused",
        Counted.SUPPRESSED: "Suppressed addresses", Counted.HELD: "Held", Counted.HELD_EXPIRED: "Held for too long", Counted.FAILED: "Could not be handed over",
        Counted.RETRIED: "Retries",
        "alt": "Chart: {number} e-mails in the period, {included} are included in the price.",
        "explanation": "One charged e-mail is one recipient handed over to the subcontractor. Test mail, mail that was refused or "
        "stopped before it was handed over, and retries are never counted.",
        "reverse_note": "Reverse charge: the buyer accounts for the VAT.",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Month:
    """What lies behind the invoice: how many e-mails were counted, and what was not."""

    days: Sequence[tuple[date, int]]  # every day of the period, in order
    included: int
    products: Sequence[tuple[str, int]]
    not_counted: Sequence[tuple[str, int]]  # what happened to them (a Counted) and how often

    def as_json(self) -> dict[str, Any]:
        days = [(day.isoformat(), number) for day, number in self.days]
        return {"days": days, "included": self.included, "products": self.products, "not_counted": self.not_counted}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Month:
        days = tuple((date.fromisoformat(day), number) for day, number in values["days"])
        return cls(
            days, values["included"], tuple(map(tuple, values["products"])), tuple(map(tuple, values["not_counted"]))
        )


def write(basis: Basis, language: str, month: Month | None = None) -> bytes:
    """The statement as PDF/A-2a with tags: the same bytes for the same values. Raises PdfNotInstalled."""
    try:
        import typst
    except ImportError as error:
        raise PdfNotInstalled() from error
    data = _with_letters(json.dumps(_data(basis, language, month), ensure_ascii=False))
    compiler = typst.Compiler(str(_TEMPLATE), ignore_system_fonts=True, sys_inputs={"data": data})
    made = datetime.combine(basis.issued, time(), UTC)
    pdf = compiler.compile(format="pdf", timestamp=made, pdf_standards=["a-2a"])
    assert isinstance(pdf, bytes)
    return pdf


#: What the fonts have letters for: Latin, Greek and Cyrillic, punctuation, currencies and arrows.
_LETTERS = ((0x0000, 0x0500), (0x1E00, 0x2040), (0x20A0, 0x20C0), (0x2190, 0x2300))


def _with_letters(text: str) -> str:
    """A document for the archive may not have a letter without a shape: such ones are question marks."""
    return "".join(one if any(low <= ord(one) < high for low, high in _LETTERS) else "?" for one in text)


def _data(basis: Basis, language: str, month: Month | None) -> dict[str, Any]:
    words, buyer = _WORDS[language], basis.buyer
    heading = words["credit" if basis.is_credit else "statement"]
    reverse = any(one.category is VatCategory.REVERSE_CHARGE for one in basis.vats)
    return {
        "language": language,
        "title": f"{heading} {basis.number}, {plain(buyer.name)}",
        "heading": heading,
        "subtitle": plain(basis.reason),
        "period-name": month_text(basis.period, language),
        "words": {**words, "charged": words["credited" if basis.is_credit else "charged"]},
        "seller": _seller(basis.seller, words),
        "buyer": {"name": plain(buyer.name), "lines": _buyer(buyer, words)},
        "facts": _facts(basis, words),
        "lines": [_line(line, basis, language) for line in basis.lines],
        "sums": _sums(basis, words, language),
        "total": _total(basis, words, language),
        "notice": words["reverse_note"] if reverse else "",
        "curve": _curve(month, words, language) if month else None,
        "products": _counts(month.products if month else (), language),
        "not-counted": _counts(
            [(words[what], number) for what, number in month.not_counted] if month else (), language
        ),
        "explanation": words["explanation"] if month else "",
    }


# --- parties -------------------------------------------------------------------------------------------------------


def _seller(seller: Seller, words: dict[str, Any]) -> dict[str, Any]:
    accounts = [
        ("Bankgiro", seller.bankgiro),
        ("Plusgiro", seller.plusgiro),
        ("IBAN", seller.iban),
        ("BIC", seller.bic),
    ]
    columns = [
        [seller.name, *_address(seller.address)],
        [
            f"{words['org']} {seller.org_number}",
            f"{words['vat_number']} {seller.vat_number}",
            words["f_tax"] if seller.f_tax else "",
            f"{words['seat']}: {seller.seat}" if seller.seat else "",
        ],
        [f"{name} {number}" for name, number in accounts if number],
        [seller.contact, seller.phone, seller.email],
    ]
    kept = [[plain(one) for one in column if one] for column in columns]
    return {"name": plain(seller.name), "columns": [column for column in kept if column]}


def _buyer(buyer: Buyer, words: dict[str, Any]) -> list[str]:
    number = f"{words['org']} {buyer.org_number}" if buyer.org_number else ""
    return [plain(one) for one in (*_address(buyer.address), number) if one]


def _address(address: Address) -> list[str]:
    place = f"{address.postal_code} {address.city}".strip()
    country = address.country if address.country != "SE" else ""
    return [one for one in (address.street, address.extra, place, country) if one]


# --- facts, lines, sums --------------------------------------------------------------------------------------------


def _facts(basis: Basis, words: dict[str, Any]) -> list[dict[str, str]]:
    buyer = basis.buyer
    facts = (
        (words["number"], basis.number),
        (words["issued"], basis.issued.isoformat()),
        (words["due"], "" if basis.is_credit else basis.due.isoformat()),
        (words["credits"], f"{basis.original.number}, {basis.original.issued}" if basis.original else ""),
        (words["period"], f"{basis.start} – {basis.end}"),
        (words["reference"], buyer.reference),
        (words["order"], buyer.order_number),
        (words["customer"], buyer.number),
        (words["plan"], basis.plan),
    )
    return [{"name": name, "value": plain(value)} for name, value in facts if value]


def _line(line: BasisLine, basis: Basis, language: str) -> dict[str, str]:
    unit = UNITS[line.quantity.unit][language]
    whole = (line.start, line.end) == (basis.start, basis.end)
    return {
        "text": plain(line.text(language)),
        "detail": "" if whole else f"{line.start} – {line.end}",
        "quantity": f"{_count(line.quantity.number, language)} {unit}",
        "price": price_text(line.unit_price, language),
        "vat": f"{_percent(line.vat_rate, language)} %",
        "net": _amount(line.net, language),
    }


def _total(basis: Basis, words: dict[str, Any], language: str) -> dict[str, str]:
    back = basis.total < Money.zero(basis.currency)
    return {
        "name": words["give_back" if back else "pay"],
        "value": money_text(-basis.total if back else basis.total, language),
    }


def _sums(basis: Basis, words: dict[str, Any], language: str) -> list[dict[str, str]]:
    sums = [{"name": words["net"], "value": _amount(basis.net, language)}]
    for one in basis.vats:
        text = words["vat"].format(rate=_percent(one.rate, language), net=_amount(one.net, language))
        sums.append(
            {
                "name": words["reverse"] if one.category is VatCategory.REVERSE_CHARGE else text,
                "value": _amount(one.vat, language),
            }
        )
    return sums


# --- the month -----------------------------------------------------------------------------------------------------


def _curve(month: Month, words: dict[str, Any], language: str) -> dict[str, Any]:
    total, days = 0, []
    for day, number in month.days:
        total += number
        days.append({"number": number, "sum": total, "name": str(day.day) if day.day % 5 == 0 or day.day == 1 else ""})
    top, step = _scale(max(total, month.included, 1))
    busiest = max(range(len(days)), key=lambda n: (month.days[n][1], -n))
    most = month.days[busiest][1]
    included = words["included"].format(number=_count(month.included, language))
    return {
        "days": days,
        "top": top,
        "marks": [{"at": at, "name": _count(at, language)} for at in range(step, top, step)],
        # The bars have a scale of their own, so that they can be seen beside the sum: the tallest one says what it is.
        "busiest": {"day": busiest, "number": max(most, 1), "name": _count(most, language) if most else ""},
        "included": {"at": month.included, "name": included},
        "alt": words["alt"].format(number=_count(total, language), included=_count(month.included, language)),
    }


def _scale(most: int) -> tuple[int, int]:
    """The top of the chart and the distance of its lines, in round numbers."""
    step = next(step for power in range(18) for step in (10**power, 2 * 10**power, 5 * 10**power) if most <= 5 * step)
    return (most // step + 1) * step, step


def _counts(rows: Sequence[tuple[str, int]], language: str) -> list[dict[str, str]]:
    return [{"name": plain(name), "value": _count(number, language)} for name, number in rows]


# --- numbers for people --------------------------------------------------------------------------------------------


def _amount(money: Money, language: str) -> str:
    return amount_text(money, language).replace("-", "−")


def _count(number: int, language: str) -> str:
    return count_text(number, language).replace("-", "−")


def _percent(rate: Decimal, language: str) -> str:
    text = number_text(rate)
    return text if language == "en" else text.replace(".", ",")
