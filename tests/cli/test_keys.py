"""Keys, SPF, scans, rules and the supplier's link by command, against a name server on loopback."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ombud.domains.zone import home_of
from ombud.mail.dkim import dns_record, new_key, sign
from ombud.sandbox.nameserver import NameServer, Zones
from tests.cli.conftest import serving
from tests.conftest import NOON

ZONE = "dkim.leverantor.example"
SECRET = base64.b64encode(bytes(32)).decode()
RECORDS = f"""
{ZONE}. IN SOA ns1.namnserver.example. hostmaster.{ZONE}. 1 3600 600 86400 0
{ZONE}. IN NS ns1.namnserver.example.
ns1.namnserver.example. IN A 127.0.0.1
om1._domainkey.lindgarden.example. IN CNAME {home_of("om1", "lindgarden.example", ZONE)}.
om2._domainkey.lindgarden.example. IN CNAME {home_of("om2", "lindgarden.example", ZONE)}.
lindgarden.example. IN TXT "v=spf1 a:mx.lindgarden.example include:spf.mailgun-eu.example ~all"
mx.lindgarden.example. IN A 127.0.0.1
lindgarden.example. IN MX 10 lindgarden-example.mail.protection.outlook.com.
spf.mailgun-eu.example. IN TXT "v=spf1 ip4:127.0.21.1 -all"
_dmarc.lindgarden.example. IN TXT "v=DMARC1; p=none"
broken.example. IN TXT "v=spf1 include:nowhere.example -all"
evil.example. IN TXT "v=spf1 -all \\027[31m"
"""


@pytest.fixture
def server() -> Iterator[NameServer]:
    zones = Zones()
    zones.add(RECORDS)
    zones.allow_updates("ombud", SECRET)
    with serving(zones) as made:
        yield made


@pytest.fixture
def asking(ombud: Any, server: NameServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An installation whose DNS is that server, with a zone of the vendor's own."""
    address = f"127.0.0.1:{server.address[1]}"
    monkeypatch.setenv("OMBUD_DELIVERY__DNS_SERVERS", f'["{address}"]')
    for name, value in {
        "VENDOR_ZONE": ZONE, "UPDATE_SERVER": address, "UPDATE_KEY": "ombud", "UPDATE_SECRET": SECRET,
        "AUTHORITY_PORT": str(server.address[1]), "SETTLE_MINUTES": "0",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"OMBUD_DNS__{name}", value)
    return ombud


def test_a_key_is_changed_step_by_step(asking: Any, server: NameServer) -> None:
    """Lindgården's present key stands in its own zone; the next one comes to stand in the vendor's."""
    rotate = ("domains", "rotate-dkim", "lindgarden.example")
    assert {one["selector"]: one["state"] for one in asking(*rotate).json} == {"om1": "active", "om2": "next"}
    shown = asking("dns", "zone").out
    assert shown.startswith(f'om2.lindgarden-example.{ZONE}. 300 IN TXT "v=DKIM1; k=rsa; p=')
    step = asking("domains", "rotate-dkim", "--step").json
    assert [(one["selector"], one["state"]) for one in step] == [("om2", "seen")]
    later = ("--at", "2024-04-16T12:00")
    assert {one["selector"]: one["state"] for one in asking(*later, "domains", "rotate-dkim", "--step").json} == {
        "om1": "retiring"
    }
    assert asking(*later, "domains", "show", "lindgarden.example").json["keys"] == ["om2 (rsa-sha256)"]
    assert asking(*later, *rotate, code=1).error["code"] == "rotation_under_way"
    asking(*later, *rotate, "--revoke-old", "--yes")
    assert asking("--at", "2024-04-16T12:05", "domains", "rotate-dkim", "--step").json == []


