"""Several processes on one PostgreSQL share the work: each copy goes once, and mail taken in by one is delivered by another."""

from __future__ import annotations

import re
import signal

import httpx2
import pytest

from ombud.queue import State
from tests.flows.conftest import Build, Start, on_postgres
from tests.flows.house import TIMES, InThread, Load, until
from tests.flows.nexthop import SILENCE

pytestmark = on_postgres


def _told(http: str, sample: str) -> float:
    """What the process tells monitoring."""
    with httpx2.Client(verify=False) as client:
        text = client.get(f"{http}/metrics").text
    found = re.search(rf"^{re.escape(sample)} (\S+)", text, re.MULTILINE)
    assert found
    return float(found[1])


def _attempts(http: str) -> float:
    """How many recipients the process has delivered."""
    return _told(http, 'ombud_attempts_total{result="delivered"}')


def _in_flight(http: str) -> float:
    return _told(http, "ombud_delivery_in_flight")


def test_two_processes_share_the_work_and_double_nothing(build: Build, start: Start) -> None:
    house = build()
    first, second = start(house), start(house)
    house.hop.seconds = 0.01
    first.at_the_door()
    with Load(house) as load:
        load.has(60 * TIMES)
        second.at_the_door()  # for those who connect from now on
        until(lambda: _attempts(first.http) and _attempts(second.http))
        load.has(20)
    house.arrives(*load.acknowledged)
    assert house.settled().keys() == {State.DELIVERED}
    assert set(house.hop.taken.values()) == {1}
    assert _attempts(first.http) + _attempts(second.http) == house.hop.taken.total()
    assert house.unwell() == []


def test_mail_taken_in_by_one_process_is_delivered_at_once_by_another(
    build: Build, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Far apart looks, so that it must be the database that tells of new mail.
    monkeypatch.setattr("ombud.delivery.worker.LOOK_EVERY", 300.0)
    house = build()
    delivering = InThread(house)
    try:
        taking_in = start(house, OMBUD_DELIVERY__WORKERS="false")
        taking_in.at_the_door()
        for n in range(5):
            assert house.submit(f"r{n}@post.example")[0] == 250
            house.arrives(f"r{n}@post.example", seconds=20)
        assert _attempts(taking_in.http) == 0
        assert set(house.hop.taken.values()) == {1}
    finally:
        delivering.stop()


def test_a_process_that_slept_past_its_lease_sends_nothing_when_it_wakes(build: Build, start: Start) -> None:
    house = build(delivery={"lease_seconds": 2}, route={"command_seconds": 60})  # it is patient with the next hop
    hop = house.hop
    sleeper = start(house)
    hop.says["DATA"] = SILENCE
    assert house.submit()[0] == 250
    until(lambda: hop.silent)  # one step before the final dot
    sleeper.signal(signal.SIGSTOP)
    hop.says.clear()
    start(house)  # takes the mail over when the sleeper's lease is over
    house.arrives("anna@post.example")
    sleeper.signal(signal.SIGCONT)
    sleeper.at_the_door()
    assert house.submit("bo@post.example")[0] == 250  # it is awake again, and has had its turn
    house.arrives("bo@post.example")
    until(lambda: _in_flight(sleeper.http) == 0)
    assert hop.taken == {"anna@post.example": 1, "bo@post.example": 1}
    assert len(hop.copies) == 2
    assert house.unwell() == []
