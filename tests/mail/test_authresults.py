"""What receiving servers write, as they write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.mail.authresults import parse, results_of

GOOGLE = """mx.google.com;
       dkim=pass header.i=@kund.se header.s=om1 header.b="abc/+=;";
       dkim=neutral (no key (really) for signature) header.i=@x.se;
       spf=pass (google.com: domain of studs@mg.kund.se designates 192.0.2.1 as permitted sender) smtp.mailfrom=studs@mg.kund.se;
       dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=kund.se"""


def test_a_great_receivers_words_are_read() -> None:
    results = parse(GOOGLE)
    assert results is not None and results.server == "mx.google.com"
    assert [(one.name, one.result) for one in results.methods] == [
        ("dkim", "pass"), ("dkim", "neutral"), ("spf", "pass"), ("dmarc", "pass"),
    ]  # fmt: skip
    assert results.of("dkim")[0].properties["header.s"] == "om1"
    assert results.of("spf")[0].properties["smtp.mailfrom"] == "studs@mg.kund.se"


@pytest.mark.parametrize(
    ("value", "methods"),
    [
        ("example.com 1; none", []),
        ("example.com; spf = pass smtp.mailfrom = a@b.se", [("spf", "pass")]),
        ('example.com; dkim/1=FAIL reason="bad; sig"', [("dkim", "fail")]),
        ("example.com; dkim=pass (unclosed header.d=x.se", [("dkim", "pass")]),
        ("example.com; =; ;;; spf=none", [("spf", "none")]),
    ],
)
def test_odd_and_broken_values_are_read_as_far_as_they_go(value: str, methods: list[tuple[str, str]]) -> None:
    results = parse(value)
    assert results is not None
    assert [(one.name, one.result) for one in results.methods] == methods


def test_only_the_field_on_top_counts_or_the_one_of_the_server_that_is_named() -> None:
    forged = b"Authentication-Results: mx.probe.se; dkim=pass header.d=bank.se\r\n"
    mail = b"Authentication-Results: mx.probe.se; dkim=fail\r\nReceived: x\r\n" + forged + b"\r\nbody\r\n" + forged
    for server in ("", "mx.probe.se"):
        results = results_of(mail, server)
        assert results is not None and results.of("dkim")[0].result == "fail"
    assert results_of(mail, "mx.other.se") is None
    assert (
        results_of(b"Authentication-Results: ;\r\n" + forged) is None
    )  # what is below is no more to be trusted for it
    assert results_of(b"Subject: x\r\n\r\n" + forged) is None


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    parse(text)
    results_of(b"Authentication-Results:" + text.encode("utf-8", "surrogatepass") + b"\r\n\r\n")
