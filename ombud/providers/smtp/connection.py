"""One connection to an SMTP server: carries the dialogue's bytes over TCP and TLS, and keeps the time for it.

Nothing here waits with a timer of its own: a connection has a `deadline`, and its pool looks at the deadlines a few times a
second. So a busy connection costs no timer per reply.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from ombud.mail.reply import Reply
from ombud.mail.smtp.answer import Answer, Stage
from ombud.mail.smtp.client import BodyWanted, Dialogue, Ended, Event, Finished, Ready, SecureNow
from ombud.mail.smtp.data import FINAL_DOT, dot_stuffed
from ombud.mail.smtp.transaction import Envelope
from ombud.providers.provider import LEASE_LOST, Commit, Outgoing
from ombud.providers.smtp.route import SmtpRoute

# A smaller content waits for `commit` and leaves together with its dot, in one write; a larger one flows meanwhile.
HELD_BACK = 64 * 1024
BLOCK = 256 * 1024
QUIT_SECONDS = 5.0


class NoSession(Exception):
    """No session for mail came about; `answer` says at which stage and why."""

    def __init__(self, answer: Answer, remote: str) -> None:
        super().__init__(str(answer.reply))
        self.answer = answer
        self.remote = remote


class Connection(asyncio.Protocol):
    """A session with one server. `open_session` first, then any number of `transact`, one at a time, then `quit`."""

    def __init__(self, route: SmtpRoute, dialogue: Dialogue, remote: str) -> None:
        self.remote = remote  # "host[ip]:port"
        self.messages = 0  # transactions begun
        self.deadline = math.inf  # loop time; the pool calls `expire` after it
        self.on_gone: Callable[[Connection], None] | None = None  # called once, when the session is over
        self._route = route
        self._dialogue = dialogue
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._events: deque[Event] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._paused = False
        self._gone = False

    @property
    def usable(self) -> bool:
        """Whether a transaction may begin now, as far as we know."""
        return self._dialogue.stage is Stage.IDLE and not self._gone

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport, but are not of its family.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        dialogue = self._dialogue
        before = dialogue.replies
        events = dialogue.receive(data)
        if dialogue.replies != before and dialogue.stage not in _OWN_TIME:
            # RFC 5321 4.5.3.2 times each reply. Only a whole one buys more time: dripping bytes does not.
            self.deadline = self._loop.time() + self._route.command_seconds
        self._follow(events)

    def connection_lost(self, error: Exception | None) -> None:
        self._follow(self._dialogue.lost(f"was lost ({error})" if error else "was closed by it"))
        self._leave()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake_up()

    # --- the session ---

    async def open_session(self, context: ssl.SSLContext | None) -> None:
        """Go from the greeting to readiness for mail; `context` is for STARTTLS. Raises NoSession."""
        try:
            while True:
                match await self._next_event(self._route.command_seconds):
                    case SecureNow():
                        await self._secure(context)
                    case Ready() if self.usable:  # a server that goes on talking has ended it already
                        return
                    case Ended(answer):
                        raise NoSession(answer, self.remote)
        except BaseException:
            self.give_up("was given up")
            raise

    async def _secure(self, context: ssl.SSLContext | None) -> None:
        assert self._transport is not None
        assert context is not None
        try:
            if self._transport.is_closing():
                raise ConnectionError("the server closed the connection after saying go")
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=self._route.host,
                ssl_handshake_timeout=self._route.command_seconds,
            )
            if transport is None:
                raise ConnectionError("connection lost during the handshake")
        except (OSError, ssl.SSLError) as error:
            raise NoSession(tls_failed(error), self.remote) from error
        self._transport = transport
        self._follow(self._dialogue.secured())

    async def transact(self, outgoing: Outgoing, commit: Commit) -> Sequence[Answer]:
        """Send one message; one Answer per recipient, in order. Breaks the connection off if `commit` raises or we are cancelled."""
        self.messages += 1
        envelope = Envelope(
            outgoing.mail_from,
            outgoing.recipients,
            len(outgoing.content),
            not outgoing.content.isascii(),
            outgoing.needs_utf8,
        )
        self.deadline = self._loop.time() + self._route.command_seconds
        try:
            self._follow(self._dialogue.begin(envelope))
            event = await self._next_event()
            if isinstance(event, BodyWanted):
                await self._send_content(outgoing.content, commit)
                event = await self._next_event()
        except BaseException:
            self.give_up("was broken off by us")
            raise
        assert isinstance(event, Finished)
        return event.answers

    async def _send_content(self, content: bytes, commit: Commit) -> None:
        body = dot_stuffed(content)
        if len(body) > HELD_BACK:
            await self._write_blocks(body)
            body = b""
        self.deadline = math.inf  # the other side waits for us now
        may_go = await commit()
        if self._dialogue.stage is not Stage.BODY:
            return  # it ended meanwhile, without the dot
        if not may_go:
            self._follow(self._dialogue.break_off(LEASE_LOST))
            return
        self._dialogue.pass_the_dot()
        self.deadline = self._loop.time() + self._route.dot_seconds
        self._write(body + FINAL_DOT)

    async def _write_blocks(self, body: bytes) -> None:
        """Write a large content as fast as the other side takes it, each block within its time."""
        for start in range(0, len(body), BLOCK):
            self.deadline = self._loop.time() + self._route.data_seconds
            self._write(body[start : start + BLOCK])
            while self._paused and self._dialogue.stage is Stage.BODY:
                await self._woken()
            if self._dialogue.stage is not Stage.BODY:
                return

    def quit(self) -> None:
        """Part politely; `on_gone` follows when the other side has answered, or has had its time."""
        self.deadline = self._loop.time() + QUIT_SECONDS
        self._follow(self._dialogue.quit())

    def give_up(self, why: str) -> None:
        """Break the connection off here and now, without the final dot if it is not out."""
        self._follow(self._dialogue.lost(why))
        if self._transport is not None:
            self._transport.abort()
        self._leave()

    def expire(self) -> None:
        """The deadline has passed."""
        stage = self._dialogue.stage
        if stage is Stage.IDLE:
            self.quit()
        else:
            self.give_up(f"was broken off: no answer in time to {stage.upper()}")

    # --- carrying ---

    def _follow(self, events: list[Event]) -> None:
        """Write what the dialogue wants to say, and pass on what has happened."""
        out = self._dialogue.take_output()
        if out:
            self._write(out)
        if not events:
            return
        self._events.extend(events)
        if self._dialogue.stage is Stage.ENDED and self._transport is not None:
            # Never a flush: half a content must not dribble out after its transaction was given up.
            self._transport.abort()
        self._wake_up()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _woken(self) -> asyncio.Future[None]:
        """Await it for the next event or drained buffer. The future is there at once, so that nothing slips by unseen."""
        self._wake = self._loop.create_future()
        return self._wake

    async def _next_event(self, seconds: float | None = None) -> Event:
        """The next event of the dialogue. `seconds` is for a session that no pool watches yet."""
        while not self._events:
            if seconds is None:
                await self._woken()
                continue
            try:
                async with asyncio.timeout(seconds):
                    await self._woken()
            except TimeoutError:
                self.expire()
        return self._events.popleft()

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            if self.on_gone is not None:
                self.on_gone(self)


# Stages whose deadline is set when they begin and is not moved by replies.
_OWN_TIME = frozenset({Stage.IDLE, Stage.BODY, Stage.DOT, Stage.QUIT})


def tls_failed(error: Exception) -> Answer:
    """What to say when there is no TLS with the other side (RFC 3463 3.8: 4.7.5, cryptographic failure)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate is not accepted: {error.verify_message}"
    else:
        why = str(getattr(error, "reason", None) or error or type(error).__name__)
    return Answer(Stage.TLS, Reply(451, "4.7.5", f"no TLS with the server: {why}"), heard=False)
