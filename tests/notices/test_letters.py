"""A letter is sent once, and followed until it has arrived or come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update

from ombud.accounts.links import Scope, links_about, open_link
from ombud.accounts.people import Person, person_by_id, put_person
from ombud.db import Database
from ombud.notices.letters import (
    Letter,
    LinkWish,
    first_arrivals,
    follow_letters,
    last_letters,
    letters_of,
    put_letters,
    to_person,
)
from ombud.notices.outbox import find_notices
from ombud.queue import State
from ombud.queue.tables import recipient_table
from tests.conftest import NOON
from tests.notices.conftest import SEAL, Desk

LATER = NOON + timedelta(hours=2)


def _letter(desk: Desk, person: Person, key: str = "c/new_link/1", **more: object) -> Letter:
    values = {"customer": "Bostads AB Eken", "valid_until": "16 juni 2024"}
    letter = to_person(
        person, desk.cast.eken.id, key, "new_link", values=values,
        links={"choose_url": LinkWish(Scope.CHOOSE, "epost-2024")}, campaign="epost-2024",
    )  # fmt: skip
    return replace(letter, **more)  # type: ignore[arg-type]  # by name


def _person(desk: Desk, name: str = "Åsa Lindqvist", email: str = "asa@eken.example", language: str = "sv") -> Person:
    with desk.database.write() as tx:
        return put_person(tx, desk.cast.eken.id, name, email, NOON, may_choose=True, language=language)


def _settle(database: Database, state: State) -> None:
    """As if the next hop had answered."""
    with database.write() as tx:
        tx.execute(update(recipient_table).values(state=state, due_at=None))


async def test_a_letter_carries_a_link_that_opens_and_is_sent_once(desk: Desk) -> None:
    person = _person(desk)
    with desk.database.write() as tx:
        letter = _letter(desk, person)
        assert put_letters(tx, desk.writer(tx), [letter, letter], NOON) == [letter]
        assert put_letters(tx, desk.writer(tx), [letter], LATER) == []
        (notice,) = find_notices(tx)
        token = notice.payload["text"].partition("https://ombud.example/c/")[2].split()[0]
        link = open_link(tx, SEAL, token, Scope.CHOOSE, NOON)
        assert (link.person_id, link.about) == (person.id, "epost-2024")
        assert len(links_about(tx)) == 1  # none was made for the letter that was not sent
        assert notice.payload["text"].startswith("Hej Åsa!")
    async with desk.telling() as teller:
        await teller.tell_due()
    with desk.database.read() as tx:
        (sent,) = letters_of(tx, campaign="epost-2024")
        assert sent.message_id and sent.outcome is None
        assert last_letters(tx, "epost-2024") == {(person.id, "new_link"): NOON}
    assert len(desk.bodies()) == 1


async def test_a_letter_that_comes_back_marks_a_dead_contact_and_one_that_arrives_takes_it_away(desk: Desk) -> None:
    person = _person(desk)
    with desk.database.write() as tx:
        put_letters(tx, desk.writer(tx), [_letter(desk, person)], NOON)
    async with desk.telling() as teller:
        await teller.tell_due()
        with desk.database.write() as tx:
            assert follow_letters(tx, LATER) == {}  # it is on its way
        _settle(desk.database, State.FAILED)
        with desk.database.write() as tx:
            assert follow_letters(tx, LATER) == {State.FAILED: 1}
            assert person_by_id(tx, person.id).bounced_at == LATER
            assert first_arrivals(tx, "epost-2024") == {}
            put_letters(tx, desk.writer(tx), [_letter(desk, person, "c/new_link/2")], LATER)
        await teller.tell_due()
        _settle(desk.database, State.DELIVERED)
        with desk.database.write() as tx:
            assert follow_letters(tx, LATER + timedelta(hours=1)) == {State.DELIVERED: 1}
            assert follow_letters(tx, LATER + timedelta(hours=1)) == {}
            assert person_by_id(tx, person.id).bounced_at is None
            assert first_arrivals(tx, "epost-2024") == {desk.cast.eken.id: LATER + timedelta(hours=1)}


async def test_a_bulk_of_letters_is_put_followed_and_put_again_for_nothing(desk: Desk) -> None:
    person = _person(desk, language="en")
    letters = [_letter(desk, person, f"c/new_link/{n}") for n in range(60)]
    with desk.database.write() as tx:
        assert len(put_letters(tx, desk.writer(tx), letters, NOON)) == 60
        assert put_letters(tx, desk.writer(tx), letters, NOON) == []
    async with desk.telling() as teller:
        await teller.tell_due()
    _settle(desk.database, State.DELIVERED)
    with desk.database.write() as tx:
        assert follow_letters(tx, LATER) == {State.DELIVERED: 60}
        assert {letter.outcome for letter in letters_of(tx)} == {State.DELIVERED}
