"""Answers that mean harm, or none: huge, malformed, looping, and text that would steer a terminal or a page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.cli.domains_check import Checked, as_json, show
from ombud.cli.session import Session
from ombud.dns import Answer, Zone
from ombud.domains.checks import OneServer, Report, check
from ombud.domains.checks.report import State
from ombud.mail.records import Purpose, Record
from tests.conftest import NOON

DOMAIN = "kund.example"
KEY = Record(
    Purpose.DKIM,
    "TXT",
    f"om1._domainkey.{DOMAIN}",
    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
)
ALIAS = Record(Purpose.DKIM, "CNAME", f"om1._domainkey.{DOMAIN}", "om1.k7.dkim.vendor.example", spare=True)
APEX = {
    "SOA": ["ns1.example. h.example. 1 1 1 1 300"], "NS": ["ns1.dns.example"], "TXT": ["v=spf1 ~all"], "MX": ["10 mx.example"],
}  # fmt: skip


def zone(more: Mapping[str, Mapping[str, Sequence[str]]], **faults: str) -> Zone:
    return Zone({DOMAIN: APEX, "ns1.dns.example": {"A": ["192.0.2.1"]}, **more}, faults=faults)


async def looked(source: Any, *records: Record) -> Report:
    return await check(DOMAIN, records, source, NOON)


@pytest.mark.parametrize("why", ["malformed", "too_big", "loop", "timeout", "servfail", "refused"])
async def test_an_answer_that_cannot_be_used_makes_a_record_untestable(why: str) -> None:
    report = await looked(zone({}, **{KEY.name: why}), KEY)
    assert report.records[0].state is State.UNTESTABLE and report.records[0].findings == ()
    assert not report.records[0].sure and not report.ok


async def test_an_spf_record_that_includes_the_whole_world_ends() -> None:
    many = {
        f"s{n}.example": {"TXT": [f"v=spf1 include:s{n + 1}.example include:s{n + 2}.example -all"]} for n in range(60)
    }
    source = zone({**many, DOMAIN: {**APEX, "TXT": ["v=spf1 include:s0.example ~all"]}})
    report = await asyncio.wait_for(looked(source), 10)
    assert "spf.lookups" in report.codes


async def test_a_name_of_many_labels_asks_a_bounded_number_of_questions() -> None:
    class Counting(Zone):
        asked = 0

        async def ask(self, name: str, kind: str, *, unchecked: bool = False) -> Answer:
            Counting.asked += 1
            return await super().ask(name, kind)

    deep = ".".join(["a"] * 60) + f".{DOMAIN}"
    await check(deep, [], Counting({DOMAIN: APEX, "ns1.dns.example": {"A": ["192.0.2.1"]}}), NOON)
    assert Counting.asked < 60


EVIL = 'v=DMARC1; p=reject; <script>alert("1")</script> \x1b[31m\u202e\r\nX: y {0.__class__} {name}'


async def test_text_from_outside_is_never_let_loose_on_a_terminal_or_a_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = zone({KEY.name: {"TXT": [f"v=DKIM1; p=x {EVIL}"]}, f"_dmarc.{DOMAIN}": {"TXT": [EVIL, EVIL + "2"]}})
    report = await looked(source, KEY)
    assert {"dkim.syntax", "dmarc.multiple"} <= set(report.codes)
    for finding in report.everything:
        for language in ("sv", "en"):
            for said in (finding.verdict(language), finding.advice(language), finding.detail(language)):
                assert not {"\x1b", "\u202e", "\r", "\n"} & set(said)
    found = Checked(report, "pending", None, None)
    session = Session(json=False, language="sv")
    show(session, found, details=True)
    assert "\x1b[31m" not in capsys.readouterr().out
    Session(json=True).show_json(as_json(found, details=True))
    assert "\x1b" not in capsys.readouterr().out


@given(st.text(max_size=400), st.text(max_size=400), st.text(max_size=100))
def test_whatever_stands_in_dns_is_judged(key: str, policy: str, spf: str) -> None:
    source = zone(
        {
            KEY.name: {"TXT": [key]}, f"_dmarc.{DOMAIN}": {"TXT": [f"v=DMARC1;{policy}"]},
            DOMAIN: {**APEX, "TXT": [f"v=spf1 {spf}"]},
        }
    )  # fmt: skip
    report = asyncio.run(looked(source, KEY))
    for finding in report.everything:
        assert finding.verdict("sv") and finding.detail("en")


@given(st.from_regex(r"[a-z0-9_.-]{1,80}", fullmatch=True))
def test_whatever_an_alias_points_to_is_judged(target: str) -> None:
    report = asyncio.run(looked(zone({ALIAS.name: {"CNAME": [target]}}), ALIAS))
    assert report.records[0].state in (State.OK, State.MISMATCH, State.CONFLICT, State.UNTESTABLE)


async def test_a_single_server_that_knows_nothing_of_zones_can_be_asked_for_everything() -> None:
    """What `--nameserver` is for: a stand-in that has records and no name servers."""
    bare = {DOMAIN: {"TXT": ["v=spf1 ~all"], "MX": ["10 mx.example"]}}
    report = await looked(OneServer(Zone({**bare, KEY.name: {"TXT": [KEY.value]}}), "192.0.2.9:5353"), KEY)
    assert report.records[0].state is State.OK and report.records[0].sure is False
    assert report.codes == ("dmarc.missing",), "what a stand-in does not have of a real zone is not held against it"
    gone = await looked(OneServer(Zone(bare), "192.0.2.9:5353"), KEY)
    assert gone.records[0].state is State.MISSING
    nowhere = await looked(OneServer(Zone({}), "192.0.2.9:5353"), KEY)
    assert nowhere.codes == ("dns.nxdomain",)
