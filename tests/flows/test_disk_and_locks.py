"""The disk is full or the database is locked: no false yes, nothing lost, and it goes on by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tests.flows.conftest import Serve, on_sqlite
from tests.flows.house import House, mail, until

BIG = "Hyran för maj.\r\n" * 700  # 10 KB
_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
database.execute("ROLLBACK")
"""


@on_sqlite
def test_a_full_database_is_never_a_yes_and_goes_on_when_there_is_room(serve: Serve) -> None:
    running = serve()
    house = running.house
    running.pragma(f"max_page_count = {running.pragma('page_count') + 40}")
    yes, no = [], Counter[str]()
    for n in range(60):
        address = f"r{n}@post.example"
        if n % 2:
            code, words = house.submit(address, mail(address, text=BIG))
            assert code in (250, 452), words
            no.update([] if code == 250 else [words])
        else:
            answer = house.post(to=[address], text=BIG)
            assert answer.status in (202, 507), answer
            no.update([] if answer.status == 202 else [answer.code])
            code = 250 if answer.status == 202 else 507
        if code == 250:
            yes.append(address)
        if no.total() >= 10:
            break
    assert yes and set(no) == {"4.3.1 The disk is full; nothing was accepted. [disk_full]", "disk_full"}
    running.pragma("max_page_count = 1000000")
    assert house.submit("after@post.example")[0] == 250
    house.arrives(*yes, "after@post.example", hurry=True)
    assert house.hop.taken == Counter([*yes, "after@post.example"])
    assert set(house.known()) == {*yes, "after@post.example"}
    assert house.unwell() == []


@on_sqlite
def test_below_the_room_that_must_stay_free_mail_is_refused_but_delivery_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = serve(service={"min_free": 1 << 20})
    house = running.house
    with house.hop.holding():
        assert house.submit("before@post.example")[0] == 250
        with monkeypatch.context() as full:
            full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(1 << 20) - 1))
            until(lambda: house.submit("no@post.example")[0] == 452)
            code, words = house.submit("no@post.example")
            assert (code, words.split()[0], words.split()[-1]) == (452, "4.3.1", "[disk_full]")
            answer = house.post(to=["no@post.example"])
            assert (answer.status, answer.code, answer.body["retryable"]) == (507, "disk_full", True)
            house.hop.let_go()
            house.arrives("before@post.example")
    until(lambda: house.submit("after@post.example")[0] == 250)
    house.arrives("after@post.example")
    assert house.hop.taken["before@post.example"] == 1


@contextmanager
def _locked(house: House) -> Iterator[None]:
    """Another process holds the database's write lock."""
    with subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(house.directory / "ombud.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"locked\n"
        try:
            yield
        finally:
            process.stdin.write(b"\n")
            process.stdin.close()
            process.wait(20)


@on_sqlite
def test_a_database_that_is_locked_for_a_moment_is_waited_for(serve: Serve) -> None:
    running = serve()
    house = running.house
    answers: list[tuple[int, str]] = []
    sending = threading.Thread(target=lambda: answers.append(house.submit()))
    with _locked(house):
        sending.start()
        until(lambda: running.service.smtp.open)
        sending.join(1.0)
        assert not answers  # not before it is safe
    sending.join(20)
    assert [code for code, _ in answers] == [250]
    house.arrives("anna@post.example")


@on_sqlite
def test_a_database_that_stays_locked_is_451_and_503_and_goes_on_when_it_is_free(serve: Serve) -> None:
    running = serve()
    house = running.house
    with house.hop.holding():
        assert house.submit("before@post.example")[0] == 250
        until(lambda: house.hop.waiting)
        running.pragma("busy_timeout = 200")
        with _locked(house):
            house.hop.let_go()  # delivered now, and the outcome cannot be written
            code, words = house.submit("no@post.example")
            assert (code, words.split()[0], words.split()[-1]) == (451, "4.3.0", "[database_gone]")
            answer = house.post(to=["no@post.example"])
            assert (answer.status, answer.code, answer.body["retryable"]) == (503, "database_gone", True)
            assert house.hop.taken == {"before@post.example": 1}
    until(lambda: house.submit("after@post.example")[0] == 250)
    house.arrives("before@post.example", "after@post.example")
    assert "no@post.example" not in house.known()
    assert house.hop.taken == {"before@post.example": 1, "after@post.example": 1}
    assert house.unwell() == []
