"""What is forgotten: the bytes of mail that has been over for a while, and nothing that may still have to leave."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from ombud.db import Database
from ombud.errors import NotFound
from ombud.queue import (
    Change,
    Scope,
    State,
    What,
    bodies_to_forget,
    change_all,
    content,
    forget_bodies,
    lease,
    timeline,
)
from ombud.queue.tables import recipient_table
from tests.conftest import NOON
from tests.queue.conftest import MakeMail

WEEK = timedelta(days=7)


def settle(database: Database, route_id: int, what: What, at: datetime = NOON, most: int = 100) -> None:
    """So it goes for the next ones that are due."""
    with database.write() as tx:
        for one in lease(tx, "w1", route_id, most):
            change_all(tx, [Change(one.recipient_id, one.fence, what, at, wait=timedelta(hours=1))])


def forget(database: Database, before: datetime, most: int = 100) -> list[str]:
    """The messages whose bytes were forgotten, found `most` at a time."""
    found, after = [], ""
    while True:
        with database.read() as tx:
            over, after = bodies_to_forget(tx, before, after, most)
        with database.write() as tx:
            assert forget_bodies(tx, over) == len(over)
        found += over
        if not after:
            return found


def test_the_bytes_go_when_the_mail_has_been_over_for_long_enough(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    id = put_mail()
    settle(database, route_id, What.DELIVER)
    assert forget(database, NOON) == []
    assert forget(database, NOON + timedelta(seconds=1)) == [id]
    with database.read() as tx:
        with pytest.raises(NotFound):
            content(tx, Scope(), id)
        assert [event.type for event in timeline(tx, id)] == ["accepted", "delivered"], "what happened to it stays"
    assert forget(database, NOON + WEEK) == []


@pytest.mark.parametrize("what", [What.DEFER, What.LOSE, What.HOLD, What.GIVE_BACK, What.QUARANTINE])
def test_what_may_still_leave_keeps_its_bytes_however_old_it_is(
    database: Database, put_mail: MakeMail, route_id: int, what: What
) -> None:
    put_mail()
    if what is What.LOSE:
        with database.write() as tx:
            (one,) = lease(tx, "w1", route_id, 1)
            tx.execute(recipient_table.update().values(state=State.SENDING))
            change_all(tx, [Change(one.recipient_id, one.fence, what, NOON)])
    else:
        settle(database, route_id, what)
    assert forget(database, NOON + 100 * WEEK) == []


def test_the_last_of_its_recipients_decides(database: Database, put_mail: MakeMail, route_id: int) -> None:
    id = put_mail(to=("anna@post.example", "bo@post.example"))
    settle(database, route_id, What.DELIVER, most=1)
    assert forget(database, NOON + WEEK) == []
    settle(database, route_id, What.FAIL, NOON + WEEK)
    assert forget(database, NOON + WEEK) == []
    assert forget(database, NOON + 2 * WEEK) == [id]


def test_all_are_found_however_few_are_looked_at_at_a_time(
    database: Database, put_mail: MakeMail, route_id: int
) -> None:
    ids = [put_mail() for _ in range(7)]
    settle(database, route_id, What.DELIVER, most=5)
    assert len(forget(database, NOON + WEEK, most=2)) == 5
    settle(database, route_id, What.DELIVER)
    assert len(forget(database, NOON + WEEK, most=1)) == len(ids) - 5


def test_what_copies_were_made_out_with_goes_too(database: Database, put_mail: MakeMail, route_id: int) -> None:
    put_mail()
    other = put_mail(to=("bo@post.example",))
    with database.write() as tx:
        tx.execute(recipient_table.update().values(variables={"namn": "Åsa"}))
    settle(database, route_id, What.DELIVER, most=1)
    forget(database, NOON + WEEK)
    with database.read() as tx:
        kept = tx.execute(select(recipient_table.c.message_id).where(recipient_table.c.variables.is_not(None)))
        assert list(kept.scalars()) == [other]
