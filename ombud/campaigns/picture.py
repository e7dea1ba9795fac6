"""The picture of a campaign at one moment: every customer with its facts and its standing, read in a handful of questions
however many they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ombud.accounts import Customer, Directory, load_directory
from ombud.accounts.people import Role, customers_with
from ombud.accounts.vendor import load_vendor
from ombud.campaigns import stages
from ombud.campaigns.stages import NOT_WRITTEN_TO, DomainFact, Reach, Standing, stage_of
from ombud.choices import Campaign, Choice, Extension, ExtensionKind
from ombud.db import Transaction
from ombud.domains.findings import Turn
from ombud.domains.proof import verdicts
from ombud.domains.watch import State
from ombud.domains.watchlist import Standing as DomainStanding
from ombud.domains.watchlist import standings
from ombud.routing import Action, Facts, Route, Switch, decide, load_facts

#: Hosts of a customer's own route behind which there is a Microsoft 365, whose administrator must let it through.
_MICROSOFT = (".office365.com", ".outlook.com")


@dataclass(frozen=True, slots=True)
class Picture:
    campaign: Campaign
    at: datetime
    directory: Directory
    routing: Facts
    customers: tuple[Customer, ...]  # whom the campaign is about, by slug
    facts: Mapping[int, stages.Facts]
    standings: Mapping[int, Standing]

    def route_of(self, customer: Customer) -> Route | None:
        """The route that the customer's choice leads to, if it is set up."""
        alternative = self.facts[customer.id].alternative
        return self.routing.route(alternative.route_of(customer.slug)) if alternative else None


def load_picture(tx: Transaction, campaign_slug: str, now: datetime, reach: Mapping[int, Reach]) -> Picture:
    """Read it; `reach` says what has come of the letters, by customer. Raises UnknownCampaign."""
    routing, directory = load_facts(tx), load_directory(tx)
    campaign = routing.choices.campaign(campaign_slug)
    customers = members(tx, directory)
    known = _Known(tx, reach)
    slugs = {route.slug: route for route in routing.routes.values()}
    chosen = routing.choices.active_in(campaign.id)
    facts = {
        customer.id: _facts(routing, slugs, campaign, customer, chosen.get(customer.id), known, now)
        for customer in customers
    }
    return Picture(
        campaign, now, directory, routing, customers, facts, {number: stage_of(one) for number, one in facts.items()}
    )


def members(tx: Transaction, directory: Directory) -> tuple[Customer, ...]:
    """Whom a campaign is about: every customer whose mail is taken in, but the vendor's own self."""
    vendor = load_vendor(tx)
    return tuple(
        one
        for one in directory.customers.values()
        if not one.suspended and (vendor is None or one.id != vendor.customer.id)
    )


class _Known:
    """What other tables know of all customers, by customer."""

    def __init__(self, tx: Transaction, reach: Mapping[int, Reach]) -> None:
        self.reach = reach
        self.domains: defaultdict[int, list[DomainStanding]] = defaultdict(list)
        for standing in standings(tx):
            self.domains[standing.customer_id].append(standing)
        self.verdicts = {(one.domain, one.route_id): one for one in verdicts(tx)}
        self.microsoft = customers_with(tx, Role.MICROSOFT_ADMIN)


def _facts(
    routing: Facts, slugs: Mapping[str, Route], campaign: Campaign, customer: Customer, choice: Choice | None, known: _Known,
    now: datetime,
) -> stages.Facts:  # fmt: skip
    route = slugs.get(campaign.alternative(choice.alternative).route_of(customer.slug)) if choice else None
    live, canary, rolled_back = _live(routing, campaign, customer, choice, route, now)
    return stages.Facts(
        campaign=campaign,
        customer_id=customer.id,
        reach=known.reach.get(customer.id, NOT_WRITTEN_TO),
        choice=choice,
        has_route=route is not None,
        microsoft=customer.id in known.microsoft or (route is not None and _is_microsoft(route)),
        domains=tuple(_domain(one, route, known) for one in known.domains.get(customer.id, ())),
        live_since=live,
        extension=_extension(routing, campaign, customer, now),
        stopped=now >= campaign.stop_at and len(live) < len(campaign.products) and _is_stopped(routing, campaign, customer, now),
        by_hand=not live and _is_by_hand(routing, campaign, customer),
        canary=canary,
        rolled_back=rolled_back,
    )  # fmt: skip


