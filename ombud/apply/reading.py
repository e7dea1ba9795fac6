"""Reads a file of wishes: the TOML, and the customer list that it may name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from ombud.apply.campaigns import WantedCampaign, campaign_of_table, subprocessor_of_table
from ombud.apply.customers import canonical, check_slug, customer_of_table, customers_of_csv
from ombud.apply.people import vendor_of_table, webhook_of_table
from ombud.apply.plans import plan_of_table, seller_of_table
from ombud.apply.table import SLUG, SLUG_RULE, Table, read_table
from ombud.apply.wanted import Dkim, Wanted, WantedCustomer, WantedDomain, WantedProduct, WantedRoute
from ombud.errors import BadField, Misconfigured
from ombud.mail.dkim import Algorithm
from ombud.providers import PROVIDERS, make_provider
from ombud.providers.provider import Surroundings
from ombud.routing import TEST_ROUTE, Limits
from ombud.settings import TABLES

_ALGORITHMS = ("rsa-sha256", "ed25519-sha256")
_DEFAULT_LIMITS = Limits()
_DEFAULT_DKIM = Dkim()


def read(path: Path, environment: Mapping[str, str]) -> Wanted:
    """Read a file. `${NAME}` and `${NAME:default}` in its texts come from `environment`.

    Raises Misconfigured, naming the place: for an unknown table or key, a value of the wrong kind, a variable that is not
    set, a wrong line of the customer list, or something that is there twice. Tables of settings are left to `ombud.settings`.
    """
    top = read_table(path, environment, without=TABLES)
    vendor, alternatives = top.table("vendor"), top.table("alternatives").texts_by_name()
    campaigns = tuple(campaign_of_table(table, path.parent) for table in top.tables("campaigns"))
    chosen_in = _chosen_in(top, campaigns, alternatives)
    wanted = Wanted(
        vendor=vendor.text("name", ""),
        allowed_regions=frozenset(vendor.texts("allowed_regions")) if vendor.has("allowed_regions") else None,
        routes=tuple(_route(table) for table in top.tables("routes")),
        products=tuple(_product(table) for table in top.tables("products")),
        customers=tuple(_customers(top, path.parent, None if chosen_in else alternatives)),
        domains=tuple(_domain(table) for table in top.tables("domains")),
        campaigns=campaigns,
        chosen_in=chosen_in,
        chosen_live=top.flag("chosen_live", False),
        subprocessors=tuple(subprocessor_of_table(table) for table in top.tables("subprocessors")),
        plans=tuple(plan_of_table(table) for table in top.tables("price_plans")),
        seller=seller_of_table(vendor.table("invoice"), vendor.text("name", "")) if vendor.has("invoice") else None,
        letters=vendor_of_table(vendor),
        webhooks=tuple(webhook_of_table(table) for table in top.tables("webhooks")),
        dkim=_dkim(top.table("dkim")),
    )
    vendor.close()
    top.close()
    _refuse_doubles(path.name, wanted)
    if not chosen_in:
        for one in wanted.customers:
            if one.alternative:
                raise Misconfigured(reason=f"{one.where}: alternative is a choice in a campaign, and the file has none")
    return wanted


def settings_in(path: Path) -> list[str]:
    """The tables of settings in a file, by name: only the service reads them, and only in the installation's own."""
    return [name for name in tomllib.loads(path.read_text("utf-8")) if name in TABLES]


def _chosen_in(top: Table, campaigns: Sequence[WantedCampaign], alternatives: Mapping[str, str]) -> str:
    """The campaign that the list's column `alternative` is of: the one that the file names, or the only one that it has."""
    named = top.text("chosen_in", "")
    if named and alternatives:
        top.refuse("chosen_in and [alternatives] both say what the column alternative means; leave one of them out")
    if named or alternatives or not campaigns:
        return named
    if len(campaigns) > 1:
        top.refuse('there are several campaigns: say with chosen_in = "..." which of them the column alternative is of')
    return campaigns[0].campaign.slug


