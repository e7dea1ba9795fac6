"""The message as bytes: the gate that every message passes, reading its header, and editing it without re-serialising.

What has passed `examine` has only CRLF line ends and ends with one, so it can go on the wire after dot-stuffing as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from ombud.errors import (
    BadAddress,
    BadField,
    BareLineBreak,
    FromNotSingle,
    HeaderMalformed,
    HeaderRepeated,
    LastLineOpen,
    LineTooLong,
    NulByte,
    TooBig,
)
from ombud.mail import encodedword
from ombud.mail.address import Mailbox, parse_mailbox

MAX_LINE = 998  # RFC 5322 2.1.1, without CRLF
MAX_HEADER = 256 * 1024  # bytes
MAX_FIELDS = 1000
_FOLD_AT = 76  # RFC 2047 2, and within the 78 of RFC 5322 2.1.1

# RFC 5322 3.6, the MIME fields of RFC 2045 3-6, RFC 2369 3.2, RFC 8058 3.1, RFC 2919 2: what may stand once.
SINGLE = frozenset(
    b"date from sender reply-to to cc bcc message-id in-reply-to references subject mime-version content-type "
    b"content-transfer-encoding list-unsubscribe list-unsubscribe-post list-id".split()
)
# Fields that programs read: an encoded word has no meaning in them, and a URL in them must come through letter by letter.
_MACHINE_READ = re.compile(
    r"list-.*|message-id|in-reply-to|references|date|auto-submitted|precedence|feedback-id|mime-.*|content-.*"
)

_BARE = (re.compile(rb"\r(?!\n)"), re.compile(rb"\n(?<!\r\n)"))
_FIELD = re.compile(rb"([!-9;-~]+):(.*\n(?:[ \t].*\n)*+)")  # RFC 5322 2.2; the header is known to hold only CRLF
# RFC 5322 4.2 lets nobody write a folded line of white space only, and some take it for the end of the header.
_BLANK_FOLD = re.compile(rb"\n[ \t]++\r")
_CONTROLS = bytes({*range(32), 127} - set(b"\t\r\n"))
_WIDE_CONTROLS = re.compile("[\x80-\x9f\u2028\u2029]")
_NAME = re.compile(r"[!-9;-~]{1,76}")
_TOKEN = re.compile(r" *[^ ]+")
_AWKWARD = re.compile(r"^ | $|=\?| {20}|[^ ]{900}")


@dataclass(frozen=True, slots=True)
class Examined:
    """What the gate read in a message that passed it."""

    from_: Mailbox
    subject: str  # decoded, for display; "" when there is none
    message_id: str | None  # as it stands, with its angle brackets
    has_date: bool
    header_end: int  # where the empty line after the last field begins; the body begins two bytes later
    size: int
    names: frozenset[bytes]  # of the fields that are there, in lower case
    needs_utf8: bool  # 8-bit in the header: only a server with SMTPUTF8 can take it (RFC 6532)
    body_8bit: bool  # 8-bit in the body: the next hop must offer 8BITMIME (RFC 6152)


# --- The gate ------------------------------------------------------------------------------------------------------


def examine(content: bytes, max_size: int) -> Examined:
    """Let `content` through, or raise the BadMessage that says what is wrong with it; never change it.

    Let through: at most `max_size` bytes, only CRLF line ends and one at the end, no NUL, lines of at most 998 bytes, a
    well-formed header ended by an empty line, single fields once, and exactly one From with exactly one mailbox.
    """
    _check_bytes(content, max_size)
    end = _header_end(content)
    header = content[:end]
    ascii_only = content.isascii()
    values = _checked_fields(header)
    message_id = values.get(b"message-id")
    return Examined(
        from_=_sender(values.get(b"from")),
        subject=encodedword.decode(_unfolded(values.get(b"subject", b""))),
        message_id=None if message_id is None else _unfolded(message_id),
        has_date=b"date" in values,
        header_end=end,
        size=len(content),
        names=frozenset(values),
        needs_utf8=not ascii_only and _is_wide(header),
        body_8bit=not ascii_only and not content[end:].isascii(),
    )


def _check_bytes(content: bytes, max_size: int) -> None:
    """Each step runs at memory speed whatever the content: a pattern per line would not on 25 MB of line breaks."""
    if len(content) > max_size:
        raise TooBig(limit=max_size)
    if (nul := content.find(b"\0")) >= 0:
        raise NulByte(offset=nul)
    if not content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n"):
        bare = [found.start() for pattern in _BARE if (found := pattern.search(content))]
        raise BareLineBreak(offset=min(bare))
    if not content.endswith(b"\r\n"):
        raise LastLineOpen
    _check_lines(content)


def _check_lines(content: bytes) -> None:
    """Leap from line end to line end: where a line begins, an LF must follow within its 998 bytes and CRLF."""
    at, end, last_break = 0, len(content), content.rfind
    while at < end:
        line_end = last_break(b"\n", at, at + MAX_LINE + 2)
        if line_end < 0:
            raise LineTooLong(line=content.count(b"\n", 0, at) + 1)
        at = line_end + 1


def _header_end(content: bytes) -> int:
    if content.startswith(b"\r\n"):
        return 0
    end = content.find(b"\r\n\r\n", 0, MAX_HEADER + 4)
    if end >= 0:
        return end + 2
    if len(content) > MAX_HEADER:
        raise HeaderMalformed(reason=f"it is longer than {MAX_HEADER} bytes")
    raise HeaderMalformed(reason="no empty line ends it")


def _is_wide(header: bytes) -> bool:
    """Whether the header holds UTF-8 outside ASCII (RFC 6532 3.1); any other 8-bit there is refused."""
    if header.isascii():
        return False
    try:
        text = header.decode()
    except UnicodeDecodeError as wrong:
        raise HeaderMalformed(reason=f"it holds 8-bit characters that are not UTF-8 (at byte {wrong.start})") from None
    if found := _WIDE_CONTROLS.search(text):
        raise HeaderMalformed(reason=f"it holds the control character U+{ord(found[0]):04X}")
    return True


def _checked_fields(header: bytes) -> dict[bytes, bytes]:
    """The last value of each field by its lower-case name; single fields are known to be single."""
    fields = _FIELD.findall(header)
    # findall skips what fits nowhere, so the header is well formed when nothing was skipped.
    if sum(map(len, chain.from_iterable(fields))) + len(fields) != len(header):
        raise HeaderMalformed(reason=_misfit(header))
    if len(fields) > MAX_FIELDS:
        raise HeaderMalformed(reason=f"it has more than {MAX_FIELDS} fields")
    if len(header.translate(None, _CONTROLS)) != len(header):
        raise HeaderMalformed(reason="it holds a control character")
    if _BLANK_FOLD.search(header):
        raise HeaderMalformed(reason="a folded line holds nothing but white space")
    values = {name.lower(): value for name, value in fields}
    if len(values) != len(fields):
        _check_single([name.lower() for name, _ in fields])
    return values


def _misfit(header: bytes) -> str:
    at, line = 0, 1
    while found := _FIELD.match(header, at):
        at, line = found.end(), line + found[0].count(b"\n")
    text = header[at : header.find(b"\r", at)]
    if text[:1] in (b" ", b"\t"):
        return f"line {line} continues a field, and there is none before it"
    if re.match(rb"[!-9;-~]+[ \t]+:", text):
        return f"line {line} has white space before the colon"
    return f"line {line} is not a field: it needs a name, a colon and a value"


def _check_single(names: Sequence[bytes]) -> None:
    if (count := names.count(b"from")) > 1:
        raise FromNotSingle(reason=f"there are {count} From fields")
    for name in SINGLE:
        if (count := names.count(name)) > 1:
            raise HeaderRepeated(name=name.decode().title(), count=count)


@lru_cache(maxsize=1024)  # a product's mail comes from few senders
def _sender(value: bytes | None) -> Mailbox:
    if value is None:
        raise FromNotSingle(reason="there is no From field")
    try:
        # A tab that folding has put into a name is a space for every reader.
        return parse_mailbox(_unfolded(value).replace("\t", " "))
    except BadAddress as wrong:
        raise FromNotSingle(reason=str(wrong.details["reason"])) from None


# --- Reading -------------------------------------------------------------------------------------------------------


def header_values(content: bytes, name: str) -> list[str]:
    """The values of every field of that name, in order, unfolded (RFC 5322 2.2.3) and otherwise as they stand."""
    wanted = name.lower().encode()
    return [_unfolded(value) for found, value in _FIELD.findall(_header(content)) if found.lower() == wanted]


def _header(content: bytes) -> bytes:
    if content.startswith(b"\r\n"):
        return b""
    end = content.find(b"\r\n\r\n")
    return content if end < 0 else content[: end + 2]


def _unfolded(value: bytes) -> str:
    return value.replace(b"\r\n", b"").decode("utf-8", "replace").strip(" \t")


# --- Editing -------------------------------------------------------------------------------------------------------


def with_headers(content: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    """`content` with these fields on top, in order; nothing else is touched. Raises BadField (see `field`)."""
    return b"".join([*(field(name, value) for name, value in headers), content])


def without_headers(content: bytes, names: Iterable[str]) -> bytes:
    """`content` without the fields of these names, in any case; "X-Ombud-*" means all that begin so. Nothing else changes."""
    doomed = [name.lower().encode() for name in names]
    whole = frozenset(name for name in doomed if not name.endswith(b"*"))
    starts = tuple(name[:-1] for name in doomed if name.endswith(b"*"))
    header = _header(content)
    kept: list[bytes] = []
    at = 0
    for found in _FIELD.finditer(header):
        name = found[1].lower()
        if name in whole or name.startswith(starts):
            kept.append(content[at : found.start()])
            at = found.end()
    return b"".join([*kept, content[at:]]) if at else content


def field(name: str, value: str) -> bytes:
    """One header field, CRLF-ended and folded at its own spaces, in lines of at most 998 bytes. Raises BadField.

    Text outside ASCII becomes encoded words; fields that programs read (List-Unsubscribe and its kin) take ASCII only and
    are written letter by letter.
    """
    if not _NAME.fullmatch(name):
        raise BadField(field=encodedword.without_unsafe(name[:76]), reason="that is not a name of a header field")
    if encodedword.has_unsafe(value):
        raise BadField(field=name, reason="it holds a line break or another control character")
    if _MACHINE_READ.fullmatch(name.lower()):
        if not value.isascii() or encodedword.decode(value) != value:
            raise BadField(field=name, reason="only ASCII without encoded words is taken here")
        return fold(name, value.strip(" "))
    if value.isascii() and not _AWKWARD.search(value):
        return fold(name, value)
    return fold(name, " ".join(encodedword.encode(value, room=_FOLD_AT - len(name) - 2)))


def fold(name: str, value: str) -> bytes:
    """A field of a value that is ready for the wire: folded where it has spaces, never elsewhere. Raises BadField.

    The first word stays on the first line as long as it fits into 998 bytes: an empty first line confuses readers.
    """
    line = f"{name}: {value}".rstrip(" ").encode()
    if len(line) <= _FOLD_AT:
        return line + b"\r\n"
    lines: list[bytes] = []
    room = MAX_LINE
    current = name.encode() + b":"
    for word in _TOKEN.findall(f" {value}"):
        token = word.encode()
        if len(current) + len(token) > room:
            lines.append(current)
            current = token
        else:
            current += token
        room = _FOLD_AT
    lines.append(current)
    if max(map(len, lines)) > MAX_LINE:
        raise BadField(field=name, reason=f"it holds a word that does not fit into a line of {MAX_LINE} bytes")
    return b"\r\n".join(lines) + b"\r\n"
