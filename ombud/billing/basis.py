"""The invoice basis: what finance gets for one customer and month, or the credit of one. Frozen; what is locked is kept as text.

Amounts and quantities have the signs of the ledger: those of a credit are negative.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ombud.billing.money import Money, Quantity, Unit, UnitPrice, total


class Kind(StrEnum):
    INVOICE = "invoice"
    CREDIT = "credit"


class LineKind(StrEnum):
    FIXED = "fixed"  # the month's fee, or a part of it
    EMAILS = "emails"  # e-mails over those that are included
    ADJUSTMENT = "adjustment"  # what an earlier month came to after it was locked
    CREDIT = "credit"  # some of a line's amount, given back


class VatCategory(StrEnum):
    """Of UNCL5305 those that this trade needs."""

    STANDARD = "S"
    REVERSE_CHARGE = "AE"  # a business in another EU country: the buyer accounts for the VAT


@dataclass(frozen=True, slots=True)
class Address:
    street: str = ""
    extra: str = ""
    postal_code: str = ""
    city: str = ""
    country: str = "SE"  # ISO 3166-1 alpha-2


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An electronic address in Peppol: a scheme of its code list (0007: Swedish organisation number) and an identifier."""

    scheme: str
    identifier: str

    @classmethod
    def parse(cls, text: str) -> Endpoint | None:
        """`0007:5566778899`, or None for "". Raises ValueError."""
        if not text:
            return None
        scheme, colon, identifier = text.partition(":")
        if not (colon and len(scheme) == 4 and scheme.isdecimal() and identifier and identifier.isalnum()):
            raise ValueError("it must be a scheme and an identifier, such as 0007:5566778899")
        return cls(scheme, identifier)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.identifier}"


@dataclass(frozen=True, slots=True)
class Seller:
    """The vendor, as its invoices name it."""

    name: str
    org_number: str  # 556677-8899
    vat_number: str  # SE556677889901
    address: Address = Address()
    f_tax: bool = True
    bankgiro: str = ""  # 123-4567
    plusgiro: str = ""
    iban: str = ""
    bic: str = ""
    endpoint: Endpoint | None = None
    contact: str = ""
    phone: str = ""
    email: str = ""
    seat: str = ""
    payment_days: int = 30
    number_prefix: str = ""
    first_number: int = 1


@dataclass(frozen=True, slots=True)
class Buyer:
    """The customer, as it wants to be invoiced."""

    customer_id: int
    slug: str
    name: str
    org_number: str = ""
    vat_number: str = ""
    address: Address = Address()
    endpoint: Endpoint | None = None
    reference: str = ""  # "er referens"; Peppol BT-10
    order_number: str = ""  # Peppol BT-13
    cost_center: str = ""  # the buyer's own: Peppol BT-19
    number: str = ""  # the customer's number in the vendor's ledger
    contact: str = ""
    email: str = ""  # where invoices go
    language: str = "sv"


@dataclass(frozen=True, slots=True)
class BasisLine:
    n: int  # from 1
    kind: LineKind
    article: str
    texts: Mapping[str, str]  # sv and en
    quantity: Quantity
    unit_price: UnitPrice  # of one unit, not negative
    net: Money  # rounded: the price of the quantity, once, half up
    vat_rate: Decimal  # per cent
    start: date
    end: date  # inclusive
    vat_category: VatCategory = VatCategory.STANDARD
    plan: str = ""  # the price plan with its version: molntjanst-2024 2024-01-01
    adjusts: str = ""  # the month that an adjustment is for: 2024-04
    credits: int = 0  # the line of the original that a credit's line gives back

    def text(self, language: str) -> str:
        return self.texts.get(language) or self.texts["sv"]


@dataclass(frozen=True, slots=True)
class VatSum:
    """What is taxed at one rate, and the tax: on the sum, not line by line."""

    category: VatCategory
    rate: Decimal
    net: Money
    vat: Money


