"""What a sender domain needs in DNS: the records that the customer's ways out ask for, and those of the keys that we sign with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ombud.accounts import Customer, Directory
from ombud.choices import Need
from ombud.db import Transaction
from ombud.domains import Domain, Ownership, Slot, key_slots
from ombud.domains.proof import tried_since
from ombud.domains.rotation import domains_without_keys
from ombud.domains.volume import bulk_senders
from ombud.domains.watch import State
from ombud.domains.watchlist import standings
from ombud.mail.dmarc import organisation_by_list
from ombud.mail.records import Purpose, Record
from ombud.providers import records_for
from ombud.routing import Facts, Route, decide

#: A probe message that proved nothing is sent again after so long.
TRY_AGAIN = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Needs:
    """The records of one domain, each once. `keyless`: its mail is to be signed by us, and there is no key for it yet. `bulk`:
    it sends so much that receivers demand DMARC of it."""

    records: tuple[Record, ...] = ()
    keyless: bool = False
    bulk: bool = False


def needs_of(
    tx: Transaction, domain: Domain, facts: Facts, directory: Directory, now: datetime, vendor_zone: str = ""
) -> Needs:
    """What the domain needs for every way that its mail takes, or is to take by what its customer has chosen."""
    routes = ways_of(facts, directory, directory.customer_by_id(domain.customer_id), now)
    signed = any(route.sign for route in routes)
    slots = key_slots(tx, domain.name, vendor_zone) if signed else []
    records: dict[tuple[Purpose, str], Record] = {}
    for record in (*_of_keys(slots), *_of_routes(routes, domain.name)):
        there = records.get(record.place)
        records[record.place] = there.beside(record) if there else record
    bulk = bool(bulk_senders(tx, organisation_by_list(domain.name)))
    return Needs(tuple(records.values()), keyless=signed and not slots, bulk=bulk)


def needs_by_name(
    tx: Transaction, names: Sequence[str], now: datetime, *,
    ownership: Ownership, facts: Facts, directory: Directory, vendor_zone: str,
) -> dict[str, Needs]:  # fmt: skip
    """What each of the domains of these names needs; those that are nobody's any more are left out."""
    domains = (ownership.domains[name] for name in names if name in ownership.domains)
    return {domain.name: needs_of(tx, domain, facts, directory, now, vendor_zone) for domain in domains}


def ways_of(facts: Facts, directory: Directory, customer: Customer, now: datetime) -> list[Route]:
    """The routes that the customer's mail takes, product by product; the chosen one where a choice is waiting to go live."""
    found: dict[int, Route] = {}
    for product in directory.products.values():
        route = _chosen(facts, customer, product.id, now)
        if route is None:
            decision = decide(facts, customer.id, product.id, now)
            route = (
                decision.route if not decision.sender else None
            )  # in reserve mode it is the vendor's own domain that sends
        if route:
            found[route.id] = route
    return list(found.values())


def keyless_names(
    tx: Transaction, now: datetime, *, ownership: Ownership, facts: Facts, directory: Directory
) -> list[str]:  # fmt: skip
    """The proved domains whose mail is to be signed by us, and that have no key for it yet."""
    owners = {name: owned.customer_id for name in domains_without_keys(tx) if (owned := ownership.domains.get(name))}
    customers = (one for one in directory.customers.values() if one.id in set(owners.values()))
    signed = {one.id for one in customers if any(route.sign for route in ways_of(facts, directory, one, now))}
    return [name for name, customer_id in owners.items() if customer_id in signed]


def unproven(
    tx: Transaction, now: datetime, *, ownership: Ownership, facts: Facts, directory: Directory
) -> list[tuple[str, Route]]:  # fmt: skip
    """Domains and the routes that their customers have chosen, where a real message has yet to prove them. Left out are those
    whose records are not in order, where the alternative needs them, and those that were tried within `TRY_AGAIN`."""
    domains: dict[int, list[str]] = {}
    for domain in ownership.domains.values():
        domains.setdefault(domain.customer_id, []).append(domain.name)
    customers = {one.id: one for one in directory.customers.values()}
    wanted: dict[tuple[str, int], tuple[Route, bool]] = {}
    for campaign in facts.choices.campaigns:
        for customer_id, choice in facts.choices.active_in(campaign.id).items():
            alternative = campaign.alternative(choice.alternative)
            route = facts.route(alternative.route_of(customers[customer_id].slug)) if customer_id in customers else None
            if route and Need.PROVEN in alternative.needs:
                ready_first = Need.RECORDS in alternative.needs
                wanted |= {(name, route.id): (route, ready_first) for name in domains.get(customer_id, ())}
    left = {place: found for place, found in wanted.items() if place not in facts.proven}
    if not left:
        return []
    ready = {one.domain for one in standings(tx) if one.state is State.OK}
    tried = tried_since(tx, now - TRY_AGAIN)
    return [
        (name, route)
        for (name, route_id), (route, ready_first) in left.items()
        if (name, route_id) not in tried and (name in ready or not ready_first)
    ]


def _chosen(facts: Facts, customer: Customer, product_id: int, now: datetime) -> Route | None:
    campaign = facts.choices.campaign_of(product_id, now)
    choice = facts.choices.active(campaign.id, customer.id) if campaign else None
    if campaign is None or choice is None:
        return None
    return facts.route(campaign.alternative(choice.alternative).route_of(customer.slug))


def _of_keys(slots: Sequence[Slot]) -> Iterator[Record]:
    for slot in slots:
        kind, value = ("CNAME", slot.target) if slot.target else ("TXT", slot.text)
        spare = bool(slot.target) and not slot.text
        yield Record(Purpose.DKIM, kind, slot.name, value, text=slot.text, spare=spare, asked_by="dkim")


def _of_routes(routes: Sequence[Route], domain: str) -> Iterator[Record]:
    for route in routes:
        for record in records_for(route.provider, domain, route.settings):
            yield replace(record, asked_by=route.slug)
