"""What a call may say, field by field. Bounds that need more than the field itself are checked where it is used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from ombud.queue import State

MOST_METADATA, LONGEST_METADATA = 50, 500
_WHOLE = 2**53  # integers up to here are the same number for every JSON reader (RFC 8259 6)

_MAILBOX = 'One address, with or without a name: `tenant@example.se`, `Åsa Öberg <asa@example.se>`, `"Eken, Bostads AB" <info@eken.example>`.'
_MAILBOXES = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 1000}],
    "description": "Addresses, with or without names: a list, or one alone.",
}


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _flat(metadata: dict[str, Any]) -> dict[str, Any]:
    for key, value in metadata.items():
        text = value if isinstance(value, str) else ""
        number = value if isinstance(value, int | float) else 0
        if value is not None and not isinstance(value, str | int | float):
            raise ValueError("a value is text, a number, true, false or null")
        if not 1 <= len(key) <= 100 or len(text) > LONGEST_METADATA or not -_WHOLE < number < _WHOLE:
            raise ValueError(
                f"a name has 1 to 100 characters, a text at most {LONGEST_METADATA}, a number at most 15 digits"
            )
    return metadata


Mailboxes = Annotated[list[str], BeforeValidator(_listed), WithJsonSchema(_MAILBOXES)]
Metadata = Annotated[
    dict[str, Any],
    Field(max_length=MOST_METADATA),
    AfterValidator(_flat),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_METADATA,
            "propertyNames": {"minLength": 1, "maxLength": 100},
            "additionalProperties": {
                "anyOf": [
                    {"type": "string", "maxLength": LONGEST_METADATA},
                    {"type": "number"},
                    {"type": "boolean"},
                    {"type": "null"},
                ]
            },
        }
    ),
]
HeaderName = Annotated[str, StringConstraints(min_length=1, max_length=76)]
HeaderValue = Annotated[str, StringConstraints(max_length=8000)]
MomentText = Annotated[str, StringConstraints(max_length=40)]


class Fields(BaseModel):
    """JSON as it is: no field that is not ours, no text read as a number, no number read as text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


class AttachmentFields(Fields):
    """A file."""

    filename: str = Field(
        min_length=1, max_length=255, description="Its name, without a path.", examples=["hyresavi.pdf"]
    )
    content_type: str = Field(
        "application/octet-stream", max_length=200, description="Its media type.", examples=["application/pdf"]
    )
    content: str = Field(
        description="The file in base64.", examples=["JVBERi0xLjcK"], json_schema_extra={"contentEncoding": "base64"}
    )
    content_id: str | None = Field(
        None, min_length=1, max_length=200, description="Shows the file inside the HTML, where `cid:` and this stand."
    )


class AboutFields(Fields):
    """What may be said about a message beside what it says itself."""

    stream: Literal["important", "transactional", "bulk"] = Field(
        "transactional", description="What goes first: `important` before `transactional` before `bulk`."
    )
    tags: list[str] = Field(
        default_factory=list,
        max_length=20,
        description="Words to find it by: letters, digits and `_ . : -`, 64 at most.",
    )
    metadata: Metadata = Field(
        default_factory=dict,
        description="Your own data about it: kept and shown, never sent. 50 names, 500 characters a text.",
    )
    deliver_at: MomentText | None = Field(
        None,
        description="When to send it, at most 30 days ahead; a moment that has passed means now.",
        examples=["2024-05-31T08:00:00+02:00"],
        json_schema_extra={"format": "date-time"},
    )


class ContentFields(AboutFields):
    """What a message says."""

    from_: str = Field(
        alias="from",
        description=f"The sender, in a domain that the customer has proved. {_MAILBOX}",
        examples=["Bostads AB Eken <hyra@eken.example>"],
    )
    reply_to: Mailboxes = Field(default_factory=list)
    subject: str = Field(
        "",
        max_length=2000,
        description="As people read it; Ombud encodes what must be.",
        examples=["Hyresavi maj 2024"],
    )
    text: str | None = Field(
        None,
        description="The message as plain text. Give this, `html` or both.",
        examples=["Hej! Här kommer hyresavin."],
    )
    html: str | None = Field(None, description="The message as HTML.")
    attachments: list[AttachmentFields] = Field(
        default_factory=list, max_length=100, description="Files, 25 MB with everything else."
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=100,
        description="More header fields, such as `List-Unsubscribe`; not those that have a field here.",
    )


class MessageFields(ContentFields):
    """One message, made of fields: Ombud writes it."""

    to: Mailboxes = Field(default_factory=list, examples=[["Åsa Öberg <asa@tenant.example>"]])
    cc: Mailboxes = Field(default_factory=list)
    bcc: Mailboxes = Field(default_factory=list, description="Get the message too, and are not named in it.")


class RawFields(AboutFields):
    """One message that is ready: Ombud adds what it lacks (Message-ID, Date, a trace), signs it, and changes nothing else."""

    raw: str = Field(
        description="The whole message (RFC 5322, lines ended by CRLF) in base64.",
        json_schema_extra={"contentEncoding": "base64", "contentMediaType": "message/rfc822"},
    )
    to: Mailboxes = Field(
        default_factory=list,
        description="Who gets it. Not given: those in its To, Cc and Bcc (Bcc is taken out of it in any case).",
    )


class BatchFields(ContentFields):
    """One content to many, each with a copy of their own. `{{name}}` in subject, text and html is replaced by the recipient's value."""

    # Checked by `items`, which is much faster than a model for each; the document gets the schema of ItemFields.
    recipients: list[Any] = Field(description="At most 1000; each gets a result of its own, in this order.")


class ItemFields(Fields):
    """One recipient of a batch."""

    to: str = Field(description=_MAILBOX, examples=["asa@tenant.example"])
    variables: dict[str, str | int | float] = Field(
        default_factory=dict,
        max_length=100,
        description="A value for every name in the content. Escaped in the HTML; numbers become text.",
        examples=[{"namn": "Åsa", "belopp": "8 450"}],
    )


class Wanted(BaseModel):
    """Which messages to list; every part that is given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: State | None = Field(None, description="One of its recipients is in this state.")
    to: str | None = Field(None, max_length=320, description="One of its recipients is this address.")
    tag: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$", description="It has this tag.")
    message_id: str | None = Field(None, pattern=r"^[!-~]{1,998}$", description="Its Message-ID field is this.")
    since: MomentText | None = Field(
        None, description="Accepted then or later.", json_schema_extra={"format": "date-time"}
    )
    until: MomentText | None = Field(
        None, description="Accepted before then.", json_schema_extra={"format": "date-time"}
    )
    limit: int = Field(25, ge=1, le=100, description="At most so many on a page.")
    cursor: str | None = Field(None, pattern=r"^[0-9a-z]{26}$", description="The `next_cursor` of the page before.")


class CannotFields(Fields):
    """Why the records cannot be put in."""

    reason: str = Field(min_length=1, max_length=1000, description="In the supplier's own words.")
