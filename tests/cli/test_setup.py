"""Setting an installation up: apply, customers, products, domains, routes, credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024" / "ombud.toml"


# --- apply ---------------------------------------------------------------------------------------------------------


def test_apply_tells_what_it_did_and_the_second_time_that_it_did_nothing(bare: Any) -> None:
    first = bare("apply", EXAMPLE).json
    assert first["added"] > 40
    assert {"done": "added", "kind": "product", "name": "hyra", "detail": "Hyra"} in first["steps"]
    again = bare("apply", EXAMPLE).json
    assert (again["added"], again["changed"], again["removed"], again["same"]) == (0, 0, 0, len(again["steps"]))
    assert bare("apply", EXAMPLE, "--table").out == f"0 added, 0 changed, 0 removed, {again['same']} the same.\n"


def test_a_dry_run_of_apply_changes_nothing(bare: Any) -> None:
    said = bare("apply", EXAMPLE, "--dry-run", "--table", "--lang", "sv").out
    assert "+ customer eken  (Bostads AB Eken)" in said
    assert said.endswith("Detta var en provkörning: inget ändrades.\n")
    assert not bare.directory.exists()
    bare("apply", EXAMPLE)
    before = bare("customers", "list").json
    assert bare("apply", EXAMPLE, "--dry-run").json["same"] > 40
    assert bare("customers", "list").json == before


def test_apply_says_which_tables_of_a_file_only_the_service_reads(bare: Any) -> None:
    assert "Settings are not read from this file, but from " in (said := bare("apply", EXAMPLE, "--table").err)
    assert f"{bare.directory / 'ombud.toml'}: [service]." in said
    assert bare("apply", EXAMPLE).json["unread"] == ["service"]
    own = bare.directory / "ombud.toml"
    own.write_text('[service]\nname = "mail.example.se"\n')
    assert bare("apply", own).json["unread"] == []


def test_apply_names_the_mistake(bare: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("[[products]]\nslug = 'hyra'\nname = 'Hyra'\nrouet = 'x'\n")
    error = bare("apply", tmp_path / "wrong.toml", code=1).error
    assert error["code"] == "misconfigured"
    assert "wrong.toml: [[products]] hyra: rouet is not known here; did you mean route?" in error["detail"]
    assert not bare.directory.exists()


# --- customers, products -------------------------------------------------------------------------------------------


def test_customers_are_listed_added_and_shown(ombud: Any) -> None:
    assert [one["slug"] for one in ombud("customers", "list").json][:3] == ["angsgarden", "bjallerbo", "eken"]
    add = ("customers", "add", "linden", "--name", "Stiftelsen Linden", "--org-number", "5599901013")
    assert ombud(*add).json == {"customer": "linden", "change": "added"}
    assert ombud(*add).json["change"] == "same"
    assert ombud("customers", "add", "linden", "--contact-name", "Bo").json["change"] == "changed"
    linden = ombud("customers", "show", "linden").json
    assert (linden["name"], linden["org_number"], linden["contact_name"]) == ("Stiftelsen Linden", "559990-1013", "Bo")
    eken = ombud("customers", "show", "eken").json
    assert eken["domains"] == ["eken.example"]
    ways = {one["product"]: (one["action"], one["route"], one["reason"]) for one in eken["routes"]}
    assert ways["hyra"] == ("send", "eken-egen", "choice_live")
    assert ways["ombud"] == ("send", "egen-server", "product_route")
    bjallerbo = ombud("customers", "show", "bjallerbo", "--at", "2024-06-01T00:00").json
    assert {one["reason"] for one in bjallerbo["routes"] if one["action"] == "refuse"} == {"no_active_choice"}
    assert len(bjallerbo["routes"]) == 8, "every product has an answer"


@pytest.mark.parametrize(
    "wrong",
    [
        ["Linden", "--name", "x"],
        ["linden", "--name", "x", "--org-number", "559990-1014"],
        ["linden", "--name", ""],
        ["linden", "--name", " "],
    ],
)
def test_a_customer_that_cannot_be_right_is_refused(ombud: Any, wrong: list[str]) -> None:
    assert ombud("customers", "add", *wrong, code=1).error["code"] == "bad_field"


def test_a_suspended_customers_mail_is_refused_until_it_is_resumed(ombud: Any) -> None:
    send = ("send", "--from", "a@eken.example", "--to", "b@storpost.example", "--text", "x", "--product", "hyra")
    explain = ("routes", "explain", "--customer", "eken", "--product", "hyra", "--to", "b@storpost.example")
    ombud("customers", "suspend", "eken", answer="n\n", code=1)
    ombud(*send)
    ombud("customers", "suspend", "eken", answer="y\n")
    assert ombud(*send, code=1).error["code"] == "customer_suspended"
    assert ombud(*explain).json["reason"] == "customer_suspended"
    assert ombud("customers", "resume", "eken").json == {"customer": "eken", "suspended": False}
    ombud(*send)


def test_products_are_listed_with_their_routes_and_added(ombud: Any) -> None:
    products = {one["slug"]: one for one in ombud("products", "list").json}
    assert len(products) == 8, "the vendor's seven, and Ombud itself"
    assert products["marknad"] == {"slug": "marknad", "name": "Marknad", "route": "egen-server"}
    assert ombud("products", "add", "portal", "--name", "Portal").json == {"product": "portal", "change": "added"}
    assert ombud("products", "add", "portal", "--name", "Portalen").json["change"] == "changed"
    assert ombud("products", "add", "Portal", "--name", "x", code=1).error["code"] == "bad_field"
    assert ombud("products", "add", "p", "--name", "\x1b[1m", code=1).error["code"] == "bad_field"


# --- domains -------------------------------------------------------------------------------------------------------


def test_a_domain_is_vouched_for_and_taken_back(ombud: Any) -> None:
    add = (
        "domains",
        "add",
        "Hyra.Bjällerbo.example",
        "--customer",
        "bjallerbo",
        "--proved",
        "--reason",
        "seen by letter",
    )
    assert ombud(*add).json == {"domain": "hyra.xn--bjllerbo-1za.example", "customer": "bjallerbo", "change": "added"}
    assert ombud(*add).json["change"] == "same"
    shown = ombud("domains", "show", "hyra.bjällerbo.example").json
    assert (shown["proof"], shown["reason"], shown["records"]) == ("operator", "seen by letter", [])
    ombud("domains", "remove", "hyra.bjällerbo.example", answer="n\n", code=1)
    assert ombud("domains", "remove", "hyra.bjällerbo.example", "--yes").json["change"] == "removed"
    assert ombud("domains", "show", "hyra.bjällerbo.example", code=1).error["code"] == "not_found"


def test_a_domain_that_is_taken_back_takes_its_keys_with_it(ombud: Any) -> None:
    ombud("domains", "remove", "lindgarden.example", "--yes")
    ombud("domains", "add", "lindgarden.example", "--customer", "norrvik", "--proved", "--reason", "bought")
    assert ombud("domains", "keys", "lindgarden.example").json == []


def test_a_domain_is_not_vouched_for_by_the_way_and_never_twice(ombud: Any) -> None:
    assert "--proved" in ombud("domains", "add", "a.example", "--customer", "eken", "--reason", "x", code=2).err
    taken = ("domains", "add", "eken.example", "--customer", "norrvik", "--proved", "--reason", "x")
    assert ombud(*taken, code=1).error["code"] == "domain_taken"


def test_domains_are_listed_by_customer(ombud: Any) -> None:
    assert len(ombud("domains", "list").json) == 13, "the twelve customers', and the vendor's own"
    (domain,) = ombud("domains", "list", "--customer", "lindgarden").json
    assert domain["keys"] == ["om1 (rsa-sha256)"]
    assert domain["proved_at"].endswith("Z")


def test_the_records_to_publish_are_printed_for_a_zone_file(ombud: Any) -> None:
    assert len(ombud("domains", "keys").json) == 4
    (record,) = ombud("domains", "keys", "lindgarden.example").json
    assert (record["name"], record["type"]) == ("om1._domainkey.lindgarden.example", "TXT")
    line = ombud("domains", "keys", "lindgarden.example", "--bind").out
    name, _, rest = line.partition(" 3600 IN TXT ")
    assert name == "om1._domainkey.lindgarden.example."
    strings = rest.strip().strip('"').split('" "')
    assert len(strings) == 2
    assert max(map(len, strings)) <= 255
    assert "".join(strings) == record["value"]


def test_a_new_key_is_made_under_a_new_name(ombud: Any) -> None:
    new = ("domains", "new-key", "lindgarden.example", "--selector", "om2", "--algorithm", "ed25519-sha256")
    assert ombud(*new).json["value"].startswith("v=DKIM1; k=ed25519; p=")
    assert ombud(*new, code=1).error["code"] == "bad_field"
    assert len(ombud("domains", "keys", "lindgarden.example").json) == 2
    assert ombud("domains", "new-key", "nobody.example", "--selector", "x", code=1).error["code"] == "not_found"


# --- routes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("customer", "product", "route", "reason"),
    [
        ("eken", "hyra", "eken-egen", "choice_live"),
        ("lindgarden", "hyra", "mailgun-eu", "choice_live"),
        ("bjallerbo", "hyra", "underleverantor", "legacy"),
        ("bjallerbo", "marknad", "egen-server", "legacy"),
    ],
)
def test_explain_says_which_way_and_why_at_a_moment(
    ombud: Any, customer: str, product: str, route: str, reason: str
) -> None:
    asked = ("routes", "explain", "--customer", customer, "--product", product, "--to", "anna@storpost.example")
    answer = {"action": "send", "route": route, "reason": reason, "at": "2024-05-31T23:59:59+02:00"}
    assert ombud(*asked, "--at", "2024-05-31T23:59:59", "--json").json.items() >= answer.items()
    assert ombud("--at", "2024-05-31T23:59:59", *asked).json.items() >= answer.items()


def test_explain_refuses_what_it_does_not_know(ombud: Any) -> None:
    def asked(customer: str, product: str, to: str) -> str:
        code: str = ombud("routes", "explain", "--customer", customer, "--product", product, "--to", to, code=1).error[
            "code"
        ]
        return code

    assert asked("nobody", "hyra", "a@b.example") == "not_found"
    assert asked("eken", "nothing", "a@b.example") == "not_found"
    assert asked("eken", "hyra", "a") == "bad_address"


def test_a_route_is_assigned_and_unassigned(ombud: Any) -> None:
    def way() -> str:
        asked = ("routes", "explain", "--customer", "bjallerbo", "--product", "hyra", "--to", "a@b.example")
        route: str = ombud(*asked).json["route"]
        return route

    assign = ("routes", "assign", "mailgun-eu", "--customer", "bjallerbo")
    assert ombud(*assign, "--dry-run").json["change"] == "changed"
    assert way() == "underleverantor", "a dry run"
    ombud(*assign)
    assert way() == "mailgun-eu"
    ombud("routes", "assign", "egen-server", "--customer", "bjallerbo", "--product", "hyra")
    assert way() == "egen-server"
    ombud("routes", "unassign", "--customer", "bjallerbo", "--product", "hyra")
    ombud("routes", "unassign", "--customer", "bjallerbo")
    assert way() == "underleverantor"
    assert ombud("routes", "unassign", "--customer", "bjallerbo", code=1).error["code"] == "not_found"
    ombud("routes", "assign", "mailgun-eu", "--product", "hyra")
    assert way() == "underleverantor", "the product is in a campaign, whose legacy route it has"


def test_another_customers_own_route_cannot_be_assigned(ombud: Any) -> None:
    assert "another customer" in ombud("routes", "assign", "eken-egen", "--customer", "norrvik", code=1).error["detail"]
    assert "another customer" in ombud("routes", "assign", "eken-egen", "--product", "hyra", code=1).error["detail"]


def test_a_route_is_added_shown_and_never_with_its_password(ombud: Any, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("väl hemligt\n")
    add = (
        "routes", "add", "norrvik-egen", "--set", "host=smtp.norrvik.example", "--set", "port=465", "--set", "tls=implicit",
        "--set", "user=4711", "--password-file", tmp_path / "password", "--limit", "connections=3", "--customer", "norrvik",
    )  # fmt: skip
    assert ombud(*add, "--dry-run").json["change"] == "added"
    assert ombud(*add).json == {"route": "norrvik-egen", "change": "added", "detail": "", "dry_run": False}
    said = ombud("routes", "show", "norrvik-egen")
    assert said.json["settings"] == {"host": "smtp.norrvik.example", "port": 465, "tls": "implicit", "user": "4711"}
    assert (said.json["owner"], said.json["password"]) == ("norrvik", True)
    assert said.json["limits"]["connections"] == 3
    assert "hemligt" not in said.out
    assert "hemligt" not in ombud("routes", "show", "norrvik-egen", "--table").out


@pytest.mark.parametrize(
    "wrong",
    [
        ["--set", "hots=x"],
        ["--set", "host"],
        ["--set", "host=a", "--limit", "speed=1"],
        ["--set", "host=a", "--limit", "connections=0"],
        ["--provider", "snail"],
        [],
    ],
)
def test_a_route_that_cannot_work_is_refused(ombud: Any, wrong: list[str]) -> None:
    assert ombud("routes", "add", "ny", *wrong, code=1).error["code"] == "bad_field"


def test_a_route_is_paused_and_resumed(ombud: Any) -> None:
    assert ombud("routes", "pause", "mailgun-eu").json == {"route": "mailgun-eu", "paused": True}
    assert {one["slug"]: one["paused"] for one in ombud("routes", "list").json}["mailgun-eu"] is True
    ombud("routes", "resume", "mailgun-eu")
    assert not any(one["paused"] for one in ombud("routes", "list").json)
    assert ombud("routes", "pause", "nix", code=1).error["code"] == "not_found"


# --- credentials ---------------------------------------------------------------------------------------------------


def test_a_credential_is_shown_once_listed_and_revoked(ombud: Any) -> None:
    made = ombud("credentials", "create", "--product", "hyra", "--customer", "eken", "--mode", "test").json
    assert made["api_key"] == f"ombud_test_{made['smtp_user']}_{made['smtp_password']}"
    ombud("credentials", "create", "--product", "marknad")
    listed = ombud("credentials", "list", "--customer", "eken")
    assert listed.json == [{"handle": made["handle"], "product": "hyra", "customer": "eken", "mode": "test"}]
    assert made["smtp_password"] not in listed.out
    assert [one["customer"] for one in ombud("credentials", "list", "--product", "marknad").json] == [None]
    ombud("credentials", "revoke", made["handle"], answer="n\n", code=1)
    ombud("credentials", "revoke", made["handle"], "--yes")
    assert ombud("credentials", "list", "--customer", "eken").json == []
    assert ombud("credentials", "revoke", made["handle"], "--yes", code=1).error["code"] == "not_found"
