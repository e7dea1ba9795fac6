from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ombud.choices import (
    Extension,
    ExtensionKind,
    ExtensionState,
    approve_extension,
    ask_extension,
    end_extension,
    extension_by_id,
    put_campaign,
)
from ombud.errors import BadField, NotFound, PastLastExtension, SelfApproval, WrongState
from tests.choices.conftest import TEXTS, House, campaign
from tests.conftest import NOON

LATER = NOON + timedelta(hours=1)
MIDSUMMER = date(2024, 6, 21)


def ask(house: House, kind: ExtensionKind = ExtensionKind.EXTENSION, until: date = MIDSUMMER, **more: Any) -> Extension:
    said = {"reason_code": "waiting_for_supplier", "reason": "IT-leverantören är på semester", "by": "anna", **more}
    with house.database.write() as tx:
        return ask_extension(tx, house.campaign, house.eken, kind, until, NOON, **said)


def approve(house: House, extension: Extension, by: str = "bo") -> Extension:
    with house.database.write() as tx:
        return approve_extension(tx, house.campaign, extension, by, LATER)


def test_an_extension_counts_from_its_approval_until_the_midnight_after_its_last_day(house: House) -> None:
    asked = ask(house)
    assert house.choices().extension(house.campaign.id, house.eken.id, LATER) is None, "nobody has approved it"
    approved = approve(house, asked)
    assert (approved.asked_by, approved.approved_by, approved.approved_at) == ("anna", "bo", LATER)

    def in_force(now: datetime) -> Extension | None:
        return house.choices().extension(house.campaign.id, house.eken.id, now, ExtensionKind.EXTENSION)

    end = datetime(2024, 6, 21, 22, tzinfo=UTC)  # midnight in Stockholm
    assert in_force(LATER - timedelta(seconds=1)) is None
    assert in_force(LATER) == in_force(end - timedelta(seconds=1)) == approved
    assert in_force(end) is None, "it ends by itself"
    assert approved.state(end) is ExtensionState.OVER
    assert house.choices().extension(house.campaign.id, house.eken.id, LATER, ExtensionKind.RESERVE) is None
    assert house.choices().extension(house.campaign.id, house.linden.id, LATER) is None


def test_of_several_the_one_that_lasts_longest_counts(house: House) -> None:
    approve(house, ask(house, until=date(2024, 8, 1)))
    approve(house, ask(house, until=date(2024, 6, 15)))
    found = house.choices().extension(house.campaign.id, house.eken.id, LATER)
    assert found
    assert found.until == date(2024, 8, 1)
    assert len(house.choices().extensions_in(house.campaign.id)) == 2


@pytest.mark.parametrize("by", ["anna", " Anna "])
def test_nobody_approves_what_they_asked_for(house: House, by: str) -> None:
    asked = ask(house)
    with pytest.raises(SelfApproval):
        approve(house, asked, by)
    assert house.choices().extension(house.campaign.id, house.eken.id, LATER) is None


def test_no_extension_reaches_past_the_campaigns_last_date(house: House) -> None:
    assert ask(house, until=date(2024, 8, 31)).until == house.campaign.last_extension_date
    with pytest.raises(PastLastExtension, match="2024-08-31"):
        ask(house, until=date(2024, 9, 1))


def test_the_last_date_is_looked_at_again_when_it_is_approved(house: House) -> None:
    asked = ask(house, until=date(2024, 8, 31))
    with house.database.write() as tx:
        earlier = put_campaign(tx, campaign(last_extension_date=date(2024, 7, 31)), TEXTS, NOON)
        with pytest.raises(PastLastExtension):
            approve_extension(tx, earlier, asked, "bo", LATER)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"until": date(2024, 5, 31)}, "nothing is stopped until 2024-05-31"),
        ({"until": date(2024, 5, 6)}, "that day is over"),
        ({"kind": ExtensionKind.RESERVE, "until": date(2024, 5, 6)}, "that day is over"),
        ({"reason_code": "because"}, "waiting_for_supplier"),
        ({"reason": ""}, "reason"),
        ({"by": "an\nna"}, "by"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_asked(house: House, more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadField, match=words):
        ask(house, **more)
    assert house.choices().extensions_in(house.campaign.id) == []


def test_reserve_mode_may_begin_at_once_where_the_campaign_has_one(furnish: Callable[..., House]) -> None:
    house = furnish(reserve=None)
    with pytest.raises(BadField, match="reserve"):
        ask(house, ExtensionKind.RESERVE)
    with house.database.write() as tx:
        put_campaign(tx, campaign(), TEXTS, NOON)
    reserve = approve(
        House(**{**_fields(house), "campaign": house.choices().campaign("molntjanst-2024")}), _asked(house)
    )
    assert reserve.in_force(LATER)


def _fields(house: House) -> dict[str, Any]:
    return {name: getattr(house, name) for name in House.__dataclass_fields__}


def _asked(house: House) -> Extension:
    with house.database.write() as tx:
        made = house.choices().campaign("molntjanst-2024")
        return ask_extension(
            tx, made, house.eken, ExtensionKind.RESERVE, date(2024, 5, 20), NOON, reason_code="technical_problem",
            reason="deras server är nere", by="anna",
        )  # fmt: skip


def test_it_can_be_ended_before_its_day_and_then_it_is_ended_for_good(house: House) -> None:
    approved = approve(house, ask(house))
    with house.database.write() as tx:
        ended = end_extension(tx, approved, "anna", "allt är klart", LATER + timedelta(days=1))
    assert ended.in_force(LATER), "what was in force then still was"
    assert ended.state(LATER + timedelta(days=1)) is ExtensionState.ENDED
    with house.database.write() as tx, pytest.raises(WrongState):
        end_extension(tx, ended, "anna", "igen", LATER + timedelta(days=2))


def test_ending_what_was_only_asked_for_denies_it(house: House) -> None:
    asked = ask(house)
    with house.database.write() as tx:
        denied = end_extension(tx, asked, "bo", "det räcker med tiden", LATER)
    assert denied.state(LATER) is ExtensionState.DENIED
    with pytest.raises(WrongState):
        approve(house, asked)
    with pytest.raises(WrongState, match="denied"):
        approve(house, denied)


def test_of_two_who_approve_the_second_is_told(house: House) -> None:
    asked = ask(house)
    approve(house, asked, "bo")
    with pytest.raises(WrongState, match="in_force"):
        approve(house, asked, "cilla")
    with house.database.read() as tx:
        assert extension_by_id(tx, asked.id).approved_by == "bo"
        with pytest.raises(NotFound):
            extension_by_id(tx, 99)
