"""Sender domains and their keys, on both databases."""

from __future__ import annotations

import pytest

from ombud.db import Database
from ombud.domains import active_keys, forget_domain, keep_key, key_records, load_key_ring, load_ownership, prove_domain
from ombud.errors import NotFound
from ombud.mail.dkim import dns_record, new_key
from ombud.seal import Seal
from tests.conftest import NOON, Cast

SEAL = Seal(bytes(32))


def test_a_kept_key_is_in_the_ring_and_its_record_is_what_must_be_published(database: Database, cast: Cast) -> None:
    key = new_key("eken.example", "om1", "ed25519-sha256")
    with database.write() as tx:
        prove_domain(tx, "eken.example", cast.eken, "operator", "seen", NOON)
        record = keep_key(tx, SEAL, key, NOON)
    assert (record.name, record.value) == ("om1._domainkey.eken.example", dns_record(key))
    with database.read() as tx:
        assert active_keys(tx, "eken.example") == [("om1", "ed25519-sha256")]
        assert key_records(tx, "eken.example") == [record]
        (kept,) = load_key_ring(tx, SEAL).of("eken.example")
    assert dns_record(kept) == dns_record(key)


def test_a_domain_that_is_forgotten_takes_its_keys_with_it_and_no_others(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        for name in ("eken.example", "hyra.eken.example"):
            prove_domain(tx, name, cast.eken, "operator", "seen", NOON)
            keep_key(tx, SEAL, new_key(name, "om1", "ed25519-sha256"), NOON)
        forget_domain(tx, "eken.example")
    with database.read() as tx:
        assert list(load_ownership(tx).domains) == ["hyra.eken.example"]
        assert list(load_key_ring(tx, SEAL).keys) == ["hyra.eken.example"]


def test_a_domain_that_is_not_there_cannot_be_forgotten(database: Database) -> None:
    with pytest.raises(NotFound), database.write() as tx:
        forget_domain(tx, "nobody.example")
