"""What monitoring asks: is it alive, is it ready, how much has it done. Open to whoever reaches the door, and says no names."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ombud.web.world import Web

METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Monitoring:
    def __init__(self, web: Web) -> None:
        self._web = web

    async def alive(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        missing = self._web.healthy()
        if missing:
            return JSONResponse({"status": "not_ready", "missing": missing}, 503, {"Retry-After": "5"})
        return JSONResponse({"status": "ready", "missing": []})

    async def metrics(self, request: Request) -> Response:
        return Response(self._web.metrics(), media_type=METRICS)
