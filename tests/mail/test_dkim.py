"""The signer, judged by dkimpy, which shares no code with it, and by the example of RFC 8463."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import dkim as dkimpy
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.errors import Misconfigured
from ombud.mail import dkim
from ombud.mail.dkim import SigningKey, dns_record, from_pem, new_key, sign, to_pem

GOLDEN = Path(__file__).parent.parent / "golden" / "dkim"
NOON = datetime(2024, 5, 31, 10, 0, tzinfo=UTC)
RSA = new_key("bjorkhagen.example", "ombud1")
ED25519 = new_key("bjorkhagen.example", "ombud2", "ed25519-sha256")

MESSAGE = (
    b"Received: from hyra.example by ombud.example; Fri, 31 May 2024 10:00:00 +0000\r\n"
    b"From: Anna <anna@bjorkhagen.example>\r\n"
    b"To: Bo <bo@mottagare.example>,\r\n\tCia <cia@mottagare.example>\r\n"
    b"Subject: Hyresavi  juni \r\n"
    b"Date: Fri, 31 May 2024 10:00:00 +0000\r\n"
    b"Message-ID: <1@bjorkhagen.example>\r\n"
    b"\r\n"
    b"Hej  Bo!\t\r\n\r\nHyran \xc3\xa4r 8 120 kr.\r\n.\r\n\r\n"
)

ALWAYS_GUARDED = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
]
GUARDED_WHEN_PRESENT = [
    "Sender",
    "In-Reply-To",
    "References",
    "List-Id",
    "Feedback-ID",
    "CFBL-Address",
    "CFBL-Feedback-ID",
]


class LentVerifyKey:
    """dkimpy takes its Ed25519 from PyNaCl, which nothing else here needs; it is lent OpenSSL's, in PyNaCl's form."""

    def __init__(self, key: bytes, encoder: object) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))

    def verify(self, message: bytes, signature: bytes) -> None:
        self._key.verify(signature, message)


@pytest.fixture(autouse=True, scope="module")
def _ed25519_for_dkimpy() -> object:
    lent = SimpleNamespace(
        signing=SimpleNamespace(VerifyKey=LentVerifyKey),
        encoding=SimpleNamespace(Base64Encoder=object()),
        exceptions=SimpleNamespace(ValueError=ValueError, BadSignatureError=InvalidSignature),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkimpy, "nacl", lent, raising=False)
        yield


def verdicts(message: bytes, *keys: SigningKey) -> list[bool]:
    """What dkimpy says of the topmost signatures, when the keys' records are published."""
    if not message.endswith(b"\r\n"):
        message += b"\r\n"  # as it arrives: SMTP ends the last line (RFC 5321 4.1.1.4)
    zone = {f"{key.record_name}.".encode(): dns_record(key).encode() for key in keys}

    def verdict(index: int) -> bool:
        try:
            return bool(dkimpy.DKIM(message).verify(index, dnsfunc=lambda name, timeout: zone.get(name)))
        except dkimpy.DKIMException:
            return False

    return [verdict(index) for index in range(len(keys))]


def signed(message: bytes, *keys: SigningKey) -> bytes:
    return sign(message, keys or (RSA,), NOON) + message


def tags(field: bytes) -> dict[str, str]:
    value = re.sub(rb"\s", b"", field.partition(b":")[2]).decode()
    return {name: text for name, _, text in (tag.partition("=") for tag in value.split(";"))}


def in_crlf(name: str) -> bytes:
    return (GOLDEN / name).read_bytes().replace(b"\n", b"\r\n")


# --- every signature is believed ---------------------------------------------------------------------------------------

SPACE = st.sampled_from([b"", b" ", b"  ", b"\t", b" \t ", b"   "])
WORD = st.one_of(
    st.sampled_from([b"", b".", b"..", b"a:b;c", b"b=", "åäö".encode(), b"\xff\xfe"]), st.binary(max_size=9)
)
# The gate lets neither bare CR and LF nor NUL pass; VT and FF are white space to dkimpy, against RFC 6376 2.8.
TEXT = st.lists(st.tuples(SPACE, WORD, SPACE), max_size=4).map(
    lambda parts: re.sub(rb"[\r\n\0\x0b\x0c]", b"", b"".join(b"".join(part) for part in parts))
)
NAMES = [*sorted(dkim.SIGNED), b"received", b"x-hyra", b"return-path", b"dkim-signature-x", b"fromage"]


@st.composite
def header_fields(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(NAMES))
    name = draw(st.sampled_from([name, name.upper(), name.title()]))
    folds = draw(st.lists(st.tuples(st.sampled_from([b"\r\n ", b"\r\n\t", b" \r\n  "]), TEXT), max_size=3))
    return name + b":" + draw(TEXT) + b"".join(fold + text for fold, text in folds) + b"\r\n"


