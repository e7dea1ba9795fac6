"""Whose a domain is: claims by token, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ombud.db import Database
from ombud.dns import Answer, Status
from ombud.domains import load_ownership, prove_domain
from ombud.domains.claims import Claim, claim_domain, open_claims, settle_claim, take_due_claims, withdraw_claims
from ombud.errors import ClaimNotSeen, DomainTaken, FreeMail, NotFound, PublicSuffix
from tests.conftest import NOON, Cast

LATER = NOON + timedelta(days=30)


def answer(*tokens: str, aliases: tuple[str, ...] = (), status: Status | None = None) -> Answer:
    values = tuple(f"ombud-claim={token}" for token in tokens)
    status = status or (Status.FOUND if values else Status.ABSENT)
    return Answer("_ombud.kund.example", "TXT", status, values, aliases=aliases)


SILENT = answer(status=Status.UNKNOWN)


def claim(database: Database, cast: Cast, who: str = "eken", domain: str = "kund.example") -> Claim:
    with database.write() as tx:
        return claim_domain(tx, domain, getattr(cast, who), NOON)


def settle(database: Database, cast: Cast, made: Claim, *answers: Answer, who: str = "eken") -> bool:
    with database.write() as tx:
        return settle_claim(tx, made, answers, getattr(cast, who), LATER)


def owner(database: Database, domain: str = "kund.example") -> int | None:
    with database.read() as tx:
        found = load_ownership(tx).owner(domain)
        return found.customer_id if found else None


def test_a_domain_is_the_customers_once_its_token_stands_in_dns(database: Database, cast: Cast) -> None:
    made = claim(database, cast)
    assert (made.record.name, made.record.kind) == ("_ombud.kund.example", "TXT")
    for answers in ((), (SILENT,), (answer(),), (answer("another"),), (answer(made.token), answer())):
        with pytest.raises(ClaimNotSeen):
            settle(database, cast, made, *answers)
    assert owner(database) is None
    assert settle(database, cast, made, answer(made.token), SILENT)
    assert owner(database) == owner(database, "hyra.kund.example") == cast.eken.id
    with database.read() as tx:
        assert open_claims(tx) == []


def test_a_token_is_never_used_twice(database: Database, cast: Cast) -> None:
    first = claim(database, cast)
    assert claim(database, cast).token == first.token, (
        "an open claim stays as it is, so that nothing changes while you wait"
    )
    with database.write() as tx:
        withdraw_claims(tx, "kund.example", cast.eken.id, NOON)
    assert claim(database, cast).token != first.token
    assert claim(database, cast, domain="annan.example").token != first.token
    with pytest.raises(NotFound), database.write() as tx:
        withdraw_claims(tx, "aldrig.example", cast.eken.id, NOON)


def test_two_customers_may_claim_and_whoever_publishes_first_has_it(database: Database, cast: Cast) -> None:
    ekens = claim(database, cast)
    lindens = claim(database, cast, "linden")
    assert lindens.contested and lindens.token != ekens.token
    assert settle(database, cast, lindens, answer(lindens.token), who="linden")
    with pytest.raises(ClaimNotSeen):
        settle(database, cast, ekens, answer(lindens.token))
    assert owner(database) == cast.linden.id


def test_what_an_operator_has_vouched_for_cannot_be_claimed_and_nobody_hears_whose_it_is(
    database: Database, cast: Cast
) -> None:
    with database.write() as tx:
        prove_domain(tx, "kund.example", cast.linden, "operator", "seen by letter", NOON)
    with pytest.raises(DomainTaken) as caught:
        claim(database, cast)
    said = caught.value.text("sv") + caught.value.text("en") + repr(caught.value.details)
    assert cast.linden.name not in said and cast.linden.slug not in said


def test_a_domain_that_was_proved_by_token_goes_over_only_when_that_token_is_definitely_gone(
    database: Database, cast: Cast
) -> None:
    old = claim(database, cast, "linden")
    settle(database, cast, old, answer(old.token), who="linden")
    new = claim(database, cast)
    assert not new.contested
    for answers in ((answer(new.token, old.token),), (answer(new.token), SILENT)):
        with pytest.raises(DomainTaken):
            settle(database, cast, new, *answers)
    assert owner(database) == cast.linden.id
    assert settle(database, cast, new, answer(new.token), answer(new.token))
    assert owner(database) == cast.eken.id


def test_an_alias_proves_nothing(database: Database, cast: Cast) -> None:
    made = claim(database, cast)
    with pytest.raises(ClaimNotSeen):
        settle(database, cast, made, answer(made.token, aliases=("somebody.elsewhere.example",)))


def test_a_subdomain_is_the_owners_unless_somebody_else_proves_it(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        prove_domain(tx, "kund.example", cast.linden, "operator", "seen", NOON)
    assert owner(database, "hyra.kund.example") == cast.linden.id
    made = claim(database, cast, domain="hyra.kund.example")
    settle(database, cast, made, answer(made.token))
    assert owner(database, "hyra.kund.example") == owner(database, "a.hyra.kund.example") == cast.eken.id
    assert owner(database, "kund.example") == cast.linden.id


def test_suffixes_and_free_mail_cannot_be_claimed(database: Database, cast: Cast) -> None:
    with pytest.raises(FreeMail):
        claim(database, cast, domain="gmail.com")
    with pytest.raises(PublicSuffix):
        claim(database, cast, domain="co.uk")


def test_a_claim_is_looked_for_without_end_and_by_one_process_at_a_time(database: Database, cast: Cast) -> None:
    claim(database, cast)
    now, seen = NOON, 0
    while now < NOON + timedelta(days=10):
        with database.write() as tx:
            seen += len(take_due_claims(tx, now, 10))
            assert take_due_claims(tx, now, 10) == []
        now += timedelta(hours=7)
    assert seen > 30
