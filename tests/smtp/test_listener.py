from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.smtp.conftest import Running


class Log:
    """Counts what is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, event: str, **values: object) -> None:
        self.lines.append(f"{event} {values['reason']}")


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open no file more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def thread_time() -> float:
    return time.thread_time()


def test_out_of_files_it_rests_and_those_who_wait_are_served_later(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, began = Log(), time.monotonic()
    monkeypatch.setattr("ombud.smtp.listener.log", log)
    with running.raw() as inside, running.unconnected() as waiting:
        with no_more_files():
            waiting.connect(("127.0.0.1", running.door.starttls_port))
            running.waits_for(lambda: bool(log.lines))
            used = running.run(thread_time())
            inside.say(b"NOOP\r\n")
            assert inside.line() == "250 2.0.0 OK"
            time.sleep(0.5)
            assert running.run(thread_time()) - used < 0.1
        assert waiting.recv(4) == b"220 "
    assert set(log.lines) == {"accept_failed Too many open files"}
    assert len(log.lines) <= 2 + time.monotonic() - began


def test_stopping_ends_its_rest(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr("ombud.smtp.listener.log", log)
    monkeypatch.setattr("ombud.smtp.listener._REST", 0.2)
    with running.unconnected() as waiting:
        with no_more_files():
            waiting.connect(("127.0.0.1", running.door.starttls_port))
            running.waits_for(lambda: bool(log.lines))
            running.stop_later().result(timeout=5)
        with pytest.raises(ConnectionResetError):
            waiting.recv(4)
        time.sleep(0.3)
    assert running.faults == []
