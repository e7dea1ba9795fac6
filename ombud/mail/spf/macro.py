"""SPF macros (RFC 7208 7): what `%{...}` stands for in a record, for one sender."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import quote

from ombud.mail.spf.record import MACRO, BadRecord

if TYPE_CHECKING:
    from ombud.dns import Answer

Ask = Callable[[str, str], Awaitable["Answer"]]

MAX_PTR = 10  # RFC 7208 4.6.4: names beyond these are not looked at
_MAX_NAME = 253
_LITERALS = {"%%": "%", "%_": " ", "%-": "%20"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the one who sends."""

    ip: IPv4Address | IPv6Address
    helo: str
    sender: str
    receiver: str = "unknown"
    timestamp: int = 0


def has_macros(text: str) -> bool:
    return "%" in text


async def expand(text: str, facts: Facts, domain: str, ask: Ask, *, explaining: bool = False) -> str:
    """`text` with its macros filled in; a domain too long loses labels on the left (RFC 7208 7.3). Raises BadRecord where an
    explanation, which is not checked before, has something that is no macro."""
    parts, end = [], 0
    for found in MACRO.finditer(text):
        parts += [_literal(text[end : found.start()]), await _value(found, facts, domain, ask)]
        end = found.end()
    parts.append(_literal(text[end:]))
    whole = "".join(parts)
    if explaining:
        return whole
    while len(whole) > _MAX_NAME and "." in whole:
        whole = whole.partition(".")[2]
    return whole


def _literal(text: str) -> str:
    if "%" in text:
        raise BadRecord(text, "a % begins no macro that exists")
    return text


async def _value(found: re.Match[str], facts: Facts, domain: str, ask: Ask) -> str:
    letter = found["letter"]
    if letter is None:
        return _LITERALS[found[0]]
    value = await _letter(letter.lower(), facts, domain, ask)
    if found["digits"] or found["reverse"] or found["delimiters"]:
        pieces = re.split("[" + re.escape(found["delimiters"] or ".") + "]", value)
        if found["reverse"]:
            pieces.reverse()
        kept = int(found["digits"] or len(pieces))
        value = ".".join(pieces[-kept:])
    return quote(value, safe="-._~") if letter.isupper() else value  # RFC 7208 7.3


async def _letter(letter: str, facts: Facts, domain: str, ask: Ask) -> str:
    local, _, sender_domain = facts.sender.rpartition("@")
    four = facts.ip.version == 4
    match letter:
        case "s":
            return facts.sender
        case "l":
            return local
        case "o":
            return sender_domain
        case "d":
            return domain
        case "i":
            return str(facts.ip) if four else ".".join(facts.ip.exploded.replace(":", "").upper())
        case "c":
            return str(facts.ip)
        case "v":
            return "in-addr" if four else "ip6"
        case "h":
            return facts.helo
        case "r":
            return facts.receiver
        case "t":
            return str(facts.timestamp)
    names = await validated_names(facts.ip, ask)  # %{p}: the domain itself, else something under it, else any
    under = [name for name in names if name.endswith(f".{domain}")]
    return domain if domain in names else next(iter(under or names), "unknown")


async def validated_names(ip: IPv4Address | IPv6Address, ask: Ask) -> list[str]:
    """The client's names by PTR that lead back to it (RFC 7208 5.5). A name that cannot be looked up does not count."""
    answer = await ask(ip.reverse_pointer, "PTR")
    kind = "A" if ip.version == 4 else "AAAA"
    names = []
    for name in answer.values[:MAX_PTR]:
        if any(str(ip) == value for value in (await ask(name, kind)).values):
            names.append(name)
    return names
