"""What a domain needs: by the ways that its customer's mail takes, or is to take."""

from __future__ import annotations

from ombud.accounts import load_directory
from ombud.db import Database, Transaction
from ombud.domains import keep_key, load_ownership, prove_domain
from ombud.domains.volume import set_bulk_sender
from ombud.mail.dkim import new_key
from ombud.mail.records import Purpose
from ombud.mail.rules import Receiver
from ombud.needs import Needs, needs_of
from ombud.routing import assign, load_facts, put_route
from ombud.seal import Seal
from tests.conftest import NOON, Cast

SEAL = Seal(bytes(32))
ZONE = "dkim.vendor.example"


def needs(tx: Transaction, zone: str = "") -> Needs:
    domain = load_ownership(tx).domains["kund.example"]
    return needs_of(tx, domain, load_facts(tx), load_directory(tx), NOON, zone)


def set_up(tx: Transaction, cast: Cast, **route: object) -> None:
    prove_domain(tx, "kund.example", cast.eken, "operator", "seen", NOON)
    settings = {"host": "smtp.vendor.example", "return_path": "studs", "return_path_target": "studs.vendor.example"}
    put_route(tx, SEAL, "ny", "smtp", settings, None, NOON, **route)  # type: ignore[arg-type]  # by name
    made = load_facts(tx).route("ny")
    assert made
    assign(tx, cast.eken.id, None, made.id, NOON)


def test_a_domain_whose_mail_takes_no_way_needs_nothing(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        prove_domain(tx, "kund.example", cast.eken, "operator", "seen", NOON)
        assert needs(tx) == Needs()


def test_a_route_that_signs_needs_a_key_and_says_when_there_is_none(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        set_up(tx, cast, sign=True)
        assert needs(tx).keyless
        keep_key(tx, SEAL, new_key("kund.example", "om1", "ed25519-sha256"), NOON)
        found = needs(tx)
    assert not found.keyless
    assert [(one.purpose, one.kind, one.name) for one in found.records] == [
        (Purpose.DKIM, "TXT", "om1._domainkey.kund.example"), (Purpose.RETURN_PATH, "CNAME", "studs.kund.example"),
    ]  # fmt: skip
    assert {one.asked_by for one in found.records} == {"dkim", "ny"}


def test_a_vendors_zone_makes_two_aliases_of_it_of_which_one_waits_for_its_key(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        set_up(tx, cast, sign=True)
        before = needs(tx, ZONE)
        keep_key(tx, SEAL, new_key("kund.example", "om1", "rsa-sha256"), NOON, vendor_zone=ZONE)
        after = needs(tx, ZONE)
    keys = [one for one in after.records if one.purpose is Purpose.DKIM]
    assert [(one.kind, one.name, one.spare) for one in keys] == [
        ("CNAME", "om1._domainkey.kund.example", False), ("CNAME", "om2._domainkey.kund.example", True),
    ]  # fmt: skip
    assert [one.value for one in before.records] == [one.value for one in after.records], (
        "what is published never changes"
    )
    assert not before.keyless


def test_a_route_that_does_not_sign_asks_for_no_key(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        set_up(tx, cast)
        found = needs(tx, ZONE)
    assert [one.purpose for one in found.records] == [Purpose.RETURN_PATH] and not found.keyless


def test_who_sends_in_bulk_must_have_dmarc(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        set_up(tx, cast)
        assert not needs(tx).bulk
        set_bulk_sender(tx, "kund.example", Receiver.GMAIL, "anna", "told so", NOON)
        assert needs(tx).bulk
