"""Sends a probe message by a route, as any mail by that route is sent, and reads back what its receiver said of it.

It does not pass the queue: it is to show what the route does, also of a customer whose mail may not take it yet, and nothing of
it is counted or billed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ombud.dns import Answer
from ombud.domains import KeyRing, Ownership
from ombud.domains.proof import Proof, ProofState, Seen, Signed
from ombud.errors import Misconfigured
from ombud.ids import new_handle, new_id
from ombud.mail import dkim, dmarc
from ombud.mail.address import Mailbox, parse_address
from ombud.mail.authresults import Results, results_of
from ombud.mail.compose import Draft, compose
from ombud.mail.message import examine
from ombud.providers.provider import Outgoing, Provider, Result

Ask = Callable[[str, str], Awaitable[Answer]]

FIELD = "X-Ombud-Probe"  # not one of ours that `compose` guards: it is written by `probe_message` alone
LOCAL = "ombud-prov"
MAX_SIZE = 1024 * 1024
#: A probe mailbox is kept clean by its owner; in one that is not, only the newest are looked at.
MAX_FILES = 2000
_NONCE = re.compile(rb"^X-Ombud-Probe:[ \t]*([0-9a-f]{32})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID = re.compile(rb"^Message-ID:[ \t]*(?:\r?\n[ \t]+)?(<[^>\r\n]+>)", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(rb"^From:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)


# --- the message -----------------------------------------------------------------------------------------------------


def new_proof(domain: str, customer_id: int, route_id: int, probe: str, host: str, by: str, now: datetime) -> Proof:
    """A proof to be made: to the mailbox `probe`, with a nonce that no other message has."""
    nonce = secrets.token_hex(16)
    return Proof(
        new_id(), domain, customer_id, route_id, ProofState.ASKED, now, None, f"{LOCAL}@{domain}", probe,
        f"<{nonce}.{new_handle()}@{host}>", nonce, asked_by=by,
    )  # fmt: skip


def probe_message(proof: Proof, sign: bool, ownership: Ownership, ring: KeyRing) -> Outgoing:
    """The message as it leaves: signed as delivery signs, if the route asks for it. A key that is missing is for the receiver to
    find out. Raises BadField or BadAddress when the domain or the mailbox is none."""
    sender = parse_address(proof.header_from)
    draft = Draft(
        from_=Mailbox("Ombud", sender), to=(Mailbox("", parse_address(proof.probe)),), subject=f"Provmejl {proof.id}",
        text=f"Detta är ett provmejl från {proof.domain}.\nThis is a test message from {proof.domain}.\n\n{proof.id}\n",
        headers=(("Auto-Submitted", "auto-generated"),),
    )  # fmt: skip
    content = f"{FIELD}: {proof.nonce}\r\n".encode() + compose(draft, message_id=proof.message_id, date=proof.at)
    owned = ownership.owner(proof.domain)
    keys = ring.of(proof.domain) or (ring.of(owned.name) if owned else ())
    if sign and keys:
        content = dkim.sign(content, keys, proof.at) + content
    examine(content, MAX_SIZE)
    return Outgoing(sender, (parse_address(proof.probe),), content)


async def send_probe(provider: Provider, outgoing: Outgoing) -> tuple[ProofState, str]:
    """Hand it over: whether the route took it, and the other side's words."""

    async def commit() -> bool:
        return True  # nothing is lost by a second copy: the first that is read counts

    (outcome,) = await provider.send(outgoing, commit)
    taken = outcome.result in (Result.DELIVERED, Result.UNKNOWN)
    return ProofState.SENT if taken else ProofState.REFUSED, f"{outcome.remote} {outcome.reply}".strip()


# --- reading it back -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrived:
    nonce: str
    content: bytes


