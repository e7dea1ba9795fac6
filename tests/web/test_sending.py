"""POST /v1/messages and /v1/messages/batch: what is accepted, what is kept, and what a repeated call gets."""

from __future__ import annotations

import asyncio
import email
import email.policy
from datetime import datetime
from typing import Any

import pytest

from tests.web.conftest import HYRESAVI, House, base64_of, on_sqlite

RAW = b'From: hyra@eken.example\r\nTo: asa@tenant.example\r\nCc: "Ek, Bo" <bo@tenant.example>,\r\n cecilia@tenant.example\r\nBcc: dag@tenant.example\r\nSubject: Hej\r\n\r\nHej!\r\n'
BATCH: dict[str, Any] = {
    "from": "hyra@eken.example",
    "subject": "Hyresavi {{manad}}",
    "text": "Hej {{namn}}!\n",
    "recipients": [
        {"to": "Åsa Öberg <asa@tenant.example>", "variables": {"namn": "Åsa", "manad": "maj"}},
        {"to": "bo@tenant.example", "variables": {"namn": 7, "manad": "maj"}},
    ],
}


async def test_a_message_of_fields_is_accepted_and_kept_as_it_will_leave(house: House) -> None:
    answer = await house.send(cc="Bo <bo@tenant.example>", bcc=["cecilia@tenant.example"], reply_to="svar@eken.example")
    assert answer.status_code == 202
    said = answer.json()
    assert {**said, "id": "", "message_id": ""} == {
        "id": "",
        "message_id": "",
        "recipients": 3,
        "mode": "live",
        "status": "accepted",
    }
    assert house.addresses(said["id"]) == ["asa@tenant.example", "bo@tenant.example", "cecilia@tenant.example"]
    kept = email.message_from_bytes(house.kept(said["id"]), policy=email.policy.default)
    assert (kept["from"], kept["subject"]) == ("Bostads AB Eken <hyra@eken.example>", "Hyresavi för maj")
    assert (kept["reply-to"], kept["cc"], kept["bcc"]) == ("svar@eken.example", "Bo <bo@tenant.example>", None)
    assert kept["message-id"] == said["message_id"]
    assert kept.get_content().replace("\r\n", "\n") == HYRESAVI["text"]


async def test_a_file_a_header_tags_and_metadata_come_through(house: House) -> None:
    answer = await house.send(
        html="<p>Hej</p>",
        attachments=[{"filename": "hyresavi å.pdf", "content_type": "application/pdf", "content": "JVBERi0x\nLjcK"}],
        headers={"List-Unsubscribe": f"<https://eken.example/{'u' * 300}>"},
        tags=["hyresavi", "maj-2024"],
        metadata={"avi": "10442", "belopp": 8450.5, "extra": None, "ny": True},
        stream="important",
    )
    id = answer.json()["id"]
    shown = (await house.call("eken", "GET", f"/v1/messages/{id}")).json()
    assert (shown["tags"], shown["stream"]) == (["hyresavi", "maj-2024"], "important")
    assert shown["metadata"] == {"avi": "10442", "belopp": 8450.5, "extra": None, "ny": True}
    kept = email.message_from_bytes(house.kept(id), policy=email.policy.default)
    assert kept["list-unsubscribe"] == f"<https://eken.example/{'u' * 300}>"
    (file,) = kept.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("hyresavi å.pdf", b"%PDF-1.7\n")


async def test_a_large_file_comes_through_whole(house: House) -> None:
    file = bytes(range(256)) * 4 * 1024  # 1 MiB: a body that is read aside
    answer = await house.send(attachments=[{"filename": "a.bin", "content": base64_of(file)}])
    kept = email.message_from_bytes(house.kept(answer.json()["id"]), policy=email.policy.default)
    assert [part.get_content() for part in kept.iter_attachments()] == [file]


async def test_a_raw_message_goes_to_those_it_names_and_leaves_without_bcc(house: House) -> None:
    answer = await house.call("eken", "POST", "/v1/messages", json={"raw": base64_of(RAW)})
    assert answer.status_code == 202, answer.text
    id = answer.json()["id"]
    assert house.addresses(id) == [f"{name}@tenant.example" for name in ("asa", "bo", "cecilia", "dag")]
    kept = house.kept(id)
    assert kept.endswith(RAW.replace(b"Bcc: dag@tenant.example\r\n", b"")), kept


async def test_the_envelope_of_a_raw_message_can_be_given(house: House) -> None:
    answer = await house.call(
        "eken", "POST", "/v1/messages", json={"raw": base64_of(RAW), "to": ["erik@tenant.example"]}
    )
    assert house.addresses(answer.json()["id"]) == ["erik@tenant.example"]


