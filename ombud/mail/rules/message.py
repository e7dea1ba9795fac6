"""The rules that a message shows by itself, before it is sent: headers, bytes, signatures."""

from __future__ import annotations

import email.policy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.parser import BytesParser
from email.utils import parsedate_to_datetime

from ombud.errors import BadAddress, BadMessage, FromNotSingle, TooBig
from ombud.mail import dkim
from ombud.mail.address import Mailbox, parse_mailbox
from ombud.mail.dmarc import organisation_by_list
from ombud.mail.message import MAX_HEADER, examine
from ombud.mail.rules.table import Judged, Verdict, is_consumer, judged, skipped

MAX_SIZE = 25_000_000  # Gmail, Yahoo and Mailgun alike
_PAST, _FUTURE = timedelta(days=5), timedelta(hours=12)
_SINGLE = ("date", "from", "message-id", "subject", "to", "cc", "reply-to", "sender", "list-unsubscribe", "feedback-id")
_REPLY = re.compile(r"(?:re|fwd?|sv|vb|vs)\s*:", re.IGNORECASE)
_BADGE = re.compile("[\u2713\u2714\u2705\u2611\u2605\u2b50\U0001f3c5\U0001f512\U0001f6e1]")
_UNSUBSCRIBE = re.compile(
    r"unsubscribe|opt[ -]?out|avregistrera|avanmäl|avsluta prenumeration|avbeställ", re.IGNORECASE
)
_SENDER_ID = re.compile(r"[A-Za-z0-9_.-]{5,15}")


@dataclass(frozen=True, slots=True)
class Signature:
    """A DKIM-Signature field's tags, as far as these rules want them."""

    domain: str
    selector: str
    covers: frozenset[str]
    body_hash: str
    relaxed: bool
    algorithm: str


@dataclass(frozen=True, slots=True)
class Read:
    """A message as the rules look at it."""

    content: bytes
    fields: Mapping[str, Sequence[str]]
    sender: Mailbox | None
    signatures: tuple[Signature, ...]

    def one(self, name: str) -> str:
        return self.fields.get(name, [""])[0]


def read(content: bytes) -> Read:
    """Never raises: what cannot be read is for the rules to say."""
    head = re.split(rb"\r?\n\r?\n", content[: 4 * MAX_HEADER], maxsplit=1)[0]
    parsed = BytesParser(policy=email.policy.compat32).parsebytes(head + b"\r\n\r\n", headersonly=True)
    fields: dict[str, list[str]] = {}
    for name, value in parsed.raw_items():
        fields.setdefault(name.lower(), []).append(re.sub(r"\r?\n(?=[ \t])", "", str(value)).strip())
    try:
        sender = parse_mailbox(fields["from"][0]) if len(fields.get("from", ())) == 1 else None
    except BadAddress:
        sender = None
    signatures = tuple(made for value in fields.get("dkim-signature", ()) if (made := _signature(value)))
    return Read(content, fields, sender, signatures)


def check_message(message: Read, now: datetime, *, marketing: bool = False, bulk: bool = False) -> list[Judged]:
    """The rules that need nothing but the message; each once."""
    found: dict[str, Judged] = {}
    for one in (
        *_gate(message.content), *_header(message, now), *_appearance(message), *_unsubscribing(message, marketing),
        _feedback_id(message, bulk), *_signing(message),
    ):  # fmt: skip
        found.setdefault(one.rule.id, one)  # the gate may have said already that the header cannot be read
    return list(found.values())


def _signature(value: str) -> Signature | None:
    tags = {
        name.strip(): re.sub(r"\s", "", text)
        for name, equals, text in (part.partition("=") for part in value.split(";")) if equals
    }  # fmt: skip
    if not tags.get("d") or not tags.get("s"):
        return None
    covers = frozenset(name.lower() for name in tags.get("h", "").split(":"))
    relaxed = tags.get("c", "simple").partition("/")[2] == "relaxed"
    return Signature(tags["d"].lower(), tags["s"], covers, tags.get("bh", ""), relaxed, tags.get("a", ""))


# --- one by one ------------------------------------------------------------------------------------------------------


def _gate(content: bytes) -> Iterator[Judged]:
    """Sizes, lines and the one From: the same gate that all mail passes."""
    yield judged("FMT-SIZE", len(content) <= MAX_SIZE, f"{len(content)} bytes")
    problem: BadMessage | None = None
    try:
        examine(content, len(content) + 1)
    except BadMessage as error:
        problem = error
    of_lines = problem is not None and problem.code in (
        "bare_line_break",
        "nul_byte",
        "line_too_long",
        "last_line_open",
    )
    yield judged("FMT-LINE", not of_lines, problem.text() if of_lines and problem else "")
    of_from = isinstance(problem, FromNotSingle)
    yield judged("FMT-FROM", not of_from, problem.text() if of_from and problem else "")
    if problem and not of_lines and not of_from and not isinstance(problem, TooBig):
        yield judged("FMT-HDR", False, problem.text())


