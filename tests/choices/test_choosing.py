from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from ombud.choices import (
    Choice,
    ExtensionKind,
    choices_in,
    choices_of,
    load_choices,
    put_campaign,
    record_choice,
    shown_of,
    withdraw_choice,
)
from ombud.choices.choosing import choice_table
from ombud.choices.extending import approve_extension, ask_extension
from ombud.db.snapshot import Snapshot, revision
from ombud.errors import (
    AlternativeNotOffered,
    BadField,
    CampaignEnded,
    ChoiceConflict,
    MayNotChoose,
    NotFound,
    OmbudError,
)
from tests.choices.conftest import OWN, SHOWN, TEXTS, House, campaign
from tests.conftest import NOON


def history(house: House) -> list[tuple[int, str]]:
    with house.database.read() as tx:
        return [(one.number, one.alternative) for one in choices_of(tx, house.campaign.id, house.eken.id)]


def test_a_choice_keeps_who_when_from_where_and_the_words_and_the_price_that_were_shown(house: House) -> None:
    made = house.choose("own", peer="192.0.2.7")
    assert (made.by, made.person_id, made.by_operator) == ("Karin Ek <karin@eken.example>", house.karin.id, False)
    assert (made.at, made.peer, made.campaign_version, made.number) == (NOON, "192.0.2.7", 1, 1)
    with house.database.read() as tx:
        assert shown_of(tx, made) == SHOWN
        assert made.shown_sha256 == SHOWN.sha256
    assert house.choices().active(house.campaign.id, house.eken.id) == made
    assert house.choices().active(house.campaign.id, house.linden.id) is None


def test_a_changed_choice_is_a_new_one_and_the_history_keeps_both(house: House) -> None:
    first = house.choose("own")
    second = house.choose("subcontractor", first)
    assert history(house) == [(1, "own"), (2, "subcontractor")]
    assert house.choices().active_in(house.campaign.id) == {house.eken.id: second}


def test_an_operator_chooses_for_a_customer_and_says_why(house: House) -> None:
    made = house.choose("subcontractor", operator="anna", reason="ringde den 7 maj")
    assert (made.by, made.by_operator, made.person_id, made.reason) == ("anna", True, None, "ringde den 7 maj")
    for who in ({"operator": "anna", "reason": " "}, {"operator": "", "reason": "ringde"}):
        with pytest.raises(BadField):
            house.choose("own", made, **who)
    assert history(house) == [(1, "subcontractor")]


@pytest.mark.parametrize(
    ("alternative", "more", "error"),
    [
        ("pigeon", {}, AlternativeNotOffered),
        ("own", {"now": datetime(2024, 12, 31, 23, tzinfo=UTC)}, CampaignEnded),
    ],
)
def test_what_cannot_be_chosen_leaves_nothing_behind(
    furnish: Callable[..., House], alternative: str, more: dict[str, datetime], error: type[OmbudError]
) -> None:
    house = furnish(end_date=date(2024, 12, 31))
    with house.database.read() as tx:
        before = revision(tx)
    with pytest.raises(error):
        house.choose(alternative, None, more.get("now", NOON))
    with house.database.read() as tx:
        assert choices_in(tx, house.campaign.id) == []
        assert revision(tx) == before


def test_nobody_chooses_for_another_company_or_without_the_right(house: House) -> None:
    for person in (house.lars, house.sven):
        with pytest.raises(MayNotChoose, match="Bostads AB Eken"):
            house.choose("own", person=person)
    assert history(house) == []


def test_a_withdrawn_alternative_is_offered_no_more(house: House) -> None:
    with house.database.write() as tx:
        fewer = put_campaign(tx, campaign(alternatives=(OWN,)), TEXTS, NOON)
        with pytest.raises(AlternativeNotOffered):
            record_choice(tx, fewer, house.eken, "subcontractor", SHOWN, NOON, expected=None, person=house.karin)


def test_after_the_stop_it_is_as_possible_as_before(house: House) -> None:
    assert house.choose("own", now=datetime(2024, 6, 15, tzinfo=UTC)).alternative == "own"


# --- two at once ---------------------------------------------------------------------------------------------------


def test_whoever_has_not_seen_the_newest_choice_is_told_who_was_first(house: House) -> None:
    first = house.choose("own")
    with pytest.raises(ChoiceConflict, match=r"Karin Ek .*: Alternativ 1"):
        house.choose("subcontractor", None)
    second = house.choose("subcontractor", first)
    with pytest.raises(ChoiceConflict):
        house.choose("own", first)
    assert house.choices().active(house.campaign.id, house.eken.id) == second


