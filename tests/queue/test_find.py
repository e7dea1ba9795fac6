"""Looking into the queue: what a change is about, and what has happened since."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from ombud.db import Database
from ombud.queue import (
    Change,
    Filter,
    Scope,
    State,
    What,
    change_all,
    event_before_last,
    events_after,
    lease,
    list_messages,
    recipient_ids,
)
from ombud.queue.tables import recipient_table
from tests.conftest import NOON, Cast
from tests.queue.conftest import MakeMail

ALL = list(State)
TO = ("anna@post.example", "bo@post.example", "cia@post.example")


def numbers(database: Database, message: str) -> list[int]:
    with database.read() as tx:
        rows = tx.execute(select(recipient_table.c.id).where(recipient_table.c.message_id == message))
        return sorted(row.id for row in rows)


def test_a_change_is_about_the_recipients_that_are_so_themselves(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    first, second = put_mail(to=TO), put_mail(to=TO[:1], tags=["avi"])
    anna, bo, cia = numbers(database, first)
    (other,) = numbers(database, second)
    with database.write() as tx:
        change_all(tx, [Change(bo, None, What.HOLD, NOON)])

    def found(message: str | None = None, states: list[State] = ALL, n: int | None = None, **wanted: Any) -> list[int]:
        with database.read() as tx:
            return recipient_ids(tx, Scope(), Filter(**wanted), message, states, 100, n)

    assert found() == [anna, bo, cia, other]
    assert found(state=State.HELD) == [bo], "and not its neighbours in the message"
    assert found(to="anna@post.example") == [anna, other]
    assert found(first, to="anna@post.example") == [anna]
    assert found(route_id=route_id) == [anna, bo, cia, other]
    assert found(route_id=route_id + 1000) == []
    assert found(route_id=route_id, states=[State.WAITING], tag="avi") == [other]
    assert found(first, n=2) == [cia]


def test_a_message_is_found_by_one_recipient_that_is_all_of_it(database: Database, put_mail: MakeMail) -> None:
    id = put_mail(to=TO)
    anna, _, _ = numbers(database, id)
    with database.write() as tx:
        change_all(tx, [Change(anna, None, What.HOLD, NOON)])
    with database.read() as tx:
        for wanted, there in (
            (Filter(State.HELD, "anna@post.example"), True),
            (Filter(State.HELD, "bo@post.example"), False),
        ):
            assert bool(list_messages(tx, Scope(), wanted, 10)[0]) is there


def test_events_are_read_from_where_one_left_off(database: Database, put_mail: MakeMail, cast: Cast) -> None:
    id = put_mail()
    put_mail(cast.linden)
    (anna,) = numbers(database, id)
    with database.write() as tx:
        change_all(tx, [Change(anna, None, What.HOLD, NOON, reason="held_by_operator")])
    with database.read() as tx:
        everything = events_after(tx, Scope(), 0, 100)
        assert [event.happening.type for event in everything] == ["accepted", "accepted", "held"]
        held = everything[-1]
        assert (held.message_id, held.customer_id, held.happening.recipient) == (id, cast.eken.id, TO[0])
        assert events_after(tx, Scope(), held.number, 100) == []
        assert len(events_after(tx, Scope(), 0, 2)) == 2
        assert len(events_after(tx, Scope(cast.linden.id), 0, 100)) == 1
        assert event_before_last(tx, Scope(), 0) == held.number
        assert event_before_last(tx, Scope(), 1) == everything[1].number
        assert event_before_last(tx, Scope(), 99) == 0


@pytest.mark.parametrize("wait", [None, timedelta(hours=4)], ids=["left for a person", "due later"])
def test_unknown_mail_that_is_retried_is_due_now_and_keeps_its_label(
    database: Database, put_mail: MakeMail, route_id: int, wait: timedelta | None
) -> None:
    (number,) = numbers(database, put_mail())
    with database.write() as tx:
        (one,) = lease(tx, "w1", route_id, 10)
        change_all(tx, [Change(number, one.fence, What.COMMIT, NOON)])
        change_all(tx, [Change(number, one.fence, What.LOSE, NOON, wait=wait)])
        assert lease(tx, "w1", route_id, 10) == []
        change_all(tx, [Change(number, None, What.RETRY, NOON, wait=timedelta(0))])
    with database.write() as tx:
        (again,) = lease(tx, "w1", route_id, 10)
    assert again.repeated
