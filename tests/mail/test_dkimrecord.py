"""Key records as people have typed them."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ombud.mail.dkim import dns_record, new_key
from ombud.mail.dkimrecord import Same, compare, read_key

KEY = new_key("kund.se", "om1")
RECORD = dns_record(KEY)
P = RECORD.partition("p=")[2]
ED = dns_record(new_key("kund.se", "om2", "ed25519-sha256"))
OTHER = dns_record(new_key("kund.se", "om3"))


def bare() -> str:
    assert isinstance(KEY.private, RSAPrivateKey)
    return base64.b64encode(KEY.private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode()


@pytest.mark.parametrize(
    "text",
    [RECORD, f"v=DKIM1;k=rsa;p={P}", f"k=rsa; p={P}", f"p={P}", f"v=DKIM1; p={P[:200]} {P[200:]}", f"v=DKIM1; p=\t{P};",
     f"v=DKIM1; p={P.rstrip('=')}", f"v=DKIM1; n=a note; p={bare()}"],
)  # fmt: skip
def test_the_same_key_is_the_same_however_it_is_written(text: str) -> None:
    assert compare([text], RECORD).state is Same.SAME


@pytest.mark.parametrize(
    ("text", "note"),
    [(f'"{RECORD}"', "quoted"), (f'"{RECORD[:250]}" "{RECORD[250:]}"', "quoted"), (RECORD.replace(";", r"\;"), "escaped"),
     (f"k=rsa; p={P}; v=DKIM1", "version_not_first")],
)  # fmt: skip
def test_a_key_that_was_typed_wrongly_is_told_from_another_key(text: str, note: str) -> None:
    compared = compare([text], RECORD)
    assert compared.state is Same.SPOILED and compared.found is not None and note in compared.found.notes


@pytest.mark.parametrize(
    ("texts", "state"),
    [
        ([], Same.MISSING),
        (["v=spf1 -all", "hello"], Same.MISSING),
        ([RECORD[:255]], Same.CUT),
        ([OTHER], Same.OTHER),
        ([ED], Same.OTHER),
        (["v=DKIM1; p="], Same.REVOKED),
        (["v=DKIM1; k=rsa; p=räksmörgås"], Same.UNREADABLE),
        (["v=DKIM1; k=rsa; p=" + "A" * 392], Same.UNREADABLE),
        ([RECORD, OTHER], Same.SEVERAL),
        (["v=DKIM2; p=x"], Same.MISSING),
        (["v=spf1 -all", RECORD], Same.SAME),
    ],
)
def test_what_else_may_stand_there_has_a_name(texts: list[str], state: Same) -> None:
    assert compare(texts, RECORD).state is state


def test_an_ed25519_key_is_compared_too() -> None:
    assert compare([ED.replace(" ", "")], ED).state is Same.SAME


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ("t=y; ", "testing"),
        ("t=s; ", "no_subdomains"),
        ("t=y:s; ", "testing"),
        ("h=sha1; ", "sha1_only"),
        ("s=tlsrpt; ", "not_email"),
    ],
)
def test_flags_are_noted(tags: str, note: str) -> None:
    read = read_key(f"v=DKIM1; {tags}p={P}")
    assert read is not None and note in read.notes


@pytest.mark.parametrize(("bits", "note"), [(1024, "short"), (2048, None)])
def test_the_strength_of_a_key_is_told(bits: int, note: str | None) -> None:
    public = generate_private_key(65537, bits).public_key()
    p = base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    read = read_key(f"p={p}")
    assert read is not None and (read.bits, [one for one in read.notes if one in ("weak", "short")]) == (
        bits, [note] if note else [],
    )  # fmt: skip


#: 768 bits: no library of today makes one, and there are still such keys in DNS.
WEAK = (
    "MHwwDQYJKoZIhvcNAQEBBQADawAwaAJhAMUs4GtkbsYrZkzfiHc2wkSFUHbo6Ruadma0M+VFzyEk7hS2y+i1WnY7tdD4xSR1/9IqijtjpYFb"
    "Ng66y+bOao8tKmUHJ5/Mxf2VSSwXvuFW4lPRQ7set1vjTdMnyBXZdQIDAQAB"
)


def test_a_key_that_receivers_refuse_is_weak() -> None:
    read = read_key(f"v=DKIM1; p={WEAK}")
    assert read is not None and (read.bits, read.notes) == (768, ("weak",))


def test_the_right_key_under_a_kind_that_nobody_knows_is_not_the_same() -> None:
    assert compare([RECORD.replace("k=rsa", "k=dsa")], RECORD).state is Same.UNREADABLE


@given(st.text(max_size=100))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    read_key(text)
    read_key("v=DKIM1; p=" + text)
    compare([text, "p=" + text], RECORD)