def test_of_two_at_the_same_moment_one_wins_and_the_other_is_told(house: House) -> None:
    """The second begins while the first has chosen and not yet committed."""
    outcome: list[Choice | ChoiceConflict] = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        try:
            outcome.append(house.choose("subcontractor", operator="anna", reason="ringde"))
        except ChoiceConflict as error:
            outcome.append(error)

    other = threading.Thread(target=second)
    with house.database.write() as tx:
        first = record_choice(tx, house.campaign, house.eken, "own", SHOWN, NOON, expected=None, person=house.karin)
        other.start()
        begun.wait()
        other.join(0.2)
        assert other.is_alive(), "it waits for the first to end"
    other.join(10)
    assert isinstance(outcome[0], ChoiceConflict)
    assert history(house) == [(1, "own")]
    assert house.choices().active(house.campaign.id, house.eken.id) == first


def test_the_database_itself_refuses_two_choices_in_one_place(house: House) -> None:
    made = house.choose("own")
    row = {
        "campaign_id": made.campaign_id, "customer_id": made.customer_id, "number": made.number, "alternative": "subcontractor",
        "at": NOON, "by": "x", "by_operator": True, "reason": "", "peer": "", "campaign_version": 1,
        "shown_sha256": made.shown_sha256,
    }  # fmt: skip
    with pytest.raises(IntegrityError), house.database.write() as tx:
        tx.execute(insert(choice_table).values(**row))


# --- taking back ---------------------------------------------------------------------------------------------------


def test_an_operator_takes_back_a_choice_made_for_the_wrong_company_and_the_history_says_so(house: House) -> None:
    made = house.choose("own", operator="anna", reason="ringde")
    with house.database.write() as tx:
        taken = withdraw_choice(
            tx, house.campaign, house.eken, NOON, expected=made.id, operator="bo", reason="fel företag"
        )
    assert taken.withdrawn
    assert house.choices().active(house.campaign.id, house.eken.id) is None
    assert house.choices().active_in(house.campaign.id) == {}
    assert history(house) == [(1, "own"), (2, "")]
    with house.database.write() as tx, pytest.raises(NotFound):
        withdraw_choice(tx, house.campaign, house.eken, NOON, expected=taken.id, operator="bo", reason="igen")
    house.choose("subcontractor", None)
    assert history(house) == [(1, "own"), (2, ""), (3, "subcontractor")]


def test_whoever_has_seen_that_a_choice_was_taken_back_may_say_so(house: House) -> None:
    made = house.choose("own")
    with house.database.write() as tx:
        taken = withdraw_choice(tx, house.campaign, house.eken, NOON, expected=made.id, operator="bo", reason="fel")
    assert house.choices().newest(house.campaign.id, house.eken.id) == taken
    with pytest.raises(ChoiceConflict):
        house.choose("own", made)
    house.choose("own", taken)
    assert history(house) == [(1, "own"), (2, ""), (3, "own")]


def test_a_choice_its_withdrawal_and_more_time_are_in_force_everywhere_at_once(house: House) -> None:
    """Every process asks whether anything has changed: each of these must say so."""
    seen = Snapshot(load_choices)
    assert seen.refresh(house.database) and not seen.refresh(house.database)
    made = house.choose("own")
    assert seen.refresh(house.database)
    with house.database.write() as tx:
        withdraw_choice(tx, house.campaign, house.eken, NOON, expected=made.id, operator="bo", reason="fel")
    assert seen.refresh(house.database)
    with house.database.write() as tx:
        asked = ask_extension(
            tx, house.campaign, house.eken, ExtensionKind.EXTENSION, date(2024, 6, 30), NOON, reason_code="other",
            reason="väntar", by="anna",
        )  # fmt: skip
        approve_extension(tx, house.campaign, asked, "bo", NOON)
    assert seen.refresh(house.database) and not seen.refresh(house.database)


def test_there_must_be_something_to_take_back_and_it_must_be_what_one_saw(house: House) -> None:
    with house.database.write() as tx, pytest.raises(NotFound):
        withdraw_choice(tx, house.campaign, house.eken, NOON, expected=None, operator="bo", reason="fel")
    first = house.choose("own")
    house.choose("subcontractor", first)
    with house.database.write() as tx, pytest.raises(ChoiceConflict):
        withdraw_choice(tx, house.campaign, house.eken, NOON, expected=first.id, operator="bo", reason="fel")
    assert len(history(house)) == 2
