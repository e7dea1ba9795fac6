"""What is to be told is kept until it is told, and nobody tells it twice at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from ombud.db import Database, Transaction
from ombud.errors import NotFound
from ombud.notices.outbox import (
    CLAIM,
    GIVE_UP_AFTER,
    LONGEST_WAIT,
    WAITS,
    Backlog,
    Kind,
    Notice,
    State,
    Told,
    backlog,
    claim,
    drop,
    due_targets,
    find_notices,
    get_notice,
    last_words,
    notice_table,
    put_notice,
    retry,
    settle,
    tries_of,
    wait_after,
)
from tests.conftest import NOON


def _put(tx: Transaction, target: str = "centre") -> str:
    return put_notice(tx, "webhook", target, {"type": "choice.made"}, NOON, about="case/x")


def _claim(tx: Transaction, target: str = "centre", most: int = 10) -> list[Notice]:
    return claim(tx, Kind.WEBHOOK, target, most)


def _due_again(tx: Transaction, by: timedelta) -> None:
    """As if so much time had passed."""
    tx.execute(update(notice_table).values(due_at=tx.now - by))


def test_a_notice_is_told_once_and_then_rests(database: Database) -> None:
    with database.write() as tx:
        ref = _put(tx)
        (notice,) = _claim(tx)
        assert (notice.ref, notice.tries, notice.payload) == (ref, 1, {"type": "choice.made"})
        assert settle(tx, notice, Told(True, 200, "thanks", 0.1), NOON) is State.TOLD
        assert _claim(tx) == [] and due_targets(tx) == {}
        assert get_notice(tx, ref).settled_at == NOON
        assert [one.words for one in tries_of(tx, notice.id)] == ["thanks"]
        assert backlog(tx) == Backlog(0, 0, timedelta(0))


def test_what_is_claimed_is_nobody_elses_until_the_claim_runs_out(database: Database) -> None:
    with database.write() as tx:
        _put(tx)
        (first,) = _claim(tx)
        assert _claim(tx) == []
        _due_again(tx, CLAIM)
        (second,) = _claim(tx)
        assert second.ref == first.ref and second.tries == 2
        # The first one wakes up, and has lost it.
        assert settle(tx, first, Told(True), NOON) is None
        assert get_notice(tx, first.ref).state is State.WAITING
        assert settle(tx, second, Told(True), NOON) is State.TOLD


def test_what_could_not_be_told_waits_longer_each_time(database: Database) -> None:
    with database.write() as tx:
        ref = _put(tx)
        (notice,) = _claim(tx)
        _put(tx)  # this one has not been tried
        assert settle(tx, notice, Told(False, 503, "down"), NOON) is State.WAITING
        due = get_notice(tx, ref).due_at
        assert due and WAITS[0] * 0.7 < due - tx.now < WAITS[0] * 1.3
        assert last_words(tx, [notice])[notice.id].words == "down"
        assert [one.ref for one in find_notices(tx, failing=True)] == [ref]


@given(st.integers(1, 50), st.floats(-0.2, 0.2), st.integers(0, 10**9))
def test_a_wait_is_never_longer_than_a_day_nor_shorter_than_was_asked_for(
    tries: int, spread: float, asked: int
) -> None:
    waited = wait_after(tries, timedelta(seconds=asked), spread)
    assert timedelta(seconds=4) <= waited <= LONGEST_WAIT
    assert waited >= min(timedelta(seconds=asked), LONGEST_WAIT)


def test_after_days_in_vain_it_becomes_a_list_for_a_person(database: Database) -> None:
    with database.write() as tx:
        ref = _put(tx)
        tx.execute(update(notice_table).values(gives_up_at=tx.now))
        (notice,) = _claim(tx)
        assert settle(tx, notice, Told(False, 0, "no route"), NOON) is State.GIVEN_UP
        assert _claim(tx) == []
        assert [one.ref for one in find_notices(tx, states=[State.GIVEN_UP])] == [ref]
        assert retry(tx, [ref]) == 1
        (again,) = _claim(tx)
        assert again.tries == 2  # what was tried is not forgotten
        gives_up = tx.execute(notice_table.select()).one().gives_up_at
        assert gives_up - tx.now > GIVE_UP_AFTER - timedelta(minutes=1)
        assert settle(tx, again, Told(True), NOON) is State.TOLD
        assert retry(tx, [ref]) == drop(tx, [ref], NOON) == 0  # what is told is told


def test_what_is_left_to_tell_is_counted_with_how_long_the_oldest_has_waited(database: Database) -> None:
    n = notice_table.c
    with database.write() as tx:
        refs = [_put(tx) for _ in range(4)]
        for ref, hours in zip(refs, (3, 2, 9, 5), strict=True):  # as if put so long ago
            put_at = tx.now - timedelta(hours=hours)
            tx.execute(update(notice_table).where(n.ref == ref).values(gives_up_at=put_at + GIVE_UP_AFTER))
        (_, _, third, _) = _claim(tx)
        tx.execute(update(notice_table).where(n.ref == third.ref).values(gives_up_at=tx.now - GIVE_UP_AFTER))
        assert settle(tx, third, Told(False), NOON) is State.GIVEN_UP
        drop(tx, refs[3:], NOON)
        left = backlog(tx)
        assert (left.waiting, left.given_up) == (2, 1)
        assert timedelta(hours=3) <= left.oldest < timedelta(hours=3, minutes=1)


def test_what_a_person_drops_is_told_no_more_even_by_one_who_is_telling_it(database: Database) -> None:
    with database.write() as tx:
        ref = _put(tx)
        (notice,) = _claim(tx)
        assert drop(tx, [ref], NOON) == 1
        assert settle(tx, notice, Told(True), NOON) is None
        assert get_notice(tx, ref).state is State.DROPPED
        with pytest.raises(NotFound):
            get_notice(tx, "ntc_unknown")


def test_receivers_are_claimed_for_apart_and_letters_are_one_receiver(database: Database) -> None:
    with database.write() as tx:
        _put(tx)
        _put(tx, "other")
        for n in range(3):
            put_notice(tx, Kind.MAIL, f"a{n}@eken.example", {"subject": "x", "text": "y"}, NOON)
        assert due_targets(tx) == {(Kind.WEBHOOK, "centre"): 1, (Kind.WEBHOOK, "other"): 1, (Kind.MAIL, ""): 3}
        assert [one.target for one in _claim(tx, "other")] == ["other"]
        letters = claim(tx, Kind.MAIL, "", 2)
        assert [one.target for one in letters] == ["a0@eken.example", "a1@eken.example"]
        # The words of a letter go when it is on its way: they lie with the message then.
        settle(tx, letters[0], Told(True), NOON)
        assert get_notice(tx, letters[0].ref).payload == {"subject": "x"}


def test_two_processes_never_claim_the_same(postgres_database: Database) -> None:
    database = postgres_database
    with database.write() as tx:
        for _ in range(20):
            _put(tx)
    with database.write() as one, database.write() as two:
        first, second = _claim(one, most=10), _claim(two, most=20)
        assert len(first) == len(second) == 10
        assert not {notice.ref for notice in first} & {notice.ref for notice in second}
