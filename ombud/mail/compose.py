"""Composing a message from fields: our own writer, because what the standard library writes can be broken into.

Every text of the draft passes one check, so no field can end its line, and the bytes that come out pass the gate.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from binascii import b2a_base64, b2a_qp
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote

from ombud.errors import BadAddress, BadField
from ombud.mail import encodedword
from ombud.mail.address import Mailbox, parse_address
from ombud.mail.message import MAX_FIELDS, MAX_HEADER, SINGLE, field, fold

_ENCODED_LINE = 76  # RFC 2045 6.7 (5) and 6.8
_PLAIN_LINE = 78  # RFC 5322 2.1.1: what a line should not exceed; longer ones are encoded
_MAX_FILENAME = 255  # bytes of UTF-8, what file systems take

_MIME_WORD = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"  # RFC 2045 5.1
_CONTENT_TYPE = re.compile(
    rf'(?!multipart/|message/){_MIME_WORD}/{_MIME_WORD}(?:; *(?!name|boundary){_MIME_WORD}=(?:{_MIME_WORD}|"[ !#-\[\]-~]*"))*'
)
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=^_`{|}~.@-]{1,200}")
_MESSAGE_ID = re.compile(r"[!-;=A-~]{1,400}@[!-;=A-~]{1,400}")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# A name like this is encoded: folding, or readers who are too helpful, would change it.
_UNQUOTABLE = re.compile(r"^ | $|  |=\?|[^ -~]|[^ ]{60}")
_PLAIN_FILENAME = re.compile(r"[ !#-.0-\[\]-~]+")
_NOT_IN_FILENAME = re.compile(r"[^ !#-.0-\[\]-~]|=\?")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_FRAGILE = bytes({*range(32), *range(127, 256)} - set(b"\t\r\n"))
_HIGH = bytes(range(128, 256))

# What Ombud writes itself, or what others say about a message on its way.
_OURS = frozenset(
    {
        "from",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "subject",
        "date",
        "message-id",
        "sender",
        "return-path",
        "received",
        "received-spf",
        "delivered-to",
        "mime-version",
        "dkim-signature",
        "domainkey-signature",
        "authentication-results",
    }
)
_OURS_BEGIN = ("content-", "x-ombud-", "resent-", "arc-")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file. With a `content_id` it is shown inside the HTML, where `cid:` and the id stand."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a message is to say, before it is bytes. `bcc` is for the envelope and is never written."""

    from_: Mailbox
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


def compose(draft: Draft, *, message_id: str, date: datetime) -> bytes:
    """The message as bytes that pass the gate (but for its size). The same input gives the same bytes. Raises BadField.

    `message_id` may have its angle brackets or not; `date` must be aware.
    """
    header = [
        field("Date", format_datetime(date)),
        _mailboxes("From", (draft.from_,)),
        *_optional_mailboxes(draft),
        field("Subject", draft.subject),
        field("Message-ID", _checked_message_id(message_id)),
        *_custom_headers(draft.headers),
        b"MIME-Version: 1.0\r\n",
    ]
    if sum(map(len, header)) > MAX_HEADER - 1000 or len(header) > MAX_FIELDS - 10:
        raise BadField(field="headers", reason=f"the whole header may hold {MAX_FIELDS} fields and {MAX_HEADER} bytes")
    return b"".join([*header, *_body(draft, message_id)])


# --- The header ----------------------------------------------------------------------------------------------------


def _optional_mailboxes(draft: Draft) -> list[bytes]:
    named = (("Reply-To", draft.reply_to), ("To", draft.to), ("Cc", draft.cc))
    fields = [_mailboxes(name, mailboxes) for name, mailboxes in named if mailboxes]
    if not draft.to and not draft.cc:
        fields.append(b"To: undisclosed-recipients:;\r\n")  # RFC 5322 A.1.3
    return fields


def mailbox_field(name: str, mailbox: Mailbox) -> bytes:
    """One field that names one mailbox, such as From. Raises BadField."""
    return _mailboxes(name, (mailbox,))


