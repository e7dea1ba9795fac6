"""Campaigns as a file asks for them: `[[campaigns]]` with its products, alternatives, dates, and pages in files beside it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from ombud.accounts import Directory
from ombud.apply.campaignchange import Change, Named
from ombud.apply.step import Done, Step
from ombud.apply.table import SLUG, Table
from ombud.choices import (
    LANGUAGES,
    AfterStop,
    Alternative,
    Campaign,
    GoLive,
    Kind,
    Need,
    Page,
    Reserve,
    load_choices,
    page_text,
    put_campaign,
)
from ombud.choices.pages import unknown_names
from ombud.choices.subprocessors import Subprocessor, check_subprocessor
from ombud.db import Transaction
from ombud.errors import BadAddress, BadField, Misconfigured
from ombud.mail.address import parse_address
from ombud.routing import Facts, Route
from ombud.settings import known_names

_DATES = ("start_date", "risk_date", "stop_date", "last_extension_date", "end_date")
_LANGUAGE_NAMES = {"sv": "Swedish", "en": "English"}
#: What a region may be called that no route lies in: the two that the law knows, and a country's two letters (ISO 3166-1).
_REGION = re.compile(r"EU|EEA|[A-Z]{2}")
#: In the customer list: nothing has been chosen.
NOTHING_CHOSEN = "none"


@dataclass(frozen=True, slots=True)
class WantedCampaign:
    """A campaign as the file asks for it: products and routes by their slugs."""

    where: str  # in the file, for whoever must find it
    campaign: Campaign  # without products, reserve and pages, which need the installation
    products: Mapping[str, str]  # product -> legacy route
    reserve: tuple[str, str] | None  # route, address
    texts: Mapping[tuple[Page, str], str]
    letters: str = ""  # whether they go out by themselves: "automatic" or "by_hand"; "": the file does not say


# --- reading -------------------------------------------------------------------------------------------------------


def campaign_of_table(table: Table, directory: Path) -> WantedCampaign:
    """One [[campaigns]] table, with the files that it names. Raises Misconfigured, naming the place."""
    slug = table.slug()
    dates = _dates(table)
    after_stop, hold_days = _after_stop(table)
    regions = table.texts("allowed_regions") if table.has("allowed_regions") else []
    campaign = Campaign(
        id=0,
        slug=slug,
        version=0,
        name=_texts(table, "name"),
        products={},
        alternatives=tuple(_alternatives(table)),
        zone=_zone(table),
        after_stop=after_stop,
        hold_days=hold_days,
        go_live=_go_live(table),
        price_plan=table.text("price_plan", ""),
        allowed_regions=frozenset(regions),
        start_date=dates["start_date"],
        risk_date=dates["risk_date"],
        stop_date=dates["stop_date"],
        last_extension_date=dates["last_extension_date"],
        end_date=dates.get("end_date"),
    )
    wanted = WantedCampaign(
        where=table.where,
        campaign=campaign,
        products=_products(table),
        reserve=_reserve(table),
        texts={key: text for page in Page for key, text in _page(table, page, directory).items()},
        letters=_letters(table),
    )
    table.close()
    return wanted


def _dates(table: Table) -> dict[str, date]:
    """The days, which must follow each other."""
    dates = {name: table.day(name) for name in _DATES if name != "end_date" or table.has(name)}
    in_order = list(dates.items())
    for (earlier, before), (later, after) in pairwise(in_order):
        if later == "end_date":  # choosing may end before the last extension does
            earlier, before = "stop_date", dates["stop_date"]
        if after < before:
            table.refuse(f"{later} ({after}) must not be before {earlier} ({before})")
    return dates


def _letters(table: Table) -> str:
    mode = table.text("letters", "")
    if mode not in ("", "automatic", "by_hand"):
        table.refuse(f"letters must be automatic or by_hand, not {mode}")
    return mode


def _after_stop(table: Table) -> tuple[AfterStop, int]:
    policy, days = table.text("after_stop", AfterStop.REFUSE), table.number("hold_days", 0)
    if policy not in list(AfterStop):
        table.refuse(f"after_stop must be {' or '.join(AfterStop)}, not {policy}")
    if (policy == AfterStop.HOLD) != bool(days):
        table.refuse(
            'hold_days says how many days mail is held after the stop: it belongs to after_stop = "hold", and must be there'
        )
    return AfterStop(policy), days


def _go_live(table: Table) -> GoLive:
    who = table.text("go_live", GoLive.BY_HAND)
    if who not in list(GoLive):
        table.refuse(f"go_live must be {' or '.join(GoLive)}, not {who}")
    return GoLive(who)


def _zone(table: Table) -> str:
    zone = table.text("zone", "Europe/Stockholm")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # not there, or not even a name
        table.refuse(f"the time zone {zone} is not known; write it as Europe/Stockholm")
    return zone


def _texts(table: Table, name: str) -> dict[str, str]:
    """`name = { sv = "...", en = "..." }`, in every language."""
    if not table.has(name):
        table.refuse(f"{name} is missing")
    inner = table.table(name)
    for language in LANGUAGES:
        if not inner.has(language) or not inner.text(language).strip():
            inner.refuse(f"the text in {_LANGUAGE_NAMES[language]} ({language}) is missing")
    texts = {language: inner.text(language).strip() for language in LANGUAGES}
    inner.close()
    for language, text in texts.items():
        if unknown := unknown_names(text):
            inner.refuse(f"{language}: there is no value called {unknown[0]}")
    return texts


def _alternatives(table: Table) -> Iterator[Alternative]:
    found = table.tables("alternatives")
    if not found:
        table.refuse("there must be at least one [[campaigns.alternatives]]")
    seen = set[str]()
    for one in found:
        alternative = _alternative(one)
        if alternative.slug in seen:
            one.refuse("the alternative is there already")
        seen.add(alternative.slug)
        yield alternative


def _alternative(table: Table) -> Alternative:
    slug, kind, needs = table.slug(), table.text("kind"), table.texts("needs")
    if slug == NOTHING_CHOSEN:
        table.refuse(f"{NOTHING_CHOSEN} stands for no choice; give the alternative another slug")
    if kind not in list(Kind):
        table.refuse(f"kind must be {' or '.join(Kind)}, not {kind}")
    for need in needs:
        if need not in list(Need):
            table.refuse(f"needs: {need} is not known here; {known_names(need, list(Need))}")
    alternative = Alternative(
        slug=slug,
        kind=Kind(kind),
        route=_route_template(table, Kind(kind)),
        needs=tuple(Need(need) for need in needs),
        recommended=table.flag("recommended", False),
        name=_texts(table, "name"),
        text=_texts(table, "text"),
        price_plan=table.text("price_plan", ""),
    )
    table.close()
    return alternative


def _route_template(table: Table, kind: Kind) -> str:
    route = table.text("route")
    if not SLUG.fullmatch(route.replace("{slug}", "x")):
        table.refuse(f"route {route} cannot become a route's slug; write it such as {{slug}}-egen")
    if kind is Kind.OWN and "{slug}" not in route:
        table.refuse(f"route {route} is one for all, but an own way out is the customer's alone: put {{slug}} into it")
    return route


def _products(table: Table) -> dict[str, str]:
    products = table.table("products").texts_by_name()
    if not products:
        table.refuse("[campaigns.products] must say which products it concerns, each with its legacy route")
    return products


def _reserve(table: Table) -> tuple[str, str] | None:
    if not table.has("reserve"):
        return None
    inner = table.table("reserve")
    route, address = inner.text("route"), inner.text("address")
    inner.close()
    try:
        parse_address(address.replace("{slug}", "x"))
    except BadAddress as error:
        inner.refuse(f"address cannot be used: {error.details['reason']}")
    return route, address


def _page(table: Table, page: Page, directory: Path) -> dict[tuple[Page, str], str]:
    """The page's text in every language, or in none when the file has no such page."""
    if not table.has(page):
        return {}
    inner = table.table(page)
    for language in LANGUAGES:
        if not inner.has(language):
            inner.refuse(f"the file in {_LANGUAGE_NAMES[language]} ({language}) is missing")
    texts = {(page, language): _read(inner, directory / inner.text(language)) for language in LANGUAGES}
    inner.close()
    return texts


