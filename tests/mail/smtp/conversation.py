"""Reads the dialogues of tests/dialogues and holds them with a Dialogue, as the door would.

    # why                        a comment
    = tls | authenticated        how the session begins; = size N, = errors N: its limits
    C: line                      the client says it, with CRLF; backslash escapes as in a bytes literal
    S: line                      the server answers it; a trailing ... stands for any text
    TLS, AUTH: user, MESSAGE: from -> to: content, CLOSE       what the door is asked to do

Lines of the client that follow each other come in one piece, unless `chop` says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from ombud.errors import BadCredentials
from ombud.mail.reply import Reply
from ombud.mail.smtp import replies
from ombud.mail.smtp.data import Room
from ombud.mail.smtp.server import Authenticate, Close, Dialogue, Event, Limits, Message, StartTls

HOST = "mx.ombud.example"
Chop = Callable[[bytes], Iterable[bytes]]


@dataclass
class Conversation:
    """A session, and what was said and asked in it, line by line."""

    tls: bool = True
    limits: Limits = Limits(max_size=1000, max_recipients=3)
    room: Room = field(default_factory=lambda: Room(10_000))
    #: Answer an event only when all that the client has to say has been received.
    late: bool = False
    said: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dialogue = Dialogue(HOST, self.limits, self.room, tls=self.tls)
        self._hear()

    def authenticate(self) -> None:
        self.client([b"EHLO client.example\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"])
        self.said.clear()

    def client(self, pieces: Iterable[bytes]) -> list[str]:
        """Say this; everything that was said and asked since the last time."""
        waiting: Event | None = None
        for piece in pieces:
            waiting = self.dialogue.receive(piece) or waiting
            if not self.late and not isinstance(waiting, StartTls):
                self._answer_all(waiting)
                waiting = None
        self._answer_all(waiting)
        self._hear()
        said, self.said = self.said, []
        return said

    def _answer_all(self, event: Event | None) -> None:
        while event:
            self._hear()
            event = self._answer(event)

    def _answer(self, event: Event) -> Event | None:
        match event:
            case StartTls():
                self.said.append("TLS")
                self.dialogue.tls_started()
            case Authenticate(user, password):
                self.said.append(f"AUTH: {user}")
                if (user, password) == ("alice", "secret"):
                    return self.dialogue.authenticated()
                return self.dialogue.answer(Reply(535, "5.7.8", replies.words_of(BadCredentials())))
            case Message():
                self.messages.append(event)
                self.said.append(_message_line(event))
                return self.dialogue.answer(Reply(250, "2.0.0", f"accepted as m{len(self.messages)}"))
            case Close():
                self.said.append("CLOSE")
        return None

    def _hear(self) -> None:
        said = self.dialogue.replies().decode().split("\r\n")
        assert said.pop() == ""
        self.said += [f"S: {line}" for line in said]


def hold(path: Path, chop: Chop = lambda data: [data], *, late: bool = False) -> None:
    """Hold the dialogue that stands in the file; AssertionError where the session goes another way."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    talk = _begin([line for line in lines if line.startswith("= ")], late=late)
    turns = groupby((line for line in lines if not line.startswith("= ")), key=lambda line: line.startswith("C:"))
    said, talk.said = talk.said, []
    for is_client, turn in turns:
        if is_client:
            assert not said, f"not expected: {said}"
            said = talk.client(chop(b"".join(_bytes_of(line) for line in turn)))
        else:
            expected = list(turn)
            assert len(said) == len(expected) and all(map(_alike, said, expected)), f"\n{said}\nis not\n{expected}"
            said = []
    assert not said, f"not expected: {said}"


def _begin(settings: list[str], *, late: bool) -> Conversation:
    names = {"size": "max_size", "errors": "max_errors"}
    numbers = {names[word]: int(n) for word, n in re.findall(r"= (\w+) (\d+)", "\n".join(settings))}
    limits = Limits(**{"max_size": 1000, "max_recipients": 3, **numbers})
    talk = Conversation(tls="= tls" in settings or "= authenticated" in settings, limits=limits, late=late)
    if "= authenticated" in settings:
        talk.authenticate()
    return talk


def _bytes_of(line: str) -> bytes:
    return line[2:].removeprefix(" ").encode("latin-1").decode("unicode_escape").encode("latin-1") + b"\r\n"


def _alike(said: str, expected: str) -> bool:
    return said.startswith(expected[:-3]) if expected.endswith("...") else said == expected


def _message_line(message: Message) -> str:
    marks = " utf8" * message.utf8 + " 8bit" * message.eight_bit
    to = " ".join(map(str, message.recipients))
    return f"MESSAGE: {message.mail_from} -> {to}: {message.content!r}{marks}"
