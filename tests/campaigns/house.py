"""The notice's campaign in a database: Eken and Linden, Hyra and Marknad, the ways out and the alternatives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from ombud.accounts import Customer, Directory, load_directory, put_customer, put_product
from ombud.accounts.people import Person, put_person
from ombud.campaigns.choosing import NO_CENTRE, Chosen, ServiceCentre, choose
from ombud.choices import Campaign, Choices, Page, Shown, load_choices, put_campaign
from ombud.db import Database, Transaction
from ombud.domains import prove_domain
from ombud.routing import load_facts, put_route
from ombud.seal import Seal
from tests.campaigns.values import MAILGUN, OWN, campaign

#: What the database has no part in is tried on one of them.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SEAL = Seal(b"m" * 32)
BEGUN = datetime(2024, 1, 8, 8, tzinfo=UTC)
NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)
SHOWN = Shown("Alternativ 2: via Mailgun.", "500 kr per månad", "sv", {"campaign": 1})
TEXTS = {(page, language): f"# {page}" for page in Page for language in ("sv", "en")}


@dataclass(frozen=True)
class House:
    """What is in the database."""

    database: Database
    campaign: Campaign
    directory: Directory
    karin: Person  # Eken's, who may choose
    lars: Person  # Linden's, who may choose

    @property
    def eken(self) -> Customer:
        return self.directory.customer("eken")

    @property
    def linden(self) -> Customer:
        return self.directory.customer("linden")

    def product(self, slug: str) -> int:
        return self.directory.product(slug).id

    def route(self, slug: str) -> int:
        with self.database.read() as tx:
            route = load_facts(tx).route(slug)
        assert route
        return route.id

    def choices(self) -> Choices:
        with self.database.read() as tx:
            return load_choices(tx)

    def choose(
        self, customer: Customer, alternative: str, now: datetime = NOON, *, expected: int | None = None,
        centre: ServiceCentre = NO_CENTRE,
    ) -> Chosen:  # fmt: skip
        person = self.karin if customer.slug == "eken" else self.lars
        with self.database.write() as tx:
            return choose(
                tx, self.campaign, customer, alternative, SHOWN, now, expected=expected, person=person, centre=centre
            )


def furnish(database: Database, **more: Any) -> House:
    with database.write() as tx:
        for slug, name in (("eken", "Bostads AB Eken"), ("linden", "Stiftelsen Linden")):
            put_customer(tx, slug, name, BEGUN, org_number="556677-8899" if slug == "eken" else "556600-0001")
        put_product(tx, "hyra", "Hyra", BEGUN)
        put_product(tx, "marknad", "Marknad", BEGUN)
        directory = load_directory(tx)
        routes = _put_routes(tx, directory)
        products = {directory.product("hyra").id: routes["vipre"], directory.product("marknad").id: routes["egna"]}
        made = put_campaign(tx, campaign(products=products, alternatives=(OWN, MAILGUN), **more), TEXTS, BEGUN)
        people = [
            put_person(tx, directory.customer(slug).id, name, f"{name.split()[0].lower()}@{slug}.example", BEGUN, may_choose=True)
            for slug, name in (("eken", "Karin Ek"), ("linden", "Lars Lind"))
        ]  # fmt: skip
        for slug in ("eken", "linden"):
            prove_domain(tx, f"{slug}.example", directory.customer(slug), "operator", "", BEGUN)
    return House(database, made, directory, *people)


def _put_routes(tx: Transaction, directory: Directory) -> dict[str, int]:
    for slug in ("vipre", "egna", "mailgun"):
        put_route(tx, SEAL, slug, "smtp", {"host": f"{slug}.example"}, None, BEGUN, billable=slug == "mailgun")
    eken = directory.customer("eken").id
    put_route(tx, SEAL, "eken-egen", "smtp", {"host": "mail.eken.example"}, None, BEGUN, customer_id=eken)
    return {route.slug: route.id for route in load_facts(tx).routes.values()}
