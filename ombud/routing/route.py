"""A route: one configured way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ombud.errors import RouteNotTheirs


@dataclass(frozen=True, slots=True)
class Limits:
    """What a route bears. 0 means no limit of that kind."""

    connections: int = 10
    messages_per_minute: int = 0
    recipients_per_day: int = 0


DEFAULT_LIMITS = Limits()

#: What test credentials' mail takes: every step but the sending. Always there, under the smallest id.
TEST_ROUTE = "test"


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

    def check_taker(self, customer_id: int) -> None:
        """Raises RouteNotTheirs when this customer's live mail may not take it: it is another's own, or goes nowhere."""
        if self.slug == TEST_ROUTE or self.customer_id not in (None, customer_id):
            raise RouteNotTheirs(route=self.slug)
