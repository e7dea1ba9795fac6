"""What is known of a domain by a route: the newest reading, and only a reading."""

from __future__ import annotations

from datetime import timedelta

from ombud.db import Database, Transaction
from ombud.domains.proof import (
    Proof,
    ProofState,
    Seen,
    begin_proof,
    load_proven,
    note_lost,
    note_read,
    note_sent,
    proof_by_id,
    proofs,
    tried_since,
)
from tests.conftest import NOON

DOMAIN, ROUTE = "eken.example", 7


def begun(tx: Transaction, id: str, domain: str = DOMAIN, customer_id: int = 1) -> str:
    begin_proof(
        tx,
        Proof(id, domain, customer_id, ROUTE, ProofState.ASKED, NOON, None, f"x@{domain}", "p@x.example", f"<{id}@x>", id),
    )  # fmt: skip
    return id


def test_the_first_reading_of_a_message_stands(database: Database) -> None:
    with database.write() as tx:
        id = begun(tx, "a")
        assert note_read(tx, id, True, Seen(spf="pass"), NOON) is True
        assert note_read(tx, id, False, Seen(spf="fail"), NOON + timedelta(hours=1)) is False
        proof = proof_by_id(tx, id)
        assert (proof.ok, proof.spf, proof.at) == (True, "pass", NOON)


def test_a_message_that_was_read_before_its_sender_had_the_answer_stays_read(database: Database) -> None:
    with database.write() as tx:
        id = begun(tx, "a")
        note_read(tx, id, True, Seen(), NOON)
        note_sent(tx, id, ProofState.SENT, "250 ok")
        note_lost(tx, id)
        assert proof_by_id(tx, id).state is ProofState.READ


def test_only_a_newer_reading_takes_a_proof_back(database: Database) -> None:
    with database.write() as tx:
        note_read(tx, begun(tx, "a"), True, Seen(), NOON)
        note_sent(tx, begun(tx, "b"), ProofState.REFUSED, "451 later")
        note_sent(tx, begun(tx, "c"), ProofState.SENT, "250 ok")
        note_lost(tx, "c")
        assert load_proven(tx) == {(DOMAIN, ROUTE)}
        assert [one.id for one in proofs(tx)] == ["a"]
        note_read(tx, begun(tx, "d"), False, Seen(), NOON)
        assert load_proven(tx) == frozenset()
        assert [one.id for one in proofs(tx)] == ["d"]


def test_the_proofs_of_a_customer_are_its_own(database: Database) -> None:
    with database.write() as tx:
        note_read(tx, begun(tx, "a"), True, Seen(), NOON)
        note_read(tx, begun(tx, "b", "linden.example", 2), True, Seen(), NOON)
        assert [one.id for one in proofs(tx, 2)] == ["b"]
        assert [one.id for one in proofs(tx)] == ["a", "b"]


def test_what_was_tried_lately_is_not_tried_again(database: Database) -> None:
    with database.write() as tx:
        begun(tx, "a")
        assert tried_since(tx, NOON - timedelta(seconds=1)) == {(DOMAIN, ROUTE)}
        assert tried_since(tx, NOON) == frozenset()
