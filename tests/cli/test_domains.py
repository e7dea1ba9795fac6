"""`ombud domains` and `ombud dns` by command, against a name server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ombud.sandbox.nameserver import Zones, txt
from tests.cli.conftest import serving

RECORDS = """
ns1.namnserver.example. IN A 127.0.0.1
lindgarden.example. IN MX 10 mx.lindgarden.example.
lindgarden.example. IN TXT "v=spf1 mx ~all"
mx.lindgarden.example. IN A 127.0.0.1
spf.mailgun-eu.example. IN TXT "v=spf1 ip4:127.0.21.1 -all"
_dmarc.lindgarden.example. IN TXT "v=DMARC1; p=none"
norrvik.example. IN TXT "v=spf1 -all"
norrvik.example. IN MX 0 .
kund.example. IN MX 10 mx.lindgarden.example.
kund.example. IN NS ns1.loopia.se.
kund.example. IN NS ns2.loopia.se.
"""


@pytest.fixture
def zones() -> Zones:
    made = Zones()
    made.add(RECORDS)
    return made


@pytest.fixture
def server(zones: Zones) -> Iterator[str]:
    with serving(zones) as made:
        yield f"127.0.0.1:{made.address[1]}"


@pytest.fixture
def asking(ombud: Any, server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An installation of the example whose DNS is that server."""
    monkeypatch.setenv("OMBUD_DELIVERY__DNS_SERVERS", f'["{server}"]')
    monkeypatch.setenv("OMBUD_DNS__AUTHORITY_PORT", server.rpartition(":")[2])
    return ombud


def publish_key(asking: Any, zones: Zones) -> None:
    (record,) = asking("domains", "keys", "lindgarden.example").json
    zones.add(f"{record['name']}. IN TXT {txt(record['value'])}\n")


def test_a_check_says_what_there_should_be_and_what_was_found(asking: Any, server: str, zones: Zones) -> None:
    publish_key(asking, zones)
    said = asking("domains", "check", "Lindgarden.example.", "--nameserver", server, "--json", code=3).json
    assert list(said) == ["domain", "state", "records", "findings", "dns_host", "next_check"]
    assert (said["domain"], said["state"], said["dns_host"], said["next_check"]) == (
        "lindgarden.example",
        "pending",
        None,
        None,
    )
    key, root, dmarc = said["records"]
    assert all(list(one) == ["type", "name", "expected", "found", "state", "findings"] for one in said["records"])
    assert (key["state"], key["found"]) == ("ok", key["expected"])
    assert root == {
        "type": "TXT", "name": "lindgarden.example", "expected": "v=spf1 mx include:spf.mailgun-eu.example ~all",
        "found": "v=spf1 mx ~all", "state": "mismatch", "findings": ["spf.include_missing"],
    }  # fmt: skip
    assert dmarc["state"] == "ok"
    must, info = said["findings"]
    assert list(must) == ["code", "weight", "turn", "sv", "en"]
    assert (must["code"], must["weight"], must["turn"]) == ("spf.include_missing", "required", "it_supplier")
    assert info["code"] == "dmarc.none_ok"


def test_a_check_of_a_domain_in_order_ends_well_and_is_kept(asking: Any, zones: Zones) -> None:
    publish_key(asking, zones)
    zones.withdraw("lindgarden.example", "TXT")
    zones.publish("lindgarden.example", "TXT", "v=spf1 mx include:spf.mailgun-eu.example ~all")
    said = asking("domains", "check", "lindgarden.example").json
    assert said["state"] == "ok" and said["next_check"]
    standing = {one["domain"]: one for one in asking("domains", "watch").json}["lindgarden.example"]
    assert (standing["state"], standing["turn"]) == ("ok", "wait")
    (change,) = asking("domains", "watch", "lindgarden.example").json
    assert change["what"] == "ready"
    details = asking("domains", "check", "lindgarden.example", "--details").json
    assert details["records"][0]["server"] and details["records"][0]["ttl"] is not None and details["records"][0]["at"]


def test_a_person_reads_it_in_swedish_with_what_to_do(asking: Any, server: str) -> None:
    out = asking(
        "--lang", "sv", "domains", "check", "lindgarden.example", "--nameserver", server, "--table", code=3
    ).out
    assert "✖ saknas" in out and "DKIM-posten om1._domainkey finns inte ännu." in out
    assert "Lägg in en TXT-post med namnet om1._domainkey" in out and "bollen: IT-leverantören" in out


def test_all_that_are_due_are_looked_at_by_one_step(asking: Any) -> None:
    asking("domains", "watch", "--step")
    states = {one["domain"]: one["state"] for one in asking("domains", "watch", "--customer", "lindgarden").json}
    assert states == {"lindgarden.example": "pending"}
    assert asking("domains", "watch", "lindgarden.example", "--now", code=1).error["code"] == "too_soon"


