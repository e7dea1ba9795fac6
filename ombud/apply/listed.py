"""What the customer list says that customers have chosen: choices made by an operator for them, and live at once where the file says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ombud.accounts import Customer, load_directory
from ombud.apply.step import Done, Step
from ombud.apply.wanted import WantedCustomer
from ombud.campaigns.choosing import choose
from ombud.campaigns.golive import go_live
from ombud.campaigns.picture import Picture, load_picture
from ombud.campaigns.presenting import Presenter, load_presenter
from ombud.choices import Campaign
from ombud.db import Transaction
from ombud.errors import Misconfigured
from ombud.settings import known_names

#: Who has chosen what stands in the list. A customer who has chosen otherwise since is left alone.
THE_LIST = "customer list"


def put_listed_choices(
    tx: Transaction, campaign_slug: str, customers: Sequence[WantedCustomer], live: bool, now: datetime
) -> list[Step]:
    """Choose for each customer that has an alternative in the list and has chosen nothing yet, or only by the list.

    With `live` its mail goes by the choice at once, on an operator's word, if the route is there and it has never been switched
    in the campaign. Raises UnknownCampaign, CampaignEnded, and Misconfigured for an alternative that is not offered.
    """
    listed = [one for one in customers if one.alternative]
    if not listed:
        return []
    picture = load_picture(tx, campaign_slug, now, {})
    presenter, directory = load_presenter(tx, picture.campaign, now), load_directory(tx)
    steps = [_chosen(tx, presenter, directory.customer(one.slug), one, now) for one in listed]
    if live:
        picture = load_picture(tx, campaign_slug, now, {})  # as it is with the choices
        steps += [step for one in listed for step in _live(tx, picture, directory.customer(one.slug), one, now)]
    return steps


def _chosen(tx: Transaction, presenter: Presenter, customer: Customer, listed: WantedCustomer, now: datetime) -> Step:
    campaign, wanted = presenter.campaign, listed.alternative
    _check_offered(campaign, listed)
    name = f"{customer.slug} / {campaign.slug}"
    before = presenter.choices.active(campaign.id, customer.id)
    if before and before.alternative == wanted:
        return Step(Done.SAME, "choice", name, wanted)
    if before and before.by != THE_LIST:
        return Step(
            Done.SAME, "choice", name, f"{before.alternative}, chosen by {before.by}; the list's {wanted} is left"
        )
    shown = presenter.shown(customer, wanted, customer.language)
    choose(
        tx, campaign, customer, wanted, shown, now, expected=before.id if before else None, operator=THE_LIST,
        reason=listed.where or THE_LIST,
    )  # fmt: skip
    return Step(Done.of(before, True), "choice", name, f"{before.alternative} -> {wanted}" if before else wanted)


def _check_offered(campaign: Campaign, listed: WantedCustomer) -> None:
    offered = [one.slug for one in campaign.offered]
    if listed.alternative not in offered:
        known = known_names(listed.alternative, offered)
        raise Misconfigured(
            reason=f"{listed.where}: the campaign {campaign.slug} does not offer {listed.alternative}; {known}"
        )


def _live(
    tx: Transaction, picture: Picture, customer: Customer, listed: WantedCustomer, now: datetime
) -> Iterator[Step]:
    facts = picture.facts.get(customer.id)
    if facts is None or facts.choice is None or facts.choice.by != THE_LIST:
        return
    campaign, name = picture.campaign, f"{customer.slug} / {picture.campaign.slug}"
    route = picture.route_of(customer)
    if route is None:
        slug = campaign.alternative(facts.choice.alternative).route_of(customer.slug)
        yield Step(Done.SAME, "live", name, f"not yet: there is no route {slug}")
        return
    switched = any(one.campaign_id == campaign.id for one in picture.routing.switches_of.get(customer.id, ()))
    if switched or len(facts.live_since or {}) == len(campaign.products):
        yield Step(Done.SAME, "live", name, route.slug)
        return
    go_live(tx, picture, customer, now, by=THE_LIST, override_reason=listed.where or THE_LIST)
    yield Step(Done.ADDED, "live", name, route.slug)
