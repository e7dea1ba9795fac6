"""Counts what the recipients have got, from their Maildirs and nothing else: the world's word against Ombud's own tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path

_RESULT = re.compile(r"\b(spf|dkim|dmarc)=(\w+)")
_FROM = re.compile(r"header\.from=(\S+)")


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient's copy of one message, as stored. `relay` is "-" when none of the world's smart hosts handed it over.

    `dkim` is the best of its signatures. Domains are lower-case A-labels; `from_domain` is as the receiver read it.
    """

    recipient: str
    domain: str
    from_domain: str
    message_id: str
    client: str
    relay: str
    spf: str
    dkim: str
    dmarc: str
    refused: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How many copies, and what the receivers thought of the delivered ones.

    `duplicates` counts the copies too many: the same Message-ID more than once in the same recipient's mailbox.
    """

    delivered: int
    refused: int
    duplicates: int
    spf_pass: int
    dkim_pass: int
    dmarc_pass: int
    by_recipient_domain: Mapping[str, int]
    by_from_domain: Mapping[str, int]
    by_relay: Mapping[str, int]


def files(mail: Path) -> frozenset[Path]:
    """The file of every copy under `mail`, the directory with one Maildir for each recipient domain; none when there is none yet."""
    return frozenset(
        path for folder in ("", ".Refused/") for box in ("new", "cur") for path in mail.glob(f"*/{folder}{box}/*")
    )


def read(mail: Path, *, without: Container[Path] = ()) -> tuple[Copy, ...]:
    """Every copy under `mail`, but for the files in `without`, in order of their names."""
    return read_files(path for path in sorted(files(mail)) if path not in without)


def read_files(paths: Iterable[Path]) -> tuple[Copy, ...]:
    """The copies in these files, in that order."""
    return tuple(_copy(path, refused=".Refused" in path.parts) for path in paths)


def count(copies: Iterable[Copy]) -> Counts:
    """Count all the copies, or those of one customer or one relay that the caller has picked out."""
    everything = tuple(copies)
    delivered = [copy for copy in everything if not copy.refused]
    times = Counter((copy.message_id, copy.recipient.lower()) for copy in delivered if copy.message_id)
    return Counts(
        delivered=len(delivered),
        refused=len(everything) - len(delivered),
        duplicates=sum(number - 1 for number in times.values()),
        spf_pass=sum(copy.spf == "pass" for copy in delivered),
        dkim_pass=sum(copy.dkim == "pass" for copy in delivered),
        dmarc_pass=sum(copy.dmarc == "pass" for copy in delivered),
        by_recipient_domain=dict(Counter(copy.domain for copy in delivered)),
        by_from_domain=dict(Counter(copy.from_domain for copy in delivered)),
        by_relay=dict(Counter(copy.relay for copy in delivered)),
    )


def _copy(path: Path, *, refused: bool) -> Copy:
    with path.open("rb") as file:
        fields = BytesHeaderParser().parse(file, headersonly=True)
    maildir = path.parents[2] if refused else path.parents[1]
    results = str(fields["Authentication-Results"])  # the topmost: the receiver's own
    client, _, relay = _utf8(fields, "X-Sandbox-Client").partition(" ")
    found = _verdicts(results)
    from_domain = _FROM.search(results)
    return Copy(
        recipient=_utf8(fields, "Delivered-To"), domain=maildir.name, from_domain=from_domain[1] if from_domain else "?",
        message_id=_message_id(fields), client=client, relay=relay,
        spf=found.get("spf", "none"), dkim=found.get("dkim", "none"), dmarc=found.get("dmarc", "none"), refused=refused,
    )  # fmt: skip


def _verdicts(results: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for method, result in _RESULT.findall(results):
        if found.get(method) != "pass":
            found[method] = result
    return found


def _utf8(fields: Message, name: str) -> str:
    """A field whose raw value is UTF-8, which the standard library gives as surrogates."""
    raw = next((value for field, value in fields.raw_items() if field.lower() == name.lower()), "")
    return str(raw).encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()


def _message_id(fields: Message) -> str:
    return "".join(str(fields["Message-ID"] or "").split())
