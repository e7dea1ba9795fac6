"""Makes the campaign: customers with people, domains and routes, and a month of traffic as the daily counts that it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random

from sqlalchemy import delete, insert

from ombud.accounts import Customer, Directory, load_directory, put_customer, put_product
from ombud.accounts.people import Person, Role, put_person
from ombud.accounts.vendor import put_vendor
from ombud.choices import Alternative, Campaign, Kind, Need, Page, put_campaign
from ombud.clock import parse_moment
from ombud.db import Database, Transaction
from ombud.domains import prove_domain
from ombud.domains.watchlist import watch_table
from ombud.routing import load_facts, put_route
from ombud.seal import Seal
from ombud.usage import Counted, Tally, add_tallies
from ombud.workdays import workdays

SLUG = "generated-2024"
MESSAGES = 10_000_000
DAYS = 30
PRODUCTS = ("hyra", "teknisk-forvaltning", "energi", "analys", "online", "ekonomi", "marknad")
BEGUN = parse_moment("2024-01-08T08:00")
DAY = timedelta(days=1)


@dataclass
class Made:
    """What was made, and the dice that made it."""

    database: Database
    seal: Seal
    rng: Random
    campaign: Campaign
    directory: Directory
    routes: dict[str, int]
    people: dict[int, list[Person]] = field(default_factory=dict)  # by customer

    @property
    def customers(self) -> list[Customer]:
        return [one for one in self.directory.customers.values() if one.slug != "vendor"]


def make(database: Database, seal: Seal, customers: int, seed: int) -> Made:
    """The campaign before its first letter, in an empty database."""
    rng = Random(seed)
    with database.write() as tx:
        for n in range(customers):
            put_customer(tx, f"kund-{n:05}", f"Bostads AB Nr {n}", BEGUN, org_number=f"55{n:04}-{n % 10_000:04}")
        put_customer(tx, "vendor", "Molntjänst AB", BEGUN)
        for slug in (*PRODUCTS, "ombud"):
            put_product(tx, slug, slug.title(), BEGUN)
        directory = load_directory(tx)
        for slug in ("vipre", "egen-server", "mailgun"):
            put_route(tx, seal, slug, "smtp", {"host": f"{slug}.example"}, None, BEGUN, billable=slug == "mailgun")
        routes = {route.slug: route.id for route in load_facts(tx).routes.values()}
        put_vendor(
            tx,
            "Molntjänst AB",
            directory.customer("vendor"),
            directory.product("ombud"),
            "Post <post@vendor.example>",
            BEGUN,
        )
        campaign = put_campaign(tx, _campaign(directory, routes), _pages(), BEGUN)
    made = Made(database, seal, rng, campaign, directory, routes)
    with database.write() as tx:
        _put_people(tx, made)
        _put_domains(tx, made)
    return made


def _campaign(directory: Directory, routes: dict[str, int]) -> Campaign:
    names = {"sv": "Alternativ", "en": "Alternative"}
    return Campaign(
        id=0, slug=SLUG, version=0, name={"sv": "Aktivt val 2024", "en": "Active choice 2024"},
        products={directory.product(slug).id: routes["egen-server" if slug == "marknad" else "vipre"] for slug in PRODUCTS},
        alternatives=(
            Alternative("own", Kind.OWN, "{slug}-egen", (Need.PROVEN,), True, names, names),
            Alternative("mailgun", Kind.SUBCONTRACTOR, "mailgun", (Need.RECORDS, Need.PROVEN), False, names, names),
        ),
        start_date=date(2024, 1, 8), risk_date=date(2024, 2, 1), stop_date=date(2024, 5, 31), last_extension_date=date(2024, 8, 31),
    )  # fmt: skip


def _pages() -> dict[tuple[Page, str], str]:
    return {(page, language): f"# {page}" for page in Page for language in ("sv", "en")}


def _put_people(tx: Transaction, made: Made) -> None:
    """One who may choose at each, an IT supplier at a third, a Microsoft administrator at a tenth."""
    for customer in made.customers:
        people = [
            put_person(
                tx, customer.id, f"Karin {customer.id}", f"karin@{customer.slug}.example", BEGUN, may_choose=True,
                language="en" if made.rng.random() < 0.1 else "sv",
            )
        ]  # fmt: skip
        for role, share in ((Role.IT_SUPPLIER, 0.35), (Role.MICROSOFT_ADMIN, 0.1)):
            if made.rng.random() < share:
                people.append(
                    put_person(
                        tx, customer.id, f"Isak {customer.id}", f"{role}@{customer.slug}.example", BEGUN, role=role
                    )
                )
        made.people[customer.id] = people


def _put_domains(tx: Transaction, made: Made) -> None:
    """One each, whose records have been looked for and are not there."""
    rows = []
    for customer in made.customers:
        name = f"{customer.slug}.example"
        prove_domain(tx, name, customer, "operator", "generated", BEGUN)
        record = {
            "type": "CNAME",
            "name": f"om1._domainkey.{name}",
            "expected": "om1.dkim.vendor.example",
            "state": "missing",
        }
        has_supplier = any(one.role is Role.IT_SUPPLIER for one in made.people[customer.id])
        rows.append(
            {
                "domain": name, "state": "pending", "since": BEGUN, "checked_at": BEGUN, "next_at": BEGUN, "tries": 1,
                "stuck_told": False, "answers": "-", "missed": 1, "doubtful": False, "good": [], "codes": ["dkim.missing"],
                "turn": "it_supplier" if has_supplier else "customer", "states": ["missing"],
                "report": {"domain": name, "records": [record], "findings": []},
            }
        )  # fmt: skip
    tx.execute(delete(watch_table))  # as a check would have left them, instead of as they began
    tx.execute(insert(watch_table), rows)


# --- traffic -------------------------------------------------------------------------------------------------------


def put_traffic(made: Made, until: date, messages: int = MESSAGES) -> int:
    """Exactly so many messages over the working days of the 30 before `until`, as the counts that they leave. Returns how many counts."""
    days = list(workdays(until - DAYS * DAY, until))
    counts = list(_counts(made, days, messages))
    at_a_time = 100_000
    for start in range(0, len(counts), at_a_time):
        with made.database.write() as tx:
            add_tallies(tx, counts[start : start + at_a_time])
    return len(counts)


def _counts(made: Made, days: list[date], messages: int) -> Iterator[Tally]:
    senders = [
        (customer.id, made.directory.product(slug).id, "egen-server" if slug == "marknad" else "vipre")
        for customer in made.customers
        for slug in made.rng.sample(PRODUCTS, made.rng.choice((1, 1, 2, 2, 3, 4)))
    ]
    weights = [made.rng.paretovariate(1.2) for _ in senders]  # few send much, most little
    shares = shared_out(messages, weights)
    for (customer, product, route), share in zip(senders, shares, strict=True):
        gmail = made.rng.uniform(0.1, 0.5)
        for day, number in zip(days, shared_out(share, [1.0] * len(days)), strict=True):
            if number:
                who = (day, customer, product, made.routes[route])
                yield Tally(*who, Counted.ACCEPTED, number)
                yield Tally(*who, Counted.TO_GMAIL, int(number * gmail))
                yield Tally(*who, Counted.FREE, number)


def shared_out(whole: int, weights: list[float]) -> list[int]:
    """`whole` in parts by their weights, without losing one."""
    total, parts, given, seen = sum(weights), [], 0, 0.0
    for weight in weights:
        seen += weight
        part = round(whole * seen / total) - given
        parts.append(part)
        given += part
    return parts


def noon(day: date, hour: int = 12) -> datetime:
    return parse_moment(f"{day.isoformat()}T{hour:02}:00")
