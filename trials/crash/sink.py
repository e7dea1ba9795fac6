"""A mail server that writes down every copy before it answers for it. Python's own asyncio, and no code of Ombud's.

A recipient's name says how it is treated the first time: `later-` 451 to RCPT, `soft-` 451 to the final dot, `hang-` the copy is
taken and the connection closed without an answer, `slow-` the answer takes its time; `never-` is refused every time. Anyone
else is taken at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import sys
from pathlib import Path

from trials.crash.ledger import Copy, Ledger, No

LARGEST = 8 * 1024 * 1024
_MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^>\r\n]+)>", re.MULTILINE | re.IGNORECASE)
_OMBUD = re.compile(rb"^Received: by \S+ \(Ombud\)[^;]*?\sid\s+(\w+)", re.MULTILINE)
_FROM = re.compile(rb"^From:", re.MULTILINE)


class Sink:
    """Serves connections; remembers whom it has treated badly, so that each suffers it once."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self._ledger, self._random, self._suffered = ledger, random.Random(seed), set[str]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the killed service's connections end like this: what was not complete was never taken
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink.example ESMTP\r\n")
        mail_from, recipients = "", list[str]()
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
            elif verb == b"MAIL":
                mail_from, recipients = _address(line), []
                writer.write(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                writer.write(self._rcpt(_address(line), recipients))
            elif verb == b"DATA" and not recipients:
                writer.write(b"503 5.5.1 nobody to send it to\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                if not await self._data(reader, writer, mail_from, recipients):
                    return
                recipients = []
            else:
                writer.write(b"221 2.0.0 bye\r\n" if verb == b"QUIT" else b"250 2.0.0 ok\r\n")
            await writer.drain()

    def _rcpt(self, address: str, recipients: list[str]) -> bytes:
        if address.startswith("never-"):
            self._ledger.write(No(address))
            return b"550 5.1.1 no such person here\r\n"
        if self._suffers("later-", address):
            return b"451 4.7.1 come back in a while\r\n"
        recipients.append(address)
        return b"250 2.1.5 ok\r\n"

    async def _data(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mail_from: str, to: list[str]
    ) -> bool:
        """Take one content. False: hang up."""
        content = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        if self._suffer("soft-", to):
            writer.write(b"451 4.3.0 not today\r\n")
            return True
        hangs = self._suffer("hang-", to)
        self._ledger.write(_copy(content, mail_from, to, answered=not hangs))
        slow = any(address.startswith("slow-") for address in to)
        # The time in which the other side does not know: what a kill in it leads to is what this is all about.
        await asyncio.sleep(self._random.uniform(0.2, 0.8) if slow else self._random.uniform(0, 0.02))
        if not hangs:
            writer.write(b"250 2.0.0 taken\r\n")
        return not hangs

    def _suffer(self, fault: str, addresses: list[str]) -> bool:
        """Whether any of them has to suffer it now; those who do have had it then."""
        return bool([address for address in addresses if self._suffers(fault, address)])

    def _suffers(self, fault: str, address: str) -> bool:
        if not address.startswith(fault) or address in self._suffered:
            return False
        self._suffered.add(address)
        return True


def _address(line: bytes) -> str:
    return line.partition(b"<")[2].partition(b">")[0].decode()


def _copy(content: bytes, mail_from: str, recipients: list[str], *, answered: bool) -> Copy:
    header = content[: content.find(b"\r\n\r\n") + 2]
    start, message_id, ombud = _FROM.search(header), _MESSAGE_ID.search(header), _OMBUD.search(header)
    return Copy(
        recipients, mail_from, message_id[1].decode() if message_id else "", ombud[1].decode() if ombud else "",
        hashlib.sha256(content[start.start() :] if start else b"").hexdigest(), hashlib.sha256(content).hexdigest(), answered,
    )  # fmt: skip


async def _run(path: Path, seed: int, port: int) -> None:
    server = await asyncio.start_server(Sink(Ledger(path), seed).serve, "127.0.0.1", port, limit=LARGEST)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
