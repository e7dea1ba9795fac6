"""The facts: all that a decision is made from, at one moment, arranged so that it takes microseconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from ombud.choices import Campaign, Choices, Extension, ExtensionKind, load_choices
from ombud.db import Transaction
from ombud.domains import Lost, load_lost, load_proven
from ombud.routing.brownouts import Brownout, load_brownouts
from ombud.routing.caps import load_over_cap
from ombud.routing.overrides import Override, load_overrides
from ombud.routing.route import TEST_ROUTE, Route
from ombud.routing.routes import allowed_regions, load_assigned, load_routes
from ombud.routing.switches import Switch, load_switches

T = TypeVar("T")

#: Google's consumer domains: those that its sender rules of 2024-02-01 speak of. Workspace domains look like any other.
GOOGLE = frozenset({"gmail.com", "googlemail.com"})
_AT_GOOGLE = tuple(f"@{domain}" for domain in sorted(GOOGLE))


def to_google(address: str) -> bool:
    """Whether the address is at one of Google's consumer domains; as a canonical address has it, in lower case."""
    return address.endswith(_AT_GOOGLE)


@dataclass(frozen=True, slots=True)
class Change:
    """What a campaign means for one product, with its days worked out as moments."""

    campaign: Campaign
    legacy: Route
    start_at: datetime
    risk_at: datetime
    stop_at: datetime
    extended: frozenset[int]  # customers that have or had more time


@dataclass(frozen=True, slots=True)
class Facts:
    """Routes, who uses which, what was chosen, and what operators have said. An immutable value; `load_facts` reads one.

    `assigned` maps (customer, product) to a route id; None in either place means every one. `proven` holds (domain, route id)
    for each way that a real message has shown to be authenticated.
    """

    routes: Mapping[int, Route]
    assigned: Mapping[tuple[int | None, int | None], int]
    allowed_regions: frozenset[str] = field(default_factory=frozenset)  # empty: all
    choices: Choices = field(default_factory=Choices)
    switches: tuple[Switch, ...] = ()
    overrides: tuple[Override, ...] = ()
    brownouts: tuple[Brownout, ...] = ()
    proven: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    over_cap: Mapping[int, str] = field(default_factory=dict)  # customer, month of the hard cap
    lost: Mapping[str, Lost | None] = field(default_factory=dict)  # domains; None: not lost, though one above it is
    # Worked out of these, for `decide`.
    by_slug: Mapping[str, Route] = field(init=False, repr=False, compare=False)
    products: frozenset[int] = field(init=False, repr=False, compare=False)  # those that anything is said of
    test_route: Route | None = field(init=False, repr=False, compare=False)
    changes: Mapping[int, tuple[Change, ...]] = field(init=False, repr=False, compare=False)  # by product, oldest first
    risk_at: Mapping[int, datetime] = field(init=False, repr=False, compare=False)  # by product
    switches_of: Mapping[int, tuple[Switch, ...]] = field(init=False, repr=False, compare=False)  # newest first
    overrides_of: Mapping[int, tuple[Override, ...]] = field(init=False, repr=False, compare=False)  # newest first
    reserves_of: Mapping[int, tuple[tuple[Campaign, Extension], ...]] = field(init=False, repr=False, compare=False)
    brownouts_of: Mapping[int, tuple[Brownout, ...]] = field(init=False, repr=False, compare=False)  # by campaign

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "by_slug", {route.slug: route for route in self.routes.values()})
        put(self, "test_route", self.route(TEST_ROUTE))
        put(self, "changes", self._changes_by_product())
        put(self, "risk_at", {
            product: min(max(one.start_at, one.risk_at) for one in found) for product, found in self.changes.items()
        })  # fmt: skip
        put(
            self, "products", frozenset(self.changes) | {product for _, product in self.assigned if product is not None}
        )
        put(self, "switches_of", _grouped((one.customer_id, one) for one in reversed(self.switches)))
        put(self, "overrides_of", _grouped((one.customer_id, one) for one in reversed(self.overrides)))
        put(self, "reserves_of", _grouped(self._reserves()))
        put(self, "brownouts_of", _grouped((one.campaign_id, one) for one in self.brownouts))

    def route(self, slug: str) -> Route | None:
        return self.by_slug.get(slug)

    def lost_for(self, domain: str) -> Lost | None:
        """What is lost of the domain that speaks for this one: itself, or the nearest one above it."""
        while domain:
            if domain in self.lost:
                return self.lost[domain]
            domain = domain.partition(".")[2]
        return None

    def _changes_by_product(self) -> Mapping[int, tuple[Change, ...]]:
        extended = {
            campaign.id: frozenset(one.customer_id for one in self.choices.extensions_in(campaign.id))
            for campaign in self.choices.campaigns
        }
        return _grouped(
            (
                product,
                Change(campaign, legacy, campaign.start_at, campaign.risk_at, campaign.stop_at, extended[campaign.id]),
            )
            for campaign in self.choices.campaigns  # by when they start
            for product, route_id in campaign.products.items()
            if (legacy := self.routes.get(route_id))
        )

    def _reserves(self) -> Iterable[tuple[int, tuple[Campaign, Extension]]]:
        for campaign in self.choices.campaigns:
            if campaign.reserve and campaign.reserve.route_id in self.routes:
                for one in self.choices.extensions_in(campaign.id):
                    if one.kind is ExtensionKind.RESERVE:
                        yield one.customer_id, (campaign, one)


def _grouped(pairs: Iterable[tuple[int, T]]) -> Mapping[int, tuple[T, ...]]:
    found: defaultdict[int, list[T]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return {key: tuple(values) for key, values in found.items()}


def load_facts(tx: Transaction) -> Facts:
    """Read them, in a few questions whatever the number of customers."""
    return Facts(
        load_routes(tx), load_assigned(tx), allowed_regions(tx), load_choices(tx), tuple(load_switches(tx)),
        tuple(load_overrides(tx)), tuple(load_brownouts(tx)), load_proven(tx),
        load_over_cap(tx), load_lost(tx),
    )  # fmt: skip
