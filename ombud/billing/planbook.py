"""The price plans that there are: kept for good, version by version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Integer, Table, Text, UniqueConstraint, insert, select, update

from ombud.billing.money import Money, Unit, UnitPrice
from ombud.billing.plans import (
    DAY,
    Agreement,
    Articles,
    Plans,
    PlanTexts,
    PricePlan,
    Proration,
    Tier,
    check_agreements,
    check_versions,
)
from ombud.db import Day, Identity, Json, Moment, Transaction, metadata
from ombud.errors import BadPlan, PlanFixed

#: One row for each version of a plan, and for each agreement with a customer on top of it.
plan_table = Table(
    "price_plan",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("slug", Text, nullable=False),
    Column("customer_id", Integer, nullable=False),  # 0: everyone
    Column("valid_from", Day, nullable=False),
    Column("valid_until", Day),
    Column("terms", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("slug", "customer_id", "valid_from", name="uq_price_plan"),
)
_p = plan_table.c
EVERYONE = 0
_Key = tuple[int, date]  # customer and first day


def load_plans(tx: Transaction) -> Plans:
    versions: dict[str, list[PricePlan]] = defaultdict(list)
    agreements: dict[tuple[str, int], list[Agreement]] = defaultdict(list)
    for row in tx.execute(select(plan_table).order_by(_p.slug, _p.customer_id, _p.valid_from)):
        if row.customer_id == EVERYONE:
            versions[row.slug].append(_version(row))
        else:
            agreements[row.slug, row.customer_id].append(_agreement(row))
    return Plans(
        {slug: tuple(found) for slug, found in versions.items()},
        {key: tuple(found) for key, found in agreements.items()},
    )


@dataclass(frozen=True, slots=True)
class Put:
    """What came of one version or agreement: whether it was there before, and whether anything changed."""

    slug: str
    customer_id: int
    valid_from: date
    known: bool
    changed: bool


def put_plan(
    tx: Transaction, versions: Sequence[PricePlan], agreements: Sequence[Agreement], now: datetime, today: date
) -> list[Put]:
    """Bring a plan to these versions, which are all of it, and these agreements, beside others that there may be.

    What is in force is never changed: only its last day may be set, as long as that is not past. What is still to come may be.
    Raises BadPlan or UnknownCurrency for what cannot be right, and PlanFixed for what would change the past.
    """
    slug = versions[0].slug
    check_versions(slug, versions)
    rows = [_row(slug, EVERYONE, one.valid_from, one.valid_until, _terms(one)) for one in versions]
    rows += [_row(slug, one.customer_id, one.valid_from, one.valid_until, _agreed(one)) for one in agreements]
    there = {(row.customer_id, row.valid_from): row for row in tx.execute(select(plan_table).where(_p.slug == slug))}
    _check_continued(slug, there, {(row["customer_id"], row["valid_from"]): row for row in rows}, today)
    put = [_put(tx, row, there.get((row["customer_id"], row["valid_from"])), now, today) for row in rows]
    mine = [one for (name, _), group in load_plans(tx).agreements.items() if name == slug for one in group]
    check_agreements(slug, versions, mine)
    return put


def _check_continued(slug: str, there: Mapping[_Key, Any], wanted: Mapping[_Key, Any], today: date) -> None:
    """What is known of the plan must go on from what there was: nothing is taken out, and nothing put into the past."""
    for customer_id, valid_from in there:
        if customer_id == EVERYONE and (customer_id, valid_from) not in wanted:
            raise BadPlan(plan=slug, reason=f"the version of {valid_from} is missing; what was announced stays")
    for customer_id, valid_from in wanted:
        # An agreement may be for the month that is running; prices for everyone are told before they hold.
        earliest = today + DAY if customer_id == EVERYONE else today.replace(day=1)
        if there and (customer_id, valid_from) not in there and valid_from < earliest:
            raise BadPlan(
                plan=slug, reason=f"what is new cannot be valid from {valid_from}; from {earliest} at the earliest"
            )


def _put(tx: Transaction, row: dict[str, Any], before: Any, now: datetime, today: date) -> Put:
    def put(changed: bool) -> Put:
        return Put(row["slug"], row["customer_id"], row["valid_from"], before is not None, changed)

    if before is None:
        tx.execute(insert(plan_table).values(**row, created_at=now))
        return put(True)
    if before.terms == row["terms"] and before.valid_until == row["valid_until"]:
        return put(False)
    ended = before.valid_until is not None and before.valid_until < today
    ends_in_the_past = row["valid_until"] is not None and row["valid_until"] < today
    if before.valid_from <= today and (before.terms != row["terms"] or ended or ends_in_the_past):
        raise PlanFixed(plan=row["slug"], valid_from=before.valid_from)
    tx.execute(update(plan_table).where(_p.id == before.id).values(valid_until=row["valid_until"], terms=row["terms"]))
    return put(True)


# --- as rows -------------------------------------------------------------------------------------------------------


def _row(slug: str, customer_id: int, valid_from: date, valid_until: date | None, terms: object) -> dict[str, Any]:
    return {
        "slug": slug, "customer_id": customer_id, "valid_from": valid_from, "valid_until": valid_until, "terms": terms
    }  # fmt: skip


def _terms(plan: PricePlan) -> dict[str, Any]:
    return {
        "currency": plan.currency,
        "vat_rate": str(plan.vat_rate),
        "fixed_fee": str(plan.fixed_fee.amount),
        "included": plan.included,
        "tiers": [[tier.above, str(tier.price.amount)] for tier in plan.tiers],
        "proration": plan.proration,
        "articles": asdict(plan.articles),
        "texts": {language: asdict(texts) for language, texts in plan.texts.items()},
    }


def _version(row: Any) -> PricePlan:
    terms = row.terms
    currency = terms["currency"]
    return PricePlan(
        slug=row.slug,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        currency=currency,
        vat_rate=Decimal(terms["vat_rate"]),
        fixed_fee=Money(Decimal(terms["fixed_fee"]), currency),
        included=terms["included"],
        tiers=tiers_of(terms["tiers"], currency),
        proration=Proration(terms["proration"]),
        articles=Articles(**terms["articles"]),
        texts={language: PlanTexts(**texts) for language, texts in terms["texts"].items()},
    )


def tiers_of(steps: Iterable[tuple[int, str]], currency: str) -> tuple[Tier, ...]:
    """Tiers from pairs of "above so many" and the price of one e-mail."""
    return tuple(Tier(above, UnitPrice(Decimal(price), currency, Unit.EMAIL)) for above, price in steps)


def _agreed(one: Agreement) -> dict[str, Any]:
    fee, price = one.fixed_fee, one.price
    return {
        "approved_by": one.approved_by,
        "reason": one.reason,
        "fixed_fee": None if fee is None else str(fee),
        "included": one.included,
        "price": None if price is None else str(price),
    }


def _agreement(row: Any) -> Agreement:
    terms = row.terms
    return Agreement(
        row.slug,
        row.customer_id,
        row.valid_from,
        row.valid_until,
        terms["approved_by"],
        terms["reason"],
        None if terms["fixed_fee"] is None else Decimal(terms["fixed_fee"]),
        terms["included"],
        None if terms["price"] is None else Decimal(terms["price"]),
    )
