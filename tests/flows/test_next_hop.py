"""A next hop on its bad days: whatever it does, each recipient ends as it must, and nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import select

from ombud import queue
from ombud.queue import State
from ombud.queue.tables import attempt_table
from tests.flows.conftest import Serve, on_sqlite
from tests.flows.house import House, InThread, until
from tests.flows.nexthop import HANG_UP, SILENCE

THREE = ("anna@post.example", "bo@post.example", "cia@post.example")


@pytest.fixture
def running(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> InThread:
    """A breaker that pauses only shortly: how long it does is another test's affair."""
    monkeypatch.setattr("ombud.delivery.breaker.FIRST_PAUSE", 0.2)
    monkeypatch.setattr("ombud.delivery.breaker.LONGEST_PAUSE", 0.5)
    return serve()


def _tried(house: House, *states: State) -> None:
    """Wait until every recipient has been tried and has one of the states."""
    until(lambda: house.known().values() and set(house.known().values()) <= set(states))


def _words(house: House) -> set[tuple[int, str]]:
    with house.looking() as tx:
        return {(row.code, row.words) for row in tx.execute(select(attempt_table.c.code, attempt_table.c.words))}


def _arrive_once(house: House, *addresses: str) -> None:
    house.arrives(*addresses, hurry=True)
    house.settled()
    assert house.hop.taken == Counter(addresses)
    assert house.unwell() == []


def test_a_next_hop_that_is_down_costs_nothing_but_time(running: InThread) -> None:
    house = running.house
    house.hop.down()
    for address in THREE:
        assert house.submit(address)[0] == 250
    _tried(house, State.DEFERRED)
    house.hop.up()
    _arrive_once(house, *THREE)


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        ("GREETING", b"421 4.3.2 closed for today\r\n"),
        ("EHLO", b"451 4.3.0 not now\r\n"),
        ("MAIL", b"451 4.3.0 not now\r\n"),
        ("DATA", b"451 4.3.0 not now\r\n"),
        ("DOT", b"451 4.3.0 not now\r\n"),
        ("DOT", b"421 4.3.2 going down\r\n"),
    ],
)
@on_sqlite
def test_not_now_at_any_point_is_tried_again(running: InThread, verb: str, answer: bytes) -> None:
    house = running.house
    house.hop.says[verb] = answer
    for address in THREE:
        assert house.submit(address)[0] == 250
    _tried(house, State.DEFERRED)
    assert _words(house) == {(int(answer[:3]), answer[10:-2].decode())}
    house.hop.says.clear()
    _arrive_once(house, *THREE)


def test_each_recipient_of_one_mail_gets_its_own_answer(running: InThread) -> None:
    house = running.house
    with house.client() as client:
        addresses = ["anna@post.example", "later@post.example", "never@post.example", "bo@post.example"]
        assert not client.sendmail("hyra@eken.example", addresses, b"From: hyra@eken.example\r\n\r\nHej!\r\n")
    until(lambda: not set(house.states()) & {State.WAITING, State.LEASED, State.SENDING})
    assert house.known() == {
        "anna@post.example": State.DELIVERED,
        "bo@post.example": State.DELIVERED,
        "later@post.example": State.DEFERRED,
        "never@post.example": State.FAILED,
    }
    assert {(550, "no such person here"), (451, "come back in a while")} <= _words(house)
    house.hop.put_off = False
    _arrive_once(house, "anna@post.example", "bo@post.example", "later@post.example")


GARBAGE = (
    b"\xff\xfe\x00 nonsense\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"2\r\n",
    b"250" + b"x" * 40_000 + b"\r\n",
    b"999 9.9.9 what\r\n",
)


@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "DATA"])
@on_sqlite
def test_garbage_before_the_final_dot_is_tried_again(running: InThread, verb: str) -> None:
    house = running.house
    for n, garbage in enumerate(GARBAGE):
        house.hop.says[verb] = garbage
        assert house.submit(f"r{n}@post.example")[0] == 250
        until(lambda n=n: house.known()[f"r{n}@post.example"] is State.DEFERRED)  # type: ignore[misc]  # n as it is now
    house.hop.says.clear()
    _arrive_once(house, *(f"r{n}@post.example" for n in range(len(GARBAGE))))


@pytest.mark.parametrize("answer", [*GARBAGE[:2], HANG_UP, SILENCE], ids=["rubbish", "http", "hang up", "silence"])
def test_a_lost_answer_to_the_final_dot_is_unknown_and_the_second_copy_is_labelled(
    serve: Serve, answer: bytes | None
) -> None:
    house = serve(route={"dot_seconds": 0.5}).house
    house.hop.says["DOT"] = answer
    id = house.post().body["id"]
    _tried(house, State.UNKNOWN)
    house.hop.says.clear()
    house.arrives("anna@post.example", hurry=True)
    first, second = house.hop.copies
    assert first.content == second.content
    with house.looking() as tx:
        happened = [(one.type, one.data.get("words", "")) for one in queue.timeline(tx, id)]
    assert happened[-2][0] == "unknown" and happened[-1] == ("delivered", "may be a second copy")
    assert house.unwell() == []
