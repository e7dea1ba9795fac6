"""The grammar of command lines: what EHLO, MAIL, RCPT and AUTH say (RFC 5321 4.1, RFC 1870, 4616, 4954, 6152, 6531)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass

from ombud.errors import BadAddress
from ombud.mail.address import Address, parse_address
from ombud.mail.reply import Reply
from ombud.mail.smtp import replies

# RFC 5321 4.5.3.1.4 with what the extensions add: RFC 1870 3 (26), 6152 2 (17), 6531 3.4 (10), 4954 3 (500).
MAX_LINE = 512
MAX_MAIL_LINE = MAX_LINE + 26 + 17 + 10 + 500
MAX_AUTH_LINE = 12288  # RFC 4954 4
LIMITS = {b"MAIL": MAX_MAIL_LINE, b"AUTH": MAX_AUTH_LINE}

CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
#: What reaches a mail port but is no mail: a header field (a message whose DATA was refused, sent all the same) or HTTP.
#: Lines after such a one are not commands either, and must not be run as such.
NOT_SMTP = re.compile(rb"[!-9;-~]+[ \t]*:|(?:GET|HEAD|POST|PUT|OPTIONS|CONNECT)\b", re.IGNORECASE)

# A host name or an address literal (RFC 5321 4.1.3), with the underscore that real hosts have; it goes into a header.
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[A-Za-z0-9.:-]{1,64}\]")
# RFC 5321 3.3 allows no space after the colon; clients in use put one, and it can mean nothing else.
_PATH = re.compile(rb"(?:FROM|TO): ?<([^<>]*)>(?: +(.*))?", re.IGNORECASE)
_PARAMETER = re.compile(rb"([A-Z0-9][A-Z0-9-]*)(?:=([!-<>-~]+))?", re.IGNORECASE)


class LineReader:
    """Takes one command line off the front of a dialogue's input; a line without end is read past, without growth."""

    def __init__(self, data: bytearray, most: int) -> None:
        """`most` is how many bytes of endless lines are read past before the client is sent away."""
        self._data = data
        self._most = most
        self._scanned = 0
        self._swallowed = 0
        self._too_long = False

    def read(self) -> bytes | Reply | None:
        """The next line without its CRLF; or the refusal that it has earned; or None while its end is not there."""
        end = self._data.find(b"\n", self._scanned)
        if end < 0:
            return self._wait()
        line = bytes(self._data[: end + 1])
        del self._data[: end + 1]
        too_long, self._too_long = self._too_long or len(line) > MAX_AUTH_LINE, False
        self._scanned = 0
        if not line.endswith(b"\r\n"):
            return replies.BARE_LF_IN_COMMAND  # what follows may be another's words in an argument: it is not run
        return replies.LINE_TOO_LONG if too_long else line[:-2]

    def _wait(self) -> Reply | None:
        self._scanned = len(self._data)
        if self._scanned > MAX_AUTH_LINE:
            self._too_long = True
            self._swallowed += self._scanned
            del self._data[:-1]  # it may be the CR of the end
            self._scanned = 1
        return replies.TOO_MUCH if self._swallowed > self._most else None


