"""The submission dialogue: grammar, order, sizes and replies of an SMTP session, without a socket or a clock (RFC 5321, 6409).

    data in ── receive() ──> an Event: what the door must do now, or None
               answer()  ──> how it went; the next Event of the input that has been waiting, or None
               replies() ──> bytes to send

Between an event and its answer the dialogue obeys nothing: input waits, so replies keep their order (RFC 2920 3.2). The same
bytes give the same replies and events in whatever pieces they arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from ombud.mail.address import Address
from ombud.mail.reply import Reply
from ombud.mail.smtp import commands, replies
from ombud.mail.smtp.commands import CommandRefused, LineReader, MailFrom
from ombud.mail.smtp.data import DataReader, Room

_MAX_SMALL_TALK = 100  # NOOP, RSET and the like before a message; each one more counts as an error


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may do; a client that goes beyond is told, and in the end sent away."""

    max_size: int = 25 * 1024**2
    max_recipients: int = 1000
    max_auth_failures: int = 3
    max_errors: int = 20


@dataclass(frozen=True, slots=True)
class StartTls:
    """Start TLS when the replies have been sent, then call `tls_started`."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Find out who this is, then call `authenticated`, or `answer` with the refusal."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message: dot-stuffing undone, every line ended by CRLF, no NUL. Take it or not, then call `answer`."""

    mail_from: Address | None
    recipients: tuple[Address, ...]
    content: bytes = field(repr=False)
    utf8: bool
    eight_bit: bool


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection when the replies have been sent. Needs no answer."""


Event = StartTls | Authenticate | Message | Close

_wire = lru_cache(maxsize=256)(Reply.wire)


class Dialogue:
    """One client's session, from the greeting on.

    What it keeps is bounded: a line, a message (within `room`, which the sessions of a door share), the recipients; and the
    input that waits while an event is unanswered, for which the door stops reading.
    """

    def __init__(self, host: str, limits: Limits, room: Room, *, tls: bool = False) -> None:
        """`host` is what the server calls itself; `tls` whether TLS was on from the first byte."""
        self.helo = ""
        self.tls = tls
        self.refused = 0  # messages that were refused here and never made an event
        self._host = host
        self._limits = limits
        self._room = room
        self._input = bytearray()
        self._lines = LineReader(self._input, most=limits.max_size)
        self._out = [Reply(220, "", f"{host} ESMTP Ombud").wire()]
        self._on_line: Callable[[bytes], Event | None] = self._command
        self._asked: Event | None = None
        self._closed = self._draining = self._authenticated = False
        self._errors = self._auth_failures = self._small_talks = 0
        self._user = ""
        self._reader: DataReader | None = None
        self._mail: MailFrom | None = None
        self._recipients: list[Address] = []

    # --- What the door calls ---------------------------------------------------------------------------------------

    @property
    def receiving(self) -> bool:
        """Whether a message's data is on its way in, which has times of its own (RFC 5321 4.5.3.2.5)."""
        return self._reader is not None and self._asked is None

    def receive(self, data: bytes) -> Event | None:
        """Take what came in; the next thing that the door must do, if there is one."""
        if self._closed or isinstance(self._asked, StartTls):
            return None  # RFC 3207 4.2: what was said in the open after STARTTLS was said by anyone
        self._input += data
        return self._go_on() if self._asked is None else None

    def replies(self) -> bytes:
        """What is to be sent now; each reply is given once."""
        if not self._out:
            return b""
        out, self._out = self._out, []
        return b"".join(out)

    def tls_started(self) -> None:
        """TLS is on: nothing that was said before it is known any more (RFC 3207 4.2)."""
        self._asked = None
        self.tls = True
        self.helo = ""
        self._forget_message()

    def authenticated(self) -> Event | None:
        """The credentials are right."""
        self._asked = None
        self._authenticated = True
        self._say(replies.AUTHENTICATED)
        return self._go_on()

    def answer(self, reply: Reply) -> Event | None:
        """The message was taken or not, or the credentials were not, in the words of `reply`; a 421 closes."""
        asked, self._asked = self._asked, None
        self._out.append(reply.wire())
        if isinstance(asked, Message):
            self._message_answered(reply)
        elif reply.permanent:
            self._auth_failures += 1
        if reply.code == 421:
            return self.close()
        if self._auth_failures >= self._limits.max_auth_failures:
            return self.close(replies.TOO_MANY_AUTH_FAILURES)
        return self._go_on()

    def drain(self) -> Event | None:
        """The service is stopping: finish the message in hand, take nothing more."""
        self._draining = True
        return self._go_on() if self._asked is None else None

    def close(self, reply: Reply | None = None) -> Close:
        """End the session now, with `reply` as the last word. A message that is being answered keeps its room until it is."""
        if reply:
            self._say(reply)
        self._closed = True
        self._input.clear()
        if not isinstance(self._asked, Message):
            self._forget_message()
        return Close()

    # --- Going through the input -----------------------------------------------------------------------------------

    def _go_on(self) -> Event | None:
        event: Event | None = None
        while event is None and not self._closed:
            if self._draining and not self._reader:
                return self.close(replies.SHUTTING_DOWN)
            if (taken := self._reader.read() if self._reader else self._lines.read()) is None:
                return None
            event = self._data_ended(taken) if self._reader else self._obey(taken)
        self._asked = None if isinstance(event, Close) else event
        return event

    def _obey(self, line: bytes | Reply) -> Event | None:
        if isinstance(line, Reply):
            return self._refuse(line)
        try:
            return self._on_line(line)
        except CommandRefused as refused:
            self._on_line = self._command
            return self._refuse(refused.reply)

    def _command(self, line: bytes) -> Event | None:
        verb, _, argument = line.rstrip(b" ").partition(b" ")  # RFC 5321 4.1.1: blanks before CRLF are suffered
        verb = verb.upper()
        if len(line) + 2 > commands.LIMITS.get(verb, commands.MAX_LINE):
            raise CommandRefused(replies.LINE_TOO_LONG)
        if commands.CONTROLS.search(line):
            raise CommandRefused(replies.BAD_LINE)
        obey = _COMMANDS.get(verb)
        if obey is None:
            raise CommandRefused(replies.NOT_SMTP if commands.NOT_SMTP.match(line) else replies.UNKNOWN_COMMAND)
        return obey(self, argument)

    def _data_ended(self, content: bytes | Reply) -> Event | None:
        if isinstance(content, Reply):
            self.refused += 1
            self._forget_message()
            return self._refuse(content)
        assert self._mail
        return Message(self._mail.sender, tuple(self._recipients), content, self._mail.utf8, self._mail.eight_bit)

    def _message_answered(self, reply: Reply) -> None:
        self._forget_message()
        self._small_talks = 0  # clients say RSET after a refusal, and a long outage is no small talk
        if reply.ok:
            self._errors = 0

    def _forget_message(self) -> None:
        if self._reader:
            self._reader.release()
        self._reader = None
        self._mail = None
        self._recipients = []

    # --- Answers ---------------------------------------------------------------------------------------------------

    def _say(self, reply: Reply) -> None:
        self._out.append(_wire(reply))

    def _refuse(self, reply: Reply) -> Event | None:
        self._out.append(reply.wire())
        if reply.code in (421, 521):
            return self.close()
        # Errors are those of grammar and order; what is wrong with a message or an address is not the session's fault.
        counts = (500 <= reply.code <= 530 or reply.code == 555) and not reply.enhanced.startswith("5.1.")
        return self._error() if counts else None

    def _small_talk(self, reply: Reply) -> Event | None:
        self._say(reply)
        self._small_talks += 1
        return self._error() if self._small_talks > _MAX_SMALL_TALK else None

    def _error(self) -> Event | None:
        self._errors += 1
        return self.close(replies.TOO_MANY_ERRORS) if self._errors >= self._limits.max_errors else None

    # --- Commands, each with what stood after the verb ----------------------------------------------------------------

    def _ehlo(self, argument: bytes) -> Event | None:
        self.helo = commands.read_host(argument)
        self._forget_message()  # RFC 5321 4.1.4: EHLO in mid-session is also RSET
        return self._small_talk(Reply(250, "", "\n".join([self._host, *self._offers()])))

    def _offers(self) -> list[str]:
        # RFC 3207 4.2, RFC 4954 4: STARTTLS is not offered under TLS, nor AUTH with bare passwords without it.
        last = "AUTH PLAIN LOGIN" if self.tls else "STARTTLS"
        return ["PIPELINING", f"SIZE {self._limits.max_size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", last]

    def _helo(self, argument: bytes) -> Event | None:
        self.helo = commands.read_host(argument)
        self._forget_message()
        return self._small_talk(Reply(250, "", self._host))

    def _starttls(self, argument: bytes) -> Event | None:
        _refuse_if(bool(argument), replies.NO_ARGUMENT)
        _refuse_if(self.tls, replies.ALREADY_TLS)
        self._say(replies.START_TLS)
        self._input.clear()  # RFC 3207 4.2, CVE-2021-33515: input from before TLS must not be taken for input under it
        return StartTls()

    def _auth(self, argument: bytes) -> Event | None:
        _refuse_if(not self.tls, replies.TLS_FIRST)
        _refuse_if(not self.helo, replies.EHLO_FIRST)
        _refuse_if(self._authenticated, replies.ALREADY_AUTHENTICATED)  # RFC 4954 4, as is the next
        _refuse_if(self._mail is not None, replies.NOT_DURING_MAIL)
        mechanism, _, initial = argument.partition(b" ")
        found = {b"PLAIN": (self._plain, replies.GIVE_RESPONSE), b"LOGIN": (self._login_user, replies.GIVE_USER)}.get(
            mechanism.upper()
        )
        if not found:
            raise CommandRefused(replies.UNKNOWN_MECHANISM)
        self._on_line, prompt = found
        if initial:
            return self._on_line(initial)
        self._say(prompt)
        return None

    def _plain(self, response: bytes) -> Event | None:
        _refuse_if(response == b"*", replies.AUTH_CANCELLED)
        user, password = commands.read_plain(response)
        self._on_line = self._command
        return Authenticate(user, password)

    def _login_user(self, response: bytes) -> Event | None:
        _refuse_if(response == b"*", replies.AUTH_CANCELLED)
        self._user = commands.read_credential(commands.decode_response(response))
        self._on_line = self._login_password
        self._say(replies.GIVE_PASSWORD)
        return None

    def _login_password(self, response: bytes) -> Event | None:
        _refuse_if(response == b"*", replies.AUTH_CANCELLED)
        password = commands.read_credential(commands.decode_response(response))
        self._on_line = self._command
        return Authenticate(self._user, password)

    def _may_send(self) -> None:
        if not self._authenticated:
            _refuse_if(not self.tls, replies.TLS_FIRST)
            _refuse_if(not self.helo, replies.EHLO_FIRST)
            raise CommandRefused(replies.AUTH_FIRST)  # RFC 6409 4.3

    def _mail_from(self, argument: bytes) -> Event | None:
        self._may_send()
        _refuse_if(self._mail is not None, replies.ALREADY_MAIL)
        mail = commands.read_mail(argument)
        _refuse_if(mail.size > self._limits.max_size, replies.TOO_BIG)  # RFC 1870 6.1
        _refuse_if(not self._room.has(mail.size), replies.TOO_BUSY)
        self._mail = mail
        self._say(replies.SENDER_OK)
        return None

    def _rcpt_to(self, argument: bytes) -> Event | None:
        self._may_send()
        if not self._mail:
            raise CommandRefused(replies.MAIL_FIRST)
        recipient = commands.read_rcpt(argument, self._mail.utf8)
        _refuse_if(len(self._recipients) >= self._limits.max_recipients, replies.TOO_MANY_RECIPIENTS)
        self._recipients.append(recipient)
        self._say(replies.RECIPIENT_OK)
        return None

    def _data(self, argument: bytes) -> Event | None:
        self._may_send()
        _refuse_if(bool(argument), replies.NO_ARGUMENT)
        _refuse_if(self._mail is None, replies.MAIL_FIRST)
        _refuse_if(not self._recipients, replies.NO_RECIPIENTS)
        self._say(replies.GIVE_DATA)
        self._reader = DataReader(self._input, self._limits.max_size, self._room)
        return None

    def _bdat(self, _argument: bytes) -> Event | None:
        # RFC 3030 2: bytes that are no commands follow at once; not offered, so they cannot be told from commands.
        raise CommandRefused(replies.NOT_SMTP)

    def _rset(self, argument: bytes) -> Event | None:
        _refuse_if(bool(argument), replies.NO_ARGUMENT)
        self._forget_message()
        return self._small_talk(replies.OK)

    def _noop(self, _argument: bytes) -> Event | None:
        return self._small_talk(replies.OK)

    def _vrfy(self, _argument: bytes) -> Event | None:
        return self._small_talk(replies.CANNOT_VERIFY)  # RFC 5321 7.3: who has a mailbox is nobody's business

    def _help(self, _argument: bytes) -> Event | None:
        return self._small_talk(replies.HELP)

    def _not_offered(self, _argument: bytes) -> Event | None:
        raise CommandRefused(replies.NOT_OFFERED)

    def _quit(self, argument: bytes) -> Event | None:
        _refuse_if(bool(argument), replies.NO_ARGUMENT)
        return self.close(replies.BYE)


def _refuse_if(wrong: bool, reply: Reply) -> None:
    if wrong:
        raise CommandRefused(reply)


_COMMANDS: dict[bytes, Callable[[Dialogue, bytes], Event | None]] = {
    b"EHLO": Dialogue._ehlo,
    b"HELO": Dialogue._helo,
    b"STARTTLS": Dialogue._starttls,
    b"AUTH": Dialogue._auth,
    b"MAIL": Dialogue._mail_from,
    b"RCPT": Dialogue._rcpt_to,
    b"DATA": Dialogue._data,
    b"BDAT": Dialogue._bdat,
    b"RSET": Dialogue._rset,
    b"NOOP": Dialogue._noop,
    b"VRFY": Dialogue._vrfy,
    b"HELP": Dialogue._help,
    b"EXPN": Dialogue._not_offered,
    b"TURN": Dialogue._not_offered,
    b"ETRN": Dialogue._not_offered,
    b"QUIT": Dialogue._quit,
}
