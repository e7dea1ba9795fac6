"""Errors as problem details (RFC 9457): one shape for all of them, and who can do something about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ombud.errors import (
    BadRequest,
    CustomerSuspended,
    DiskFull,
    DomainNotYours,
    MethodNotAllowed,
    NoActiveChoice,
    NoRoute,
    NotAuthenticated,
    NotFound,
    OmbudError,
    RegionNotAllowed,
    ShuttingDown,
    StillRunning,
    TryLater,
)  # fmt: skip
from ombud.mail.encodedword import without_unsafe
from ombud.web.incoming import as_bad_field

MEDIA_TYPE = "application/problem+json"
#: The customer's set-up is at fault, not the call: the product can show its user what to do.
CUSTOMERS_TURN = (DomainNotYours, NoActiveChoice, NoRoute, CustomerSuspended, RegionNotAllowed)
#: Seconds to wait, where the error itself does not know.
_WAITS: tuple[tuple[type[OmbudError], int], ...] = (
    (StillRunning, 1),
    (ShuttingDown, 10),
    (DiskFull, 60),
    (TryLater, 5),
)
_CHALLENGE = 'Bearer realm="Ombud", Basic realm="Ombud", charset="UTF-8"'
_LONGEST_TEXT = 500  # of what an answer says; some of it comes from the call


class Problems:
    """Answers to errors. `public_url` is where people reach this door; empty: where the call came in.

    `methods` tells by which methods a path can be called.
    """

    def __init__(self, public_url: str, methods: Callable[[str], list[str]]) -> None:
        self._public_url, self._methods = public_url.rstrip("/"), methods

    async def known(self, request: Request, error: OmbudError) -> Response:
        """What Ombud itself has said no with."""
        headers = {}
        if isinstance(error, NotAuthenticated):
            headers["WWW-Authenticate"] = _CHALLENGE  # RFC 9110 11.6.1
        if isinstance(error, TryLater):
            headers["Retry-After"] = str(error.details.get("seconds") or _wait(error))  # RFC 9110 10.2.3
        return self._answer(request, error, headers)

    async def invalid(self, request: Request, error: RequestValidationError) -> Response:
        """A parameter that does not fit; found by FastAPI."""
        return await self.known(request, as_bad_field(error.errors()[0], skip=1))

    async def http(self, request: Request, error: HTTPException) -> Response:
        """No such page, or not by this method; found by Starlette."""
        if error.status_code == 404:
            return self._answer(request, NotFound(kind="resource", name=without_unsafe(request.url.path[:100])), {})
        if error.status_code == 405:
            allowed = ", ".join(self._methods(request.url.path))
            return self._answer(request, MethodNotAllowed(method=request.method, allowed=allowed), {"Allow": allowed})
        return self._answer(request, BadRequest(reason=str(error.detail)[:100]), {})

    async def unexpected(self, request: Request, error: Exception) -> Response:
        """Anything else: our fault. Says nothing of what it was; the log has it, under the same id."""
        return self._answer(request, OmbudError(), {})

    def _answer(self, request: Request, error: OmbudError, headers: Mapping[str, str]) -> Response:
        page = f"{self._public_url or _own_address(request)}/v1/docs#{error.code}"
        problem: dict[str, Any] = {
            "type": page,
            "title": error.code.replace("_", " ").capitalize(),
            "status": error.http,
            "detail": error.text()[:_LONGEST_TEXT],
            "code": error.code,
            "retryable": error.retryable,
            "doc_url": page,
            "request_id": request.state.request_id,
        }
        if param := error.details.get("param") or error.details.get("field"):
            problem["param"] = str(param)[:100]
        if isinstance(error, CUSTOMERS_TURN):
            problem["customer_action"] = {
                "code": error.code, "text_sv": error.text("sv"), "text_en": error.text("en"),
                "url": str(error.details.get("url") or page),  # where it is done, or else what it is about
            }  # fmt: skip
        return Response(json.dumps(problem, ensure_ascii=False).encode(), error.http, headers, MEDIA_TYPE)


def _wait(error: TryLater) -> int:
    return next(seconds for kind, seconds in _WAITS if isinstance(error, kind))


def _own_address(request: Request) -> str:
    """The address that the call came in at, as the socket knows it: what the Host field says is the caller's affair."""
    host, port = request.scope.get("server") or ("localhost", None)
    scheme = request.scope.get("scheme", "http")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
