"""Leases: nobody's mail is taken twice, nobody's waits for another's, and nothing is lost with a worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from ombud.db import Database
from ombud.mail.reply import Reply
from ombud.queue import (
    Attempt,
    Change,
    Lease,
    State,
    Stream,
    What,
    beat,
    change_all,
    commit_sending,
    fetch,
    lease,
    put,
    recover,
    routes_with_mail,
)  # fmt: skip
from ombud.queue.lease import MOST_CRASHES, lease_suspect, suspects_wait
from ombud.queue.tables import SUSPECTED, attempt_table, recipient_table, worker_table
from tests.conftest import NOON, Cast
from tests.queue.conftest import MakeMail, new_message, put_stage

OK = Reply(250, "2.0.0", "taken")


def take(database: Database, route_id: int, most: int = 100, worker: str = "w1", served_last: int = 0) -> list[Lease]:
    with database.write() as tx:
        beat(tx, worker, 60)
        return lease(tx, worker, route_id, most, served_last)


def state_of(database: Database, number: int) -> State:
    with database.read() as tx:
        return State(tx.execute(select(recipient_table.c.state).where(recipient_table.c.id == number)).scalar_one())


def test_what_is_leased_is_not_leased_again(database: Database, put_mail: MakeMail, route_id: int) -> None:
    for _ in range(5):
        put_mail()
    first, second = take(database, route_id, 3), take(database, route_id, 3, "w2")
    assert (len(first), len(second)) == (3, 2)
    assert not {one.recipient_id for one in first} & {one.recipient_id for one in second}
    assert take(database, route_id) == []


def test_workers_at_the_same_time_get_disjoint_mail(database: Database, put_mail: MakeMail, route_id: int) -> None:
    for _ in range(20):
        put_mail(to=tuple(f"{n}@post.example" for n in range(10)))
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda n: take(database, route_id, 40, f"w{n}"), range(6)))
    ids = [one.recipient_id for leases in taken for one in leases]
    assert len(ids) == len(set(ids)) == 200


def test_a_lease_brings_the_mail_and_its_bytes(database: Database, put_mail: MakeMail, route_id: int) -> None:
    id = put_mail()
    (one,) = take(database, route_id)
    with database.read() as tx:
        mail, content = fetch(tx, [id])[id]
    assert mail.header_from == "hyra@eken.example"
    assert content.endswith(b"\r\n\r\nHej\r\n")
    assert one.message_id == id


def test_a_big_run_of_one_customer_does_not_hold_up_anothers_single_mail(
    database: Database, put_mail: MakeMail, route_id: int, cast: Cast
) -> None:
    for _ in range(30):
        put_mail(cast.eken, to=tuple(f"{n}@post.example" for n in range(20)))
    single = put_mail(cast.linden)
    assert single in {one.message_id for one in take(database, route_id, 10)}


def test_customers_get_equal_shares_and_what_one_leaves_another_gets(
    database: Database, put_mail: MakeMail, route_id: int, cast: Cast
) -> None:
    put_mail(cast.eken, to=tuple(f"{n}@post.example" for n in range(50)))
    put_mail(cast.linden, to=tuple(f"{n}@post.example" for n in range(12)))

    def shares(most: int) -> tuple[int, int]:
        customers = [one.lane // 4 for one in take(database, route_id, most)]
        return customers.count(cast.eken.id), customers.count(cast.linden.id)

    assert shares(20) == (10, 10)
    assert shares(20) == (18, 2)


def test_important_mail_goes_before_transactional_before_bulk(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    ids = {stream: put_mail(stream=stream) for stream in (Stream.BULK, Stream.TRANSACTIONAL, Stream.IMPORTANT)}
    assert [take(database, route_id, 1)[0].message_id for _ in range(3)] == [
        ids[Stream.IMPORTANT], ids[Stream.TRANSACTIONAL], ids[Stream.BULK],
    ]  # fmt: skip


def test_the_next_lease_begins_with_the_next_customer(
    database: Database, put_mail: MakeMail, route_id: int, cast: Cast
) -> None:
    for _ in range(3):
        put_mail(cast.eken)
        put_mail(cast.linden)
    first = take(database, route_id, 1)[0].lane // 4
    second = take(database, route_id, 1, served_last=first)[0].lane // 4
    assert {first, second} == {cast.eken.id, cast.linden.id}


def test_mail_for_later_is_not_leased_now(database: Database, put_mail: MakeMail, route_id: int) -> None:
    put_mail(wait=timedelta(hours=1))
    assert take(database, route_id) == []
    with database.read() as tx:
        assert routes_with_mail(tx) == [route_id]


def test_a_held_mail_is_not_leased(database: Database, put_mail: MakeMail, route_id: int) -> None:
    put_mail(state=State.HELD)
    assert take(database, route_id) == []


def test_a_settled_recipient_has_its_attempt_with_the_other_sides_words(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    put_mail()
    (one,) = take(database, route_id)
    attempt = Attempt(route_id, NOON, "delivered", OK, "relay.example[192.0.2.1]:25")
    with database.write() as tx:
        assert commit_sending(tx, [(one.recipient_id, one.fence)]) == [True]
        change_all(tx, [Change(one.recipient_id, one.fence, What.DELIVER, NOON, attempt=attempt)])
        row = tx.execute(select(attempt_table)).one()
    assert (row.n, row.code, row.words, row.remote) == (1, 250, "taken", "relay.example[192.0.2.1]:25")
    assert state_of(database, one.recipient_id) is State.DELIVERED


def test_a_worker_with_an_old_fence_is_stopped_before_the_dot(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    put_mail()
    (zombie,) = take(database, route_id, worker="paused")
    with database.write() as tx:
        tx.execute(update(worker_table).values(alive_until=tx.now - timedelta(seconds=1)))
        assert recover(tx, NOON, timedelta(minutes=5)) == 1
    (heir,) = take(database, route_id, worker="heir")
    with database.write() as tx:
        assert commit_sending(tx, [(zombie.recipient_id, zombie.fence)]) == [False]
        assert commit_sending(tx, [(heir.recipient_id, heir.fence)]) == [True]
        (late,) = change_all(tx, [Change(zombie.recipient_id, zombie.fence, What.FAIL, NOON)])
    assert late.now is None
    assert state_of(database, heir.recipient_id) is State.SENDING


def test_a_worker_lost_before_the_dot_leaves_mail_that_is_due_again(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    put_mail()
    take(database, route_id, worker="dead")
    with database.write() as tx:
        recover(tx, NOON, timedelta(minutes=5), all_but="alive")
    (again,) = take(database, route_id, worker="alive")
    assert not again.repeated


def test_a_worker_lost_after_the_dot_leaves_it_unknown_and_the_second_try_knows(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    put_mail()
    (one,) = take(database, route_id, worker="dead")
    with database.write() as tx:
        commit_sending(tx, [(one.recipient_id, one.fence)])
    with database.write() as tx:
        recover(tx, NOON, timedelta(0), all_but="alive")
    assert state_of(database, one.recipient_id) is State.UNKNOWN
    (again,) = take(database, route_id, worker="alive")
    assert again.repeated


def test_unknown_mail_stays_for_a_person_where_that_is_the_policy(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    put_mail()
    (one,) = take(database, route_id, worker="dead")
    with database.write() as tx:
        commit_sending(tx, [(one.recipient_id, one.fence)])
        recover(tx, NOON, None, all_but="alive")
    assert take(database, route_id, worker="alive") == []
    assert state_of(database, one.recipient_id) is State.UNKNOWN


def test_an_answer_that_comes_after_all_turns_unknown_into_what_it_was(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    put_mail()
    (one,) = take(database, route_id, worker="slow")
    with database.write() as tx:
        commit_sending(tx, [(one.recipient_id, one.fence)])
        recover(tx, NOON, timedelta(minutes=5), all_but="other")
        (late,) = change_all(tx, [Change(one.recipient_id, one.fence, What.DELIVER, NOON)])
    assert late.now is State.DELIVERED


def test_a_mail_that_kills_its_workers_is_set_aside_and_the_others_go_on(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    put_mail()
    for n in range(SUSPECTED):
        (poison,) = take(database, route_id, worker=f"dies{n}")
        with database.write() as tx:
            recover(tx, NOON, timedelta(0), all_but="alive")
    put_mail()
    assert [one.recipient_id for one in take(database, route_id)] != [poison.recipient_id]  # it is a suspect now
    for n in range(MOST_CRASHES - SUSPECTED):
        assert state_of(database, poison.recipient_id) is State.WAITING
        with database.write() as tx:
            assert suspects_wait(tx)
            (alone,) = lease_suspect(tx, f"dies again{n}", [route_id])
            assert alone.recipient_id == poison.recipient_id
            recover(tx, NOON, timedelta(0), all_but="w")
    assert state_of(database, poison.recipient_id) is State.QUARANTINED
    with database.write() as tx:
        assert not suspects_wait(tx)


def test_an_innocent_one_that_died_with_the_guilty_goes_by_itself_and_is_delivered(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    for _ in range(3):
        put_mail()
    for n in range(SUSPECTED):
        assert len(take(database, route_id, worker=f"dies{n}")) == 3
        with database.write() as tx:
            recover(tx, NOON, timedelta(0), all_but="alive")
    assert take(database, route_id) == []
    taken = []
    with database.write() as tx:
        assert lease_suspect(tx, "w", [route_id + 1]) == [], "by a route that has no room now"
        while suspects := lease_suspect(tx, "w", [route_id]):
            assert len(suspects) == 1
            taken += suspects
            commit_sending(tx, [(one.recipient_id, one.fence) for one in suspects])
            change_all(tx, [Change(one.recipient_id, one.fence, What.DELIVER, NOON) for one in suspects])
    assert len(taken) == 3
    assert {state_of(database, one.recipient_id) for one in taken} == {State.DELIVERED}


def test_a_living_workers_leases_are_left_alone(database: Database, put_mail: MakeMail, route_id: int) -> None:
    put_mail()
    (one,) = take(database, route_id)
    with database.write() as tx:
        assert recover(tx, NOON, timedelta(minutes=5)) == 0
    assert state_of(database, one.recipient_id) is State.LEASED


def test_what_a_worker_held_that_nobody_knows_is_taken_back_too(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    put_mail()
    take(database, route_id, worker="forgotten")
    with database.write() as tx:
        tx.execute(delete(worker_table))
        assert recover(tx, NOON, timedelta(minutes=5)) == 1
    assert len(take(database, route_id)) == 1


def test_of_two_that_take_back_at_once_the_one_that_dies_loses_nothing(
    postgres_database: Database,
) -> None:
    """One takes a dead worker's rows and dies before its commit; the other, which had to skip them, must leave them findable."""
    database = postgres_database
    with database.write() as tx:
        customer, product, route = put_stage(tx)
        put(tx, [new_message(customer, product, route)])
    take(database, route, worker="dead")

    class Dies(Exception):
        pass

    def take_back_and_die() -> None:
        with database.write() as first:
            recover(first, NOON, timedelta(0), all_but="alive")
            with database.write() as second:
                recover(second, NOON, timedelta(0), all_but="alive")
            raise Dies

    with pytest.raises(Dies):
        take_back_and_die()
    with database.write() as tx:
        assert recover(tx, NOON, timedelta(0), all_but="alive") == 1