def test_the_vendors_zone_is_pushed_whole_and_a_refusal_is_told(
    asking: Any, server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking("domains", "rotate-dkim", "lindgarden.example")
    monkeypatch.setenv("OMBUD_DNS__UPDATE_KEY", "stranger")
    assert asking("dns", "zone", "--push", code=1).error["code"] == "zone_not_taken"
    assert asking("domains", "rotate-dkim", "--step", code=1).error["code"] == "zone_not_taken"
    monkeypatch.setenv("OMBUD_DNS__UPDATE_KEY", "ombud")
    asking("dns", "zone", "--push")
    assert asking("dns", "zone", "--json", "--unpublished").json == []
    monkeypatch.setenv("OMBUD_DNS__VENDOR_ZONE", "")
    assert asking("dns", "zone", code=1).error["code"] == "no_vendor_zone"


def test_spf_is_shown_as_a_tree_with_its_cost(asking: Any) -> None:
    found = asking("dns", "spf", "lindgarden.example").json
    assert (found["result"], found["lookups"], found["problems"]) == ("softfail", 2, [])
    assert [one["term"] for one in found["tree"]["steps"]] == [
        "a:mx.lindgarden.example",
        "include:spf.mailgun-eu.example",
        "~all",
    ]
    people = asking("dns", "spf", "lindgarden.example", "--table", "--lang", "sv").out
    assert "include:spf.mailgun-eu.example  [1]" in people and "2 av 10 uppslag" in people


def test_the_merged_record_is_shown_before_and_after(asking: Any) -> None:
    merged = asking("dns", "spf", "lindgarden.example", "--merge", "spf.ny.example", code=3).json["merged"]
    assert (
        merged["after"] == "v=spf1 a:mx.lindgarden.example include:spf.mailgun-eu.example include:spf.ny.example ~all"
    )
    assert merged["problems"][0]["code"] == "include_without_record"
    same = asking("dns", "spf", "lindgarden.example", "--merge", "spf.mailgun-eu.example").json["merged"]
    assert (same["changed"], same["before"]) == (False, [same["after"]])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["broken.example"], 3), (["nobody.example"], 3), (["lindgarden.example", "--ip", "127.0.21.1"], 0),
     (["lindgarden.example", "--ip", "192.0.2.1"], 3)],
)  # fmt: skip
def test_an_spf_record_that_receivers_cannot_use_is_exit_code_3(asking: Any, arguments: list[str], code: int) -> None:
    asking("dns", "spf", *arguments, code=code)


def test_what_strangers_have_in_dns_does_not_steer_the_terminal(asking: Any) -> None:
    assert "\x1b" not in asking("dns", "spf", "evil.example", "--table", code=3).out


def test_domains_are_scanned_from_a_file_and_all_of_them(asking: Any, tmp_path: Path) -> None:
    file = tmp_path / "kunder.csv"
    file.write_text("slug;domain\nlindgarden;Lindgarden.example\nx;nobody.example\n", "utf-8")
    rows = asking("domains", "scan", file).json
    assert [(one["domain"], one["customer"], one["recommended"], one["reason_code"]) for one in rows] == [
        ("lindgarden.example", "lindgarden", "own", "own_can_sign"), ("nobody.example", "x", "ask", "no_domain"),
    ]  # fmt: skip
    head, first, *_ = asking("domains", "scan", file, "--csv").out.splitlines()
    assert head.startswith("domain,customer,") and first.startswith("lindgarden.example,lindgarden,")
    everything = asking("domains", "scan", "--all").json
    assert len(everything) == len({one["domain"] for one in everything}) > 5


@pytest.mark.parametrize(
    ("content", "line"),
    [("slug;domain\neken;eken.example\n\n# en rad\nlinden;https://linden.example/\n", 5), ("not a domain\n", 1),
     ("slug;domain\neken\n", 2), ("domain\nangsg\xe5rden.example\n", 1)],
)  # fmt: skip
def test_a_file_to_scan_is_refused_by_the_line_that_is_no_domain(
    asking: Any, tmp_path: Path, content: str, line: int
) -> None:
    file = tmp_path / "kunder.csv"
    file.write_bytes(content.encode("latin-1"))
    refused = asking("domains", "scan", file, code=1).error
    assert refused["code"] == "bad_csv" and f"line {line}:" in refused["detail"]


def test_a_file_to_scan_may_be_a_plain_list(asking: Any, tmp_path: Path) -> None:
    file = tmp_path / "lista.txt"
    file.write_text("# våra\nnobody.example\n\nNobody.Example.\n", "utf-8")
    assert [one["domain"] for one in asking("domains", "scan", file).json] == ["nobody.example"]


def test_from_domains_in_traffic_that_nobody_has_listed_are_scanned_too(asking: Any) -> None:
    asking(
        "send", "--product", "hyra", "--from", "avi@news.eken.example", "--to", "a@x.example", "--subject", "x", "--text", "x"
    )  # fmt: skip
    found = {one["domain"]: one for one in asking("domains", "scan", "--all").json}
    assert (found["news.eken.example"]["note"], found["news.eken.example"]["customer"]) == ("1 e-mails", "eken")