BODIES = st.one_of(
    st.just(b""),
    st.integers(1, 4).map(lambda n: b"\r\n" * n),
    st.lists(TEXT, max_size=8).map(b"\r\n".join),
    st.lists(TEXT, max_size=8).map(lambda lines: b"\r\n".join(lines) + b"\r\n\r\n"),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(header_fields(), max_size=12), BODIES)
def test_dkimpy_believes_both_signatures_of_any_message(fields: list[bytes], body: bytes) -> None:
    message = b"From: anna@bjorkhagen.example\r\n" + b"".join(fields) + b"\r\n" + body
    assert verdicts(signed(message, RSA, ED25519), RSA, ED25519) == [True, True]


@settings(max_examples=150, deadline=None)
@given(BODIES, st.integers(1, 20))
def test_the_body_hash_does_not_depend_on_where_the_blocks_are_cut(body: bytes, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkim, "BLOCK", block)
        found = dkim.body_hash(b"A: b\r\n\r\n" + body)
    line_ended = body if not body or body.endswith(b"\r\n") else body + b"\r\n"
    assert base64.b64decode(found) == hashlib.sha256(Relaxed.canonicalize_body(line_ended)).digest()


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "ed25519-sha256"])
def test_a_fresh_key_signs_what_its_dns_record_proves(algorithm: dkim.Algorithm) -> None:
    key = new_key("bjorkhagen.example", "juni.2024", algorithm)
    assert verdicts(signed(MESSAGE, key), key) == [True]
    assert key.record_name == "juni.2024._domainkey.bjorkhagen.example"


def test_a_message_without_a_body_or_without_the_empty_line_is_signed_all_the_same() -> None:
    header = MESSAGE.partition(b"\r\n\r\n")[0]
    assert [verdicts(signed(header + end), RSA) for end in (b"", b"\r\n", b"\r\n\r\n")] == [[True]] * 3


def test_fields_put_on_top_and_line_ends_added_below_on_the_way_do_no_harm() -> None:
    relayed = b"Received: from ombud.example by mx.example\r\nX-Spam: no\r\n" + signed(MESSAGE) + b"\r\n\r\n"
    assert verdicts(relayed, RSA) == [True]


def test_long_names_are_folded_between_the_tags_and_still_verify() -> None:
    key = new_key(f"{'a' * 60}.{'b' * 60}.example", "s" * 60, "ed25519-sha256")
    assert verdicts(signed(MESSAGE, key), key) == [True]


# --- what is signed, and how it is written ------------------------------------------------------------------------------


def test_every_field_is_named_once_more_than_it_stands() -> None:
    message = MESSAGE.replace(b"\r\n\r\n", b"\r\nCc: x@y.example\r\nList-Id: <hyra>\r\n\r\n", 1)
    named = tags(sign(message, [RSA], NOON))["h"].split(":")
    present = {"From", "To", "Subject", "Date", "Message-ID", "Cc", "List-Id"}
    assert {name: named.count(name) for name in named} == {
        name.lower(): 2 if name in present else 1 for name in (*ALWAYS_GUARDED, "List-Id")
    }


@pytest.mark.parametrize("name", ALWAYS_GUARDED)
@pytest.mark.parametrize("where", ["on top", "below"])
def test_a_field_added_on_the_way_breaks_the_signature(name: str, where: str) -> None:
    added, message = f"{name}: mallory@evil.example\r\n".encode(), signed(MESSAGE, ED25519)
    head, _, body = message.partition(b"\r\n\r\n")
    forged = added + message if where == "on top" else head + b"\r\n" + added + b"\r\n" + body
    assert verdicts(message, ED25519) == [True]
    assert verdicts(forged, ED25519) == [False]


@pytest.mark.parametrize("name", GUARDED_WHEN_PRESENT)
def test_a_rarer_field_is_guarded_when_it_stands_and_may_be_added_when_it_does_not(name: str) -> None:
    field = f"{name}: x\r\n".encode()
    assert verdicts(field + signed(MESSAGE, ED25519), ED25519) == [True]
    assert verdicts(field + signed(field + MESSAGE, ED25519), ED25519) == [False]


def test_altering_any_byte_of_the_body_breaks_the_signature() -> None:
    message = signed(MESSAGE, ED25519)
    start = message.index(b"\r\n\r\n") + 4
    end = len(message.rstrip())  # empty lines at the end are not part of it (RFC 6376 3.4.4)
    broken = [
        verdicts(message[:at] + bytes([message[at] ^ 0x40]) + message[at + 1 :], ED25519) for at in range(start, end)
    ]
    assert broken == [[False]] * (end - start)


