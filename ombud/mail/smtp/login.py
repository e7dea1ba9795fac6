"""Credentials for AUTH, and the lines that say them (RFC 4954, RFC 4616)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass, field

MAX_COMMAND = 512  # RFC 5321 4.5.3.1.4

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials for AUTH. `mechanism` is "plain", "login" or "auto" (PLAIN where offered). Raises ValueError for controls."""

    user: str
    password: str = field(repr=False)
    mechanism: str = "auto"

    def __post_init__(self) -> None:
        # RFC 4616 2: NUL parts the fields of PLAIN; a control character in either could only be an attack or a mistake.
        if _CONTROL.search(self.user) or _CONTROL.search(self.password):
            raise ValueError("control character in SMTP credentials")

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """By which mechanisms we may log in; the first that is offered is used."""
        return ("PLAIN", "LOGIN") if self.mechanism == "auto" else (self.mechanism.upper(),)

    def lines(self, offered: Collection[str]) -> list[bytes]:
        """The AUTH command and what answers each challenge after it, with CRLF; [] when nothing is offered that we may use."""
        mechanism = next((name for name in self.mechanisms if name in offered), None)
        if mechanism is None:
            return []
        user, password = self.user.encode(), self.password.encode()
        answers = [b"\0%b\0%b" % (user, password)] if mechanism == "PLAIN" else [user, password]
        command, *rest = f"AUTH {mechanism}".encode(), *(b64encode(answer) for answer in answers)
        # RFC 4954 4: the first answer goes with the command where that saves a round trip and fits in the line.
        if mechanism == "PLAIN" and len(command) + len(b" \r\n") + len(rest[0]) <= MAX_COMMAND:
            command += b" " + rest.pop()
        return [line + b"\r\n" for line in (command, *rest)]
