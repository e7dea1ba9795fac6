"""Which way a mail takes: each rule with its dates, to the second."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ombud.choices import ExtensionKind
from ombud.domains import Lost
from ombud.routing import Action, Decision, Facts, decide, decide_all, explain
from tests.routing.world import (
    CAMPAIGN,
    EKEN,
    HOLDING,
    HYRA,
    LEGACY,
    MAILGUN,
    MARKNAD,
    ONLINE,
    OWN,
    OWN_SERVER,
    ROUTES,
    at,
    brownout,
    choice,
    extension,
    facts,
    override,
    route,
    switch,
)

SEND, HOLD, REFUSE = Action.SEND, Action.HOLD, Action.REFUSE
EXTENSION, EXEMPTION, RESERVE = ExtensionKind.EXTENSION, ExtensionKind.EXEMPTION, ExtensionKind.RESERVE


def ask(known: Facts, when: str, product: int = HYRA, **more: object) -> Decision:
    return decide(known, EKEN, product, at(when), **more)  # type: ignore[arg-type]  # a test's own words


def said(decision: Decision) -> tuple[str, str, str | None]:
    return decision.action, decision.reason, decision.route.slug if decision.route and decision.action is SEND else None


# --- the stop ---


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2024-01-07T23:59:59", (SEND, "product_route", "underleverantor")),
        ("2024-01-08T00:00:00", (SEND, "legacy", "underleverantor")),
        ("2024-03-31T01:59:59", (SEND, "legacy", "underleverantor")),  # the clocks are put on at two
        ("2024-03-31T03:00:00", (SEND, "legacy", "underleverantor")),
        ("2024-05-31T23:59:59", (SEND, "legacy", "underleverantor")),
        ("2024-05-31T23:59:59.999999", (SEND, "legacy", "underleverantor")),
        ("2024-06-01T00:00:00", (REFUSE, "no_active_choice", None)),
        ("2024-10-27T02:30:00", (REFUSE, "no_active_choice", None)),  # and put back
    ],
)
def test_on_the_stop_date_mail_still_leaves_and_at_the_midnight_after_it_it_does_not(
    when: str, expected: object
) -> None:
    assert said(ask(facts(), when)) == expected


@pytest.mark.parametrize(
    ("stop", "last", "first"),
    [
        (date(2024, 3, 30), "2024-03-30T23:59:59", "2024-03-31T00:00:00"),
        (date(2024, 3, 31), "2024-03-31T23:59:59", "2024-04-01T00:00:00"),  # a day of 23 hours
        (date(2024, 10, 27), "2024-10-27T23:59:59", "2024-10-28T00:00:00"),  # of 25
    ],
)
def test_a_stop_beside_a_change_of_clocks_comes_at_the_local_midnight(stop: date, last: str, first: str) -> None:
    known = facts(campaigns=[replace(CAMPAIGN, stop_date=stop)])
    assert ask(known, last).action is SEND
    assert ask(known, first).action is REFUSE
    assert at(first) - at(last) == timedelta(seconds=1)


def test_the_policy_may_be_to_hold() -> None:
    assert said(ask(facts(campaigns=[HOLDING]), "2024-06-01T00:00")) == (HOLD, "no_active_choice", None)


def test_each_product_has_its_own_legacy_route_and_one_in_no_campaign_goes_on() -> None:
    assert ask(facts(), "2024-05-31T12:00", MARKNAD).route is ROUTES[OWN_SERVER]
    assert said(ask(facts(), "2024-07-01T12:00", ONLINE)) == (SEND, "product_route", "underleverantor")


def test_more_time_that_ends_before_the_stop_does_not_bring_it_forward() -> None:
    known = facts(extensions=[extension(EXTENSION, date(2024, 5, 20), approved="2024-04-01T10:00")])
    assert ask(known, "2024-05-10T12:00").until == at("2024-06-01T00:00")


def test_a_choice_that_is_not_live_stops_like_none() -> None:
    known = facts(choices=[choice()])
    assert said(ask(known, "2024-05-31T23:59:59")) == (SEND, "legacy", "underleverantor")
    assert said(ask(known, "2024-06-01T00:00")) == (REFUSE, "no_active_choice", None)


# --- choices that are live ---


def test_a_choice_is_live_from_its_switch_on_and_after_the_stop() -> None:
    known = facts(choices=[choice()], switches=[switch()])
    assert said(ask(known, "2024-03-15T08:59:59")) == (SEND, "legacy", "underleverantor")
    assert said(ask(known, "2024-03-15T09:00:00")) == (SEND, "choice_live", "eken-egen")
    assert said(ask(known, "2024-06-01T00:00:00")) == (SEND, "choice_live", "eken-egen")


def test_a_choice_may_be_live_for_one_product_and_not_yet_for_another() -> None:
    known = facts(choices=[choice()], switches=[switch(product_ids=frozenset({HYRA}))])
    assert ask(known, "2024-06-01T00:00").reason == "choice_live"
    assert ask(known, "2024-06-01T00:00", MARKNAD).reason == "no_active_choice"


def test_the_newest_switch_that_has_come_rules() -> None:
    known = facts(switches=[switch(OWN), switch(MAILGUN, "2024-04-15T09:00", id=2)])
    assert ask(known, "2024-04-15T08:59").route is ROUTES[OWN]
    assert ask(known, "2024-04-15T09:00").route is ROUTES[MAILGUN]


def test_a_switch_outside_a_campaign_says_so() -> None:
    known = facts(switches=[switch(MAILGUN, campaign_id=None)])
    assert said(ask(known, "2024-06-10T09:00")) == (SEND, "switched", "mailgun-eu")


@pytest.mark.parametrize("way", ["by hand", "by a switch"])
def test_nothing_that_leads_to_the_legacy_route_is_a_way_round_the_stop(way: str) -> None:
    known = (
        facts(assigned={(EKEN, None): LEGACY})
        if way == "by hand"
        else facts(switches=[switch(LEGACY, campaign_id=None)])
    )
    assert ask(known, "2024-05-31T23:59:59").reason == "legacy"
    assert ask(known, "2024-06-01T00:00").reason == "no_active_choice"


def test_a_route_set_by_hand_goes_before_the_campaign() -> None:
    known = facts(assigned={(EKEN, None): OWN, (EKEN, MARKNAD): MAILGUN})
    assert said(ask(known, "2024-06-01T00:00")) == (SEND, "customer_route", "eken-egen")
    assert said(ask(known, "2024-06-01T00:00", MARKNAD)) == (SEND, "customer_product_route", "mailgun-eu")


# --- rollback and canary ---


def test_a_switch_that_is_rolled_back_decides_as_if_it_had_never_been() -> None:
    known = facts(choices=[choice()], switches=[switch(rolled_back_at=at("2024-03-20T12:00"))])
    assert ask(known, "2024-03-20T11:59").reason == "choice_live"
    assert said(ask(known, "2024-03-20T12:00")) == (SEND, "rolled_back", "underleverantor")
    assert ask(known, "2024-05-31T23:59:59").reason == "rolled_back"
    assert said(ask(known, "2024-06-01T00:00")) == (REFUSE, "no_active_choice", None)  # usable until the stop


def test_a_rollback_leads_back_to_the_switch_before_it() -> None:
    known = facts(
        switches=[switch(OWN), switch(MAILGUN, "2024-04-15T09:00", id=2, rolled_back_at=at("2024-04-16T09:00"))]
    )
    assert said(ask(known, "2024-06-20T09:00")) == (SEND, "rolled_back", "eken-egen")
    twice = facts(switches=[
        switch(OWN, rolled_back_at=at("2024-03-16T09:00")),
        switch(MAILGUN, "2024-04-15T09:00", id=2, rolled_back_at=at("2024-04-16T09:00")),
    ])  # fmt: skip
    assert ask(twice, "2024-05-01T00:00").since == at("2024-04-16T09:00"), "since the newest of them"


def test_a_share_of_the_recipients_goes_first_always_the_same_ones() -> None:
    known = facts(switches=[switch(MAILGUN, canary_percent=20, canary_until=at("2024-03-18T09:00"))])
    everyone = [f"hyresgast{n}@post.example" for n in range(2000)]
    found = decide_all(known, EKEN, HYRA, at("2024-03-16T09:00"), everyone)
    first = {to for to, one in zip(everyone, found, strict=True) if one.reason == "canary"}
    assert 340 < len(first) < 460
    assert all(one.route is ROUTES[MAILGUN if one.reason == "canary" else LEGACY] for one in found)
    assert first == {to for to in everyone if ask(known, "2024-03-17T09:00", recipient=to).reason == "canary"}
    assert {one.reason for one in decide_all(known, EKEN, HYRA, at("2024-03-18T09:00"), everyone)} == {"choice_live"}


# --- more time ---


def test_an_extension_moves_the_stop_for_its_customer_and_only_once_it_is_approved() -> None:
    known = facts(extensions=[extension(EXTENSION, date(2024, 6, 30))])
    assert ask(known, "2024-05-31T23:59:59").reason == "legacy"
    assert ask(known, "2024-06-01T00:00").reason == "legacy_extended"
    assert ask(known, "2024-06-30T23:59:59").reason == "legacy_extended"
    assert ask(known, "2024-07-01T00:00").reason == "no_active_choice"
    assert ask(known, "2024-07-01T00:00").since == at("2024-07-01T00:00")
    assert decide(known, EKEN + 1, HYRA, at("2024-06-01T00:00")).reason == "no_active_choice"
    asked = facts(extensions=[extension(EXTENSION, date(2024, 6, 30), approved=None)])
    assert ask(asked, "2024-06-01T00:00").reason == "no_active_choice"


def test_an_extension_that_is_ended_stops_the_mail_then() -> None:
    known = facts(extensions=[extension(EXEMPTION, date(2024, 6, 30), ended="2024-06-10T12:00")])
    assert ask(known, "2024-06-10T11:59").reason == "legacy_exempt"
    assert ask(known, "2024-06-10T12:00").reason == "no_active_choice"


def test_reserve_mode_goes_before_everything_and_ends_by_itself() -> None:
    known = facts(
        extensions=[extension(RESERVE, date(2024, 6, 14))], switches=[switch()],
        overrides=[override(None, "2024-06-01T00:00", "2024-06-10T00:00")],
    )  # fmt: skip
    found = ask(known, "2024-06-05T12:00")
    assert (said(found), found.sender) == ((SEND, "reserve_mode", "egen-server"), "{slug}@molntjanst.example")
    assert ask(known, "2024-06-14T23:59:59").reason == "reserve_mode"
    assert ask(known, "2024-06-15T00:00").reason == "choice_live"


# --- operators, brownouts, regions ---


def test_an_override_holds_or_leads_elsewhere_and_ends_by_itself() -> None:
    held = facts(overrides=[override(None, "2024-04-01T00:00", "2024-04-02T00:00")])
    assert said(ask(held, "2024-04-01T12:00")) == (HOLD, "override", None)
    assert ask(held, "2024-04-01T12:00").route is ROUTES[LEGACY]  # where it waits
    assert ask(held, "2024-04-02T00:00").reason == "legacy"
    elsewhere = facts(overrides=[override(MAILGUN, "2024-04-01T00:00", "2024-04-02T00:00", product_id=HYRA)])
    assert said(ask(elsewhere, "2024-04-01T12:00")) == (SEND, "override", "mailgun-eu")
    assert ask(elsewhere, "2024-04-01T12:00", MARKNAD).reason == "legacy"
    ended = facts(overrides=[override(None, "2024-04-01T00:00", "2024-04-05T00:00", ended_at=at("2024-04-02T00:00"))])
    assert ask(ended, "2024-04-02T00:00").reason == "legacy"


def test_a_brownout_holds_the_mail_of_those_who_have_not_chosen_and_of_no_one_else() -> None:
    window = brownout("2024-05-14T09:00", "2024-05-14T12:00")
    known = facts(brownouts=[window])
    assert ask(known, "2024-05-14T08:59:59").action is SEND
    found = ask(known, "2024-05-14T09:00")
    assert (found.action, found.reason, found.until) == (HOLD, "brownout", at("2024-05-14T12:00"))
    assert ask(known, "2024-05-14T12:00").action is SEND
    assert ask(known, "2024-05-14T10:00", important=True).action is SEND
    assert ask(known, "2024-05-14T10:00", ONLINE).action is SEND
    for excused in (
        facts(brownouts=[window], choices=[choice()]),
        facts(brownouts=[window], extensions=[extension(EXTENSION, date(2024, 6, 30), approved="2024-05-01T00:00")]),
        facts(brownouts=[replace(window, paused_at=at("2024-05-14T09:30"))]),
        facts(brownouts=[brownout("2024-05-14T09:00", "2024-05-14T12:00", approved=None)]),
    ):
        assert ask(excused, "2024-05-14T10:00").action is SEND


def test_a_route_outside_the_allowed_regions_is_never_used() -> None:
    routes = {**ROUTES, MAILGUN: route(MAILGUN, "mailgun-us", region="US")}
    there = [switch(MAILGUN)]
    for known in (
        facts(routes=routes, switches=there, allowed_regions=frozenset({"EU"})),
        facts(routes=routes, switches=there, campaigns=[replace(CAMPAIGN, allowed_regions=frozenset({"EU"}))]),
        facts(routes=routes, overrides=[override(MAILGUN, "2024-03-30T00:00", "2024-04-02T00:00")], allowed_regions=frozenset({"EU"})),
    ):  # fmt: skip
        assert said(ask(known, "2024-04-01T12:00")) == (REFUSE, "region_not_allowed", None)
    assert ask(facts(routes=routes, switches=there), "2024-04-01T12:00").action is SEND


# --- the customer's own cap ---


def test_a_reached_cap_holds_bulk_mail_by_the_route_that_is_billed_until_the_month_ends() -> None:
    known = facts(routes=SIGNING, switches=[switch(MAILGUN)], over_cap={EKEN: "2024-04"})
    held = ask(known, "2024-04-30T23:59:59", bulk=True)
    assert (held.action, held.reason, held.until) == (HOLD, "over_cap", at("2024-05-01T00:00"))
    assert ask(known, "2024-05-01T00:00", bulk=True).action is SEND
    assert ask(known, "2024-04-30T23:59:59").action is SEND
    unbilled = replace(known, switches=(switch(OWN),))
    assert ask(unbilled, "2024-04-30T23:59:59", bulk=True).reason == "choice_live"


# --- lost domains ---

SIGNING = {**ROUTES, MAILGUN: replace(ROUTES[MAILGUN], sign=True, billable=True)}
LOST = {"eken.example": Lost(at("2024-04-10T09:00"), frozenset({"eken-egen"})), "apart.eken.example": None}


@pytest.mark.parametrize(
    ("to", "when", "domain", "expected"),
    [
        (MAILGUN, "2024-04-10T08:59:59", "eken.example", (SEND, "choice_live")),
        (MAILGUN, "2024-04-10T09:00:00", "eken.example", (HOLD, "domain_lost")),
        (MAILGUN, "2024-04-10T09:00:00", "avi.eken.example", (HOLD, "domain_lost")),
        (MAILGUN, "2024-04-10T09:00:00", "post.apart.eken.example", (SEND, "choice_live")),
        (MAILGUN, "2024-04-10T09:00:00", "linden.example", (SEND, "choice_live")),
        (MAILGUN, "2024-04-10T09:00:00", "", (SEND, "choice_live")),  # asked of the customer, and not of a mail
        (OWN, "2024-04-10T09:00:00", "eken.example", (HOLD, "domain_lost")),  # it is not signed by us, but it asks
        (OWN_SERVER, "2024-04-10T09:00:00", "eken.example", (SEND, "choice_live")),  # it asks nothing of the domain
    ],
)
def test_mail_that_needs_the_records_of_a_lost_domain_is_held_from_its_stop_time(
    to: int, when: str, domain: str, expected: tuple[str, str]
) -> None:
    known = facts(routes=SIGNING, switches=[switch(to)], lost=LOST)
    for stream in ({}, {"important": True}, {"bulk": True}):
        found = ask(known, when, sender_domain=domain, recipient="a@gmail.com", **stream)
        assert (found.action, found.reason) == expected
        assert found.action is SEND or (found.route, found.since) == (SIGNING[to], at("2024-04-10T09:00"))
    assert ask(known, when, sender_domain=domain, test=True).reason == "test_mode"


def test_a_lost_domain_refuses_nothing_and_excuses_nothing() -> None:
    known = facts(routes=SIGNING, switches=[switch(MAILGUN)], lost=LOST)
    assert (
        ask(replace(known, switches=()), "2024-06-01T00:00", sender_domain="eken.example").reason == "no_active_choice"
    )
    abroad = replace(known, allowed_regions=frozenset({"US"}))
    assert ask(abroad, "2024-06-01T00:00", sender_domain="eken.example").reason == "region_not_allowed"
    window = [brownout("2024-05-14T09:00", "2024-05-14T12:00")]
    assert (
        ask(
            replace(known, switches=(), brownouts=tuple(window)), "2024-05-14T10:00", sender_domain="eken.example"
        ).reason
        == "brownout"
    )


def test_in_reserve_mode_the_vendors_domain_counts_and_not_the_customers() -> None:
    reserved = {
        "extensions": [extension(RESERVE, date(2024, 6, 14))],
        "routes": {**ROUTES, OWN_SERVER: replace(ROUTES[OWN_SERVER], sign=True)},
    }
    sends = ask(facts(lost=LOST, **reserved), "2024-06-01T00:00", sender_domain="eken.example")
    assert (sends.action, sends.reason) == (SEND, "reserve_mode")
    theirs = {"molntjanst.example": Lost(at("2024-05-01T00:00"), frozenset())}
    assert ask(facts(lost=theirs, **reserved), "2024-06-01T00:00", sender_domain="eken.example").reason == "domain_lost"


# --- campaigns after each other ---


def test_a_later_campaign_concerns_only_mail_that_takes_its_legacy_route() -> None:
    later = replace(
        CAMPAIGN, id=2, slug="bytet-2026", products={HYRA: MAILGUN}, start_date=date(2026, 1, 1), risk_date=date(2026, 1, 1),
        stop_date=date(2026, 5, 31), last_extension_date=date(2026, 5, 31),
    )  # fmt: skip
    both = [CAMPAIGN, later]
    on_mailgun, on_own = (
        facts(campaigns=both, switches=[switch(MAILGUN)]),
        facts(campaigns=both, switches=[switch(OWN)]),
    )
    assert ask(on_mailgun, "2025-12-31T23:59").reason == "choice_live"
    assert said(ask(on_mailgun, "2026-05-31T23:59")) == (SEND, "legacy", "mailgun-eu")
    assert ask(on_mailgun, "2026-06-01T00:00").reason == "no_active_choice"
    assert ask(on_own, "2026-06-01T00:00").reason == "choice_live"
    never_chosen = ask(facts(campaigns=both), "2026-03-01T00:00")
    assert (never_chosen.reason, never_chosen.campaign) == (
        "no_active_choice",
        CAMPAIGN,
    )  # it is not back by being told again
    chosen_anew = facts(campaigns=both, switches=[switch(OWN, "2026-02-01T00:00", campaign_id=2)])
    assert ask(chosen_anew, "2026-06-01T00:00").reason == "choice_live"
    same_route = facts(campaigns=[CAMPAIGN, replace(later, products={HYRA: LEGACY})])
    assert ask(same_route, "2026-03-01T00:00").campaign == CAMPAIGN


# --- the warning ---


@pytest.mark.parametrize(
    ("when", "to", "proven", "warned"),
    [
        ("2024-01-31T23:59:59", "anna@gmail.com", None, False),
        ("2024-02-01T00:00:00", "anna@gmail.com", None, True),
        ("2024-02-01T00:00:00", "anna@googlemail.com", None, True),
        ("2024-02-01T00:00:00", "anna@notgmail.com", None, False),
        ("2024-02-01T00:00:00", "anna@gmail.com.example", None, False),
        ("2024-02-01T00:00:00", "anna@gmail.com", ("eken.example", LEGACY), False),
        ("2024-02-01T00:00:00", "anna@gmail.com", ("eken.example", MAILGUN), True),
        ("2024-02-01T00:00:00", "anna@gmail.com", ("linden.example", LEGACY), True),
    ],
)
def test_mail_to_gmail_is_at_risk_from_the_risk_date_on_where_no_one_has_seen_it_authenticated(
    when: str, to: str, proven: tuple[str, int] | None, warned: bool
) -> None:
    known = facts(proven=frozenset({proven} if proven else ()))
    found = ask(known, when, recipient=to, sender_domain="avi.eken.example")
    assert found.warnings == (("gmail_at_risk",) if warned else ())


def test_a_risk_date_before_the_campaign_waits_for_it() -> None:
    known = facts(campaigns=[replace(CAMPAIGN, start_date=date(2024, 3, 1))])
    asked = {"recipient": "anna@gmail.com", "sender_domain": "eken.example"}
    assert ask(known, "2024-02-29T23:59", **asked).warnings == ()
    assert ask(known, "2024-03-01T00:00", **asked).warnings == ("gmail_at_risk",)


def test_each_recipient_has_its_own_warning() -> None:
    to = ["a@gmail.com", "b@post.example", "c@gmail.com"]
    found = decide_all(facts(), EKEN, HYRA, at("2024-03-01T12:00"), to, sender_domain="eken.example")
    assert [bool(one.warnings) for one in found] == [True, False, True]


# --- in words ---


def test_a_decision_says_its_rule_and_its_dates_in_both_languages() -> None:
    sends, stopped = ask(facts(), "2024-05-31T23:59:59", recipient="a@gmail.com"), ask(facts(), "2024-06-01T00:00")
    assert explain(sends)["sv"] == (
        "Skickas via underleverantor. Inget val är i drift, så mejlet går den gamla vägen. Till och med 2024-05-31. "
        "Mottagaren har Gmail, som sedan 2024-02-01 kräver att avsändaren är autentiserad. Ingen har sett att den här vägen är det."
    )
    assert (
        explain(stopped)["en"]
        == "Refused. No choice is live, and the last day has passed. The last day was 2024-05-31."
    )
    lost = ask(
        facts(routes=SIGNING, switches=[switch(MAILGUN)], lost=LOST), "2024-05-01T10:00", sender_domain="eken.example"
    )
    assert explain(lost)["sv"] == (
        "Hålls kvar. Poster som vägen behöver saknas i avsändardomänens DNS. Mejlet släpps när de är tillbaka. "
        "Gäller sedan 2024-04-10 09:00."
    )
    assert explain(lost)["en"].endswith("The mail is released when they are back. In force since 2024-04-10 09:00.")
    window = ask(facts(brownouts=[brownout("2024-05-14T09:00", "2024-05-14T12:00")]), "2024-05-14T10:00")
    assert "Gäller sedan 2024-05-14 09:00. Till 2024-05-14 12:00." in explain(window)["sv"]
