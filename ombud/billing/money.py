"""Money, quantities, and prices of one unit: three kinds that cannot be mixed, all exact. Only `rounded` rounds.

>>> UnitPrice(Decimal("0.012"), "SEK", Unit.EMAIL) * Quantity(30_000, Unit.EMAIL)
Money(amount=Decimal('360.000'), currency='SEK')
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from enum import StrEnum

from ombud.errors import UnknownCurrency

#: The currencies that can be billed in, each with how many decimals its smallest coin has.
CURRENCIES = {"SEK": 2, "EUR": 2, "NOK": 2, "DKK": 2, "GBP": 2, "USD": 2}

#: Products of prices and quantities are exact in this; the default of 28 digits would round very large ones.
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)


class Unit(StrEnum):
    """What a quantity counts; the value is its code in UN/ECE Recommendation 20, which invoices use."""

    EMAIL = "C62"  # pieces: one e-mail is one recipient handed over
    MONTH = "MON"
    ENTRY = "EA"  # one entry with a price of its own: an adjustment


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency, not rounded before it is asked to be. Adding up two currencies, or money and something else, raises."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if self.currency not in CURRENCIES:
            raise UnknownCurrency(currency=self.currency, known=", ".join(CURRENCIES))
        if not isinstance(self.amount, Decimal) or not self.amount.is_finite():
            raise TypeError(f"an amount is a finite Decimal, not {self.amount!r}")

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(Decimal("0.00"), currency)

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> Money:
        """So many öre (or cents)."""
        return cls(Decimal(minor).scaleb(-_decimals(currency)), currency)

    @property
    def minor(self) -> int:
        """The rounded amount in öre (or cents)."""
        return int(self.rounded().amount.scaleb(_decimals(self.currency)))

    def rounded(self) -> Money:
        """To öre (or cents), half up: away from zero, so that a credit rounds as what it credits."""
        step = Decimal(1).scaleb(-_decimals(self.currency))
        return Money(self.amount.quantize(step, context=_EXACT), self.currency)

    def share(self, part: int, whole: int) -> Money:
        """`part` / `whole` of it, rounded."""
        with localcontext(_EXACT):
            return Money(self.amount * part / whole, self.currency).rounded()

    def percent(self, rate: Decimal) -> Money:
        """So many percent of it, rounded."""
        with localcontext(_EXACT):
            return Money(self.amount * rate / 100, self.currency).rounded()

    def __add__(self, other: Money) -> Money:
        with localcontext(_EXACT):
            return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        with localcontext(_EXACT):
            return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other)

    def __str__(self) -> str:
        """The rounded amount with a decimal point and nothing else: `860.00`."""
        return f"{self.rounded().amount:f}"

    def _same(self, other: Money) -> Decimal:
        if not isinstance(other, Money):
            raise TypeError(f"money and {type(other).__name__} do not mix")
        if other.currency != self.currency:
            raise TypeError(f"{self.currency} and {other.currency} do not mix")
        return other.amount


def total(amounts: Iterable[Money], currency: str) -> Money:
    """Their sum; zero for none. Raises TypeError when one is of another currency."""
    sum_ = Money.zero(currency)
    for one in amounts:
        sum_ += one
    return sum_


@dataclass(frozen=True, slots=True)
class Quantity:
    """A whole number of some unit. Adding up different units, or a quantity and something else, raises."""

    number: int
    unit: Unit

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.number + self._same(other), self.unit)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.number - self._same(other), self.unit)

    def __str__(self) -> str:
        return str(self.number)

    def _same(self, other: Quantity) -> int:
        if not isinstance(other, Quantity):
            raise TypeError(f"a quantity and {type(other).__name__} do not mix")
        if other.unit is not self.unit:
            raise TypeError(f"{self.unit.name} and {other.unit.name} do not mix")
        return other.number


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What one unit costs: as many decimals as the plan has, such as 0.012 kr (1,2 öre) for an e-mail."""

    amount: Decimal
    currency: str
    unit: Unit

    def __mul__(self, quantity: Quantity) -> Money:
        """The exact price of so many, not rounded."""
        if not isinstance(quantity, Quantity):
            raise TypeError(f"a price and {type(quantity).__name__} do not make money")
        if quantity.unit is not self.unit:
            raise TypeError(f"a price of one {self.unit.name} and {quantity.unit.name} do not mix")
        with localcontext(_EXACT):
            return Money(self.amount * quantity.number, self.currency)

    def per(self, number: int) -> Decimal:
        """What so many units cost: 12.00 for 1000 e-mails at 0.012."""
        with localcontext(_EXACT):
            return self.amount * number

    def __str__(self) -> str:
        return f"{self.amount:f}"


def _decimals(currency: str) -> int:
    return CURRENCIES[currency]
