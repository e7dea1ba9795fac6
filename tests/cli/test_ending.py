"""A process that has written everything down ends, whatever is left open; and says what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Looks a name up, breaks that off, and ends as `ombud serve` does. The look-up itself cannot be broken off: libuv's thread goes on.
PROGRAM = """
import asyncio, socket, sys
import uvloop
from ombud import maillog
from ombud.cli.ending import ends_within
from ombud.settings import LogSettings

async def look_up():
    asked = asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo(sys.argv[1], 25))
    await asyncio.sleep(0.1)
    asked.cancel()
    await asyncio.wait([asked])

maillog.configure(LogSettings(format="json"))
listener = socket.create_server(("127.0.0.1", 0))
runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
runner.run(look_up())
print(listener.getsockname()[1], flush=True)
with ends_within(float(sys.argv[2])):
    runner.close()
print("closed", flush=True)
"""


def ended(name: str, seconds: float, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, name, str(seconds)], env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=20, check=False,
    )  # fmt: skip


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's HOSTALIASES, and /proc")
def test_a_loop_that_cannot_be_closed_is_left_and_the_log_says_what_is_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "aliases")  # whoever opens it waits for its writer, and none comes
    done = ended("nexthop", 0.3, HOSTALIASES=str(tmp_path / "aliases"))
    port = done.stdout.splitlines()[0]
    assert done.returncode == 0
    assert "closed" not in done.stdout, "this system looks names up in another way: the look-up did not hang"
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["level"], line["event"], line["after"]) == ("critical", "not_closed", 0.3)
    assert "MainThread@runners.py:" in line["threads"]
    assert f"stream:127.0.0.1:{port}" in line["sockets"]


def test_one_that_closes_in_time_ends_in_its_own_way_and_says_nothing() -> None:
    done = ended("127.0.0.1", 10)
    assert (done.returncode, done.stdout.splitlines()[1:], done.stderr) == (0, ["closed"], "")


def test_a_stop_that_hangs_itself_is_left_as_failed() -> None:
    program = "import time; from ombud.cli.ending import leave_after; leave_after(0.2, 1); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 1
