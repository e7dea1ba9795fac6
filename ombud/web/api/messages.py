"""/v1/messages: send, look, cancel. The docstrings are what the API's page says."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from ombud import queue
from ombud.accounts import Sender
from ombud.db import Transaction
from ombud.errors import BadField, NotFound, OmbudError, WrongState
from ombud.ids import ID_FORM
from ombud.mail.encodedword import without_unsafe
from ombud.queue import Change, Filter, Happening, MessageView, RecipientView, Scope, State, What, after
from ombud.settings import KIB
from ombud.submission import Batch, Item, Key, Receipt, Submission
from ombud.web.api import batch, reading, views
from ombud.web.api.fields import BatchFields, Wanted
from ombud.web.incoming import Bodies, fields, strict_json
from ombud.web.who import Who, customer_named, peer
from ombud.web.world import Web

P = ParamSpec("P")
T = TypeVar("T")

#: The most recipients of one batch; a message may have as many as the SMTP door takes.
MOST_ITEMS = 1000
LARGE = 512 * KIB
Id = Annotated[str, Path(description="The message's id, or one recipient's: `<id>-<n>`.")]
_ID = re.compile(rf"({ID_FORM})(?:-([0-9]{{1,5}}))?", re.ASCII)
_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_CANCELLABLE = [state for state in State if after(state, What.CANCEL)]


class Messages:
    """The functions behind the routes."""

    def __init__(self, web: Web, who: Who, bodies: Bodies) -> None:
        self._web, self._who, self._bodies = web, who, bodies

    async def send_message(self, request: Request) -> Response:
        """Send one message, made of fields or ready as `raw`.

        When the answer is 202 the message is on disk and will not be lost. With an `Idempotency-Key` the same call may be
        made again safely: it gets the first answer, and nothing is sent twice.
        """
        sender = self._who.asks(request)
        async with self._bodies.received(request) as body:
            said, mail_from, recipients, content = await _aside(
                body, reading.envelope, self._web.settings, self._web.clock.now()
            )
            options = reading.options(said, customer_named(request), _key(request, sender, body))
            submission = Submission(mail_from, recipients, content, "http", peer(request), options)
            receipt = await self._web.submissions.submit(sender, submission)
        return _accepted({**receipt.answer, "mode": sender.mode, "status": "accepted"}, receipt)

    async def send_batch(self, request: Request) -> Response:
        """Send one content to up to 1000 recipients, each with a copy and values of their own.

        `{{name}}` in `subject`, `text` and `html` is replaced by the recipient's value of that name; there is no other
        logic. A recipient that cannot be sent to is refused alone, and the others are accepted; the answer has one result
        for each, in order. When none can be accepted the call is refused as a whole.
        """
        sender = self._who.asks(request)
        async with self._bodies.received(request) as body:
            said, items = await _aside(body, _batch)
            options = reading.options(said, customer_named(request), _key(request, sender, body))
            with reading.named(said):
                draft = reading.draft(said)
                receipt = await self._web.submissions.submit_batch(
                    sender, Batch(draft, items, "http", peer(request), options)
                )
        return _accepted(_batch_answer(receipt.answer), receipt)

    async def list_messages(self, request: Request, wanted: Annotated[Wanted, Query()]) -> views.MessageList:
        """List messages, the newest first. Only those that the key may see: its product's, in its mode, of its customer."""
        scope = self._who.sees(self._who.asks(request), request)
        return views.message_list(self._web, *await self._web.database.reading(_page, scope, wanted))

    async def show_message(self, request: Request, id: Id) -> views.Message:
        """Show a message with its recipients and its timeline. With a recipient's id (`<id>-<n>`): that one alone."""
        scope = self._who.sees(self._who.asks(request), request)
        message_id, n = _read(id)
        view, chosen, happened = await self._web.database.reading(_one, scope, message_id, n)
        return views.message(self._web, view, chosen, happened)

    async def show_timeline(self, request: Request, id: Id) -> views.Timeline:
        """Show what happened to a message, or to one recipient, in order, with the other side's words."""
        scope = self._who.sees(self._who.asks(request), request)
        message_id, n = _read(id)
        _, _, happened = await self._web.database.reading(_one, scope, message_id, n)
        return views.timeline(self._web, happened)

    async def cancel_message(self, request: Request, id: Id) -> views.Cancelled:
        """Cancel a message, or one recipient, as far as it has not left. 409 `wrong_state` when there is nothing to cancel."""
        scope = self._who.sees(self._who.asks(request), request)
        message_id, n = _read(id)
        _, chosen, _ = await self._web.database.reading(_one, scope, message_id, n)
        cancelled = await self._cancel(scope, message_id, n)
        if not cancelled:
            _, chosen, _ = await self._web.database.reading(_one, scope, message_id, n)
            raise WrongState(state=", ".join(sorted({recipient.state for recipient in chosen})))
        return views.Cancelled(id=id, cancelled=cancelled, not_cancelled=len(chosen) - cancelled)

    async def _cancel(self, scope: Scope, message_id: str, n: int | None) -> int:
        """How many were cancelled; whoever a worker has just taken, or who has just been answered for, was not."""
        limit = self._web.settings.smtp.max_recipients + MOST_ITEMS
        ids = await self._web.database.reading(queue.recipient_ids, scope, Filter(), message_id, _CANCELLABLE, limit, n)
        now = self._web.clock.now()
        changes = [Change(number, None, What.CANCEL, now) for number in ids]
        changed = await asyncio.gather(*(self._web.group.run(queue.change_all, change) for change in changes))
        return sum(one.now is State.CANCELLED for one in changed)


