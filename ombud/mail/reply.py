"""An SMTP reply: code, enhanced status code and text, and whether it means yes, not now, or no (RFC 5321 4.2, RFC 3463)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |$)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply. `text` may hold several lines, parted by \\n; `enhanced` is "" when the other side gave none."""

    code: int
    enhanced: str
    text: str

    @property
    def ok(self) -> bool:
        return 200 <= self.code < 400

    @property
    def passing(self) -> bool:
        """Not now: the same again may be accepted later (4yz; RFC 5321 4.2.1)."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """No: the same again gets the same answer (5yz)."""
        return self.code >= 500

    def wire(self) -> bytes:
        """The bytes to send: every line with the code, all but the last with a hyphen after it (RFC 5321 4.2.1)."""
        start = f"{self.enhanced} " if self.enhanced else ""
        lines = self.text.split("\n")
        last = len(lines) - 1
        return "".join(
            f"{self.code}{' ' if n == last else '-'}{start}{line}\r\n" for n, line in enumerate(lines)
        ).encode("utf-8")

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text.replace("\n", " / ")) if part)


def read_reply(raw: bytes) -> Reply:
    """Make a Reply of one whole reply as it came, without its last line break. Raises ValueError when it is none.

    The enhanced code is taken from the first line and stripped from every line that repeats it (RFC 2034 4). Control
    characters in the text become U+FFFD.
    """
    # Most replies are the same few lines again and again; a long one is not worth keeping.
    return _read_short(raw) if len(raw) <= 128 else _read(raw)


def _read(raw: bytes) -> Reply:
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\r")
    lines = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).split("\n")
    if any(line[3:4] not in ("", " ", "-") for line in lines):
        raise ValueError("neither space nor hyphen after the code")
    codes = {line[:3] for line in lines}
    if len(codes) != 1 or not (code := codes.pop()).isdigit() or not 200 <= int(code) <= 599:
        raise ValueError(f"not an SMTP reply: {lines[:1]!r}")
    texts = [line[4:] for line in lines]
    found = _ENHANCED.match(texts[0])
    # RFC 2034 4: the class of the enhanced code must be that of the reply; one that differs is just text.
    enhanced = found[0].strip() if found and found[1] == code[0] else ""
    if enhanced:
        texts = [text.removeprefix(enhanced).lstrip() for text in texts]
    return Reply(int(code), enhanced, "\n".join(texts))


_read_short = lru_cache(maxsize=256)(_read)