@on_sqlite
@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("undisclosed-recipients:;", "bad_field"),
        ('"asa@tenant.example', "bad_address"),
        ('"Ek, Bo <bo@tenant.example>', "bad_address"),
        ("<asa@tenant.example, bo@tenant.example", "bad_address"),
        ("Hus: asa@tenant.example;", "bad_address"),
        ('"' * 50_001, "bad_address"),
        ("<" * 50_000, "bad_address"),
        ('"' + '\\"' * 50_000, "bad_address"),
    ],
)
async def test_a_list_of_recipients_that_could_be_read_in_two_ways_is_refused(house: House, to: str, code: str) -> None:
    lines = "\r\n ".join(to[at : at + 900] for at in range(0, len(to), 900))
    raw = f"From: hyra@eken.example\r\nTo: {lines}\r\n\r\nHej\r\n".encode()
    answer = await house.call("eken", "POST", "/v1/messages", json={"raw": base64_of(raw)})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@on_sqlite
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"From: hyra@eken.example\nTo: asa@tenant.example\n\nHej\n", "bare_line_break"),
        (b"From: hyra@eken.example\r\nTo: asa@tenant.example\r\n\r\nHej\0\r\n", "nul_byte"),
        (
            b"From: hyra@eken.example\r\nFrom: x@eken.example\r\nTo: asa@tenant.example\r\n\r\nHej\r\n",
            "from_not_single",
        ),
        (b"From: hyra@eken.example, x@eken.example\r\nTo: asa@tenant.example\r\n\r\nHej\r\n", "from_not_single"),
        (b"From: hyra@linden.example\r\nTo: asa@tenant.example\r\n\r\nHej\r\n", "domain_not_proved"),
        (
            b"From: hyra@eken.example\r\nSender: x@linden.example\r\nTo: asa@tenant.example\r\n\r\nHej\r\n",
            "domain_not_proved",
        ),
        (b"From: hyra@eken.example\r\nTo: asa@tenant.example\r\n\r\n" + b"x" * 1000 + b"\r\n", "line_too_long"),
    ],
)
async def test_the_gate_stands_before_raw_messages_too(house: House, raw: bytes, code: str) -> None:
    answer = await house.call("eken", "POST", "/v1/messages", json={"raw": base64_of(raw)})
    assert (answer.status_code, answer.json()["code"]) == (403 if code == "domain_not_proved" else 422, code)


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "code", "param"),
    [
        ({"from": None}, "bad_field", "from"),
        ({"to": None}, "bad_field", "to"),
        ({"to": []}, "bad_field", "to"),
        ({"to": 7}, "bad_field", "to"),
        ({"to": ["asa@tenant.example", 7]}, "bad_field", "to[1]"),
        ({"to": ["asa@tenant.example", "bo"]}, "bad_address", "to[1]"),
        ({"cc": "bo@tenant.example, x@tenant.example"}, "bad_address", "cc[0]"),
        ({"from": "a@eken.example, b@eken.example"}, "bad_address", "from"),
        ({"from": "hyra"}, "bad_address", "from"),
        ({"text": None}, "bad_field", "text"),
        ({"subject": 7}, "bad_field", "subject"),
        ({"subject": "a\r\nBcc: x@x.example"}, "bad_field", "subject"),
        ({"stream": "fast"}, "bad_field", "stream"),
        ({"tags": ["å"]}, "bad_field", "tags"),
        ({"metadata": {"a": {"b": 1}}}, "bad_field", "metadata"),
        ({"metadata": {"a": "x" * 501}}, "bad_field", "metadata"),
        ({"metadata": {str(n): n for n in range(51)}}, "bad_field", "metadata"),
        ({"deliver_at": "2024-05-31T08:00"}, "bad_field", "deliver_at"),
        ({"deliver_at": "snart"}, "bad_field", "deliver_at"),
        ({"deliver_at": "2024-09-01T08:00:00Z"}, "bad_field", "deliver_at"),
        ({"headers": {"Bcc": "x@x.example"}}, "bad_field", "headers.Bcc"),
        ({"headers": {"X A": "b"}}, "bad_field", "headers.X A"),
        ({"headers": {"X-A": "a\nb"}}, "bad_field", "headers.X-A"),
        ({"attachments": [{"filename": "a", "content": "%"}]}, "bad_field", "attachments[0].content"),
        ({"attachments": [{"filename": "../a", "content": ""}]}, "bad_field", "attachments.filename"),
        ({"attachments": [{"filename": "a"}]}, "bad_field", "attachments[0].content"),
        ({"raw": "RnJvbQ=="}, "bad_field", "from"),
        ({"nej": 1}, "bad_field", "nej"),
        ({"to": [f"a{n}@tenant.example" for n in range(1001)]}, "too_many_recipients", None),
    ],
)
async def test_a_field_that_does_not_fit_is_named(
    house: House, changed: dict[str, Any], code: str, param: str | None
) -> None:
    answer = await house.send(**changed)
    assert (answer.status_code, answer.json()["code"], answer.json().get("param")) == (422, code, param)
    assert (await house.call("eken", "GET", "/v1/messages")).json()["data"] == []


