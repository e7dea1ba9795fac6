"""Encoded words: what is read shows no trick, and what is written is read back by others letter by letter."""

from __future__ import annotations

import re
from email.header import decode_header, make_header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.mail import encodedword

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        ("Hej", "Hej"),
        ("=?utf-8?q?Hyresavi_f=C3=B6r_maj?=", "Hyresavi för maj"),
        ("=?UTF-8?B?w6XDpMO2?=", "åäö"),
        ("=?iso-8859-1*sv?Q?r=E4ka?=", "räka"),
        ("=?utf-8?q?a?= =?utf-8?q?b?= c", "ab c"),
        ("=?utf-8?b?w6U?=\r\n =?utf-8?b?w6Q?=", "åä"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A5?=", "å"),  # split inside a character, as some senders do
        ("=?utf-8?q?=FF?=", "\ufffd"),
        ("=?klingon?q?a?= b", "\ufffd b"),
        ("=?iso-8859-99?q?a?=", "\ufffd"),
        ("=?utf-8?b?====x?=", "=?utf-8?b?====x?="),
        ("=?utf-8?q?never ended", "=?utf-8?q?never ended"),
        ("=?unicode_escape?q?=5Cx41?=", "\ufffd"),
        ("a\tb", "a b"),
    ],
)
def test_a_header_is_shown_as_its_sender_meant_it(wire: str, shown: str) -> None:
    assert encodedword.decode(wire) == shown


@pytest.mark.parametrize(
    "wire",
    [
        "=?utf-8?q?a=0ABcc:_x@x?=",
        "=?utf-8?q?=0D=0A?=",
        "=?utf-8?b?G1szMW0=?=",
        "=?utf-8?q?=E2=80=AE?=",
        "a\u2028b",
        "\x1b",
    ],
)
def test_no_control_or_override_comes_out_of_an_encoded_word(wire: str) -> None:
    assert not encodedword.has_unsafe(encodedword.decode(wire))


@given(st.text(max_size=60) | st.text("=?utf-8qQbB_ \r\n\tAC3", max_size=80))
@settings(deadline=None)
def test_reading_never_raises_and_never_shows_a_control(wire: str) -> None:
    assert not encodedword.has_unsafe(encodedword.decode(wire))


@given(TEXT, st.integers(20, 75))
@settings(deadline=None)
def test_what_is_encoded_is_read_back_by_us_and_by_the_standard_library(text: str, room: int) -> None:
    words = encodedword.encode(text, room)
    assert all(len(word) <= 75 and re.fullmatch(r"=\?utf-8\?[qb]\?[A-Za-z0-9!*+/=_-]*\?=", word) for word in words)
    assert str(make_header(decode_header("\r\n ".join(words)))) == text
    assert encodedword.decode("\r\n ".join(words)) == encodedword.without_unsafe(text)


@given(TEXT)
@settings(deadline=None)
def test_every_encoded_word_holds_whole_characters(text: str) -> None:
    shown = [str(make_header(decode_header(word))) for word in encodedword.encode(text)]
    assert "".join(shown) == text


def test_the_first_word_leaves_room_for_the_name_of_the_field() -> None:
    first, *_ = encodedword.encode("å" * 100, room=40)
    assert len(first) <= 40