def test_rules_are_checked_for_a_domain_and_a_message(asking: Any, server: NameServer, tmp_path: Path) -> None:
    rules = {one["id"]: one["verdict"] for one in asking("rules", "check", "--domain", "lindgarden.example").json}
    assert (rules["AUTH-DMARC"], rules["AUTH-DKIM"], rules["VOL-GMAIL"]) == ("pass", "advice", "pass")
    key = new_key("eken.example", "om1", "ed25519-sha256")
    content = b"From: a@eken.example\r\nTo: b@x.example\r\nSubject: x\r\nMessage-ID: <1@eken.example>\r\n\r\nHej\r\n"
    mail = tmp_path / "mail.eml"
    mail.write_bytes(sign(content, [key], NOON) + content)
    found = {one["id"]: one["verdict"] for one in asking("rules", "check", "--message", mail, code=3).json}
    assert (found["FMT-HDR"], found["AUTH-ALIGN"], found["FMT-FROM"]) == ("fail", "pass", "pass")  # there is no Date
    assert len(asking("rules", "list").json) == 26


def test_an_operator_names_a_bulk_sender(asking: Any) -> None:
    named = ("rules", "bulk", "--domain", "news.eken.example", "--receiver", "gmail")
    assert asking(*named, code=1).error["code"] == "bad_field"
    assert asking(*named, "--reason", "nyhetsbrev").json["organisation"] == "eken.example"
    (one,) = asking("rules", "volumes").json
    assert (one["organisation"], one["receiver"], one["number"]) == ("eken.example", "gmail", 0)
    rules = {one["id"]: one["verdict"] for one in asking("rules", "check", "--domain", "eken.example", code=3).json}
    assert rules["VOL-GMAIL"] == "advice"
    assert asking(*named, "--not").json["changed"] is True


def test_a_domains_page_is_shared_renewed_and_closed(asking: Any) -> None:
    made = asking("domains", "share", "eken.example", "--by", "anna").json
    assert "/d/" in made["url"] and made["days"] == 40
    assert asking("domains", "share", "eken.example", "--renew").json["links"] == 1
    assert asking("domains", "share", "eken.example", "--revoke", "--yes").json["links"] == 1
    (link,) = asking("domains", "share", "eken.example", "--list").json
    assert link["by"] == "anna" and link["revoked_at"]
    assert asking("domains", "share", "nobody.example", code=1).error["code"] == "not_found"


def test_a_proof_needs_a_mailbox_and_one_route(asking: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        asking("domains", "prove", "eken.example", "--route", "eken-egen", code=1).error["code"] == "no_probe_mailbox"
    )
    stray = tmp_path / "stray.eml"
    stray.write_bytes(b"Subject: x\r\n\r\nx\r\n")
    assert asking("domains", "prove", "--read", stray, code=3).json == {"proof": None}
    asking("domains", "prove", code=2)


def test_a_record_of_a_key_is_the_one_that_verifiers_find(asking: Any, server: NameServer) -> None:
    key = new_key("lindgarden.example", "om9", "ed25519-sha256")
    server.zones.publish(key.record_name, "TXT", dns_record(key))
    assert (
        asking("dns", "spf", "lindgarden.example", "--nameserver", f"127.0.0.1:{server.address[1]}").json["lookups"]
        == 2
    )


@pytest.mark.parametrize(
    "command",
    [("domains", "share"), ("domains", "prove"), ("domains", "rotate-dkim"), ("dns", "spf"),
     ("rules", "check", "--domain"), ("rules", "bulk", "--receiver", "gmail", "--reason", "x", "--domain")],
)  # fmt: skip
@pytest.mark.parametrize("typed", ["https://eken.example/", "info@eken.example"])
def test_an_address_typed_as_a_domain_is_told_what_to_type(asking: Any, command: tuple[str, ...], typed: str) -> None:
    refused = asking(*command, typed, code=1).error
    assert refused["code"] == "not_a_domain" and refused["detail"].endswith("eken.example.")


def test_what_is_no_ip_address_is_a_usage_error(asking: Any) -> None:
    asking("rules", "check", "--domain", "eken.example", "--ip", "foo", code=2)
    asking("dns", "spf", "eken.example", "--ip", "192.0.2.300", code=2)
