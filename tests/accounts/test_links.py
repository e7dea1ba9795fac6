"""A page that one person may open without logging in, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from ombud.accounts.links import (
    Scope,
    find_link,
    first_uses,
    link_table,
    links_about,
    make_link,
    note_use,
    open_link,
    renew_link,
    revoke_link,
    use_once,
    uses_of,
)
from ombud.accounts.people import put_person
from ombud.db import Database
from ombud.errors import LinkExpired, LinkForged, LinkOfAnotherKind, LinkRevoked, NotFound
from ombud.seal import Seal
from tests.conftest import NOON, Cast

SEAL = Seal(b"k" * 32)
DAY = timedelta(days=1)


def test_a_link_opens_for_its_scope_until_it_expires(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        person = put_person(tx, cast.eken.id, "Åsa", "asa@eken.example", NOON)
        token = make_link(
            tx, SEAL, Scope.CHOOSE, "epost-2024", NOON, DAY, customer_id=cast.eken.id, person_id=person.id, by="ola"
        )
        link = open_link(tx, SEAL, token, Scope.CHOOSE, NOON + DAY - timedelta(seconds=1))
        assert (link.about, link.customer_id, link.person_id, link.by) == ("epost-2024", cast.eken.id, person.id, "ola")
        with pytest.raises(LinkExpired, match="2024-05-08"):
            open_link(tx, SEAL, token, Scope.CHOOSE, NOON + DAY)
        with pytest.raises(LinkOfAnotherKind):
            open_link(tx, SEAL, token, Scope.DOMAIN, NOON)
        assert find_link(tx, SEAL, token) == link  # so that a page can say whose it was


def test_the_database_holds_nothing_that_opens_a_page(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        token = make_link(tx, SEAL, Scope.CHOOSE, "epost-2024", NOON, customer_id=cast.eken.id)
        kept = repr([tuple(row) for row in tx.execute(select(link_table))])
        assert token not in kept and token[:32] not in kept


def test_another_installations_link_is_forged_and_a_new_master_key_keeps_the_old_ones(
    database: Database, cast: Cast
) -> None:
    with database.write() as tx:
        token = make_link(tx, SEAL, Scope.CHOOSE, "epost-2024", NOON, customer_id=cast.eken.id)
        with pytest.raises(LinkForged):
            open_link(tx, Seal(b"o" * 32), token, Scope.CHOOSE, NOON)
        assert open_link(tx, Seal(b"n" * 32, [b"k" * 32]), token, Scope.CHOOSE, NOON)


def test_every_change_of_one_character_is_forged(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        token = make_link(tx, SEAL, Scope.CHOOSE, "epost-2024", NOON, customer_id=cast.eken.id)
        changed = [token[:n] + ("x" if token[n] != "x" else "y") + token[n + 1 :] for n in range(len(token))]
        whole_mac = (
            token[:32] + SEAL.sign(token[:32].encode(), "link").hex()
        )  # it is cut in a link: no other cut is one
        for forged in (
            *changed,
            "",
            whole_mac,
            token[:32] + token[32:].upper() + " ",
            token[:-1],
            token + "0",
            token.upper(),
            f" {token}",
            token[:32],
            "é" * 64,
        ):
            with pytest.raises(LinkForged):
                open_link(tx, SEAL, forged, Scope.CHOOSE, NOON)


@given(st.text(max_size=100))
def test_no_text_at_all_is_a_link_by_chance(text: str) -> None:
    with pytest.raises(LinkForged):
        find_link(None, SEAL, text)  # type: ignore[arg-type]  # refused before the database is asked


def test_a_revoked_link_says_when_and_stays_revoked(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        token = make_link(tx, SEAL, Scope.DOMAIN, "eken.example", NOON, customer_id=cast.eken.id)
        link = find_link(tx, SEAL, token)
        revoke_link(tx, link.id, NOON)
        assert revoke_link(tx, link.id, NOON + DAY).revoked_at == NOON
        with pytest.raises(LinkRevoked, match="2024-05-07"):
            open_link(tx, SEAL, token, Scope.DOMAIN, NOON)
        with pytest.raises(LinkRevoked):
            renew_link(tx, link.id, NOON)
        with pytest.raises(NotFound):
            revoke_link(tx, 999, NOON)


def test_a_renewed_link_is_the_same_link_with_more_time(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        token = make_link(tx, SEAL, Scope.DOMAIN, "eken.example", NOON, DAY, customer_id=cast.eken.id)
        renew_link(tx, find_link(tx, SEAL, token).id, NOON + 5 * DAY, 40 * DAY)
        assert open_link(tx, SEAL, token, Scope.DOMAIN, NOON + 44 * DAY)
        renew_link(tx, find_link(tx, SEAL, token).id, NOON, DAY)  # never shorter
        assert open_link(tx, SEAL, token, Scope.DOMAIN, NOON + 44 * DAY)


def test_links_are_found_by_what_they_are_about(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        for customer in (cast.eken, cast.linden):
            make_link(tx, SEAL, Scope.CHOOSE, "epost-2024", NOON, customer_id=customer.id)
        make_link(tx, SEAL, Scope.CHOOSE, "another", NOON, customer_id=cast.eken.id)
        assert [link.customer_id for link in links_about(tx, Scope.CHOOSE, "epost-2024")] == [
            cast.linden.id,
            cast.eken.id,
        ]
        assert len(links_about(tx, customer_id=cast.eken.id)) == 2


def test_what_a_link_does_once_is_answered_the_same_the_second_time(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        token = make_link(tx, SEAL, Scope.SNOOZE, "epost-2024", NOON, customer_id=cast.eken.id)
        link = open_link(tx, SEAL, token, Scope.SNOOZE, NOON)
        first, new = use_once(tx, link, "snoozed", NOON, "192.0.2.1", {"until": "2024-05-14"})
        again, new_too = use_once(tx, link, "snoozed", NOON + DAY, "192.0.2.2", {"until": "2024-05-20"})
        assert (new, new_too) == (True, False)
        assert again == first
        note_use(tx, link, "looked", NOON)
        note_use(tx, link, "looked", NOON)  # the others may be done again
        assert [use.what for use in uses_of(tx, link.id)] == ["snoozed", "looked", "looked"]


def test_when_each_customer_first_did_something_is_one_question(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        token = make_link(tx, SEAL, Scope.CHOOSE, "epost-2024", NOON, customer_id=cast.eken.id)
        make_link(tx, SEAL, Scope.CHOOSE, "epost-2024", NOON, customer_id=cast.linden.id)
        link = open_link(tx, SEAL, token, Scope.CHOOSE, NOON)
        note_use(tx, link, "considered", NOON + DAY)
        note_use(tx, link, "considered", NOON + 2 * DAY)
        assert first_uses(tx, Scope.CHOOSE, "epost-2024") == {cast.eken.id: NOON + DAY}
