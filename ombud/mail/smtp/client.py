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
from base64 import b64encode
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from ombud.mail.address import Address
from ombud.mail.reply import Reply, read_reply

MAX_REPLY = 16 * 1024  # RFC 5321 4.5.3.1.5 allows lines of 512; a reply may have many. Beyond this it is not one.
MAX_COMMAND = 512  # RFC 5321 4.5.3.1.4
MAX_PATH = 254  # RFC 5321 4.5.3.1.3: 256 with the angle brackets
FINAL_DOT = b".\r\n"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What could end a path early, or hide in one. Quoted local parts, where some of it is legal, are never sent.
_UNSAFE = re.compile(r'[\x00-\x20<>"\\\x7f-\xa0\u2028\u2029]')
_REPLY_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_HELLO_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|\[[A-Za-z0-9.:-]{2,60}\]")
_NO_SUCH_COMMAND = frozenset({500, 501, 502, 504})  # to EHLO: an old server; RFC 5321 3.2 says to try HELO


class Stage(StrEnum):
    """What the next reply answers; where a dialogue was when it ended."""

    CONNECT = "connect"  # no connection yet; only the transport uses it
    GREETING = "greeting"
    HELLO = "hello"  # EHLO, or HELO
    TLS = "tls"  # STARTTLS and the handshake
    AUTH = "auth"
    IDLE = "idle"  # nothing was asked; `begin` may be called
    OURS = "ours"  # nothing was asked: we decided, by what the server offers or for our own reasons
    RESET = "reset"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"  # the server waits for the content; without the final dot it must not deliver (RFC 5321 4.1.1.4)
    DOT = "dot"  # past the point of no return: the final dot is out, its answer is not in
    QUIT = "quit"
    ENDED = "ended"


class StartTls(StrEnum):
    """When the dialogue asks for TLS itself."""

    REQUIRED = "required"  # without it: no credentials, no mail
    OFFERED = "offered"  # if the server offers it (RFC 7435); credentials still need it
    NEVER = "never"  # TLS is there from the first byte, or is not wanted


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials for AUTH. `mechanism` is "plain", "login" or "auto" (PLAIN where offered). Raises ValueError for controls."""

    user: str
    password: str = field(repr=False)
    mechanism: str = "auto"

    def __post_init__(self) -> None:
        # RFC 4616 2: NUL parts the fields of PLAIN; a control character in either could only be an attack or a mistake.
        if _CONTROL.search(self.user) or _CONTROL.search(self.password):
            raise ValueError("control character in SMTP credentials")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a mail transaction needs to know of a message."""

    mail_from: Address | None
    recipients: tuple[Address, ...]
    size: int
    has_8bit: bool = False
    needs_utf8: bool = False  # raw UTF-8 in the header; addresses are looked at one by one


