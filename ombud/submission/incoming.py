"""What the doors hand in, and what they get back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ombud.errors import BadField, OmbudError
from ombud.mail.address import Address, Mailbox
from ombud.mail.compose import Draft
from ombud.mail.message import Examined, header_values
from ombud.queue import Stream
from ombud.submission.idempotency import Key


@dataclass(frozen=True, slots=True)
class Options:
    """What may be said about a message beside its bytes."""

    customer: str = ""  # the customer's slug, where the credential serves many
    stream: Stream = Stream.TRANSACTIONAL
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    deliver_at: datetime | None = None
    idempotency: Key | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as a door hands it in."""

    mail_from: Address | None  # None: the null sender
    recipients: tuple[Address, ...]
    content: bytes
    door: str
    peer: str = ""
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Item:
    """One recipient of a batch, with the values that its copy is made out with."""

    to: Mailbox
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """One content for many, each with a copy of their own. An item that is an error gets its answer and is left out."""

    draft: Draft  # with {{names}} in subject, text and html
    items: Sequence[Item | OmbudError]
    door: str
    peer: str = ""
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was accepted: the answer as kept for a repeated Idempotency-Key, and whether this is such a repetition."""

    id: str
    answer: Mapping[str, Any]
    replayed: bool = False


def with_fields(options: Options, content: bytes, examined: Examined) -> Options:
    """The options, completed by the X-Ombud-* fields of the message: how an SMTP client says what JSON says in its own fields."""
    if not any(name.startswith(b"x-ombud-") for name in examined.names):
        return options
    customer = header_values(content, "X-Ombud-Customer")
    stream = header_values(content, "X-Ombud-Stream")
    tags = [tag.strip() for value in header_values(content, "X-Ombud-Tag") for tag in value.split(",")]
    if stream and stream[0] not in set(Stream):
        raise BadField(field="X-Ombud-Stream", reason=f"it must be one of {', '.join(Stream)}")
    return Options(
        options.customer or (customer[0].strip() if customer else ""), Stream(stream[0]) if stream else options.stream,
        (*options.tags, *tags), options.metadata, options.deliver_at, options.idempotency,
    )  # fmt: skip