def _read(table: Table, path: Path) -> str:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        table.refuse(f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        table.refuse(f"{path.name} is not UTF-8")
    if not text.strip():
        table.refuse(f"{path.name} is empty")
    if unknown := unknown_names(text):
        table.refuse(f"{path.name}: there is no value called {unknown[0]}")
    return text


def subprocessor_of_table(table: Table) -> Subprocessor:
    """One [[subprocessors]] table: an entry of the register. Raises Misconfigured, naming the place."""
    slug = table.slug()
    entry = Subprocessor(
        slug=slug,
        name=table.text("name"),
        owner=table.text("owner", ""),
        replaces=table.text("replaces", ""),
        place=table.text("place", ""),
        task=_texts(table, "task"),
        notice_date=table.day("notice_date"),
        object_until=table.day("object_until"),
        from_date=table.day("from_date"),
        campaign=table.text("campaign", ""),
    )
    table.close()
    try:
        check_subprocessor(entry)
    except BadField as error:
        table.refuse(error.text())
    return entry


# --- putting -------------------------------------------------------------------------------------------------------


def put_wanted_campaign(
    tx: Transaction, wanted: WantedCampaign, directory: Directory, facts: Facts, plans: Collection[str], now: datetime
) -> Step:
    """Bring the campaign to what is wanted; a change is a new version. `plans` are the price plans that there are.

    Raises Misconfigured for a product, a route, a price plan or a region that is not there.
    """
    choices = load_choices(tx)
    campaign = replace(
        wanted.campaign,
        products=_product_ids(wanted, directory, facts),
        reserve=_reserve_of(wanted, facts),
    )
    _check_plans(wanted, plans)
    _check_routes(wanted, facts)
    before = next((one for one in choices.campaigns if one.slug == campaign.slug), None)
    old_texts = {key: page_text(tx, before, *key).text for key in before.pages} if before else {}
    after = put_campaign(tx, campaign, wanted.texts, now)
    if before is None:
        return Step(Done.ADDED, "campaign", after.slug, f"version {after.version}")
    if after == before:
        return Step(Done.SAME, "campaign", after.slug, f"version {after.version}")
    change = Change(before, after, Named(directory, facts))
    return Step(
        Done.CHANGED,
        "campaign",
        after.slug,
        f"version {before.version} -> {after.version}: " + "; ".join(change.told()),
        change.diff(old_texts, wanted.texts),
        "; ".join(change.dangers(choices, now)),
    )


def _product_ids(wanted: WantedCampaign, directory: Directory, facts: Facts) -> dict[int, int]:
    found = {}
    for product, route in wanted.products.items():
        where = f"{wanted.where}: [products]"
        if product not in directory.products:
            raise Misconfigured(
                reason=f"{where}: there is no product {product}; {known_names(product, directory.products)}"
            )
        found[directory.product(product).id] = _route(facts, route, f"{where}: {product}").id
    return found


def _reserve_of(wanted: WantedCampaign, facts: Facts) -> Reserve | None:
    if wanted.reserve is None:
        return None
    route, address = wanted.reserve
    return Reserve(_route(facts, route, f"{wanted.where}: [reserve]").id, address)


def _route(facts: Facts, slug: str, where: str) -> Route:
    """A route of the vendor's, which any customer's mail may take."""
    route = facts.route(slug)
    if route is None:
        known = known_names(slug, [one.slug for one in facts.routes.values() if one.customer_id is None])
        raise Misconfigured(reason=f"{where}: there is no route {slug}; {known}")
    if route.customer_id is not None:
        raise Misconfigured(reason=f"{where}: the route {slug} is a customer's own, and everyone's mail would take it")
    return route


def _check_plans(wanted: WantedCampaign, plans: Collection[str]) -> None:
    campaign = wanted.campaign
    named = [(wanted.where, campaign.price_plan)]
    named += [(f"{wanted.where}: the alternative {one.slug}", one.price_plan) for one in campaign.alternatives]
    for where, plan in named:
        if plan and plan not in plans:
            raise Misconfigured(reason=f"{where}: there is no price plan {plan}; {known_names(plan, plans)}")


def _check_routes(wanted: WantedCampaign, facts: Facts) -> None:
    """Every route that does not depend on the customer is there, and lies in an allowed region."""
    campaign, taken = wanted.campaign, dict(wanted.products)
    for one in campaign.alternatives:
        if "{slug}" not in one.route:
            _route(facts, one.route, f"{wanted.where}: the alternative {one.slug}")
            taken[f"the alternative {one.slug}"] = one.route
    if wanted.reserve:
        taken["[reserve]"] = wanted.reserve[0]
    known = {route.region for route in facts.routes.values()}
    for region in sorted(campaign.allowed_regions):
        if region not in known and not _REGION.fullmatch(region):
            raise Misconfigured(
                reason=f"{wanted.where}: allowed_regions: {region} is no region; {known_names(region, {'EU', 'EEA', *known})}"
            )
    for what, slug in taken.items():
        route = facts.route(slug)
        if route and campaign.allowed_regions and route.region not in campaign.allowed_regions:
            allowed = ", ".join(sorted(campaign.allowed_regions))
            raise Misconfigured(
                reason=f"{wanted.where}: {what}: the route {slug} lies in {route.region}, and allowed_regions is {allowed}"
            )
