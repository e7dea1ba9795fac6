"""Whatever the facts are: a decision always comes, comes out the same, and stops once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.choices import AfterStop, ExtensionKind
from ombud.domains import Lost
from ombud.routing import REASONS, Action, Facts, decide, decide_all, explain
from tests.routing.world import (
    CAMPAIGN,
    EKEN,
    HYRA,
    MARKNAD,
    ONLINE,
    ROUTES,
    at,
    brownout,
    choice,
    extension,
    facts,
    override,
    switch,
)

START, END = datetime(2023, 12, 1), datetime(2025, 1, 1)
moments = st.datetimes(START, END).map(lambda moment: at(moment.isoformat()))
texts = st.datetimes(START, END).map(lambda moment: moment.isoformat())
days = st.dates(date(2024, 1, 10), date(2024, 12, 1))
route_ids = st.integers(1, 7)  # two of them lead nowhere
regions = st.sampled_from([frozenset(), frozenset({"EU"}), frozenset({"US"})])
percents = st.sampled_from([1, 20, 50, 99])


@st.composite
def switches(draw: st.DrawFn, id: int) -> Any:
    when = draw(texts)
    later = at(when) + timedelta(days=draw(st.integers(1, 20)))
    canary = draw(st.booleans())
    return switch(
        draw(route_ids), when, id=id, campaign_id=draw(st.sampled_from([None, 1])),
        product_ids=draw(st.sampled_from([None, frozenset({HYRA}), frozenset({MARKNAD, HYRA})])),
        canary_percent=draw(percents) if canary else 100, canary_until=later if canary else None,
        rolled_back_at=draw(st.one_of(st.none(), moments)),
    )  # fmt: skip


@st.composite
def overrides(draw: st.DrawFn, id: int) -> Any:
    since, until = sorted([draw(texts), draw(texts)])
    return override(draw(st.one_of(st.none(), route_ids)), since, until, id=id)


@st.composite
def any_facts(draw: st.DrawFn, *, calm: bool = False) -> Facts:
    """`calm`: without what may change a decision more than once between two moments."""
    stop = draw(days)
    campaign = replace(
        CAMPAIGN, stop_date=stop, risk_date=min(stop, draw(days)), after_stop=draw(st.sampled_from(AfterStop)),
        last_extension_date=max(stop, date(2024, 12, 31)), allowed_regions=frozenset() if calm else draw(regions),
    )  # fmt: skip
    routes = {
        id: one if calm else replace(one, region=draw(st.sampled_from(["EU", "US"]))) for id, one in ROUTES.items()
    }
    if calm:
        return facts(campaigns=[campaign], choices=draw(st.lists(st.just(choice()), max_size=1)))
    window = sorted([draw(texts), draw(texts)])
    return facts(
        campaigns=draw(st.sampled_from([(), (campaign,)])), routes=routes,
        choices=draw(st.lists(st.just(choice()), max_size=1)),
        extensions=[
            extension(draw(st.sampled_from(ExtensionKind)), draw(days), approved=draw(st.one_of(st.none(), texts)), id=id)
            for id in range(draw(st.integers(0, 2)))
        ],
        assigned=draw(st.dictionaries(st.sampled_from([(EKEN, None), (EKEN, HYRA)]), route_ids)),
        switches=[draw(switches(id)) for id in range(1, draw(st.integers(1, 4)))],
        overrides=[draw(overrides(id)) for id in range(draw(st.integers(0, 2)))],
        brownouts=[brownout(*window, approved=draw(st.one_of(st.none(), texts)))],
        allowed_regions=draw(regions),
        lost={"eken.example": Lost(draw(moments), frozenset({"underleverantor", "eken-egen"}))} if draw(st.booleans()) else {},
    )  # fmt: skip


products = st.sampled_from([HYRA, MARKNAD, ONLINE, 99])
recipients = st.sampled_from(["", "anna@gmail.com", "bo@post.example", "åsa@ängsgården.example"])


@settings(max_examples=150)
@given(any_facts(), st.sampled_from([EKEN, 2]), products, moments, recipients, st.booleans(), st.booleans())
def test_decide_is_total_and_pure_and_gives_one_known_rule(
    known: Facts, customer: int, product: int, now: datetime, to: str, test: bool, important: bool
) -> None:
    found = decide(
        known, customer, product, now, recipient=to, sender_domain="eken.example", test=test, important=important
    )
    again = decide(
        known, customer, product, now, recipient=to, sender_domain="eken.example", test=test, important=important
    )
    assert found == again
    assert found.reason in REASONS
    assert found.action is not Action.SEND or found.route is not None
    assert found.action is not Action.HOLD or found.route is not None  # what is held has a way to wait for
    assert not found.warnings or (to == "anna@gmail.com" and found.action is not Action.REFUSE)
    if found.action is Action.SEND and found.route and not test:
        assert not known.allowed_regions or found.route.region in known.allowed_regions
        assert found.route.customer_id in (None, customer) or customer != EKEN
    assert all(words and "{" not in words.replace("{slug}", "") for words in explain(found).values())
    assert found.until is None or found.until > now or found.reason == "region_not_allowed"


@settings(max_examples=100)
@given(any_facts(), products, moments, st.lists(recipients.filter(bool), min_size=1, max_size=5))
def test_what_is_decided_for_many_is_what_is_decided_for_each(
    known: Facts, product: int, now: datetime, to: list[str]
) -> None:
    found = decide_all(known, EKEN, product, now, to, sender_domain="eken.example")
    assert found == [decide(known, EKEN, product, now, recipient=one, sender_domain="eken.example") for one in to]


@settings(max_examples=150)
@given(any_facts(calm=True), st.lists(moments, min_size=2, max_size=6))
def test_around_the_stop_mail_goes_from_sent_to_stopped_and_never_back(known: Facts, times: list[datetime]) -> None:
    sent = [decide(known, EKEN, HYRA, now).action is Action.SEND for now in sorted(times)]
    assert sent == sorted(sent, reverse=True)
    (campaign,) = known.choices.campaigns
    assert decide(known, EKEN, HYRA, campaign.stop_at - timedelta(microseconds=1)).action is Action.SEND
    assert decide(known, EKEN, HYRA, campaign.stop_at).action is not Action.SEND


@settings(max_examples=100)
@given(any_facts(), st.sampled_from([EKEN, 2]), moments)
def test_a_decision_holds_until_the_moment_that_it_names(known: Facts, customer: int, now: datetime) -> None:
    """Nothing but what is planned may change it before: another decision at that very moment, or none at all."""
    found = decide(known, customer, HYRA, now, important=True)
    if (
        found.reason in ("legacy", "legacy_extended", "legacy_exempt")
        and found.until
        and not known.switches
        and not known.overrides
    ):
        reserved = known.reserves_of.get(customer)
        approvals = [one.approved_at for one in known.choices.extensions_of(1, customer) if one.approved_at]
        if not reserved and all(at <= now for at in approvals):
            assert (
                decide(known, customer, HYRA, found.until - timedelta(microseconds=1), important=True).action
                is found.action
            )
            assert decide(known, customer, HYRA, found.until, important=True).action is not Action.SEND
