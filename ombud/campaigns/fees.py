"""What a customer pays by follows from the way that its mail takes: a price plan from the day on which a switch leads to a route
that an alternative's plan is for, and none when no switch that stands leads there any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ombud.accounts import Customer, load_directory
from ombud.billing import subscriptions
from ombud.billing.price import Subscription
from ombud.campaigns.cases import comment, hold_case
from ombud.choices import Campaign
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.routing import Facts, Switch, load_facts, load_switches
from ombud.routing.switches import taken_back

DAY = timedelta(days=1)


def settle_fee(
    tx: Transaction, facts: Facts, switches: Sequence[Switch], customer: Customer, moment: datetime, now: datetime, *,
    by: str, reason: str,
) -> bool:  # fmt: skip
    """Let the customer pay by what it goes by at `moment`: `switches` are its own, the newest first. Says whether that was news.

    The day of `moment` is the first by a plan that starts, and the last by one that nothing takes the place of.
    """
    due, running = plan_due(facts, switches, customer, moment), subscriptions.running_of(tx, customer.id)
    if not _is_news(facts, due, running):
        return False
    day = day_of(moment)
    if running:
        subscriptions.stop(tx, customer.id, day - DAY if due else day, now, by=by, reason=reason)
    if due:
        subscriptions.start(tx, customer.id, due, day, now, by=by, reason=reason)
    return True


def _is_news(facts: Facts, due: str, running: Subscription | None) -> bool:
    """A plan that is no campaign's was agreed by hand, and is let be until another takes its place."""
    plan = running.plan if running else ""
    return plan != due and (bool(due) or any(plan in _plans(one) for one in facts.choices.campaigns))


def _plans(campaign: Campaign) -> set[str]:
    return {campaign.plan_of(one) for one in campaign.alternatives}


def plan_due(facts: Facts, switches: Sequence[Switch], customer: Customer, moment: datetime) -> str:
    """The price plan of the ways that the customer's mail takes at `moment`; "": they cost nothing. Pure.

    A canary counts: its share of the mail costs. What an operator holds or leads elsewhere for a while changes nothing.
    """
    costs = {
        route.id: campaign.plan_of(one)
        for campaign in facts.choices.campaigns
        for one in campaign.alternatives
        if campaign.plan_of(one) and (route := facts.route(one.route_of(customer.slug)))
    }
    ways = (_way(facts, switches, customer.id, product, moment) for product in sorted(facts.products))
    return next((costs[way] for way in ways if way in costs), "")


def _way(facts: Facts, switches: Sequence[Switch], customer_id: int, product_id: int, moment: datetime) -> int | None:
    """The route of the newest switch that stands, or the one set by hand."""
    for one in switches:
        if one.stands(moment) and one.concerns(product_id):
            return one.to_route_id
    return facts.assigned.get((customer_id, product_id), facts.assigned.get((customer_id, None)))


# --- rolled back ---------------------------------------------------------------------------------------------------


def settle_rolled_back(tx: Transaction, now: datetime, *, by: str, customer_id: int | None = None) -> list[Customer]:
    """Have everyone (or one customer) of whose campaign switches one was rolled back pay by what stands now; the case says so.

    Returns those for whom that was news: a second time nobody.
    """
    return [one for one in unsettled(tx, now, customer_id) if _settle(tx, one, now, by)]


def _settle(tx: Transaction, customer: Customer, now: datetime, by: str) -> bool:
    back = [
        (one.rolled_back_at, one.campaign_id)
        for one in load_switches(tx, customer.id)
        if one.rolled_back_at is not None and one.campaign_id is not None
    ]
    _, campaign_id = max(back)
    case = hold_case(tx, campaign_id, customer.id, now)  # whoever goes live meanwhile waits
    facts = load_facts(tx)
    switches = facts.switches_of.get(customer.id, ())
    if not settle_fee(tx, facts, switches, customer, now, now, by=by, reason="rolled back"):
        return False
    plan = plan_due(facts, switches, customer, now)
    words = f"nu gäller prisplanen {plan}" if plan else "nu kostar e-posten inget mer"
    if case:
        comment(tx, case, f"Omslaget är återställt: {words}.", by, now)
    return True


def unsettled(tx: Transaction, now: datetime, customer_id: int | None = None) -> list[Customer]:
    """Those who were rolled back, and pay by something else than what stands now. What has been said of the fee since then, as
    by an operator, is the last word."""
    said = subscriptions.last_said(tx)
    back = [
        number
        for number, at in sorted(taken_back(tx).items())
        if customer_id in (None, number) and at >= said.get(number, at)
    ]
    if not back:
        return []
    facts, directory = load_facts(tx), load_directory(tx)
    customers = [directory.customer_by_id(number) for number in back]
    return [
        one
        for one in customers
        if _is_news(
            facts, plan_due(facts, facts.switches_of.get(one.id, ()), one, now), subscriptions.running_of(tx, one.id)
        )
    ]
