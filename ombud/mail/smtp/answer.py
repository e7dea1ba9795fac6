"""What a recipient was told by the next server, and at which stage of the dialogue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ombud.mail.reply import Reply


class Stage(StrEnum):
    """What the next reply answers; where a dialogue was when it ended."""

    CONNECT = "connect"  # no connection yet; only the transport uses it
    GREETING = "greeting"
    HELLO = "hello"  # EHLO, or HELO
    TLS = "tls"  # STARTTLS and the handshake
    AUTH = "auth"
    IDLE = "idle"  # nothing was asked; `begin` may be called
    OURS = "ours"  # nothing was asked: we decided, by what the server offers or for our own reasons
    RESET = "reset"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"  # the server waits for the content; without the final dot it must not deliver (RFC 5321 4.1.1.4)
    DOT = "dot"  # past the point of no return: the final dot is out, its answer is not in
    QUIT = "quit"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a recipient was told, and at which stage. Not `heard`: the other side said nothing readable, the words are ours."""

    stage: Stage
    reply: Reply
    heard: bool = True
