"""One connection: carries bytes between a socket and its dialogue, keeps the times, and asks the door's two questions."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, cast

import structlog

from ombud import maillog
from ombud.errors import OmbudError
from ombud.mail.reply import Reply
from ombud.mail.smtp import replies
from ombud.mail.smtp.server import Authenticate, Close, Dialogue, Event, Message, StartTls
from ombud.smtp.throttle import peer_group

if TYPE_CHECKING:
    from ombud.smtp.door import SubmissionDoor

log = structlog.get_logger("ombud.smtp")

HANDSHAKE_TIMEOUT = 30.0  # seconds; a TLS handshake is a few packets
QUICKACK = getattr(socket, "TCP_QUICKACK", 0)  # Linux
SHUTDOWN_TIMEOUT = 3.0  # seconds for the last words and TLS's own goodbye


class Connection(asyncio.Protocol):
    """Reading is paused while the door works on an event or the client does not read; so nothing piles up."""

    def __init__(self, door: SubmissionDoor[Any], client: socket.socket, peer: str, *, implicit_tls: bool) -> None:
        self.peer = peer
        self.group = peer_group(peer)
        self._client = client
        self.deadline = inf
        self.connected = False
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._dialogue = Dialogue(door.name, door.limits, door.room, tls=implicit_tls)
        self._transport: asyncio.Transport
        self._sender: Any = None
        self._tls_version = ""
        self._work: asyncio.Task[None] | None = None
        self._submitting = self._authenticating = self._blocked = self._lost = False
        self._upgrading = False  # from the moment that what the client says in the open is no longer heard
        self._handshaking = False  # from the moment that whatever arrives here has come through TLS
        self._early: list[bytes] = []
        self._message_ends = inf

    # --- The socket ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connected = True
        self._use(cast(asyncio.Transport, transport))
        self._next(None)

    def data_received(self, data: bytes) -> None:
        if self._handshaking:
            self._early.append(data)  # start_tls has not yet given us the transport to answer on
        elif not self._lost and not self._upgrading:
            self._take(data)

    def eof_received(self) -> bool:
        return False  # a client that has said all that it will say does not wait for the answer either

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            if self._authenticating and self._work:
                self._work.cancel()  # nobody is there to be answered; a message, though, is taken all the same
            self._dialogue.close()
            self._door.forget(self, refused=self._dialogue.refused)

    def pause_writing(self) -> None:
        self._blocked = True
        self._set_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        self._set_reading()

    # --- What the door calls ---------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Finish the message in hand, take nothing more."""
        if not self.connected:
            self.break_off()
        elif self._upgrading:
            self.cut()
        else:
            self._next(self._dialogue.drain())

    def cut(self) -> None:
        """End it now, unless a message is being accepted: its answer is still given, and the connection closed then."""
        if self._submitting:
            return
        if self._work:
            self._work.cancel()
        self._next(self._dialogue.close(replies.SHUTTING_DOWN))

    def break_off(self) -> None:
        """End it here and now, without a word. In a handshake there is no transport yet; there the peer seems to have gone."""
        if self.connected:
            self._transport.abort()
        else:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def time_out(self) -> None:
        """The deadline has passed."""
        if self._transport.is_closing():
            self._transport.abort()  # whoever does not read does not get our last words
        else:
            self._next(self._dialogue.close(replies.TOO_SLOW))

    # --- Between socket and dialogue ---------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        self._door.bytes += len(data)
        self._next(self._dialogue.receive(data))
        if self._dialogue.receiving and QUICKACK:
            # The rest of a message may wait at the client for our ACK (Nagle), and the ACK here for 40 ms: not with this.
            with suppress(OSError):
                self._client.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    def _next(self, event: Event | None) -> None:
        said = self._flush()
        if isinstance(event, Close):
            self._close()
        elif event:
            self._begin(event)
        else:
            self._set_deadline(said)

    def _flush(self) -> bool:
        out = self._dialogue.replies()
        if out and not self._lost and not self._upgrading:
            self._transport.write(out)
        return bool(out)

    def _close(self) -> None:
        self.deadline = self._loop.time() + SHUTDOWN_TIMEOUT
        if not self._transport.is_closing():
            self._transport.resume_reading()  # a TLS transport that is paused may never see that the client has gone
        self._transport.close()

    def _set_deadline(self, said: bool) -> None:
        """A command that trickles gains no time by each byte, and data that trickles only up to the message's own end."""
        now, settings = self._loop.time(), self._door.settings
        if said:
            self._message_ends = inf
            self.deadline = now + settings.command_timeout
        if self._dialogue.receiving:
            if self._message_ends == inf:
                self._message_ends = now + settings.message_timeout
            self.deadline = min(now + settings.data_timeout, self._message_ends)

    def _set_reading(self) -> None:
        if self._transport.is_closing():
            return
        if self._work or self._blocked:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # --- Events ------------------------------------------------------------------------------------------------------

    def _begin(self, event: Event) -> None:
        self.deadline = inf
        self._upgrading = isinstance(event, StartTls)
        self._work = self._door.work(self._answer(event))
        self._set_reading()

    async def _answer(self, event: Event | None) -> None:
        """Do what the event asks for, and then what the input that has been waiting asks for, until it needs more."""
        try:
            while event and not isinstance(event, Close):
                event = await self._do(event)
                self._flush()
        except Exception:
            log.exception("connection_failed", peer=self.peer)
            self._transport.abort()
        self._work = None
        if isinstance(event, Close):
            self._close()
        else:
            self._set_deadline(said=True)
            self._set_reading()
            self._read_early()

    async def _do(self, event: Event) -> Event | None:
        if isinstance(event, Message):
            self._submitting = True
            reply = await self._submit(event)
            self._submitting = False
            return self._dialogue.answer(reply)
        if isinstance(event, Authenticate):
            self._authenticating = True
            refusal = await self._authenticate(event)
            self._authenticating = False
            return self._dialogue.answer(refusal) if refusal else self._dialogue.authenticated()
        return await self._start_tls()

    async def _submit(self, message: Message) -> Reply:
        door = self._door
        try:
            name = await door.submit(
                self._sender, message.mail_from, message.recipients, message.content,
                utf8=message.utf8, peer=self.peer, tls=self._tls_version, helo=self._dialogue.helo,
            )  # fmt: skip
        except OmbudError as error:
            reply = replies.reply_to(error)
        except Exception:
            log.exception("submit_failed", peer=self.peer)
            reply = replies.FAULT
        else:
            reply = Reply(250, "2.0.0", f"accepted as {name}")
        door.count(reply)
        return reply

    async def _authenticate(self, asked: Authenticate) -> Reply | None:
        """None when the credentials are right; else the refusal, after a time that tells nothing of what was wrong."""
        began = self._loop.time()
        try:
            self._sender = await self._door.authenticate(asked.user, asked.password, self.peer)
            return None
        except OmbudError as error:
            # RFC 4954 4.7: 535 for wrong credentials, 454 for what may pass.
            refusal = Reply(*((454, "4.7.0") if error.retryable else (535, "5.7.8")), replies.words_of(error))
        except Exception:
            log.exception("authenticate_failed", peer=self.peer)
            return replies.AUTH_FAULT
        if refusal.permanent:
            self._door.auth_failures += 1
            maillog.login_failed("smtp", self.peer)
            until = began + self._door.throttle.failed(self.group, began)
            await asyncio.sleep(until - self._loop.time())
        return refusal

    # --- TLS ---------------------------------------------------------------------------------------------------------

    async def _start_tls(self) -> Event | None:
        self._handshaking = True
        transport = None
        try:
            transport = await self._loop.start_tls(
                self._transport, self, self._door.tls, server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT, ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )  # fmt: skip
        except (OSError, ssl.SSLError) as error:
            log.info("tls_failed", peer=self.peer, reason=str(error))
        finally:
            if transport is None:  # nobody tells the protocol of a loss before the handshake is over
                self.connection_lost(None)
                self._transport.abort()
        if transport is None:
            return Close()
        self._handshaking = self._upgrading = False
        self._use(transport)
        self._dialogue.tls_started()
        return None

    def _use(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        self._tls_version = tls.version() or "" if tls else ""

    def _read_early(self) -> None:
        early, self._early = self._early, []
        for data in early:
            self._take(data)
