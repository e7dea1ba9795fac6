"""A smart host: takes mail from Ombud and hands it on to the recipient's server within the same session.

It is a before-queue proxy: it says 250 only when the receiver has said it, and a refusal comes back in the receiver's own
words. So one transaction goes to one receiver; recipients elsewhere are answered 452, to come in a transaction of their own.
"""

# ruff: noqa: N802 - aiosmtpd finds a handler's hooks by the commands' names

from __future__ import annotations

import asyncio
import contextlib
import logging
import smtplib
import socket
import ssl
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from email.utils import formatdate

import dkim
import dns.exception
import dns.resolver
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from ombud.sandbox.receiver import MAX_SIZE, null_or, split

log = logging.getLogger(__name__)
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Relay:
    """One smart host. Its address is where it listens and where its mail comes from, as the receivers' SPF sees it.

    With a `user` it demands AUTH, and STARTTLS before it; without, it takes mail from anyone on this machine.
    `signs` names a domain whose mail it signs itself, as a customer's own e-mail provider does.
    """

    name: str
    host: str
    address: str
    user: str = ""
    password: str = ""
    signs: str = ""


@dataclass(frozen=True, slots=True)
class Signer:
    """A DKIM key that a relay signs with, by dkimpy."""

    domain: str
    selector: str
    pem: bytes

    def sign(self, content: bytes) -> bytes:
        """The content with a signature on top."""
        field: bytes = dkim.sign(
            content, self.selector.encode(), self.domain.encode(), self.pem, canonicalize=(b"relaxed", b"relaxed")
        )
        return field + content


