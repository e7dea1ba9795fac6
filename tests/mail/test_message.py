"""The gate and the editing of messages as bytes."""

from __future__ import annotations

import contextlib
import email
import email.policy
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ombud.errors import (
    BadField,
    BadMessage,
    BareLineBreak,
    FromNotSingle,
    HeaderMalformed,
    HeaderRepeated,
    LastLineOpen,
    LineTooLong,
    NulByte,
    TooBig,
)
from ombud.mail.address import Address
from ombud.mail.message import MAX_HEADER, examine, field, header_values, with_headers, without_headers

MB = 1024 * 1024
PLAIN = (
    b"From: Bostads AB <info@bostad.example>\r\n"
    b"To: anna@example.se\r\n"
    b"Subject: Hyresavi\r\n"
    b"\tmaj\r\n"
    b"Date: Wed, 01 May 2024 08:00:00 +0200\r\n"
    b"Message-ID: <1@bostad.example>\r\n"
    b"\r\n"
    b"Hej!\r\n"
    b".\r\n"
)


def with_from(value: bytes) -> bytes:
    return b"From: " + value + b"\r\nSubject: x\r\n\r\nHej\r\n"


def with_field(line: bytes) -> bytes:
    return line + b"\r\n" + PLAIN


def test_a_well_formed_message_passes_and_tells_what_is_in_it() -> None:
    seen = examine(PLAIN, MB)
    assert seen.from_.name == "Bostads AB"
    assert seen.from_.address == Address("info", "bostad.example")
    assert (seen.subject, seen.message_id, seen.has_date) == (
        "Hyresavi maj",
        "<1@bostad.example>",
        True,
    )
    assert seen.names == {b"from", b"to", b"subject", b"date", b"message-id"}
    assert PLAIN[seen.header_end :] == b"\r\nHej!\r\n.\r\n"
    assert seen.size == len(PLAIN)
    assert not seen.needs_utf8
    assert not seen.body_8bit


def test_what_is_missing_is_told_too() -> None:
    seen = examine(b"FROM: a@b.se\r\n\r\n", MB)
    assert (seen.subject, seen.message_id, seen.has_date) == ("", None, False)


def test_a_subject_is_decoded_for_display_and_cannot_carry_a_control_character() -> None:
    seen = examine(b"Subject: =?utf-8?q?p=C3=A5_dag?= =?utf-8?q?=0D=0ABcc=3A?=\r\nFrom: a@b.se\r\n\r\n", MB)
    assert seen.subject == "på dag\ufffd\ufffdBcc:"


def test_8_bit_is_told_apart_in_header_and_body() -> None:
    header = examine("From: Åsa <a@b.se>\r\n\r\nHej\r\n".encode(), MB)
    assert (header.needs_utf8, header.body_8bit, header.from_.name) == (True, False, "Åsa")
    body = examine("From: a@b.se\r\n\r\nHå\r\n".encode(), MB)
    assert (body.needs_utf8, body.body_8bit) == (False, True)


@pytest.mark.parametrize(
    "wrong", [b"\n", b"\r", b"\n\r", b"\r\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\r", b"\r\n.\n", b"\r.\r\n"]
)
@pytest.mark.parametrize("place", [b"Hej!", b"Subject: ", b"To: anna@example.se"])
def test_a_bare_cr_or_lf_is_refused_wherever_it_stands(wrong: bytes, place: bytes) -> None:
    content = PLAIN.replace(place, place + wrong)
    with pytest.raises(BareLineBreak) as caught:
        examine(content, MB)
    offset = int(str(caught.value.details["offset"]))
    assert content[offset : offset + 1] in (b"\r", b"\n")
    assert content[offset : offset + 2] != b"\r\n"
    assert content[offset - 1 : offset + 1] != b"\r\n"


def test_as_many_bare_cr_as_bare_lf_are_refused_all_the_same() -> None:
    with pytest.raises(BareLineBreak):
        examine(PLAIN + b"a\nb\rc\r\n", MB)


def test_a_nul_is_refused_with_its_place() -> None:
    with pytest.raises(NulByte) as caught:
        examine(PLAIN + b"a\x00\r\n", MB)
    assert caught.value.details["offset"] == len(PLAIN) + 1


