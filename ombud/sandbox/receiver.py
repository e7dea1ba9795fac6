"""A recipients' mail server: takes mail for its domains, judges it, writes what it found on top, and stores it in Maildirs."""

# ruff: noqa: N802 - aiosmtpd finds a handler's hooks by the commands' names

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import idna
from aiosmtpd.smtp import SMTP, Envelope, Session

from ombud.sandbox.judge import Judge, Verdict

#: Mail to this local part is answered that there is no such mailbox, at every domain.
UNKNOWN_MAILBOX = "finns-inte"
MAX_SIZE = 35 * 1024 * 1024

log = logging.getLogger(__name__)
_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Receiver:
    """One recipients' mail server and the domains that it serves (lower-case A-labels).

    `strict` makes it refuse, as the large receivers do, mail that neither SPF nor DKIM vouches for in the From domain's name.
    """

    host: str
    address: str
    domains: frozenset[str]
    strict: bool = False


class Reception:
    """What one receiver does with its mail; serves all its connections (the handler that aiosmtpd calls)."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        judge: Judge,
        threads: Executor,
        store: Path,
        clients: Mapping[str, str],
        greylist: bool = False,
    ) -> None:
        self.receiver = receiver
        self.greylist = greylist
        self._judge = judge
        self._threads = threads
        self._store = store
        self._clients = clients
        self._seen: set[tuple[str, str]] = set()

    def protocol(self, tls: ssl.SSLContext) -> SMTP:
        """A new connection's protocol."""
        return SMTP(
            self,
            hostname=self.receiver.host,
            ident="ESMTP",
            tls_context=tls,
            enable_SMTPUTF8=True,
            data_size_limit=MAX_SIZE,
        )

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # aiosmtpd reads commands one by one from a buffer, so pipelining works; it just does not say so.
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        local, domain = split(address)
        if domain not in self.receiver.domains:
            return f"550 5.7.1 {self.receiver.host} does not take mail for {domain or 'that address'}"
        if local.lower() == UNKNOWN_MAILBOX:
            return f"550 5.1.1 There is no mailbox {address} here"
        pair = (envelope.mail_from or "", address)
        if self.greylist and pair not in self._seen:
            self._seen.add(pair)
            return "451 4.7.1 Greylisted: this is your first mail to this mailbox, try again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._take, session, envelope)

    async def handle_exception(self, error: Exception) -> str:
        log.error("%s: %s", self.receiver.host, error, exc_info=error)
        return "451 4.3.0 Something went wrong here"

    def _take(self, session: Session, envelope: Envelope) -> str:
        client, helo = (session.peer or ("?",))[0], session.host_name or ""
        content, mail_from = _content(envelope), null_or(envelope.mail_from)
        verdict = self._judge.judge(client, helo, mail_from, content)
        if self.receiver.strict and verdict.uncertain:
            return "451 4.4.3 The sender's DNS does not answer, so it cannot be authenticated just now"
        refusal = self._refusal(verdict)
        for recipient in envelope.rcpt_tos:
            head = self._head(client, helo, mail_from, recipient, verdict, refusal)
            folder = ".Refused" if refusal else ""
            _put(self._store / split(recipient)[1], folder, head + self._without_forged(content))
        return refusal or "250 2.0.0 OK: stored"

    def _refusal(self, verdict: Verdict) -> str:
        """The words of a large receiver to mail that nobody vouches for, or "" for mail that it takes."""
        if not self.receiver.strict or verdict.aligned:
            return ""
        name = self.receiver.host.removeprefix("mx.").partition(".")[0].capitalize()
        return _lines("550", "5.7.26", (
            f"Your email has been blocked because the sender {verdict.from_domain or '(no single From)'} is unauthenticated.",
            f"{name} requires all senders to authenticate with either SPF or DKIM.",
            "",
            " Authentication results:",
            f" DKIM = {'did not pass' if verdict.signatures else 'none'}",
            f" SPF [{verdict.spf_domain}] = {'did not align' if verdict.spf == 'pass' else 'did not pass'}",
            "",
            f" Set up SPF or DKIM for the domain, as https://{self.receiver.host.removeprefix('mx.')}/avsandare says. - sbx",
        ))  # fmt: skip

    def _head(self, client: str, helo: str, mail_from: str, recipient: str, verdict: Verdict, refusal: str) -> bytes:
        """Our fields on top. X-Sandbox-Client says which of the world's servers it came from, by its address."""
        host = self.receiver.host
        lines = [
            f"Return-Path: <{mail_from}>",
            f"Delivered-To: {recipient}",
            f"X-Original-To: {recipient}",
            f"X-Sandbox-Client: {client} {self._clients.get(client, '-')}",
            *([f"X-Sandbox-Refused: {refusal.splitlines()[0]}"] if refusal else []),
            f"Authentication-Results: {verdict.results(host)}",
            f"Received: from {_word(helo)} ([{client}]) by {host} with ESMTP;\r\n\t{formatdate()}",
        ]
        return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")

    def _without_forged(self, content: bytes) -> bytes:
        """The message without Authentication-Results that claim to be ours (RFC 8601 5)."""
        head, blank, body = content.partition(b"\r\n\r\n")
        forged = (
            rb"^Authentication-Results:[ \t\r\n]*" + re.escape(self.receiver.host.encode()) + rb"\b(?:[^\n]|\n[ \t])*\n"
        )
        return re.sub(forged, b"", head + b"\r\n", flags=re.IGNORECASE | re.MULTILINE) + blank[2:] + body


def split(address: str) -> tuple[str, str]:
    """Local part and domain of an envelope address; the domain as a lower-case A-label, "" when it is none."""
    local, _, domain = address.rpartition("@")
    try:
        return local, idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return local, ""


def null_or(mail_from: str | None) -> str:
    """The envelope sender, "" for the null sender, which aiosmtpd gives as `<>`."""
    return "" if mail_from in (None, "<>") else str(mail_from)


def _content(envelope: Envelope) -> bytes:
    assert isinstance(envelope.content, bytes)
    return envelope.content


def _put(maildir: Path, folder: str, content: bytes) -> None:
    """Store a message, CRLF and all, so that its signatures can be checked again.

    Not `mailbox.Maildir.add`: it syncs each file to disk, and nothing here has to outlive a power cut.
    """
    for box in (maildir, maildir / folder):
        for part in ("cur", "new", "tmp"):
            (box / part).mkdir(parents=True, exist_ok=True)
    place = maildir / folder
    if folder:
        (place / "maildirfolder").touch()  # Maildir++: says that this is a folder of the Maildir above it
    name = f"{time.time_ns()}.{os.getpid()}_{next(_serial)}.sandbox"
    (place / "tmp" / name).write_bytes(content)
    (place / "tmp" / name).rename(place / "new" / name)


def _lines(code: str, enhanced: str, texts: tuple[str, ...]) -> str:
    last = len(texts) - 1
    return "\r\n".join(f"{code}{' ' if n == last else '-'}{enhanced} {text}".rstrip() for n, text in enumerate(texts))


def _word(text: str) -> str:
    return re.sub(r"[^\w.\[\]:-]", "?", text) or "unknown"
