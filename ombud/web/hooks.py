"""What other systems tell us: the vendor's service centre, of the cases that it has been told of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ombud.campaigns.cases import CaseState
from ombud.campaigns.choosing import ServiceCentre
from ombud.campaigns.hearing import Heard, Telling, check_signature, hear
from ombud.clock import Clock
from ombud.db import Transaction
from ombud.web.incoming import Bodies, fields, strict_json
from ombud.web.world import Web

#: A telling is a number, a state and some words.
LARGEST = 64 * 1024


class CaseTold(BaseModel):
    """What may be told of a case."""

    model_config = ConfigDict(extra="forbid")

    case: str = Field(
        min_length=1, max_length=300, description="Our reference, or the number that you have told us before."
    )
    number: str = Field("", max_length=100, description="Your own number of the case.")
    state: Literal["open", "closed"] | None = None
    comment: str = Field("", max_length=10_000)
    by: str = Field("service centre", min_length=1, max_length=200, description="Who says so.")


class Hooks:
    def __init__(self, web: Web) -> None:
        self._web, self._bodies = web, Bodies(LARGEST)
        self._centre = ServiceCentre.of(web.settings)

    async def case_told(self, request: Request) -> Response:
        """`POST /v1/hooks/cases`: signed by the service centre, done once."""
        web = self._web
        async with self._bodies.received(request) as body:
            telling = await web.database.reading(
                check_signature, web.seal, self._centre, dict(request.headers), body, datetime.now(UTC)
            )
            said = fields(CaseTold, strict_json(body))
        state = CaseState(said.state) if said.state else None
        heard = await web.group.run(
            _hear_all, (Telling(telling, said.case, said.number, state, said.comment, said.by), web.clock)
        )
        case = heard.case
        return JSONResponse(
            {
                "reference": case.reference,
                "number": case.number or None,
                "state": case.state,
                "repeated": heard.repeated,
            }
        )


def _hear_all(tx: Transaction, tellings: Sequence[tuple[Telling, Clock]]) -> list[Heard]:
    return [hear(tx, telling, clock.now()) for telling, clock in tellings]
