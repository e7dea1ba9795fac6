"""Probe messages through the whole world: a real smart host passes them on, a real receiver judges them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ombud.clock import TurnedClock
from ombud.db import Database
from ombud.delivery.prover import Prover
from ombud.delivery.proving import FIELD, new_proof, probe_message, read_probe
from ombud.dns import Resolver, Zone
from ombud.domains import KeyRing, Ownership, load_ownership, load_proven, proofs, prove_domain
from ombud.domains.proof import ProofState, Seen, proof_by_id, proofs_of
from ombud.errors import DomainUnknown, NoProbeMailbox
from ombud.mail.dkim import SigningKey, dns_record, new_key
from ombud.providers import make_provider
from ombud.providers.provider import Provider, Surroundings
from ombud.routing import Limits, Route
from ombud.sandbox.world import World
from ombud.settings import ProofSettings
from tests.conftest import NOON, Cast

PROBE = "prov@hemmanet.example"
SERVER = "mx.hemmanet.example"
KEY = new_key("eken.example", "om1")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "world")
    await world.start()
    world.zones.withdraw("eken.example", "TXT")
    world.zones.withdraw("_dmarc.eken.example", "TXT")
    world.zones.publish("_dmarc.eken.example", "TXT", "v=DMARC1; p=reject")
    yield world
    await world.stop()


@pytest.fixture
def house(world: World, database: Database, cast: Cast) -> Prover:
    with database.write() as tx:
        prove_domain(tx, "eken.example", cast.eken, "operator", "seen", NOON)
    address = f"{world.dns[0]}:{world.dns[1]}"
    resolver = Resolver([address], authority_port=world.dns[1])

    def make(route: Route) -> Provider:
        around = Surroundings(resolver.addresses, "ombud.molntjanst.example")
        return make_provider(route.provider, route.settings, "demo-mailgun-eu", around, connections=2)

    settings = ProofSettings(mailbox=PROBE, maildir=world.mail / "hemmanet.example", server=SERVER)

    return Prover(
        settings, database.reading, database.writing, TurnedClock(NOON), resolver.ask, make, "ombud.molntjanst.example"
    )


def route(world: World, *, sign: bool = True, **more: object) -> Route:
    relay = next(relay for relay in world.relays if relay.name == "mailgun-eu")
    servers = world.addresses()["servers"]
    assert isinstance(servers, dict)
    settings = {
        "host": relay.host, "port": servers["mailgun-eu"]["port"], "tls": "required", "user": relay.user,
        "ca_file": str(world.ca_file), **more,
    }  # fmt: skip
    return Route(7, "mailgun-eu", "smtp", settings, None, "EU", sign, True, Limits(), False)


def known(database: Database, *keys: SigningKey) -> tuple[Ownership, KeyRing]:
    with database.read() as tx:
        return load_ownership(tx), KeyRing({"eken.example": keys} if keys else {})


async def test_a_message_that_was_really_signed_proves_the_domain_for_that_route(
    world: World, house: Prover, database: Database
) -> None:
    world.publish(KEY.record_name, "TXT", dns_record(KEY))
    world.publish("eken.example", "TXT", "v=spf1 include:spf.mailgun-eu.example -all")
    sent = await house.prove("eken.example", route(world), *known(database, KEY), by="anna")
    assert (sent.state, sent.ok) == (ProofState.SENT, None)
    (proof,) = await house.wait_for([sent], 10)
    assert (proof.state, proof.ok, proof.spf, proof.dkim, proof.dmarc, proof.aligned) == (
        ProofState.READ, True, "pass", "pass", "pass", True,
    )  # fmt: skip
    assert proof.seen.remarks == () and proof.seen.header_from == "ombud-prov@eken.example"
    assert [(one.domain, one.selector, one.result) for one in proof.seen.signatures] == [
        ("eken.example", "om1", "pass")
    ]
    with database.read() as tx:
        assert load_proven(tx) == {("eken.example", 7)}
        assert proof_by_id(tx, proof.id) == proof
        assert [one.id for one in proofs(tx)] == [proof.id]


@pytest.mark.parametrize(
    ("records", "signed", "ok", "remarks"),
    [
        ([], True, False, ("dkim_failed", "spf_failed", "dmarc_failed", "not_aligned")),
        (["spf"], False, True, ("not_signed", "aligned_by_one")),
        (["dkim"], True, True, ("spf_failed", "aligned_by_one")),
        ([], False, False, ("not_signed", "spf_failed", "dmarc_failed", "not_aligned")),
    ],
)
async def test_what_the_receiver_said_is_told_and_decides(
    world: World,
    house: Prover,
    database: Database,
    records: list[str],
    signed: bool,
    ok: bool,
    remarks: tuple[str, ...],
) -> None:
    if "dkim" in records:
        world.publish(KEY.record_name, "TXT", dns_record(KEY))
    if "spf" in records:
        world.publish("eken.example", "TXT", "v=spf1 include:spf.mailgun-eu.example -all")
    sent = await house.prove("eken.example", route(world, sign=signed), *known(database, KEY), by="anna")
    (proof,) = await house.wait_for([sent], 10)
    assert (proof.ok, proof.seen.remarks) == (ok, remarks)
    with database.read() as tx:
        assert load_proven(tx) == ({("eken.example", 7)} if ok else set())


async def test_a_later_proof_that_fails_takes_the_earlier_one_back(
    world: World, house: Prover, database: Database
) -> None:
    world.publish(KEY.record_name, "TXT", dns_record(KEY))
    for expected in (True, False):
        sent = await house.prove("eken.example", route(world), *known(database, KEY), by="anna")
        (proof,) = await house.wait_for([sent], 10)
        assert proof.ok is expected
        world.zones.withdraw(KEY.record_name, "TXT")
    with database.read() as tx:
        assert load_proven(tx) == frozenset()
        assert [one.ok for one in proofs_of(tx, "eken.example")] == [False, True]


async def test_a_route_that_does_not_take_it_proves_nothing_either_way(
    world: World, house: Prover, database: Database
) -> None:
    proof = await house.prove("eken.example", route(world, port=1), *known(database, KEY), by="anna")
    assert (proof.state, proof.ok) == (ProofState.REFUSED, None) and proof.words
    assert await house.wait_for([proof], 5) == [proof]


async def test_what_does_not_come_is_lost_and_counts_when_it_comes_late(
    world: World, house: Prover, database: Database, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "empty"
    elsewhere.mkdir()
    away = replace(house, settings=house.settings.model_copy(update={"maildir": elsewhere}))
    sent = await away.prove("eken.example", route(world), *known(database, KEY), by="anna")
    assert await away.read() == []
    with database.read() as tx:
        assert proof_by_id(tx, sent.id).state is ProofState.SENT  # there is time yet
    later = replace(away, clock=TurnedClock(NOON + timedelta(hours=2)))
    assert await later.read() == []
    with database.read() as tx:
        assert proof_by_id(tx, sent.id).state is ProofState.LOST
    (proof,) = await house.wait_for([replace(sent, state=ProofState.SENT)], 10)
    assert proof.state is ProofState.READ


async def test_nobody_can_put_a_proof_into_the_mailbox(house: Prover, database: Database) -> None:
    ownership, ring = known(database, KEY)
    proof = new_proof("eken.example", 1, 7, PROBE, "ombud.example", "anna", NOON)
    content = probe_message(proof, True, ownership, ring).content
    said = f"Authentication-Results: {SERVER}; dkim=pass header.d=eken.example\r\n".encode()
    ask = Zone({"_dmarc.eken.example": {"TXT": ["v=DMARC1; p=none"]}}).ask
    assert (await read_probe(ask, proof, said + content, SERVER)) is not None
    other = replace(proof, message_id="<another@ombud.example>")
    assert await read_probe(ask, other, said + content, SERVER) is None  # the nonce alone is not enough
    assert await read_probe(ask, replace(proof, nonce="0" * 32), said + content, SERVER) is None
    verdict = await read_probe(ask, proof, content.replace(b"Subject:", said + b"Subject:"), "mx.another.example")
    assert verdict is not None and verdict[0] is False and verdict[1].remarks == ("no_results",)
    assert await house.take_message(said + content) is None  # it was never sent


async def test_a_from_that_was_changed_on_the_way_is_no_proof(database: Database, house: Prover) -> None:
    proof = new_proof("eken.example", 1, 7, PROBE, "ombud.example", "anna", NOON)
    content = probe_message(proof, False, *known(database)).content
    changed = content.replace(b"ombud-prov@eken.example", b"noreply@leverantor.example")
    said = f"Authentication-Results: {SERVER}; dkim=pass header.d=eken.example; dmarc=pass\r\n".encode()
    ask = Zone({"_dmarc.eken.example": {"TXT": ["v=DMARC1; p=none"]}}).ask
    verdict = await read_probe(ask, proof, said + changed, SERVER)
    assert verdict is not None
    assert (verdict[0], verdict[1].header_from) == (False, "noreply@leverantor.example")
    assert "from_changed" in verdict[1].remarks


DKIM, SPF = "dkim=pass header.d=eken.example", "spf=pass smtp.mailfrom=x@eken.example"


@pytest.mark.parametrize(
    ("said", "ok", "remarks"),
    [
        (f"{DKIM}; {SPF}; dmarc=pass", True, ()),
        (f"{DKIM}; {SPF}; dmarc=fail", False, ("dmarc_failed",)),
        (f"{DKIM}; spf=fail smtp.mailfrom=x@eken.example", True, ("spf_failed", "aligned_by_one")),
        (f"dkim=fail header.d=eken.example; {SPF}", True, ("dkim_failed", "aligned_by_one")),
        ("dkim=fail header.d=eken.example; spf=softfail smtp.mailfrom=x@eken.example", False,
         ("dkim_failed", "spf_failed", "not_aligned")),
        ("dkim=pass header.d=mailgun.example; spf=pass smtp.mailfrom=x@mailgun.example", False, ("not_aligned",)),
    ],
)  # fmt: skip
async def test_what_passes_must_speak_for_the_very_domain(said: str, ok: bool, remarks: tuple[str, ...]) -> None:
    verdict = await judged("eken.example", said)
    assert (verdict[0], verdict[1].remarks) == (ok, remarks)


async def test_it_must_be_aligned_as_new_receivers_see_it_and_as_old_ones_do() -> None:
    # Two of that host's customers: by the tree walk its DMARC record makes one organisation of them, by the list they are two.
    verdict = await judged("a.github.io", "spf=pass smtp.mailfrom=x@b.github.io; dkim=pass header.d=b.github.io")
    assert (verdict[0], verdict[1].remarks) == (False, ("not_aligned", "organisations_differ"))


async def test_a_message_that_came_with_two_from_fields_is_no_proof() -> None:
    verdict = await judged("eken.example", f"{DKIM}; {SPF}", b"From: a@another.example\r\n")
    assert (verdict[0], verdict[1].header_from) == (False, "")


async def judged(domain: str, said: str, more: bytes = b"") -> tuple[bool, Seen]:
    """What comes of a probe message of which its receiver has said this."""
    proof = new_proof(domain, 1, 7, PROBE, "ombud.example", "anna", NOON)
    head = f"{FIELD}: {proof.nonce}\r\nMessage-ID: {proof.message_id}\r\nFrom: Ombud <{proof.header_from}>\r\n".encode()
    ask = Zone({f"_dmarc.{name}": {"TXT": ["v=DMARC1; p=none"]} for name in ("eken.example", "github.io")}).ask
    top = f"Authentication-Results: {SERVER}; {said}\r\n".encode()
    verdict = await read_probe(ask, proof, top + head + more + b"\r\nHej\r\n", SERVER)
    assert verdict is not None
    return verdict


async def test_what_is_missing_is_told_before_anything_is_sent(world: World, house: Prover, database: Database) -> None:
    ownership, ring = known(database)
    with pytest.raises(DomainUnknown):
        await house.prove("linden.example", route(world), ownership, ring, by="anna")
    bare = replace(house, settings=ProofSettings())
    with pytest.raises(NoProbeMailbox):
        await bare.prove("eken.example", route(world), ownership, ring, by="anna")
