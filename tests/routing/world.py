"""A small world of facts: three routes, a campaign with the dates of 2024, and whatever a test says of its one customer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ombud.choices import AfterStop, Campaign, Choice, Extension, ExtensionKind, Reserve, end_of, make_choices
from ombud.routing import Brownout, Facts, Limits, Override, Route, Switch

STOCKHOLM = ZoneInfo("Europe/Stockholm")
EKEN, HYRA, MARKNAD, ONLINE = 1, 10, 11, 12
TEST, LEGACY, MAILGUN, OWN, OWN_SERVER = range(1, 6)


def at(text: str) -> datetime:
    """A moment of Stockholm's."""
    return datetime.fromisoformat(text).replace(tzinfo=STOCKHOLM).astimezone(UTC)


def route(id: int, slug: str, *, region: str = "EU", customer_id: int | None = None) -> Route:
    return Route(id, slug, "smtp", {}, customer_id, region, False, False, Limits(), False)


ROUTES = {
    TEST: route(TEST, "test"),
    LEGACY: route(LEGACY, "underleverantor"),
    MAILGUN: route(MAILGUN, "mailgun-eu"),
    OWN: route(OWN, "eken-egen", customer_id=EKEN),
    OWN_SERVER: route(OWN_SERVER, "egen-server"),
}

CAMPAIGN = Campaign(
    id=1, slug="molntjanst-2024", version=1, name={"sv": "E-post 2024", "en": "E-mail 2024"},
    products={HYRA: LEGACY, MARKNAD: OWN_SERVER}, alternatives=(), start_date=date(2024, 1, 8), risk_date=date(2024, 2, 1),
    stop_date=date(2024, 5, 31), last_extension_date=date(2024, 8, 31), hold_days=14,
    reserve=Reserve(OWN_SERVER, "{slug}@molntjanst.example"),
)  # fmt: skip
HOLDING = replace(CAMPAIGN, after_stop=AfterStop.HOLD)


def facts(
    *, campaigns: Sequence[Campaign] = (CAMPAIGN,), choices: Iterable[Choice] = (), extensions: Iterable[Extension] = (),
    routes: dict[int, Route] = ROUTES, assigned: dict[tuple[int | None, int | None], int] | None = None, **more: Any,
) -> Facts:  # fmt: skip
    everyone: dict[tuple[int | None, int | None], int] = {
        (None, HYRA): LEGACY, (None, MARKNAD): OWN_SERVER, (None, ONLINE): LEGACY,
    }  # fmt: skip
    return Facts(
        routes, everyone | (assigned or {}), choices=make_choices(campaigns, choices, extensions),
        **{name: tuple(value) if isinstance(value, list) else value for name, value in more.items()},
    )  # fmt: skip


def choice(alternative: str = "own", when: str = "2024-03-01T10:00") -> Choice:
    return Choice(1, 1, EKEN, 1, alternative, at(when), "Åsa Lindqvist", 1, False, "", "", 1, "")


def extension(
    kind: ExtensionKind,
    until: date,
    *,
    approved: str | None = "2024-05-20T10:00",
    ended: str | None = None,
    id: int = 1,
) -> Extension:
    return Extension(
        id, 1, EKEN, kind, until, end_of(until, "Europe/Stockholm"), "other", "because", "anna", at("2024-05-19T10:00"),
        "bo" if approved else "", at(approved) if approved else None, "anna" if ended else "", at(ended) if ended else None,
    )  # fmt: skip


def switch(to: int = OWN, when: str = "2024-03-15T09:00", *, id: int = 1, **more: Any) -> Switch:
    values: dict[str, Any] = {
        "id": id, "campaign_id": 1, "customer_id": EKEN, "product_ids": None, "from_route_id": LEGACY, "to_route_id": to,
        "at": at(when), "canary_percent": 100, "canary_until": None, "watch_until": at("2024-12-31T00:00"), "margin_percent": 5,
        "by": "anna", "reason": "", "put_at": at(when), **more,
    }  # fmt: skip
    return Switch(**values)


def override(route_id: int | None, since: str, until: str, *, id: int = 1, **more: Any) -> Override:
    return Override(id, EKEN, more.pop("product_id", None), route_id, at(since), at(until), "anna", "because", **more)


def brownout(since: str, until: str, *, approved: str | None = "2024-04-01T10:00", **more: Any) -> Brownout:
    return Brownout(
        1, 1, at(since), at(until), "anna", at("2024-04-01T09:00"), "", "bo" if approved else None,
        at(approved) if approved else None, **more,
    )  # fmt: skip
