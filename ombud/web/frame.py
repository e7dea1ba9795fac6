"""Around every call: an id to ask about, headers that keep browsers careful, and no error without an answer."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from ombud.ids import new_id

log = structlog.get_logger("ombud.web")

#: What every answer carries, unless it says something of its own.
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Frame:
    """Wraps the application. The call's id is `request.state.request_id` within, and `X-Request-Id` outside."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def framed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _completed(message.get("headers", ()), request_id)
            await send(message)

        try:
            await self._app(scope, receive, framed)
        except ClientDisconnect:
            log.debug("client_left", request_id=request_id)
        except Exception:
            # The answer has gone out (`Problems.unexpected`): the client gets the id, the operator everything.
            log.error(
                "request_failed", request_id=request_id, method=scope["method"], path=scope["path"], exc_info=True
            )


def _completed(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    own = list(headers)
    names = {name for name, _ in own}
    return [*own, *(header for header in HEADERS if header[0] not in names), (b"x-request-id", request_id.encode())]
