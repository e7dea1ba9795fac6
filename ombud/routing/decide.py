"""The decision: a pure function from facts to an action, a route and a reason with a stable code.

The same function decides the real mail, answers `ombud routes explain`, and answers for any other moment: it reads no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from ombud.choices import AfterStop, Campaign, ExtensionKind
from ombud.clock import day_begins, month_days, month_of
from ombud.routing.facts import Change, Facts, to_google
from ombud.routing.route import Route
from ombud.routing.switches import Switch

#: The warning on a mail to Gmail, after the risk date, by a way that nobody has seen authenticated.
GMAIL_AT_RISK = "gmail_at_risk"


class Action(StrEnum):
    SEND = "send"  # by `route`
    HOLD = "hold"  # keep it; a person, or a change of the facts, releases it
    REFUSE = "refuse"  # do not take it in


class Decision(NamedTuple):
    """What to do with one mail. `reason` is a stable code and is stored with the message.

    A tuple and no dataclass: one is made for every mail, and this takes a third of the time.
    """

    action: Action
    route: Route | None  # the way that it takes, or would take if it were not held or refused
    reason: str
    warnings: tuple[str, ...] = ()
    since: datetime | None = None  # what rules has ruled since then, where that is known
    until: datetime | None = None  # and rules until then, as things stand
    campaign: Campaign | None = None  # the one by which it was decided
    sender: str = ""  # reserve mode: the vendor's address that stands as the sender


#: Every reason, in the order in which the rules are asked.
REASONS = (
    "test_mode", "reserve_mode", "override", "rolled_back", "canary", "choice_live", "switched", "customer_product_route",
    "customer_route", "legacy", "legacy_extended", "legacy_exempt", "no_active_choice", "product_route", "no_route",
    "region_not_allowed", "brownout", "domain_lost", "over_cap",
)  # fmt: skip


def decide(
    facts: Facts, customer_id: int, product_id: int, now: datetime, *, recipient: str = "", sender_domain: str = "",
    test: bool = False, important: bool = False, bulk: bool = False,
) -> Decision:  # fmt: skip
    """Which way mail of this customer from this product takes at `now`. Total: it always answers, and never raises.

    In this order; what comes first decides:

    | reason | what rules | then |
    | --- | --- | --- |
    | `test_mode` | test mail goes nowhere | send, by `test` |
    | `reserve_mode` | reserve mode is approved and not over | send, by the vendor's reserve route and in the vendor's name |
    | `override` | an operator said so, and the time is not up | send by that route, or hold |
    | `canary` | a switch has come, the recipient is of the share that goes first | send by the new route |
    | `choice_live` | a switch has come, by the customer's choice | send by its route |
    | `switched` | a switch has come, outside a campaign | send by its route |
    | `customer_product_route` | the customer's route for the product, set by hand | send |
    | `customer_route` | the customer's route, set by hand | send |
    | `legacy` | the product is in a campaign that has not stopped | send by its legacy route |
    | `legacy_extended`, `legacy_exempt` | it has, but not for this customer | send by its legacy route |
    | `no_active_choice` | it has, and no choice is live for the product | refuse, or hold: the campaign's policy |
    | `product_route` | the product's route for everyone, where no campaign is | send |
    | `no_route` | there is none | refuse |

    What was decided so far is changed in these cases only:

    | reason | when | then |
    | --- | --- | --- |
    | `rolled_back` | a switch would decide, had it not been rolled back | the same route, by this reason |
    | `brownout` | the reason is `legacy`, nothing is chosen, the mail is not important, and a brownout is on | hold |
    | `region_not_allowed` | the route is outside the allowed regions | refuse |
    | `domain_lost` | the route signs or asks for records in the sender's domain, and those have been gone past its stop time | hold |
    | `over_cap` | the mail is bulk, by a route that is billed, and the customer's own hard cap is reached | hold |

    A switch or a route set by hand that leads to a campaign's legacy route is no way round its stop: the campaign decides.
    From the risk date on, mail to one of Google's consumer domains by a way that is not proved to be authenticated for the
    `sender_domain` has the warning `gmail_at_risk`. Without `recipient`: as for a recipient elsewhere, outside any canary share.
    """
    if test:
        return Decision(Action.SEND, facts.test_route, "test_mode")
    decision = _by_operator(facts, customer_id, product_id, now) or _by_facts(
        facts, customer_id, product_id, now, recipient, important
    )
    if decision.route is None or (decision.action is not Action.SEND and decision.reason != "brownout"):
        return decision
    if not _allowed(facts, decision.route, decision.campaign):
        return decision._replace(action=Action.REFUSE, reason="region_not_allowed", until=None)
    sender_domain = _sending_domain(decision, sender_domain)
    if (
        facts.lost
        and decision.action is Action.SEND
        and (stopped := _domain_lost(facts, decision.route, sender_domain, now))
    ):
        return decision._replace(action=Action.HOLD, reason="domain_lost", since=stopped, until=None)
    if bulk and decision.route.billable and (month := facts.over_cap.get(customer_id)) and month == month_of(now):
        end = day_begins(month_days(month)[1])
        return decision._replace(action=Action.HOLD, reason="over_cap", since=None, until=end)
    if recipient and to_google(recipient) and _at_risk(facts, product_id, decision, now, sender_domain):
        return decision._replace(warnings=(GMAIL_AT_RISK,))
    return decision


def decide_all(
    facts: Facts, customer_id: int, product_id: int, now: datetime, recipients: Sequence[str], *, sender_domain: str = "",
    test: bool = False, important: bool = False, bulk: bool = False,
) -> list[Decision]:  # fmt: skip
    """A decision for each recipient, in order, without asking a thousand times what is the same for all of them."""

    def ask(recipient: str) -> Decision:
        return decide(
            facts, customer_id, product_id, now, recipient=recipient, sender_domain=sender_domain, test=test,
            important=important, bulk=bulk,
        )  # fmt: skip

    if len(recipients) == 1:
        return [ask(recipients[0])]
    if any(one.in_canary(now) for one in facts.switches_of.get(customer_id, ())):
        return [ask(recipient) for recipient in recipients]
    elsewhere = ask("")
    at_google = next((ask(recipient) for recipient in recipients if to_google(recipient)), elsewhere)
    return [at_google if to_google(recipient) else elsewhere for recipient in recipients]


# --- what operators have said --------------------------------------------------------------------------------------


def _by_operator(facts: Facts, customer_id: int, product_id: int, now: datetime) -> Decision | None:
    for campaign, extension in facts.reserves_of.get(customer_id, ()):
        reserve = campaign.reserve
        if reserve and product_id in campaign.products and extension.in_force(now):
            return Decision(
                Action.SEND, facts.routes[reserve.route_id], "reserve_mode", since=extension.approved_at, until=extension.ends_at,
                campaign=campaign, sender=reserve.address,
            )  # fmt: skip
    for override in facts.overrides_of.get(customer_id, ()):
        if override.product_id in (None, product_id) and override.stands(now):
            if override.route_id is None:
                # What is held has a way that it would take: where there is none, it is refused as without the override.
                under = _by_facts(facts, customer_id, product_id, now, "", True)
                if under.route is None:
                    return under
                return under._replace(action=Action.HOLD, reason="override", since=override.at, until=override.until)
            if route := facts.routes.get(override.route_id):
                return Decision(Action.SEND, route, "override", since=override.at, until=override.until)
    return None


# --- what the facts say --------------------------------------------------------------------------------------------


def _by_facts(
    facts: Facts, customer_id: int, product_id: int, now: datetime, recipient: str, important: bool
) -> Decision:
    way = None
    rolled_back = None
    switch = None
    if switches := facts.switches_of.get(customer_id):
        switch, way, rolled_back = _by_switch(facts, switches, product_id, now, recipient)
    way = way or _by_hand(facts, customer_id, product_id)
    if changes := facts.changes.get(product_id):
        for change in changes:
            if now >= change.start_at:
                way = _through(facts, change, way, switch, customer_id, now, important)
    way = way or _for_everyone(facts, product_id)
    if rolled_back and way.action is Action.SEND:
        return way._replace(reason="rolled_back", since=rolled_back.rolled_back_at)
    return way


def _by_switch(
    facts: Facts, switches: Sequence[Switch], product_id: int, now: datetime, recipient: str
) -> tuple[Switch | None, Decision | None, Switch | None]:
    """The switch that rules and what it decides; and the newest one that would, had it not been rolled back."""
    rolled_back = None
    for switch in switches:  # the newest first
        if now < switch.at or not switch.concerns(product_id):
            continue
        if not switch.stands(now):
            rolled_back = rolled_back or switch
            continue
        if (route := facts.routes.get(switch.to_route_id)) is None:
            continue
        if switch.in_canary(now):
            if recipient and switch.in_share(recipient) and _allowed(facts, route, None):
                return switch, Decision(Action.SEND, route, "canary", since=switch.at, until=switch.canary_until), None
            continue  # the others go as if it had not come yet
        reason = "switched" if switch.campaign_id is None else "choice_live"
        return switch, Decision(Action.SEND, route, reason, since=switch.canary_until or switch.at), rolled_back
    return None, None, rolled_back


def _by_hand(facts: Facts, customer_id: int, product_id: int) -> Decision | None:
    assigned = facts.assigned
    if (number := assigned.get((customer_id, product_id))) is not None and (route := facts.routes.get(number)):
        return Decision(Action.SEND, route, "customer_product_route")
    if (number := assigned.get((customer_id, None))) is not None and (route := facts.routes.get(number)):
        return Decision(Action.SEND, route, "customer_route")
    return None


def _for_everyone(facts: Facts, product_id: int) -> Decision:
    if (number := facts.assigned.get((None, product_id))) is not None and (route := facts.routes.get(number)):
        return Decision(Action.SEND, route, "product_route")
    return Decision(Action.REFUSE, None, "no_route")


def _through(
    facts: Facts, change: Change, way: Decision | None, switch: Switch | None, customer_id: int, now: datetime, important: bool
) -> Decision:  # fmt: skip
    """What a campaign makes of the way that was decided without it."""
    campaign = change.campaign
    if way is not None:
        if switch is not None and switch.campaign_id == campaign.id:
            return way._replace(campaign=campaign)
        if way.route is not change.legacy or way.action is not Action.SEND:
            return way  # not by the legacy route, so the change does not concern it; or stopped by an earlier one
    extension = _more_time(facts, campaign, customer_id, now) if customer_id in change.extended else None
    until = max(change.stop_at, extension[0]) if extension else change.stop_at
    if now < change.stop_at:
        if not extension and not important and (window := _brownout(facts, campaign, customer_id, now)):
            return Decision(Action.HOLD, change.legacy, "brownout", since=window[0], until=window[1], campaign=campaign)
        return Decision(Action.SEND, change.legacy, "legacy", until=until, campaign=campaign)
    if extension:
        return Decision(Action.SEND, change.legacy, extension[1], since=change.stop_at, until=until, campaign=campaign)
    action = Action.HOLD if campaign.after_stop is AfterStop.HOLD else Action.REFUSE
    return Decision(
        action, change.legacy, "no_active_choice", since=_stopped(facts, change, customer_id, now), campaign=campaign
    )


_MORE_TIME = {ExtensionKind.EXTENSION: "legacy_extended", ExtensionKind.EXEMPTION: "legacy_exempt"}


def _more_time(facts: Facts, campaign: Campaign, customer_id: int, now: datetime) -> tuple[datetime, str] | None:
    """Until when the customer has more time at `now`, and by which reason."""
    for one in facts.choices.extensions_of(campaign.id, customer_id):  # the longest first
        if one.kind in _MORE_TIME and one.in_force(now):
            return one.ends_at, _MORE_TIME[one.kind]
    return None


def _stopped(facts: Facts, change: Change, customer_id: int, now: datetime) -> datetime:
    """When the customer's mail stopped: at the stop, or when its extension ended."""
    ends = [
        min(one.ends_at, one.ended_at or one.ends_at)
        for one in facts.choices.extensions_of(change.campaign.id, customer_id)
        if one.kind in _MORE_TIME and one.approved_at
    ]
    return max([change.stop_at, *(end for end in ends if end <= now)])


