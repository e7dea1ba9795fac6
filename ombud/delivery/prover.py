"""Makes proofs: sends probe messages by routes, and reads what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from ombud.clock import Clock
from ombud.delivery.proving import (
    Arrived,
    Ask,
    arrived_in,
    new_proof,
    nonce_of,
    probe_message,
    read_probe,
    send_probe,
)
from ombud.domains import KeyRing, Ownership
from ombud.domains.proof import (
    Proof,
    ProofState,
    awaited,
    begin_proof,
    note_lost,
    note_read,
    note_sent,
    proof_by_id,
    waiting_since,
)
from ombud.domains.rotating import Run
from ombud.errors import DomainUnknown, NoProbeMailbox, OmbudError
from ombud.providers.provider import Provider
from ombud.routing import Route
from ombud.settings import ProofSettings

log = structlog.get_logger("ombud.delivery")

#: What has been taken for lost is still looked for so long: mail can be late.
_LATE = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Prover:
    """Sends and reads probe messages. `read_in` and `write_in` run a verb in a transaction; `host` is the service's own name, for
    Message-IDs."""

    settings: ProofSettings
    read_in: Run
    write_in: Run
    clock: Clock
    ask: Ask
    make_provider: Callable[[Route], Provider]
    host: str

    async def prove(self, domain: str, route: Route, ownership: Ownership, ring: KeyRing, by: str) -> Proof:
        """Send a probe message from the domain by the route. It is read by `read` when it has come. Raises NoProbeMailbox,
        DomainUnknown, and what the route's settings raise."""
        if not self.settings.mailbox:
            raise NoProbeMailbox()
        owner = ownership.owner(domain)
        if owner is None:
            raise DomainUnknown(domain=domain)
        proof = new_proof(domain, owner.customer_id, route.id, self.settings.mailbox, self.host, by, self.clock.now())
        await self.write_in(begin_proof, proof)
        try:
            state, words = await self._send(proof, route, ownership, ring)
        except OmbudError as error:  # a setting of the route is wrong: noted, so that it is not tried every minute
            await self.write_in(note_sent, proof.id, ProofState.REFUSED, error.text())
            raise
        await self.write_in(note_sent, proof.id, state, words)
        log.info("probe_sent", domain=domain, route=route.slug, proof=proof.id, state=state)
        sent: Proof = await self.read_in(proof_by_id, proof.id)
        return sent

    async def _send(self, proof: Proof, route: Route, ownership: Ownership, ring: KeyRing) -> tuple[ProofState, str]:
        outgoing = await asyncio.to_thread(probe_message, proof, route.sign, ownership, ring)
        provider = self.make_provider(route)
        try:
            return await send_probe(provider, outgoing)
        finally:
            await provider.close()

    async def read(self) -> list[Proof]:
        """Look in the probe mailbox for what was sent: the proofs that could be read now. What is too late is noted as lost."""
        now = self.clock.now()
        waiting = await self.read_in(waiting_since, now - _LATE)
        if not waiting or self.settings.maildir is None:
            return []
        maildir, nonces = self.settings.maildir, frozenset(proof.nonce for proof in waiting)
        found = await asyncio.to_thread(lambda: list(arrived_in(maildir, nonces)))
        read = [proof for one in found if (proof := await self.take(one))]
        late = now - timedelta(minutes=self.settings.wait_minutes)
        there = {proof.id for proof in read}
        for proof in waiting:
            if proof.state is ProofState.SENT and proof.at < late and proof.id not in there:
                await self.write_in(note_lost, proof.id)
        return read

    async def take(self, arrived: Arrived) -> Proof | None:
        """Read one message that has arrived; None when it is none that is waited for."""
        proof = (await self.read_in(awaited, [arrived.nonce])).get(arrived.nonce)
        if proof is None:
            return None
        verdict = await read_probe(self.ask, proof, arrived.content, self.settings.server)
        if verdict is None or not await self.write_in(note_read, proof.id, *verdict, self.clock.now()):
            return None
        log.info("probe_read", domain=proof.domain, proof=proof.id, ok=verdict[0])
        read: Proof = await self.read_in(proof_by_id, proof.id)
        return read

    async def take_message(self, content: bytes) -> Proof | None:
        """`take` for a message that somebody hands us."""
        return await self.take(Arrived(nonce_of(content), content))

    async def wait_for(self, proofs: Sequence[Proof], seconds: float) -> list[Proof]:
        """Read until all of these have been, at most so long; their newest states."""
        wanted = {proof.id for proof in proofs if proof.state is ProofState.SENT}
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while wanted:
            wanted -= {proof.id for proof in await self.read()}
            if not wanted or loop.time() >= end:
                break
            await asyncio.sleep(0.5)
        return [await self.read_in(proof_by_id, proof.id) for proof in proofs]
