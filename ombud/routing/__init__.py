"""Which way a mail takes, and why: the routes there are, who uses which, and one pure function over those facts."""

from ombud.routing.brownouts import (
    Brownout,
    approve_brownout,
    ask_brownout,
    get_brownout,
    load_brownouts,
    mark_announced,
    pause_brownout,
)
from ombud.routing.decide import GMAIL_AT_RISK, REASONS, Action, Decision, decide, decide_all
from ombud.routing.explain import explain, last_day, said
from ombud.routing.facts import GOOGLE, Facts, load_facts, to_google
from ombud.routing.overrides import Override, end_override, load_overrides, put_override
from ombud.routing.route import DEFAULT_LIMITS, TEST_ROUTE, Limits, Route
from ombud.routing.routes import assign, pause_route, put_allowed_regions, put_route, route_secret, unassign
from ombud.routing.switches import (
    AUTOMATIC,
    Counts,
    Switch,
    count_outcomes,
    counts_of,
    get_switch,
    load_switches,
    put_switch,
    roll_back,
    too_many_failures,
)

__all__ = [
    "AUTOMATIC", "DEFAULT_LIMITS", "GMAIL_AT_RISK", "GOOGLE", "REASONS", "TEST_ROUTE", "Action", "Brownout", "Counts", "Decision",
    "Facts", "Limits", "Override", "Route", "Switch", "approve_brownout", "ask_brownout", "assign", "count_outcomes",
    "counts_of", "decide", "decide_all", "end_override", "explain", "get_brownout", "get_switch", "last_day", "load_brownouts", "load_facts",
    "load_overrides", "load_switches", "mark_announced", "pause_brownout", "pause_route", "put_allowed_regions",
    "put_override", "put_route", "put_switch", "roll_back", "route_secret", "said", "to_google", "too_many_failures",
    "unassign",
]  # fmt: skip
