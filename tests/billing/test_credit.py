"""Credits point at their invoice, never give back more than there is, and leave what is locked as it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest

from ombud.billing.basis import Basis, Kind
from ombud.billing.close import lock, preview
from ombud.billing.credit import credit, left_of
from ombud.billing.ledger import State, bases_of, basis_of, credits_of, period_of
from ombud.billing.money import Money
from ombud.errors import BadField, CreditTooLarge, NotFound, NothingToCredit, OmbudError
from tests.billing.conftest import JULY_2, JUNE_3, SQLITE, Shop, both_at_once


@pytest.fixture
def invoice(shop: Shop) -> str:
    """500 kr fixed and 360 kr for 30 000 e-mails."""
    shop.live(shop.eken, date(2024, 5, 1))
    shop.sent(shop.eken, date(2024, 5, 7), 40_000)
    preview(shop.database, "2024-05", JUNE_3, "eva")
    return lock(shop.database, "2024-05", JUNE_3, "eva").numbers[0]


def credited(
    shop: Shop, number: str, lines: Mapping[int, str | None] | None = None, reason: str = "dubbelt skickat"
) -> Basis:
    asked = (
        None if lines is None else {n: None if one is None else Money(Decimal(one), "SEK") for n, one in lines.items()}
    )
    with shop.database.write() as tx:
        return credit(tx, number, JUNE_3, "eva", reason, asked)


def test_a_credit_in_full_turns_every_line_around_and_says_of_what(shop: Shop, invoice: str) -> None:
    basis = credited(shop, invoice)
    assert (basis.number, basis.kind, str(basis.net), str(basis.vat), str(basis.total)) == (
        "M1002", Kind.CREDIT, "-860.00", "-215.00", "-1075.00"
    )  # fmt: skip
    assert basis.original
    assert (basis.original.number, basis.original.issued, basis.reason) == (invoice, JUNE_3.date(), "dubbelt skickat")
    assert [(line.quantity.number, str(line.unit_price), str(line.net)) for line in basis.lines] == [
        (-1, "500.00", "-500.00"),
        (-30_000, "0.012", "-360.00"),
    ]
    with shop.database.read() as tx:
        assert [one.basis.number for one in bases_of(tx, "2024-05")] == ["M1001", "M1002"]
        assert str(basis_of(tx, invoice).basis.total) == "1075.00"  # as it was
        assert period_of(tx, "2024-05").state is State.CREDITED


def test_lines_are_credited_one_by_one_and_in_part_until_nothing_is_left(shop: Shop, invoice: str) -> None:
    first = credited(shop, invoice, {2: "60.00"})
    assert [(line.quantity.number, str(line.unit_price), str(line.net), line.credits) for line in first.lines] == [
        (-1, "60.00", "-60.00", 2)
    ]
    with shop.database.read() as tx:
        kept = basis_of(tx, invoice)
        assert [str(one.left) for one in left_of(kept, credits_of(tx, kept.id))] == ["500.00", "300.00"]
        assert period_of(tx, "2024-05").state is State.LOCKED
    credited(shop, invoice, {1: None})
    last = credited(shop, invoice)
    assert str(last.net) == "-300.00"
    with pytest.raises(NothingToCredit):
        credited(shop, invoice)


@SQLITE
@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ({2: "360.01"}, CreditTooLarge),
        ({2: "0"}, CreditTooLarge),
        ({2: "-1"}, CreditTooLarge),
        ({2: "1.001"}, BadField),
        ({3: None}, BadField),
        ({0: None}, BadField),
        ({}, BadField),
    ],
)
def test_what_cannot_be_credited_is_refused_and_nothing_is_written(
    shop: Shop, invoice: str, lines: dict[int, str | None], error: type[OmbudError]
) -> None:
    with pytest.raises(error):
        credited(shop, invoice, lines)
    with shop.database.read() as tx:
        assert len(bases_of(tx, "2024-05")) == 1


def test_no_line_gives_back_more_than_it_has_over_several_credits(shop: Shop, invoice: str) -> None:
    credited(shop, invoice, {2: "200"})
    with pytest.raises(CreditTooLarge, match=r"160\.00 is left"):
        credited(shop, invoice, {2: "160.01"})
    credited(shop, invoice, {2: None})
    with pytest.raises(CreditTooLarge):
        credited(shop, invoice, {2: None})


@SQLITE
@pytest.mark.parametrize("reason", ["", "  ", "två\nrader"])
def test_a_credit_has_a_reason_in_one_line(shop: Shop, invoice: str, reason: str) -> None:
    with pytest.raises(BadField, match="reason"):
        credited(shop, invoice, reason=reason)


def test_a_credit_and_what_does_not_exist_cannot_be_credited(shop: Shop, invoice: str) -> None:
    number = credited(shop, invoice).number
    with pytest.raises(NothingToCredit):
        credited(shop, number)
    with pytest.raises(NotFound):
        credited(shop, "M4711")


@SQLITE
def test_another_currency_is_refused(shop: Shop, invoice: str) -> None:
    with shop.database.write() as tx, pytest.raises(BadField, match="SEK"):
        credit(tx, invoice, JUNE_3, "eva", "fel", {1: Money(Decimal(1), "EUR")})


def test_of_two_credits_at_once_only_as_much_as_there_is_is_given_back(shop: Shop, invoice: str) -> None:
    said = both_at_once(lambda: credited(shop, invoice, {1: "400"}).number)
    assert sorted(map(str, said)) == ["M1002", "credit_too_large"]


def test_what_was_credited_is_not_invoiced_again_as_a_difference(shop: Shop, invoice: str) -> None:
    credited(shop, invoice)
    shown = preview(shop.database, "2024-06", JULY_2, "eva")
    assert shown.summary["adjustments"] == []


def test_an_adjustment_line_can_be_credited_too(shop: Shop, invoice: str) -> None:
    shop.sent(shop.eken, date(2024, 5, 31), 1_000)
    preview(shop.database, "2024-06", JULY_2, "eva")
    number = lock(shop.database, "2024-06", JULY_2, "eva").numbers[0]
    basis = credited(shop, number, {2: None})
    assert [(str(line.net), line.adjusts) for line in basis.lines] == [("-12.00", "2024-05")]
