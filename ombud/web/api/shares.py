"""What a link shows without a log-in: the supplier's page of a domain, as data, and proofs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ombud.accounts import load_directory
from ombud.accounts.links import Link, Scope, open_link
from ombud.clock import Clock
from ombud.db import Transaction
from ombud.domains import load_ownership
from ombud.domains.handing import bind_lines, fields, plain_rows, terraform
from ombud.domains.hostbook import load_hosts
from ombud.domains.hosts import UNKNOWN
from ombud.domains.letter import records_to_publish
from ombud.domains.proof import Proof, proof_by_id
from ombud.domains.shares import page_log, say_cannot, say_done
from ombud.domains.watchlist import report_of, watch_of
from ombud.errors import NotFound
from ombud.needs import needs_by_name
from ombud.routing import load_facts
from ombud.web import incoming
from ombud.web.incoming import Bodies, strict_json
from ombud.web.who import peer
from ombud.web.world import Web

LARGEST = 16 * 1024
#: Whoever has the address may read it, and nobody in between is to keep it.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


class Cannot(BaseModel):
    """Why it cannot be done."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=1000, description="In the supplier's own words.")


class Shares:
    """The link's token is the whole right: one domain, for as long as the link lives. GET changes nothing."""

    def __init__(self, web: Web) -> None:
        self._web, self._bodies = web, Bodies(LARGEST)

    async def show_share(self, request: Request) -> Response:
        """`GET /v1/shares/{token}`: the records in three forms, what stands there now, and the log."""
        language = "en" if request.query_params.get("lang") == "en" else "sv"
        shown = await self._web.database.reading(self._page, request.path_params["token"], language)
        return JSONResponse(shown, headers=_HEADERS)

    async def say_done(self, request: Request) -> Response:
        """`POST /v1/shares/{token}/done`: "it is done": the domain is looked at at once."""
        looking = await self._write(request, lambda tx, link, clock: say_done(tx, link, clock.now(), peer(request)))
        return JSONResponse({"noted": True, "looking": looking}, 202, _HEADERS)

    async def say_cannot(self, request: Request) -> Response:
        """`POST /v1/shares/{token}/cannot` with `reason`: a person reads it."""
        async with self._bodies.received(request) as body:
            said = incoming.fields(Cannot, strict_json(body))
        await self._write(
            request, lambda tx, link, clock: say_cannot(tx, link, said.reason, clock.now(), peer(request))
        )
        return JSONResponse({"noted": True}, 202, _HEADERS)

    async def show_proof(self, request: Request) -> Response:
        """`GET /v1/proofs/{id}`: what the receiver of a probe message said of it, and when."""
        proof = await self._web.database.reading(proof_by_id, request.path_params["id"])
        return JSONResponse(_proof_values(proof), headers=_HEADERS)

    async def _write(self, request: Request, say: Callable[[Transaction, Link, Clock], Any]) -> Any:
        token, web = request.path_params["token"], self._web

        def verb(tx: Transaction, pieces: Sequence[None]) -> list[Any]:
            return [say(tx, open_link(tx, web.seal, token, Scope.DOMAIN, web.clock.now()), web.clock) for _ in pieces]

        return await web.group.run(verb, None)

    def _page(self, tx: Transaction, token: str, language: str) -> Mapping[str, Any]:
        web, now = self._web, self._web.clock.now()
        link = open_link(tx, web.seal, token, Scope.DOMAIN, now)
        directory, ownership = load_directory(tx), load_ownership(tx)
        owned = ownership.domains.get(link.about)
        if owned is None or owned.customer_id != link.customer_id:
            raise NotFound(kind="domain", name=link.about)  # it has been given up, or is another's now
        needs = needs_by_name(
            tx, [link.about], now, ownership=ownership, facts=load_facts(tx), directory=directory,
            vendor_zone=web.settings.dns.vendor_zone,
        )[link.about]  # fmt: skip
        report: Mapping[str, Any] = report_of(tx, link.about) or {}
        watch = watch_of(tx, link.about)
        zone = report.get("zone") or link.about
        host = load_hosts(tx).host_of(link.about, report.get("name_servers", ()))
        records = records_to_publish(link.about, needs.records, report or None)
        return {
            "domain": link.about, "customer": directory.customer_by_id(link.customer_id).name,
            "valid_until": _moment(link.expires_at), "state": watch.state.value, "turn": watch.turn.value,
            "checked_at": _moment(watch.checked_at), "next_check": _moment(watch.next_at), "stop_at": _moment(watch.stop_at),
            "zone": zone, "dns_host": {"slug": host.slug, "name": host.name, "panel": host.panel} if host else None,
            "steps": (host or UNKNOWN).steps_sv if language == "sv" else (host or UNKNOWN).steps_en,
            "forms": {
                "fields": fields(records, zone, host or UNKNOWN, language), "bind": bind_lines(records),
                "json": plain_rows(records, zone), "terraform": terraform(records, zone, host),
            },
            "records": report.get("records", []), "findings": report.get("findings", []),
            "log": [
                {"at": _moment(one.at), "what": one.what, "by": one.by, "reason": one.reason} for one in page_log(tx, link)
            ],
        }  # fmt: skip


def _proof_values(proof: Proof) -> Mapping[str, Any]:
    seen = proof.seen
    return {
        "id": proof.id, "domain": proof.domain, "state": proof.state.value, "ok": proof.ok, "at": _moment(proof.at),
        "from": proof.header_from, "from_seen": seen.header_from, "message_id": proof.message_id, "receiver": seen.server,
        "spf": seen.spf, "spf_domain": seen.spf_domain, "dkim": seen.dkim,
        "signatures": [{"domain": one.domain, "selector": one.selector, "result": one.result} for one in seen.signatures],
        "dmarc": seen.dmarc, "aligned": {"spf": seen.aligned_spf, "dkim": seen.aligned_dkim}, "remarks": list(seen.remarks),
    }  # fmt: skip


def _moment(value: Any) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None
