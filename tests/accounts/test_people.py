"""Who is written to, and who may choose."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ombud.accounts.people import (
    Role,
    companies_of,
    load_people,
    mark_bounced,
    people_of,
    person_by_id,
    put_person,
    remove_person,
)
from ombud.db import Database
from ombud.errors import BadAddress, BadField, NotFound
from tests.conftest import NOON, Cast


def test_a_person_is_known_by_address_and_role_and_is_brought_up_to_date(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        first = put_person(tx, cast.eken.id, "Åsa Lindqvist", "Asa.Lindqvist@EKEN.example", NOON, may_choose=True)
        again = put_person(tx, cast.eken.id, "Åsa Ek", "Asa.Lindqvist@eken.example", NOON, phone="08-1", language="en")
        finance = put_person(tx, cast.eken.id, "Åsa Ek", "Asa.Lindqvist@eken.example", NOON, role=Role.FINANCE)
        assert again.id == first.id != finance.id
        assert (again.name, again.phone, again.language, again.may_choose) == ("Åsa Ek", "08-1", "en", False)
        assert people_of(tx, cast.eken.id) == [again, finance]
        assert people_of(tx, cast.linden.id) == []


def test_the_vendors_own_people_belong_to_no_customer(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        operator = put_person(tx, None, "Ola", "ola@vendor.example", NOON, role=Role.OPERATOR)
        assert put_person(tx, None, "Ola O", "ola@vendor.example", NOON, role=Role.OPERATOR).id == operator.id
        assert [person.name for person in people_of(tx, None)] == ["Ola O"]


def test_a_bounce_stays_with_the_address_until_it_is_taken_back(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        person = put_person(tx, cast.eken.id, "Åsa", "asa@eken.example", NOON)
        mark_bounced(tx, person.id, NOON)
        assert put_person(tx, cast.eken.id, "Åsa", "asa@eken.example", NOON).bounced_at == NOON
        mark_bounced(tx, person.id, None)
        assert person_by_id(tx, person.id).bounced_at is None


def test_who_is_removed_is_written_to_no_more_and_can_come_back(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        person = put_person(tx, cast.eken.id, "Åsa", "asa@eken.example", NOON, may_choose=True)
        remove_person(tx, person.id, NOON + timedelta(days=1))
        assert load_people(tx) == []
        with pytest.raises(NotFound):
            remove_person(tx, person.id, NOON)
        assert put_person(tx, cast.eken.id, "Åsa", "asa@eken.example", NOON, may_choose=True).id == person.id


def test_the_companies_of_a_group_are_those_where_the_same_address_may_choose(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        put_person(tx, cast.eken.id, "Åsa", "asa@koncern.example", NOON, may_choose=True)
        put_person(tx, cast.linden.id, "Åsa", "asa@koncern.example", NOON, may_choose=True)
        put_person(tx, cast.linden.id, "Åsa", "asa@koncern.example", NOON, role=Role.FINANCE)
        found = companies_of(tx, "asa@koncern.example")
        assert [person.customer_id for person in found] == [cast.eken.id, cast.linden.id]


def test_those_who_may_choose_come_first(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        put_person(tx, cast.eken.id, "IT", "it@eken.example", NOON, role=Role.IT_SUPPLIER)
        put_person(tx, cast.eken.id, "Åsa", "asa@eken.example", NOON, may_choose=True)
        assert [person.name for person in people_of(tx, cast.eken.id)] == ["Åsa", "IT"]


@pytest.mark.parametrize(
    ("name", "email", "language", "error"),
    [
        ("Åsa", "asa at eken", "sv", BadAddress),
        ("Åsa", "asa@eken.example\r\nBcc: x@y.example", "sv", BadAddress),
        ("Åsa\r\nBcc: x@y.example", "asa@eken.example", "sv", BadField),
        ("Åsa", "asa@eken.example", "no", BadField),
    ],
)
def test_what_cannot_be_written_to_is_refused(
    database: Database, cast: Cast, name: str, email: str, language: str, error: type[Exception]
) -> None:
    with database.write() as tx, pytest.raises(error):
        put_person(tx, cast.eken.id, name, email, NOON, language=language)
