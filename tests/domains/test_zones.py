"""Every finding on a zone that has its fault and no other: the real check, real name servers, real answers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ombud.domains.checks import Outcome, Report, finding_json
from ombud.domains.checks.report import State
from ombud.domains.findings import Source, Turn, catalogue, finding_of_reply
from ombud.domains.letter import records_to_publish
from ombud.domains.watch import State as Stand
from ombud.domains.watch import Watch, outcome_of, place
from ombud.mail.records import Weight
from trials.dns.zones import Fixture, expected_codes, fixtures, play

FIXTURES = fixtures()
REPLIES = tomllib.loads((Path(__file__).parent / "replies.toml").read_text("utf-8"))


@pytest.mark.parametrize("fixture", FIXTURES, ids=[fixture.code or "all is well" for fixture in FIXTURES])
async def test_each_zone_gives_exactly_its_finding(fixture: Fixture) -> None:
    report = await play(fixture)
    assert list(report.codes) == ([fixture.code] if fixture.code else [])
    for finding in report.everything:
        for language in ("sv", "en"):
            said = finding.verdict(language), finding.advice(language), finding.detail(language)
            assert all(said) and not any("{" in one for one in said)
            assert "–" not in finding.verdict(language) + finding.advice(language), (
                "a value that its sentence needs is missing"
            )


def test_every_finding_that_comes_from_dns_has_a_zone() -> None:
    assert {fixture.code for fixture in FIXTURES} - {""} == set(expected_codes())
    assert len(expected_codes()) >= 50


async def test_a_domain_in_order_is_ok_and_says_where_and_when_it_was_seen() -> None:
    report = await play(FIXTURES[0])
    assert report.ok and report.zone == "kund.example"
    assert report.name_servers == ("ns1.dnshost.example", "ns2.dnshost.example")
    assert {looked.state for looked in report.records} == {State.OK}
    assert all(looked.server and looked.at and looked.ttl is not None for looked in report.records)


async def test_a_server_that_does_not_answer_leaves_records_untestable_and_counts_against_nobody() -> None:
    for code in ("dns.servfail", "dns.timeout", "dns.malformed"):
        report = await play(by_code(code))
        assert {looked.state for looked in report.records} == {State.UNTESTABLE}
        assert not misses(report) and [one.kind.turn for one in report.everything] == [Turn.WAIT]


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("dkim.missing", State.MISSING), ("dkim.mismatch", State.MISMATCH), ("dkim.doubled_host", State.WRONG_HOST),
        ("dns.cname_conflict", State.CONFLICT), ("dns.propagating", State.PROPAGATING), ("dmarc.missing", State.RECOMMENDED),
        ("domain.at_risk", State.LOST), ("spf.multiple", State.CONFLICT), ("dns.split", State.CONFLICT),
    ],
)  # fmt: skip
async def test_a_record_has_the_state_that_its_fault_means(code: str, state: State) -> None:
    report = await play(by_code(code))
    assert state in {looked.state for looked in report.records}


async def test_only_what_is_required_keeps_a_domain_from_being_ok() -> None:
    for fixture in FIXTURES:
        kind = catalogue().get(fixture.code)
        if (
            kind
            and kind.weight is not Weight.REQUIRED
            and fixture.records
            and not fixture.code.startswith(("spf.", "dns."))
        ):
            assert (await play(fixture)).ok, fixture.code


async def test_a_record_that_mail_hangs_on_makes_advice_a_must() -> None:
    (finding,) = (await play(by_code("spf.multiple"))).everything
    assert finding.weight is Weight.REQUIRED and finding.kind.weight is Weight.RECOMMENDED
    assert finding_json(finding)["weight"] == "required"


async def test_the_merged_spf_record_is_what_is_to_be_published() -> None:
    fixture = by_code("spf.include_missing")
    report = await play(fixture)
    from ombud.domains.checks import as_json

    (merged,) = [
        one for one in records_to_publish(fixture.domain, fixture.records, as_json(report)) if one.purpose == "spf"
    ]
    assert merged.value == "v=spf1 include:spf.kundpost.example include:spf.vendor.example ~all"


# --- the catalogue -----------------------------------------------------------------------------------------------------


def test_every_finding_speaks_both_languages_in_whole_sentences() -> None:
    for kind in catalogue().values():
        for words in (kind.sv, kind.en):
            assert words.verdict.endswith(".") and words.do.endswith((".", "}")), kind.code
            assert words.detail


def test_no_swedish_verdict_says_wrong_without_saying_what_to_do() -> None:
    for kind in catalogue().values():
        assert not {"felaktig", "ogiltig"} & set(kind.sv.verdict.lower().split()), kind.code
        assert kind.sv.do != kind.sv.verdict


@pytest.mark.parametrize("code", sorted(REPLIES))
def test_what_a_mail_server_says_gives_its_finding(code: str) -> None:
    found = finding_of_reply(REPLIES[code])
    assert found is not None and found.code == code
    assert REPLIES[code][:40] in found.detail("sv")


def test_every_finding_that_comes_from_replies_has_one() -> None:
    assert {kind.code for kind in catalogue().values() if kind.source is Source.REPLY} == set(REPLIES)
    assert finding_of_reply("550 5.1.1 no such user here") is None


def misses(report: Report) -> bool:
    """Whether the check would count against a domain that has had all of it in order."""
    had = frozenset(place(looked) for looked in report.records)
    return outcome_of(Watch(report.domain, Stand.OK, good=had), report) is Outcome.MISS


def by_code(code: str) -> Fixture:
    return next(fixture for fixture in FIXTURES if fixture.code == code)


async def test_where_only_a_resolver_can_be_asked_it_is_believed_but_never_for_a_loss() -> None:
    from dataclasses import replace

    well = FIXTURES[0]
    silent = {name: {"kund.example SOA": "timeout"} for name in ("ns1", "ns2")}
    report = await play(replace(well, faults=silent))
    assert report.ok and report.codes == ()
    gone = await play(replace(by_code("dkim.missing"), faults=silent))
    assert gone.codes == ("dkim.missing",) and not misses(gone)
    assert misses(await play(by_code("dkim.missing"))), "as it does where the zone's own servers say so"
