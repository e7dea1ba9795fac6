"""The rules between the looks: who may take over, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from ombud.db import Database, Transaction
from ombud.domains import Key, KeyState, Timing, keep_key, key_slots, keys_of, load_key_ring, prove_domain, put_next
from ombud.domains.keys import signing_key_table
from ombud.domains.rotating import change_of
from ombud.domains.rotation import (
    activate,
    ask_old_to_go,
    ask_switch,
    domains_without_keys,
    due,
    look_again,
    mark_seen,
    revoke,
)
from ombud.domains.zone import (
    ZoneRecord,
    mark_published,
    put_zone_record,
    remove_zone_record,
    unpublished,
    zone_records,
)
from ombud.mail.dkim import new_key
from ombud.seal import Seal
from tests.conftest import NOON, Cast

SEAL = Seal(bytes(32))
ZONE, DOMAIN = "dkim.leverantor.example", "eken.example"
OLD, NEW, EDWARDS = new_key(DOMAIN, "om1"), new_key(DOMAIN, "om2"), new_key(DOMAIN, "om3", "ed25519-sha256")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TIMING = Timing(settle=HOUR, hold=DAY * 7, rotate_after=DAY * 180)


@pytest.fixture
def proved(database: Database, cast: Cast) -> Database:
    with database.write() as tx:
        prove_domain(tx, DOMAIN, cast.eken, "operator", "seen", NOON)
        keep_key(tx, SEAL, OLD, NOON, vendor_zone=ZONE)
    return database


def key(tx: Transaction, selector: str) -> Key:
    return next(one for one in keys_of(tx, DOMAIN) if one.selector == selector)


def test_a_key_waits_for_as_long_as_an_older_answer_may_be_kept(proved: Database) -> None:
    with proved.write() as tx:
        put_next(tx, SEAL, NEW, NOON, vendor_zone=ZONE, switch_at=NOON)
        mark_seen(tx, key(tx, "om2"), 3 * 3600, NOON)
        assert due(tx, NOON + HOUR * 3 - timedelta(seconds=1), TIMING, ZONE, 9).switch == []
        assert [one.selector for one in due(tx, NOON + HOUR * 3, TIMING, ZONE, 9).switch] == ["om2"]


def test_a_domain_has_no_key_when_none_signs_and_none_waits(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        prove_domain(tx, DOMAIN, cast.eken, "operator", "seen", NOON)
        assert domains_without_keys(tx) == [DOMAIN]
        put_next(tx, SEAL, NEW, NOON)
        assert domains_without_keys(tx) == []


def test_of_two_that_take_a_step_at_a_time_one_takes_it(proved: Database) -> None:
    with proved.write() as tx:
        put_next(tx, SEAL, NEW, NOON, vendor_zone=ZONE, switch_at=NOON)
        mark_seen(tx, key(tx, "om2"), 300, NOON)
        seen = key(tx, "om2")
        assert activate(tx, seen, TIMING, NOON + HOUR) is True
        assert activate(tx, seen, TIMING, NOON + HOUR * 2) is False
        look_again(tx, seen, NOON + HOUR * 2, gone=True)  # the slower one looks a last time, and sees nothing
        assert (key(tx, "om2").state, key(tx, "om2").activated_at) == (KeyState.ACTIVE, NOON + HOUR)
        assert key(tx, "om1").keep_until == NOON + HOUR + DAY * 7
        retiring = key(tx, "om1")
        assert [revoke(tx, retiring, NOON + DAY * 9) for _ in range(2)] == [True, False]


def test_a_key_that_is_taken_back_is_destroyed_and_dns_says_so(proved: Database) -> None:
    with proved.write() as tx:
        first = key(tx, "om1")
        assert revoke(tx, first, NOON) is True
        assert tx.execute(select(signing_key_table.c.sealed_private)).scalars().all() == [b""]
        assert [(one.name, one.value) for one in zone_records(tx, NOON)] == [(first.home, "v=DKIM1; p=")]
        assert keys_of(tx, DOMAIN) == []


def test_a_change_of_one_algorithms_key_leaves_the_others_alone(proved: Database) -> None:
    with proved.write() as tx:
        keep_key(tx, SEAL, EDWARDS, NOON, vendor_zone=ZONE)
        put_next(tx, SEAL, NEW, NOON, vendor_zone=ZONE, switch_at=NOON)
        activate(tx, key(tx, "om2"), TIMING, NOON + HOUR)
        assert {one.selector: one.state for one in keys_of(tx, DOMAIN)} == {
            "om1": KeyState.RETIRING, "om2": KeyState.ACTIVE, "om3": KeyState.ACTIVE,
        }  # fmt: skip


def test_rsa_signs_first_since_not_everybody_knows_ed25519(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        prove_domain(tx, DOMAIN, cast.eken, "operator", "seen", NOON)
        keep_key(tx, SEAL, EDWARDS, NOON)
        keep_key(tx, SEAL, OLD, NOON)
        assert [one.selector for one in load_key_ring(tx, SEAL).of(DOMAIN)] == ["om1", "om3"]


def test_nothing_is_demanded_of_a_key_that_is_on_its_way_out(proved: Database) -> None:
    with proved.write() as tx:
        put_next(tx, SEAL, NEW, NOON, vendor_zone=ZONE, switch_at=NOON)
        activate(tx, key(tx, "om2"), TIMING, NOON + HOUR)
        assert [(slot.selector, bool(slot.text)) for slot in key_slots(tx, DOMAIN, ZONE)] == [
            ("om1", False),
            ("om2", True),
        ]


def test_looks_are_frequent_at_first_then_rare_and_never_end(proved: Database) -> None:
    with proved.write() as tx:
        put_next(tx, SEAL, NEW, NOON, vendor_zone=ZONE)
        for waited, wait in (
            (timedelta(minutes=59), timedelta(minutes=1)), (HOUR, HOUR), (DAY * 3, HOUR * 6), (DAY * 300, HOUR * 6),
        ):  # fmt: skip
            look_again(tx, key(tx, "om2"), NOON + waited)
            assert key(tx, "om2").look_at == NOON + waited + wait


def test_a_key_that_was_asked_to_take_over_is_not_asked_again_for_its_age(proved: Database) -> None:
    with proved.write() as tx:
        put_next(tx, SEAL, NEW, NOON, vendor_zone=ZONE)
        assert ask_old_to_go(tx, NOON + DAY * 180 - HOUR, TIMING, 5) == 0
        assert ask_old_to_go(tx, NOON + DAY * 180, TIMING, 5) == 1
        assert ask_old_to_go(tx, NOON + DAY * 180 + HOUR, TIMING, 5) == 0
        assert key(tx, "om2").switch_at == NOON + DAY * 180
        ask_switch(tx, key(tx, "om2"), NOON + DAY * 181)
        assert key(tx, "om2").switch_at == NOON + DAY * 181


def test_a_spare_is_made_for_keys_in_the_vendors_zone_alone(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        prove_domain(tx, DOMAIN, cast.eken, "operator", "seen", NOON)
        keep_key(tx, SEAL, OLD, NOON)
        assert due(tx, NOON, TIMING, ZONE, 9).spare == []
        keep_key(tx, SEAL, EDWARDS, NOON, vendor_zone=ZONE)
        assert due(tx, NOON, TIMING, ZONE, 9).spare == [(DOMAIN, "om4", "ed25519-sha256")]


def test_a_record_is_taken_away_when_its_time_is_up_and_not_before() -> None:
    record = ZoneRecord("om1.x", "TXT", "v=DKIM1; p=", 300, remove_at=NOON)
    assert change_of(record, NOON - HOUR) == ("om1.x", "TXT", '"v=DKIM1; p="', 300)
    assert change_of(record, NOON) == ("om1.x", "TXT", None, 300)


def test_what_changed_while_the_zones_server_was_told_stays_to_be_told(database: Database) -> None:
    name = f"om1.eken-example.{ZONE}"
    with database.write() as tx:
        put_zone_record(tx, name, "TXT", "one", NOON)
        told = unpublished(tx, NOON, 9)
        put_zone_record(tx, name, "TXT", "two", NOON)
        mark_published(tx, told, NOON)
        assert [one.value for one in unpublished(tx, NOON, 9)] == ["two"]


def test_a_record_that_is_to_go_later_stays_until_then_even_if_all_is_told_again(database: Database) -> None:
    name, later = f"om1.eken-example.{ZONE}", NOON + DAY * 7
    with database.write() as tx:
        put_zone_record(tx, name, "TXT", "one", NOON)
        remove_zone_record(tx, name, "TXT", later)
        assert unpublished(tx, later - HOUR, 9) == []
        mark_published(tx, zone_records(tx, NOON), NOON)
        assert [one.remove_at for one in zone_records(tx, NOON)] == [later]
        (due_now,) = unpublished(tx, later, 9)
        mark_published(tx, [due_now], later)
        assert unpublished(tx, later, 9) == []
        put_zone_record(tx, name, "TXT", "two", later)
        remove_zone_record(tx, name, "TXT", later + DAY)
        put_zone_record(tx, name, "TXT", "three", later)  # it is needed after all
        assert [one.value for one in zone_records(tx, later + DAY * 9)] == ["three"]
