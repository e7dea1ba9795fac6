"""What a call is answered: the shapes that the document promises, made from what the queue shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from ombud.queue import Happening, MessageView, RecipientView, State
from ombud.web.world import Web

Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.isoformat().replace("+00:00", "Z"), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class View(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Accepted(View):
    """The message is safe: it will be sent, or you can see why not."""

    id: str = Field(examples=["01j8x0f5m2v6d3w7c9k1n4p8qr"])
    message_id: str = Field(
        description="The Message-ID field that it leaves with.", examples=["<01j8x0f5m2v6d3w7c9k1n4p8qs@ombud.example>"]
    )
    recipients: int
    mode: str = Field(description="`live`, or `test`: then everything happens but the sending.")
    status: str = Field(description="Always `accepted`.")


class ItemResult(View):
    """What became of one recipient of a batch, in the place that it had."""

    status: str = Field(description="`accepted` or `refused`.")
    id: str | None = Field(None, description="Of this recipient's copy; where it was accepted.")
    to: str | None = None
    code: str | None = Field(None, description="The error's code; where it was refused.")
    detail: str | None = None


class BatchAccepted(View):
    """The recipients that were accepted are safe; the others get nothing."""

    id: str
    accepted: int
    refused: int
    results: list[ItemResult]


class Recipient(View):
    id: str = Field(description="To ask about this one alone.")
    address: str
    state: State
    reason: str = Field(description="Why it takes its route, or why it is held: a stable code.")
    warning: str | None = Field(
        description="What it was accepted in spite of: a stable code.", examples=["gmail_at_risk"]
    )
    route: str | None
    attempts: int
    due_at: Moment | None = Field(description="When it is tried next.")
    changed_at: Moment


class Event(View):
    """One thing that happened, in order."""

    at: Moment
    type: str = Field(examples=["delivered"])
    recipient: str | None = Field(description="None: it happened to the whole message.")
    route: str | None
    attempt: int | None
    reply: str | None = Field(description="The other side's words.", examples=["250 2.0.0 Ok: queued as 4F3B21"])
    remote: str | None = Field(description="Who said them.", examples=["mx1.tenant.example[192.0.2.7]:25"])
    reason: str | None
    words: str | None


class Summary(View):
    """One message in a list."""

    id: str
    customer: str
    product: str
    mode: str
    stream: str
    door: str = Field(description="`smtp`, `http` or `cli`.")
    from_: str = Field(alias="from")
    mail_from: str = Field(description="The envelope's sender; empty: none.")
    message_id: str
    subject: str
    size: int = Field(description="Bytes.")
    tags: list[str]
    metadata: dict[str, Any]
    created_at: Moment
    states: dict[str, int] = Field(
        description="How many of its recipients are in which state.", examples=[{"delivered": 2, "deferred": 1}]
    )


class Message(Summary):
    """One message with its recipients and all that happened to it."""

    recipients: list[Recipient]
    timeline: list[Event]


class MessageList(View):
    data: list[Summary]
    next_cursor: str | None = Field(description="Of the next page; null: this is the last one.")


class Timeline(View):
    data: list[Event]


class Cancelled(View):
    id: str
    cancelled: int = Field(description="Recipients that will not get it.")
    not_cancelled: int = Field(description="Recipients for whom it was too late.")


class CustomerAction(View):
    """What the customer must do; to show to your user as it is."""

    code: str
    text_sv: str
    text_en: str
    url: str


class Problem(View):
    """An error (RFC 9457). Branch on `code`; it never changes its meaning."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(examples=["domain_not_proved"])
    retryable: bool = Field(description="Whether the same call may succeed later, without anyone changing anything.")
    doc_url: str
    request_id: str
    param: str | None = Field(
        None, description="The field of the call that is at fault.", examples=["attachments[0].filename"]
    )
    customer_action: CustomerAction | None = None


# --- from what the queue shows ---------------------------------------------------------------------------------------


def message_list(
    web: Web, found: Sequence[MessageView], tallies: Mapping[str, Mapping[State, int]], cursor: str | None
) -> MessageList:
    return MessageList(
        data=[Summary(**_about(web, one), states=tallies.get(one.id, {})) for one in found], next_cursor=cursor
    )


def message(web: Web, view: MessageView, recipients: Sequence[RecipientView], happened: Sequence[Happening]) -> Message:
    """The message with these of its recipients."""
    states: dict[str, int] = {}
    for recipient in recipients:
        states[recipient.state] = states.get(recipient.state, 0) + 1
    return Message(
        **_about(web, view), states=states, recipients=[_recipient(web, view.id, one) for one in recipients],
        timeline=timeline(web, happened).data,
    )  # fmt: skip


def timeline(web: Web, happened: Sequence[Happening]) -> Timeline:
    return Timeline(data=[_event(web, one) for one in happened])


def _about(web: Web, view: MessageView) -> dict[str, Any]:
    directory = web.directory.value
    return {
        "id": view.id, "customer": directory.customer_by_id(view.customer_id).slug,
        "product": directory.product_by_id(view.product_id).slug, "mode": view.mode, "stream": view.stream, "door": view.door,
        "from": view.header_from, "mail_from": view.mail_from, "message_id": f"<{view.message_id}>", "subject": view.subject,
        "size": view.size, "tags": list(view.tags), "metadata": view.metadata, "created_at": view.created_at,
    }  # fmt: skip


def _recipient(web: Web, message_id: str, view: RecipientView) -> Recipient:
    return Recipient(
        id=f"{message_id}-{view.n}", address=view.address, state=view.state, reason=view.reason, warning=view.warning,
        route=_route(web, view.route_id), attempts=view.attempts, due_at=view.due_at, changed_at=view.changed_at,
    )  # fmt: skip


def _event(web: Web, happened: Happening) -> Event:
    data = happened.data
    return Event(
        at=happened.at, type=happened.type, recipient=happened.recipient, route=_route(web, happened.route_id),
        attempt=data.get("attempt"), reply=data.get("reply"), remote=data.get("remote"), reason=data.get("reason"), words=data.get("words"),
    )  # fmt: skip


def _route(web: Web, route_id: int | None) -> str | None:
    route = web.facts.value.routes.get(route_id) if route_id is not None else None
    return route.slug if route else None
