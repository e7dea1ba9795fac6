"""Proof: a real message went by a route to a mailbox of ours, and what its receiver said of it was read from that very message.

DNS shows what should happen; a proof shows what did. Each has an id that nobody can guess, so that it can be shown to others,
and a date, since it tells of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, Column, Index, Integer, Row, Select, Table, Text, func, insert, select, update

from ombud.db import Identity, Json, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import NotFound

proof_table = Table(
    "proof",
    metadata,
    Column("number", Identity, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("domain", Text, nullable=False),  # kept when the domain is given up: it tells of what was
    Column("customer_id", Integer, nullable=False),
    Column("route_id", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("header_from", Text, nullable=False),
    Column("probe", Text, nullable=False),  # the mailbox that it went to
    Column("message_id", Text, nullable=False),
    Column("nonce", Text, nullable=False, index=True),
    Column("words", Text, nullable=False),  # what the next hop answered
    Column("read_at", Moment),
    Column("ok", Boolean),
    Column("seen", Json, nullable=False),
    Index("ix_proof_place", "domain", "route_id", "number"),
)


class ProofState(StrEnum):
    ASKED = "asked"  # it is being sent
    SENT = "sent"  # the route has taken it; it has not come yet
    REFUSED = "refused"  # the route did not take it: that is no proof against the domain
    LOST = "lost"  # it has not come in the time that was given
    READ = "read"  # it came, and was read: `ok` says what of it


@dataclass(frozen=True, slots=True)
class Signed:
    """A DKIM signature as the receiver saw it."""

    domain: str
    selector: str
    result: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the receiver said of the message. `remarks`: from_changed, not_signed, dkim_failed, spf_failed, dmarc_failed,
    not_aligned, aligned_by_one (of SPF and DKIM), organisations_differ, no_results (it says nothing that we can read)."""

    server: str = ""
    spf: str = "none"
    spf_domain: str = ""
    signatures: tuple[Signed, ...] = ()
    dmarc: str = "none"
    header_from: str = ""
    aligned_spf: bool = False
    aligned_dkim: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def dkim(self) -> str:
        """The best of the signatures' results."""
        results = [signature.result for signature in self.signatures]
        return "pass" if "pass" in results else next(iter(results), "none")

    def as_json(self) -> dict[str, Any]:
        signatures = [{"domain": one.domain, "selector": one.selector, "result": one.result} for one in self.signatures]
        return {
            "server": self.server, "spf": self.spf, "spf_domain": self.spf_domain, "signatures": signatures, "dmarc": self.dmarc,
            "header_from": self.header_from, "aligned_spf": self.aligned_spf, "aligned_dkim": self.aligned_dkim,
            "remarks": list(self.remarks),
        }  # fmt: skip

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Seen:
        signatures = tuple(Signed(**one) for one in value.get("signatures", ()))
        return cls(**{**value, "signatures": signatures, "remarks": tuple(value.get("remarks", ()))})


@dataclass(frozen=True, slots=True)
class Proof:
    """One probe message and what came of it. `at`: when it was read, or sent while it has not been."""

    id: str
    domain: str
    customer_id: int
    route_id: int
    state: ProofState
    at: datetime
    ok: bool | None
    header_from: str
    probe: str
    message_id: str
    nonce: str
    words: str = ""
    asked_by: str = ""
    seen: Seen = field(default_factory=Seen)

    @property
    def spf(self) -> str:
        return self.seen.spf

    @property
    def dkim(self) -> str:
        return self.seen.dkim

    @property
    def dmarc(self) -> str:
        return self.seen.dmarc

    @property
    def aligned(self) -> bool:
        return self.seen.aligned_spf or self.seen.aligned_dkim


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the newest probe message of a domain by a route came to."""

    domain: str
    route_id: int
    at: datetime
    ok: bool


# --- putting it there ------------------------------------------------------------------------------------------------


def begin_proof(tx: Transaction, proof: Proof) -> None:
    """Write down that a probe message is about to leave, before it does."""
    tx.execute(
        insert(proof_table).values(
            id=proof.id, domain=proof.domain, customer_id=proof.customer_id, route_id=proof.route_id, state=proof.state,
            asked_at=proof.at, asked_by=proof.asked_by, header_from=proof.header_from, probe=proof.probe,
            message_id=proof.message_id, nonce=proof.nonce, words="", seen={},
        )
    )  # fmt: skip


def note_sent(tx: Transaction, id: str, state: ProofState, words: str) -> None:
    """What the route's next hop answered."""
    asked = (proof_table.c.id == id) & (proof_table.c.state == ProofState.ASKED)
    tx.execute(update(proof_table).where(asked).values(state=state, words=words[:500]))


