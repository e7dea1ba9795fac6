"""What a server says that it can do, in its answer to EHLO (RFC 5321 4.1.1.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What EHLO said that the server can do (RFC 5321 4.1.1.1). Nothing, after HELO."""

    names: frozenset[str] = frozenset()  # upper case
    mechanisms: frozenset[str] = frozenset()  # of AUTH, upper case
    max_size: int = 0  # RFC 1870 4: 0 when there is no fixed limit
    pipelining: bool = False
    eight_bit: bool = False
    utf8: bool = False


def read_capabilities(text: str) -> Capabilities:
    """Read the text of a reply to EHLO: the first line is a greeting, each further one a keyword and its parameters."""
    words: dict[str, list[str]] = {}
    for line in text.split("\n")[1:]:
        # "AUTH=PLAIN LOGIN" is how servers wrote it before RFC 2554; some still say both.
        keyword, *parameters = re.sub(r"(?i)^AUTH=", "AUTH ", line.strip()).upper().split() or [""]
        words.setdefault(keyword, []).extend(parameters)
    size = words.get("SIZE", [])[:1]
    return Capabilities(
        names=frozenset(words) - {""},
        mechanisms=frozenset(words.get("AUTH", [])),
        max_size=int(size[0]) if size and size[0].isascii() and size[0].isdigit() and len(size[0]) < 20 else 0,
        pipelining="PIPELINING" in words,
        eight_bit="8BITMIME" in words,
        utf8="SMTPUTF8" in words,
    )
