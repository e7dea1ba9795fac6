"""A record looked over without a sender, and the record that ours would become part of."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.dns import Zone
from ombud.mail.spf import BadRecord, Result, check_host, merged, parse, survey


def zone(**texts: str) -> Zone:
    records = {name.replace("_", "."): {"TXT": [text]} for name, text in texts.items()}
    return Zone(records | {"mx.a.se": {"A": ["192.0.2.1"]}})


async def test_every_branch_is_counted_whoever_sends() -> None:
    answers = zone(
        kund_se="v=spf1 include:b.se include:c.se ip4:192.0.2.0/24 -all",
        b_se="v=spf1 include:d.se a:mx.a.se ~all",
        c_se="v=spf1 ip4:192.0.2.5 ~all",
        d_se="v=spf1 exists:%{i}.x.se ?all",
    )
    verdict = await survey(answers.ask, "kund.se")
    assert (verdict.result, verdict.lookups, verdict.voids, verdict.problems()) == (Result.FAIL, 5, 0, [])
    shown = [(tree.domain, step.term.text, step.lookups, step.matched) for tree, step in verdict.tree.walk()]
    assert shown == [
        ("kund.se", "include:b.se", 4, False),
        ("b.se", "include:d.se", 2, False),
        ("d.se", "exists:%{i}.x.se", 1, None),
        ("d.se", "?all", 0, True),
        ("b.se", "a:mx.a.se", 1, None),
        ("b.se", "~all", 0, True),
        ("kund.se", "include:c.se", 1, False),
        ("c.se", "ip4:192.0.2.5", 0, None),
        ("c.se", "~all", 0, True),
        ("kund.se", "ip4:192.0.2.0/24", 0, None),
        ("kund.se", "-all", 0, True),
    ]


async def test_counting_goes_on_past_the_limit_and_says_by_how_much() -> None:
    records = {"kund.se": {"TXT": ["v=spf1 " + " ".join(f"include:i{n}.se" for n in range(13)) + " ~all"]}}
    records |= {f"i{n}.se": {"TXT": ["v=spf1 ip4:192.0.2.1 ~all"]} for n in range(13)}
    verdict = await survey(Zone(records).ask, "kund.se")
    assert (verdict.lookups, verdict.problems()) == (13, [("too_many_lookups", "kund.se", "13")])
    real = await check_host(Zone(records).ask, "203.0.113.1", "h.se", "a@kund.se")
    assert (real.result, real.lookups, real.tree.problem) == (Result.PERMERROR, 11, "too_many_lookups")


@pytest.mark.parametrize(
    ("texts", "result", "problems"),
    [
        ({}, Result.NONE, [("no_record", "kund.se", "")]),
        ({"kund_se": "v=spf1 include:gone.se ~all"}, Result.PERMERROR,
         [("include_without_record", "kund.se", "include:gone.se"), ("no_record", "gone.se", "")]),
        ({"kund_se": "v=spf1 redirect=gone.se"}, Result.PERMERROR,
         [("redirect_without_record", "kund.se", "redirect=gone.se"), ("no_record", "gone.se", "")]),
        ({"kund_se": "v=spf1 include:kund.se ~all"}, Result.PERMERROR, [("loop", "kund.se", "include:kund.se")]),
        ({"kund_se": "v=spf1 a:x1.se a:x2.se a:x3.se ~all"}, Result.SOFTFAIL, [("too_many_voids", "kund.se", "3")]),
        ({"kund_se": "v=spf1 ipv4:192.0.2.1 ~all"}, Result.PERMERROR,
         [("syntax", "kund.se", "ipv4:192.0.2.1: there is no such mechanism")]),
        ({"kund_se": "v=spf1 include:b.se ~all", "b_se": "v=spf1 ip4:1.2.3 ~all"}, Result.PERMERROR,
         [("syntax", "b.se", "ip4:1.2.3: that is no address or network")]),
        ({"kund_se": "v=spf1 +all"}, Result.PASS, []),
        ({"kund_se": "v=spf1 redirect=b.se", "b_se": "v=spf1 -all"}, Result.FAIL, []),
    ],
)  # fmt: skip
async def test_what_is_wrong_has_a_code_a_place_and_the_words(
    texts: dict[str, str], result: Result, problems: list[tuple[str, str, str]]
) -> None:
    verdict = await survey(zone(**texts).ask, "kund.se")
    assert (verdict.result, verdict.problems()) == (result, problems)


async def test_two_records_are_told_with_their_texts() -> None:
    texts = ["v=spf1 -all", "v=spf1 include:b.se ~all", "google-site-verification=x"]
    verdict = await survey(Zone({"kund.se": {"TXT": texts}}).ask, "kund.se")
    assert (verdict.tree.problem, verdict.tree.texts) == ("two_records", tuple(texts[:2]))


async def test_a_server_in_trouble_below_is_not_called_an_error_of_the_record() -> None:
    answers = Zone({"kund.se": {"TXT": ["v=spf1 include:b.se ~all"]}}, faults={"b.se": "servfail"})
    verdict = await survey(answers.ask, "kund.se")
    assert (verdict.result, verdict.problems()) == (Result.TEMPERROR, [("dns", "b.se", "servfail")])


async def test_a_record_is_surveyed_before_it_is_published() -> None:
    verdict = await survey(zone(b_se="v=spf1 ip4:192.0.2.1 ~all").ask, "kund.se", "v=spf1 include:b.se -all")
    assert (verdict.result, verdict.lookups) == (Result.FAIL, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], "v=spf1 include:v.se ~all"),
        (["v=spf1 -all"], "v=spf1 include:v.se -all"),
        (["v=spf1 mx include:_spf.google.com ~all"], "v=spf1 mx include:_spf.google.com include:v.se ~all"),
        (["v=spf1 a redirect=_spf.x.se"], "v=spf1 a include:v.se redirect=_spf.x.se"),
        (["v=spf1 exp=why.x.se ?ALL"], "v=spf1 exp=why.x.se include:v.se ?ALL"),
        (["v=spf1 mx"], "v=spf1 mx include:v.se"),
        (["v=spf1 include:V.se ~all"], "v=spf1 include:V.se ~all"),
        (["v=spf1 +include:v.se  ~all"], "v=spf1 +include:v.se  ~all"),
        (["v=spf1 -all", "v=spf1 include:b.se mx ~all"], "v=spf1 include:b.se mx include:v.se ~all"),
        (["v=spf1 mx redirect=b.se", "v=spf1 mx"], "v=spf1 mx include:b.se include:v.se ~all"),
    ],
)
def test_the_merged_record_keeps_what_stands_there(before: list[str], after: str) -> None:
    made = merged(before, "v.se")
    assert (made.after, made.changed) == (after, before != [after])
    assert merged([made.after], "v.se").changed is False


def test_a_record_that_breaks_the_grammar_is_not_built_upon() -> None:
    with pytest.raises(BadRecord):
        merged(["v=spf1 include: ~all"], "v.se")


TERMS = st.sampled_from(
    [
        "mx",
        "a:b.se",
        "ip4:192.0.2.7",
        "ip4:198.51.100.0/24",
        "include:b.se",
        "?ip4:192.0.2.9",
        "-ip4:192.0.2.8",
        "exp=e.se",
    ]
)
ENDS = st.sampled_from(["", "~all", "-all", "?all", "redirect=b.se"])


@given(
    terms=st.lists(TERMS, max_size=5, unique=True),
    end=ENDS,
    ip=st.sampled_from(["192.0.2.7", "192.0.2.9", "198.51.100.4"]),
)
async def test_whoever_passed_still_passes_and_so_do_we(terms: list[str], end: str, ip: str) -> None:
    before = " ".join(["v=spf1", *terms, end]).strip()
    records = {
        "kund.se": {"TXT": [before], "MX": ["10 mx.b.se"]},
        "mx.b.se": {"A": ["192.0.2.7"]},
        "b.se": {"TXT": ["v=spf1 ip4:192.0.2.9 ~all"], "A": ["192.0.2.9"]},
        "v.se": {"TXT": ["v=spf1 ip4:203.0.113.0/24 ~all"]},
    }
    after = records | {"kund.se": {**records["kund.se"], "TXT": [merged([before], "v.se").after]}}
    was = await check_host(Zone(records).ask, ip, "h.se", "a@kund.se")
    now = await check_host(Zone(after).ask, ip, "h.se", "a@kund.se")
    ours = await check_host(Zone(after).ask, "203.0.113.9", "h.se", "a@kund.se")
    assert was.result is not Result.PASS or now.result is Result.PASS
    assert ours.result is Result.PASS


@given(st.text(max_size=80))
def test_no_text_makes_the_parser_raise_anything_but_its_own_error(text: str) -> None:
    with contextlib.suppress(BadRecord):
        parse("v=spf1 " + text)
