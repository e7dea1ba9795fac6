"""Pages with forms: read within bounds, sent only from our own pages, and answered with a page whatever happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ombud.errors import BadRequest, BodyTooBig, FormFromElsewhere, LinkExpired, OmbudError, WrongMediaType
from ombud.mail.encodedword import without_unsafe

#: What a page of ours may do in a browser: show itself, and send its forms here.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # Not `no-referrer`: the browser would then not tell us that a form comes from our own page (Fetch, "append a request Origin
    # header"). The address, which opens the page, still goes to nobody else.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
}
LARGEST_FORM = 64 * 1024
MOST_FIELDS = 2000
_FORM = "application/x-www-form-urlencoded"
LANGUAGES = ("sv", "en")


class Form:
    """The fields of a form. A field that is there twice has several values."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def one(self, name: str) -> str:
        return next((without_unsafe(value).strip() for key, value in self._fields if key == name), "")

    def all(self, name: str) -> list[str]:
        return [without_unsafe(value).strip() for key, value in self._fields if key == name]


async def read_form(request: Request, own_hosts: frozenset[str]) -> Form:
    """The form that one of our own pages has sent. Raises FormFromElsewhere, WrongMediaType, BodyTooBig, BadRequest."""
    check_origin(request, own_hosts)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in (_FORM, ""):
        raise WrongMediaType()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise BodyTooBig(limit=LARGEST_FORM)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise BadRequest(reason="the form cannot be read") from None
    return Form(fields)


def check_origin(request: Request, own_hosts: frozenset[str]) -> None:
    """Refuse what a browser sends from another site's page. A program that is no browser sends neither header; it has the link."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        raise FormFromElsewhere()
    origin = request.headers.get("origin")
    if origin is None or (origin == "null" and site == "same-origin"):
        return
    # Compared by host: a proxy before us may speak TLS where we do not.
    if urlsplit(origin).netloc.lower() not in own_hosts | {request.headers.get("host", "").lower()}:
        raise FormFromElsewhere()


def language_of(request: Request, otherwise: str = "") -> str:
    """The language that was asked for (`?lang=en`), or the reader's own, or the one that the browser prefers of the two."""
    asked = request.query_params.get("lang", "")
    if asked in LANGUAGES:
        return asked
    if otherwise:
        return otherwise
    for part in request.headers.get("accept-language", "").lower().split(","):
        if (found := part.strip()[:2]) in LANGUAGES:
            return found
    return "sv"


Handler = Callable[[Request], Awaitable[Response]]


class Pages:
    """Makes pages from templates. `say(sv, en)` within them gives the sentence in the page's language."""

    @cached_property
    def _templates(self) -> Environment:
        return Environment(
            loader=PackageLoader("ombud.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def page(self, name: str, language: str, values: Mapping[str, Any], status: int = 200) -> Response:
        def say(sv: str, en: str) -> str:
            return sv if language == "sv" else en

        text = self._templates.get_template(name).render(language=language, say=say, **values)
        return Response(text, status, HEADERS, "text/html")

    def answered(self, handler: Handler, whose: Callable[[], Awaitable[Mapping[str, str]]]) -> Handler:
        """The handler, with a page for every error of Ombud's that it raises."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except OmbudError as error:
                language = language_of(request)
                token = request.path_params.get("token", "")
                values = {
                    **await whose(),
                    "words": error.text(language),
                    "code": error.code,
                    # The address of an expired link is the one thing that can be mended from the page.
                    "renew": f"/c/{token}/renew" if isinstance(error, LinkExpired) and request.url.path.startswith("/c/") else "",
                    "again": f"/c/{token}" if error.code in ("shown_changed", "form_from_elsewhere") and token.isalnum() else "",
                    "other_language": f"{request.url.path}?lang={'en' if language == 'sv' else 'sv'}" if request.method == "GET" else "",
                }  # fmt: skip
                return self.page("choice/trouble.html", language, values, error.http)

        return answer


def see_other(path: str) -> Response:
    """Go and look there (RFC 9110 15.4.4): loading that page again sends no form again."""
    return RedirectResponse(path, 303, {"Referrer-Policy": "same-origin"})
