"""Which way a mail takes, and why: the routes there are, who uses which, and one pure function over those facts."""

from ombud.routing.decide import TEST_ROUTE, Action, Decision, Facts, Limits, Route, decide
from ombud.routing.routes import assign, load_facts, pause_route, put_allowed_regions, put_route, route_secret, unassign

__all__ = [
    "TEST_ROUTE", "Action", "Decision", "Facts", "Limits", "Route", "assign", "decide", "load_facts", "pause_route", "put_allowed_regions", "put_route",
    "route_secret", "unassign",
]  # fmt: skip
