"""The supplier's page as data: one domain, for whoever has the link, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from ombud.domains import forget_domain, keep_key, prove_domain
from ombud.domains.shares import open_share, page_log, renew_shares, revoke_shares, say_cannot, share
from ombud.domains.watchlist import watch_table
from ombud.errors import NotFound
from ombud.mail.dkim import new_key
from ombud.routing import assign, load_facts, put_route
from tests.conftest import NOON, Cast
from tests.web.conftest import House, on_sqlite, proof_that_was_read

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
    house.web.facts.refresh(house.web.database)
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


async def test_the_link_that_is_handed_out_leads_to_what_it_opens(signed: House) -> None:
    token = made(signed)
    answer = await signed.call("", "GET", f"/d/{token}")
    assert (answer.status_code, answer.headers["location"]) == (307, f"/v1/shares/{token}")
    assert (await signed.call("", "GET", "/d/a%0d%0ab")).headers["location"] == "/v1/shares/a%0D%0Ab"


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


async def test_what_was_done_again_at_once_is_noted_and_not_looked_at_again(signed: House) -> None:
    path = f"/v1/shares/{made(signed)}/done"
    assert (await signed.call("", "POST", path)).json() == {"noted": True, "looking": True}
    with signed.web.database.write() as tx:
        tx.execute(update(watch_table).values(checked_at=signed.web.clock.now()))
    assert (await signed.call("", "POST", path)).json() == {"noted": True, "looking": False}


async def test_a_link_opens_nothing_when_the_domain_is_anothers_or_nobodys(signed: House, cast: Cast) -> None:
    token = made(signed)
    with signed.web.database.write() as tx:
        forget_domain(tx, DOMAIN)
    assert code(await signed.call("", "GET", f"/v1/shares/{token}")) == "not_found"
    with signed.web.database.write() as tx:
        prove_domain(tx, DOMAIN, cast.linden, "operator", "seen", NOON)
    assert code(await signed.call("", "GET", f"/v1/shares/{token}")) == "not_found"
    assert code(await signed.call("", "POST", f"/v1/shares/{token}/done")) == "not_found"


async def test_the_log_goes_on_over_all_links_in_order(signed: House) -> None:
    first, hour, seal = made(signed), timedelta(hours=1), signed.web.seal
    with signed.web.database.write() as tx:
        say_cannot(tx, open_share(tx, seal, first, NOON), "semester", NOON + hour, "192.0.2.9")
        revoke_shares(tx, DOMAIN, NOON + hour * 2)
        second = share(tx, seal, DOMAIN, "bo", NOON + hour * 3)
        log = page_log(tx, open_share(tx, seal, second, NOON + hour * 3))
    assert [(one.what, one.by, one.at) for one in log] == [
        ("made", "anna", NOON), ("cannot", "it_supplier", NOON + hour), ("revoked", "", NOON + hour * 2),
        ("made", "bo", NOON + hour * 3),
    ]  # fmt: skip


async def test_a_link_ends_and_can_be_renewed(signed: House) -> None:
    token = made(signed, days=1)
    with signed.web.database.write() as tx:
        with pytest.raises(NotFound):
            share(tx, signed.web.seal, "nobody.example", "anna", NOON)
        assert renew_shares(tx, DOMAIN, NOON + timedelta(days=1), days=40) == 1
    page = (await signed.call("", "GET", f"/v1/shares/{token}")).json()
    assert page["valid_until"].startswith("2024-06-17")


async def test_a_proof_is_shown_to_whoever_has_its_id(house: House) -> None:
    with house.web.database.write() as tx:
        id = proof_that_was_read(tx)
    answer = await house.call("", "GET", f"/v1/proofs/{id}")
    assert answer.headers["x-robots-tag"] == "noindex"
    shown = answer.json()
    assert (shown["ok"], shown["spf"], shown["aligned"], shown["at"]) == (
        True, "pass", {"spf": True, "dkim": False}, "2024-05-07T10:00:00Z",
    )  # fmt: skip
    assert (shown["from"], shown["from_seen"]) == ("ombud-prov@eken.example", "ombud-prov@eken.example")
    assert shown["signatures"] == [{"domain": "x.example", "selector": "s1", "result": "pass"}]
    for wrong in ("01jnothing", id[:-1] + ("0" if id[-1] != "0" else "1"), id.upper(), "%00" * 26):
        assert code(await house.call("", "GET", f"/v1/proofs/{wrong}")) == "not_found"


def code(answer: httpx2.Response) -> str:
    return str(answer.json()["code"])