class CommandRefused(Exception):
    """The command is not accepted; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class MailFrom:
    """What MAIL says. `sender` is None for the null sender <>; `size` is 0 when it is not declared."""

    sender: Address | None
    size: int
    utf8: bool
    eight_bit: bool


def read_host(argument: bytes) -> str:
    """The name that the client gives itself. Raises CommandRefused."""
    host = argument.decode("latin-1")
    if not _HOST.fullmatch(host):
        raise CommandRefused(replies.BAD_EHLO)
    return host


def read_mail(argument: bytes) -> MailFrom:
    """Read `FROM:<address> parameters`. Raises CommandRefused."""
    path, rest = _split(argument, b"FROM", replies.BAD_MAIL)
    given = _parameters(rest, known=(b"SIZE", b"BODY", b"SMTPUTF8", b"AUTH"))
    utf8 = given.get(b"SMTPUTF8", b"no") is None
    if b"SMTPUTF8" in given and not utf8:
        raise CommandRefused(replies.BAD_PARAMETER)
    # AUTH= is read and passed over: what a client says of others' identity proves nothing here (RFC 4954 5).
    sender = _address(path, utf8, bad="5.1.7") if path else None
    return MailFrom(sender, _size(given.get(b"SIZE", b"0")), utf8, _eight_bit(given.get(b"BODY", b"7BIT")))


def read_rcpt(argument: bytes, utf8: bool) -> Address:
    """Read `TO:<address>`; `utf8` says whether MAIL gave SMTPUTF8. Raises CommandRefused."""
    path, rest = _split(argument, b"TO", replies.BAD_RCPT)
    _parameters(rest, known=())
    return _address(path, utf8, bad="5.1.3")


def decode_response(response: bytes) -> bytes:
    """One response of a SASL exchange, out of its base64. Raises CommandRefused."""
    try:
        return b"" if response == b"=" else binascii.a2b_base64(response, strict_mode=True)
    except binascii.Error:
        raise CommandRefused(replies.BAD_RESPONSE) from None


def read_plain(response: bytes) -> tuple[str, str]:
    """User and password of a PLAIN response, `[authzid] NUL user NUL password` (RFC 4616 2). Raises CommandRefused."""
    parts = decode_response(response).split(b"\0")
    # Nobody may act for another here, so an authorisation identity can only repeat the user.
    if len(parts) != 3 or parts[0] not in (b"", parts[1]):
        raise CommandRefused(replies.BAD_RESPONSE)
    return read_credential(parts[1]), read_credential(parts[2])


def read_credential(value: bytes) -> str:
    """A user name or a password. Raises CommandRefused."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise CommandRefused(replies.BAD_RESPONSE) from None
    if not text or CONTROLS.search(value):
        raise CommandRefused(replies.BAD_RESPONSE)
    return text


def _split(argument: bytes, keyword: bytes, bad: Reply) -> tuple[bytes, bytes]:
    found = _PATH.fullmatch(argument)
    if not found or not argument[: len(keyword)].upper() == keyword:
        raise CommandRefused(bad)
    return found[1], found[2] or b""


def _address(path: bytes, utf8: bool, bad: str) -> Address:
    try:
        address = parse_address(path.decode("utf-8"))
    except UnicodeDecodeError:
        raise CommandRefused(Reply(501, bad, "The address is not in UTF-8 [bad_address]")) from None
    except BadAddress as error:
        raise CommandRefused(Reply(501, bad, replies.words_of(error))) from None
    if not utf8 and not path.isascii():
        raise CommandRefused(replies.UTF8_NEEDED)  # RFC 6531 3.5
    return address


def _parameters(rest: bytes, known: Collection[bytes]) -> dict[bytes, bytes | None]:
    """The parameters by upper-case name; a value is None where no `=` was. Raises CommandRefused."""
    given: dict[bytes, bytes | None] = {}
    for word in rest.split():
        found = _PARAMETER.fullmatch(word)
        name = found[1].upper() if found else b""
        if not found or name in given:
            raise CommandRefused(replies.BAD_PARAMETER)
        if name not in known:
            raise CommandRefused(replies.UNKNOWN_PARAMETER)  # RFC 5321 4.1.1.11
        given[name] = found[2]
    return given


def _size(value: bytes | None) -> int:
    if value is None or not value.isdigit() or len(value) > 20:  # RFC 1870 4
        raise CommandRefused(replies.BAD_PARAMETER)
    return int(value)


def _eight_bit(value: bytes | None) -> bool:
    if value is None or value.upper() not in (b"7BIT", b"8BITMIME"):  # RFC 6152 3
        raise CommandRefused(replies.BAD_PARAMETER)
    return value.upper() == b"8BITMIME"