def test_a_domain_is_claimed_and_becomes_the_customers_when_its_token_is_there(asking: Any, zones: Zones) -> None:
    made = asking("domains", "add", "kund.example", "--customer", "eken").json
    assert (made["change"], made["record"]["name"]) == ("claimed", "_ombud.kund.example")
    found = asking("domains", "check", "kund.example", code=3).json
    assert found["records"][0]["findings"] == ["claim.missing"]
    assert {one["name"]: one["state"] for one in asking("domains", "list").json}["kund.example"] == "claimed"
    zones.publish(made["record"]["name"], "TXT", made["record"]["value"])
    asking("domains", "check", "kund.example")
    assert asking("domains", "show", "kund.example").json["customer"] == "eken"
    taken = asking("domains", "add", "kund.example", "--customer", "norrvik", "--proved", "--reason", "x", code=1).error
    assert taken["code"] == "domain_taken" and "eken" not in taken["detail"].lower().replace("kund.example", "")


def test_a_claim_can_be_given_up(asking: Any) -> None:
    asking("domains", "add", "annan.example", "--customer", "eken")
    assert asking("domains", "remove", "annan.example", "--yes").json["change"] == "withdrawn"
    assert asking("domains", "remove", "annan.example", "--yes", code=1).error["code"] == "not_found"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("https://kund.se/", "not_a_domain"),
        ("info@kund.se", "not_a_domain"),
        ("gmail.com", "domain_freemail"),
        ("co.uk", "domain_public_suffix"),
    ],
)
def test_what_cannot_be_a_customers_domain_is_refused_and_nothing_changed(asking: Any, typed: str, code: str) -> None:
    before = asking("domains", "list").json
    assert asking("domains", "add", typed, "--customer", "eken", code=1).error["code"] == code
    assert asking("domains", "list").json == before


def test_the_records_are_shown_as_they_are_typed_and_as_zone_lines(asking: Any) -> None:
    rows = asking("domains", "records", "lindgarden.example").json
    assert [(one["type"], one["typed"]) for one in rows] == [("TXT", "om1._domainkey"), ("TXT", "@"), ("TXT", "_dmarc")]
    assert rows[2]["weight"] == "recommended"
    lines = asking("domains", "records", "lindgarden.example", "--bind").out.splitlines()
    assert lines[1] == 'lindgarden.example. 3600 IN TXT "v=spf1 include:spf.mailgun-eu.example ~all"'
    letter = asking("--lang", "sv", "domains", "instructions", "lindgarden.example", "--table").out
    assert "Namn:  om1._domainkey" in letter and "Posterna ändras inte medan ni väntar." in letter
    assert asking("domains", "records", "nobody.example", code=1).error["code"] == "not_found"


# --- dns -----------------------------------------------------------------------------------------------------------


def test_any_domain_can_be_explained_without_an_installation(bare: Any, server: str) -> None:
    said = bare("dns", "explain", "norrvik.example", "--nameserver", server, code=3).json
    assert {one["code"] for one in said["findings"]} == {"dns.null_mx", "spf.hard_fail", "dmarc.missing"}
    assert bare("domains", "check", "norrvik.example", "--nameserver", server, code=3).json["state"] == "pending"
    assert bare("dns", "explain", "*.norrvik.example", "--nameserver", server, code=1).error["code"] == "not_a_domain"


def test_a_finding_is_explained_by_its_code(bare: Any) -> None:
    said = bare("--lang", "sv", "dns", "explain", "dkim.doubled_host").json
    assert said["turn"] == "it_supplier" and "lägger till domänen" in said["verdict"]


def test_what_a_mail_server_says_is_explained(bare: Any) -> None:
    said = bare(
        "dns",
        "explain",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
    ).json
    assert (said["code"], said["turn"]) == ("m365.tenant_smtp_off", "microsoft_admin")
    assert bare("dns", "explain", "550 5.1.1 no such user", code=1).error["code"] == "not_found"


def test_the_host_is_told_corrected_and_taught(asking: Any, server: str, tmp_path: Path) -> None:
    told = asking("dns", "host", "kund.example", "--nameserver", server).json
    assert (told["host"], told["apex"], told["name_servers"]) == ("Loopia", "@", ["ns1.loopia.se", "ns2.loopia.se"])
    asking("domains", "watch", "--step")
    assert asking("dns", "host", "--unknown").json[0]["servers"] == "namnserver.example"
    file = tmp_path / "host.toml"
    file.write_text('slug = "namn"\nname = "Namnserver AB"\nsuffixes = ["namnserver.example"]\nminutes = 7\n', "utf-8")
    assert asking("dns", "host", "--teach", file, "--by", "anna").json["name"] == "Namnserver AB"
    assert asking("dns", "host", "--unknown").json == []
    assert asking("domains", "check", "lindgarden.example", code=3).json["dns_host"] == "Namnserver AB"
    asking("dns", "host", "lindgarden.example", "--set", "loopia", "--by", "anna")
    assert asking("domains", "check", "lindgarden.example", code=3).json["dns_host"] == "Loopia"
    file.write_text("slug = 1 2", "utf-8")
    assert asking("dns", "host", "--teach", file, code=1).error["code"] == "bad_field"
    asking("dns", "host", code=2)


def test_domain_connect_is_offered_only_where_it_is_set_up(asking: Any) -> None:
    assert asking("dns", "connect", "lindgarden.example", code=1).error["code"] == "misconfigured"
