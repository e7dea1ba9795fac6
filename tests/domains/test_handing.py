"""Records in the forms that those who keep DNS want: each form says the same as the others."""

from __future__ import annotations

import json

import pytest

from ombud.domains.handing import bind_lines, fields, plain_rows, terraform
from ombud.domains.hosts import UNKNOWN, Host
from ombud.mail.dkim import dns_record, new_key
from ombud.mail.records import Purpose, Record
from ombud.sandbox.nameserver import Zones

KEY = dns_record(new_key("kund.example", "om1"))
RECORDS = [
    Record(Purpose.DKIM, "CNAME", "om1._domainkey.kund.example", "om1.kund-example.dkim.v.example"),
    Record(Purpose.DKIM, "TXT", "om9._domainkey.kund.example", KEY),
    Record(Purpose.SPF, "TXT", "kund.example", 'v=spf1 a:"odd" ~all'),
    Record(Purpose.OTHER, "MX", "studs.kund.example", "10 mx.v.example"),
]
CLOUDFLARE = Host("cloudflare", "Cloudflare", ("ns.cloudflare.com",))
ROUTE53 = Host("route53", "Route 53", ("awsdns-1.com",))


def test_the_lines_are_read_by_a_name_server_as_they_are_meant() -> None:
    zones = Zones()
    zones.add(bind_lines(RECORDS))
    kept = {
        (one.name.to_text(omit_final_dot=True), one[0].to_text().replace('" "', "").strip('"').rstrip("."))
        for one in zones._fixed
    }
    assert ("om9._domainkey.kund.example", KEY) in kept
    assert ("studs.kund.example", "10 mx.v.example") in kept
    assert ("om1._domainkey.kund.example", "om1.kund-example.dkim.v.example") in kept


def test_programs_get_plain_rows() -> None:
    assert [(one["type"], one["name"], one["value"]) for one in plain_rows(RECORDS, "kund.example")] == [
        (one.kind, name, one.value) for one, name in zip(RECORDS, ("om1._domainkey", "om9._domainkey", "@", "studs"), strict=True)
    ]  # fmt: skip
    assert [one["name"] for one in fields(RECORDS, "kund.example", UNKNOWN, "sv")] == [
        "om1._domainkey", "om9._domainkey", "@", "studs",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "kinds"),
    [
        (None, {"dns_cname_record", "dns_txt_record_set", "dns_mx_record_set"}),
        (UNKNOWN, {"dns_cname_record", "dns_txt_record_set", "dns_mx_record_set"}),
        (CLOUDFLARE, {"cloudflare_dns_record"}),
        (ROUTE53, {"aws_route53_record"}),
    ],
)
def test_terraform_is_for_the_host_where_it_is_known(host: Host | None, kinds: set[str]) -> None:
    document = json.loads(terraform(RECORDS, "kund.example", host))
    assert set(document["resource"]) == kinds
    assert sum(len(made) for made in document["resource"].values()) == len(RECORDS)
    assert ("variable" in document) == (host in (CLOUDFLARE, ROUTE53))


def test_terraform_fills_nothing_in_that_stands_in_a_record() -> None:
    record = Record(Purpose.SPF, "TXT", "kund.example", "v=spf1 exists:%{i}.x.example ${file(secret)} ~all")
    (made,) = json.loads(terraform([record], "kund.example", None))["resource"]["dns_txt_record_set"].values()
    assert made["txt"] == ["v=spf1 exists:%%{i}.x.example $${file(secret)} ~all"]


def test_what_somebody_wrote_in_dns_cannot_end_a_value() -> None:
    (made,) = json.loads(terraform(RECORDS[2:3], "kund.example", None))["resource"]["dns_txt_record_set"].values()
    assert made["txt"] == ['v=spf1 a:"odd" ~all']
    assert "name" not in made  # the zone's own name is none below it
    assert bind_lines(RECORDS[2:3]) == 'kund.example. 3600 IN TXT "v=spf1 a:\\"odd\\" ~all"\n'