def _mailboxes(name: str, mailboxes: tuple[Mailbox, ...]) -> bytes:
    return fold(name, ", ".join(_mailbox(name, mailbox) for mailbox in mailboxes))


def _mailbox(field_name: str, mailbox: Mailbox) -> str:
    address = str(mailbox.address)
    try:
        if parse_address(address) != mailbox.address:  # whoever built it without the parser
            raise BadField(field=field_name, reason=f"{encodedword.without_unsafe(address)} is not in canonical form")
    except BadAddress as wrong:
        raise BadField(field=field_name, reason=str(wrong)) from None
    if not mailbox.name:
        return address
    return f"{_phrase(_checked(field_name, mailbox.name))} <{address}>"


def _phrase(name: str) -> str:
    """A display name for the wire (RFC 5322 3.2.5): atoms, a quoted string, or encoded words."""
    if _UNQUOTABLE.search(name):
        return " ".join(encodedword.encode(name, room=60))
    if _ATOMS.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _checked(field_name: str, text: str) -> str:
    """`text`, which goes into a header: no line break, no control character; no angle bracket that makes another address."""
    if encodedword.has_unsafe(text):
        raise BadField(field=field_name, reason="it holds a line break or another control character")
    if "<" in text or ">" in text:
        raise BadField(field=field_name, reason="angle brackets are not taken in a name")
    return text


def _checked_message_id(message_id: str) -> str:
    bare = message_id.removeprefix("<").removesuffix(">")
    if not _MESSAGE_ID.fullmatch(bare):
        raise BadField(field="Message-ID", reason="it is not of the form <left@right>")
    return f"<{bare}>"


def _custom_headers(headers: tuple[tuple[str, str], ...]) -> list[bytes]:
    fields: list[bytes] = []
    seen: set[str] = set()
    for name, value in headers:
        key = name.lower()
        if key in _OURS or key.startswith(_OURS_BEGIN):
            raise BadField(field=name, reason="this header is written by Ombud; it has its own field or may not be set")
        if key in seen and key.encode() in SINGLE:
            raise BadField(field=name, reason="it may be given once")
        seen.add(key)
        fields.append(field(name, value))
    return fields


# --- The body ------------------------------------------------------------------------------------------------------


def _body(draft: Draft, message_id: str) -> list[bytes]:
    """mixed( alternative( text, related( html, inline ... ) ), attachment ... ), each level only where it is needed."""
    if draft.text is None and draft.html is None:
        raise BadField(field="text", reason="give text, html or both")
    boundary = _boundary(draft, message_id)
    inline = [file for file in draft.attachments if file.content_id is not None]
    attached = [file for file in draft.attachments if file.content_id is None]
    if draft.html is None:  # nothing to show them in
        inline, attached = [], list(draft.attachments)
    readable = []
    if draft.text is not None:
        readable.append(_text_part("plain", draft.text))
    if draft.html is not None:
        readable.append(_html_part(draft.html, inline, f"{boundary}_r"))
    body = readable[0] if len(readable) == 1 else _multipart("alternative", f"{boundary}_a", readable)
    if attached:
        body = _multipart("mixed", f"{boundary}_m", [body, *map(_file_part, attached)])
    if not body[-1].endswith(b"\r\n"):
        body.append(b"\r\n")
    return body


def _boundary(draft: Draft, message_id: str) -> str:
    """Derived from the text, so it cannot stand in it; "=_" stands in no quoted-printable and no base64 (RFC 2045 6.7)."""
    digest = hashlib.sha256("\0".join((message_id, draft.text or "", draft.html or "")).encode("utf-8", "replace"))
    return f"=_{digest.hexdigest()[:32]}"


def _multipart(kind: str, boundary: str, parts: list[list[bytes]], parameters: str = "") -> list[bytes]:
    """RFC 2046 5.1.1: the CRLF before a delimiter belongs to the delimiter, so each part keeps its own end."""
    delimiter = b"--" + boundary.encode()
    chunks = [f'Content-Type: multipart/{kind};{parameters} boundary="{boundary}"\r\n\r\n'.encode()]
    for part in parts:
        chunks += [delimiter, b"\r\n", *part, b"\r\n"]
    return [*chunks, delimiter, b"--\r\n"]


