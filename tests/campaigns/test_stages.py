"""How far a customer has come, and who has the ball."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.campaigns.nextsteps import NEXT_STEPS
from ombud.campaigns.stages import Ball, DomainFact, Facts, Flag, Reach, Stage, Standing, stage_of
from ombud.choices import ExtensionKind
from tests.campaigns.values import CHOSEN_AT, HYRA, MARKNAD, campaign, choice, extension

TOLD, OPENED = datetime(2024, 1, 9, 8, tzinfo=UTC), datetime(2024, 1, 10, 8, tzinfo=UTC)
LATER, LATEST = datetime(2024, 3, 1, 8, tzinfo=UTC), datetime(2024, 3, 4, 8, tzinfo=UTC)
MISSING = DomainFact("eken.example", "pending", LATER, "it_supplier")
THERE = replace(MISSING, state="ok", since=LATEST, turn="wait")


def stand(**facts: Any) -> Standing:
    return stage_of(Facts(campaign(), 1, **facts))


def told(standing: Standing) -> tuple[Stage, Ball, datetime | None, str]:
    return standing.stage, standing.ball, standing.since, standing.next.code


# --- before the choice -----------------------------------------------------------------------------------------------


def test_a_customer_that_nobody_has_written_to_is_ours_to_reach() -> None:
    assert told(stand()) == (Stage.NOT_REACHED, Ball.VENDOR, None, "write")


def test_a_letter_that_arrived_gives_the_customer_the_ball() -> None:
    assert told(stand(reach=Reach(TOLD))) == (Stage.REACHED, Ball.CUSTOMER, TOLD, "open")
    assert told(stand(reach=Reach(TOLD, OPENED))) == (Stage.OPENED, Ball.CUSTOMER, OPENED, "choose")


def test_a_letter_that_bounced_has_reached_nobody_and_we_find_someone_else() -> None:
    standing = stand(reach=Reach(TOLD, None, bounced=True))
    assert told(standing) == (Stage.NOT_REACHED, Ball.VENDOR, TOLD, "find_contact")
    assert Flag.DEAD_CONTACT in standing.flags


def test_who_opened_the_link_is_reached_whatever_bounced() -> None:
    assert stand(reach=Reach(TOLD, OPENED, bounced=True)).stage is Stage.OPENED


# --- alternative 2: the subcontractor ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "ball", "code"),
    [
        ("customer", Ball.CUSTOMER, "records_customer"),
        ("it_supplier", Ball.IT_SUPPLIER, "records_supplier"),
        ("microsoft_admin", Ball.MICROSOFT_ADMIN, "consent"),
        ("vendor", Ball.VENDOR, "records_vendor"),
        ("wait", Ball.DNS, "records_wait"),
    ],
)
def test_while_records_are_missing_the_ball_lies_with_whose_turn_it_is(turn: str, ball: Ball, code: str) -> None:
    domain = replace(MISSING, turn=turn)
    standing = stand(choice=choice("mailgun"), has_route=True, domains=(domain,))
    assert told(standing) == (Stage.SETTING_UP, ball, LATER, code)


def test_a_choice_whose_records_nobody_has_looked_for_is_chosen_and_not_begun() -> None:
    domain = DomainFact("eken.example", "unchecked", None, "customer")
    standing = stand(choice=choice("mailgun"), has_route=True, domains=(domain,))
    assert told(standing) == (Stage.CHOSEN, Ball.CUSTOMER, CHOSEN_AT, "records_customer")


def test_of_two_domains_the_one_that_a_person_must_act_on_decides() -> None:
    waiting = replace(MISSING, name="b.example", turn="wait", since=LATEST)
    standing = stand(choice=choice("mailgun"), has_route=True, domains=(THERE, waiting, MISSING))
    assert told(standing) == (Stage.SETTING_UP, Ball.IT_SUPPLIER, LATER, "records_supplier")


def test_records_in_place_are_verified_until_a_message_has_proved_them() -> None:
    standing = stand(choice=choice("mailgun"), has_route=True, domains=(THERE,))
    assert told(standing) == (Stage.VERIFIED, Ball.VENDOR, LATEST, "prove")
    proven = replace(THERE, proven_at=LATEST)
    standing = stand(choice=choice("mailgun"), has_route=True, domains=(proven,))
    assert told(standing) == (Stage.PROVEN, Ball.VENDOR, LATEST, "switch")


def test_a_test_message_that_failed_by_our_subcontractor_is_ours_to_find_out() -> None:
    failed = replace(THERE, failed_at=LATEST)
    standing = stand(choice=choice("mailgun"), has_route=True, domains=(failed,))
    assert told(standing) == (Stage.VERIFIED, Ball.VENDOR, LATEST, "mend_proof")
    assert Flag.PROOF_FAILED in standing.flags


def test_one_unproven_domain_of_two_keeps_the_customer_from_going_live() -> None:
    proven, unproven = replace(THERE, proven_at=LATEST), replace(THERE, name="b.example")
    assert stand(choice=choice("mailgun"), has_route=True, domains=(proven, unproven)).stage is Stage.VERIFIED


def test_a_customer_without_a_domain_has_to_name_one() -> None:
    assert told(stand(choice=choice("mailgun"), has_route=True)) == (
        Stage.CHOSEN,
        Ball.CUSTOMER,
        CHOSEN_AT,
        "give_domain",
    )


# --- alternative 1: the customer's own --------------------------------------------------------------------------------


def test_its_own_server_must_be_told_about_first() -> None:
    unproven = DomainFact("eken.example", "unchecked", None, "customer")
    assert told(stand(choice=choice("egen"), domains=(unproven,)))[1:] == (Ball.CUSTOMER, CHOSEN_AT, "give_server")
    microsoft = stand(choice=choice("egen"), domains=(unproven,), microsoft=True)
    assert told(microsoft) == (Stage.CHOSEN, Ball.MICROSOFT_ADMIN, CHOSEN_AT, "consent")


def test_its_own_server_needs_no_records_of_ours_and_a_message_that_proves_it() -> None:
    unproven = DomainFact("eken.example", "unchecked", None, "customer")
    standing = stand(choice=choice("egen"), has_route=True, domains=(unproven,))
    assert told(standing) == (Stage.SETTING_UP, Ball.VENDOR, CHOSEN_AT, "prove")
    standing = stand(choice=choice("egen"), has_route=True, domains=(replace(unproven, proven_at=LATER),))
    assert told(standing) == (Stage.PROVEN, Ball.VENDOR, LATER, "switch")


def test_its_own_server_that_does_not_sign_is_its_own_to_mend() -> None:
    failed = DomainFact("eken.example", "unchecked", None, "customer", failed_at=LATER)
    standing = stand(choice=choice("egen"), has_route=True, domains=(failed,))
    assert told(standing) == (Stage.SETTING_UP, Ball.CUSTOMER, LATER, "mend_server")
    standing = stand(choice=choice("egen"), has_route=True, domains=(failed,), microsoft=True)
    assert standing.ball is Ball.MICROSOFT_ADMIN


# --- live, and what is laid over the ladder ----------------------------------------------------------------------------


def test_a_customer_is_live_when_every_product_of_the_campaign_is() -> None:
    some = stand(choice=choice("egen"), live_since={HYRA: LATER})
    assert some.stage is not Stage.LIVE and Flag.PARTLY_LIVE in some.flags
    every = stand(choice=choice("egen"), live_since={HYRA: LATER, MARKNAD: LATEST})
    assert told(every) == (Stage.LIVE, Ball.NOBODY, LATEST, "none")
    assert every.done and Flag.PARTLY_LIVE not in every.flags


def test_what_remains_of_a_partly_live_customer_is_to_be_switched() -> None:
    proven = replace(THERE, proven_at=LATEST)
    standing = stand(choice=choice("mailgun"), has_route=True, domains=(proven,), live_since={HYRA: LATEST})
    assert standing.next.code == "switch_rest"


def test_an_extension_is_counted_as_one_and_the_ball_lies_where_it_lay() -> None:
    standing = stand(reach=Reach(TOLD, OPENED), extension=extension(), stopped=True)
    assert (standing.stage, standing.step, standing.ball) == (Stage.EXTENDED, Stage.OPENED, Ball.CUSTOMER)
    assert Flag.RESERVE not in standing.flags
    assert Flag.RESERVE in stand(extension=extension(ExtensionKind.RESERVE)).flags


def test_an_exempt_customer_is_done_and_nobody_has_the_ball() -> None:
    standing = stand(reach=Reach(TOLD), extension=extension(ExtensionKind.EXEMPTION))
    assert (standing.stage, standing.step, standing.ball, standing.done) == (
        Stage.EXEMPT,
        Stage.REACHED,
        Ball.NOBODY,
        True,
    )


def test_after_the_stop_whose_mail_does_not_leave_is_stopped() -> None:
    standing = stand(reach=Reach(TOLD), stopped=True)
    assert (standing.stage, standing.step, standing.ball) == (Stage.STOPPED, Stage.REACHED, Ball.CUSTOMER)


def test_a_live_customer_with_an_extension_is_live() -> None:
    live = {HYRA: LATER, MARKNAD: LATER}
    assert stand(choice=choice("egen"), live_since=live, extension=extension()).stage is Stage.LIVE


moments = st.sampled_from([None, TOLD, OPENED, LATER, LATEST])
domains = st.builds(
    DomainFact, st.just("eken.example"), st.sampled_from(["unchecked", "pending", "ok", "at_risk", "lost"]), moments,
    st.sampled_from(["customer", "it_supplier", "vendor", "wait"]), moments, moments,
)  # fmt: skip
everything = st.builds(
    Facts, st.just(campaign()), st.just(1), st.builds(Reach, moments, moments, st.booleans()),
    st.sampled_from([None, choice("egen"), choice("mailgun")]), st.booleans(), st.booleans(),
    st.lists(domains, max_size=3).map(tuple),
    st.sampled_from([None, {}, {HYRA: LATER}, {HYRA: LATER, MARKNAD: LATEST}]),
    st.sampled_from([None, *(extension(kind) for kind in ExtensionKind)]), st.booleans(), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip


@given(everything)
def test_every_customer_has_one_stage_one_ball_and_a_next_step_whatever_is_known(facts: Facts) -> None:
    standing = stage_of(facts)
    assert standing.step not in (Stage.EXTENDED, Stage.STOPPED, Stage.EXEMPT)
    assert standing.next is NEXT_STEPS[standing.next.code] and standing.next.sv and standing.next.en
    assert (standing.ball is Ball.NOBODY) == standing.done == (standing.next.code == "none")
    if facts.choice is None:
        assert standing.step in (Stage.NOT_REACHED, Stage.REACHED, Stage.OPENED)
    if standing.since:
        assert facts.choice is None or standing.since >= facts.choice.at or standing.done
