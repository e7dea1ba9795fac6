"""Credits: a locked invoice is never changed, it is credited, in full or by line, with a reason and unmistakably that one
(17 kap. 22 § mervärdesskattelagen)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from ombud.billing.basis import Basis, BasisLine, Kind, LineKind, Original
from ombud.billing.ledger import Kept, New, basis_of, basis_table, credits_of, keep
from ombud.billing.money import Money, Quantity, Unit, UnitPrice
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.errors import BadField, CreditTooLarge, NothingToCredit


@dataclass(frozen=True, slots=True)
class Left:
    """A line of an invoice, and how much of it has not been credited."""

    line: BasisLine
    left: Money


def left_of(kept: Kept, credits: Iterable[Kept]) -> list[Left]:
    """What can still be credited of an invoice with these credits, line by line."""
    given: dict[int, Money] = {}
    for credit in credits:
        for line in credit.basis.lines:
            given[line.credits] = given.get(line.credits, Money.zero(line.net.currency)) + line.net
    return [Left(line, line.net + given.get(line.n, Money.zero(line.net.currency))) for line in kept.basis.lines]


def credit(
    tx: Transaction, number: str, now: datetime, by: str, reason: str, lines: Mapping[int, Money | None] | None = None
) -> Basis:
    """Credit an invoice: all that is left of it (`lines` None), or these of its lines, each with an amount without VAT or all that
    is left (None). The credit, with a number of its own.

    Raises NotFound, NothingToCredit, CreditTooLarge, or BadField.
    """
    if not reason.strip() or not reason.isprintable():
        raise BadField(field="reason", reason="say in one line why it is credited; the customer reads it")
    kept = _held(tx, number)
    credits = credits_of(tx, kept.id)
    left = {one.line.n: one for one in left_of(kept, credits)}
    if kept.basis.is_credit or not any(one.left for one in left.values()):
        raise NothingToCredit(number=number)
    credited = _asked(number, left, lines)
    basis = _credit(kept.basis, credited, now, reason.strip())
    (new,) = keep(tx, [New(basis, {}, 1 + len(credits), kept.id)], by, now)
    return basis.numbered(new)


def _held(tx: Transaction, number: str) -> Kept:
    """The invoice, which no one else credits until this transaction ends."""
    if tx.postgres:
        tx.execute(select(basis_table.c.id).where(basis_table.c.number == number).with_for_update())
    return basis_of(tx, number)


def _asked(
    number: str, left: Mapping[int, Left], lines: Mapping[int, Money | None] | None
) -> list[tuple[BasisLine, Money]]:
    """Which lines, and how much of each."""
    if lines is None:
        return [(one.line, one.left) for one in left.values() if one.left]
    if not lines:
        raise BadField(field="line", reason="name at least one line")
    found = []
    for n, asked in lines.items():
        if n not in left:
            raise BadField(field="line", reason=f"{number} has no line {n}; it has 1 to {len(left)}")
        one = left[n]
        amount = one.left if asked is None else _amount(number, n, one.left, asked)
        if not amount:
            raise CreditTooLarge(asked="0.00", line=n, number=number, left=str(one.left))
        found.append((one.line, amount))
    return found


def _amount(number: str, n: int, left: Money, asked: Money) -> Money:
    """Of a line that was itself negative (an adjustment) nothing but all can be credited."""
    if asked.currency != left.currency:
        raise BadField(field="amount", reason=f"{number} is in {left.currency}")
    if asked.amount != asked.rounded().amount:
        raise BadField(field="amount", reason="it has more decimals than there are öre")
    if not Money.zero(left.currency) < asked <= left:
        raise CreditTooLarge(asked=str(asked), line=n, number=number, left=str(left))
    return asked.rounded()


def _credit(original: Basis, credited: Sequence[tuple[BasisLine, Money]], now: datetime, reason: str) -> Basis:
    today = day_of(now)
    return replace(
        original,
        number="",
        kind=Kind.CREDIT,
        issued=today,
        due=today,
        lines=tuple(_line(n, line, amount) for n, (line, amount) in enumerate(credited, start=1)),
        emails=0,
        original=Original(original.number, original.issued),
        reason=reason,
    )


def _line(n: int, line: BasisLine, amount: Money) -> BasisLine:
    """A whole line is turned around; a part of one is one piece of that amount."""
    if amount == line.net:
        return replace(
            line,
            n=n,
            kind=LineKind.CREDIT,
            quantity=Quantity(-line.quantity.number, line.quantity.unit),
            net=-line.net,
            credits=line.n,
        )
    sign = -1 if amount > Money.zero(amount.currency) else 1
    return replace(
        line,
        n=n,
        kind=LineKind.CREDIT,
        quantity=Quantity(sign, Unit.ENTRY),
        unit_price=UnitPrice(abs(amount.amount), amount.currency, Unit.ENTRY),
        net=-amount,
        credits=line.n,
    )
