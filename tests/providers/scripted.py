"""A mail server on loopback that says what a test tells it to, word for word, and remembers what it was told."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

DROP = "(drop)"  # hang up without a word
SILENCE = "(silence)"  # say nothing, and keep the line
EHLO = ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")

_ANSWERS = {
    "GREETING": "220 scripted.example ESMTP",
    "HELO": "250 scripted.example",
    "STARTTLS": "220 go",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go",
    "DOT": "250 2.0.0 queued",
    "RSET": "250 2.0.0 reset",
    "QUIT": "221 2.0.0 bye",
}


@dataclass
class Scripted:
    """`answers` holds what to say to a verb, or to `RCPT local-part`; a list is used up one by one, its last for ever."""

    answers: dict[str, str | list[str]] = field(default_factory=dict)
    offers: Sequence[str] = EHLO
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    reads_ahead: int = 1 << 26  # bytes that it takes in before anyone looks at them
    hold: float = 0  # seconds before the final dot is answered
    # --- what happened
    heard: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    sessions: int = 0
    open: int = 0
    most_open: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Scripted:
        context = self.tls if self.implicit else None
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context, limit=self.reads_ahead)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def settings(self, **more: object) -> dict[str, object]:
        return {"host": "127.0.0.1", "port": self.port, "tls": "none", **more}

    def verbs(self) -> list[str]:
        return [line.split(" ")[0].upper() for line in self.heard]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._talk(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say(writer, self._answer("GREETING"))
        while line := (await reader.readuntil(b"\r\n")).decode().removesuffix("\r\n"):
            self.heard.append(line)
            verb = line.split(" ")[0].upper()
            answer = self._answer(verb, line)
            await self._say(writer, answer)
            if verb == "STARTTLS" and answer.startswith("220"):
                if self.tls is None:
                    return
                await writer.start_tls(self.tls)
            elif verb == "DATA" and answer.startswith("354"):
                await self._take_content(reader, writer)
            elif verb == "QUIT" or answer.startswith("421"):
                return

    async def _take_content(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "BODY" in self.answers:
            await reader.read(1)
            await self._say(writer, self._answer("BODY"))
            await reader.read()
            return
        content = await reader.readuntil(b"\r\n")
        if content != b".\r\n":
            content += await reader.readuntil(b"\r\n.\r\n")
        await asyncio.sleep(self.hold)
        answer = self._answer("DOT")
        if answer.startswith("250") and content != b".\r\n":  # a lone dot is no mail (RFC 2920 3.1)
            self.contents.append(content[:-3].replace(b"\r\n..", b"\r\n."))
        await self._say(writer, answer)

    def _answer(self, verb: str, line: str = "") -> str:
        if verb == "EHLO" and "EHLO" not in self.answers:
            return "\n".join(["250-scripted.example", *(f"250-{offer}" for offer in self.offers), "250 HELP"])
        key = verb
        if verb == "RCPT" and (found := re.search("<([^@]*)", line)) and f"RCPT {found[1]}" in self.answers:
            key = f"RCPT {found[1]}"
        answer = self.answers.get(key, _ANSWERS.get(key, "500 what?"))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    async def _say(self, writer: asyncio.StreamWriter, answer: str) -> None:
        if answer == DROP:
            raise ConnectionAbortedError
        if answer == SILENCE:
            await asyncio.sleep(3600)
        writer.write("".join(f"{line}\r\n" for line in answer.split("\n")).encode("latin-1"))
        await writer.drain()
