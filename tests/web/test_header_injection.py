"""Nothing that a field holds becomes a header field of its own, or another address: through every field of the API.

What was accepted is read again by the gate, which counts the fields, and by the standard library, which others use.
"""

from __future__ import annotations

import email
import email.policy
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ombud.mail import personal
from ombud.mail.address import Mailbox, parse_address
from ombud.mail.message import examine
from tests.conftest import NOON
from tests.web.conftest import HYRESAVI, House, on_sqlite

EVIL = "x@evil.example"
TRICKS = [
    f"a\r\nBcc: {EVIL}", f"a\nBcc: {EVIL}", f"a\rBcc: {EVIL}", "a\0b", f"=?utf-8?q?a=0ABcc:_{EVIL}?=", f"=?utf-8?q?a=0D=0ABcc:_{EVIL}?=",
    "=?utf-8?b?YQpCY2M6IHhAZXZpbC5leGFtcGxl?=", f"a\u2028Bcc: {EVIL}", f"a\x85Bcc: {EVIL}", f"a\x0bBcc: {EVIL}", f"a\x1cBcc: {EVIL}",
    f'"{EVIL}" <hyra@eken.example>', f"hyra@eken.example, {EVIL}", f"<{EVIL}> hyra@eken.example", f"Eken <{EVIL}> <hyra@eken.example>",
    f'=?utf-8?q?=22{EVIL.replace("@", "=40")}=22?= <hyra@eken.example>', f"hyra@eken.example\r\nBcc: {EVIL}", "--=_", "\r\n.\r\n",
    "a" * 3000, "å" * 900, " " * 80, "a\r\n b", "a\r\n\r\nb", "\ud800", "{{namn}}", '"; filename="b.exe', "a\"\r\nX: y", "\u202eexe.fdp",
]  # fmt: skip
OWN = Counter(
    ("received", "date", "from", "to", "subject", "message-id", "mime-version", "content-type", "content-transfer-encoding")
)  # fmt: skip


def _place(field: str, text: str) -> dict[str, Any]:
    """The rent notice with the text in that field, and nothing else changed."""
    places: dict[str, Any] = {
        "from": {"from": text}, "from name": {"from": f"{text} <hyra@eken.example>"}, "to": {"to": [text]}, "to name": {"to": [f"{text} <a@b.example>"]},
        "cc": {"cc": [text]}, "bcc": {"bcc": [text]}, "reply_to": {"reply_to": [text]}, "subject": {"subject": text}, "text": {"text": text},
        "html": {"html": text}, "header name": {"headers": {text: "x"}}, "header value": {"headers": {"X-Avi": text}},
        "list-unsubscribe": {"headers": {"List-Unsubscribe": text}}, "tag": {"tags": [text]}, "metadata": {"metadata": {"a": text}},
        "filename": {"attachments": [{"filename": text, "content": ""}]},
        "content_type": {"attachments": [{"filename": "a", "content": "", "content_type": text}]},
        "content_id": {"html": "x", "attachments": [{"filename": "a", "content": "", "content_id": text}]},
    }  # fmt: skip
    changed: dict[str, Any] = places[field]
    return {**HYRESAVI, **changed}


FIELDS = (
    "from", "from name", "to", "to name", "cc", "bcc", "reply_to", "subject", "text", "html", "header name", "header value",
    "list-unsubscribe", "tag", "metadata", "filename", "content_type", "content_id",
)  # fmt: skip
_EXTRA = {"cc": "cc", "reply_to": "reply-to", "header value": "x-avi", "list-unsubscribe": "list-unsubscribe"}


def _expected(field: str, text: str) -> Counter[str]:
    extra = [text.lower()] if field == "header name" else [_EXTRA[field]] if field in _EXTRA else []
    counted = OWN + Counter(extra)
    if field in ("filename", "content_type", "content_id", "html"):
        del counted["content-transfer-encoding"]  # of the parts, then
    return counted


async def _try(house: House, field: str, text: str) -> None:
    try:
        fields = _place(field, text)
        answer = await house.call("eken", "POST", "/v1/messages", json=fields)
    except UnicodeEncodeError:
        return  # half a character does not even get into a call
    assert answer.status_code in (202, 400, 403, 422), answer.text
    if answer.status_code != 202:
        return
    kept = house.kept(answer.json()["id"])
    examined = examine(kept, 10**7)
    assert str(examined.from_.address) == "hyra@eken.example"
    assert {name.decode() for name in examined.names} == set(_expected(field, text))
    read = email.message_from_bytes(kept, policy=email.policy.default)
    assert Counter(name.lower() for name in read.keys()) == _expected(field, text)  # noqa: SIM118 - a message's keys repeat
    assert [str(one.addr_spec) for one in read["from"].addresses] == ["hyra@eken.example"]
    assert "evil" not in str(read["bcc"])


@on_sqlite
@pytest.mark.parametrize("field", FIELDS)
async def test_no_trick_in_any_field_makes_another_header_field(house: House, field: str) -> None:
    for text in TRICKS:
        await _try(house, field, text)


_LETTERS = st.text(st.sampled_from('aå \t\r\n\0"<>@,;:=?_\\()/\u2028\x85\u202e'), max_size=40)


@on_sqlite
@given(st.sampled_from(FIELDS), _LETTERS | st.text(max_size=60))
@example("subject", "=?utf-8?q?a=0ABcc:_x@x?=")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_text_in_any_field_makes_another_header_field(house: House, field: str, text: str) -> None:
    await _try(house, field, text)


@on_sqlite
@given(_LETTERS | st.sampled_from(TRICKS), _LETTERS | st.sampled_from(TRICKS))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_value_of_a_batch_makes_another_header_field_when_it_is_made_out(
    house: House, name: str, value: str
) -> None:
    batch = {
        "from": "hyra@eken.example", "subject": "Avi {{vad}}", "text": "Hej {{vad}}\n",
        "recipients": [{"to": f"{name} <asa@tenant.example>", "variables": {"vad": value}}, {"to": "bo@tenant.example", "variables": {"vad": "x"}}],
    }  # fmt: skip
    try:
        answer = await house.call("eken", "POST", "/v1/messages/batch", json=batch)
    except UnicodeEncodeError:
        return
    assert answer.status_code in (202, 400), answer.text
    if answer.status_code == 400 or answer.json()["results"][0]["status"] == "refused":
        return
    # What was accepted can be made out: nothing is found wrong when it is too late to say so.
    packed, variables = house.kept(answer.json()["id"]), house.variables(answer.json()["id"], 0)
    to = Mailbox(variables.get(personal.NAME, ""), parse_address("asa@tenant.example"))
    copy = personal.make_out(packed, to, variables, message_id="<a@ombud.example>", date=NOON)
    assert {one.decode() for one in examine(copy, 10**7).names} | {"received"} == set(OWN)
