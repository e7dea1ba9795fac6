"""The supplier's page as data: one domain, for whoever has the link, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from ombud.db import Database
from ombud.domains import keep_key
from ombud.domains.proof import Proof, ProofState, Seen, begin_proof, note_read, note_sent
from ombud.domains.shares import latest_word, renew_shares, revoke_shares, share
from ombud.errors import NotFound
from ombud.mail.dkim import new_key
from ombud.routing import assign, load_facts, put_route
from tests.conftest import NOON, Cast
from tests.web.conftest import House, on_sqlite

KEY = new_key("eken.example", "om1")
DOMAIN = "eken.example"


def made(house: House, **more: Any) -> str:
    with house.web.database.write() as tx:
        return share(tx, house.web.seal, DOMAIN, "anna", NOON, **more)


@pytest.fixture
def signed(house: House, cast: Cast) -> House:
    """Eken's mail takes a route that Ombud signs, and there is a key for it."""
    with house.web.database.write() as tx:
        put_route(
            tx, house.web.seal, "signing", "smtp", {"host": "smtp.x.example", "tls": "none"}, None, NOON, sign=True
        )
        route = load_facts(tx).route("signing")
        assert route
        assign(tx, cast.eken.id, None, route.id, NOON)
        keep_key(tx, house.web.seal, KEY, NOON)
    return house


async def test_the_link_shows_the_records_in_three_forms_and_what_is_known(signed: House) -> None:
    answer = await signed.call("", "GET", f"/v1/shares/{made(signed)}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store" and answer.headers["referrer-policy"] == "no-referrer"
    page = answer.json()
    assert (page["domain"], page["state"], page["dns_host"]) == (DOMAIN, "unchecked", None)
    (row,) = [one for one in page["forms"]["json"] if one["fqdn"] == KEY.record_name]
    assert (row["type"], row["name"], row["zone"]) == ("TXT", "om1._domainkey", DOMAIN)
    assert f"{KEY.record_name}. 3600 IN TXT " in page["forms"]["bind"]
    assert {one["name"] for one in page["forms"]["fields"]} >= {"om1._domainkey"}
    terraform = json.loads(page["forms"]["terraform"])["resource"]["dns_txt_record_set"]
    assert terraform["ombud_txt_om1_domainkey_eken_example"]["txt"] == [row["value"]]
    assert [one["what"] for one in page["log"]] == ["made"]


async def test_done_and_cannot_are_noted_and_reading_changes_nothing(signed: House) -> None:
    token = made(signed)
    before = (await signed.call("", "GET", f"/v1/shares/{token}")).json()
    done = await signed.call("", "POST", f"/v1/shares/{token}/done")
    assert (done.status_code, done.json()["noted"]) == (202, True)
    cannot = await signed.call("", "POST", f"/v1/shares/{token}/cannot", json={"reason": "Panelen tar inte _ i namn"})
    assert cannot.status_code == 202
    after = (await signed.call("", "GET", f"/v1/shares/{token}")).json()
    assert [one["what"] for one in before["log"]] == ["made"]
    assert [(one["what"], one["reason"]) for one in after["log"]] == [
        ("made", ""), ("done", ""), ("cannot", "Panelen tar inte _ i namn"),
    ]  # fmt: skip
    with signed.web.database.read() as tx:
        word = latest_word(tx, DOMAIN, signed.web.directory.value.customer("eken").id)
    assert word is not None and word.what == "cannot"


@pytest.mark.parametrize(
    "reason", [{}, {"reason": ""}, {"reason": "x" * 1001}, {"reason": "x", "more": 1}, {"reason": 3}]
)
@on_sqlite
async def test_a_reason_is_a_text_and_nothing_else(signed: House, reason: Mapping[str, Any]) -> None:
    token = made(signed)
    answer = await signed.call("", "POST", f"/v1/shares/{token}/cannot", json=reason)
    assert answer.status_code == 422
    assert [one["what"] for one in (await signed.call("", "GET", f"/v1/shares/{token}")).json()["log"]] == ["made"]


async def test_a_link_that_is_forged_revoked_or_of_another_kind_opens_nothing(signed: House) -> None:
    token = made(signed)
    for wrong in ("x", token[:-1] + ("0" if token[-1] != "0" else "1"), token.upper()):
        assert code(await signed.call("", "GET", f"/v1/shares/{wrong}")) == "link_forged"
        assert code(await signed.call("", "POST", f"/v1/shares/{wrong}/done")) == "link_forged"
    with signed.web.database.write() as tx:
        assert revoke_shares(tx, DOMAIN, NOON) == 1
        assert revoke_shares(tx, DOMAIN, NOON) == 0
    assert code(await signed.call("", "GET", f"/v1/shares/{token}")) == "link_revoked"


async def test_a_link_ends_and_can_be_renewed(signed: House) -> None:
    token = made(signed, days=1)
    with signed.web.database.write() as tx:
        with pytest.raises(NotFound):
            share(tx, signed.web.seal, "nobody.example", "anna", NOON)
        assert renew_shares(tx, DOMAIN, NOON + timedelta(days=1), days=40) == 1
    page = (await signed.call("", "GET", f"/v1/shares/{token}")).json()
    assert page["valid_until"].startswith("2024-06-17")


async def test_a_proof_is_shown_to_whoever_has_its_id(house: House, database: Database) -> None:
    proof = Proof(
        "01j0000000000000000000proof", DOMAIN, 1, 7, ProofState.ASKED, NOON, None, "ombud-prov@eken.example", "p@x.example",
        "<1@x.example>", "0" * 32,
    )  # fmt: skip
    with house.web.database.write() as tx:
        begin_proof(tx, proof)
        note_sent(tx, proof.id, ProofState.SENT, "250 ok")
        note_read(
            tx, proof.id, True, Seen("mx.x.example", "pass", DOMAIN, (), "pass", proof.header_from, True, False), NOON
        )
    shown = (await house.call("", "GET", f"/v1/proofs/{proof.id}")).json()
    assert (shown["ok"], shown["spf"], shown["aligned"], shown["at"]) == (
        True, "pass", {"spf": True, "dkim": False}, "2024-05-07T10:00:00Z",
    )  # fmt: skip
    assert (await house.call("", "GET", "/v1/proofs/01jnothing")).status_code == 404


def code(answer: httpx2.Response) -> str:
    return str(answer.json()["code"])
