"""The demo: its directory is begun afresh, and never at the cost of somebody else's; its processes end with it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from ombud.errors import Misconfigured
from ombud.sandbox.story import new_directory


def test_a_demos_directory_is_begun_afresh_or_kept(tmp_path: Path) -> None:
    new_directory(tmp_path / "demo", keep=False)
    (tmp_path / "demo" / "ombud.db").touch()
    new_directory(tmp_path / "demo", keep=True)
    assert (tmp_path / "demo" / "ombud.db").exists()
    new_directory(tmp_path / "demo", keep=False)
    assert not (tmp_path / "demo" / "ombud.db").exists()


def test_a_directory_that_no_demo_has_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(Misconfigured, match="was not made by a demo"):
        new_directory(tmp_path, keep=False)
    assert (tmp_path / "letter.txt").exists()


@pytest.mark.parametrize("keep", [True, False])
def test_a_demo_that_is_played_is_not_begun_afresh_under_its_feet(tmp_path: Path, keep: bool) -> None:
    new_directory(tmp_path / "demo", keep=False)
    with (tmp_path / "demo" / "serve.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Misconfigured, match="is played in"):
            new_directory(tmp_path / "demo", keep=keep)
    new_directory(tmp_path / "demo", keep=keep)


#: Two processes that do not listen, and a second Ctrl-C while they are waited for.
INTERRUPTED = """
import os, signal, subprocess, sys, threading
from ombud.sandbox import story

story._END_SECONDS = 1.0
deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
processes = [subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, text=True) for _ in range(2)]
for process in processes:
    process.stdout.readline()
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    story._end_all(processes)
except KeyboardInterrupt:
    print(*(process.poll() for process in processes))
"""


def test_a_second_signal_leaves_no_process_behind() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split() == ["-9", "-9"], done.stderr
