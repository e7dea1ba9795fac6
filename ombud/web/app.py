"""Every route of the HTTP door, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp

from ombud.errors import OmbudError
from ombud.web import openapi
from ombud.web.api.messages import Messages
from ombud.web.api.shares import Shares
from ombud.web.choosing import ChoicePages, routes_of
from ombud.web.frame import Frame
from ombud.web.hooks import Hooks
from ombud.web.incoming import Bodies
from ombud.web.monitoring import Monitoring
from ombud.web.pages import Pages
from ombud.web.problems import Problems
from ombud.web.who import Who
from ombud.web.world import Web


@dataclass(frozen=True, slots=True)
class Route:
    """One way in. `described`: what the API's document says of it; nothing: it is no part of the API."""

    path: str
    method: str
    function: Callable[..., Any]
    described: dict[str, Any] = field(default_factory=dict)


def create_app(web: Web) -> ASGIApp:
    """The application, for HttpDoor or any other ASGI server."""
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )  # fmt: skip
    messages = Messages(web, Who(web), Bodies(web.settings.http.max_body))
    pages = Pages(lambda: openapi.document(app))
    shares = Shares(web)
    monitoring, hooks = Monitoring(web), Hooks(web)
    routes = (
        Route("/v1/messages", "POST", messages.send_message, openapi.SEND),
        Route("/v1/messages", "GET", messages.list_messages, openapi.LIST),
        Route("/v1/messages/batch", "POST", messages.send_batch, openapi.SEND_BATCH),
        Route("/v1/messages/{id}", "GET", messages.show_message, openapi.SHOW),
        Route("/v1/messages/{id}/timeline", "GET", messages.show_timeline, openapi.TIMELINE),
        Route("/v1/messages/{id}/cancel", "POST", messages.cancel_message, openapi.CANCEL),
        Route("/v1/shares/{token}", "GET", shares.show_share, openapi.SHARE),
        Route("/v1/shares/{token}/done", "POST", shares.say_done, openapi.DONE),
        Route("/v1/shares/{token}/cannot", "POST", shares.say_cannot, openapi.CANNOT),
        Route("/v1/proofs/{id}", "GET", shares.show_proof, openapi.PROOF),
        Route("/d/{token}", "GET", shares.lead_on),
        Route("/v1/openapi.json", "GET", pages.document),
        Route("/v1/docs", "GET", pages.docs),
        Route("/v1/hooks/cases", "POST", hooks.case_told),
        Route("/", "GET", pages.home),
        Route("/style.css", "GET", pages.style),
        Route("/healthz", "GET", monitoring.alive),
        Route("/readyz", "GET", monitoring.ready),
        Route("/metrics", "GET", monitoring.metrics),
        *(Route(path, method, page) for (path, method), page in routes_of(ChoicePages(web)).items()),
    )
    for route in routes:
        _add(app, route)
    _answer_errors(app, Problems(web.settings.http.public_url, _methods(app)))
    return Frame(app)


def _add(app: FastAPI, route: Route) -> None:
    if route.described:
        name = route.function.__name__
        app.add_api_route(route.path, route.function, methods=[route.method], operation_id=name, **route.described)
    else:
        app.add_route(route.path, route.function, methods=[route.method], include_in_schema=False)


def _methods(app: FastAPI) -> Callable[[str], list[str]]:
    """Tells by which methods a path can be called; each route by itself only knows its own."""

    def methods(path: str) -> list[str]:
        found = [route for route in app.routes if isinstance(route, StarletteRoute) and route.path_regex.match(path)]
        return sorted({method for route in found for method in route.methods or ()})

    return methods


def _answer_errors(app: FastAPI, problems: Problems) -> None:
    handlers: dict[type[Exception], Callable[..., Any]] = {
        OmbudError: problems.known,
        RequestValidationError: problems.invalid,
        HTTPException: problems.http,
        Exception: problems.unexpected,
    }
    for error, handler in handlers.items():
        app.add_exception_handler(error, handler)
