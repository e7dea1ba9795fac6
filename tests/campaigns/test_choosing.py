"""A choice makes exactly one case, and the service centre is told whenever it can be."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from ombud.accounts.people import put_person
from ombud.campaigns.cases import CaseState, CommentKind, cases, close_case, comments_of
from ombud.campaigns.choosing import ServiceCentre, choose, withdraw
from ombud.choices import choices_of
from ombud.errors import AlternativeNotOffered, BadField, CampaignEnded, ChoiceConflict, MayNotChoose
from ombud.notices.outbox import find_notices
from tests.campaigns.house import NOON, SHOWN, House

CENTRE = ServiceCentre("service-centre", "servicecenter@vendor.example")
LATER = NOON + timedelta(days=1)


def all_cases(house: House) -> list[tuple[str, str, str]]:
    with house.database.read() as tx:
        return [(one.reference, one.alternative, one.state) for one in cases(tx)]


def test_a_choice_opens_one_case_that_says_what_was_chosen_by_whom_and_at_what_price(house: House) -> None:
    chosen = house.choose(house.eken, "mailgun")
    assert (chosen.case.reference, chosen.case.number, chosen.case.state) == (
        "molntjanst-2024/eken",
        "",
        CaseState.OPEN,
    )
    with house.database.read() as tx:
        (comment,) = comments_of(tx, chosen.case.id)
    assert comment.kind is CommentKind.CHOICE and comment.by == "Karin Ek <karin@eken.example>"
    assert "Mailgun" in comment.text and "500 kr per månad" in comment.text


def test_a_changed_choice_is_a_comment_on_the_same_case_and_opens_it_again(house: House) -> None:
    first = house.choose(house.eken, "mailgun")
    with house.database.write() as tx:
        close_case(tx, first.case, "anna", NOON, "klart")
    second = house.choose(house.eken, "egen", LATER, expected=first.choice.id)
    assert second.case.id == first.case.id and second.case.state is CaseState.OPEN
    assert all_cases(house) == [("molntjanst-2024/eken", "egen", "open")]
    with house.database.read() as tx:
        kinds = [one.kind for one in comments_of(tx, first.case.id)]
    assert kinds == [CommentKind.CHOICE, CommentKind.STATE, CommentKind.CHOICE, CommentKind.STATE]


def test_the_service_centre_is_told_by_webhook_and_by_mail_in_the_same_transaction(house: House) -> None:
    house.choose(house.eken, "mailgun", centre=CENTRE)
    with house.database.read() as tx:
        told = {(one.kind, one.target): one for one in find_notices(tx, about="case/molntjanst-2024/eken")}
    assert set(told) == {("webhook", "service-centre"), ("mail", "servicecenter@vendor.example")}
    payload = told["webhook", "service-centre"].payload  # type: ignore[index]  # a StrEnum is its text
    assert payload["type"] == "choice.made" and payload["case"] == {"reference": "molntjanst-2024/eken", "number": None}
    assert payload["customer"] == {"slug": "eken", "name": "Bostads AB Eken", "org_number": "556677-8899"}
    assert payload["shown"]["price"] == "500 kr per månad"
    mail = told["mail", "servicecenter@vendor.example"].payload  # type: ignore[index]  # a StrEnum is its text
    assert mail["subject"] == "Aktivt val: Bostads AB Eken" and "Referens: molntjanst-2024/eken" in mail["text"]


def test_without_a_service_centre_nobody_is_told_and_the_register_has_the_case(house: House) -> None:
    house.choose(house.eken, "mailgun")
    with house.database.read() as tx:
        assert find_notices(tx) == []
    assert all_cases(house) == [("molntjanst-2024/eken", "mailgun", "open")]


def test_of_two_operators_at_once_one_wins_and_the_other_is_told_and_there_is_one_case(house: House) -> None:
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def choose_as(operator: str, alternative: str) -> None:
        together.wait()
        try:
            with house.database.write() as tx:
                choose(
                    tx,
                    house.campaign,
                    house.eken,
                    alternative,
                    SHOWN,
                    NOON,
                    expected=None,
                    operator=operator,
                    reason="ringde",
                )
            outcomes.append("won")
        except ChoiceConflict as error:
            outcomes.append(str(error.details["by"]))

    threads = [threading.Thread(target=choose_as, args=who) for who in (("anna", "mailgun"), ("bo", "egen"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(all_cases(house)) == 1
    with house.database.read() as tx:
        (choice,) = choices_of(tx, house.campaign.id, house.eken.id)
        (case,) = cases(tx)
        assert len(comments_of(tx, case.id)) == 1
    assert sorted(outcomes) == sorted(["won", choice.by]) and case.alternative == choice.alternative


def test_what_may_not_be_chosen_leaves_neither_choice_nor_case_nor_notice(house: House) -> None:
    with house.database.write() as tx:
        reader = put_person(tx, house.eken.id, "Ola Ek", "ola@eken.example", NOON)

    def refused(error: type[Exception], alternative: str = "mailgun", **who: object) -> None:
        with pytest.raises(error), house.database.write() as tx:
            choose(
                tx, house.campaign, house.eken, alternative, SHOWN, NOON, expected=None, centre=CENTRE, **who  # type: ignore[arg-type]  # a table of cases
            )  # fmt: skip

    refused(MayNotChoose, person=house.lars)  # another customer's
    refused(MayNotChoose, person=reader)  # has no right to choose
    refused(AlternativeNotOffered, "vipre", person=house.karin)
    refused(BadField, operator="anna")  # without a reason
    refused(BadField)  # nobody
    with house.database.read() as tx:
        assert choices_of(tx, house.campaign.id, house.eken.id) == []
        assert find_notices(tx) == []
    assert all_cases(house) == []


def test_nothing_is_chosen_in_a_campaign_that_has_ended(house: House) -> None:
    from dataclasses import replace

    ended = replace(house.campaign, end_date=house.campaign.stop_date)
    with pytest.raises(CampaignEnded), house.database.write() as tx:
        choose(tx, ended, house.eken, "mailgun", SHOWN, NOON + timedelta(days=60), expected=None, person=house.karin)
    assert all_cases(house) == []


def test_a_choice_that_is_taken_back_stays_on_the_case(house: House) -> None:
    first = house.choose(house.eken, "mailgun", centre=CENTRE)
    with house.database.write() as tx:
        withdraw(
            tx,
            house.campaign,
            house.eken,
            LATER,
            expected=first.choice.id,
            operator="anna",
            reason="fel bolag",
            centre=CENTRE,
        )
    assert all_cases(house) == [("molntjanst-2024/eken", "", "open")]
    with house.database.read() as tx:
        assert "fel bolag" in comments_of(tx, first.case.id)[-1].text
        newest = find_notices(tx, target="service-centre")[0]
    assert newest.payload["type"] == "choice.withdrawn" and newest.payload["alternative"] is None
    again = house.choose(house.eken, "egen", LATER, expected=None)
    assert again.case.id == first.case.id