def test_a_line_may_have_998_bytes_and_no_more() -> None:
    assert examine(PLAIN + b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n", MB)
    for content in (PLAIN + b"x" * 999 + b"\r\nHej\r\n", PLAIN + b"Hej\r\n" * 300 + b"x" * 1500 + b"\r\n"):
        with pytest.raises(LineTooLong) as caught:
            examine(content, MB)
        lines = content.split(b"\r\n")
        assert len(lines[int(str(caught.value.details["line"])) - 1]) > 998


def test_the_last_line_must_be_ended() -> None:
    with pytest.raises(LastLineOpen):
        examine(PLAIN + b"Hej", MB)
    with pytest.raises(LastLineOpen):
        examine(b"", MB)


def test_a_message_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert examine(PLAIN, len(PLAIN))
    with pytest.raises(TooBig):
        examine(PLAIN, len(PLAIN) - 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"From: a@b.se\r\n", "no empty line"),
        (b"From: a@b.se\r\nHej\r\n\r\n", "line 2 is not a field"),
        (b"From a@b.se Wed May 1\r\nFrom: a@b.se\r\n\r\n", "line 1 is not a field"),
        (b" x\r\nFrom: a@b.se\r\n\r\n", "line 1 continues"),
        (b"From: a@b.se\r\nSubject : x\r\n\r\n", "line 2 has white space before the colon"),
        (b"From: a@b.se\r\nX-\xc3\xa5: x\r\n\r\n", "line 2 is not a field"),
        (b"From: a@b.se\r\nX Y: x\r\n\r\n", "line 2 is not a field"),
        (b"From: a@b.se\r\n: x\r\n\r\n", "line 2 is not a field"),
        (b"From: a@b.se\r\nSubject: x\r\n \t\r\n y\r\n\r\n", "white space"),
        (b"From: a@b.se\r\nSubject: x\x1b[1m\r\n\r\n", "control character"),
        (b"From: a@b.se\r\nSubject: x\x0bBcc: y\r\n\r\n", "control character"),
        (b"From: a@b.se\r\nSubject: x\x7f\r\n\r\n", "control character"),
        (b"From: a@b.se\r\nSubject: r\xe4ka\r\n\r\n", "not UTF-8"),
        ("From: a@b.se\r\nSubject: x\u0085Bcc: y\r\n\r\n".encode(), "U\\+0085"),
        ("From: a@b.se\r\nSubject: x\u2028Bcc: y\r\n\r\n".encode(), "U\\+2028"),
        (b"From: a@b.se\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "more than 1000 fields"),
        (b"From: a@b.se\r\n" + b"X: y\r\n" * (MAX_HEADER // 6) + b"\r\n", "longer than"),
    ],
)
def test_a_header_that_is_not_one_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(HeaderMalformed, match=reason):
        examine(content, 10 * MB)


@pytest.mark.parametrize(
    "name",
    [
        *("Date", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
        *("List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"),
    ],
)
def test_a_field_that_may_stand_once_is_refused_twice(name: str) -> None:
    line = f"{name}: <x@y.se>\r\n".encode()
    once = b"From: a@b.se\r\n" + line
    assert examine(once + b"\r\n", MB)
    with pytest.raises(HeaderRepeated, match="stands 2 times"):
        examine(once + line.swapcase() + b"\r\n", MB)


def test_fields_of_the_way_may_stand_many_times() -> None:
    assert examine(b"Received: x\r\nReceived: y\r\nDKIM-Signature: a\r\nDKIM-Signature: b\r\n" + PLAIN, MB)


@pytest.mark.parametrize(
    "value",
    [
        b"info@bostad.example",
        b"<info@bostad.example>",
        b'"Bostads AB, Lund"\r\n <info@bostad.example>',
        b'"Bostads\r\n\tAB" <info@bostad.example>',
        b"\r\n =?iso-8859-1?q?=C5sa?= <info@bostad.example>",
        "Åsa <info@bostad.example>".encode(),
        b"info@BOSTAD.example",
    ],
)
def test_one_from_with_one_mailbox_passes(value: bytes) -> None:
    assert examine(with_from(value), MB).from_.address == Address("info", "bostad.example")


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\r\n\r\nFrom: a@b.se\r\n",
        b"\r\nFrom: a@b.se\r\n\r\n",
        with_field(b"From: other@evil.example"),
        with_field(b"FROM: other@evil.example"),
        with_from(b""),
        with_from(b"Bostads AB"),
        with_from(b"a@b.se, c@d.se"),
        with_from(b"a@b.se,\r\n c@d.se"),
        with_from(b"A: a@b.se, c@d.se;"),
        with_from(b"a@b.se (comment)"),
        with_from(b"<a@b.se>c@d.se"),
        with_from(b"a@b.se <c@d.se>"),
        with_from(b"=?utf-8?q?a@b.se?= <c@d.se>"),
        with_from(b"=?utf-8?b?YUBiLnNl?="),
        with_from(b"=?utf-8?q?a=0ABcc=3A_x?= <a@b.se>"),
        with_from(b"=?utf-8?q?=2C <a@b.se>"),
        with_from(b"a@\r\n b.se"),
        with_from(b"a@b.se\r\n .example"),
        with_from(b'"a b"@c.se'),
        with_from(b"a@[192.0.2.1]"),
    ],
)
def test_anything_but_one_from_with_one_mailbox_is_refused(content: bytes) -> None:
    with pytest.raises(FromNotSingle):
        examine(content, MB)


def test_the_gate_keeps_pace_with_hostile_content() -> None:
    hostile: list[bytes] = [
        b"\r\n" * 5_000_000,
        b"\r" * 10_000_000,
        b"x" * 10_000_000,
        b":" * 10_000_000,
        PLAIN + b"x\r\n" * 3_000_000 + b"\n",
        b"From: a@b.se\r\n" + b" x\r\n" * 2_000_000,
        b"Subject: " + b"=?utf-8?q?=C3=B6?=\r\n " * 12_000 + b"x\r\nFrom: a@b.se\r\n\r\n",
        b"Subject: " + (b"=?" * 490 + b"\r\n ") * 250 + b"x\r\nFrom: a@b.se\r\n\r\n",
        b"From: " + (b"(" * 990 + b"\r\n ") * 250 + b"a@b.se\r\n\r\n",
    ]
    for content in hostile:
        started = time.process_time()
        with contextlib.suppress(BadMessage):
            examine(content, 100 * MB)
        assert time.process_time() - started < 1.0, content[:40]


ALPHABET = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b"\x00",
            b" ",
            b"\t",
            b":",
            b"From",
            b"from: a@b.se",
            b"From: a@b.se\r\n",
            b".",
        ),
        *(
            b"Subject: x\r\n",
            b",",
            b"<",
            b">",
            b'"',
            b"(",
            b"a@b.se",
            b"\r\n\r\n",
            b"\xc3\xa5",
            b"\xff",
            b"\x0b",
            b"x" * 990,
        ),
        b"=?utf-8?q?a=0A?=",
    ]
)


