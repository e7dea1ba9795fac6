"""From fields to what submission takes: mailboxes, drafts, envelopes. The field that is at fault is named by its path."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from ombud.errors import BadAddress, BadField, TooManyRecipients
from ombud.ids import new_id
from ombud.mail.address import Address, Mailbox, parse_address, parse_mailbox
from ombud.mail.compose import Attachment, Draft, compose
from ombud.mail.message import examine, header_values
from ombud.queue import Stream
from ombud.settings import Settings
from ombud.submission import Key, Options
from ombud.web.api.fields import AboutFields, ContentFields, MessageFields, RawFields
from ombud.web.incoming import fields

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:\d\d)")
#: One address of a header's list, up to the comma; quoted strings and angle brackets may hold commas of their own. Every
#: character is taken, also where a quotation mark is not closed, so that nothing is skipped and nothing looked at twice.
_LISTED = re.compile(r'(?:"(?:[^"\\]|\\.)*+"?|<[^<>]*+>?|[^",<])++')
_EMPTY_GROUP = re.compile(r"[^\",<>@:;]*:\s*;")  # "undisclosed-recipients:;", RFC 5322 A.1.3
#: What `compose` calls a field by, where that is not what the call calls it.
_CALLED = {
    "From": "from", "To": "to", "Cc": "cc", "Reply-To": "reply_to", "Subject": "subject", "filename": "attachments.filename",
    "content_type": "attachments.content_type", "content_id": "attachments.content_id",
}  # fmt: skip


def envelope(
    document: Mapping[str, Any], settings: Settings, now: datetime
) -> tuple[AboutFields, Address, tuple[Address, ...], bytes]:
    """What is said about a message, who sends it, who gets it, and its bytes. Raises Refused."""
    if "raw" in document:
        raw = fields(RawFields, document)
        return raw, *_ready(raw, settings)
    said = fields(MessageFields, document)
    return said, *_composed(said, settings, now)


def _composed(said: MessageFields, settings: Settings, now: datetime) -> tuple[Address, tuple[Address, ...], bytes]:
    _count((said.to, said.cc, said.bcc), settings)
    to, cc, bcc = (mailboxes(name, getattr(said, name)) for name in ("to", "cc", "bcc"))
    if not (to or cc or bcc):
        raise BadField(field="to", reason="there is no recipient")
    made = draft(said, to, cc)
    message_id = f"<{new_id()}@{settings.service.name}>"
    with named(said):
        content = compose(made, message_id=message_id, date=now)
    return made.from_.address, tuple(mailbox.address for mailbox in (*to, *cc, *bcc)), content


def _ready(raw: RawFields, settings: Settings) -> tuple[Address, tuple[Address, ...], bytes]:
    content = _bytes("raw", raw.raw)
    examined = examine(content, settings.smtp.max_size)
    texts = {"to": raw.to} if raw.to else {name: _header_list(content, name) for name in ("To", "Cc", "Bcc")}
    _count(texts.values(), settings)
    recipients = [mailbox.address for name, listed in texts.items() for mailbox in mailboxes(name, listed)]
    if not recipients:
        raise BadField(field="to", reason="neither the call nor the message's To, Cc or Bcc names a recipient")
    return examined.from_.address, tuple(recipients), content


def _header_list(content: bytes, name: str) -> list[str]:
    parts = [part.strip() for value in header_values(content, name) for part in _LISTED.findall(value)]
    return [part for part in parts if part and not _EMPTY_GROUP.fullmatch(part)]


def _count(lists: Iterable[Sequence[str]], settings: Settings) -> None:
    """Before any of them is parsed: a million addresses cost a second."""
    if sum(map(len, lists)) > settings.smtp.max_recipients:
        raise TooManyRecipients(limit=settings.smtp.max_recipients)


def draft(said: ContentFields, to: tuple[Mailbox, ...] = (), cc: tuple[Mailbox, ...] = ()) -> Draft:
    """The draft that the fields are. Raises BadAddress, BadField."""
    return Draft(
        from_=mailboxes("from", [said.from_], "from")[0], to=to, cc=cc, reply_to=mailboxes("reply_to", said.reply_to),
        subject=said.subject, text=said.text, html=said.html, headers=tuple(said.headers.items()),
        attachments=tuple(
            Attachment(file.filename, file.content_type, _bytes(f"attachments[{n}].content", file.content), file.content_id)
            for n, file in enumerate(said.attachments)
        ),
    )  # fmt: skip


def options(said: AboutFields, customer: str, key: Key | None) -> Options:
    """What is said about a message. Raises BadField."""
    return Options(
        customer=customer, stream=Stream(said.stream), tags=tuple(said.tags), metadata=said.metadata,
        deliver_at=moment("deliver_at", said.deliver_at), idempotency=key,
    )  # fmt: skip


def mailboxes(name: str, texts: Sequence[str], path: str = "") -> tuple[Mailbox, ...]:
    """The mailboxes that the texts are. Raises BadAddress, with the place of the wrong one (or `path`)."""
    found: list[Mailbox] = []
    try:
        for text in texts:
            found.append(parse_mailbox(text))
    except BadAddress as error:
        error.details["param"] = path or f"{name}[{len(found)}]"
        raise
    return tuple(found)


def address(name: str, text: str) -> Address:
    """The address that the text is. Raises BadAddress."""
    try:
        return parse_address(text)
    except BadAddress as error:
        error.details["param"] = name
        raise


def moment(name: str, text: str | None) -> datetime | None:
    """The moment that the text says (RFC 3339). Raises BadField: without an offset it would be a guess."""
    if text is None:
        return None
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text.upper())
    except ValueError:
        reason = "write the moment with its offset, such as 2024-05-31T08:00:00+02:00 (in a query + is written %2B)"
        raise BadField(field=name, reason=reason) from None


def _bytes(path: str, text: str) -> bytes:
    """What the base64 text (RFC 4648 4) stands for; line breaks in it are common and harmless."""
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise BadField(field=path, reason="it is not base64") from None


@contextmanager
def named(said: ContentFields) -> Iterator[None]:
    """What is found wrong within has the name that the call gave it, not the one that it has in a message."""
    try:
        yield
    except BadField as error:
        name = str(error.details["field"])
        error.details["param"] = f"headers.{name}" if name in said.headers else _CALLED.get(name, name)
        raise
