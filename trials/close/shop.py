"""A vendor, its plan and its customers, made with as few statements as there can be."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import insert, select

from ombud.accounts.customers import customer_table, product_table
from ombud.billing.basis import Address, Seller
from ombud.billing.money import Money, Unit, UnitPrice
from ombud.billing.parties import Payer, payer_table, put_seller
from ombud.billing.planbook import put_plan
from ombud.billing.plans import Articles, PlanTexts, PricePlan, Proration, Tier
from ombud.billing.subscriptions import subscription_table
from ombud.db import Database

BEGAN = datetime(2000, 1, 1, tzinfo=UTC)
PLAN = "molntjanst-2024"
_TEXTS = {
    "sv": PlanTexts("E-post", "E-post {period}", "Utöver {included}", "Justering {period}: {emails}"),
    "en": PlanTexts("E-mail", "E-mail {period}", "Over {included}", "Adjustment {period}: {emails}"),
}
_PAYER = Payer(reference="Inköp", street="Gatan 1", postal_code="123 45", city="Ort")


def open_shop(database: Database, customers: int, since: date, products: int = 1) -> list[int]:
    """So many customers who all pay by the story's plan since that day; their numbers."""
    plan = PricePlan(
        PLAN, date(2000, 1, 1), "SEK", Decimal(25), Money(Decimal(500), "SEK"), 1_000,
        (Tier(1_000, UnitPrice(Decimal("0.012"), "SEK", Unit.EMAIL)),), Proration.NONE, _TEXTS, Articles("F", "M", "J"),
    )  # fmt: skip
    seller = Seller(
        "Molntjänst AB", "559990-0643", "SE559990064301", Address("Molngatan 1", "", "123 40", "Molnby"), bankgiro="991-2346"
    )  # fmt: skip
    with database.write() as tx:
        put_seller(tx, seller)
        put_plan(tx, [plan], [], BEGAN, date(1999, 1, 1))
        rows = [
            {
                "slug": f"kund{n:05}", "name": f"Kund {n} AB", "org_number": _org_number(n), "contact_name": "", "contact_email": "",
                "language": "sv", "created_at": BEGAN,
            }
            for n in range(customers)
        ]  # fmt: skip
        tx.execute(insert(customer_table), rows)
        tx.execute(
            insert(product_table), [{"slug": f"p{n}", "name": f"P{n}", "created_at": BEGAN} for n in range(products)]
        )
        ids = list(tx.execute(select(customer_table.c.id).order_by(customer_table.c.id)).scalars())
        tx.execute(insert(payer_table), [{**asdict(_PAYER), "customer_id": id} for id in ids])
        live = {"plan": PLAN, "what": "start", "day": since, "by": "trial", "reason": "", "at": BEGAN}
        tx.execute(insert(subscription_table), [{"customer_id": id, **live} for id in ids])
    return ids


def _org_number(n: int) -> str:
    """A number with a right check digit."""
    digits = f"{556_000_000 + n:09}"
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(digits)]
    check = -sum(number - 9 if number > 9 else number for number in doubled) % 10
    return f"{digits[:6]}-{digits[6:]}{check}"
