"""All campaigns, active choices and extensions as one value to ask; kept in memory like who is who."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ombud.choices.campaign import Campaign
from ombud.choices.campaigns import load_campaigns
from ombud.choices.choice import Choice
from ombud.choices.choosing import newest_choices
from ombud.choices.extending import load_extensions
from ombud.choices.extension import Extension, ExtensionKind
from ombud.db import Transaction
from ombud.errors import CampaignEnded, UnknownCampaign

Who = tuple[int, int]  # campaign id, customer id


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything that was decided, at one moment. `Choices()` is that of an installation without campaigns."""

    campaigns: tuple[Campaign, ...] = ()  # the newest version of each, the one that starts first first
    _by_id: Mapping[int, Campaign] = field(default_factory=dict)
    _by_slug: Mapping[str, Campaign] = field(default_factory=dict)
    # When each starts, worked out once; the one that starts last first.
    _by_product: Mapping[int, tuple[tuple[datetime, Campaign], ...]] = field(default_factory=dict)
    _active: Mapping[Who, Choice] = field(default_factory=dict)
    _extensions: Mapping[Who, tuple[Extension, ...]] = field(default_factory=dict)  # the longest first

    # --- campaigns ---

    def campaign(self, slug: str) -> Campaign:
        """Raises UnknownCampaign."""
        if not (found := self._by_slug.get(slug)):
            raise UnknownCampaign(campaign=slug, known=", ".join(self._by_slug) or "none")
        return found

    def campaign_by_id(self, number: int) -> Campaign:
        return self._by_id[number]

    def open_campaign(self, slug: str, now: datetime) -> Campaign:
        """The campaign, if something can be chosen in it at `now`; after its stop it still can. Raises UnknownCampaign, CampaignEnded."""
        campaign = self.campaign(slug)
        if campaign.end_at and now >= campaign.end_at:
            raise CampaignEnded(campaign=slug, end_date=campaign.end_date)
        return campaign

    def campaign_of(self, product_id: int, now: datetime) -> Campaign | None:
        """The campaign that the product's mail goes by at `now`: of those that have started the newest; None: none has."""
        return next((one for start_at, one in self._by_product.get(product_id, ()) if now >= start_at), None)

    def campaigns_of(self, product_id: int, now: datetime) -> tuple[Campaign, ...]:
        """All that have started for the product at `now`, the newest first.

        A later campaign concerns only mail that would otherwise take its legacy route for the product: a customer whose live
        choice in an earlier one leads elsewhere goes on by that.
        """
        return tuple(one for start_at, one in self._by_product.get(product_id, ()) if now >= start_at)

    # --- choices ---

    def active(self, campaign_id: int, customer_id: int) -> Choice | None:
        """What the customer has chosen in the campaign; None: nothing, or it was withdrawn."""
        choice = self._active.get((campaign_id, customer_id))
        return None if choice is None or choice.withdrawn else choice

    def active_in(self, campaign_id: int) -> dict[int, Choice]:
        """Customer id -> active choice, for all that have one in the campaign."""
        return {
            customer: choice
            for (campaign, customer), choice in self._active.items()
            if campaign == campaign_id and not choice.withdrawn
        }

    def newest(self, campaign_id: int, customer_id: int) -> Choice | None:
        """The newest entry of the customer's history, a withdrawal too: its id is what `expected` means."""
        return self._active.get((campaign_id, customer_id))

    # --- extensions ---

    def extension(
        self, campaign_id: int, customer_id: int, now: datetime, kind: ExtensionKind | None = None
    ) -> Extension | None:
        """The extension (exemption, reserve mode) in force at `now`: of several the one that lasts longest."""
        for one in self._extensions.get((campaign_id, customer_id), ()):
            if (kind is None or one.kind is kind) and one.in_force(now):
                return one
        return None

    def extensions_of(self, campaign_id: int, customer_id: int) -> tuple[Extension, ...]:
        """All there ever were for the customer, asked and ended ones too."""
        return self._extensions.get((campaign_id, customer_id), ())

    def extensions_in(self, campaign_id: int) -> list[Extension]:
        """All there ever were in the campaign."""
        return [one for (campaign, _), found in self._extensions.items() if campaign == campaign_id for one in found]


def make_choices(
    campaigns: Iterable[Campaign], newest: Iterable[Choice] = (), extensions: Iterable[Extension] = ()
) -> Choices:
    """Put the value together: `load_choices` does from the database, a test from nothing. `newest`: one for each customer and campaign."""
    ordered = tuple(sorted(campaigns, key=lambda one: (one.start_at, one.id)))
    by_product: dict[int, tuple[tuple[datetime, Campaign], ...]] = {}
    for campaign in ordered:
        for product in campaign.products:
            by_product[product] = ((campaign.start_at, campaign), *by_product.get(product, ()))
    by_who: dict[Who, tuple[Extension, ...]] = {}
    for extension in sorted(extensions, key=lambda one: (one.ends_at, one.id), reverse=True):
        who = (extension.campaign_id, extension.customer_id)
        by_who[who] = (*by_who.get(who, ()), extension)
    return Choices(
        ordered,
        {one.id: one for one in ordered},
        {one.slug: one for one in ordered},
        by_product,
        {(one.campaign_id, one.customer_id): one for one in newest},
        by_who,
    )


def load_choices(tx: Transaction) -> Choices:
    """Read all of it, in a few questions whatever the number of customers."""
    return make_choices(load_campaigns(tx), newest_choices(tx), load_extensions(tx))
