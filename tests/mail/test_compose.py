"""Composing: what is written passes the gate and is read back by others as it was meant."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage, MIMEPart
from email.utils import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.errors import BadField, Refused
from ombud.mail.address import Address, Mailbox, parse_mailbox
from ombud.mail.compose import Attachment, Draft, compose
from ombud.mail.message import examine, header_values

DATE = datetime(2024, 5, 31, 12, 0, tzinfo=UTC)
ID = "<1@bostad.example>"
MB = 1024 * 1024
LETTER = Draft(
    from_=parse_mailbox("Bostads AB Ö <info@bostad.example>"),
    to=(parse_mailbox('"Berg, Åsa" <asa@example.se>'), parse_mailbox("bo@example.se")),
    subject="Hyresavi för maj",
    text="Hej Åsa!\n\nHär är din avi.\n",
)
PDF = Attachment("hyresavi.pdf", "application/pdf", bytes(range(256)) * 20)
LOGO = Attachment("logo.png", "image/png", b"\x89PNG\r\n", content_id="logo")


def written(draft: Draft) -> bytes:
    content = compose(draft, message_id=ID, date=DATE)
    examine(content, 100 * MB)
    return content


def read(draft: Draft) -> EmailMessage:
    message = email.message_from_bytes(written(draft), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def shape(message: MIMEPart) -> object:
    if message.is_multipart():
        return [message.get_content_type(), *(shape(part) for part in message.iter_parts())]
    return message.get_content_type()


def test_a_plain_letter_is_written_as_a_person_would_expect() -> None:
    assert written(
        replace(LETTER, from_=parse_mailbox("Bostad <info@bostad.example>"), text="Hej!\nAvi.", subject="Avi")
    ) == (
        b"Date: Fri, 31 May 2024 12:00:00 +0000\r\n"
        b"From: Bostad <info@bostad.example>\r\n"
        b"To: =?utf-8?q?Berg=2C_=C3=85sa?= <asa@example.se>, bo@example.se\r\n"
        b"Subject: Avi\r\n"
        b"Message-ID: <1@bostad.example>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hej!\r\nAvi.\r\n"
    )


def test_the_same_input_gives_the_same_bytes() -> None:
    draft = replace(LETTER, html="<p>å</p>", attachments=(PDF, LOGO))
    assert written(draft) == written(draft)


def test_names_and_subject_come_back_as_they_were() -> None:
    message = read(LETTER)
    assert message["From"] == "Bostads AB Ö <info@bostad.example>"
    assert [(a.display_name, a.addr_spec) for a in message["To"].addresses] == [
        ("Berg, Åsa", "asa@example.se"),
        ("", "bo@example.se"),
    ]
    assert message["Subject"] == "Hyresavi för maj"
    assert message["Message-ID"] == ID
    assert message["Date"].datetime == DATE


def test_a_name_longer_than_a_line_is_written_in_pieces() -> None:
    content = written(replace(LETTER, from_=Mailbox("x" * 1200, LETTER.from_.address)))
    assert examine(content, MB).from_.name == "x" * 1200


def test_bcc_is_never_written() -> None:
    content = written(replace(LETTER, bcc=(parse_mailbox("hemlig@example.se"),)))
    assert b"hemlig" not in content
    assert b"bcc" not in content.lower()


def test_a_message_to_hidden_recipients_only_says_so() -> None:
    assert header_values(written(replace(LETTER, to=())), "To") == ["undisclosed-recipients:;"]


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        (LETTER, "text/plain"),
        (replace(LETTER, text=None, html="<p>"), "text/html"),
        (replace(LETTER, html="<p>"), ["multipart/alternative", "text/plain", "text/html"]),
        (replace(LETTER, attachments=(PDF,)), ["multipart/mixed", "text/plain", "application/pdf"]),
        (replace(LETTER, text=None, html="<p>", attachments=(LOGO,)), ["multipart/related", "text/html", "image/png"]),
        (replace(LETTER, attachments=(LOGO,)), ["multipart/mixed", "text/plain", "image/png"]),
        (
            replace(LETTER, html="<p>", attachments=(PDF, LOGO)),
            [
                "multipart/mixed",
                ["multipart/alternative", "text/plain", ["multipart/related", "text/html", "image/png"]],
                "application/pdf",
            ],
        ),
    ],
)
def test_the_parts_are_nested_no_deeper_than_needed(draft: Draft, expected: object) -> None:
    assert shape(read(draft)) == expected


def test_a_message_without_text_is_refused() -> None:
    with pytest.raises(BadField):
        written(replace(LETTER, text=None, attachments=(PDF,)))
    assert written(replace(LETTER, text=""))


def test_a_file_comes_back_byte_for_byte_with_its_name() -> None:
    for name in (
        "avi.pdf",
        "avi maj 2024.pdf",
        'Åsas "avi" för maj.pdf',
        "日本" * 40 + ".pdf",
        "a%20b'c.pdf",
        "semi;colon.pdf",
    ):
        [part] = read(replace(LETTER, attachments=(replace(PDF, filename=name),))).iter_attachments()
        assert part.get_filename() == name
        assert part.get_content() == PDF.content


def test_a_name_outside_ascii_has_a_plain_stand_in_for_old_readers() -> None:
    assert b'filename="hyresavi for Asa.pdf"' in written(
        replace(LETTER, attachments=(replace(PDF, filename="hyresavi för Åsa.pdf"),))
    )


def test_the_plain_stand_in_holds_no_encoded_word() -> None:
    content = written(replace(LETTER, attachments=(replace(PDF, filename="=?utf-8?q?å?=.pdf"),)))
    assert b'filename="_utf-8?q?a?=.pdf"' in content


def test_an_inline_picture_has_the_id_that_the_html_names() -> None:
    content = written(replace(LETTER, html='<img src="cid:logo">', attachments=(LOGO,)))
    assert b"Content-ID: <logo>\r\n" in content
    assert b"Content-Disposition: inline" in content


def test_encoded_lines_have_at_most_76_characters() -> None:
    long = "Räksmörgås och en väldigt lång rad " * 200
    for text in (long, "å" * 5000, "a" * 5000, "a\n" + long, " \n" * 50 + "\t", ".\n.x\nFrom me\n" + "=" * 200):
        body = written(replace(LETTER, text=text, attachments=(PDF,))).partition(b"\r\n\r\n")[2]
        assert all(len(line) <= 78 for line in body.split(b"\r\n"))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Hej\n", "7bit"),
        ("Hej " * 50, "quoted-printable"),
        ("Hej Åsa \ndin avi", "quoted-printable"),
        ("Hyresavi för maj, vänligen betala", "quoted-printable"),
        ("こんにちは", "base64"),
        ("\x1b[1m", "quoted-printable"),
    ],
)
def test_the_encoding_fits_the_text(text: str, encoding: str) -> None:
    assert header_values(written(replace(LETTER, text=text)), "Content-Transfer-Encoding") == [encoding]


def test_a_long_unsubscribe_address_is_written_as_it_is() -> None:
    url = "<https://bostad.example/u?" + "t" * 400 + ">"
    content = written(
        replace(LETTER, headers=(("List-Unsubscribe", url), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")))
    )
    assert f"List-Unsubscribe: {url}\r\n".encode() in content


def test_an_international_local_part_is_written_as_utf8() -> None:
    content = written(replace(LETTER, to=(parse_mailbox("Åsa <åsa@bostad.example>"),)))
    assert examine(content, MB).needs_utf8
    assert header_values(content, "To") == ["=?utf-8?q?=C3=85sa?= <åsa@bostad.example>"]


# CVE-2024-6923 and its kin: the standard library turns this innocent word into a header of its own when it folds.
def test_an_encoded_word_cannot_smuggle_a_header_in() -> None:
    word = "=?utf-8?q?a=0ABcc:_x@x?="
    draft = replace(
        LETTER,
        from_=Mailbox(word, Address("info", "bostad.example")),
        to=(Mailbox(word, Address("anna", "example.se")),),
        subject=word,
        headers=(("X-A", word),),
        attachments=(replace(PDF, filename=word),),
    )
    content = written(draft)
    assert b"=0A" not in content.partition(b"\r\n\r\n")[0]
    message = read(draft)
    assert message["Bcc"] is None
    assert message["Subject"] == message["X-A"] == word
    assert [part.get_filename() for part in message.iter_attachments()] == [word]


BREAKS = [
    "\r\nBcc: x@x.se",
    "\n",
    "\r",
    "\x00",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "\x1b",
    "\x7f",
    "\ud800",
    "\u202e",
]


@pytest.mark.parametrize("evil", BREAKS)
def test_no_field_can_end_its_line(evil: str) -> None:
    text = f"a{evil}b"
    drafts = [
        replace(LETTER, subject=text),
        replace(LETTER, from_=Mailbox(text, LETTER.from_.address)),
        replace(LETTER, from_=Mailbox("", Address(text, "bostad.example"))),
        replace(LETTER, from_=Mailbox("", Address("info", f"{text}.se"))),
        replace(LETTER, to=(Mailbox(text, LETTER.from_.address),)),
        replace(LETTER, cc=(Mailbox(text, LETTER.from_.address),)),
        replace(LETTER, reply_to=(Mailbox(text, LETTER.from_.address),)),
        replace(LETTER, headers=(("X-A", text),)),
        replace(LETTER, headers=((text, "x"),)),
        replace(LETTER, headers=(("List-Id", text),)),
        replace(LETTER, attachments=(replace(PDF, filename=text),)),
        replace(LETTER, attachments=(replace(PDF, content_type=f"text/{text}"),)),
        replace(LETTER, attachments=(replace(PDF, content_type=f'text/x; a="{text}"'),)),
        replace(LETTER, attachments=(replace(PDF, content_id=text),)),
    ]
    for draft in drafts:
        with pytest.raises(BadField):
            compose(draft, message_id=ID, date=DATE)
    with pytest.raises(BadField):
        compose(LETTER, message_id=f"<a{evil}@b.se>", date=DATE)


@pytest.mark.parametrize(
    "name",
    [
        *("From", "to", "CC", "Bcc", "Reply-To", "Subject", "Date", "Message-ID", "Sender", "Return-Path", "Received"),
        *(
            "DKIM-Signature",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
            "Content-X",
            "X-Ombud-Customer",
        ),
        *("Resent-From", "ARC-Seal", "Authentication-Results", "X A", "X:A", ""),
    ],
)
def test_some_headers_may_not_be_set(name: str) -> None:
    with pytest.raises(BadField):
        written(replace(LETTER, headers=((name, "x"),)))


def test_a_header_that_may_stand_once_is_refused_twice() -> None:
    with pytest.raises(BadField):
        written(replace(LETTER, headers=(("References", "<a@b>"), ("REFERENCES", "<c@d>"))))
    assert written(replace(LETTER, headers=(("X-A", "1"), ("X-A", "2"))))


@pytest.mark.parametrize(
    "name",
    ["", "../../etc/passwd", "a/b.pdf", "C:\\a.pdf", "x" * 256, "å" * 128, "a<b>.pdf", " ", " a.pdf", "a.pdf\u3000"],
)
def test_a_file_name_is_a_name_and_not_a_path(name: str) -> None:
    with pytest.raises(BadField):
        written(replace(LETTER, attachments=(replace(PDF, filename=name),)))


@pytest.mark.parametrize(
    "media",
    [
        "",
        "pdf",
        "a/",
        "/b",
        "message/rfc822",
        "Multipart/mixed",
        "a/b; boundary=x",
        "a/b; NAME=x",
        "a/b;",
        'a/b; c="',
        "a/å",
        'a/b; c="=?utf-8?q?x?="',
    ],
)
def test_a_media_type_must_be_one_that_a_file_can_have(media: str) -> None:
    with pytest.raises(BadField):
        written(replace(LETTER, attachments=(replace(PDF, content_type=media),)))


def test_a_header_too_large_for_the_gate_is_refused() -> None:
    with pytest.raises(BadField):
        written(replace(LETTER, subject="a" * 300_000))
    with pytest.raises(BadField):
        written(replace(LETTER, headers=(("X-A", "1"),) * 1000))


ODD = st.sampled_from(
    ["=?utf-8?q?a=0A?=", '"', "\\", "<", ">", "\r\n", "\n", "\u2028", "\ud800", "  ", " ", "å" * 30, "x" * 1100, "=?"]
)
TEXTS = st.text(max_size=80) | st.lists(ODD | st.text(max_size=6), max_size=8).map("".join)
NAMES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="<>"), max_size=60) | TEXTS
MAILBOXES = st.builds(
    Mailbox,
    NAMES,
    st.sampled_from([Address("a", "b.se"), Address("å", "b.se"), Address("o'neill+x", "xn--bcher-kva.example")]),
)
FILES = st.builds(
    Attachment,
    filename=NAMES,
    content_type=st.sampled_from(["application/pdf", "text/plain; charset=utf-8", 'a/b; c="d e"']),
    content=st.binary(max_size=300),
    content_id=st.none() | st.sampled_from(["logo", "<a@b>", "å"]),
)
DRAFTS = st.builds(
    Draft,
    from_=MAILBOXES,
    to=st.lists(MAILBOXES, max_size=4).map(tuple),
    cc=st.lists(MAILBOXES, max_size=1).map(tuple),
    reply_to=st.lists(MAILBOXES, max_size=1).map(tuple),
    subject=NAMES,
    text=st.none() | TEXTS,
    html=st.none() | TEXTS,
    attachments=st.lists(FILES, max_size=2).map(tuple),
    headers=st.lists(st.tuples(st.sampled_from(["X-A", "X-B", "References", "Feedback-ID"]), NAMES), max_size=2).map(
        tuple
    ),
)


@given(DRAFTS)
@settings(max_examples=400, deadline=None)
def test_any_draft_is_refused_or_read_back_by_others_as_it_was(draft: Draft) -> None:
    try:
        content = compose(draft, message_id=ID, date=DATE)
    except Refused:
        return
    seen = examine(content, 100 * MB)
    assert (seen.from_, seen.subject, seen.message_id) == (draft.from_, draft.subject, ID)
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert_same_header(message, draft)
    assert_same_parts(message, draft)


def assert_same_header(message: EmailMessage, draft: Draft) -> None:
    wanted = {
        "date",
        "from",
        "to",
        "subject",
        "message-id",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
    }
    wanted |= {name.lower() for name, _ in draft.headers}
    wanted |= {"cc"} if draft.cc else set()
    wanted |= {"reply-to"} if draft.reply_to else set()
    assert {name.lower() for name in message} <= wanted
    assert message["Subject"] == draft.subject
    for name, mailboxes in (("From", (draft.from_,)), ("To", draft.to), ("Cc", draft.cc), ("Reply-To", draft.reply_to)):
        if mailboxes and all(mailbox.address.local.isascii() for mailbox in mailboxes):
            read_back = [(a.display_name, a.addr_spec) for a in message[name].addresses]
            # The standard library folds white space in a name, and adds some between words that begin with it.
            shown = [(re.sub(r"\s+", "", mailbox.name), str(mailbox.address)) for mailbox in mailboxes]
            assert [(re.sub(r"\s+", "", name), address) for name, address in read_back] == shown


def assert_same_parts(message: EmailMessage, draft: Draft) -> None:
    leaves = [part for part in message.walk() if not part.is_multipart()]
    texts = [part for part in leaves if part.get_content_disposition() is None]
    files = [part for part in leaves if part.get_content_disposition() is not None]
    given_texts = [text for text in (draft.text, draft.html) if text is not None]
    assert [lines(part) for part in texts] == [plain_lines(text) for text in given_texts]
    ordered = sorted(draft.attachments, key=lambda file: file.content_id is None or draft.html is None)
    assert [(part.get_filename(), part.get_payload(decode=True)) for part in files] == [
        (unquote(file.filename), file.content)  # the standard library takes quotation marks off once too often
        for file in ordered
    ]


def lines(part: object) -> list[str]:
    payload = part.get_payload(decode=True)  # type: ignore[attr-defined]  # email.message.Message, whose walk() is untyped
    return plain_lines(payload.decode())


def plain_lines(text: str) -> list[str]:
    """The lines of a text, however they end; the message itself ends the last one."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
