"""The table of states: tests are made from it, row by row, against the real tables."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from ombud.db import Database
from ombud.queue import EVENTS, Change, Changed, State, What, after, change_all
from ombud.queue.tables import event_table, recipient_table
from tests.conftest import NOON
from tests.queue.conftest import MakeMail

# LEASE and COMMIT are verbs of their own (they need a worker and a fence), tested in test_lease.py.
CHANGES = [what for what in What if what not in (What.LEASE, What.COMMIT)]


@pytest.mark.parametrize("state", State)
def test_a_change_leads_where_the_table_says_and_nowhere_else(
    database: Database, put_mail: MakeMail, state: State
) -> None:
    for what in CHANGES:
        put_mail()
        with database.write() as tx:
            number = tx.execute(
                select(recipient_table.c.id).order_by(recipient_table.c.id.desc()).limit(1)
            ).scalar_one()
            tx.execute(update(recipient_table).where(recipient_table.c.id == number).values(state=state))
            (result,) = change_all(tx, [Change(number, None, what, NOON, wait=timedelta(0))])
            now = State(tx.execute(select(recipient_table.c.state).where(recipient_table.c.id == number)).scalar_one())
            events = [
                row.type for row in tx.execute(select(event_table.c.type).where(event_table.c.recipient_id == number))
            ]
        expected = after(state, what)
        assert result == Changed(state, expected), what
        assert now is (expected or state), what
        assert events == ([EVENTS[what]] if expected and what in EVENTS else []), what


@pytest.mark.parametrize("state", [state for state in State if state.final])
def test_nothing_follows_a_final_state(state: State) -> None:
    assert [what for what in What if after(state, what)] == []


def test_every_state_that_is_not_final_can_come_to_an_end() -> None:
    reachable = {state for state in State if state.final}
    while more := {state for state in State for what in What if after(state, what) in reachable} - reachable:
        reachable |= more
    assert reachable == set(State)
