"""The sending side of an SMTP dialogue (RFC 5321), sans I/O: bytes and decisions in, bytes and events out.

One `Dialogue` is one connection. The transport hands it what arrives (`receive`), writes what `take_output` gives, and tells
it when the connection is lost (`lost`). Each of these returns the events that followed, in order:

    receive, lost, secured -> SecureNow   do the TLS handshake now, then call `secured`
                              Ready       logged in; `begin` may be called
    begin, receive, lost   -> BodyWanted  at least one recipient was accepted: send `dot_stuffed(content)`; when the point of
                                          no return may be passed, call `pass_the_dot` and send the output
                              Finished    one Answer per recipient, in order; `begin` may be called again if `stage` is IDLE
    all but secured, begin -> Ended       the session is over; nothing more may be sent

Replies are input from outside: their length is bounded, what is not a reply ends the session, and a reply that comes before
it was asked for is never taken for the answer to something else.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from ombud.mail.reply import Reply, read_reply
from ombud.mail.smtp.answer import Answer, Stage
from ombud.mail.smtp.capabilities import Capabilities, read_capabilities
from ombud.mail.smtp.data import FINAL_DOT
from ombud.mail.smtp.login import Login
from ombud.mail.smtp.transaction import Envelope, Transaction

MAX_REPLY = 16 * 1024  # RFC 5321 4.5.3.1.5 allows lines of 512; a reply may have many. Beyond this it is not one.

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HELLO_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|\[[A-Za-z0-9.:-]{2,60}\]")
_NO_SUCH_COMMAND = frozenset({500, 501, 502, 504})  # to EHLO: an old server; RFC 5321 3.2 says to try HELO


class StartTls(StrEnum):
    """When the dialogue asks for TLS itself."""

    REQUIRED = "required"  # without it: no credentials, no mail
    OFFERED = "offered"  # if the server offers it (RFC 7435); credentials still need it
    NEVER = "never"  # TLS is there from the first byte, or is not wanted


@dataclass(frozen=True, slots=True)
class SecureNow:
    """The server has said go to STARTTLS."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is open for mail."""


@dataclass(frozen=True, slots=True)
class BodyWanted:
    """The server said 354, and has accepted at least one recipient."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The transaction is over."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over, and why."""

    answer: Answer


Event = SecureNow | Ready | BodyWanted | Finished | Ended