def test_altering_any_signed_field_breaks_the_signature() -> None:
    message = signed(MESSAGE, ED25519)
    for text in (b"Anna", b"anna@", b"Cia", b"juni", b"2024 10", b"<1@"):
        at = message.rindex(text)
        assert verdicts(message[:at] + b"X" + message[at + 1 :], ED25519) == [False], text


def test_the_lowest_of_repeated_fields_is_signed_first() -> None:
    names, fields = dkim.signed_fields(b"To: 1\r\nX: y\r\nTo: 2\r\nFrom: a\r\n\r\n")
    assert names.count(b"to") == 3
    assert fields == b"from:a\r\nto:2\r\nto:1\r\n"


def test_white_space_before_the_colon_and_around_the_value_is_not_signed() -> None:
    _, fields = dkim.signed_fields(b"SUBJECT \t: \t a \r\n\t b\t\tc \r\n\r\n")
    assert fields == b"subject:a b c\r\n"


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n\r\n", b" \t\r\n  \r\n", b" "])
def test_a_body_without_text_is_hashed_as_nothing(body: bytes) -> None:
    assert dkim.body_hash(b"From: a\r\n\r\n" + body) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_the_tags_are_those_that_we_promise() -> None:
    found = tags(sign(MESSAGE, [RSA], NOON))
    assert list(found) == ["v", "a", "c", "d", "s", "t", "bh", "h", "b"]  # no l=, no i=
    assert (found["a"], found["c"]) == ("rsa-sha256", "relaxed/relaxed")
    assert (found["d"], found["s"], found["t"]) == ("bjorkhagen.example", "ombud1", str(int(NOON.timestamp())))


def test_the_lines_of_the_fields_are_at_most_78_long_and_end_with_crlf() -> None:
    everything = b"".join(name + b": x\r\n" for name in sorted(dkim.SIGNED)) + MESSAGE
    fields = sign(everything, [RSA, ED25519], NOON)
    lines = fields.split(b"\r\n")
    assert lines.pop() == b""
    assert max(map(len, lines)) <= 78
    assert [line for line in lines if not line.startswith(b" ")] == [
        line for line in lines if line.startswith(b"DKIM-Signature: v=1; a=")
    ]
    assert fields.replace(b"\r\n", b"").find(b"\n") == -1


def test_the_same_arguments_give_the_same_bytes_in_any_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: sign(MESSAGE, [RSA, ED25519], NOON), range(40)))
    assert found == {sign(MESSAGE, [RSA], NOON) + sign(MESSAGE, [ED25519], NOON)}


def test_without_a_key_nothing_is_put_on_top() -> None:
    assert sign(MESSAGE, [], NOON) == b""


# --- RFC 8463, appendix A -----------------------------------------------------------------------------------------------

