"""The receivers' rules for a domain: what DNS says, and what has been counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ombud.db import Database
from ombud.dns import Zone
from ombud.domains.keys import Key, KeyState
from ombud.domains.senderrules import Sender, Way, check_sender
from ombud.domains.volume import (
    BulkSender,
    bulk_senders,
    count_volume,
    note_bulk_senders,
    set_bulk_sender,
    unset_bulk_sender,
    volumes,
)
from ombud.mail.dkim import dns_record, new_key
from ombud.mail.rules import Receiver, Verdict
from tests.conftest import NOON
from tests.mail.test_dkimrecord import WEAK

RECORD = dns_record(new_key("eken.example", "om1"))
KEY = Key(1, "eken.example", "om1", "rsa-sha256", RECORD, "", KeyState.ACTIVE, NOON)
WAY = Way("mailgun-eu", True, "studs.eken.example", "spf.mailgun.example", tls=True)
GOOD: dict[str, dict[str, list[str]]] = {
    "eken.example": {
        "NS": ["ns1.x.example"],
        "SOA": ["ns1.x.example a.x.example 1 1 1 1 1"],
        "MX": ["10 mx.eken.example"],
    },
    "studs.eken.example": {"TXT": ["v=spf1 include:spf.mailgun.example ~all"]},
    "spf.mailgun.example": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ~all"]},
    "_dmarc.eken.example": {"TXT": ["v=DMARC1; p=none"]},
    "om1._domainkey.eken.example": {"TXT": [RECORD]},
}
SENDER = Sender("eken.example", [KEY], [WAY])
BULK = replace(SENDER, bulk=[BulkSender("eken.example", Receiver.GMAIL, NOON, "counted", "")])


async def verdicts(
    sender: Sender, records: dict[str, dict[str, list[str]]] = GOOD, faults: dict[str, str] | None = None
) -> dict[str, Verdict]:
    return {one.rule.id: one.verdict for one in await check_sender(Zone(records, faults=faults), sender)}


async def test_a_domain_that_is_set_up_breaks_no_rule() -> None:
    found = await verdicts(SENDER)
    assert {id for id, verdict in found.items() if verdict is not Verdict.PASS} == {
        "RATE-428", "CONN-MS", "CMP-RATE", "BNC-RATE", "UNS-48H",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "records", "broken"),
    [
        ("_dmarc.eken.example", None, {"AUTH-DMARC"}),
        ("_dmarc.eken.example", {"TXT": ["v=DMARC1; p=none", "v=DMARC1; p=none"]}, {"AUTH-DMARC"}),
        ("om1._domainkey.eken.example", None, {"AUTH-DKIM"}),
        ("om1._domainkey.eken.example", {"TXT": [dns_record(new_key("eken.example", "om2", "ed25519-sha256"))]}, {"AUTH-DKIM"}),
        ("studs.eken.example", None, {"AUTH-SPF"}),
        ("studs.eken.example", {"TXT": ["v=spf1 -all"]}, {"AUTH-SPF"}),
        ("spf.mailgun.example", None, {"AUTH-SPF"}),
        ("eken.example", {"NS": ["ns1.x.example"], "MX": ["10 mx.eken.example"]}, {"DOM-EXIST"}),
        ("eken.example", {"NS": ["ns1.x.example"], "SOA": ["a b 1 1 1 1 1"], "MX": ["0 ."]}, {"DOM-EXIST"}),
    ],
)  # fmt: skip
async def test_each_rule_sees_its_fault_and_is_hard_for_bulk_senders_only(
    name: str, records: dict[str, list[str]] | None, broken: set[str]
) -> None:
    changed = {**GOOD, name: records} if records else {key: value for key, value in GOOD.items() if key != name}
    found = await verdicts(BULK, changed)
    assert {id for id, verdict in found.items() if verdict is Verdict.FAIL} == broken
    small = await verdicts(SENDER, changed)
    assert {id for id, verdict in small.items() if verdict is Verdict.FAIL} == broken & {"DOM-EXIST"}


async def test_with_neither_spf_nor_dkim_everybody_is_refused() -> None:
    found = await verdicts(SENDER, {key: value for key, value in GOOD.items() if key.startswith(("eken", "_dmarc"))})
    assert found["AUTH-ANY"] is Verdict.FAIL


@pytest.mark.parametrize(
    "silent", ["studs.eken.example", "om1._domainkey.eken.example", "_dmarc.eken.example", "eken.example"]
)
async def test_a_server_that_does_not_answer_breaks_no_rule(silent: str) -> None:
    found = await verdicts(BULK, faults={silent: "servfail"})
    assert Verdict.UNKNOWN in found.values()
    assert Verdict.FAIL not in found.values()


async def test_an_own_server_must_have_a_name_that_leads_back() -> None:
    way = replace(WAY, ip="192.0.2.25")
    records = GOOD | {"25.2.0.192.in-addr.arpa": {"PTR": ["mx.eken.example"]}, "mx.eken.example": {"A": ["192.0.2.25"]}}
    assert (await verdicts(replace(BULK, ways=[way]), records))["NET-PTR"] is Verdict.PASS
    wrong = records | {"mx.eken.example": {"A": ["192.0.2.26"]}}
    assert (await verdicts(replace(BULK, ways=[way]), wrong))["NET-PTR"] is Verdict.FAIL
    assert (await verdicts(replace(BULK, ways=[replace(way, ip="203.0.113.9")]), records))["AUTH-SPF"] is Verdict.FAIL


async def test_spf_that_passes_for_another_organisation_is_not_aligned() -> None:
    foreign = replace(WAY, envelope="studs.mailgun.example", signs=False)
    records = GOOD | {"studs.mailgun.example": GOOD["studs.eken.example"]}
    found = await verdicts(replace(BULK, keys=[], ways=[replace(foreign, ip="192.0.2.1")]), records)
    assert found["AUTH-SPF"] is Verdict.PASS and found["AUTH-ALIGN"] is not Verdict.PASS


async def test_only_the_keys_in_use_must_stand_in_dns_and_must_be_strong() -> None:
    out = replace(KEY, selector="om9", state=KeyState.RETIRING)
    assert (await verdicts(replace(BULK, keys=[KEY, out])))["AUTH-DKIM"] is Verdict.PASS
    weak = replace(KEY, record=f"v=DKIM1; p={WEAK}")
    records = GOOD | {KEY.name: {"TXT": [weak.record]}}
    assert (await verdicts(replace(BULK, keys=[weak]), records))["AUTH-DKIM"] is Verdict.FAIL


async def test_a_way_that_nobody_can_judge_leaves_alignment_open() -> None:
    found = await verdicts(Sender("eken.example", [], [Way("egen", False, "eken.example")]))
    assert found["AUTH-ALIGN"] is not Verdict.FAIL and found["AUTH-DKIM"] is Verdict.NOT_TESTED


async def test_volumes_near_the_limit_are_told() -> None:
    near = await verdicts(replace(SENDER, volumes={Receiver.GMAIL: 4200, Receiver.OUTLOOK: 3}))
    assert (near["VOL-GMAIL"], near["VOL-MS"]) == (Verdict.ADVICE, Verdict.PASS)
    for number, verdict in ((3999, Verdict.PASS), (4000, Verdict.ADVICE)):
        assert (await verdicts(replace(SENDER, volumes={Receiver.OUTLOOK: number})))["VOL-MS"] is verdict
    assert replace(SENDER, volumes={Receiver.OUTLOOK: 5000}).is_bulk
    assert not replace(SENDER, volumes={Receiver.OUTLOOK: 4999}).is_bulk


def test_mail_to_the_great_receivers_is_summed_over_the_last_day(database: Database) -> None:
    with database.write() as tx:
        for hours, number in ((0, 3000), (10, 1500), (23, 400), (30, 9000)):
            count_volume(tx, [("eken.se", Receiver.GMAIL, NOON - timedelta(hours=hours))] * number)
        count_volume(tx, [("eken.se", Receiver.OUTLOOK, NOON), ("linden.se", Receiver.GMAIL, NOON)])
        count_volume(tx, [])
    with database.read() as tx:
        assert volumes(tx, NOON) == {
            ("eken.se", Receiver.GMAIL): 4900, ("eken.se", Receiver.OUTLOOK): 1, ("linden.se", Receiver.GMAIL): 1,
        }  # fmt: skip
        assert volumes(tx, NOON, "linden.se") == {("linden.se", Receiver.GMAIL): 1}
        assert volumes(tx, NOON - timedelta(hours=9)) == {("eken.se", Receiver.GMAIL): 1500 + 400 + 9000}


def test_five_thousand_in_a_day_once_is_for_ever(database: Database) -> None:
    with database.write() as tx:
        count_volume(tx, [("eken.se", Receiver.GMAIL, NOON)] * 4999)
        assert note_bulk_senders(tx, NOON + timedelta(hours=3)) == []
        count_volume(tx, [("eken.se", Receiver.GMAIL, NOON)])  # counts that are still summed are not forgotten
        (one,) = note_bulk_senders(tx, NOON)
        assert (one.organisation, one.receiver, one.since, one.by) == ("eken.se", Receiver.GMAIL, NOON, "counted")
        assert note_bulk_senders(tx, NOON + timedelta(minutes=1)) == []
        assert note_bulk_senders(tx, NOON + timedelta(days=30)) == []
        assert volumes(tx, NOON + timedelta(days=30)) == {}
        assert [one.organisation for one in bulk_senders(tx)] == ["eken.se"]
        assert unset_bulk_sender(tx, "eken.se", Receiver.GMAIL) is False


def test_an_operator_can_say_so_and_take_it_back(database: Database) -> None:
    with database.write() as tx:
        set_bulk_sender(tx, "eken.se", Receiver.OUTLOOK, "anna", "skickar nyhetsbrev själva", NOON)
        set_bulk_sender(tx, "eken.se", Receiver.OUTLOOK, "bo", "bekräftat", NOON + timedelta(days=1))
        (one,) = bulk_senders(tx, "eken.se")
        assert (one.since, one.by, one.reason) == (NOON, "bo", "bekräftat")
        assert unset_bulk_sender(tx, "eken.se", Receiver.GMAIL) is False
        assert unset_bulk_sender(tx, "eken.se", Receiver.OUTLOOK) is True
        assert bulk_senders(tx) == []


def test_what_was_counted_stands_whatever_an_operator_has_said_before_or_after(database: Database) -> None:
    with database.write() as tx:
        set_bulk_sender(tx, "eken.se", Receiver.GMAIL, "anna", "nyhetsbrev", NOON - timedelta(days=9))
        count_volume(tx, [("eken.se", Receiver.GMAIL, NOON)] * 5000)
        assert [one.by for one in note_bulk_senders(tx, NOON)] == ["counted"]
        assert set_bulk_sender(tx, "eken.se", Receiver.GMAIL, "bo", "nyhetsbrev", NOON) is False
        assert unset_bulk_sender(tx, "eken.se", Receiver.GMAIL) is False
        assert [(one.by, one.since) for one in bulk_senders(tx)] == [("counted", NOON - timedelta(days=9))]
