"""`ombud domains prove`: send a real message by a route, and see what its receiver says of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ombud.cli.operator import by_option
from ombud.cli.session import NOT_OK, Command, Session

if TYPE_CHECKING:
    from ombud.db import Transaction
    from ombud.delivery.prover import Prover
    from ombud.domains.proof import Proof
    from ombud.installation import Installation
    from ombud.routing import Route

#: What a remark means, Swedish and English.
REMARKS = {
    "from_changed": ("Avsändaradressen ändrades på vägen.", "The From address was changed on the way."),
    "not_signed": ("Mejlet var inte signerat med DKIM.", "The message had no DKIM signature."),
    "dkim_failed": ("DKIM-signaturen godkändes inte.", "The DKIM signature did not pass."),
    "spf_failed": ("SPF godkändes inte.", "SPF did not pass."),
    "dmarc_failed": ("DMARC underkände mejlet.", "DMARC failed the message."),
    "not_aligned": ("Inget av det som godkändes gäller avsändardomänen själv.", "Nothing that passed speaks for the sender's domain itself."),
    "aligned_by_one": ("Bara ett av SPF och DKIM gäller avsändardomänen.", "Only one of SPF and DKIM speaks for the sender's domain."),
    "organisations_differ": (
        "Gamla och nya mottagare ser olika organisationer.", "Old and new receivers see different organisations."
    ),
    "no_results": ("Mottagaren skrev inget om äkthet som går att läsa.", "The receiver wrote nothing about authenticity that can be read."),
}  # fmt: skip


@click.command("prove", cls=Command)
@click.argument("name", required=False)
@click.option("--route", "slug", help="By which route; needed when the customer's mail takes more than one.")
@click.option("--wait", type=float, default=120, show_default=True, help="Seconds to wait for the message to come.")
@click.option(
    "--read", "file", type=click.File("rb"), help="Read a probe message that has come: a file, or - for standard input."
)
@by_option
@click.pass_context
def prove(ctx: click.Context, name: str | None, slug: str | None, wait: float, file: BinaryIO | None, by: str) -> None:
    """Send a probe message from NAME by a route, and read from that very message what its receiver says: SPF, DKIM, DMARC,
    alignment, and the From that it saw. Exit code 3: it did not pass, or has not come."""
    session: Session = ctx.obj
    with session.opened() as installation:
        if file is not None:
            proof = asyncio.run(_read(installation, file.read(2_000_000)))
        elif name:
            proof = asyncio.run(_prove(installation, name, slug, wait, by))
        else:
            raise click.UsageError("Name a domain, or give --read.")
        values = None if proof is None else _values(installation, proof, session.language)
    if values is None:
        session.show_done(
            {"proof": None}, "That is no probe message that is waited for.", "Det är inget provmejl som väntas."
        )
    else:
        session.show_one(values if session.as_json else {"passed": values.pop("ok"), **values})
    if proof is None or not proof.ok:
        ctx.exit(NOT_OK)


async def _prove(installation: Installation, name: str, slug: str | None, wait: float, by: str) -> Proof:
    from ombud.domains import load_key_ring, load_ownership
    from ombud.domains.names import typed_domain

    domain = typed_domain(name)
    with installation.database.read() as tx:
        ownership, ring = load_ownership(tx), load_key_ring(tx, installation.seal)
        route = _route(tx, installation, domain, slug)
    prover = _prover(installation)
    sent = await prover.prove(domain, route, ownership, ring, by)
    if installation.settings.proof.maildir is None:
        return sent
    (proof,) = await prover.wait_for([sent], wait)
    return proof


async def _read(installation: Installation, content: bytes) -> Proof | None:
    return await _prover(installation).take_message(content)


def _prover(installation: Installation) -> Prover:
    from ombud.cli.domains_keys import resolver_of
    from ombud.delivery.prover import Prover
    from ombud.providers import make_provider
    from ombud.providers.provider import Provider, Surroundings
    from ombud.routing import route_secret

    settings, resolver = installation.settings, resolver_of(installation)

    def provider(route: Route) -> Provider:
        with installation.database.read() as tx:
            secret = route_secret(tx, installation.seal, route.slug)
        around = Surroundings(resolver.addresses, settings.service.name)
        return make_provider(
            route.provider, route.settings, secret, around, connections=1, delivery=settings.delivery
        )  # fmt: skip

    return Prover(
        settings.proof,
        installation.database.reading,
        installation.database.writing,
        installation.clock,
        resolver.ask,
        provider,
        settings.service.name,
    )


def _route(tx: Transaction, installation: Installation, domain: str, slug: str | None) -> Route:
    """The route of that name, or the only one that the customer's mail takes. Raises NotFound, BadField, DomainUnknown."""
    from ombud.accounts import load_directory
    from ombud.domains import load_ownership
    from ombud.errors import BadField, DomainUnknown, NotFound
    from ombud.routing import load_facts

    facts = load_facts(tx)
    if slug:
        route = facts.route(slug)
        if route is None:
            raise NotFound(kind="route", name=slug)
        return route
    owner = load_ownership(tx).owner(domain)
    if owner is None:
        raise DomainUnknown(domain=domain)
    routes = routes_of(facts, load_directory(tx), owner.customer_id, installation)
    if len(routes) != 1:
        names = ", ".join(one.slug for one in routes) or "none"
        raise BadField(field="route", reason=f"name one: the customer's mail takes {names}")
    return routes[0]


def routes_of(facts: Any, directory: Any, customer_id: int, installation: Installation) -> list[Route]:
    """The routes that the customer's mail takes now."""
    from ombud.routing import Action, decide

    now, found = installation.clock.now(), {}
    for product in directory.products.values():
        decision = decide(facts, customer_id, product.id, now)
        if decision.action is Action.SEND and decision.route:
            found[decision.route.id] = decision.route
    return list(found.values())


def _values(installation: Installation, proof: Proof, language: str) -> dict[str, Any]:
    from ombud.campaigns.mailing import base_url

    seen = proof.seen
    return {
        "domain": proof.domain, "state": proof.state.value, "ok": proof.ok, "at": proof.at, "spf": seen.spf,
        "spf_domain": seen.spf_domain, "dkim": seen.dkim,
        "signatures": [f"{one.domain} ({one.selector}): {one.result}" for one in seen.signatures], "dmarc": seen.dmarc,
        "aligned": proof.aligned, "from": proof.header_from, "from_seen": seen.header_from, "receiver": seen.server,
        "remarks": [REMARKS[code][0 if language == "sv" else 1] for code in seen.remarks], "codes": list(seen.remarks),
        "reply": proof.words, "message_id": proof.message_id, "id": proof.id,
        "link": f"{base_url(installation.settings)}/v1/proofs/{proof.id}",
    }  # fmt: skip
