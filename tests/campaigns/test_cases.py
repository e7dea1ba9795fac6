"""The case register, and the service centre's word about it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ombud.campaigns.cases import (
    CaseState,
    CommentKind,
    attach_number,
    case_of,
    cases,
    close_case,
    comment,
    comments_of,
    count_cases,
    find_case,
    reopen_case,
)
from ombud.campaigns.centre import CentreCase, Difference, Disagreement, differences, import_list, read_list
from ombud.campaigns.hearing import Telling, hear
from ombud.errors import BadCsv, BadField, CaseNumberTaken, NotFound, WrongState
from tests.campaigns.house import NOON, House, on_sqlite

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def both(house: House) -> House:
    """Both customers have chosen, and each has a case."""
    house.choose(house.eken, "mailgun")
    house.choose(house.linden, "mailgun")
    return house


def test_a_case_is_found_by_our_reference_and_by_the_service_centres_number(both: House) -> None:
    with both.database.write() as tx:
        case = find_case(tx, "molntjanst-2024/eken")
        assert attach_number(tx, case, " SC-10442 ", "bo", LATER)
        assert find_case(tx, "SC-10442").id == case.id
        assert find_case(tx, "SC-10442").number == "SC-10442"
        assert not attach_number(tx, find_case(tx, "SC-10442"), "SC-10442", "bo", LATER)  # no news
        assert [one.reference for one in cases(tx, numbered=False)] == ["molntjanst-2024/linden"]
        with pytest.raises(NotFound):
            find_case(tx, "SC-1")


def test_our_own_reference_goes_before_a_number_that_looks_like_one(both: House) -> None:
    with both.database.write() as tx:
        first = find_case(tx, "molntjanst-2024/eken")
        second = find_case(tx, "molntjanst-2024/linden")
        attach_number(tx, first, second.reference, "bo", LATER)
        attach_number(tx, second, first.reference, "bo", LATER)
        assert find_case(tx, first.reference).id == first.id
        assert find_case(tx, second.reference).id == second.id


def test_a_number_belongs_to_one_case(both: House) -> None:
    with both.database.write() as tx:
        attach_number(tx, find_case(tx, "molntjanst-2024/eken"), "SC-1", "bo", LATER)
    with pytest.raises(CaseNumberTaken, match="molntjanst-2024/eken"), both.database.write() as tx:
        attach_number(tx, find_case(tx, "molntjanst-2024/linden"), "SC-1", "bo", LATER)


@on_sqlite
@pytest.mark.parametrize("number", ["", "   ", "SC\n1", "x" * 101])
def test_what_is_no_number_is_refused(both: House, number: str) -> None:
    with pytest.raises(BadField), both.database.write() as tx:
        attach_number(tx, find_case(tx, "molntjanst-2024/eken"), number, "bo", LATER)


def test_comments_are_kept_in_order_with_who_said_them(both: House) -> None:
    with both.database.write() as tx:
        case = find_case(tx, "molntjanst-2024/eken")
        comment(tx, case, " Ringde Karin. ", "anna", LATER)
        attach_number(tx, case, "SC-1", "bo", LATER)
        close_case(tx, case, "bo", LATER, "klart")
        said = [(one.kind, one.by, one.text) for one in comments_of(tx, case.id)[1:]]
    assert said == [
        (CommentKind.NOTE, "anna", "Ringde Karin."),
        (CommentKind.NUMBER, "bo", "SC-1"),
        (CommentKind.STATE, "bo", "closed: klart"),
    ]


@on_sqlite
@pytest.mark.parametrize("text", ["", " \n ", "x" * 10_001])
def test_an_empty_or_endless_comment_is_refused(both: House, text: str) -> None:
    with pytest.raises(BadField), both.database.write() as tx:
        comment(tx, find_case(tx, "molntjanst-2024/eken"), text, "anna", LATER)


def test_of_two_who_close_a_case_the_second_is_told(both: House) -> None:
    with both.database.write() as tx:
        case = find_case(tx, "molntjanst-2024/eken")
        close_case(tx, case, "anna", LATER)
        assert count_cases(tx, both.campaign.id) == {CaseState.OPEN: 1, CaseState.CLOSED: 1}
    with pytest.raises(WrongState), both.database.write() as tx:
        close_case(tx, case, "bo", LATER)  # as bo saw it, open
    with both.database.write() as tx:
        reopen_case(tx, case, "bo", LATER)
        with pytest.raises(WrongState):
            reopen_case(tx, case, "bo", LATER)


# --- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_is_read_as_service_centres_and_spreadsheets_write_it() -> None:
    expected = [
        CentreCase(2, "SC-1", "eken", CaseState.OPEN, "Mailgun"),
        CentreCase(3, "SC-2", "556600-0001", None, ""),
    ]
    text = "Ärende;Kund;Status;Alternativ\r\nSC-1;eken;Pågående;Mailgun\r\nSC-2;556600-0001;;\r\n"
    assert read_list(text.encode("utf-8-sig"), "sc.csv") == expected
    assert read_list(text.encode("cp1252"), "sc.csv") == expected  # an older Excel
    commas = "number,customer,state,alternative\nSC-1,eken,open,Mailgun\n\nSC-2,556600-0001,,\n"
    assert [one.number for one in read_list(commas.encode(), "sc.csv")] == ["SC-1", "SC-2"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("nummer;belopp\n1;2\n", 1, "number and customer"),
        ("number;customer;kund\n1;eken;eken\n", 1, "two columns"),
        ("number;customer\n;eken\n", 2, "are needed"),
        ("number;customer;state\n1;eken;kanske\n", 2, "kanske"),
        ("", 1, "number and customer"),
    ],
)
def test_a_list_that_cannot_be_read_names_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(BadCsv, match=words) as raised:
        read_list(text.encode(), "sc.csv")
    assert raised.value.details["line"] == line


def line(number: str, about: str, state: CaseState | None = None, alternative: str = "", at: int = 2) -> CentreCase:
    return CentreCase(at, number, about, state, alternative)


def test_an_imported_list_attaches_numbers_and_follows_states(both: House) -> None:
    lines = [line("SC-1", "556677-8899", CaseState.CLOSED), line("SC-2", "molntjanst-2024/linden", at=3)]
    with both.database.write() as tx:
        done = import_list(tx, both.directory, both.campaign, lines, "sc.csv", "bo", LATER)
        assert [changed for _, _, changed in done] == [True, True]
        eken, linden = (find_case(tx, number) for number in ("SC-1", "SC-2"))
        assert (eken.state, linden.state) == (CaseState.CLOSED, CaseState.OPEN)
        again = import_list(tx, both.directory, both.campaign, lines, "sc.csv", "bo", LATER)
        assert [changed for _, _, changed in again] == [False, False]


@on_sqlite
@pytest.mark.parametrize(
    ("last", "words"),
    [
        (line("SC-9", "bruket", at=3), "not known"),
        (line("SC-1", "linden", at=3), "another case"),
        (line("SC-9", "eken", at=3), "line 2 already"),
    ],
)
def test_a_list_with_a_wrong_line_changes_nothing_and_names_the_line(both: House, last: CentreCase, words: str) -> None:
    with pytest.raises(BadCsv, match=words) as raised, both.database.write() as tx:
        import_list(tx, both.directory, both.campaign, [line("SC-1", "eken"), last], "sc.csv", "bo", LATER)
    assert raised.value.details["line"] == 3
    with both.database.read() as tx:
        assert all(not one.number for one in cases(tx))


@on_sqlite
def test_a_case_of_a_customer_that_has_not_chosen_is_not_imported(house: House) -> None:
    with pytest.raises(BadCsv, match="no choice"), house.database.write() as tx:
        import_list(tx, house.directory, house.campaign, [line("SC-1", "eken")], "sc.csv", "bo", LATER)


@on_sqlite
def test_the_difference_tells_everything_that_the_two_disagree_on(both: House) -> None:
    with both.database.write() as tx:
        attach_number(tx, find_case(tx, "molntjanst-2024/eken"), "SC-1", "bo", LATER)
        known = cases(tx)
    lines = [
        line("SC-7", "eken", CaseState.CLOSED, "egen server", 2),
        line("SC-8", "eken", at=3),
        line("SC-9", "bruket", at=4),
    ]
    assert differences(both.directory, both.campaign, known, lines) == [
        Difference(Disagreement.NUMBER, "eken", "SC-1", "SC-7", 2),
        Difference(Disagreement.STATE, "eken", "open", "closed", 2),
        Difference(Disagreement.ALTERNATIVE, "eken", "mailgun", "egen", 2),
        Difference(Disagreement.TWICE, "eken", "", "SC-7, SC-8", 3),
        Difference(Disagreement.UNKNOWN, "bruket", "", "SC-9", 4),
        Difference(Disagreement.NOT_THERE, "linden", "molntjanst-2024/linden", "", None),
    ]


@on_sqlite
def test_register_and_service_centre_that_agree_differ_in_nothing(both: House) -> None:
    with both.database.write() as tx:
        lines = [line("SC-1", "eken", CaseState.OPEN, "Mailgun"), line("SC-2", "5566000001", at=3)]
        import_list(tx, both.directory, both.campaign, lines, "sc.csv", "bo", LATER)
        assert differences(both.directory, both.campaign, cases(tx), lines) == []


@on_sqlite
def test_a_case_there_of_a_customer_without_a_choice_here_is_told(house: House) -> None:
    assert differences(house.directory, house.campaign, [], [line("SC-1", "eken")]) == [
        Difference(Disagreement.NOT_HERE, "eken", "", "SC-1", 2)
    ]


# --- what the service centre tells -------------------------------------------------------------------------------------


def test_a_telling_is_done_once_however_often_it_is_told(both: House) -> None:
    telling = Telling("msg_1", "molntjanst-2024/eken", "SC-1", CaseState.CLOSED, "Kunden är nöjd.")
    with both.database.write() as tx:
        first = hear(tx, telling, LATER)
        assert not first.repeated and (first.case.number, first.case.state) == ("SC-1", CaseState.CLOSED)
        reopen_case(tx, first.case, "anna", LATER)
    with both.database.write() as tx:
        second = hear(tx, telling, LATER)
        assert second.repeated and second.case.state is CaseState.OPEN  # what anna did since stands
        case = case_of(tx, both.campaign.id, both.eken.id)
        assert case
        assert [one.text for one in comments_of(tx, case.id)].count("Kunden är nöjd.") == 1


def test_a_telling_about_a_case_that_is_not_here_is_refused_and_may_be_told_again(house: House) -> None:
    telling = Telling("msg_1", "molntjanst-2024/eken", "SC-1")
    with pytest.raises(NotFound), house.database.write() as tx:
        hear(tx, telling, LATER)
    house.choose(house.eken, "mailgun")
    with house.database.write() as tx:
        assert not hear(tx, telling, LATER).repeated