# --- in ------------------------------------------------------------------------------------------------------------


async def _aside(
    body: bytes, read: Callable[Concatenate[Mapping[str, Any], P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """`read` the body's JSON; a large one in a thread: its megabytes of base64 would hold up everyone else's mail."""

    def work() -> T:
        return read(strict_json(body), *args, **kwargs)

    return work() if len(body) < LARGE else await asyncio.to_thread(work)


def _batch(document: Mapping[str, Any]) -> tuple[BatchFields, list[Item | OmbudError]]:
    said = fields(BatchFields, document)
    return said, batch.items(said.recipients, said.subject, MOST_ITEMS)


def _key(request: Request, sender: Sender, body: bytes) -> Key | None:
    """The Idempotency-Key with the fingerprint of the whole call. Raises BadField."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise BadField(field="Idempotency-Key", reason="it is 1 to 255 printable ASCII characters")
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n{customer_named(request)}\n".encode())
    digest.update(body)
    return Key(sender.credential_id, key, digest.digest())


def _read(id: str) -> tuple[str, int | None]:
    """The message's id, and the recipient's place where there is one. Raises NotFound for what can be neither."""
    found = _ID.fullmatch(id)
    if not found:
        raise NotFound(kind="message", name=without_unsafe(id[:64]))
    return found[1], int(found[2]) if found[2] else None


# --- what is read --------------------------------------------------------------------------------------------------


def _page(
    tx: Transaction, scope: Scope, wanted: Wanted
) -> tuple[list[MessageView], dict[str, dict[State, int]], str | None]:
    found, cursor = queue.list_messages(tx, scope, _filter(wanted), wanted.limit, wanted.cursor, recipients=False)
    return found, queue.tally(tx, [one.id for one in found]), cursor


def _filter(wanted: Wanted) -> Filter:
    return Filter(
        state=wanted.state, to=str(reading.address("to", wanted.to)) if wanted.to is not None else None, tag=wanted.tag,
        message_id=wanted.message_id, since=reading.moment("since", wanted.since), until=reading.moment("until", wanted.until),
    )  # fmt: skip


def _one(
    tx: Transaction, scope: Scope, message_id: str, n: int | None
) -> tuple[MessageView, Sequence[RecipientView], list[Happening]]:
    """The message, those of its recipients that are asked for, and what happened to them. Raises NotFound."""
    view = queue.get_message(tx, scope, message_id)
    chosen = [recipient for recipient in view.recipients if n is None or recipient.n == n]
    if not chosen:
        raise NotFound(kind="message", name=f"{message_id}-{n}")
    return view, chosen, queue.timeline(tx, message_id, n)


# --- out -----------------------------------------------------------------------------------------------------------


def _batch_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    accepted, results = answer["recipients"], answer["results"]
    return {"id": answer["id"], "accepted": accepted, "refused": len(results) - accepted, "results": results}


def _accepted(answer: Mapping[str, Any], receipt: Receipt) -> Response:
    # Sorted, since a replayed answer comes back from the database with its names in order: the two must be the same bytes.
    content = json.dumps(answer, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    headers = {"Idempotent-Replayed": "true"} if receipt.replayed else {}
    return Response(content, 202, headers, "application/json")
