"""Which chosen ways are still to be proved by a real message, and when that is tried."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import update

from ombud.accounts import load_directory
from ombud.choices import Alternative, Campaign, Kind, Need, Shown, put_campaign, record_choice
from ombud.db import Database, Transaction
from ombud.delivery.proving import new_proof
from ombud.domains import keep_key, load_ownership, prove_domain
from ombud.domains.proof import ProofState, Seen, begin_proof, note_read, note_sent
from ombud.domains.watchlist import watch_table
from ombud.mail.dkim import new_key
from ombud.needs import TRY_AGAIN, keyless_names, unproven
from ombud.routing import Route, load_facts, put_route
from ombud.seal import Seal
from tests.conftest import NOON, Cast

SEAL = Seal(bytes(32))
DOMAIN = "eken.example"
LATER = NOON + TRY_AGAIN + timedelta(seconds=1)


def choose(tx: Transaction, cast: Cast, *needs: Need) -> Route:
    """Eken chooses the way `mailgun`, which needs these; it has one domain."""
    put_route(tx, SEAL, "mailgun", "smtp", {"host": "smtp.x.example"}, None, NOON, sign=True)
    route = load_facts(tx).route("mailgun")
    assert route
    words = {"sv": "Mailgun", "en": "Mailgun"}
    alternative = Alternative("sub", Kind.SUBCONTRACTOR, "mailgun", needs, False, words, words)
    wanted = Campaign(
        0, "byte", 0, words, {cast.hyra.id: route.id}, (alternative,), date(2024, 1, 8), date(2024, 2, 1), date(2024, 5, 31),
        date(2024, 8, 31),
    )  # fmt: skip
    made = put_campaign(tx, wanted, {}, NOON)
    shown = Shown("Mailgun", "", "sv")
    record_choice(tx, made, cast.eken, "sub", shown, NOON, expected=None, operator="anna", reason="rang")
    prove_domain(tx, DOMAIN, cast.eken, "operator", "seen", NOON)
    return route


def ready(tx: Transaction) -> None:
    tx.execute(update(watch_table).values(state="ok"))


def left(tx: Transaction, now=NOON) -> list[tuple[str, int]]:  # type: ignore[no-untyped-def]  # a moment
    found = unproven(tx, now, ownership=load_ownership(tx), facts=load_facts(tx), directory=load_directory(tx))
    return [(domain, route.id) for domain, route in found]


@pytest.mark.parametrize("needs", [(Need.PROVEN,), (Need.RECORDS, Need.PROVEN)])
def test_a_chosen_way_is_proved_once_its_records_are_in_order(
    database: Database, cast: Cast, needs: tuple[Need, ...]
) -> None:
    with database.write() as tx:
        route = choose(tx, cast, *needs)
        assert left(tx) == ([] if Need.RECORDS in needs else [(DOMAIN, route.id)])
        ready(tx)
        assert left(tx) == [(DOMAIN, route.id)]


def test_a_way_that_needs_no_proof_is_left_alone(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        choose(tx, cast, Need.RECORDS)
        ready(tx)
        assert left(tx) == []


@pytest.mark.parametrize("ok", [True, False, None])
def test_what_was_tried_is_tried_again_after_a_while_unless_it_is_proved(
    database: Database, cast: Cast, ok: bool | None
) -> None:
    with database.write() as tx:
        route = choose(tx, cast, Need.PROVEN)
        proof = new_proof(DOMAIN, cast.eken.id, route.id, "p@x.example", "ombud.example", "ombud", NOON)
        begin_proof(tx, proof)
        if ok is None:
            note_sent(tx, proof.id, ProofState.REFUSED, "550 no")
        else:
            note_read(tx, proof.id, ok, Seen(), NOON)
        assert left(tx) == []
        assert left(tx, LATER) == ([] if ok else [(DOMAIN, route.id)])


def test_a_domain_that_is_to_be_signed_for_and_has_no_key_is_found(database: Database, cast: Cast) -> None:
    def keyless(tx: Transaction) -> list[str]:
        return keyless_names(tx, NOON, ownership=load_ownership(tx), facts=load_facts(tx), directory=load_directory(tx))

    with database.write() as tx:
        prove_domain(tx, "linden.example", cast.linden, "operator", "seen", NOON)
        assert keyless(tx) == []
        choose(tx, cast, Need.PROVEN)
        assert keyless(tx) == [DOMAIN, "linden.example"]  # Linden's mail takes the same way until the stop
        keep_key(tx, SEAL, new_key(DOMAIN, "om1", "ed25519-sha256"), NOON)
        assert keyless(tx) == ["linden.example"]
