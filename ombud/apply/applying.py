"""Brings the installation to what is wanted, step by step, and tells what each step did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime

from ombud.accounts import Customer, Directory, load_directory, put_customer, put_product
from ombud.apply.campaigns import put_wanted_campaign
from ombud.apply.listed import put_listed_choices
from ombud.apply.newkeys import MakeKey, Wish, make_keys
from ombud.apply.people import WantedContact, put_contacts, put_letters_mode, put_wanted_vendor, put_wanted_webhooks
from ombud.apply.plans import put_wanted_money
from ombud.apply.step import Done, Step, differences
from ombud.apply.wanted import Wanted, WantedDomain, WantedRoute
from ombud.billing.parties import Payer
from ombud.billing.planbook import load_plans
from ombud.choices import load_choices
from ombud.choices.groups import put_in_group
from ombud.choices.subprocessors import put_subprocessor, subprocessors
from ombud.db import Database, Transaction
from ombud.domains import active_keys_by_domain, keep_key, load_ownership, prove_domain
from ombud.errors import EditNeedsYes, Misconfigured
from ombud.mail.dkim import Algorithm, SigningKey, new_key
from ombud.routing import (
    Action,
    Facts,
    Route,
    assign,
    decide,
    load_facts,
    put_allowed_regions,
    put_route,
    route_secret,
    unassign,
)
from ombud.seal import Seal

#: How a domain came to be proved that `apply` has proved.
PROOF = "apply"


#: Gives the one that is missing; None: leave it out.
GiveKey = Callable[[str, str, Algorithm], SigningKey | None]


def apply(
    database: Database, seal: Seal, wanted: Wanted, now: datetime, *, dry_run: bool = False, yes: bool = False,
    make_key: MakeKey = new_key,
) -> list[Step]:  # fmt: skip
    """Bring the installation to what is wanted, all of it or nothing, and tell what changed, in order.

    Raises Misconfigured when the file names something that is neither in it nor in the installation, DomainTaken when
    a domain is another customer's, and EditNeedsYes when a step has a warning and nobody has said `yes`.
    """
    missing: list[Wish] = []
    try:
        with database.write() as tx:
            steps = _apply(tx, seal, wanted, now, lambda *key: missing.append(key))
            dangers = [] if yes else [f"{step.kind} {step.name}: {step.warning}" for step in steps if step.warning]
            if dry_run or missing or dangers:
                raise _TakeBack
            return steps
    except _TakeBack:
        pass
    if dry_run:
        return steps
    if dangers:
        raise EditNeedsYes(dangers="; ".join(dangers))
    made = make_keys(missing, make_key)  # RSA takes long: not while others wait to write
    with database.write() as tx:
        return _apply(tx, seal, wanted, now, lambda *key: made.get(key) or make_key(*key))


@contextmanager
def changing(database: Database, *, dry_run: bool = False) -> Iterator[Transaction]:
    """A writing transaction; a dry run takes everything back at its end."""
    try:
        with database.write() as tx:
            yield tx
            if dry_run:
                raise _TakeBack
    except _TakeBack:
        pass


class _TakeBack(Exception):
    pass


def _apply(tx: Transaction, seal: Seal, wanted: Wanted, now: datetime, give_key: GiveKey) -> list[Step]:
    return [
        *_regions(tx, wanted),
        *_customers(tx, wanted, now),
        *_routes(tx, seal, wanted, now),
        *_products(tx, wanted, now),
        *put_wanted_vendor(tx, wanted.letters, wanted.vendor, now),
        *put_wanted_webhooks(tx, seal, wanted.webhooks, now),
        *_own_routes(tx, wanted, now),
        *put_wanted_money(tx, wanted.plans, wanted.seller, _payers(wanted), now),
        *_campaigns(tx, wanted, now),
        *_domains(tx, wanted, now),
        *_listed_choices(tx, wanted, now),  # what a choice lacks when it goes live is asked of the domains
        *_keys(tx, seal, wanted, now, give_key),
    ]


def _regions(tx: Transaction, wanted: Wanted) -> list[Step]:
    if wanted.allowed_regions is None:
        return []
    changed = put_allowed_regions(tx, wanted.allowed_regions)
    name = ", ".join(sorted(wanted.allowed_regions)) or "all"
    return [Step(Done.CHANGED if changed else Done.SAME, "regions", name)]


def _customers(tx: Transaction, wanted: Wanted, now: datetime) -> list[Step]:
    known = load_directory(tx).customers
    steps = []
    for customer in wanted.customers:
        values = {
            "name": customer.name,
            "org_number": customer.org_number,
            "contact_name": customer.contact_name,
            "contact_email": customer.contact_email,
            "language": customer.language,
        }
        before = known.get(customer.slug)
        same = before is not None and not differences(asdict(before), values)
        changed = not same and put_customer(tx, customer.slug, now=now, **values)
        detail = differences(asdict(before), values) if before and changed else customer.name
        steps.append(Step(Done.of(before, changed), "customer", customer.slug, detail))
    return [*steps, *_groups(tx, wanted), *put_contacts(tx, _contacts(wanted, known), now)]


def _contacts(wanted: Wanted, known: Mapping[str, Customer]) -> list[WantedContact]:
    return [
        WantedContact(
            one.slug, one.contact_name, one.contact_email, one.language,
            before=known[one.slug].contact_email if one.slug in known else "",
        )
        for one in wanted.customers
        if one.contact_email
    ]  # fmt: skip


def _groups(tx: Transaction, wanted: Wanted) -> list[Step]:
    customers = load_directory(tx).customers
    grouped = [(one.slug, one.group) for one in wanted.customers if one.group is not None]
    return [
        Step(Done.CHANGED if put_in_group(tx, customers[slug].id, group) else Done.SAME, "group", slug, group or "none")
        for slug, group in grouped
    ]


def _payers(wanted: Wanted) -> dict[str, Payer]:
    return {one.slug: one.payer for one in wanted.customers if one.payer}


# --- routes --------------------------------------------------------------------------------------------------------


def put_wanted_route(tx: Transaction, seal: Seal, route: WantedRoute, now: datetime) -> Step:
    """Add the route, or bring the one of that slug up to date. Raises Misconfigured when its customer is not known."""
    return _put_route(tx, seal, load_facts(tx), load_directory(tx), route, now)


def _routes(tx: Transaction, seal: Seal, wanted: Wanted, now: datetime) -> list[Step]:
    facts, directory = load_facts(tx), load_directory(tx)  # a slug stands in the file once
    return [_put_route(tx, seal, facts, directory, route, now) for route in wanted.routes]


def _put_route(
    tx: Transaction, seal: Seal, facts: Facts, directory: Directory, route: WantedRoute, now: datetime
) -> Step:
    before = facts.route(route.slug)
    owner = _customer(directory, route.customer, f"the route {route.slug}") if route.customer else None
    if before and before.customer_id != (owner.id if owner else None):
        # Whoever takes it now would go out by another's server: that must be said customer by customer, by another slug.
        raise Misconfigured(
            reason=f"the route {route.slug} has another owner already; give the new one a slug of its own"
        )
    values = {"region": route.region, "sign": route.sign, "billable": route.billable, "limits": route.limits}
    changed = put_route(
        tx,
        seal,
        route.slug,
        route.provider,
        route.settings,
        _password(tx, seal, route, before),
        now,
        customer_id=owner.id if owner else None,
        region=route.region,
        sign=route.sign,
        billable=route.billable,
        limits=route.limits,
    )
    detail = ""
    if before and changed:
        after = {**values, "provider": route.provider, "settings": dict(route.settings)}
        detail = differences({name: getattr(before, name) for name in after}, after) or "password"
    return Step(Done.of(before, changed), "route", route.slug, detail)


def _password(tx: Transaction, seal: Seal, route: WantedRoute, before: Route | None) -> str | None:
    """The one to seal: "" where one is taken away, None where there was none and is none."""
    had_one = before is not None and bool(route_secret(tx, seal, route.slug))
    return route.password if route.password or had_one else None


def may_take(route: Route, customer: Customer | None) -> bool:
    """Whether this customer's mail (None: everyone's) may be told to take the route: the vendor's, or the customer's own."""
    return route.customer_id is None or (customer is not None and route.customer_id == customer.id)


# --- who takes which -----------------------------------------------------------------------------------------------


def _products(tx: Transaction, wanted: Wanted, now: datetime) -> list[Step]:
    known = load_directory(tx).products
    steps = []
    for product in wanted.products:
        changed = put_product(tx, product.slug, product.name, now)
        steps.append(Step(Done.of(known.get(product.slug), changed), "product", product.slug, product.name))
    directory, facts = load_directory(tx), load_facts(tx)
    for product in wanted.products:
        if product.route:
            where = f"the product {product.slug}"
            steps.append(_assigned(tx, facts, directory, None, product.slug, product.route, where, now))
    return steps


def _own_routes(tx: Transaction, wanted: Wanted, now: datetime) -> list[Step]:
    """The customers' own routes, for every product or for one."""
    directory, facts = load_directory(tx), load_facts(tx)
    steps = []
    for one in wanted.customers:
        if one.routes is not None:
            customer = directory.customer(one.slug)
            for product, route in one.routes.items():
                steps.append(_assigned(tx, facts, directory, customer, product, route, one.where, now))
            steps += _unassigned(tx, facts, directory, customer, one.routes)
    return steps


