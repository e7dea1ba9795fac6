"""A personal message: one draft with `{{names}}` in it, kept once, and made out to each recipient when it is sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from ombud.errors import MissingVariable
from ombud.mail import template
from ombud.mail.address import Mailbox, parse_address
from ombud.mail.compose import Attachment, Draft, compose

#: Among a recipient's variables: the display name. No text can name it, since a name in a text is never empty.
NAME = ""


def variables(draft: Draft) -> frozenset[str]:
    """Every variable that the draft names; a recipient must have a value for each."""
    return (
        template.variables(draft.subject) | template.variables(draft.text or "") | template.variables(draft.html or "")
    )


def missing(values: Mapping[str, str], needed: frozenset[str]) -> MissingVariable | None:
    """What a recipient lacks, or None."""
    lacking = needed - values.keys()
    return MissingVariable(name=min(lacking)) if lacking else None


def pack(draft: Draft) -> bytes:
    """The draft as bytes to keep; `make_out` reads them."""
    packed = {
        "from": _packed(draft.from_),
        "reply_to": [_packed(mailbox) for mailbox in draft.reply_to],
        "subject": draft.subject, "text": draft.text, "html": draft.html, "headers": draft.headers,
        "attachments": [
            {
                "filename": one.filename, "content_type": one.content_type, "content_id": one.content_id,
                "content": base64.b64encode(one.content).decode("ascii"),
            }
            for one in draft.attachments
        ],
    }  # fmt: skip
    return json.dumps(packed, ensure_ascii=False, separators=(",", ":")).encode()


def make_out(packed: bytes, to: Mailbox, values: Mapping[str, str], *, message_id: str, date: datetime) -> bytes:
    """One recipient's copy. The same arguments give the same bytes. Raises Refused when it cannot be written."""
    draft = _unpack(packed)
    made_out = replace(
        draft,
        to=(to,),
        subject=template.render(draft.subject, values, "none"),
        text=None if draft.text is None else template.render(draft.text, values, "none"),
        html=None if draft.html is None else template.render(draft.html, values, "html"),
    )
    return compose(made_out, message_id=message_id, date=date)


@lru_cache(maxsize=4)  # a batch's copies are made out one after the other
def _unpack(packed: bytes) -> Draft:
    fields = json.loads(packed)
    return Draft(
        from_=_unpacked(fields["from"]),
        reply_to=tuple(_unpacked(mailbox) for mailbox in fields["reply_to"]),
        subject=fields["subject"], text=fields["text"], html=fields["html"],
        headers=tuple((name, value) for name, value in fields["headers"]),
        attachments=tuple(
            Attachment(one["filename"], one["content_type"], base64.b64decode(one["content"]), one["content_id"])
            for one in fields["attachments"]
        ),
    )  # fmt: skip


def _packed(mailbox: Mailbox) -> list[str]:
    return [mailbox.name, str(mailbox.address)]


def _unpacked(packed: list[str]) -> Mailbox:
    return Mailbox(packed[0], parse_address(packed[1]))