class Onward:
    """A relay's connections to the receivers. Everything blocks; call it from threads."""

    def __init__(self, relay: Relay, *, resolver: dns.resolver.Resolver, port: int) -> None:
        self._relay = relay
        self._resolver = resolver
        self._port = port
        self._idle: dict[str, list[smtplib.SMTP]] = defaultdict(list)
        self._made: weakref.WeakSet[smtplib.SMTP] = weakref.WeakSet()
        self._making = threading.Lock()
        self._closed = False

    def find(self, domain: str) -> str:
        """The address of the best server for a domain, or "" when it has none. Raises DNSException when DNS does not answer."""
        with contextlib.suppress(dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            best = min(self._resolver.resolve(domain, "MX", search=False), key=lambda mx: int(mx.preference))
            return str(self._resolver.resolve(best.exchange, "A", search=False)[0].address)
        return ""

    def begin(self, target: str, mail_from: str, options: list[str]) -> tuple[smtplib.SMTP, int, bytes]:
        """Begin a transaction on a connection to the target. Raises OSError when there is none to be had."""
        while (client := self._idle_client(target)) is not None:
            try:
                return client, *client.mail(mail_from, options)
            except (smtplib.SMTPServerDisconnected, OSError):
                client.close()  # it was closed while it lay idle
        client = smtplib.SMTP(
            timeout=_TIMEOUT, local_hostname=self._relay.host, source_address=(self._relay.address, 0)
        )
        client.command_encoding = "utf-8"  # RFC 6531: addresses pass as they came
        with self._making:
            self._made.add(client)
        try:
            client.connect(target, self._port)
            client.ehlo()
            return client, *client.mail(mail_from, options)
        except BaseException:
            client.close()
            raise

    def _idle_client(self, target: str) -> smtplib.SMTP | None:
        try:
            return self._idle[target].pop()
        except IndexError:  # another thread may have taken the last
            return None

    def end(self, target: str, client: smtplib.SMTP, *, reset: bool) -> None:
        """Keep a connection for the next mail; with `reset`, give up what was begun on it."""
        try:
            if reset:
                client.rset()
        except (smtplib.SMTPException, OSError):
            client.close()
        else:
            self._idle[target].append(client)
            if self._closed:
                self.close()

    def hang_up(self) -> None:
        """Let no thread wait for a receiver any more: a server of asyncio that closes forgets whom it has just let in."""
        with self._making:
            made = list(self._made)
        for client in made:
            _shut(client)

    def close(self) -> None:
        self._closed = True
        for client in [client for clients in self._idle.values() for client in clients]:
            client.close()
        self._idle.clear()


def _shut(client: smtplib.SMTP) -> None:
    """End a connection that a thread may be reading from: `close` alone would wait until that has read something."""
    if (sock := client.sock) is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


class Passage:
    """One connection to a relay (the handler that aiosmtpd calls): each step is taken at the receiver before it is answered."""

    def __init__(self, relay: Relay, onward: Onward, threads: Executor, signer: Signer | None) -> None:
        self._relay = relay
        self._onward = onward
        self._threads = threads
        self._signer = signer
        self._envelope: Envelope | None = None
        self._target = ""
        self._client: smtplib.SMTP | None = None
        self._gone = False

    def protocol(self, tls: ssl.SSLContext) -> SMTP:
        """The connection's protocol."""
        needs_login = bool(self._relay.user)
        return _Protocol(
            self, hostname=self._relay.host, ident="ESMTP", tls_context=tls, enable_SMTPUTF8=True, data_size_limit=MAX_SIZE,
            auth_required=needs_login, require_starttls=needs_login, authenticator=self._authenticate,
            auth_exclude_mechanism=() if needs_login else ("PLAIN", "LOGIN"),
        )  # fmt: skip

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        right = (self._relay.user.encode(), self._relay.password.encode())
        return AuthResult(success=(data.login, data.password) == right, handled=False)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if envelope is not self._envelope:
            self.break_off()
        self._envelope = envelope
        reply = await self._in_thread(self._recipient, envelope, address)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return await self._in_thread(self._data, session, envelope)

    async def handle_exception(self, error: Exception) -> str:
        log.error("%s: %s", self._relay.host, error, exc_info=error)
        return "451 4.3.0 Something went wrong here"

    def break_off(self) -> None:
        """Give up what was begun at the receiver, if anything was."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            self._threads.submit(self._onward.end, self._target, client, reset=True)
        except RuntimeError:  # the threads are gone: the world is stopping
            _shut(client)
            client.close()

    def leave(self) -> None:
        """The client has gone away, perhaps while a thread is at work for it."""
        self._gone = True
        self.break_off()

    async def _in_thread(self, step: Callable[..., str], *arguments: object) -> str:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, step, *arguments)
        except (smtplib.SMTPException, OSError) as error:
            if self._client is not None:
                self._client.close()
            self._client = None
            return f"451 4.4.1 {self._relay.host} cannot reach the recipient's server: {type(error).__name__}"
        except dns.exception.DNSException:
            return "451 4.4.3 The recipient's domain cannot be looked up just now"

    def _recipient(self, envelope: Envelope, address: str) -> str:
        domain = split(address)[1]
        target = self._onward.find(domain) if domain else ""
        if not target:
            return f"550 5.1.2 There is no mail server for {domain or 'that address'}"
        if self._client is None:
            options = [option for option in envelope.mail_options if not option.upper().startswith("SIZE=")]
            client, code, words = self._onward.begin(target, null_or(envelope.mail_from), options)
            if code != 250:
                self._onward.end(target, client, reset=True)
                return _pass_back(code, words)
            if self._gone:
                self._onward.end(target, client, reset=True)
                return "421 4.4.2 You have gone away"
            self._client, self._target = client, target
        if target != self._target:  # RFC 5321 4.5.3.1.10: the client sends the rest in another transaction
            return "452 4.5.3 One receiving server in a transaction; send the rest in another"
        return _pass_back(*self._client.rcpt(address))

    def _data(self, session: Session, envelope: Envelope) -> str:
        assert self._client is not None
        assert isinstance(envelope.content, bytes)
        content = _received(self._relay.host, session) + envelope.content
        if self._signer is not None:
            content = self._signer.sign(content)
        client, self._client = self._client, None
        try:
            code, words = client.data(content)
        except (smtplib.SMTPException, OSError):
            client.close()
            raise
        self._onward.end(self._target, client, reset=code != 250)
        return _pass_back(code, words)


class _Protocol(SMTP):
    """aiosmtpd has no hook for a client that just goes away, and then the receiver must not be left waiting."""

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.event_handler.leave()


def _pass_back(code: int, words: bytes) -> str:
    """The other side's whole reply, as it is sent on."""
    *first, last = words.decode("utf-8", "replace").split("\n")
    return "\r\n".join([*(f"{code}-{line}" for line in first), f"{code} {last}"])


def _received(host: str, session: Session) -> bytes:
    client = (session.peer or ("?",))[0]
    return f"Received: from [{client}] by {host} with ESMTP;\r\n\t{formatdate()}\r\n".encode()