def _assigned(
    tx: Transaction,
    facts: Facts,
    directory: Directory,
    customer: Customer | None,
    product: str,
    slug: str,
    where: str,
    now: datetime,
) -> Step:
    if (route := facts.route(slug)) is None:
        raise Misconfigured(reason=f"{where}: there is no route {slug}")
    if product and product not in directory.products:
        raise Misconfigured(reason=f"{where}: there is no product {product}")
    if not may_take(route, customer):
        raise Misconfigured(reason=f"{where}: the route {slug} is another customer's own")
    who = (customer.id if customer else None, directory.product(product).id if product else None)
    before = facts.assigned.get(who)
    changed = assign(tx, *who, route.id, now)
    name = f"{customer.slug if customer else 'everyone'} / {product or 'every product'}"
    detail = f"{facts.routes[before].slug} -> {slug}" if before and changed else slug
    return Step(Done.of(before, changed), "assignment", name, detail)


def _unassigned(
    tx: Transaction, facts: Facts, directory: Directory, customer: Customer, routes: Mapping[str, str]
) -> list[Step]:
    """Take away the customer's assignments that the file does not have."""
    kept = {directory.product(product).id if product else None for product in routes}
    steps = []
    for who, product_id in facts.assigned:
        if who == customer.id and product_id not in kept:
            unassign(tx, who, product_id)
            product = directory.product_by_id(product_id).slug if product_id else "every product"
            route = facts.routes[facts.assigned[who, product_id]].slug
            steps.append(Step(Done.REMOVED, "assignment", f"{customer.slug} / {product}", route))
    return steps