def _customers(top: Table, directory: Path, alternatives: Mapping[str, str] | None) -> Iterable[WantedCustomer]:
    if top.is_text("customers"):
        return customers_of_csv(directory / top.text("customers"), alternatives)
    return [customer_of_table(table) for table in top.tables("customers")]


def _route(table: Table) -> WantedRoute:
    route = WantedRoute(
        slug=table.slug(),
        provider=table.text("provider"),
        settings=table.settings("settings", always_text=["user"]),
        password=table.text("password", ""),
        customer=table.text("customer", ""),
        region=table.text("region", "EU"),
        sign=table.flag("sign", False),
        billable=table.flag("billable", False),
        limits=_limits(table.table("limits")),
    )
    table.close()
    try:
        check_route(route)
    except BadField as error:
        table.refuse(error.text())
    return route


def _limits(table: Table) -> Limits:
    limits = Limits(**{name: table.number(name, default) for name, default in asdict(_DEFAULT_LIMITS).items()})
    table.close()
    return limits


def check_route(route: WantedRoute) -> None:
    """Have the route's provider read its settings, so that a mistake is found now and not at the first mail. Raises BadField."""
    check_slug(route.slug)
    if route.slug == TEST_ROUTE:
        raise BadField(field="slug", reason=f"{TEST_ROUTE} is the route of test credentials, and always there")
    if route.provider not in PROVIDERS:
        raise BadField(
            field="provider", reason=f"there is no {route.provider}; there are {', '.join(sorted(PROVIDERS))}"
        )
    around = Surroundings(_no_address)
    make_provider(route.provider, route.settings, route.password, around, connections=route.limits.connections)


async def _no_address(host: str) -> Sequence[str]:
    return ()  # settings are read without asking the network


def _product(table: Table) -> WantedProduct:
    product = WantedProduct(table.slug(), table.text("name"), table.text("route", ""))
    table.close()
    return product


def _domain(table: Table) -> WantedDomain:
    domain = WantedDomain(canonical(table.text("name"), table.refuse), table.text("customer"), table.text("reason"))
    table.close()
    return domain


def _dkim(table: Table) -> Dkim:
    selector, algorithms = (
        table.text("selector", _DEFAULT_DKIM.selector),
        table.texts("algorithms", _DEFAULT_DKIM.algorithms),
    )
    table.close()
    if not algorithms or not set(algorithms) <= set(_ALGORITHMS):
        table.refuse(f"algorithms must be some of {', '.join(_ALGORITHMS)}")
    if not SLUG.fullmatch(selector):
        table.refuse(f"the selector {selector} {SLUG_RULE}")
    return Dkim(selector, cast("tuple[Algorithm, ...]", tuple(algorithms)))


def _refuse_doubles(file: str, wanted: Wanted) -> None:
    customers = wanted.customers
    _refuse_twice(file, "route", [(one.slug, "") for one in wanted.routes])
    _refuse_twice(file, "price plan", [(one.versions[0].slug, "") for one in wanted.plans])
    _refuse_twice(file, "product", [(one.slug, "") for one in wanted.products])
    _refuse_twice(file, "webhook", [(one.slug, "") for one in wanted.webhooks])
    _refuse_twice(file, "campaign", [(one.campaign.slug, one.where) for one in wanted.campaigns])
    _refuse_twice(file, "subprocessor", [(one.slug, "") for one in wanted.subprocessors])
    _refuse_twice(file, "customer", [(one.slug, one.where) for one in customers])
    _refuse_twice(file, "organisation number", [(one.org_number, one.where) for one in customers if one.org_number])
    named = [(one.domain, one.where) for one in customers if one.domain]
    _refuse_twice(file, "domain", [*named, *((one.name, f"{file}: [[domains]]") for one in wanted.domains)])


def _refuse_twice(file: str, kind: str, found: Iterable[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for name, place in found:
        if name in first:
            before = f" (in {first[name]})" if first[name] else ""
            raise Misconfigured(reason=f"{place or file}: the {kind} {name} is there already{before}")
        first[name] = place
