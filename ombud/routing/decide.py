"""The decision: a pure function from facts to an action, a route and a reason with a stable code.

The same function decides the real mail, answers `ombud routes explain`, and answers for any other moment: it reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    SEND = "send"  # by `route`
    HOLD = "hold"  # keep it; a person, or a change of the facts, releases it
    REFUSE = "refuse"  # do not take it in


@dataclass(frozen=True, slots=True)
class Limits:
    """What a route bears. 0 means no limit of that kind."""

    connections: int = 10
    messages_per_minute: int = 0
    recipients_per_day: int = 0


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Route:
    """One configured way out: a provider with its settings and limits; owned by a customer, or by the vendor (None)."""

    id: int
    slug: str
    provider: str
    settings: Mapping[str, Any]
    customer_id: int | None
    region: str
    sign: bool  # Ombud signs with the From domain's keys; else the provider signs, or no one
    billable: bool  # a hand-over here is a billable e-mail
    limits: Limits
    paused: bool  # keeps its mail until it is resumed
    secret: str = ""  # a fingerprint of the sealed password: the route is another one when its password is


#: What test credentials' mail takes: every step but the sending. Always there, under the smallest id.
TEST_ROUTE = "test"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one mail. `reason` is a stable code and is stored with the message."""

    action: Action
    route: Route | None
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision is made from, at one moment: the routes, and who uses which.

    `assigned` maps (customer, product) to a route id; None in either place means every one.
    """

    routes: Mapping[int, Route]
    assigned: Mapping[tuple[int | None, int | None], int]
    allowed_regions: frozenset[str] = field(default_factory=frozenset)  # empty: all

    def route(self, slug: str) -> Route | None:
        return next((route for route in self.routes.values() if route.slug == slug), None)


def decide(facts: Facts, customer_id: int, product_id: int, now: datetime, *, test: bool = False) -> Decision:
    """Which way mail of this customer from this product takes at `now`. Total: it always answers, and never raises.

    1. Test mode goes nowhere.                                       `test_mode`
    2. The customer's own route for the product, then for all.      `customer_product_route`, `customer_route`
    3. The route that the product has for everyone.                 `product_route`
    4. None of these: nothing is taken in.                          `no_route`
    A route outside the allowed regions is never used.              `region_not_allowed`
    """
    if test:
        return Decision(Action.SEND, facts.route(TEST_ROUTE), "test_mode")
    for who, reason in (
        ((customer_id, product_id), "customer_product_route"),
        ((customer_id, None), "customer_route"),
        ((None, product_id), "product_route"),
    ):
        if (number := facts.assigned.get(who)) is not None and (route := facts.routes.get(number)):
            if facts.allowed_regions and route.region not in facts.allowed_regions:
                return Decision(Action.REFUSE, route, "region_not_allowed")
            return Decision(Action.SEND, route, reason)
    return Decision(Action.REFUSE, None, "no_route")