@dataclass(frozen=True, slots=True)
class Answer:
    """What a recipient was told, and at which stage. Not `heard`: the other side said nothing readable, the words are ours."""

    stage: Stage
    reply: Reply
    heard: bool = True


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


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What EHLO said that the server can do (RFC 5321 4.1.1.1). Nothing, after HELO."""

    names: frozenset[str] = frozenset()  # upper case
    mechanisms: frozenset[str] = frozenset()  # of AUTH, upper case
    max_size: int = 0  # RFC 1870 4: 0 when there is no fixed limit
    pipelining: bool = False
    eight_bit: bool = False
    utf8: bool = False


def read_capabilities(text: str) -> Capabilities:
    """Read the text of a reply to EHLO: the first line is a greeting, each further one a keyword and its parameters."""
    words: dict[str, list[str]] = {}
    for line in text.split("\n")[1:]:
        # "AUTH=PLAIN LOGIN" is how servers wrote it before RFC 2554; some still say both.
        keyword, *parameters = re.sub(r"(?i)^AUTH=", "AUTH ", line.strip()).upper().split() or [""]
        words.setdefault(keyword, []).extend(parameters)
    size = words.get("SIZE", [])[:1]
    return Capabilities(
        names=frozenset(words) - {""},
        mechanisms=frozenset(words.get("AUTH", [])),
        max_size=int(size[0]) if size and size[0].isascii() and size[0].isdigit() and len(size[0]) < 20 else 0,
        pipelining="PIPELINING" in words,
        eight_bit="8BITMIME" in words,
        utf8="SMTPUTF8" in words,
    )


def dot_stuffed(content: bytes) -> bytes:
    """The content as it goes over the wire (RFC 5321 4.5.2), ending with CRLF; FINAL_DOT follows it."""
    content = content.replace(b"\r\n.", b"\r\n..")  # no copy where nothing is found
    if content.startswith(b"."):
        content = b"." + content
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"


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
        self._challenges: deque[bytes] = deque()
        self._buffer = b""
        self._out: list[bytes] = []
        self._handshaking = False
        self._said_helo = False
        self._must_reset = False
        self._open_transaction: _Transaction | None = None

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
                reply = _parse(raw) if raw is not None else None
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
        transaction = _Transaction.of(envelope, self.capabilities)
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
        shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", raw[:80].decode("utf-8", "replace"))
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
        wanted = ("PLAIN", "LOGIN") if login.mechanism == "auto" else (login.mechanism.upper(),)
        mechanism = next((name for name in wanted if name in self.capabilities.mechanisms), None)
        if mechanism is None:
            return self._unfit(Stage.AUTH, "4.7.0", f"the server does not offer AUTH {' or '.join(wanted)}")
        user, password = login.user.encode(), login.password.encode()
        answers = [b"\0%b\0%b" % (user, password)] if mechanism == "PLAIN" else [user, password]
        self._challenges = deque(b64encode(answer) + b"\r\n" for answer in answers)
        command = f"AUTH {mechanism}".encode()
        # RFC 4954 4: the first answer goes with the command where that saves a round trip and fits in the line.
        if mechanism == "PLAIN" and len(command) + 1 + len(self._challenges[0]) <= MAX_COMMAND:
            command += b" " + self._challenges.popleft().rstrip()
        self.stage = Stage.AUTH
        self._out.append(command + b"\r\n")
        return []

    def _on_auth(self, reply: Reply) -> list[Event]:
        if reply.code == 334:
            if not self._challenges:
                return self._out_of_step(reply)  # it asks for more than the mechanism has to say
            self._out.append(self._challenges.popleft())
            return []
        return self._ready() if reply.code // 100 == 2 else self._refused(reply)

    def _refused(self, reply: Reply) -> list[Event]:
        return self._out_of_step(reply) if reply.ok else self._end(Answer(self.stage, reply))

    def _ready(self) -> list[Event]:
        self.stage = Stage.IDLE
        return [Ready()]

    # --- the mail transaction ---

    @property
    def _transaction(self) -> _Transaction:
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


class _Transaction:
    """One envelope under way: its commands, and the answer each recipient has got so far."""

    __slots__ = ("accepted", "answers", "asked", "mail", "rcpts", "replied")

    def __init__(self, answers: list[Answer | None], asked: list[int], mail: bytes, rcpts: list[bytes]) -> None:
        self.answers = answers  # by recipient; None while open
        self.asked = asked  # the recipients that RCPT names, by their place in the envelope
        self.mail = mail
        self.rcpts = rcpts
        self.replied = 0
        self.accepted = 0

    @classmethod
    def of(cls, envelope: Envelope, offer: Capabilities) -> _Transaction:
        everyone = _unfit_for_all(envelope, offer)
        answers = [everyone or _unfit_recipient(recipient, offer) for recipient in envelope.recipients]
        asked = [place for place, answer in enumerate(answers) if answer is None]
        named = [envelope.recipients[place] for place in asked]
        return cls(
            answers, asked, _mail_command(envelope, named, offer), [b"RCPT TO:<%b>\r\n" % _wire(r) for r in named]
        )

    def rcpt_answered(self, reply: Reply) -> None:
        place = self.asked[self.replied]
        self.replied += 1
        if self.answers[place] is not None:
            return  # MAIL was refused: that answer says more than the "bad sequence" that follows it
        if reply.ok:
            self.accepted += 1
        else:
            self.answers[place] = Answer(Stage.RCPT, reply)

    def refuse_rest(self, answer: Answer) -> None:
        """Give everyone who has no answer yet this one."""
        self.answers = [given or answer for given in self.answers]

    def all_answers(self, rest: Answer | None = None) -> tuple[Answer, ...]:
        answers = tuple(given or rest for given in self.answers)
        assert None not in answers
        return tuple(answer for answer in answers if answer is not None)


def _unfit_for_all(envelope: Envelope, offer: Capabilities) -> Answer | None:
    """Why the whole mail cannot go this way; no server needs to be asked."""
    if offer.max_size and envelope.size > offer.max_size:
        # RFC 1870 6.1: do not even try.
        return _ours(552, "5.3.4", f"the message has {envelope.size} bytes, and the server takes {offer.max_size}")
    if envelope.has_8bit and not offer.eight_bit:
        # RFC 6152 3: "must not, under any circumstances"; re-encoding a customer's mail would break its signature.
        return _ours(554, "5.6.3", "the content has 8-bit bytes, and the server does not offer 8BITMIME")
    if envelope.mail_from is not None and (answer := _unfit_address(envelope.mail_from, "5.1.7")):
        return answer
    sender_needs_utf8 = envelope.mail_from is not None and envelope.mail_from.needs_utf8
    if (envelope.needs_utf8 or sender_needs_utf8) and not offer.utf8:
        return _ours(
            554,
            "5.6.7",
            "the header or the sender's address has non-ASCII characters, and the server does not offer SMTPUTF8",
        )
    return None


def _unfit_recipient(recipient: Address, offer: Capabilities) -> Answer | None:
    if recipient.needs_utf8 and not offer.utf8:
        # RFC 6531 3.5: no downgrade of a mailbox name exists.
        return _ours(553, "5.6.7", "the address has non-ASCII characters, and the server does not offer SMTPUTF8")
    return _unfit_address(recipient, "5.1.3")


def _unfit_address(address: Address, enhanced: str) -> Answer | None:
    """The last lock before the wire: no byte that could end the command, whoever made the address."""
    text = str(address)
    if len(text.encode()) <= MAX_PATH and not _UNSAFE.search(text):
        return None
    return _ours(501, enhanced, "the address cannot be written in an SMTP command")


def _ours(code: int, enhanced: str, text: str) -> Answer:
    return Answer(Stage.OURS, Reply(code, enhanced, text))


def _wire(address: Address | None) -> bytes:
    return str(address).encode() if address is not None else b""


def _mail_command(envelope: Envelope, named: Sequence[Address], offer: Capabilities) -> bytes:
    parameters = b" SIZE=%d" % envelope.size if "SIZE" in offer.names else b""  # RFC 1870 6
    if envelope.has_8bit and offer.eight_bit:
        parameters += b" BODY=8BITMIME"  # RFC 6152 2
    if offer.utf8 and _needs_utf8(envelope, named):
        parameters += b" SMTPUTF8"  # RFC 6531 3.4
    return b"MAIL FROM:<%b>%b\r\n" % (_wire(envelope.mail_from), parameters)


def _needs_utf8(envelope: Envelope, named: Sequence[Address]) -> bool:
    addresses = [*named, envelope.mail_from] if envelope.mail_from else named
    return envelope.needs_utf8 or any(address.needs_utf8 for address in addresses)


def _parse(raw: bytes) -> Reply:
    """Make a Reply of one whole raw reply. Raises ValueError. Control characters in its text become U+FFFD."""
    # Most replies are the same few lines again and again; a long one is not worth keeping.
    return _parse_short(raw) if len(raw) <= 128 else _parse_any(raw)


def _parse_any(raw: bytes) -> Reply:
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\r")
    lines = _REPLY_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).split("\n")
    if any(line[3:4] not in ("", " ", "-") for line in lines):
        raise ValueError("neither space nor hyphen after the code")
    return read_reply(lines)


_parse_short = lru_cache(maxsize=256)(_parse_any)
