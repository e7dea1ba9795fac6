"""What a link shows without a log-in: the supplier's page of a domain, as data, and proofs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ombud.accounts.links import Link
from ombud.clock import Clock
from ombud.db import Transaction
from ombud.domains import load_ownership
from ombud.domains.handing import bind_lines, fields, plain_rows, terraform
from ombud.domains.hostbook import load_hosts
from ombud.domains.hosts import UNKNOWN
from ombud.domains.letter import records_to_publish
from ombud.domains.proof import Proof, proof_by_id
from ombud.domains.shares import open_share, page_log, say_cannot, say_done
from ombud.domains.watchlist import report_of, watch_of
from ombud.errors import NotFound
from ombud.ids import ID_FORM, SECRET_FORM
from ombud.mail.encodedword import without_unsafe
from ombud.needs import needs_by_name
from ombud.web import incoming
from ombud.web.api.fields import CannotFields
from ombud.web.api.shareviews import DoneNoted, Noted, ProofPage, SharePage
from ombud.web.incoming import Bodies, strict_json
from ombud.web.who import peer
from ombud.web.world import Web

LARGEST = 16 * 1024
#: Whoever has the address may read it; search engines are not to find it.
_HIDDEN = ("X-Robots-Tag", "noindex")

# What has another form is no link and no proof, and is answered as such: 404, and not 422.
Token = Annotated[
    str, Path(description="The last part of the link.", json_schema_extra={"pattern": f"^{SECRET_FORM}[0-9a-f]{{32}}$"})
]
ProofId = Annotated[
    str, Path(description="The last part of the proof's address.", json_schema_extra={"pattern": f"^{ID_FORM}$"})
]
Language = Annotated[Literal["sv", "en"], Query(description="Of what the DNS host's panel wants.")]


class Shares:
    """The link's token is the whole right: one domain, for as long as the link lives. GET changes nothing."""

    def __init__(self, web: Web) -> None:
        self._web, self._bodies = web, Bodies(LARGEST)

    async def show_share(self, token: Token, answer: Response, lang: Language = "sv") -> SharePage:
        """Show what must stand in a domain's DNS, what stands there now, and what has been said. For the one who keeps the DNS: the
        link is the whole right, and it opens this domain alone. Changes nothing."""
        answer.headers.append(*_HIDDEN)
        return await self._web.database.reading(self._page, token, lang)

    async def lead_on(self, request: Request) -> Response:
        """`GET /d/{token}`, the link as it is handed out: to what it opens."""
        return RedirectResponse(f"/v1/shares/{quote(request.path_params['token'])}", 307)

    async def say_done(self, request: Request, token: Token) -> DoneNoted:
        """Say that the records have been put in. It is noted, and the domain is looked at at once."""
        looking = await self._write(token, lambda tx, link, clock: say_done(tx, link, clock.now(), peer(request)))
        return DoneNoted(noted=True, looking=looking)

    async def say_cannot(self, request: Request, token: Token) -> Noted:
        """Say that it cannot be done, and why. It is noted, for a person to read."""
        async with self._bodies.received(request) as body:
            said = incoming.fields(CannotFields, strict_json(body))
        await self._write(token, lambda tx, link, clock: say_cannot(tx, link, said.reason, clock.now(), peer(request)))
        return Noted(noted=True)

    async def show_proof(self, id: ProofId, answer: Response) -> ProofPage:
        """Show what the receiver of a probe message said of it, and when. Whoever has been given the id may see it."""
        if not re.fullmatch(ID_FORM, id):
            raise NotFound(kind="proof", name=without_unsafe(id[:40]))
        answer.headers.append(*_HIDDEN)
        return _proof_page(await self._web.database.reading(proof_by_id, id))

    async def _write(self, token: str, say: Callable[[Transaction, Link, Clock], Any]) -> Any:
        web = self._web

        def verb(tx: Transaction, pieces: Sequence[None]) -> list[Any]:
            return [say(tx, open_share(tx, web.seal, token, web.clock.now()), web.clock) for _ in pieces]

        return await web.group.run(verb, None)

    def _page(self, tx: Transaction, token: str, language: str) -> SharePage:
        web, now = self._web, self._web.clock.now()
        link = open_share(tx, web.seal, token, now)
        directory, ownership = web.directory.value, load_ownership(tx)
        needs = needs_by_name(
            tx, [link.about], now, ownership=ownership, facts=web.facts.value, directory=directory,
            vendor_zone=web.settings.dns.vendor_zone,
        )[link.about]  # fmt: skip
        report: Mapping[str, Any] = report_of(tx, link.about) or {}
        watch = watch_of(tx, link.about)
        zone = report.get("zone") or link.about
        host = load_hosts(tx).host_of(link.about, report.get("name_servers", ()))
        records = records_to_publish(link.about, needs.records, report or None)
        return SharePage.model_validate({
            "domain": link.about, "customer": directory.customer_by_id(link.customer_id).name,
            "valid_until": link.expires_at, "state": watch.state, "turn": watch.turn,
            "checked_at": watch.checked_at, "next_check": watch.next_at, "stop_at": watch.stop_at,
            "zone": zone, "dns_host": {"slug": host.slug, "name": host.name, "panel": host.panel} if host else None,
            "steps": (host or UNKNOWN).steps_sv if language == "sv" else (host or UNKNOWN).steps_en,
            "forms": {
                "fields": fields(records, zone, host or UNKNOWN, language), "bind": bind_lines(records),
                "json": plain_rows(records, zone), "terraform": terraform(records, zone, host),
            },
            "records": report.get("records", []), "findings": report.get("findings", []),
            "log": [asdict(entry) for entry in page_log(tx, link)],
        })  # fmt: skip


def _proof_page(proof: Proof) -> ProofPage:
    seen = proof.seen
    return ProofPage.model_validate({
        "id": proof.id, "domain": proof.domain, "state": proof.state, "ok": proof.ok, "at": proof.at,
        "from": proof.header_from, "from_seen": seen.header_from, "message_id": proof.message_id, "receiver": seen.server,
        "spf": seen.spf, "spf_domain": seen.spf_domain, "dkim": seen.dkim,
        "signatures": [asdict(one) for one in seen.signatures], "dmarc": seen.dmarc,
        "aligned": {"spf": seen.aligned_spf, "dkim": seen.aligned_dkim}, "remarks": list(seen.remarks),
    })  # fmt: skip
