"""What leaves, after every field of the API has been tried with what makes headers elsewhere: read again at the next hop."""

from __future__ import annotations

import email
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import pytest

from tests.flows.conftest import Serve, on_sqlite
from tests.flows.house import EKEN, House, until
from tests.flows.nexthop import Copy

EVIL = "x@evil.example"
TRICKS = (
    f"a\r\nBcc: {EVIL}", f"a\nBcc: {EVIL}", f"a\rBcc: {EVIL}", f"a\r\n\r\nBcc: {EVIL}", f"a\0Bcc: {EVIL}", "a\r\n.\r\nMAIL FROM:<x@evil.example>",
    f"=?utf-8?q?a=0D=0ABcc:_{EVIL}?=", "=?utf-8?b?YQ0KQmNjOiB4QGV2aWwuZXhhbXBsZQ==?=", f"a\u2028Bcc: {EVIL}", f"a\x85Bcc: {EVIL}",
    f'"{EVIL}" <{EKEN}>', f"{EKEN}, {EVIL}", f"<{EVIL}> {EKEN}", "a" * 2000, "{{namn}}", '"; filename="b.exe', ".", "\r\n.\r\n",
)  # fmt: skip
TO = "anna@post.example"
FIELDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "from": lambda text: {"from": text},
    "from name": lambda text: {"from": f"{text} <{EKEN}>"},
    "to": lambda text: {"to": [text]},
    "to name": lambda text: {"to": [f"{text} <{TO}>"]},
    "cc": lambda text: {"cc": [text]},
    "bcc": lambda text: {"bcc": [text]},
    "reply_to": lambda text: {"reply_to": [text]},
    "subject": lambda text: {"subject": text},
    "text": lambda text: {"text": text},
    "html": lambda text: {"html": text},
    "header name": lambda text: {"headers": {text: "x"}},
    "header value": lambda text: {"headers": {"X-Avi": text}},
    "list-unsubscribe": lambda text: {"headers": {"List-Unsubscribe": text}},
    "tag": lambda text: {"tags": [text]},
    "metadata": lambda text: {"metadata": {"a": text}},
    "filename": lambda text: {"attachments": [{"filename": text, "content": ""}]},
    "content_type": lambda text: {"attachments": [{"filename": "a", "content": "", "content_type": text}]},
    "content_id": lambda text: {"html": "x", "attachments": [{"filename": "a", "content": "", "content_id": text}]},
}
OWN = {"received", "dkim-signature", "date", "from", "to", "subject", "message-id", "mime-version", "content-type", "content-transfer-encoding"}  # fmt: skip
ASKED_FOR = {"cc", "reply-to", "x-avi", "list-unsubscribe"}


@on_sqlite
def test_no_field_of_the_api_makes_a_header_or_a_recipient_of_its_own(serve: Serve) -> None:
    house = serve().house
    accepted: set[str] = set()
    named: set[str] = set()  # a strange name, but one that a field may have, gets its field
    refusals: Counter[str] = Counter()
    for field, changed in FIELDS.items():
        for trick in TRICKS:
            answer = house.post(**{"to": [TO], **changed(trick)})
            if answer.status == 202:
                accepted.add(answer.body["id"])
                named |= {trick.lower()} if field == "header name" else set()
            else:
                assert answer.status in (400, 403, 422) and answer.code, (field, trick, answer)
                refusals[answer.code] += 1
    assert refusals.keys() <= {"bad_address", "bad_field", "from_not_single", "bad_json", "header_repeated"}
    assert len(accepted) > len(TRICKS)  # it is a test of what leaves, not only of what is refused
    until(lambda: len(house.hop.copies) >= len(accepted))
    assert house.settled().total() == sum(house.hop.taken.values())
    for copy in house.hop.copies:
        _is_one_clean_mail(copy, named)
    assert house.unwell() == []


@on_sqlite
def test_no_value_of_a_batch_makes_a_header_or_a_recipient_of_its_own(serve: Serve) -> None:
    house = serve().house
    recipients: list[dict[str, Any]] = [
        {"to": f"r{n}@post.example", "variables": {"vad": trick}} for n, trick in enumerate(TRICKS)
    ]
    recipients += [{"to": f"{trick} <n{n}@post.example>", "variables": {"vad": "x"}} for n, trick in enumerate(TRICKS)]
    batch = {
        "from": EKEN,
        "subject": "Avi {{vad}}",
        "text": "Hej {{vad}}",
        "html": "<p>{{vad}}",
        "recipients": recipients,
    }
    answer = house.call("POST", "/v1/messages/batch", json=batch)
    assert answer.status == 202
    accepted = [one["to"] for one in answer.body["results"] if one["status"] == "accepted"]
    assert 4 < len(accepted) < len(recipients)
    house.arrives(*accepted)
    assert house.hop.taken == Counter(accepted)
    for copy in house.hop.copies:
        _is_one_clean_mail(copy)


@pytest.mark.parametrize("door", ["smtp", "http"])
@on_sqlite
def test_what_a_raw_message_hides_does_not_leave(serve: Serve, door: str) -> None:
    house = serve().house
    hidden = f"Bcc: {EVIL}\r\nX-Ombud-Tag: avi\r\nReturn-Path: <{EVIL}>\r\n"
    content = f"From: {EKEN}\r\nTo: {TO}\r\nSubject: a\r\n{hidden}\r\n..\r\n.Hej\r\n".encode()
    _send(house, door, content)
    house.arrives(TO)
    [copy] = house.hop.copies
    _is_one_clean_mail(copy)
    assert copy.content.endswith(b"\r\n\r\n..\r\n.Hej\r\n")


def _send(house: House, door: str, content: bytes) -> None:
    if door == "smtp":
        assert house.submit(TO, content)[0] == 250
    else:
        assert house.post_raw(content, to=[TO]).status == 202


def _is_one_clean_mail(copy: Copy, named: Collection[str] = ()) -> None:
    """It went to whom it was for, its lines are whole, and each header field is one of ours or was asked for, and stands once."""
    assert all(address.endswith(("@post.example", EKEN)) for address in copy.recipients)
    lines = copy.content.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line or len(line) > 998 for line in lines)
    read = email.message_from_bytes(copy.content)
    names = Counter(name.lower() for name in read.keys())  # noqa: SIM118  # with repetitions
    assert set(names) <= OWN | ASKED_FOR | set(named) and set(names.values()) == {1}, names
    assert not read.defects
    for part in read.walk():
        assert all("evil" not in name.lower() and "bcc" not in name.lower() for name in part.keys())  # noqa: SIM118