class Dialogue:
    """One SMTP connection's talk, from the greeting to QUIT. See the module for how it is driven."""

    def __init__(
        self, hello: str, *, starttls: StartTls, login: Login | None = None, clear_login: bool = False
    ) -> None:
        """`hello` is our host name or address literal. `clear_login`: the channel needs no (further) encryption for AUTH,
        because it is TLS already or deliberately open. Raises ValueError when `hello` could not stand in a command."""
        if not _HELLO_NAME.fullmatch(hello):
            raise ValueError(f"not a host name for EHLO: {hello!r}")
        self.stage = Stage.GREETING
        self.capabilities = Capabilities()
        self.replies = 0  # how many whole replies have been read: what tells a slow server from a silent one
        self._hello = hello.encode("ascii")
        self._starttls = starttls
        self._login = login
        self._login_allowed = clear_login
        self._auth_lines: deque[bytes] = deque()  # what AUTH has yet to say
        self._buffer = b""
        self._out: list[bytes] = []
        self._handshaking = False
        self._said_helo = False
        self._must_reset = False
        self._open_transaction: Transaction | None = None

    # --- what the transport calls ---

    def take_output(self) -> bytes:
        """What to write now; b"" if nothing."""
        if not self._out:
            return b""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the other side."""
        events: list[Event] = []
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer:
            if self._handshaking or self.stage is Stage.ENDED:
                # What came with the 220 to STARTTLS came in the clear, from whoever: discarded, never read (RFC 3207 4.2;
                # CVE-2011-0411's twin for clients). After the end nothing is read either.
                self._buffer = b""
                break
            if self._out:
                return events + self._end_unreadable(self._buffer, "it answered before it was asked")
            try:
                raw = self._next_reply()
                reply = read_reply(raw) if raw is not None else None
            except ValueError:
                return events + self._end_unreadable(self._buffer, "that is no SMTP reply")
            if reply is None:
                break
            self.replies += 1
            events += self._react(reply)
        return events

    def lost(self, why: str) -> list[Event]:
        """The connection is gone, or must be given up: `why` completes the sentence "the connection to the server ..."."""
        return self.break_off(
            Answer(self.stage, Reply(451, "4.4.2", f"the connection to the server {why}"), heard=False)
        )

    def break_off(self, answer: Answer) -> list[Event]:
        """End the session here, without the final dot; recipients that are still open get `answer`."""
        return [] if self.stage is Stage.ENDED else self._end(answer)

    def secured(self) -> list[Event]:
        """The TLS handshake is done. RFC 3207 4.2: all that was learnt before it is forgotten."""
        self._handshaking = False
        self.capabilities = Capabilities()
        self._starttls = StartTls.NEVER
        self._login_allowed = True
        self._say_hello()
        return []

    def begin(self, envelope: Envelope) -> list[Event]:
        """Start a mail transaction; in one write if the server pipelines (RFC 2920). Only when `stage` is IDLE."""
        if self.stage is not Stage.IDLE:
            raise RuntimeError(f"a transaction cannot begin at the stage {self.stage}")
        transaction = Transaction.of(envelope, self.capabilities)
        if not transaction.asked:
            return [Finished(transaction.all_answers())]
        self._open_transaction = transaction
        commands = [b"RSET\r\n"] if self._must_reset else []
        commands.append(transaction.mail)
        self.stage = Stage.RESET if self._must_reset else Stage.MAIL
        self._must_reset = False
        if self.capabilities.pipelining:
            self._out += [*commands, *transaction.rcpts, b"DATA\r\n"]
        else:
            self._out.append(commands[0])
        return []

    def pass_the_dot(self) -> None:
        """The final dot goes out now: from here on only the server knows whether the mail is delivered."""
        if self.stage is not Stage.BODY:
            raise RuntimeError(f"no final dot at the stage {self.stage}")
        self.stage = Stage.DOT

    def quit(self) -> list[Event]:
        """Say goodbye (RFC 5321 4.1.1.10); `Ended` comes with the answer, or at once if there is nobody to say it to."""
        if self.stage is not Stage.IDLE:
            return self.lost("was closed by us")
        self.stage = Stage.QUIT
        self._out.append(b"QUIT\r\n")
        return []

    # --- reading replies ---

    def _next_reply(self) -> bytes | None:
        """Cut one whole reply off the buffer, without its last line break; None if it is not all there. Raises ValueError."""
        buffer = self._buffer
        start = 0
        while (end := buffer.find(b"\n", start)) >= 0:
            if end > MAX_REPLY:
                break
            if buffer[start + 3 : start + 4] != b"-":
                self._buffer = buffer[end + 1 :]
                return buffer[:end]
            start = end + 1
        if len(buffer) > MAX_REPLY:
            raise ValueError("over-long reply")
        return None

    def _react(self, reply: Reply) -> list[Event]:
        if reply.code == 421 and self.stage is not Stage.DOT:
            # RFC 5321 3.8: it may come at any time, and the connection is closed after it.
            return self._end(Answer(self.stage, reply))
        return _REACTIONS[self.stage](self, reply)

    def _end(self, answer: Answer) -> list[Event]:
        """End the session; recipients that have no answer yet get this one."""
        transaction, self._open_transaction = self._open_transaction, None
        self.stage = Stage.ENDED
        self._buffer = b""
        self._out.clear()
        ended = Ended(answer)
        return [ended] if transaction is None else [Finished(transaction.all_answers(answer)), ended]

    def _end_unreadable(self, raw: bytes, why: str) -> list[Event]:
        shown = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", raw[:80].decode("utf-8", "replace"))
        reply = Reply(451, "4.5.0", f"the server's answer could not be read ({why}): {shown}")
        return self._end(Answer(self.stage, reply, heard=False))

    def _out_of_step(self, reply: Reply) -> list[Event]:
        """A well-formed reply that cannot be the answer to what was asked: nothing after it can be trusted either."""
        return self._end_unreadable(str(reply).encode(), f"it cannot follow {self.stage.upper()}")

    # --- opening the session ---

    def _on_greeting(self, reply: Reply) -> list[Event]:
        if reply.code // 100 != 2:
            return self._refused(reply)
        self._say_hello()
        return []

    def _say_hello(self) -> None:
        self.stage = Stage.HELLO
        self._said_helo = False
        self._out.append(b"EHLO %b\r\n" % self._hello)

    def _on_hello(self, reply: Reply) -> list[Event]:
        if reply.code in _NO_SUCH_COMMAND and not self._said_helo:
            self._said_helo = True
            self._out.append(b"HELO %b\r\n" % self._hello)
            return []
        if reply.code // 100 != 2:
            return self._refused(reply)
        self.capabilities = Capabilities() if self._said_helo else read_capabilities(reply.text)
        return self._secure_or_log_in()

    def _secure_or_log_in(self) -> list[Event]:
        if self._starttls is not StartTls.NEVER and "STARTTLS" in self.capabilities.names:
            self.stage = Stage.TLS
            self._out.append(b"STARTTLS\r\n")
            return []
        if self._starttls is StartTls.REQUIRED:
            return self._unfit(Stage.TLS, "4.7.5", "the server does not offer STARTTLS, which this route requires")
        if self._login is None:
            return self._ready()
        if not self._login_allowed:
            return self._unfit(
                Stage.AUTH, "4.7.5", "the server offers no encryption, and the password is never sent without"
            )
        return self._log_in(self._login)

    def _unfit(self, stage: Stage, enhanced: str, text: str) -> list[Event]:
        """The server is not one that we may talk to; nothing secret has been said."""
        return self._end(Answer(stage, Reply(451, enhanced, text), heard=False))

    def _on_tls(self, reply: Reply) -> list[Event]:
        if self._starttls is StartTls.OFFERED and not reply.ok:
            self._starttls = StartTls.NEVER  # RFC 7435: some security where possible, and mail in any case
            return self._secure_or_log_in()
        if reply.code != 220:
            return self._refused(reply)
        self._handshaking = True
        return [SecureNow()]

    def _log_in(self, login: Login) -> list[Event]:
        self._auth_lines = deque(login.lines(self.capabilities.mechanisms))
        if not self._auth_lines:
            wanted = " or ".join(login.mechanisms)
            return self._unfit(Stage.AUTH, "4.7.0", f"the server does not offer AUTH {wanted}")
        self.stage = Stage.AUTH
        self._out.append(self._auth_lines.popleft())
        return []

    def _on_auth(self, reply: Reply) -> list[Event]:
        if reply.code == 334:
            if not self._auth_lines:
                return self._out_of_step(reply)  # it asks for more than the mechanism has to say
            self._out.append(self._auth_lines.popleft())
            return []
        return self._ready() if reply.code // 100 == 2 else self._refused(reply)

    def _refused(self, reply: Reply) -> list[Event]:
        return self._out_of_step(reply) if reply.ok else self._end(Answer(self.stage, reply))

    def _ready(self) -> list[Event]:
        self.stage = Stage.IDLE
        return [Ready()]

    # --- the mail transaction ---

    @property
    def _transaction(self) -> Transaction:
        assert self._open_transaction is not None
        return self._open_transaction

    def _on_idle(self, reply: Reply) -> list[Event]:
        return self._out_of_step(reply)

    def _on_reset(self, reply: Reply) -> list[Event]:
        if reply.code // 100 != 2:
            return self._refused(reply)
        self._ask(Stage.MAIL, self._transaction.mail)
        return []

    def _ask(self, stage: Stage, command: bytes) -> None:
        self.stage = stage
        if not self.capabilities.pipelining:
            self._out.append(command)

    def _on_mail(self, reply: Reply) -> list[Event]:
        if reply.code // 100 == 3:
            return self._out_of_step(reply)
        if not reply.ok:
            self._transaction.refuse_rest(Answer(Stage.MAIL, reply))
            if not self.capabilities.pipelining:
                return self._finish()
        else:
            self._must_reset = True
        self._ask(Stage.RCPT, self._transaction.rcpts[0])
        return []

    def _on_rcpt(self, reply: Reply) -> list[Event]:
        if reply.code // 100 == 3:
            return self._out_of_step(reply)
        transaction = self._transaction
        transaction.rcpt_answered(reply)
        if transaction.replied < len(transaction.asked):
            self._ask(Stage.RCPT, transaction.rcpts[transaction.replied])
        elif transaction.accepted or self.capabilities.pipelining:
            self._ask(Stage.DATA, b"DATA\r\n")
        else:
            return self._finish()
        return []

    def _on_data(self, reply: Reply) -> list[Event]:
        transaction = self._transaction
        if reply.code == 354:
            if transaction.accepted:
                self.stage = Stage.BODY
                return [BodyWanted()]
            # RFC 2920 3.1: a server that says go with no valid recipient is sent nothing but the dot.
            self.stage = Stage.DOT
            self._out.append(FINAL_DOT)
            return []
        if reply.ok:
            return self._out_of_step(reply)
        transaction.refuse_rest(Answer(Stage.DATA, reply))
        return self._finish()

    def _on_body(self, reply: Reply) -> list[Event]:
        """A word in the middle of the content: some say so when it is too big. The dot will not be sent."""
        return self._out_of_step(reply) if reply.ok else self._end(Answer(Stage.BODY, reply))

    def _on_dot(self, reply: Reply) -> list[Event]:
        if reply.code // 100 == 3:
            return self._out_of_step(reply)
        self._must_reset = False
        answer = Answer(Stage.DOT, reply)
        if reply.code == 421:
            return self._end(answer)
        self._transaction.refuse_rest(answer)
        return self._finish()

    def _finish(self) -> list[Event]:
        transaction = self._transaction
        self._open_transaction = None
        self.stage = Stage.IDLE
        return [Finished(transaction.all_answers())]

    def _on_quit(self, reply: Reply) -> list[Event]:
        return self._end(Answer(Stage.QUIT, reply))


_REACTIONS = {
    Stage.GREETING: Dialogue._on_greeting,
    Stage.HELLO: Dialogue._on_hello,
    Stage.TLS: Dialogue._on_tls,
    Stage.AUTH: Dialogue._on_auth,
    Stage.IDLE: Dialogue._on_idle,
    Stage.RESET: Dialogue._on_reset,
    Stage.MAIL: Dialogue._on_mail,
    Stage.RCPT: Dialogue._on_rcpt,
    Stage.DATA: Dialogue._on_data,
    Stage.BODY: Dialogue._on_body,
    Stage.DOT: Dialogue._on_dot,
    Stage.QUIT: Dialogue._on_quit,
}
