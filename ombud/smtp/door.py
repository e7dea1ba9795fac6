"""The submission door: two listeners, the bounds of all connections together, and a stop that loses nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from ombud.mail.address import Address
from ombud.mail.reply import Reply
from ombud.mail.smtp import replies
from ombud.mail.smtp.data import Room
from ombud.mail.smtp.server import Limits
from ombud.settings import SmtpSettings
from ombud.smtp import certificate
from ombud.smtp.connection import HANDSHAKE_TIMEOUT, SHUTDOWN_TIMEOUT, Connection
from ombud.smtp.listener import Listener
from ombud.smtp.throttle import Throttle

log = structlog.get_logger("ombud.smtp")

_LOOK_EVERY = 1.0  # seconds between two looks at the deadlines; they are minutes long


Sender = TypeVar("Sender")
SenderOut = TypeVar("SenderOut", covariant=True)
SenderIn = TypeVar("SenderIn", contravariant=True)


class Authenticate(Protocol[SenderOut]):
    async def __call__(self, user: str, password: str, peer: str, /) -> SenderOut:
        """The sender that these credentials are. Raises BadCredentials, or TryLater, whose words the client gets."""
        ...


class Submit(Protocol[SenderIn]):
    async def __call__(
        self, sender: SenderIn, mail_from: Address | None, recipients: tuple[Address, ...], content: bytes, /,
        *, utf8: bool, peer: str, tls: str, helo: str,
    ) -> str:  # fmt: skip
        """Take the message; its id, once it cannot be lost. Raises OmbudError, whose words the client gets."""
        ...


class SubmissionDoor(Generic[Sender]):
    """Submission with STARTTLS and with TLS from the first byte (RFC 6409, RFC 8314).

    `start` once, then `stop`. The counters are for `/metrics` and only grow: connections (with those turned_away), messages
    accepted, deferred (4yz) and refused (5yz), auth_failures, bytes. `open` is how many connections there are now.
    """

    def __init__(
        self, settings: SmtpSettings, name: str, tls_files: tuple[Path, Path],
        *, authenticate: Authenticate[Sender], submit: Submit[Sender],
    ) -> None:  # fmt: skip
        """`name` is the host name that the door gives itself; `tls_files` the certificate chain and its key, PEM."""
        self.settings = settings
        self.name = name
        self.authenticate = authenticate
        self.submit = submit
        self.limits = Limits(
            settings.max_size, settings.max_recipients, settings.max_auth_failures, settings.max_errors
        )
        self.room = Room(settings.max_bytes_in_flight)
        self.throttle = Throttle()
        self.tls: ssl.SSLContext
        self.starttls_port = self.tls_port = -1
        self.connections = self.turned_away = self.auth_failures = self.bytes = 0
        self.accepted = self.deferred = self.refused = 0
        self._tls_files = tls_files
        self._listeners: list[Listener] = []
        self._arriving: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._open: set[Connection] = set()
        self._by_peer: Counter[str] = Counter()
        self._work: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def open(self) -> int:
        return len(self._open)

    async def start(self) -> None:
        """Listen. The ports are in `starttls_port` and `tls_port` then, -1 for one that is closed by the settings.

        Raises Misconfigured for a bad certificate and OSError for a port that is taken.
        """
        self.reload_certificate()
        self.starttls_port = self._listen(self.settings.starttls_port, implicit_tls=False)
        self.tls_port = self._listen(self.settings.tls_port, implicit_tls=True)
        self._watch = asyncio.create_task(self._watch_deadlines())

    async def stop(self, grace: float = 10.0) -> None:
        """Stop listening; messages that are on their way in get `grace` seconds, those being answered get their answer."""
        for listener in self._listeners:
            listener.close()
        for connection in list(self._open):
            connection.drain()
        await self._until_empty(grace)
        for connection in self._connected():
            connection.cut()
        if self._work:
            await asyncio.wait(self._work)  # a message that is being committed is accepted or not, never neither
        await self._until_empty(2 * SHUTDOWN_TIMEOUT)
        for connection in list(self._open):
            connection.break_off()
        if self._arriving:
            await asyncio.wait(self._arriving, timeout=SHUTDOWN_TIMEOUT)
        if self._watch:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    def reload_certificate(self) -> None:
        """Read the certificate again, for the connections to come. Raises Misconfigured, and keeps the old one then."""
        self.tls = certificate.context(*self._tls_files)

    # --- What connections call ---------------------------------------------------------------------------------------

    def forget(self, connection: Connection, *, refused: int) -> None:
        """The connection is gone; its dialogue refused so many messages of itself."""
        if connection not in self._open:
            return
        self.refused += refused
        self._open.remove(connection)
        self._by_peer[connection.group] -= 1
        if not self._by_peer[connection.group]:
            del self._by_peer[connection.group]
        if not self._open:
            self._empty.set()

    def count(self, reply: Reply) -> None:
        """A message got this answer."""
        self.accepted += reply.ok
        self.deferred += reply.passing
        self.refused += reply.permanent

    def work(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run it to its end, even if its connection ends before."""
        return self._start(self._work, work)

    # --- Inside ------------------------------------------------------------------------------------------------------

    def _listen(self, port: int, *, implicit_tls: bool) -> int:
        if port < 0:
            return -1
        listener = Listener(self.settings.host, port, partial(self._take, implicit_tls))
        self._listeners.append(listener)
        log.info(
            "listening", host=self.settings.host, port=listener.port, tls="implicit" if implicit_tls else "starttls"
        )
        return listener.port

    def _take(self, implicit_tls: bool, client: socket.socket, peer: str) -> None:
        connection = Connection(self, client, peer, implicit_tls=implicit_tls)
        if self._admit(connection):
            self._start(self._arriving, self._receive(connection, client, implicit_tls))
        else:
            _turn_away(client, implicit_tls)

    def _admit(self, connection: Connection) -> bool:
        """Whether there is room for one more connection, in all and of its peer; then it is counted."""
        self.connections += 1
        full = len(self._open) >= self.settings.max_connections
        if full or self._by_peer[connection.group] >= self.settings.max_connections_per_peer:
            self.turned_away += 1
            return False
        self._open.add(connection)
        self._empty.clear()
        self._by_peer[connection.group] += 1
        return True

    async def _receive(self, connection: Connection, client: socket.socket, implicit_tls: bool) -> None:
        # Never cancelled: a cancelled handshake is left open by one event loop or the other. `drain` hangs up on it instead.
        loop = asyncio.get_running_loop()
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if implicit_tls:
                await loop.connect_accepted_socket(
                    lambda: connection, client, ssl=self.tls,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT, ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
                )  # fmt: skip
            else:
                await loop.connect_accepted_socket(lambda: connection, client)
        except (OSError, ssl.SSLError) as error:
            log.info("tls_failed", peer=connection.peer, reason=str(error))
        finally:
            if not connection.connected:
                self.forget(connection, refused=0)

    def _start(self, tasks: set[asyncio.Task[None]], work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(tasks.discard)
        return task

    def _connected(self) -> list[Connection]:
        return [connection for connection in self._open if connection.connected]

    async def _watch_deadlines(self) -> None:
        # One look at all of them a second: a timer for each would be set and cancelled with every message.
        shortest = min(self.settings.command_timeout, self.settings.data_timeout, self.settings.message_timeout)
        while True:
            await asyncio.sleep(min(_LOOK_EVERY, shortest / 4))
            now = asyncio.get_running_loop().time()
            for connection in [one for one in self._connected() if one.deadline < now]:
                connection.time_out()

    async def _until_empty(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()


def _turn_away(client: socket.socket, implicit_tls: bool) -> None:
    with client, suppress(OSError):
        if not implicit_tls:  # in the clear there is someone to tell why
            client.send(replies.TOO_MANY_CONNECTIONS.wire())
