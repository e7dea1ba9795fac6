"""What routes ask of a sender domain's DNS."""

from __future__ import annotations

import pytest

from ombud.errors import BadField, Misconfigured
from ombud.mail.records import Purpose, Record, Weight
from ombud.providers import records_for

HOST = {"host": "smtp.vendor.example"}


def asked(**settings: object) -> list[tuple[str, str, str, str]]:
    return [
        (one.purpose.value, one.kind, one.name, one.value)
        for one in records_for("smtp", "kund.se", {**HOST, **settings})
    ]


def test_a_route_asks_for_nothing_that_it_was_not_told_to() -> None:
    assert asked() == [] == list(records_for("nowhere", "kund.se", {}))


def test_a_return_path_leaves_the_domains_own_spf_alone() -> None:
    settings = {
        "return_path": "studs",
        "return_path_target": "studs.vendor.example",
        "spf_include": "spf.vendor.example",
    }
    assert asked(**settings) == [("rp", "CNAME", "studs.kund.se", "studs.vendor.example")]


def test_without_a_return_path_spf_is_merged_into_the_domains_own() -> None:
    (record,) = records_for("smtp", "kund.se", {**HOST, "spf_include": "SPF.Vendor.example."})
    assert record == Record(
        Purpose.SPF, "TXT", "kund.se", "v=spf1 include:spf.vendor.example ~all", includes=("spf.vendor.example",)
    )
    assert record.weight is Weight.REQUIRED


def test_an_own_server_names_the_selectors_that_it_signs_with() -> None:
    assert asked(dkim_selectors=["s1", "s2"]) == asked(dkim_selectors="s1, s2") == [
        ("dkim", "TXT", "s1._domainkey.kund.se", ""), ("dkim", "TXT", "s2._domainkey.kund.se", ""),
    ]  # fmt: skip


def test_a_subcontractors_own_records_are_given_line_by_line() -> None:
    lines = [
        "pdk1._domainkey.m.{domain} CNAME pdk1._domainkey.9d876.dkim1.eu.mgsend.org.", "m.{domain} TXT v=spf1 include:mailgun.org ~all",
        "m.{domain} MX 10 mxa.eu.mailgun.org", "{domain} TXT verification=4711",
    ]  # fmt: skip
    assert asked(dns_records=lines) == [
        ("dkim", "CNAME", "pdk1._domainkey.m.kund.se", "pdk1._domainkey.9d876.dkim1.eu.mgsend.org"),
        ("spf", "TXT", "m.kund.se", "v=spf1 include:mailgun.org ~all"), ("record", "MX", "m.kund.se", "10 mxa.eu.mailgun.org"),
        ("record", "TXT", "kund.se", "verification=4711"),
    ]  # fmt: skip


def test_two_routes_that_want_the_same_record_want_one_with_both() -> None:
    one, other = (
        next(iter(records_for("smtp", "kund.se", {**HOST, "spf_include": f"spf.{name}.example"})))
        for name in ("a", "b")
    )
    both = one.beside(other)
    assert both.value == "v=spf1 include:spf.a.example include:spf.b.example ~all"
    assert both.includes == ("spf.a.example", "spf.b.example")


@pytest.mark.parametrize(
    "wrong",
    [
        {"return_path": "studs"}, {"return_path_target": "studs.vendor.example"}, {"return_path": "a b", "return_path_target": "x.example"},
        {"spf_include": "två ord"}, {"dkim_selectors": [1]}, {"dkim_selectors": ["a/b"]}, {"dns_records": ["{domain} A 192.0.2.1"]},
        {"dns_records": ["kund.se TXT x"]}, {"dns_records": "x"}, {"dns_record": []},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(BadField) as caught:
        records_for("smtp", "kund.se", {**HOST, **wrong})
    assert caught.value.details["field"] in (*wrong, "return_path", "return_path_target")


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(Misconfigured):
        records_for("brevduva", "kund.se", {})