class Summed:
    """What has lines in one currency, and what they come to."""

    __slots__ = ()
    currency: str
    lines: tuple[BasisLine, ...]

    @property
    def vats(self) -> tuple[VatSum, ...]:
        """By rate, highest first."""
        return vat_sums(self.lines, self.currency)

    @property
    def net(self) -> Money:
        return total((line.net for line in self.lines), self.currency)

    @property
    def vat(self) -> Money:
        return total((one.vat for one in self.vats), self.currency)

    @property
    def total(self) -> Money:
        return self.net + self.vat


@dataclass(frozen=True, slots=True)
class Original:
    """The invoice that a credit credits."""

    number: str
    issued: date


@dataclass(frozen=True, slots=True)
class Basis(Summed):
    """An invoice basis, or the credit of one. Its number is its own in the vendor's series."""

    number: str  # "" before it is locked
    kind: Kind
    issued: date
    due: date
    period: str  # 2024-05
    start: date
    end: date  # inclusive
    currency: str
    seller: Seller
    buyer: Buyer
    lines: tuple[BasisLine, ...]
    emails: int  # that were counted in the month; 0 on a credit
    plan: str = ""
    original: Original | None = None
    reason: str = ""  # why it was credited

    @property
    def is_credit(self) -> bool:
        return self.kind is Kind.CREDIT

    def numbered(self, number: str) -> Basis:
        return replace(self, number=number)

    def issued_on(self, day: date) -> Basis:
        return replace(self, issued=day, due=day + timedelta(days=self.seller.payment_days))


def vat_sums(lines: Iterable[BasisLine], currency: str) -> tuple[VatSum, ...]:
    """The VAT of lines: one rounding for each rate, on the sum (Skatteverket; EN 16931 BR-CO-17)."""
    sums: dict[tuple[VatCategory, Decimal], Money] = {}
    for line in lines:
        key = (line.vat_category, line.vat_rate.normalize())
        sums[key] = sums.get(key, Money.zero(currency)) + line.net
    ordered = sorted(sums.items(), key=lambda one: (-one[0][1], one[0][0]))
    return tuple(VatSum(category, rate, net, net.percent(rate)) for (category, rate), net in ordered)


# --- as text -------------------------------------------------------------------------------------------------------


def to_text(basis: Basis) -> str:
    """The basis as canonical JSON: the same text for the same basis, whenever it is written."""
    return _to_json(basis)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # `asdict` would copy all that it holds


_to_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain).encode


def from_text(text: str) -> Basis:
    """The basis that `to_text` wrote."""
    values = json.loads(text)
    original = values.pop("original")
    dates: Any = {name: date.fromisoformat(values.pop(name)) for name in ("issued", "due", "start", "end")}
    return Basis(
        kind=Kind(values.pop("kind")),
        seller=Seller(**_party(values.pop("seller"))),
        buyer=Buyer(**_party(values.pop("buyer"))),
        original=Original(original["number"], date.fromisoformat(original["issued"])) if original else None,
        lines=tuple(map(_line, values.pop("lines"))),
        **dates,
        **values,
    )


def _party(values: dict[str, Any]) -> dict[str, Any]:
    endpoint = values["endpoint"]
    return {**values, "address": Address(**values["address"]), "endpoint": Endpoint(**endpoint) if endpoint else None}


def _line(values: dict[str, Any]) -> BasisLine:
    quantity, price, net = values["quantity"], values["unit_price"], values["net"]
    return BasisLine(**{
        **values,
        "kind": LineKind(values["kind"]),
        "quantity": Quantity(quantity["number"], Unit(quantity["unit"])),
        "unit_price": UnitPrice(Decimal(price["amount"]), price["currency"], Unit(price["unit"])),
        "net": Money(Decimal(net["amount"]), net["currency"]),
        "vat_rate": Decimal(values["vat_rate"]),
        "vat_category": VatCategory(values["vat_category"]),
        "start": date.fromisoformat(values["start"]),
        "end": date.fromisoformat(values["end"]),
    })  # fmt: skip
