"""The business clock jumps or passes a month's end: nothing expires, no lease is lost, and the meter goes by the hand-over."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from ombud import queue
from ombud.clock import month_of
from ombud.delivery.schedule import AFTER_UNKNOWN
from ombud.queue import State
from ombud.queue.tables import attempt_table, body_table
from ombud.usage import usage_of
from tests.flows.conftest import Serve
from tests.flows.house import House, InThread, until

JUMPS = {"a day on": timedelta(days=1), "a day back": timedelta(days=-1), "ten years on": timedelta(days=3653)}


def _billed(house: House) -> Counter[str]:
    """How many e-mails are billed, by month."""
    with house.looking() as tx:
        months = ("2024-05", "2024-06", "2034-05")
        return Counter(
            {
                month: n
                for month in months
                if (n := sum(line.emails for line in usage_of(tx, period=month) if line.billable))
            }
        )


def _recovered(running: InThread) -> int:
    """How many recipients would be taken from a worker that is thought dead."""
    with running.installation.database.write() as tx:
        return queue.recover(tx, running.clock.now(), AFTER_UNKNOWN)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_loses_and_doubles_nothing(serve: Serve, jump: str) -> None:
    running = serve()
    house, hop = running.house, running.house.hop
    assert house.post(to=["later@post.example", "later-too@post.example"]).status == 202
    until(lambda: house.states() == {State.DEFERRED: 2})
    with hop.holding():
        assert house.submit("anna@post.example")[0] == 250
        until(lambda: hop.waiting)  # at its final dot while the clock jumps
        running.clock.turn(JUMPS[jump])
        assert _recovered(running) == 0
        for _ in range(4):  # as often as a recipient must have been tried before it may expire
            tried = _attempts(house)
            house.hurry()
            until(lambda tried=tried: _attempts(house) >= tried + 2)  # type: ignore[misc]  # as it is now
        assert house.states()[State.DEFERRED] == 2
        assert house.submit("bo@post.example")[0] == 250  # taken at the new time
    hop.put_off = False
    house.arrives("anna@post.example", "bo@post.example", "later@post.example", "later-too@post.example", hurry=True)
    assert set(hop.taken.values()) == {1}
    assert _billed(house) == {month_of(running.clock.now()): 4}
    assert house.unwell() == []


def _attempts(house: House) -> int:
    with house.looking() as tx:
        return int(tx.execute(select(func.count()).select_from(attempt_table)).scalar_one())


def test_mail_of_the_months_last_second_is_billed_in_the_month_of_its_hand_over(serve: Serve) -> None:
    running = serve(service={"at": "2024-05-31T23:59:00"})
    house, hop = running.house, running.house.hop
    assert house.submit("may@post.example")[0] == 250
    house.arrives("may@post.example")
    assert _billed(house) == {"2024-05": 1}
    with hop.holding():
        _turn_to(running, 59)
        assert house.submit("june@post.example")[0] == 250
        until(lambda: hop.waiting)
        until(lambda: month_of(running.clock.now()) == "2024-06")
    house.arrives("june@post.example")
    assert _billed(house) == {"2024-05": 1, "2024-06": 1}
    assert house.unwell() == []


def _turn_to(running: InThread, second: int) -> None:
    now = running.clock.now()
    running.clock.turn(timedelta(seconds=second - now.second, microseconds=-now.microsecond))
    assert month_of(running.clock.now()) == "2024-05"


def test_after_a_week_the_bytes_of_what_is_over_are_forgotten_and_what_waits_still_leaves(serve: Serve) -> None:
    running = serve()
    house, hop = running.house, running.house.hop
    assert house.post(to=["later@post.example"]).status == 202
    assert house.submit("anna@post.example")[0] == 250
    house.arrives("anna@post.example")
    until(lambda: house.states() == {State.DEFERRED: 1, State.DELIVERED: 1})
    for days, kept in ((6, 2), (2, 1)):
        running.clock.turn(timedelta(days=days))
        running.run(running.service._forget())
        with house.looking() as tx:
            assert tx.execute(select(func.count()).select_from(body_table)).scalar_one() == kept
        assert house.unwell() == []
    hop.put_off = False
    house.arrives("later@post.example", hurry=True)
    assert house.unwell() == []
