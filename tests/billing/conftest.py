"""A vendor that sells by the story's plan, two customers that pay by it, and e-mails to bill."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

import ombud.queue  # noqa: F401  # so that every table is known
from ombud.accounts import Customer, load_directory, put_customer
from ombud.billing import subscriptions
from ombud.billing.basis import Address, Seller
from ombud.billing.money import Money, Unit, UnitPrice
from ombud.billing.parties import Payer, put_payer, put_seller
from ombud.billing.planbook import put_plan
from ombud.billing.plans import Agreement, Articles, PlanTexts, PricePlan, Proration, Tier
from ombud.db import Database, metadata
from ombud.errors import OmbudError
from ombud.routing import put_route
from ombud.routing.routes import load_routes
from ombud.seal import Seal
from ombud.usage import Counted, Tally, add_tallies
from tests.conftest import NOON, Cast, Postgres

SELLER = Seller(
    "Molntjänst AB", "559990-0643", "SE559990064301", Address("Molngatan 1", "", "123 40", "Molnby"), bankgiro="991-2346",
    number_prefix="M", first_number=1001,
)  # fmt: skip
TEXTS = {
    "sv": PlanTexts("E-post 2024", "Grundavgift {period}, {included} mejl ingår", "Utöver {included}, {price}", "Justering {period}: {emails} mejl"),
    "en": PlanTexts("E-mail 2024", "Fee {period}, {included} included", "Over {included}, {price}", "Adjustment {period}: {emails} e-mails"),
}  # fmt: skip
#: For what is Python's and not the database's.
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
JUNE_3 = datetime(2024, 6, 3, 8, 0, tzinfo=UTC)
JULY_2 = datetime(2024, 7, 2, 8, 0, tzinfo=UTC)


def make_plan(
    valid_from: date = date(2024, 1, 1), *, fee: str = "500", included: int = 10_000, price: str = "0.012",
    tiers: Sequence[tuple[int, str]] = (), proration: Proration = Proration.NONE, **more: object,
) -> PricePlan:  # fmt: skip
    steps = tiers or [(included, price)]
    plan = PricePlan(
        "molntjanst-2024", valid_from, "SEK", Decimal(25), Money(Decimal(fee), "SEK"), included,
        tuple(Tier(above, UnitPrice(Decimal(one), "SEK", Unit.EMAIL)) for above, one in steps), proration, TEXTS,
        Articles("FAST", "MEJL", "JUST"),
    )  # fmt: skip
    return replace(plan, **more)  # type: ignore[arg-type]  # whatever field a test wants


@dataclass(frozen=True)
class Shop:
    """What a test says."""

    database: Database
    eken: Customer
    linden: Customer
    product: int
    route: int  # the subcontractor's

    def sent(
        self, customer: Customer, day: date, number: int, what: Counted = Counted.BILLABLE, route: int = 0
    ) -> None:
        with self.database.write() as tx:
            add_tallies(tx, [Tally(day, customer.id, self.product, route or self.route, what, number)])

    def live(self, customer: Customer, day: date, at: datetime = NOON) -> None:
        with self.database.write() as tx:
            assert subscriptions.start(tx, customer.id, "molntjanst-2024", day, at, by="eva", reason="live")

    def ends(self, customer: Customer, day: date, at: datetime = NOON) -> None:
        with self.database.write() as tx:
            assert subscriptions.stop(tx, customer.id, day, at, by="eva")

    def agreed(self, customer: Customer, **values: object) -> None:
        agreement = Agreement(
            **{
                "slug": "molntjanst-2024", "customer_id": customer.id, "valid_from": date(2024, 5, 1), "valid_until": None,
                "approved_by": "Eva", "reason": "ramavtal", **values,
            }
        )  # type: ignore[arg-type]  # fmt: skip  # whatever field a test wants
        with self.database.write() as tx:
            put_plan(tx, [make_plan()], [agreement], NOON, NOON.date())


@pytest.fixture(scope="session")
def kept_postgres(postgres: Postgres) -> str:
    return postgres.fresh()


@pytest.fixture
def postgres_url(kept_postgres: str) -> str:
    """One database that is emptied, instead of a new one for each of so many tests."""
    empty(kept_postgres)
    return kept_postgres


def empty(url: str) -> None:
    """As it was when it was made: nothing but the counters and the test route."""
    kept = {"revision": " WHERE false", "fence": " WHERE false", "route": " WHERE slug <> 'test'"}
    statements = [
        "SET LOCAL session_replication_role = replica",
        *(f'DELETE FROM "{table.name}"{kept.get(table.name, "")}' for table in metadata.sorted_tables),
        *(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {number}, false)"
            for table, number in (("customer", 1), ("product", 1), ("route", 2))
        ),
    ]
    database = Database.open(url)
    with database.write() as tx:
        tx.execute(text("; ".join(statements)))
    database.close()


@pytest.fixture
def shop(database: Database, cast: Cast) -> Shop:
    with database.write() as tx:
        put_customer(tx, "eken", "Bostads AB Eken", NOON, org_number="559990-1013", contact_email="asa@eken.example")
        put_customer(tx, "linden", "Stiftelsen Linden", NOON, org_number="559990-1385", language="en")
        directory = load_directory(tx)
        put_seller(tx, SELLER)
        put_plan(tx, [make_plan()], [], NOON, date(2023, 12, 1))
        for customer in directory.customers.values():
            put_payer(tx, customer.id, Payer(reference="Inköp", street="Gatan 1", postal_code="123 45", city="Ekby"))
        put_route(tx, Seal(b"k" * 32), "mailgun-eu", "nowhere", {}, None, NOON, billable=True)
        route = next(one.id for one in load_routes(tx).values() if one.slug == "mailgun-eu")
    return Shop(database, directory.customer("eken"), directory.customer("linden"), cast.hyra.id, route)


def both_at_once(act: Callable[[], object]) -> list[object]:
    """What each of two is told who do the same at one moment: what came of it, or the code of the error."""
    together = threading.Barrier(2, timeout=20)

    def attempt() -> object:
        together.wait()
        try:
            return act()
        except OmbudError as error:
            return error.code

    with ThreadPoolExecutor(2) as threads:
        return [one.result(30) for one in [threads.submit(attempt) for _ in range(2)]]