def _brownout(facts: Facts, campaign: Campaign, customer_id: int, now: datetime) -> tuple[datetime, datetime] | None:
    for one in facts.brownouts_of.get(campaign.id, ()):
        if one.in_force(now) and facts.choices.active(campaign.id, customer_id) is None:
            return one.starts_at, one.ends_at
    return None


# --- what holds for every way --------------------------------------------------------------------------------------


def _allowed(facts: Facts, route: Route, campaign: Campaign | None) -> bool:
    if facts.allowed_regions and route.region not in facts.allowed_regions:
        return False
    return not (campaign and campaign.allowed_regions) or route.region in campaign.allowed_regions


def _sending_domain(decision: Decision, sender_domain: str) -> str:
    """The domain that stands as the sender's when the mail leaves: in reserve mode it is the vendor's."""
    return decision.sender.rpartition("@")[2] if decision.sender else sender_domain


def _domain_lost(facts: Facts, route: Route, sender_domain: str, now: datetime) -> datetime | None:
    """Since when mail by this route from this domain is stopped, because the records that it needs there are gone."""
    lost = facts.lost_for(sender_domain)
    if lost and lost.stop_at <= now and (route.sign or route.slug in lost.asked_by):
        return lost.stop_at
    return None


def _at_risk(facts: Facts, product_id: int, decision: Decision, now: datetime, sender_domain: str) -> bool:
    """Whether the risk date has come and nobody has seen this way authenticated, for the domain or one above it."""
    risk_at = facts.risk_at.get(product_id)
    if risk_at is None or now < risk_at:
        return False
    route_id = decision.route.id if decision.route else 0
    while sender_domain:
        if (sender_domain, route_id) in facts.proven:
            return False
        sender_domain = sender_domain.partition(".")[2]
    return True