@given(
    st.lists(ALPHABET, max_size=14).map(b"".join)
    | st.lists(ALPHABET, max_size=8).map(lambda some: PLAIN + b"".join(some))
)
@example(b"From: a@b.se\r\n\r\n")
@settings(max_examples=600, deadline=None)
def test_whatever_passes_holds_what_the_gate_promises_by_plain_reckoning(content: bytes) -> None:
    try:
        seen = examine(content, MB)
    except BadMessage:
        return
    assert b"\x00" not in content
    assert content.endswith(b"\r\n")
    lines = content.split(b"\r\n")
    assert all(b"\r" not in line and b"\n" not in line and len(line) <= 998 for line in lines)
    parsed = email.message_from_bytes(content, policy=email.policy.compat32)
    assert not parsed.defects
    assert {name.lower().encode() for name in parsed} == seen.names
    assert len(parsed.get_all("from", [])) == 1
    assert parsed.as_bytes().partition(b"\n\n")[2].replace(b"\n", b"\r\n") == content[seen.header_end + 2 :]


# --- Reading and editing -------------------------------------------------------------------------------------------


def test_values_are_read_unfolded_in_order_and_from_the_header_only() -> None:
    content = b"Received: one\r\n two\r\nX: \xc3\xa5\r\nRECEIVED: three\r\n\r\nReceived: four\r\n"
    assert header_values(content, "received") == ["one two", "three"]
    assert header_values(content, "X") == ["å"]
    assert header_values(content, "Y") == []
    assert header_values(b"\r\nX: y\r\n", "X") == []


def test_headers_go_on_top_and_the_rest_is_the_same_bytes() -> None:
    content = with_headers(PLAIN, [("Received", "from a by b"), ("X-Rubrik", "Hyresavi å")])
    assert content == b"Received: from a by b\r\nX-Rubrik: =?utf-8?q?Hyresavi_=C3=A5?=\r\n" + PLAIN


def test_named_headers_are_cut_out_and_the_rest_is_the_same_bytes() -> None:
    content = (
        b"BCC: a@b.se,\r\n c@d.se\r\nX-Ombud-Customer: 12\r\nX-Ombudsman: kept\r\n" + PLAIN + b"Bcc: in the body\r\n"
    )
    assert without_headers(content, ["Bcc", "X-Ombud-*"]) == b"X-Ombudsman: kept\r\n" + PLAIN + b"Bcc: in the body\r\n"
    assert without_headers(PLAIN, ["Bcc", "X-Ombud-*"]) is PLAIN
    assert without_headers(b"X: y\r\nZ: w\r\n\r\nbody\r\n", ["X", "z"]) == b"\r\nbody\r\n"


