"""What people look at before they lock a month: totals, what has changed since the last one, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ombud.billing.drafts import Draft, Facts
from ombud.billing.ledger import net_by_customer
from ombud.billing.money import Money, total
from ombud.billing.reconcile import provider_counts
from ombud.clock import months_before
from ombud.db import Transaction

#: So many of the biggest changes are shown.
BIGGEST = 10


def summarized(tx: Transaction, facts: Facts, found: Sequence[Draft], *, ended: bool) -> dict[str, Any]:
    """A month's preview as plain values: texts, whole numbers, and amounts as texts with a decimal point."""
    period, before = facts.period, net_by_customer(tx, months_before(facts.period, 1)[0])
    billed = [one for one in found if one.basis]
    return {
        "period": period,
        "ended": ended,
        "invoices": len(billed),
        "emails": sum(one.emails for one in found),
        "totals": _totals(billed),
        "new": [one.customer.slug for one in billed if one.customer.id not in before],
        "gone": sorted(facts.customers[id].slug for id in before.keys() - {one.customer.id for one in billed}),
        "zero": [one.customer.slug for one in billed if not one.emails],
        "changes": _changes(billed, before),
        "agreements": _agreements(billed),
        "adjustments": [
            {"customer": one.customer.slug, "period": late.period, "emails": late.emails, "net": str(late.net)}
            for one in billed
            for late in one.adjustments
        ],
        "faults": [asdict(fault) for one in found for fault in one.faults],
        "red": sum(fault.red for one in found for fault in one.faults),
        "provider": _provider(tx, facts),
    }


def _totals(billed: Iterable[Draft]) -> list[dict[str, str]]:
    """By currency."""
    bases = [one.basis for one in billed if one.basis]
    return [
        {
            "currency": currency,
            **{
                name: str(total((getattr(one, name) for one in bases if one.currency == currency), currency))
                for name in ("net", "vat", "total")
            },
        }
        for currency in sorted({one.currency for one in bases})
    ]


def _changes(billed: Iterable[Draft], before: Mapping[int, int]) -> list[dict[str, str]]:
    changes = []
    for one in billed:
        if one.basis and one.customer.id in before:
            earlier = Money.of_minor(before[one.customer.id], one.basis.currency)
            changes.append((one.basis.net - earlier, earlier, one.basis.net, one.customer.slug))
    biggest = sorted((one for one in changes if one[0]), key=lambda one: (-abs(one[0].amount), one[3]))[:BIGGEST]
    return [
        {"customer": slug, "before": str(earlier), "now": str(now), "difference": str(change)}
        for change, earlier, now, slug in biggest
    ]


def _agreements(billed: Iterable[Draft]) -> list[dict[str, str]]:
    """Prices that somebody has agreed on with a customer."""
    return [
        {"customer": one.customer.slug, "plan": stretch.plan.version, "approved": stretch.plan.agreed}
        for one in billed
        if one.priced
        for stretch in one.priced.stretches
        if stretch.plan.agreed
    ]


def _provider(tx: Transaction, facts: Facts) -> dict[str, Any] | None:
    """Ours against the provider's own count, where it has been taken in: all, and each customer that differs."""
    if (counts := provider_counts(tx, facts.period)) is None:
        return None
    ours, theirs = counts
    rows = [
        {"customer": facts.customers[id].slug, "ours": ours.get(id, 0), "theirs": theirs.get(id, 0)}
        for id in sorted(ours.keys() | theirs.keys())
    ]
    return {
        "ours": sum(ours.values()),
        "theirs": sum(theirs.values()),
        "differs": [row for row in rows if row["ours"] != row["theirs"]],
    }
