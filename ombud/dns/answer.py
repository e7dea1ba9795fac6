"""What came of one question: found, definitely not there, or nobody knows. Nothing is ever concluded from the third."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Whether a record is there. UNKNOWN is no answer at all: it never makes a domain better or worse."""

    FOUND = "found"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    `values` are in presentation form, in the order that they came: a TXT is its text, whole; names are lower-case without a final
    dot ("." is the root), as in `10 mx.kund.se`. What outsiders wrote is in them as it came: escape it where it is shown.

    `why` says what stands behind ABSENT (`nxdomain`: there is no such name; `nodata`: it has no such record; `malformed`: no
    name can look like that) or UNKNOWN (`servfail`, `timeout`, `refused`; `lame`: the server asked does not answer for the
    zone; `malformed`, `loop`, `too_big`; `alias`: the server asked knows only that the name is an alias of `aliases[-1]`).
    """

    name: str
    kind: str
    status: Status
    values: tuple[str, ...] = ()
    why: str = ""
    #: Seconds that the answer may be kept, also of a negative one (RFC 2308 5); None when it did not say.
    ttl: int | None = None
    #: Who answered, `IP` or `IP:PORT`; "" when nobody did.
    server: str = ""
    #: The names that the one asked for leads to by CNAME, in order.
    aliases: tuple[str, ...] = ()
    #: Whether a validating resolver vouches for it by DNSSEC; None when the question was not put to a resolver.
    authenticated: bool | None = None

    @property
    def found(self) -> bool:
        return self.status is Status.FOUND

    @property
    def absent(self) -> bool:
        return self.status is Status.ABSENT

    @property
    def unknown(self) -> bool:
        return self.status is Status.UNKNOWN


@dataclass(frozen=True, slots=True)
class NameServer:
    """One name server of a zone. No address: its name leads nowhere, or nobody knows (then `unknown`)."""

    name: str
    addresses: tuple[str, ...]
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Authority:
    """The zone that a name is in, and the servers that answer for it. `status` is that of finding them: UNKNOWN when nobody
    knows, ABSENT when there is no zone up to the top."""

    zone: str
    servers: tuple[NameServer, ...]
    status: Status
    why: str = ""


def canonical(name: str) -> str:
    """The form in which names are compared and shown: lower case, no final dot."""
    return name.lower().removesuffix(".") or "."


def presented(kind: str, values: Iterable[str]) -> tuple[str, ...]:
    """Values as an `Answer` holds them, from the way that a zone file has them (but a TXT's is its text)."""
    shown = {"TXT": str, "CAA": str, "TLSA": str, "DS": str, "DNSKEY": str}.get(kind, _names_lower)
    return tuple(shown(value) for value in values)


def _names_lower(value: str) -> str:
    return " ".join(canonical(word) for word in value.split(" "))
