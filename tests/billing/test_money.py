"""Money, quantities and prices do not mix, are exact, and round once, half up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.billing.money import Money, Quantity, Unit, UnitPrice, total
from ombud.errors import UnknownCurrency

amounts = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=6)


def sek(text: str) -> Money:
    return Money(Decimal(text), "SEK")


def test_what_is_not_the_same_kind_does_not_add_up() -> None:
    money, emails, price = sek("1"), Quantity(1, Unit.EMAIL), UnitPrice(Decimal("0.012"), "SEK", Unit.EMAIL)
    for wrong in (
        lambda: money + Money(Decimal(1), "EUR"),
        lambda: money + emails,
        lambda: money - 1,
        lambda: money < 1,
        lambda: emails + 1,
        lambda: emails + money,
        lambda: emails - Quantity(1, Unit.MONTH),
        lambda: price * 3,
        lambda: price * money,
        lambda: price * Quantity(1, Unit.MONTH),
        lambda: Money(1.5, "SEK"),
        lambda: Money(Decimal("NaN"), "SEK"),
        lambda: total([money, Money(Decimal(1), "EUR")], "SEK"),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_a_currency_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnknownCurrency, match="SKE"):
        Money(Decimal(1), "SKE")


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [
        ("0.144", "0.14"),
        ("0.145", "0.15"),
        ("0.005", "0.01"),
        ("-0.005", "-0.01"),
        ("500.012", "500.01"),
        ("1116.9375", "1116.94"),
    ],
)
def test_rounding_is_half_up_to_ore(exact: str, rounded: str) -> None:
    assert str(sek(exact)) == rounded


def test_nothing_is_rounded_before_it_is_asked_to_be() -> None:
    price = UnitPrice(Decimal("0.000000000012"), "SEK", Unit.EMAIL)
    assert (price * Quantity(10**18, Unit.EMAIL)).amount == Decimal("12000000")
    assert (sek("0.0000000001") + sek("1000000000000000000000000")).amount == Decimal(
        "1000000000000000000000000.0000000001"
    )
    assert price.per(10**9) == Decimal("0.012")


@given(amounts)
def test_a_credit_rounds_as_what_it_credits(amount: Decimal) -> None:
    money = Money(amount, "SEK")
    assert (-money).rounded() == -money.rounded()
    assert Money.of_minor(money.minor, "SEK") == money.rounded()


@given(amounts, st.integers(1, 31), st.data())
def test_the_shares_of_days_that_follow_each_other_make_the_whole(
    amount: Decimal, days: int, data: st.DataObject
) -> None:
    money = Money(amount, "SEK").rounded()
    cuts = sorted(data.draw(st.sets(st.integers(1, days))) | {days})
    parts = [money.share(end, days) - money.share(start, days) for start, end in zip([0, *cuts], cuts, strict=False)]
    assert total(parts, "SEK") == money
