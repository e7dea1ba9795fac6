"""A service stops soon, whatever hangs; and one that could not come up leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress

import pytest
import uvloop

from ombud import installation as installation_module
from ombud.cli.serve import INTERRUPTED
from ombud.service import Service
from tests.flows.conftest import Build, on_sqlite
from tests.flows.house import ROOT, House, InThread, Load

pytestmark = on_sqlite


async def _loses_a_cancellation() -> None:
    """As `asyncio.wait_for` of Python 3.11 does now and then, and a job that goes on asking name servers with it."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(3600)
    await asyncio.sleep(3600)


def test_a_job_that_loses_its_cancellation_is_cancelled_again(build: Build) -> None:
    assert _stopped_with(InThread(build()), _loses_a_cancellation())


async def _never_ends() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


def test_a_job_that_hears_nothing_is_left(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ombud.service.CANCEL_AGAIN", 0.02)
    assert not _stopped_with(InThread(build()), _never_ends())


def _stopped_with(running: InThread, job: Coroutine[None, None, None]) -> bool:
    """Stop a service that has this job among its own; whether the job has ended then. Fails when the service does not stop."""

    async def begin() -> asyncio.Task[None]:
        running.service._spawn(job)
        await asyncio.sleep(0)
        return running.service._tasks[-1]

    begun: asyncio.Task[None] = running.run(begin())
    running.stop(1)
    return begun.done()


def test_one_that_cannot_come_up_closes_what_it_has_opened(build: Build) -> None:
    async def come_up() -> tuple[Service, OSError]:
        service = Service(installed)
        with pytest.raises(OSError) as taken:
            await service.start()
        return service, taken.value

    with socket.create_server(("127.0.0.1", 0)) as other:
        house = build(http={"port": other.getsockname()[1]})
        with installation_module.opened(house.directory) as installed:
            loop = uvloop.new_event_loop()
            service, _ = loop.run_until_complete(come_up())
            assert not asyncio.all_tasks(loop)
            loop.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", service.smtp.starttls_port))
    assert not any(thread.is_alive() for thread in service.group._threads)


def test_a_log_that_nobody_reads_holds_up_no_stop(build: Build) -> None:
    house = build()
    with _unread(house) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(25) == 0
    assert house.unwell() == []


def test_a_log_that_nobody_reads_does_not_hold_up_who_wants_to_stop_at_once(build: Build) -> None:
    house = build()
    with house.hop.holding(), _unread(house) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # the same signal twice at once is one
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == INTERRUPTED
    assert house.unwell() == []


@contextmanager
def _unread(house: House) -> Iterator[subprocess.Popen[bytes]]:
    """`ombud serve` with more in its log than the pipe takes, and nobody at the pipe's other end."""
    command = [sys.executable, "-m", "ombud", "--json", "--dir", str(house.directory), "serve"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout
            up = json.loads(process.stdout.readline())
            house.starttls_port, house.http = up["smtp"]["starttls_port"], up["http"]
            with Load(house) as load:
                load.has(400)
            yield process
        finally:
            process.kill()
