"""The load generator for machines without a C compiler: takes the arguments of load.c and prints the same line of JSON.

It takes several times the CPU, and so from what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import resource
import ssl
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

RECIPIENT_DOMAINS = 20


class Refused(Exception):
    pass


@dataclass
class Load:
    """The messages still to send, and what became of those sent."""

    options: argparse.Namespace
    templates: list[bytes]
    started: int = 0
    failed: int = 0
    times: list[float] = field(default_factory=list)
    last: float = 0.0

    async def work(self) -> None:
        """One session after another, until there are no messages left."""
        while self.started < self.options.n and self.failed < 1000:
            try:
                await self._session()
            except (OSError, EOFError, Refused) as error:
                self.failed += 1
                if self.failed <= 5:
                    print(f"{type(error).__name__}: {error}", file=sys.stderr)

    async def _session(self) -> None:
        implicit = _context() if self.options.s == "implicit" else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self.options.p, ssl=implicit)
        with contextlib.closing(writer):
            await _answer(reader, 220)
            await _ask(reader, writer, "EHLO load.example", 250)
            if self.options.s == "starttls":
                await _ask(reader, writer, "STARTTLS", 220)
                await writer.start_tls(_context())
                await _ask(reader, writer, "EHLO load.example", 250)
            if self.options.a:
                user, _, password = self.options.a.partition(":")
                plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
                await _ask(reader, writer, f"AUTH PLAIN {plain}", 235)
            for _ in range(self.options.k):
                if self.started >= self.options.n:
                    break
                number, self.started = self.started, self.started + 1
                await self._message(reader, writer, number)
            writer.write(b"QUIT\r\n")

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        began = time.time()
        which, where = number % len(self.templates), f"{number % RECIPIENT_DOMAINS:02d}"
        await _ask(reader, writer, f"MAIL FROM:<orders@d{which:02d}.example>", 250)
        await _ask(reader, writer, f"RCPT TO:<u{number:010d}@r{where}.example>", 250)
        await _ask(reader, writer, "DATA", 354)
        text = (
            self.templates[which].replace(b"RRRRRRRRRR", b"%010d" % number).replace(b"@rDD.", b"@r%b." % where.encode())
        )
        writer.write(text + b".\r\n")
        await _answer(reader, 250)
        self.last = time.time()
        self.times.append((self.last - began) * 1000)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str, wanted: int) -> None:
    writer.write(line.encode() + b"\r\n")
    await _answer(reader, wanted)


async def _answer(reader: asyncio.StreamReader, wanted: int) -> None:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    if not line:
        raise EOFError("the server closed the connection")
    if not line.startswith(str(wanted).encode()):
        raise Refused(line.decode("latin-1").strip())


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name, default in (("-p", 0), ("-n", 1000), ("-c", 20), ("-k", 100)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("-t", type=Path, required=True)
    parser.add_argument("-s", choices=("starttls", "implicit", "none"), default="none")
    parser.add_argument("-a", default="")
    parser.add_argument("-P", action="store_true", help="(not done here)")
    return parser.parse_args()


async def _main() -> None:
    options = _options()
    load = Load(options, [path.read_bytes() for path in sorted(options.t.glob("*.eml"))])
    first = time.time()
    await asyncio.gather(*(load.work() for _ in range(options.c)))
    use, times = resource.getrusage(resource.RUSAGE_SELF), sorted(load.times) or [0.0]
    print(json.dumps({
        "accepted": len(load.times), "failed": load.failed, "first": first, "last": load.last, "p50": times[len(times) // 2],
        "p99": times[len(times) * 99 // 100], "max": times[-1], "cpu": use.ru_utime + use.ru_stime,
    }))  # fmt: skip


if __name__ == "__main__":
    asyncio.run(_main())