def _is_microsoft(route: Route) -> bool:
    return route.provider == "microsoft365" or str(route.settings.get("host", "")).lower().endswith(_MICROSOFT)


def _domain(standing: DomainStanding, route: Route | None, known: _Known) -> DomainFact:
    """A domain as its records and its newest test message by the route say."""
    test = known.verdicts.get((standing.domain, route.id)) if route else None
    proven, failed = (test.at, None) if test and test.ok else (None, test.at if test else None)
    # Of a domain that nobody has looked at yet the watch says to wait; but its records are still to be put there.
    turn = Turn.CUSTOMER if standing.state is State.UNCHECKED else standing.turn
    return DomainFact(standing.domain, standing.state, standing.since, turn, proven, failed)


def _live(
    routing: Facts, campaign: Campaign, customer: Customer, choice: Choice | None, route: Route | None, now: datetime
) -> tuple[dict[int, datetime], bool, bool]:
    """Since when which products' mail goes by the choice; whether some of it is a canary, or was rolled back."""
    live: dict[int, datetime] = {}
    canary = rolled_back = False
    if choice is None or route is None:
        return live, canary, rolled_back
    switches = routing.switches_of.get(customer.id, ())
    for product in campaign.products:
        newest, ruling = _switches_of(switches, product, now)
        if ruling is not None:
            if ruling.to_route_id == route.id:
                live[product] = ruling.canary_until or ruling.at
        elif _by_hand(routing, customer, product) == route.id:
            live[product] = choice.at  # an operator had set that way already: nothing is left to switch
        if newest is not None and newest is not ruling:
            canary |= newest.stands(now)  # it has come and does not rule yet
            rolled_back |= product not in live and not newest.stands(now)
    return live, canary, rolled_back


def _switches_of(switches: tuple[Switch, ...], product: int, now: datetime) -> tuple[Switch | None, Switch | None]:
    """The newest switch that has come for the product; and the one that all of its mail goes by, as `decide` has it."""
    newest = None
    for one in switches:
        if one.at <= now and (one.product_ids is None or product in one.product_ids):
            newest = newest or one
            if one.stands(now) and not one.in_canary(now):
                return newest, one
    return newest, None


def _by_hand(routing: Facts, customer: Customer, product: int) -> int | None:
    found = routing.assigned.get((customer.id, product))
    return routing.assigned.get((customer.id, None)) if found is None else found


def _is_by_hand(routing: Facts, campaign: Campaign, customer: Customer) -> bool:
    """Whether none of the customer's mail takes a legacy route, since an operator set another."""
    ways = [(_by_hand(routing, customer, product), legacy) for product, legacy in campaign.products.items()]
    return all(way is not None and way != legacy for way, legacy in ways)


def _is_stopped(routing: Facts, campaign: Campaign, customer: Customer, now: datetime) -> bool:
    decisions = (decide(routing, customer.id, product, now) for product in campaign.products)
    return any(one.action is not Action.SEND and one.reason == "no_active_choice" for one in decisions)


def _extension(routing: Facts, campaign: Campaign, customer: Customer, now: datetime) -> Extension | None:
    """What gives the customer more time: an exemption goes before what only lasts longer."""
    choices = routing.choices
    return choices.extension(campaign.id, customer.id, now, ExtensionKind.EXEMPTION) or choices.extension(
        campaign.id, customer.id, now
    )