BRISBANE = SigningKey(
    "football.example.com",
    "brisbane",
    "ed25519-sha256",
    Ed25519PrivateKey.from_private_bytes(base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")),
)


def test_our_canonical_form_gives_the_signature_of_rfc_8463_to_the_bit() -> None:
    message, signature = in_crlf("rfc8463.eml"), in_crlf("rfc8463.signature")
    expected = tags(signature)
    assert dkim.body_hash(message).decode() == expected["bh"]

    _, fields = dkim.signed_fields(message)  # its h= names the same five fields, in the same order
    unsigned = re.sub(rb"\s+", b" ", signature[: signature.rindex(b" b=") + 3]).replace(
        b"DKIM-Signature: ", b"dkim-signature:"
    )
    digest = hashlib.sha256(fields + unsigned).digest()
    assert isinstance(BRISBANE.private, Ed25519PrivateKey)
    assert base64.b64encode(BRISBANE.private.sign(digest)).decode() == expected["b"]


def test_our_record_of_the_rfcs_key_is_the_rfcs_record() -> None:
    assert f'{BRISBANE.record_name}. IN TXT "{dns_record(BRISBANE)}"\n' == (GOLDEN / "rfc8463.zone").read_text()
    assert verdicts(in_crlf("rfc8463.signature") + in_crlf("rfc8463.eml"), BRISBANE) == [True]


def test_our_own_field_for_the_rfcs_message_has_not_changed() -> None:
    field = sign(in_crlf("rfc8463.eml"), [BRISBANE], datetime.fromtimestamp(1528637909, UTC))
    assert field == in_crlf("rfc8463.ombud")


# --- hostile sizes ------------------------------------------------------------------------------------------------------

MIB = 1 << 20
HOSTILE = {
    "a million empty lines": b"\r\n" * MIB,
    "a million empty lines, then text": b"\r\n" * MIB + b"x\r\n",
    "a million spaces": b" " * MIB,
    "a million spaces, then text": b" " * MIB + b"x\r\n",
    "a million tabs at a line's end": b"x" + b"\t" * MIB + b"\r\nx",
    "lines of white space": b" \t\r\n" * MIB,
    "runs all over": b"ab  " * (MIB // 4),
    "one line of 25 MiB": b"x" * (25 * MIB),
    "25 MiB in base64": (b"QUJD" * 19 + b"\r\n") * (25 * MIB // 78),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_no_body_takes_more_than_linear_time(body: bytes) -> None:
    started = time.process_time()
    sign(MESSAGE + body, [ED25519], NOON)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "field", [b" " * MIB, b"\r\n x" * (MIB // 4), b"\r\nSubject:x" * (MIB // 10), b"\t\r\n\t" * (MIB // 4)]
)
def test_no_header_takes_more_than_linear_time(field: bytes) -> None:
    started = time.process_time()
    sign(b"Subject:" + field + b"\r\n" + MESSAGE, [ED25519], NOON)
    assert time.process_time() - started < 1


def test_a_large_body_is_hashed_as_a_whole() -> None:
    """Over many blocks of the real size, with white space at the cuts as everywhere else."""
    parts, chance = [b"Hej", b" ", b"  ", b"\t", b"\r\n", b" \r\n"], random.Random(8463)
    body = b"".join(chance.choices(parts, k=150_000)) + b"x\r\n"
    assert len(body) > 3 * dkim.BLOCK
    expected = hashlib.sha256(Relaxed.canonicalize_body(body)).digest()
    assert base64.b64decode(dkim.body_hash(b"A: b\r\n\r\n" + body)) == expected


# --- keys ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
def test_a_key_survives_its_pem(key: SigningKey) -> None:
    again = from_pem(key.domain, key.selector, to_pem(key))
    assert (again.algorithm, dns_record(again)) == (key.algorithm, dns_record(key))
    assert sign(MESSAGE, [again], NOON) == sign(MESSAGE, [key], NOON)


def test_a_new_rsa_key_has_2048_bits_and_a_printed_key_tells_nothing_secret() -> None:
    assert dns_record(RSA).startswith("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA")
    assert repr(RSA) == "SigningKey(domain='bjorkhagen.example', selector='ombud1', algorithm='rsa-sha256')"


@pytest.mark.parametrize(
    ("domain", "selector"),
    [
        ("evil.example; l=0", "s"),
        ("evil.example\r\nX: y", "s"),
        ("evil.example", "s; d=bank.example"),
        ("evil.example\n", "s"),
        ("Evil.example", "s"),
        ("björkhagen.example", "s"),
        ("example", "s"),
        ("evil..example", "s"),
        (".example", "s"),
        ("evil.example", ""),
        ("evil.example.", "s"),
        (f"{'a.' * 120}example", "selector"),
    ],
)
def test_a_name_that_would_not_stand_safely_in_the_field_is_refused(domain: str, selector: str) -> None:
    with pytest.raises(Misconfigured, match="is not a name"):
        SigningKey(domain, selector, "rsa-sha256", RSA.private)


def test_a_key_of_another_kind_than_its_algorithm_is_refused() -> None:
    with pytest.raises(Misconfigured, match="does not sign"):
        SigningKey("bjorkhagen.example", "s", "rsa-sha256", ED25519.private)
    with pytest.raises(Misconfigured, match="does not sign"):
        SigningKey("bjorkhagen.example", "s", "rsa-sha1", RSA.private)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(("p", "q"), [(127, 521), (2203, 2281)])
def test_an_rsa_key_that_receivers_would_not_take_is_refused(p: int, q: int) -> None:
    private = of_mersenne_primes(2**p - 1, 2**q - 1)
    with pytest.raises(Misconfigured, match=f"{private.key_size} bits"):
        SigningKey("bjorkhagen.example", "s", "rsa-sha256", private)


def of_mersenne_primes(p: int, q: int) -> rsa.RSAPrivateKey:
    """An RSA key of whatever size the two make, without searching for primes."""
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def test_a_pem_that_is_no_key_for_us_is_refused_without_quoting_it() -> None:
    pkcs8 = (Encoding.PEM, PrivateFormat.PKCS8)
    pems = [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nhemligt\n-----END PRIVATE KEY-----\n",
        ec.generate_private_key(ec.SECP256R1()).private_bytes(*pkcs8, NoEncryption()),
        ED25519.private.private_bytes(*pkcs8, BestAvailableEncryption(b"hemligt")),
    ]
    for pem in pems:
        with pytest.raises(Misconfigured, match=r"the DKIM key of bjorkhagen\.example") as caught:
            from_pem("bjorkhagen.example", "s", pem)
        assert "hemligt" not in str(caught.value)