# --- campaigns -----------------------------------------------------------------------------------------------------


def _campaigns(tx: Transaction, wanted: Wanted, now: datetime) -> list[Step]:
    directory, facts, plans = load_directory(tx), load_facts(tx), load_plans(tx).versions
    steps = [put_wanted_campaign(tx, one, directory, facts, plans, now) for one in wanted.campaigns]
    steps += [put_letters_mode(tx, one.campaign.slug, one.letters, now) for one in wanted.campaigns if one.letters]
    known = {one.slug for one in subprocessors(tx)}
    for entry in wanted.subprocessors:
        if entry.campaign:
            load_choices(tx).campaign(entry.campaign)
        changed = put_subprocessor(tx, entry, now)
        steps.append(
            Step(Done.of(entry.slug if entry.slug in known else None, changed), "subprocessor", entry.slug, entry.name)
        )
    return steps


def _listed_choices(tx: Transaction, wanted: Wanted, now: datetime) -> list[Step]:
    if not wanted.chosen_in:
        return []
    return put_listed_choices(tx, wanted.chosen_in, wanted.customers, wanted.chosen_live, now)


# --- domains and keys ----------------------------------------------------------------------------------------------


def _domains(tx: Transaction, wanted: Wanted, now: datetime) -> list[Step]:
    directory = load_directory(tx)
    named = [WantedDomain(one.domain, one.slug, one.where) for one in wanted.customers if one.domain]
    steps = []
    for domain in (*named, *wanted.domains):
        customer = _customer(directory, domain.customer, f"the domain {domain.name}")
        added = prove_domain(tx, domain.name, customer, PROOF, domain.reason, now)
        steps.append(Step(Done.ADDED if added else Done.SAME, "domain", domain.name, customer.slug))
    return steps


def _keys(tx: Transaction, seal: Seal, wanted: Wanted, now: datetime, give_key: GiveKey) -> list[Step]:
    """A key for every domain whose mail takes a route that signs, or will when its customer's choice is live: the record must be
    published before that. Those that are there are let be, whatever their selector."""
    directory, facts, ownership = load_directory(tx), load_facts(tx), load_ownership(tx)
    signing = [
        customer
        for customer in directory.customers.values()
        if is_signed(facts, directory, customer, now) or _will_be_signed(facts, customer)
    ]
    steps, active = [], active_keys_by_domain(tx)
    for domain in (domain.name for customer in signing for domain in ownership.of(customer.id)):
        there = {algorithm: selector for selector, algorithm in active.get(domain, ())}
        for algorithm in wanted.dkim.algorithms:
            selector = there.get(algorithm) or wanted.dkim.selector_of(algorithm)
            if algorithm not in there and (key := give_key(domain, selector, algorithm)):
                keep_key(tx, seal, key, now, vendor_zone=wanted.dkim.vendor_zone)
            done = Done.SAME if algorithm in there else Done.ADDED
            steps.append(Step(done, "key", f"{selector}._domainkey.{domain}", algorithm))
    return steps


def is_signed(facts: Facts, directory: Directory, customer: Customer, now: datetime) -> bool:
    """Whether any product's mail of this customer takes a route that signs."""
    decisions = (decide(facts, customer.id, product.id, now) for product in directory.products.values())
    return any(one.action is Action.SEND and one.route is not None and one.route.sign for one in decisions)


def _will_be_signed(facts: Facts, customer: Customer) -> bool:
    """Whether any of the customer's choices leads to a route that signs."""
    for campaign in facts.choices.campaigns:
        if choice := facts.choices.active(campaign.id, customer.id):
            route = facts.route(campaign.alternative(choice.alternative).route_of(customer.slug))
            if route is not None and route.sign:
                return True
    return False


def _customer(directory: Directory, slug: str, where: str) -> Customer:
    if slug not in directory.customers:
        raise Misconfigured(reason=f"{where}: there is no customer {slug}")
    return directory.customer(slug)
