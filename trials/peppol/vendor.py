"""A vendor with many customers, closed and credited for two months by Ombud itself: everything that an invoice of its may hold.

The same seed makes the same vendor.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from ombud.accounts import load_directory, put_customer, put_product
from ombud.billing.basis import Address, Basis, Seller
from ombud.billing.close import lock, preview
from ombud.billing.credit import credit, left_of
from ombud.billing.exports import Format, Order, export
from ombud.billing.ledger import bases_of, credits_of
from ombud.billing.money import Money, Unit, UnitPrice
from ombud.billing.parties import Payer, put_payer, put_seller
from ombud.billing.planbook import put_plan
from ombud.billing.plans import Agreement, Articles, PlanTexts, PricePlan, Proration, Tier
from ombud.billing.subscriptions import start, stop
from ombud.clock import STOCKHOLM
from ombud.db import Database, Transaction
from ombud.db.migrate import upgrade
from ombud.usage import Counted, Tally, add_tallies

APRIL, MAY, JUNE = date(2024, 4, 1), date(2024, 5, 1), date(2024, 6, 1)
BY = "trial"
#: What the price table speaks of, and its edges.
COUNTS = (0, 1, 9_999, 10_000, 10_001, 12_500, 40_000, 100_000)
NAMES = (
    "Bostads AB Eken", "Stiftelsen Lindgården", 'Brf "Älven" & Söner', "Fastighets<AB> Örnen", "Åbo\u00a0Fastigheter", "=SUMMA(A1) AB",
    "Żółw Sp. z o.o.", "Société d'Électricité", "株式会社", "x" * 180,
)  # fmt: skip
SELLER = Seller(
    name="Molntjänst AB", org_number="559990-1005", vat_number="SE559990100501", address=Address("Vasagatan 1", "", "111 20", "Stockholm"),
    bankgiro="5050-1055", plusgiro="", contact="Ekonomi", phone="08-123 45 67", email="ekonomi@molntjanst.example", seat="Stockholm",
    number_prefix="2024-", first_number=1001,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """A file with the basis that it was made from."""

    name: str
    data: bytes
    basis: Basis


@contextmanager
def closed_vendor(directory: Path, customers: int, seed: int) -> Iterator[Database]:
    """April and May are locked; some of April's mail came late and some subscriptions ended in hindsight, so that May adjusts it; some
    invoices are credited, in full or in part."""
    database = Database.open(f"sqlite:///{directory / 'ombud.db'}", unsafe=True)
    try:
        upgrade(database)
        dice = random.Random(seed)
        ids = _founded(database, customers, dice)
        _close(database, "2024-04", MAY)
        _hindsight(database, ids, dice)
        _close(database, "2024-05", JUNE)
        _credit_some(database, dice)
        yield database
    finally:
        database.close()


def exported(database: Database, directory: Path) -> list[Document]:
    """Every invoice and credit of both months, as the product writes it for Peppol."""
    documents = []
    for period in ("2024-04", "2024-05"):
        place = directory / period
        for run in export(database, Order(period, Format.PEPPOL), place, _noon(JUNE, 20), BY):
            names = [file.name for file in run.files if file.name.endswith(".xml")]
            documents += [
                Document(name, (place / name).read_bytes(), basis) for name, basis in zip(names, run.bases, strict=True)
            ]
    return documents


# --- the vendor and its customers ----------------------------------------------------------------------------------


def _founded(database: Database, customers: int, dice: random.Random) -> list[int]:
    now = _noon(date(2023, 12, 1), 1)
    with database.write() as tx:
        put_seller(tx, SELLER)
        put_product(tx, "hyra", "Hyra", now)
        for n in range(customers):
            name = f"{dice.choice(NAMES)} {n}"
            put_customer(
                tx,
                f"k{n}",
                name,
                now,
                org_number=_org_number(5_599_000_000 + 37 * n),
                language=dice.choice(("sv", "en")),
            )
        found = load_directory(tx)
        ids = [found.customers[f"k{n}"].id for n in range(customers)]
        for id_ in ids:
            put_payer(tx, id_, _payer(dice))
        for n, plan in enumerate(_plans(dice)):
            agreed = [one for id_ in ids if dice.random() < 0.02 for one in [_agreement(plan[0].slug, id_, dice)]]
            put_plan(tx, plan, agreed, now, now.date())
            for id_ in ids[n :: len(PLANS)]:
                start(
                    tx,
                    id_,
                    plan[0].slug,
                    dice.choice((APRIL, APRIL, date(2024, 4, 17), date(2024, 5, 30))),
                    now,
                    by=BY,
                )
        _mail(tx, ids, APRIL, 30, dice)
        _mail(tx, ids, MAY, 31, dice)
    return ids


def _payer(dice: random.Random) -> Payer:
    reference, order = dice.choice((("4711", ""), ("", "PO-2024/17"), ("Anna Ångström", "88")))
    if dice.random() < 0.1:  # another EU country: reverse charge
        return Payer(
            vat_number="DE123456789", street="Ring 1", postal_code="10115", city="Berlin", country="DE", endpoint="9930:DE123456789",
            reference=reference, order_number=order,
        )  # fmt: skip
    address = dice.choice((("Storgatan 2", "Box 17", "222 22", "Lund"), ("", "", "", "Malmö")))
    return Payer(
        "", *address, reference=reference, order_number=order, cost_center=dice.choice(("", "4100")), number=dice.choice(("", "10023")),
        contact=dice.choice(("", "Göran Åkesson")), email=dice.choice(("", "faktura@kund.example")),
    )  # fmt: skip


#: VAT rate, fixed fee, included e-mails, tiers (above, price) and proration of each plan.
PLANS = (
    ("25", "500", 10_000, [(10_000, "0.012")], Proration.NONE),
    ("25", "500", 10_000, [(10_000, "0.012")], Proration.DAILY),
    ("12", "499.99", 0, [(0, "0.0123456")], Proration.NONE),
    ("6", "0", 100, [(100, "1.5"), (1_000, "0.75"), (20_000, "0.33")], Proration.DAILY),
    ("25", "33.33", 5_000, [(5_000, "0.1"), (50_000, "0.00005")], Proration.DAILY),
    ("25", "1250", 0, [(0, "0")], Proration.NONE),
    ("0", "75", 50, [(50, "0.02")], Proration.NONE),
)


def _plans(dice: random.Random) -> Iterator[list[PricePlan]]:
    for n, (vat, fee, included, tiers, proration) in enumerate(PLANS):
        versions = [_version(f"plan-{n}", date(2024, 1, 1), vat, fee, included, tiers, proration)]
        if n % 2:  # a new version in the middle of a month
            dearer = [(above, str(Decimal(price) * 2)) for above, price in tiers]
            versions.append(
                _version(f"plan-{n}", date(2024, 5, dice.randint(2, 30)), vat, fee, included, dearer, proration)
            )
        yield versions


def _version(
    slug: str, day: date, vat: str, fee: str, included: int, tiers: list[tuple[int, str]], proration: Proration
) -> PricePlan:
    texts = {
        "sv": PlanTexts(
            "Utskick", "Utskick {period}", "Mejl utöver {included}, {price}", "Justering {period}: {emails} mejl"
        ),
        "en": PlanTexts(
            "Mail", "Mail in {period}", "E-mails over {included}, {price}", "Adjustment of {period}: {emails} e-mails"
        ),
    }
    return PricePlan(
        slug, day, "SEK", Decimal(vat), Money(Decimal(fee), "SEK"), included,
        tuple(Tier(above, UnitPrice(Decimal(price), "SEK", Unit.EMAIL)) for above, price in tiers), proration, texts,
        Articles("OMB-F", "OMB-M", "OMB-J"),
    )  # fmt: skip


def _agreement(slug: str, customer_id: int, dice: random.Random) -> Agreement:
    return Agreement(
        slug, customer_id, date(2024, 1, 1), None, "Ekonomichefen", "Ramavtal", fixed_fee=Decimal(dice.choice(("0", "250", "99.50"))),
        price=Decimal(dice.choice(("0.01", "0.0099"))),
    )  # fmt: skip


def _mail(tx: Transaction, ids: list[int], first: date, days: int, dice: random.Random) -> None:
    tallies = []
    for id_ in ids:
        left = dice.choice((*COUNTS, dice.randint(0, 120_000)))
        while left > 0:
            number = min(left, max(1, dice.randint(left // 4, left)))
            tallies.append(Tally(first + timedelta(dice.randrange(days)), id_, 1, 1, Counted.BILLABLE, number))
            left -= number
    add_tallies(tx, tallies)


# --- the months ----------------------------------------------------------------------------------------------------


def _close(database: Database, period: str, after: date) -> None:
    now = _noon(after, 2)
    preview(database, period, now, BY)
    lock(database, period, now, BY, reason="a trial's customers have faults on purpose")


def _hindsight(database: Database, ids: list[int], dice: random.Random) -> None:
    now = _noon(MAY, 10)
    with database.write() as tx:
        for id_ in ids:
            if dice.random() < 0.15:
                add_tallies(tx, [Tally(date(2024, 4, 30), id_, 1, 1, Counted.BILLABLE, dice.randint(1, 5_000))])
            elif dice.random() < 0.1:
                stop(tx, id_, date(2024, 4, 20), now, by=BY, reason="ended in hindsight")


def _credit_some(database: Database, dice: random.Random) -> None:
    now = _noon(JUNE, 12)
    with database.write() as tx:
        for period in ("2024-04", "2024-05"):
            for kept in bases_of(tx, period):
                left = [one for one in left_of(kept, credits_of(tx, kept.id)) if one.left > Money.zero("SEK")]
                luck = dice.random()
                if luck < 0.15:
                    credit(tx, kept.basis.number, now, BY, "Fel kund fakturerad")
                elif luck < 0.3 and left:
                    half = left[0].left.share(1, 2)
                    if half:
                        credit(tx, kept.basis.number, now, BY, "Halva avgiften", {left[0].line.n: half})


def _noon(day: date, of_month: int) -> datetime:
    return datetime(day.year, day.month, of_month, 12, tzinfo=STOCKHOLM)


def _org_number(number: int) -> str:
    """A number of ten digits whose last one is right."""
    nine = str(number)[:9]
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(nine)]
    check = -sum(one - 9 if one > 9 else one for one in doubled) % 10
    return f"{nine[:6]}-{nine[6:]}{check}"
