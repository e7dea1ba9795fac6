"""A next hop that answers by the recipient's name: `later@` not now, `never@` no, `lost@` takes the mail and hangs up without a word."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Relay:
    """A server on loopback. `got` holds (recipients, bytes) of every mail that came through to the final dot."""

    port: int = 0
    got: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    senders: list[bytes] = field(default_factory=list)  # the MAIL commands
    down: bool = False  # greets with 421
    connections: int = 0
    most_at_once: int = 0
    open: int = 0
    dot_delay: float = 0.0
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=64 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_at_once = max(self.most_at_once, self.open)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.write(b"421 4.3.2 closed for today\r\n")
            await writer.drain()
            return
        writer.write(b"220 relay.example ESMTP\r\n")
        recipients: list[str] = []
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-relay.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
            elif verb == b"MAIL":
                recipients = []
                self.senders.append(line)
                writer.write(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                writer.write(self._rcpt(line.partition(b"<")[2].partition(b">")[0].decode(), recipients))
            elif verb == b"DATA":
                writer.write(b"354 go\r\n" if recipients else b"503 5.5.1 nobody\r\n")
                if recipients and not await self._data(reader, writer, recipients):
                    return
            else:
                writer.write(b"250 2.0.0 ok\r\n")
                if verb == b"QUIT":
                    return
            await writer.drain()

    def _rcpt(self, address: str, recipients: list[str]) -> bytes:
        name = address.partition("@")[0]
        if name == "later":
            return b"451 4.7.1 come back in a while\r\n"
        if name == "never":
            return b"550 5.1.1 no such person here\r\n"
        recipients.append(address)
        return b"250 2.1.5 ok\r\n"

    async def _data(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recipients: list[str]) -> bool:
        data = await reader.readuntil(b"\r\n.\r\n")
        await asyncio.sleep(self.dot_delay)
        self.got.append((tuple(recipients), data[:-3].replace(b"\r\n..", b"\r\n.")))
        if any(address.startswith("lost@") for address in recipients):
            return False
        writer.write(b"250 2.0.0 taken\r\n")
        return True