def arrived_in(maildir: Path, nonces: frozenset[str]) -> Iterator[Arrived]:
    """The probe messages in a Maildir, of these nonces; blocks. Reads and changes nothing else. Raises Misconfigured when there
    is no such directory."""
    if not maildir.is_dir():
        raise Misconfigured(reason=f"proof.maildir: {maildir} is no directory")
    files = [file for part in ("new", "cur") if (maildir / part).is_dir() for file in (maildir / part).iterdir()]
    # By name, newest first: a Maildir's names begin with the second in which the message came.
    for file in sorted(files, key=lambda file: file.name, reverse=True)[:MAX_FILES]:
        try:
            with file.open("rb") as opened:
                content = opened.read(MAX_SIZE)
        except OSError:
            continue  # its owner has moved or deleted it meanwhile
        if (nonce := nonce_of(content)) in nonces:
            yield Arrived(nonce, content)


def nonce_of(content: bytes) -> str:
    """The nonce of a probe message; "" when it is none."""
    found = _NONCE.search(_head(content))
    return found[1].decode().lower() if found else ""


async def read_probe(ask: Ask, proof: Proof, content: bytes, server: str = "") -> tuple[bool, Seen] | None:
    """Whether the message as it arrived proves the domain, and what was seen; None when it is not the one that was sent.

    `server` is the receiver whose word counts. It passes when From came through as it was sent and SPF or DKIM vouches for that
    very domain, by the new way to find organisations and by the old one.
    """
    head = _head(content)
    named = _MESSAGE_ID.search(head)
    if nonce_of(content) != proof.nonce or named is None or named[1].decode("ascii", "replace") != proof.message_id:
        return None
    results = results_of(content, server)
    seen_from = _address_in(head)
    if results is None:
        return False, Seen(header_from=seen_from, remarks=("no_results",))
    seen = _seen(results, seen_from)
    found = await dmarc.discover(ask, proof.domain)
    vouching = [one.domain for one in seen.signatures if one.result == "pass"]
    by = await dmarc.alignment(ask, found, seen.spf_domain if seen.spf == "pass" else "", vouching)
    seen = replace(seen, aligned_spf=by.spf and by.spf_by_list, aligned_dkim=by.dkim and by.dkim_by_list)
    remarks = tuple(_remarks(seen, proof, by.differs))
    ok = "from_changed" not in remarks and (seen.aligned_spf or seen.aligned_dkim) and seen.dmarc != "fail"
    return ok, replace(seen, remarks=remarks)


def _seen(results: Results, seen_from: str) -> Seen:
    spf = next(iter(results.of("spf")), None)
    sender = (spf.properties.get("smtp.mailfrom") or spf.properties.get("smtp.helo", "")) if spf else ""
    signatures = tuple(
        Signed(
            (one.properties.get("header.d") or one.properties.get("header.i", "").rpartition("@")[2]).lower(),
            one.properties.get("header.s", ""), one.result,
        )
        for one in results.of("dkim") if one.result != "none"
    )  # fmt: skip
    verdict = next(iter(results.of("dmarc")), None)
    return Seen(
        results.server, spf.result if spf else "none", sender.rpartition("@")[2].lower(), signatures,
        verdict.result if verdict else "none", seen_from,
    )  # fmt: skip


def _remarks(seen: Seen, proof: Proof, differs: bool) -> Iterator[str]:
    if seen.header_from != proof.header_from:
        yield "from_changed"
    if not seen.signatures:
        yield "not_signed"
    elif seen.dkim != "pass":
        yield "dkim_failed"
    if seen.spf != "pass":
        yield "spf_failed"
    if seen.dmarc == "fail":
        yield "dmarc_failed"
    if not (seen.aligned_spf or seen.aligned_dkim):
        yield "not_aligned"
    elif not (seen.aligned_spf and seen.aligned_dkim):
        yield "aligned_by_one"
    if differs:
        yield "organisations_differ"


def _address_in(head: bytes) -> str:
    """The address of the one From field, lower-case; "" when there is not exactly one."""
    fields = _FROM.findall(head)
    if len(fields) != 1:
        return ""
    text = re.sub(rb"\r?\n", b"", fields[0]).decode("utf-8", "replace").strip()
    found = re.search(r"<([^<>]*)>\s*$", text)
    return (found[1] if found else text).strip().lower()


def _head(content: bytes) -> bytes:
    return re.split(rb"\r?\n\r?\n", content[:MAX_SIZE], maxsplit=1)[0] + b"\r\n"