def _header(message: Read, now: datetime) -> Iterator[Judged]:
    missing = [name for name in ("date", "from", "message-id") if not message.fields.get(name)]
    doubled = [name for name in _SINGLE if len(message.fields.get(name, ())) > 1]
    if missing or doubled:
        yield judged(
            "FMT-HDR", False, ", ".join([*(f"no {name}" for name in missing), *(f"two {name}" for name in doubled)])
        )
        return
    try:
        date = parsedate_to_datetime(message.one("date"))
        near = -_FUTURE <= now - date.astimezone(now.tzinfo) <= _PAST
    except (ValueError, TypeError, OverflowError):
        near = False
    yield judged("FMT-HDR", near, message.one("date"))


def _appearance(message: Read) -> Iterator[Judged]:
    if message.sender is None:
        yield skipped("FMT-GMAILFROM", Verdict.NOT_TESTED)
        yield skipped("FMT-DISP", Verdict.NOT_TESTED)
        return
    domain, name = message.sender.address.domain, message.sender.name
    yield judged("FMT-GMAILFROM", not is_consumer(domain), domain)
    subject, shown = message.one("subject"), name.strip().lower()
    faults = []
    if "@" in name and str(message.sender.address).lower() not in name.lower():
        faults.append("the name holds another address")
    if _BADGE.search(name):
        faults.append("the name wears a badge")
    if shown and len(shown) > 3 and shown in (one.strip().lower() for one in _names(message.one("to"))):
        faults.append("the name is the recipient's")
    if _REPLY.match(subject) and not (message.one("in-reply-to") or message.one("references")):
        faults.append("the subject says that it is an answer")
    yield judged("FMT-DISP", not faults, "; ".join(faults), otherwise=Verdict.ADVICE)


def _names(to: str) -> list[str]:
    return [part.partition("<")[0].strip().strip('"') for part in to.split(",") if "<" in part]


def _unsubscribing(message: Read, marketing: bool) -> Iterator[Judged]:
    if not marketing:
        yield skipped("UNS-1CLICK", Verdict.NOT_FOR_YOU)
        yield skipped("UNS-BODY", Verdict.NOT_FOR_YOU)
        return
    where, how = message.one("list-unsubscribe"), message.one("list-unsubscribe-post")
    faults = []
    if len(re.findall(r"<https://[^>\s]+>", where, re.IGNORECASE)) != 1:
        faults.append("List-Unsubscribe has not one https address")
    if how != "List-Unsubscribe=One-Click":  # RFC 8058 3.1: exactly that
        faults.append("List-Unsubscribe-Post is missing or misspelt")
    both = {"list-unsubscribe", "list-unsubscribe-post"}
    if not any(both <= signature.covers for signature in message.signatures):
        faults.append("no signature covers both fields")  # RFC 8058 4
    yield judged("UNS-1CLICK", not faults, "; ".join(faults), otherwise=Verdict.ADVICE)
    yield judged("UNS-BODY", _UNSUBSCRIBE.search(_text_of(message.content)) is not None, otherwise=Verdict.ADVICE)


def _text_of(content: bytes) -> str:
    parsed = BytesParser(policy=email.policy.default).parsebytes(content)
    texts = []
    for part in parsed.walk():
        if part.get_content_maintype() == "text" and not part.is_attachment():
            try:
                texts.append(str(part.get_content()))
            except (LookupError, ValueError):  # a charset that nobody knows
                continue
    return "\n".join(texts)


def _feedback_id(message: Read, bulk: bool) -> Judged:
    value = message.one("feedback-id")
    if not value:
        return skipped("FBID", Verdict.ADVICE if bulk else Verdict.NOT_FOR_YOU, "there is none" if bulk else "")
    *fields, sender = value.split(":")
    named = [one for one in (*fields, sender) if one]
    faults = []
    if len(fields) > 3 or not _SENDER_ID.fullmatch(sender.strip()):
        faults.append("it is not a:b:c:SenderId with a SenderId of 5 to 15 characters")
    if len(set(named)) != len(named):
        faults.append("a value stands there twice")
    if not any("feedback-id" in signature.covers for signature in message.signatures):
        faults.append("no signature covers it")
    return judged("FBID", not faults, "; ".join(faults), otherwise=Verdict.ADVICE)


def _signing(message: Read) -> Iterator[Judged]:
    """What can be said of signatures without DNS: whose they are, and whether the body is still the one that was signed."""
    if message.sender is None:
        yield skipped("AUTH-ALIGN", Verdict.NOT_TESTED)
        return
    organisation = organisation_by_list(message.sender.address.domain)
    own = [one for one in message.signatures if organisation_by_list(one.domain) == organisation]
    if not message.signatures:
        detail = "it is not signed yet: the route may do that, or SPF may align"
        yield skipped("AUTH-ALIGN", Verdict.NOT_TESTED, detail)
        yield skipped("AUTH-DKIM", Verdict.NOT_TESTED, detail)
        return
    signed_by = ", ".join(sorted({one.domain for one in message.signatures}))
    yield judged("AUTH-ALIGN", bool(own), f"signed by {signed_by}")
    broken = [
        f"{one.domain} ({one.selector})" for one in own if one.relaxed and one.body_hash != _hash(message.content)
    ]
    yield judged(
        "AUTH-SIGS", not broken, ", ".join(f"{one}: the body is not the one that was signed" for one in broken)
    )


def _hash(content: bytes) -> str:
    return dkim.body_hash(content).decode()