async def test_a_message_for_later_waits(house: House) -> None:
    answer = await house.send(deliver_at="2024-05-07T14:00:00+02:00")  # in two hours by the house's clock
    shown = (await house.call("eken", "GET", f"/v1/messages/{answer.json()['id']}")).json()
    now = await house.web.database.reading(lambda tx: tx.now)
    wait = datetime.fromisoformat(shown["recipients"][0]["due_at"]) - now
    assert 7100 < wait.total_seconds() <= 7200


async def test_test_mail_is_taken_in_and_goes_nowhere(house: House) -> None:
    answer = await house.send("eken_test")
    assert answer.json()["mode"] == "test"
    shown = (await house.call("eken_test", "GET", f"/v1/messages/{answer.json()['id']}")).json()
    assert (shown["mode"], shown["recipients"][0]["reason"], shown["recipients"][0]["route"]) == (
        "test",
        "test_mode",
        "test",
    )
    assert (await house.call("eken", "GET", f"/v1/messages/{answer.json()['id']}")).status_code == 404


# --- whose mail ----------------------------------------------------------------------------------------------------


async def test_the_vendors_key_sends_for_the_owner_of_the_domain_or_for_the_one_it_names(house: House) -> None:
    by_domain = await house.send("vendor", **{"from": "hyra@linden.example"})
    shown = (await house.call("vendor", "GET", f"/v1/messages/{by_domain.json()['id']}")).json()
    assert shown["customer"] == "linden"
    named = await house.send("vendor", {"X-Ombud-Customer": "linden"}, **{"from": "hyra@linden.example"})
    assert named.status_code == 202
    wrong = await house.send("vendor", {"X-Ombud-Customer": "eken"}, **{"from": "hyra@linden.example"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "domain_not_proved")


async def test_eken_can_neither_send_as_linden_nor_name_it(house: House) -> None:
    foreign = await house.send("eken", **{"from": "hyra@linden.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "domain_not_proved")
    named = await house.send("eken", {"X-Ombud-Customer": "linden"})
    nobody = await house.send("eken", {"X-Ombud-Customer": "nobody"})
    assert [named.status_code, nobody.status_code] == [404, 404]
    batch = await house.call("eken", "POST", "/v1/messages/batch", json={**BATCH, "from": "hyra@linden.example"})
    assert (batch.status_code, batch.json()["code"]) == (403, "domain_not_proved")


# --- batches -------------------------------------------------------------------------------------------------------


async def test_a_batch_has_a_result_for_each_recipient_in_order(house: House) -> None:
    recipients = [
        *BATCH["recipients"],
        {"to": "nej", "variables": {"namn": "x", "manad": "maj"}},
        {"to": "cecilia@tenant.example", "variables": {"namn": "x"}},
        {"to": "cecilia@tenant.example", "variables": {"namn": "x", "manad": "maj\r\nBcc: x@x.example"}},
        {"to": "cecilia@tenant.example", "variables": {"namn": "\0", "manad": "maj"}},
        {"to": "cecilia@tenant.example", "variables": {"namn": ["x"], "manad": "maj"}},
        {"to": "cecilia@tenant.example", "variables": {"namn": True, "manad": "maj"}},
        {"to": "cecilia@tenant.example", "variables": {"": "Annan", "namn": "x", "manad": "maj"}},
        {"to": "cecilia@tenant.example", "variables": [1]},
        {"to": ["cecilia@tenant.example"]},
        {"to": "cecilia@tenant.example", "cc": "x@x.example"},
        "cecilia@tenant.example",
        {"to": "dag@tenant.example", "variables": {"namn": "två\nrader", "manad": "maj"}},
    ]
    answer = await house.call("eken", "POST", "/v1/messages/batch", json={**BATCH, "recipients": recipients})
    assert answer.status_code == 202, answer.text
    said = answer.json()
    assert (said["accepted"], said["refused"], len(said["results"])) == (3, 11, 14)
    codes = [result.get("code", result["status"]) for result in said["results"]]
    assert codes == ["accepted", "accepted", "bad_address", "missing_variable", *["bad_field"] * 9, "accepted"]
    assert [result["id"] for result in said["results"] if "id" in result] == [f"{said['id']}-{n}" for n in range(3)]
    assert house.addresses(said["id"]) == ["asa@tenant.example", "bo@tenant.example", "dag@tenant.example"]


async def test_one_recipient_of_a_batch_can_be_looked_at_alone(house: House) -> None:
    said = (await house.call("eken", "POST", "/v1/messages/batch", json=BATCH)).json()
    shown = (await house.call("eken", "GET", f"/v1/messages/{said['results'][1]['id']}")).json()
    assert (shown["id"], [one["address"] for one in shown["recipients"]]) == (said["id"], ["bo@tenant.example"])
    assert shown["states"] == {"waiting": 1}
    assert (await house.call("eken", "GET", f"/v1/messages/{said['id']}-2")).status_code == 404


@on_sqlite
@pytest.mark.parametrize(
    ("recipients", "code"),
    [
        ([], "bad_field"),
        ([{"to": "nej"}], "bad_address"),
        ([{"to": f"a{n}@tenant.example"} for n in range(1001)], "too_many_recipients"),
        ({"to": "asa@tenant.example"}, "bad_field"),
    ],
)
async def test_a_batch_that_nobody_can_get_is_refused_whole(house: House, recipients: Any, code: str) -> None:
    answer = await house.call("eken", "POST", "/v1/messages/batch", json={**BATCH, "recipients": recipients})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_thousand_recipients_are_accepted_at_once(house: House) -> None:
    recipients = [{"to": f"a{n}@tenant.example", "variables": {"namn": str(n), "manad": "maj"}} for n in range(1000)]
    answer = await house.call("eken", "POST", "/v1/messages/batch", json={**BATCH, "recipients": recipients})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1000)


# --- idempotency ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batch"])
async def test_the_same_call_again_gets_the_very_same_answer_and_does_nothing(house: House, path: str) -> None:
    body = HYRESAVI if path == "/v1/messages" else {**BATCH, "recipients": [*BATCH["recipients"], {"to": "nej"}]}
    headers = {"Idempotency-Key": "avi-2024-05-10442"}
    first = await house.call("eken", "POST", path, json=body, headers=headers)
    again = await house.call("eken", "POST", path, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert len((await house.call("eken", "GET", "/v1/messages")).json()["data"]) == 1


async def test_another_body_or_customer_under_the_same_key_is_refused(house: House) -> None:
    headers = {"Idempotency-Key": "avi"}
    await house.send("vendor", headers)
    other = await house.send("vendor", headers, subject="En annan")
    named = await house.send("vendor", {**headers, "X-Ombud-Customer": "eken"})
    batch = await house.call("vendor", "POST", "/v1/messages/batch", json=BATCH, headers=headers)
    for answer in (other, named, batch):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")


async def test_the_same_key_of_another_credential_is_another_key(house: House) -> None:
    headers = {"Idempotency-Key": "avi"}
    eken = await house.send("eken", headers)
    other = await house.send("eken_other", headers, subject="En annan")
    linden = await house.send("linden", headers, **{"from": "hyra@linden.example"})
    assert [answer.status_code for answer in (eken, other, linden)] == [202, 202, 202]
    assert len({answer.json()["id"] for answer in (eken, other, linden)}) == 3


async def test_of_the_same_call_made_ten_times_at_once_one_is_accepted(house: House) -> None:
    answers = await asyncio.gather(*(house.send("eken", {"Idempotency-Key": "avi"}) for _ in range(10)))
    assert len({answer.content for answer in answers if answer.status_code == 202}) == 1
    for answer in answers:
        assert answer.status_code == 202 or (answer.json()["code"], answer.headers["retry-after"]) == (
            "still_running",
            "1",
        )
    assert len((await house.call("eken", "GET", "/v1/messages")).json()["data"]) == 1


async def test_a_refused_call_keeps_its_key_free(house: House) -> None:
    headers = {"Idempotency-Key": "avi"}
    assert (await house.send("eken", headers, to=["nej"])).status_code == 422
    assert (await house.send("eken", headers)).status_code == 202


@on_sqlite
@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "å", " "])
async def test_a_key_that_is_no_key_is_refused(house: House, key: str) -> None:
    answer = await house.call(
        "eken", "POST", "/v1/messages", json=HYRESAVI, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert (answer.status_code, answer.json()["param"]) == (422, "Idempotency-Key")
