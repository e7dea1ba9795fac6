"""The body of a call: read within bounds, and JSON taken strictly. What two parsers would read differently is refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from ombud.errors import BadField, BadJson, BodyTooBig, TooBusy, TooSlow, WrongMediaType
from ombud.mail.encodedword import without_unsafe
from ombud.settings import MIB

M = TypeVar("M", bound=BaseModel)

#: Bytes of bodies that calls may hold at one time.
MOST_IN_FLIGHT = 256 * MIB
#: Values in one body: more would be objects by the million, out of a body of allowed size.
MOST_VALUES = 1_000_000
CHUNK_TIMEOUT, BODY_TIMEOUT = 30.0, 600.0  # seconds without a byte, and for the whole

_JSON = re.compile(r'application/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*', re.IGNORECASE)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Bodies:
    """Reads bodies, each at most `max_body` bytes, all that are held at one time at most MOST_IN_FLIGHT."""

    def __init__(
        self, max_body: int, most_in_flight: int = MOST_IN_FLIGHT, chunk_timeout: float = CHUNK_TIMEOUT
    ) -> None:
        self._max_body, self._chunk_timeout = max_body, chunk_timeout
        self._most_in_flight = max(most_in_flight, max_body)
        self.in_flight = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[bytes]:
        """The whole JSON body, counted as in flight until the block ends.

        Raises WrongMediaType, BodyTooBig, TooBusy, TooSlow.
        """
        self._check_announced(request)
        chunks: list[bytes] = []
        try:
            await self._read(request, chunks)
            body = b"".join(chunks)
            yield body
        finally:
            self.in_flight -= sum(map(len, chunks))

    def _check_announced(self, request: Request) -> None:
        if not _JSON.fullmatch(request.headers.get("content-type", "")) or "content-encoding" in request.headers:
            raise WrongMediaType()
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._max_body:
            raise BodyTooBig(limit=self._max_body)

    async def _read(self, request: Request, chunks: list[bytes]) -> None:
        now = asyncio.get_running_loop().time
        end, taken = now() + BODY_TIMEOUT, 0
        try:
            async with asyncio.timeout(self._chunk_timeout) as timer:
                async for chunk in request.stream():
                    timer.reschedule(min(now() + self._chunk_timeout, end))
                    chunks.append(chunk)
                    taken += len(chunk)
                    self.in_flight += len(chunk)
                    if taken > self._max_body:
                        raise BodyTooBig(limit=self._max_body)
                    if self.in_flight > self._most_in_flight:
                        raise TooBusy()
        except TimeoutError:
            raise TooSlow() from None


def strict_json(body: bytes) -> dict[str, Any]:
    """The one object that `body` is. Raises BadJson.

    Refused: what is not UTF-8, a name that stands twice, NaN and Infinity, half characters, endless nesting.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(reason=f"it is not UTF-8 (at byte {error.start})") from None
    if sum(map(body.count, (b",", b"{", b"["))) > MOST_VALUES:
        raise BadJson(reason="it holds too many values")
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadJson(reason=f"{error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise BadJson(reason="it is nested too deeply") from None
    except ValueError:  # an integer of thousands of digits
        raise BadJson(reason="it holds a number that is too long") from None
    if not isinstance(document, dict):
        raise BadJson(reason="it is not an object")
    if _SURROGATE.search(body):
        _refuse_half_characters(document)
    return document


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # RFC 8259 4: what a reader makes of it is anyone's guess
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise BadJson(reason=f"the name {without_unsafe(twice[:64])} stands twice in one object")
    return found


def _no_constant(constant: str) -> NoReturn:
    raise BadJson(reason=f"{constant} is not a JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_once_each, parse_constant=_no_constant)


def _refuse_half_characters(document: dict[str, Any]) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadJson(reason="it holds half a character (a lone surrogate)") from None


def fields(model: type[M], document: Mapping[str, Any]) -> M:
    """The document as the model has it. Raises BadField, with the path of the field that does not fit."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise as_bad_field(error.errors(include_url=False, include_input=False)[0]) from None


_REASONS = {
    "missing": "it is required",
    "extra_forbidden": "there is no such field here",
}


def as_bad_field(error: Mapping[str, Any], skip: int = 0) -> BadField:
    """One of pydantic's errors, in our words; never with the value that was sent."""
    path = json_path(error["loc"][skip:]) or "body"
    reason = _REASONS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
    return BadField(field=path, reason=reason)


def json_path(parts: Sequence[str | int]) -> str:
    """`to[1]`, `attachments[0].filename`; what the caller may have chosen in it is cut and made printable."""
    path = ""
    for part in parts:
        path += (
            f"[{part}]"
            if isinstance(part, int)
            else f".{without_unsafe(part[:64])}"
            if path
            else without_unsafe(part[:64])
        )
    return path
