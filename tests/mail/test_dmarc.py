"""DMARC records, the walk that finds them, and alignment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.dns import Zone
from ombud.mail.dmarc import alignment, discover, is_public_suffix, organisation_by_list, parse, walk


def zone(faults: dict[str, str] | None = None, **texts: str) -> Zone:
    return Zone({f"_dmarc.{name.replace('_', '.')}": {"TXT": [text]} for name, text in texts.items()}, faults=faults)


@pytest.mark.parametrize(
    ("text", "p", "sp", "np", "remarks"),
    [
        ("v=DMARC1; p=none", "none", "none", "none", ()),
        ("v=DMARC1;p=reject;sp=quarantine;np=none", "reject", "quarantine", "none", ()),
        ("v = DMARC1 ; p = Reject ;", "reject", "reject", "reject", ()),
        ("v=DMARC1; p=reject; sp=never", "reject", "reject", "reject", ("bad_subdomain_policy",)),
        ("v=DMARC1; rua=mailto:a@b.se", "none", "none", "none", ("bad_policy",)),
        ("v=DMARC1; p=block; rua=mailto:a@b.se", "none", "none", "none", ("bad_policy",)),
        ("v=DMARC1; p=none; rua=a@b.se", "none", "none", "none", ("bad_report_address",)),
        ("v=DMARC1; p=none; pct=50; ri=60", "none", "none", "none", ("historic_tag",)),
        ("v=DMARC1; p=none; adkim=strict", "none", "none", "none", ("bad_alignment",)),
    ],
)
def test_a_record_is_read_as_receivers_read_it(text: str, p: str, sp: str, np: str, remarks: tuple[str, ...]) -> None:
    record = parse(text)
    assert record is not None
    assert (record.p, record.sp, record.np, record.remarks) == (p, sp, np, remarks)


@pytest.mark.parametrize(
    "text",
    ["v=dmarc1; p=none", "v=DMARC1; p=block", "v=DMARC1", "p=none; v=DMARC1", "v=DMARC12; p=none", "v=spf1 -all", ""],
)
def test_what_is_no_record_to_receivers_is_none(text: str) -> None:
    assert parse(text) is None


def test_testing_asks_for_one_step_less() -> None:
    record = parse("v=DMARC1; p=reject; t=y")
    assert record is not None and record.applied == "quarantine"


async def test_the_walk_asks_at_most_eight_names() -> None:
    stops = await walk(zone().ask, "a.b.c.d.e.f.g.h.i.kund.se")
    assert [stop.domain for stop in stops] == [
        "a.b.c.d.e.f.g.h.i.kund.se", "e.f.g.h.i.kund.se", "f.g.h.i.kund.se", "g.h.i.kund.se", "h.i.kund.se", "i.kund.se",
        "kund.se", "se",
    ]  # fmt: skip
    assert len(stops[1].domain.split(".")) == 7


@pytest.mark.parametrize(
    ("domain", "texts", "organisation", "policy", "found_at"),
    [
        ("kund.se", {"kund_se": "v=DMARC1; p=reject"}, "kund.se", "reject", "kund.se"),
        ("news.kund.se", {"kund_se": "v=DMARC1; p=reject; sp=none; np=quarantine"}, "kund.se", "quarantine", "kund.se"),
        ("a.news.kund.se", {"news_kund_se": "v=DMARC1; p=none; psd=n", "kund_se": "v=DMARC1; p=reject"}, "news.kund.se", "none",
         "news.kund.se"),
        ("a.b.kund.se", {"b_kund_se": "v=DMARC1; p=reject", "kund_se": "v=DMARC1; p=none"}, "kund.se", "none", "kund.se"),
        ("x.kund.gov.uk", {"gov_uk": "v=DMARC1; p=reject; psd=y"}, "kund.gov.uk", "reject", "gov.uk"),
        ("gov.uk", {"gov_uk": "v=DMARC1; p=reject; psd=y"}, "gov.uk", "reject", "gov.uk"),
        ("mail.kund.se", {}, "mail.kund.se", "", ""),
    ],
)  # fmt: skip
async def test_the_organisation_and_the_policy_are_those_of_the_walk(
    domain: str, texts: dict[str, str], organisation: str, policy: str, found_at: str
) -> None:
    found = await discover(zone(**texts).ask, domain)
    assert (found.organisation, found.policy, found.found_at) == (organisation, policy, found_at)


async def test_a_subdomain_that_exists_has_the_policy_for_subdomains() -> None:
    records = {
        "_dmarc.kund.se": {"TXT": ["v=DMARC1; p=reject; sp=none; np=quarantine"]},
        "news.kund.se": {"A": ["192.0.2.1"]},
    }
    assert (await discover(Zone(records).ask, "news.kund.se")).policy == "none"


async def test_two_records_are_none() -> None:
    found = await discover(Zone({"_dmarc.kund.se": {"TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}}).ask, "kund.se")
    assert (found.record, len(found.stops[0].texts), found.policy) == (None, 2, "")


async def test_a_server_in_trouble_makes_it_uncertain_and_nothing_else() -> None:
    found = await discover(zone({"_dmarc.kund.se": "servfail"}).ask, "kund.se")
    assert found.uncertain and not found.differs and found.policy == ""


async def test_old_and_new_receivers_may_see_different_organisations() -> None:
    found = await discover(zone(github_io="v=DMARC1; p=none").ask, "kund.github.io")  # github.io is on the list
    assert (found.organisation, found.by_list, found.differs) == ("github.io", "kund.github.io", True)
    seen = await alignment(zone(github_io="v=DMARC1; p=none").ask, found, "other.github.io", ["kund.github.io"])
    assert (seen.spf, seen.spf_by_list, seen.dkim, seen.differs) == (True, False, True, True)


@pytest.mark.parametrize(
    ("tags", "spf", "dkim", "aligned"),
    [
        ("", "mg.kund.se", [], (True, False)),
        ("; aspf=s", "mg.kund.se", [], (False, False)),
        ("; aspf=s", "kund.se", [], (True, False)),
        ("; adkim=s", "", ["mg.kund.se", "kund.se"], (False, True)),
        ("; adkim=s", "", ["mg.kund.se"], (False, False)),
        ("", "", ["leverantor.se"], (False, False)),
        ("", "", [], (False, False)),
    ],
)
async def test_alignment_is_by_organisation_or_strict(
    tags: str, spf: str, dkim: list[str], aligned: tuple[bool, bool]
) -> None:
    ask = zone(kund_se=f"v=DMARC1; p=none{tags}").ask
    seen = await alignment(ask, await discover(ask, "kund.se"), spf, dkim)
    assert (seen.spf, seen.dkim) == aligned
    assert seen.any == any(aligned)


def test_the_public_suffix_list_knows_where_anybody_can_register() -> None:
    assert is_public_suffix("se") and is_public_suffix("co.uk") and not is_public_suffix("kund.se")
    assert organisation_by_list("a.b.kund.co.uk") == "kund.co.uk"


@given(st.text(max_size=60))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    parse("v=DMARC1;" + text)
