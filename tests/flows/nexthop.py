"""A mail server in a thread of its own, so that it lives on when the service dies; it behaves well or badly, as it is told."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: What it may do instead of answering: close, or say nothing until it is told otherwise.
HANG_UP = b""
SILENCE = None
_GOOD: dict[str, bytes | None] = {
    "GREETING": b"220 nexthop.example ESMTP\r\n",
    "EHLO": b"250-nexthop.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    "MAIL": b"250 2.1.0 ok\r\n",
    "DATA": b"354 go\r\n",
    "DOT": b"250 2.0.0 taken\r\n",
    "QUIT": b"221 2.0.0 bye\r\n",
}


@dataclass(frozen=True, slots=True)
class Copy:
    """One content that came through to the final dot, and whether it was taken."""

    recipients: tuple[str, ...]
    content: bytes
    taken: bool


class _HungUp(Exception):
    pass


class NextHop:
    """`says` changes its answers, `seconds` is what a mail takes it, `holding` keeps every final dot waiting.

    Recipients whose names begin with `later` get 451 as long as `put_off` is set, those that begin with `never` 550.
    """

    def __init__(self) -> None:
        self.copies: list[Copy] = []
        self.says: dict[str, bytes | None] = {}
        self.put_off = True
        self.seconds = 0.0
        self.port = 0
        self.waiting = 0  # mails whose final dot has come and has no answer yet
        self.silent = 0  # connections on which it says nothing, though it is its turn
        self._held = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="next-hop", daemon=True)
        self._thread.start()
        self.up()

    def up(self) -> None:
        """Listen; after `down` on the same port."""
        self._run(self._listen())

    def down(self) -> None:
        """Refuse connections, and cut those there are."""
        self._run(self._cut())

    def close(self) -> None:
        self._held = False
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def let_go(self) -> None:
        """Answer what waits, though the block is not over."""
        self._held = False

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Answer no final dot within the block; those that wait are answered after it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    @property
    def taken(self) -> Counter[str]:
        """How many copies each recipient got."""
        return Counter(address for copy in list(self.copies) if copy.taken for address in copy.recipients)

    # --- in its thread -----------------------------------------------------------------------------------------------

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)  # type: ignore[arg-type]  # a coroutine

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=64 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0.005)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, _HungUp):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say("GREETING", writer)
        recipients: list[str] = []
        while line := await reader.readline():
            verb = line[:4].upper().decode("latin-1").strip()
            if verb == "RCPT" and "MAIL" in self.says:
                writer.write(b"503 5.5.1 nobody's\r\n")
            elif verb == "RCPT":
                writer.write(self._rcpt(line.partition(b"<")[2].partition(b">")[0].decode(), recipients))
            elif verb == "DATA" and not recipients:
                writer.write(b"503 5.5.1 nobody\r\n")
            elif verb == "DATA":
                if await self._say("DATA", writer):
                    await self._take(reader, writer, tuple(recipients))
                recipients = []
            elif verb in _GOOD:
                await self._say(verb, writer)
            else:
                writer.write(b"250 2.0.0 ok\r\n")
            if verb == "QUIT":
                return

    def _rcpt(self, address: str, recipients: list[str]) -> bytes:
        if self.put_off and address.startswith("later"):
            return b"451 4.7.1 come back in a while\r\n"
        if address.startswith("never"):
            return b"550 5.1.1 no such person here\r\n"
        recipients.append(address)
        return b"250 2.1.5 ok\r\n"

    async def _take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recipients: tuple[str, ...]
    ) -> None:
        content = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        self.waiting += 1
        try:
            await asyncio.sleep(self.seconds)
            while self._held:
                await asyncio.sleep(0.005)
        finally:
            self.waiting -= 1
        answer = self.says.get("DOT", _GOOD["DOT"])
        # Whoever hangs up, or says nothing that can be understood, may have taken it all the same; here it has.
        self.copies.append(Copy(recipients, content, taken=not (answer or b"").startswith((b"4", b"5"))))
        await self._say("DOT", writer)

    async def _say(self, verb: str, writer: asyncio.StreamWriter) -> bool:
        """Give the answer; says whether it was the good one."""
        answer = self.says.get(verb, _GOOD[verb])
        if answer is SILENCE:
            answer = await self._break_silence(verb)
        if not answer:  # HANG_UP
            raise _HungUp
        writer.write(answer)
        await writer.drain()
        return answer == _GOOD[verb]

    async def _break_silence(self, verb: str) -> bytes | None:
        self.silent += 1
        try:
            while self.says.get(verb, b"") is SILENCE:
                await asyncio.sleep(0.01)
        finally:
            self.silent -= 1
        return self.says.get(verb, _GOOD[verb])
