"""The API's document (OpenAPI 3.1): what FastAPI knows from the functions, and what it cannot know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from ombud import __version__
from ombud.errors import DomainTaken, Misconfigured, OmbudError, TlsRequired, TooMany, every_error
from ombud.web.api import views
from ombud.web.api.fields import BatchFields, CannotFields, ItemFields, MessageFields, RawFields
from ombud.web.problems import MEDIA_TYPE

_REF = "#/components/schemas/"
_ABOUT = """Send e-mail in your customers' names, and see what became of it.

Authenticate with an API key: `Authorization: Bearer ombud_live_...`, or HTTP Basic with the user `api` and the key as the
password. A key is one product's, live or test; what it sees is that product's mail in that mode. The customer comes from
the key; a key that serves many customers names one with `X-Ombud-Customer`, or sends from a customer's proved domain.
What a link opens (`/v1/shares`, `/v1/proofs`) takes no key.

Errors are problem details (RFC 9457). Branch on `code`. When `retryable` is true, make the same call again after
`Retry-After` seconds, with the same `Idempotency-Key`."""

_CUSTOMER = {
    "name": "X-Ombud-Customer", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 100},
    "description": "The customer whose mail it is; needed only where the key serves many.",
}  # fmt: skip
_IDEMPOTENCY = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "description": (
        "A name of yours for this call, such as `avi-2024-05-10442`; kept for 7 days. The same call again gets the first answer "
        "with `Idempotent-Replayed: true`; another body under the same key is refused (422 `idempotency_mismatch`)."
    ),
}  # fmt: skip
_KEYS: list[dict[str, list[str]]] = [{"bearer": []}, {"basic": []}]
_ALWAYS = (401, 403, 404, 422, 429, 500, 503)
_WITH_BODY = (400, 408, 409, 413, 415, 507)
_WITH_LINK = (403, 404, 410, 422, 500, 503)


#: Calls that work as they stand, but for the key and the names; the page shows them, and a test makes them.
EXAMPLES: dict[str, dict[str, Any]] = {
    "MessageFields": {
        "from": "Bostads AB Eken <hyra@eken.example>",
        "to": ["Åsa Öberg <asa@tenant.example>"],
        "subject": "Hyresavi för maj",
        "text": "Hej Åsa!\n\nHär kommer hyresavin för maj.\n",
        "attachments": [{"filename": "hyresavi.pdf", "content_type": "application/pdf", "content": "JVBERi0xLjcK"}],
        "tags": ["hyresavi"],
        "metadata": {"avi": "2024-05-10442"},
    },
    "RawFields": {
        "raw": "RnJvbTogaHlyYUBla2VuLmV4YW1wbGUNClRvOiBhc2FAdGVuYW50LmV4YW1wbGUNClN1YmplY3Q6IEhlag0KDQpIZWohDQo=",
        "stream": "important",
    },
    "BatchFields": {
        "from": "Bostads AB Eken <hyra@eken.example>",
        "subject": "Hyresavi för {{manad}}",
        "text": "Hej {{namn}}!\n\nHyran för {{manad}} är {{belopp}} kr.\n",
        "stream": "bulk",
        "recipients": [
            {"to": "asa@tenant.example", "variables": {"namn": "Åsa", "manad": "maj", "belopp": "8 450"}},
            {"to": "Bo Ek <bo@tenant.example>", "variables": {"namn": "Bo", "manad": "maj", "belopp": 7200}},
        ],
    },
    "CannotFields": {"reason": "Vår panel tar inte emot understreck i namn."},
}


#: What only the other door says, or a command.
_SAID_ELSEWHERE = (Misconfigured, TlsRequired, DomainTaken, TooMany)


def error_list() -> list[type[OmbudError]]:
    """Every error that a call can be answered with, by status and code."""
    here = [error for error in every_error() if not issubclass(error, _SAID_ELSEWHERE)]
    return sorted(here, key=lambda error: (error.http, error.code))


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{_REF}Problem"}}}
    return {
        status: {"description": ", ".join(f"`{code}`" for code in codes(status)), "content": content}
        for status in sorted(statuses)
    }


def codes(status: int) -> list[str]:
    """The codes of errors that a call can be answered with, under this status."""
    return [error.code for error in error_list() if error.http == status]


def _body(*models: type[BaseModel]) -> dict[str, Any]:
    schemas = [{"$ref": f"{_REF}{model.__name__}"} for model in models]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    examples = {model.__name__: {"value": EXAMPLES[model.__name__]} for model in models}
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}


def _sending(summary: str, answer: type[BaseModel], *models: type[BaseModel]) -> dict[str, Any]:
    replayed = {
        "Idempotent-Replayed": {"description": "`true`: this is the first answer again.", "schema": {"type": "string"}}
    }
    accepted = {202: {"model": answer, "description": "Accepted, and on disk.", "headers": replayed}}
    extra = {"requestBody": _body(*models), "parameters": [_IDEMPOTENCY, _CUSTOMER], "security": _KEYS}
    return {
        "summary": summary, "response_model": None, "status_code": 202,
        "responses": {**accepted, **_problems(*_ALWAYS, *_WITH_BODY)}, "openapi_extra": extra,
    }  # fmt: skip


def _opened(summary: str, statuses: Iterable[int] = _WITH_LINK) -> dict[str, Any]:
    """By a link, without a key."""
    return {
        "summary": summary, "response_description": "As it is at this moment.", "responses": _problems(*statuses),
    }  # fmt: skip


def _saying(summary: str, *models: type[BaseModel]) -> dict[str, Any]:
    """By a link, too."""
    return {
        "summary": summary, "response_description": "Noted.", "status_code": 202,
        "responses": _problems(*_WITH_LINK, *(_WITH_BODY if models else (507,))),
        "openapi_extra": {"requestBody": _body(*models)} if models else {},
    }  # fmt: skip


def _asking(summary: str, more: Iterable[int] = ()) -> dict[str, Any]:
    extra = {"security": _KEYS, "parameters": [_CUSTOMER]}
    return {
        "summary": summary, "response_description": "As it is at this moment.",
        "responses": _problems(*_ALWAYS, *more), "openapi_extra": extra,
    }  # fmt: skip


#: What the document says of each route, beside what its function says.
SEND = _sending("Send a message", views.Accepted, MessageFields, RawFields)
SEND_BATCH = _sending("Send a batch", views.BatchAccepted, BatchFields)
LIST = _asking("List messages")
SHOW = _asking("Show a message")
TIMELINE = _asking("Show a timeline")
CANCEL = _asking("Cancel a message", more=(409, 507))
SHARE = _opened("Show a supplier's page")
DONE = _saying("Say that it is done")
CANNOT = _saying("Say that it cannot be done", CannotFields)
PROOF = _opened("Show a proof", (404, 422, 500, 503))


_FIRST = (
    "raw",
    "from",
    "to",
    "cc",
    "bcc",
    "reply_to",
    "subject",
    "text",
    "html",
    "attachments",
    "recipients",
    "headers",
)


def _in_order(properties: dict[str, Any]) -> dict[str, Any]:
    """Fields as a person thinks of them: who and what before how."""
    first = [name for name in _FIRST if name in properties]
    return {name: properties[name] for name in dict.fromkeys((*first, *properties))}


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    made = get_openapi(title="Ombud", version=__version__, description=_ABOUT, routes=app.routes)
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (MessageFields, RawFields, BatchFields, ItemFields, CannotFields):
        schema = model.model_json_schema(ref_template=_REF + "{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = {**schema, "properties": _in_order(schema["properties"])}
    problem = views.Problem.model_json_schema(ref_template=_REF + "{model}")
    schemas.update({**problem.pop("$defs", {}), "Problem": problem})
    schemas["BatchFields"]["properties"]["recipients"].update(
        items={"$ref": f"{_REF}ItemFields"}, minItems=1, maxItems=1000
    )
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
        "basic": {"type": "http", "scheme": "basic", "description": "The user `api`, the key as the password."},
    }
    return made
