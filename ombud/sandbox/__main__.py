"""`python -m ombud.sandbox --dir DIR`: start the world, print one JSON line with all addresses, stop on SIGTERM or closed stdin."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import stat
import sys
from pathlib import Path

from ombud.sandbox import example
from ombud.sandbox.world import World


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ombud.sandbox", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="where mail, ca.pem and dkim.zone are")
    parser.add_argument(
        "--example", type=Path, default=example.DEFAULT, help="the example whose customers live in this world"
    )
    parser.add_argument(
        "--greylist", action="append", default=[], metavar="HOST", help="a receiver that puts off first tries"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="sandbox: %(message)s")
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's, which warns of every client that goes away
    asyncio.run(_run(World(arguments.dir.resolve(), story=arguments.example, greylist=arguments.greylist)))


async def _run(world: World) -> None:
    stopped = asyncio.Event()
    _stop_when_told(stopped)
    await world.start()
    print(json.dumps(world.addresses(), ensure_ascii=False), flush=True)
    await stopped.wait()
    await world.stop()


def _stop_when_told(stopped: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        loop.add_signal_handler(signal.SIGINT, stopped.set)
        return
    # Whoever holds the other end decides: a Ctrl-C goes to the whole group, and the service still has mail to hand over.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_reader(sys.stdin.fileno(), _read_stdin, loop, stopped)


def _read_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        stopped.set()


if __name__ == "__main__":
    main()
