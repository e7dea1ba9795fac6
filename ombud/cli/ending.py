"""The end of a process that has written everything down: it comes, whatever some library has left open.

uvloop closes a loop by waiting until the last of its handles is gone, and its look-ups of names cannot be broken off: with a
name server that is silent each takes some twenty seconds, four at a time. A thread that never comes back would hold up Python itself.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from ombud import maillog

log = structlog.get_logger("ombud.cli")

#: So many of what is still open are named in the log.
_MOST = 20


def leave_after(seconds: float, code: int) -> threading.Timer:
    """Leave the process with that exit code after so many seconds, unless the timer is cancelled; the log says what is still open."""
    timer = threading.Timer(seconds, _leave, [seconds, code])
    timer.daemon = True
    timer.start()
    return timer


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Leave the process, with exit code 0, if the block has not ended after so many seconds.

    Only for a block that has nothing to write any more.
    """
    late = leave_after(seconds, 0)
    try:
        yield
    finally:
        late.cancel()
    if not maillog.flush():  # nobody reads the log, and Python's own end would wait for that, or break off
        os._exit(0)


def _leave(seconds: float, code: int) -> None:
    log.critical("not_closed", after=seconds, threads=" ".join(_threads()), sockets=" ".join(_sockets()))
    os._exit(code)


def _threads() -> list[str]:
    """The threads, each with the place where it stands: `MainThread@runners.py:71`."""
    frames = sys._current_frames()
    found = []
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and (frame := frames.get(thread.ident or 0)):
            found.append(f"{thread.name}@{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
    return found[:_MOST]


def _sockets() -> list[str]:
    """The sockets that are open, each with the address of the other side or, where there is none, its own."""
    found = []
    with suppress(OSError):  # where there is no /proc, or one of them is closed just now
        for file in sorted(Path("/proc/self/fd").iterdir(), key=lambda file: int(file.name)):
            with suppress(OSError):
                if str(file.readlink()).startswith("socket:"):
                    found.append(f"{file.name}:{_address(int(file.name))}")
    return found[:_MOST]


def _address(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        kind = copy.type.name.removeprefix("SOCK_").lower()
        try:
            name = copy.getpeername()
        except OSError:
            name = copy.getsockname()
    return f"{kind}:{':'.join(map(str, name[:2])) if isinstance(name, tuple) else name or 'unnamed'}"