def test_a_long_unsubscribe_address_survives_unfolded_and_unencoded() -> None:
    url = "<https://example.se/u?" + "a=?utf-8&" * 100 + ">"
    line = field("List-Unsubscribe", url)
    assert line == f"List-Unsubscribe: {url}\r\n".encode()
    two = field("List-Unsubscribe", f"<mailto:u@example.se>, {url}")
    assert two == f"List-Unsubscribe: <mailto:u@example.se>,\r\n {url}\r\n".encode()


def test_a_word_longer_than_a_line_is_refused_where_it_cannot_be_encoded() -> None:
    assert max(map(len, field("List-Unsubscribe", "<" + "a" * 995 + ">").split(b"\r\n"))) == 998
    with pytest.raises(BadField):
        field("List-Unsubscribe", "<" + "a" * 996 + ">")
    assert max(map(len, field("Subject", "a" * 5000).split(b"\r\n"))) <= 76


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: x@y.se", "a\nb", "a\rb", "a\x00b", "a\tb", "a\x1bb", "a\u2028b", "a\x85b", "\ud800"]
)
def test_no_value_can_end_its_line(value: str) -> None:
    for name in ("Subject", "List-Id", "X-A"):
        with pytest.raises(BadField):
            field(name, value)


@pytest.mark.parametrize("name", ["", "A B", "A:", "Å", "A\r\nB", "A\n", "x" * 77])
def test_no_name_can_end_its_line(name: str) -> None:
    with pytest.raises(BadField):
        field(name, "x")


def test_a_field_for_programs_takes_no_text_outside_ascii() -> None:
    with pytest.raises(BadField):
        field("List-Id", "räkor <a.b.se>")


def test_a_field_for_programs_takes_no_encoded_word() -> None:
    with pytest.raises(BadField):
        field("List-Unsubscribe", "<https://example.se/?a=?utf-8?q?a=0ABcc:_x@x?=>")


def test_an_encoded_word_given_as_text_comes_out_as_text() -> None:
    line = field("Subject", "=?utf-8?q?a=0ABcc:_x@x?=")
    assert b"=0A" not in line
    assert email.message_from_bytes(line, policy=email.policy.default)["Subject"] == "=?utf-8?q?a=0ABcc:_x@x?="


VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), max_size=300) | st.lists(
    st.sampled_from(["a", " ", "  ", "åäö", "=?", "?=", "lorem", "x" * 80, "x" * 1200, "日本", ",", '"', "\\"]),
    max_size=40,
).map("".join)


@given(VALUES, st.sampled_from(["Subject", "X-A", "X-" + "Long-" * 14 + "A"]))
@settings(deadline=None)
def test_any_text_is_folded_within_bounds_and_read_back(value: str, name: str) -> None:
    line = field(name, value)
    assert line.isascii()
    assert line.endswith(b"\r\n")
    lines = line[:-2].split(b"\r\n")
    assert all(0 < len(part) <= 998 and b"\r" not in part and b"\n" not in part for part in lines)
    assert all(part.strip(b" ") and part.startswith(b" ") for part in lines[1:])
    [value_back] = header_values(line + b"From: a@b.se\r\n\r\n", name)
    seen = examine(line + b"From: a@b.se\r\n\r\n", MB)
    assert name != "Subject" or seen.subject == value
    assert email.message_from_bytes(line, policy=email.policy.default)[name] == value or "\\" in value_back


@given(st.lists(st.sampled_from(["Bcc", "X-Ombud-Tag", "To", "X-A"]), max_size=8), st.text("abc\r\n:", max_size=20))
@settings(deadline=None)
def test_cutting_and_adding_leaves_every_other_byte(names: list[str], body: str) -> None:
    fields = [f"{name}: {n}\r\n more\r\n".encode() for n, name in enumerate(names)]
    end = b"\r\n" + body.encode()
    kept = [line for name, line in zip(names, fields, strict=True) if name in ("To", "X-A")]
    assert without_headers(b"".join(fields) + end, ["bcc", "x-ombud-*"]) == b"".join(kept) + end


def test_the_gate_is_quick_enough_for_a_thousand_messages_a_second() -> None:
    ordinary = PLAIN + (b"x" * 76 + b"\r\n") * 128
    assert best_of(lambda: examine(ordinary, MB), 200) < 0.0002


def best_of(run: Callable[[], object], times: int) -> float:
    """The quickest of many runs, in seconds: what the work costs without what else the machine does."""
    best = 1.0
    for _ in range(times):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best