def note_lost(tx: Transaction, id: str) -> None:
    """It did not come in time. When it comes later after all, it counts all the same."""
    sent = (proof_table.c.id == id) & (proof_table.c.state == ProofState.SENT)
    tx.execute(update(proof_table).where(sent).values(state=ProofState.LOST))


def note_read(tx: Transaction, id: str, ok: bool, seen: Seen, now: datetime) -> bool:
    """What the receiver said. The first reading stands: False when there was one. Routing knows of it within a second."""
    table = proof_table.c
    unread = (table.id == id) & (table.state != ProofState.READ)
    values = {"state": ProofState.READ, "ok": ok, "seen": seen.as_json(), "read_at": now}
    if tx.execute(update(proof_table).where(unread).values(**values)).rowcount != 1:
        return False
    touch(tx)
    return True


# --- asking ----------------------------------------------------------------------------------------------------------


def proofs(tx: Transaction, customer_id: int | None = None) -> list[Proof]:
    """The newest reading of each domain and route: what is known now, of one customer or of all."""
    rows = select(proof_table).where(proof_table.c.number.in_(_newest())).order_by(proof_table.c.domain)
    if customer_id is not None:
        rows = rows.where(proof_table.c.customer_id == customer_id)
    return [_proof(row) for row in tx.execute(rows)]


def _newest() -> Select[tuple[int]]:
    """The newest reading of each domain and route; what was sent and not read says nothing."""
    table = proof_table.c
    return select(func.max(table.number)).where(table.state == ProofState.READ).group_by(table.domain, table.route_id)


def proofs_of(tx: Transaction, domain: str) -> list[Proof]:
    """Every proof of the domain, newest first, also those that never came."""
    rows = select(proof_table).where(proof_table.c.domain == domain).order_by(proof_table.c.number.desc())
    return [_proof(row) for row in tx.execute(rows)]


def proof_by_id(tx: Transaction, id: str) -> Proof:
    """Raises NotFound."""
    row = tx.execute(select(proof_table).where(proof_table.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(kind="proof", name=id[:40])
    return _proof(row)


def awaited(tx: Transaction, nonces: Sequence[str]) -> dict[str, Proof]:
    """Of these nonces those that a probe message was sent with and that have not been read yet."""
    table = proof_table.c
    unread = table.nonce.in_(list(nonces)) & (table.state != ProofState.READ)
    return {row.nonce: _proof(row) for row in tx.execute(select(proof_table).where(unread))}


def waiting_since(tx: Transaction, since: datetime) -> list[Proof]:
    """What was sent after `since` and has not been read."""
    table = proof_table.c
    waiting = table.state.in_([ProofState.SENT, ProofState.LOST]) & (table.asked_at >= since)
    return [_proof(row) for row in tx.execute(select(proof_table).where(waiting).order_by(table.number))]


def verdicts(tx: Transaction) -> list[Verdict]:
    """What `proofs` says, without what was seen: for whoever asks about thousands."""
    table = proof_table.c
    query = select(table.domain, table.route_id, table.read_at, table.ok).where(table.number.in_(_newest()))
    return [Verdict(row.domain, row.route_id, row.read_at, bool(row.ok)) for row in tx.execute(query)]


def tried_since(tx: Transaction, since: datetime) -> frozenset[tuple[str, int]]:
    """Domain and route of every probe message asked for after `since`."""
    table = proof_table.c
    rows = select(table.domain, table.route_id).where(table.asked_at > since).distinct()
    return frozenset((row.domain, row.route_id) for row in tx.execute(rows))


def load_proven(tx: Transaction) -> frozenset[tuple[str, int]]:
    """Domain and route of every pair whose newest proof passed: what routing asks."""
    return frozenset((one.domain, one.route_id) for one in verdicts(tx) if one.ok)


def _proof(row: Row[tuple[object, ...]]) -> Proof:
    return Proof(
        row.id, row.domain, row.customer_id, row.route_id, ProofState(row.state), row.read_at or row.asked_at, row.ok,
        row.header_from, row.probe, row.message_id, row.nonce, row.words, row.asked_by,
        Seen.of_json(row.seen) if row.seen else Seen(),
    )  # fmt: skip
