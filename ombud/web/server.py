"""The HTTP server: uvicorn on a socket of our own, within the service's event loop, started and stopped by it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ombud.settings import KIB, HttpSettings

log = structlog.get_logger("ombud.web")

BACKLOG = 2048
MOST_CONNECTIONS = 2000  # the next is answered 503
MOST_HEADER = 64 * KIB  # bytes; a little more when the body comes in the same piece
MOST_FIELDS = 200
KEEP_ALIVE = 30  # seconds that an idle connection is kept
HEADER_TIMEOUT = 30.0  # seconds for the header of a call to come, from its first byte (or the connection's)


class HttpDoor:
    """`await start()` once, then `await stop()`. `port` is the real one, also where the settings say 0."""

    def __init__(self, settings: HttpSettings, app: ASGIApp) -> None:
        self.settings, self.port = settings, settings.port
        self._app = app
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError for a port that is taken."""
        listener = self._bound()
        self.port = listener.getsockname()[1]
        config = _Config(
            2 * self.settings.max_body + MOST_HEADER, self._app, http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
            server_header=False, backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE, limit_concurrency=MOST_CONNECTIONS,
        )  # fmt: skip
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started:
            await asyncio.sleep(0.005)
            if self._serving.done():
                self._serving.result()
        log.info("listening", host=self.settings.host, port=self.port)

    async def stop(self, grace: float = 10.0) -> None:
        """Stop listening; calls that are under way get `grace` seconds for their answer."""
        if self._server is None or self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace))
        self._server.should_exit = True
        await self._serving

    def _bound(self) -> socket.socket:
        host = self.settings.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, self.settings.port), family=family, backlog=BACKLOG)


class _Config(uvicorn.Config):
    def __init__(self, most_received: int, app: ASGIApp, **settings: Any) -> None:
        """`most_received`: bytes that one call may come in, chunk by chunk and trailer and all; then it is cut off."""
        super().__init__(app, **settings)
        self.most_received = most_received


class _Server(uvicorn.Server):
    """Signals are the service's affair."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(HttpToolsProtocol):
    """Bounds what comes before, around and after a body, for which uvicorn with httptools has no limit in time or size."""

    _header_timer: asyncio.TimerHandle
    _most_received: int

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        assert isinstance(self.config, _Config)
        self._most_received = self.config.most_received
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if self._received > (MOST_HEADER if self._in_header else self._most_received):
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._header_timer.cancel()
        self._await_header()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MOST_FIELDS:  # those of the header and, after a chunked body, of its trailer
            self.transport.abort()

    def on_headers_complete(self) -> None:
        self._header_timer.cancel()
        self._in_header = False
        super().on_headers_complete()

    def _await_header(self) -> None:
        self._in_header, self._received = True, 0
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT, self.timeout_keep_alive_handler)
