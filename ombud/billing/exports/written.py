"""How values are written in files: prices with two decimals, one line of text, plain spaces, numbers without ornament."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ombud.billing.money import Unit, UnitPrice

#: What people call the units.
UNITS = {
    Unit.EMAIL: {"sv": "st", "en": "pcs"},
    Unit.MONTH: {"sv": "mån", "en": "month"},
    Unit.ENTRY: {"sv": "st", "en": "pcs"},
}
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class PriceFor:
    """`amount` for each `quantity` units: 1.2 öre apiece is 12.00 for 1 000."""

    amount: Decimal
    quantity: int


def price_for(price: UnitPrice) -> PriceFor:
    """The price with two decimals, for one unit or for as many as that takes: first 1 000, then ten times more at a time.

    >>> price_for(UnitPrice(Decimal("0.012"), "SEK", Unit.EMAIL))
    PriceFor(amount=Decimal('12.00'), quantity=1000)
    """
    quantity = 1
    while (amount := price.per(quantity)) != amount.quantize(_CENT):
        quantity = 1000 if quantity == 1 else quantity * 10
    return PriceFor(amount.quantize(_CENT), quantity)


def plain(text: str) -> str:
    """One line for a file: every kind of space is an ordinary one (hard spaces stay on screens), nothing that cannot be seen."""
    return " ".join("".join(one for one in text if one.isprintable() or one.isspace()).split())