def _html_part(html: str, inline: list[Attachment], boundary: str) -> list[bytes]:
    part = _text_part("html", html)
    if not inline:
        return part
    return _multipart("related", boundary, [part, *map(_file_part, inline)], ' type="text/html";')  # RFC 2387 3.1


def _text_part(kind: str, text: str) -> list[bytes]:
    if _NOT_TEXT.search(text):
        raise BadField(field="text" if kind == "plain" else "html", reason="it holds a NUL or half a character")
    lf_only = text.replace("\r\n", "\n").replace("\r", "\n")
    content = lf_only.encode().replace(b"\n", b"\r\n")
    encoding, encoded = _encoded_text(content)
    charset = "us-ascii" if encoding == "7bit" else "utf-8"
    return [
        f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode(),
        encoded,
    ]


def _encoded_text(content: bytes) -> tuple[str, bytes]:
    """As it is where that is safe, else whichever of the two encodings is shorter."""
    if _is_safe(content):
        return "7bit", content
    high = len(content) - len(content.translate(None, _HIGH))
    if high * 2 > len(content) * 0.37:
        return "base64", _base64(content)
    # b2a_qp takes the line end that it writes from the first one that it reads, so it is given one.
    return "quoted-printable", b2a_qp(content + b"\r\n").removesuffix(b"\r\n")


def _is_safe(content: bytes) -> bool:
    """Whether every server leaves it alone: ASCII without controls, short lines, no white space that ends one."""
    return (
        len(content.translate(None, _FRAGILE)) == len(content)
        and b" \r" not in content
        and b"\t\r" not in content
        and not content.endswith((b" ", b"\t"))
        and max(map(len, content.split(b"\r\n"))) <= _PLAIN_LINE
    )


def _base64(content: bytes) -> bytes:
    encoded = b2a_base64(content, newline=False)
    return b"\r\n".join([encoded[at : at + _ENCODED_LINE] for at in range(0, len(encoded), _ENCODED_LINE)])


def _file_part(file: Attachment) -> list[bytes]:
    if not _CONTENT_TYPE.fullmatch(file.content_type.lower()) or "=?" in file.content_type:
        raise BadField(
            field="content_type", reason="it is not a media type that a file can have, such as application/pdf"
        )
    disposition = "attachment" if file.content_id is None else "inline"
    fields = [
        fold("Content-Type", file.content_type),
        b"Content-Transfer-Encoding: base64\r\n",
        f"Content-Disposition: {disposition};\r\n {_filename(file.filename)}\r\n".encode(),
    ]
    if file.content_id is not None:
        fields.append(_content_id(file.content_id))
    return [*fields, b"\r\n", _base64(file.content)]


def _content_id(content_id: str) -> bytes:
    bare = content_id.removeprefix("<").removesuffix(">")
    if not _CONTENT_ID.fullmatch(bare):
        raise BadField(field="content_id", reason="it may hold letters, digits and . _ - + @")
    return f"Content-ID: <{bare}>\r\n".encode()


def _filename(filename: str) -> str:
    """The name as a parameter; outside ASCII by RFC 2231 4, first, and in plain letters for readers that do not know it."""
    _checked("filename", filename)
    if (
        not filename.strip()
        or filename != filename.strip()
        or "/" in filename
        or "\\" in filename
        or len(filename.encode()) > _MAX_FILENAME
    ):
        raise BadField(
            field="filename",
            reason=f"it must be a name without a path or white space around it, of at most {_MAX_FILENAME} bytes",
        )
    if _PLAIN_FILENAME.fullmatch(filename) and "=?" not in filename:  # readers decode it even where RFC 2047 5 forbids
        return f'filename="{filename}"'
    letters = unicodedata.normalize("NFKD", filename)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    plain = _NOT_IN_FILENAME.sub("_", plain)
    return f"filename*=utf-8''{quote(filename, safe='')};\r\n filename=\"{plain}\""
