"""The receivers' judge, with messages that dkimpy signs and records on a real name server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ombud.sandbox.judge import Judge, Verdict, from_domain_of
from ombud.sandbox.nameserver import NameServer, Zones, resolver

KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # short, so that dkimpy signs fast
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
PUBLIC = "".join(
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
    .splitlines()[1:-1]
)
RECORDS = """
eken.example. IN TXT "v=spf1 ip4:127.0.20.1 -all"
_dmarc.eken.example. IN TXT "v=DMARC1; p=reject"
strict.example. IN TXT "v=spf1 include:spf.relay.example -all"
_dmarc.strict.example. IN TXT "v=DMARC1; p=quarantine; sp=none; adkim=s; aspf=s"
spf.relay.example. IN TXT "v=spf1 ip4:127.0.20.0/24 -all"
post.strict.example. IN TXT "v=spf1 ip4:127.0.20.1 -all"
nodmarc.example. IN TXT "v=spf1 ip4:127.0.20.1 ~all"
twospf.example. IN TXT "v=spf1 -all"
twospf.example. IN TXT "v=spf1 +all"
twodmarc.example. IN TXT "v=spf1 ip4:127.0.20.1 -all"
_dmarc.twodmarc.example. IN TXT "v=DMARC1; p=reject"
_dmarc.twodmarc.example. IN TXT "v=DMARC1; p=none"
"""
RELAY, STRANGER = "127.0.20.1", "127.0.99.9"


class NameServerInThread:
    """The judge blocks, so the name server runs in a loop of its own."""

    def __init__(self) -> None:
        self.zones = Zones()
        self.zones.add(RECORDS)
        for domain in ("eken.example", "strict.example", "post.strict.example", "nodmarc.example", "other.example"):
            self.zones.publish(f"k._domainkey.{domain}", "TXT", f"v=DKIM1; k=rsa; p={PUBLIC}")
        self.server = NameServer(self.zones)
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self.server.start())
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.judge = Judge(resolver(self.server.address))

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.call_later, 0.05, self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def names() -> Iterator[NameServerInThread]:
    names = NameServerInThread()
    yield names
    names.stop()


@pytest.fixture
def judge(names: NameServerInThread) -> Judge:
    names.zones.faults.clear()
    names.judge.forget()
    return names.judge


def message(from_: str = "hyra@eken.example") -> bytes:
    return f"From: {from_}\r\nTo: a@storpost.example\r\nSubject: avi\r\nMessage-ID: <1@x>\r\n\r\nHej\r\n".encode()


def signed(content: bytes, domain: str = "eken.example", selector: str = "k") -> bytes:
    field: bytes = dkim.sign(content, selector.encode(), domain.encode(), PEM, canonicalize=(b"relaxed", b"relaxed"))
    return field + content


def opinion(
    judge: Judge, content: bytes, *, client: str = STRANGER, mail_from: str = "hyra@eken.example"
) -> tuple[str, list[str], str, bool]:
    verdict = judge.judge(client, "helo.example", mail_from, content)
    return verdict.spf, [signature.result for signature in verdict.signatures], verdict.dmarc, verdict.aligned


def test_the_right_server_passes_spf_and_with_it_dmarc(judge: Judge) -> None:
    assert opinion(judge, message(), client=RELAY) == ("pass", [], "pass", True)


def test_another_server_fails_spf_and_dmarc(judge: Judge) -> None:
    assert opinion(judge, message()) == ("fail", [], "fail", False)


def test_a_signature_carries_dmarc_where_spf_fails(judge: Judge) -> None:
    assert opinion(judge, signed(message())) == ("fail", ["pass"], "pass", True)


def test_a_changed_body_breaks_the_signature(judge: Judge) -> None:
    assert opinion(judge, signed(message()) + b"more\r\n") == ("fail", ["fail"], "fail", False)


def test_a_changed_signed_header_breaks_the_signature(judge: Judge) -> None:
    changed = signed(message()).replace(b"Subject: avi", b"Subject: bluff")
    assert opinion(judge, changed) == ("fail", ["fail"], "fail", False)


def test_a_second_from_breaks_the_signature_and_leaves_nobody_to_vouch_for(judge: Judge) -> None:
    assert opinion(judge, b"From: chef@storpost.example\r\n" + signed(message())) == (
        "fail",
        ["fail"],
        "permerror",
        False,
    )


def test_a_good_signature_of_another_domain_does_not_align(judge: Judge) -> None:
    assert opinion(judge, signed(message(), "other.example")) == ("fail", ["pass"], "fail", False)


def test_a_good_envelope_of_another_domain_does_not_align(judge: Judge) -> None:
    assert opinion(judge, message(), client=RELAY, mail_from="x@nodmarc.example") == ("pass", [], "fail", False)


def test_one_good_signature_of_two_is_enough(judge: Judge) -> None:
    both = signed(signed(message()), "other.example", "missing")
    assert opinion(judge, both) == ("fail", ["permerror", "pass"], "pass", True)


def test_a_signature_without_a_key_in_dns_is_a_permanent_error(judge: Judge) -> None:
    assert opinion(judge, signed(message(), selector="gone"))[1] == ["permerror"]


def test_relaxed_alignment_takes_a_subdomain_and_strict_does_not(judge: Judge, names: NameServerInThread) -> None:
    relaxed = message("hyra@post.eken.example")
    assert opinion(judge, signed(relaxed))[2] == "pass"
    strict = message("hyra@strict.example")
    assert opinion(judge, signed(strict, "post.strict.example"), mail_from="")[1:] == (["pass"], "fail", False)
    assert opinion(judge, signed(strict, "strict.example"), mail_from="")[1:] == (["pass"], "pass", True)
    assert opinion(judge, strict, client=RELAY, mail_from="b@post.strict.example") == ("pass", [], "fail", False)
    assert opinion(judge, strict, client=RELAY, mail_from="b@strict.example") == ("pass", [], "pass", True)


def test_a_subdomain_without_a_record_of_its_own_gets_the_organisations_subdomain_policy(judge: Judge) -> None:
    assert judge.judge(STRANGER, "h", "", message("a@post.strict.example")).policy == "none"
    assert judge.judge(STRANGER, "h", "", message("a@post.eken.example")).policy == "reject"


def test_without_a_dmarc_record_there_is_no_verdict_but_still_an_alignment(judge: Judge) -> None:
    content = message("hyra@nodmarc.example")
    assert opinion(judge, content, client=RELAY, mail_from="hyra@nodmarc.example") == ("pass", [], "none", True)
    assert opinion(judge, content, mail_from="hyra@nodmarc.example") == ("softfail", [], "none", False)


def test_two_dmarc_records_are_none(judge: Judge) -> None:
    assert opinion(judge, message("a@twodmarc.example"))[2] == "none"


def test_no_spf_record_is_none_and_two_are_an_error(judge: Judge) -> None:
    assert opinion(judge, message(), mail_from="a@nowhere.example")[0] == "none"
    assert opinion(judge, message(), mail_from="a@twospf.example")[0] == "permerror"


def test_the_null_sender_is_judged_by_its_helo_name(judge: Judge) -> None:
    assert judge.judge(RELAY, "eken.example", "", message()).spf_domain == "eken.example"


def test_dns_that_fails_makes_temporary_errors(judge: Judge, names: NameServerInThread) -> None:
    names.zones.faults.update(
        dict.fromkeys(("eken.example", "k._domainkey.eken.example", "_dmarc.eken.example"), "SERVFAIL")
    )
    assert opinion(judge, signed(message())) == ("temperror", ["temperror"], "temperror", False)


def test_the_results_name_every_method_and_cannot_be_broken_out_of() -> None:
    verdict = Verdict("pass", "a;b\r\nX: y", (), "none", "", "eken.example", aligned=True)
    assert verdict.results("mx.storpost.example") == (
        "mx.storpost.example;\r\n\tspf=pass smtp.mailfrom=a?b??X??y;\r\n\tdkim=none;\r\n\tdmarc=none header.from=eken.example"
    )


@pytest.mark.parametrize(
    ("field", "domain"),
    [
        ("From: hyra@Eken.Example", "eken.example"),
        ('from: "Bolaget, AB" <hyra@eken.example>', "eken.example"),
        ("From: =?utf-8?q?=C3=85sa?=\r\n <asa@eken.example>", "eken.example"),
        ("From: hyra@ängsgården.example", "xn--ngsgrden-zzao.example"),
        ("From: a@one.example, b@two.example", ""),
        ("From: a@one.example\r\nFrom: b@two.example", ""),
        ("From: nobody", ""),
        ("Subject: From: a@one.example", ""),
    ],
)
def test_the_from_domain_is_read_when_there_is_exactly_one(field: str, domain: str) -> None:
    assert from_domain_of(f"To: x@y.example\r\n{field}\r\n\r\nFrom: c@three.example\r\n".encode()) == domain


@example(b"\t", "")  # dkimpy: IndexError
@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300).map(lambda junk: b"DKIM-Signature: " + junk + b"\r\n" + message())
    | st.binary(max_size=300),
    st.text(max_size=30),
)
def test_nothing_that_a_sender_writes_makes_it_raise(names: NameServerInThread, content: bytes, mail_from: str) -> None:
    verdict = names.judge.judge(STRANGER, "h", mail_from, content)
    assert verdict.results("mx.example").isascii()
