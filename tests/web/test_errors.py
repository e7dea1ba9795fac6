"""How the door says no: problem details, bounds on what it reads, JSON taken strictly, and keys."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ombud.accounts import Mode, create_credential, suspend_customer
from ombud.errors import OmbudError, every_error
from ombud.routing import put_allowed_regions, unassign
from ombud.settings import Settings
from ombud.web import create_app
from ombud.web.incoming import Bodies
from ombud.web.who import PEERS, Failures
from tests.web.conftest import HYRESAVI, House, base64_of

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def database_url(one_url: str) -> str:
    return one_url


async def test_a_problem_says_what_and_where_and_whose_turn_it_is(house: House) -> None:
    answer = await house.send(**{"from": "hyra@gran.example"})
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    page = "http://ombud.test/v1/docs#domain_not_proved"
    assert problem == {
        "type": page, "title": "Domain not proved", "status": 403, "code": "domain_not_proved", "retryable": False,
        "doc_url": page, "request_id": answer.headers["x-request-id"],
        "detail": "The sender domain gran.example is not proved for this customer. Prove it first, or send from a domain that is.",
        "customer_action": {
            "code": "domain_not_proved", "url": page,
            "text_en": "The sender domain gran.example is not proved for this customer. Prove it first, or send from a domain that is.",
            "text_sv": "Avsändardomänen gran.example är inte styrkt för den här kunden. Styrk den först, eller skicka från en domän som är det.",
        },
    }  # fmt: skip


async def test_every_customer_fault_comes_with_what_the_customer_must_do(house: House) -> None:
    web = house.web
    route = web.facts.value.route("ut")
    assert route
    with web.database.write() as tx:
        put_allowed_regions(tx, frozenset({"SE"}))
    web.facts.refresh(web.database)
    assert _action(await house.send()) == ("region_not_allowed", 409)
    with web.database.write() as tx:
        unassign(tx, None, web.directory.value.product("hyra").id)
    web.facts.refresh(web.database)
    assert _action(await house.send()) == ("no_route", 409)
    with web.database.write() as tx:
        suspend_customer(tx, "eken", web.clock.now())
    web.directory.refresh(web.database)
    assert _action(await house.send()) == ("customer_suspended", 403)
    assert _action(await house.send("vendor")) == ("customer_suspended", 403)


def _action(answer: Any) -> tuple[str, int]:
    problem = answer.json()
    assert problem["customer_action"]["code"] == problem["code"]
    return problem["code"], answer.status_code


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"7", b'"x"', b"null", b"{} {}", b'{"a":1,}', b"{'a':1}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}',
        b'{"a":"\xff"}', b'\xef\xbb\xbf{"a":1}', '{"a":1}'.encode("utf-16"), b'{"a":1,"a":2}', b'{"x":{"a":1,"b":2,"a":3}}',
        b'{"subject":"\\ud800"}', b'{"\\udfff":1}', b'{"a":' + b"[" * 100_000, b'{"a":' + b'{"b":' * 100_000, b'{"a":' + b"9" * 5000 + b"}",
        b"[" + b"{}," * 1_000_001 + b"{}]", b'{"a":"\x01"}',
    ],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
async def test_what_is_not_json_as_it_must_be_is_refused(house: House, body: bytes) -> None:
    for path in ("/v1/messages", "/v1/messages/batch"):
        answer = await house.call("eken", "POST", path, content=body, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_json")
        assert len(answer.content) < 1000


async def test_a_whole_character_written_as_two_escapes_is_taken(house: House) -> None:
    body = json.dumps({**HYRESAVI, "subject": "Flytt \U0001f4e6"}).encode()
    assert b"\\ud83d" in body
    assert (await house.call("eken", "POST", "/v1/messages", content=body, headers=JSON)).status_code == 202


async def test_numbers_that_json_readers_do_not_agree_on_are_refused(house: House) -> None:
    body = json.dumps(HYRESAVI).encode()[:-1]
    for number in (b"1e999", b"9007199254740993", b"-1e400"):
        answer = await house.call(
            "eken", "POST", "/v1/messages", content=body + b',"metadata":{"n":' + number + b"}}", headers=JSON
        )
        assert (answer.status_code, answer.json()["param"]) == (422, "metadata")


async def test_what_was_sent_is_never_echoed_at_length(house: House) -> None:
    for changed in (
        {"x" * 100_000: 1},
        {"subject": "x" * 100_000},
        {"to": ["x" * 100_000]},
        {"headers": {"content-" + "x" * 60: "y"}},
    ):
        answer = await house.send(**changed)
        assert answer.status_code == 422
        assert len(answer.content) < 1500


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json; charset=latin-1",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ],
)
async def test_only_json_is_taken(house: House, content_type: str) -> None:
    answer = await house.call("eken", "POST", "/v1/messages", content=b"{}", headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_media_type")


async def test_a_compressed_body_is_not_taken(house: House) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    answer = await house.call(
        "eken", "POST", "/v1/messages", content=gzip.compress(json.dumps(HYRESAVI).encode()), headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_media_type")


async def test_json_may_say_its_charset(house: House) -> None:
    for kind in ("application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'):
        answer = await house.call(
            "eken", "POST", "/v1/messages", content=json.dumps(HYRESAVI), headers={"Content-Type": kind}
        )
        assert answer.status_code == 202


async def _drip(chunk: bytes, times: int, counted: list[int]) -> AsyncIterator[bytes]:
    for _ in range(times):
        counted.append(len(chunk))
        yield chunk


async def test_a_body_over_the_bound_is_refused_announced_or_not(built: Callable[..., House]) -> None:
    house = built(Settings(http={"max_body": 10_000}))
    announced = await house.call("eken", "POST", "/v1/messages", content=b"x" * 10_001, headers=JSON)
    counted: list[int] = []
    streamed = await house.call("eken", "POST", "/v1/messages", content=_drip(b"x" * 1000, 1000, counted), headers=JSON)
    for answer in (announced, streamed):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_big")
        assert "10000" in answer.json()["detail"]


async def test_a_message_over_the_bound_is_refused(built: Callable[..., House]) -> None:
    house = built(Settings(smtp={"max_size": 5000}))
    fields = await house.send(text="x\n" * 5000)
    raw = b"From: hyra@eken.example\r\nTo: a@b.example\r\n\r\n" + b"x\r\n" * 5000
    ready = await house.call("eken", "POST", "/v1/messages", json={"raw": base64_of(raw)})
    batch = await house.call(
        "eken",
        "POST",
        "/v1/messages/batch",
        json={"from": "hyra@eken.example", "text": "x\n" * 5000, "recipients": [{"to": "a@b.example"}]},
    )
    for answer in (fields, ready, batch):
        assert (answer.status_code, answer.json()["code"]) == (413, "message_too_big")


class Request:
    """A call as the server hands it over, its body in pieces that come when they come."""

    def __init__(self, *chunks: bytes, pause: float = 0) -> None:
        self.headers = {"content-type": "application/json"}
        self._chunks, self._pause = chunks, pause

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            await asyncio.sleep(self._pause)
            yield chunk


async def test_bodies_are_counted_while_they_are_held() -> None:
    bodies = Bodies(max_body=100, most_in_flight=150)
    async with bodies.received(Request(b"x" * 60, b"x" * 40)) as first:  # type: ignore[arg-type]  # as much of one as is read
        assert (len(first), bodies.in_flight) == (100, 100)
        with pytest.raises(OmbudError, match="on its way in"):
            async with bodies.received(Request(b"x" * 60)):  # type: ignore[arg-type]
                pass
        assert bodies.in_flight == 100
    assert bodies.in_flight == 0


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    bodies = Bodies(max_body=100, chunk_timeout=0.05)
    with pytest.raises(OmbudError) as refused:
        async with bodies.received(Request(b"x", b"x", pause=0.2)):  # type: ignore[arg-type]
            pass
    assert (refused.value.http, bodies.in_flight) == (408, 0)


async def test_a_slow_body_that_keeps_coming_is_waited_for() -> None:
    bodies = Bodies(max_body=100, chunk_timeout=0.1)
    async with bodies.received(Request(*[b"x"] * 5, pause=0.04)) as body:  # type: ignore[arg-type]
        assert body == b"xxxxx"


# --- keys ----------------------------------------------------------------------------------------------------------


def _basic(user: str, key: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


async def test_a_key_is_taken_as_bearer_and_as_basic(house: House) -> None:
    key = house.keys["eken"]
    for authorization in (f"Bearer {key}", f"bearer {key}", _basic("api", key)):
        answer = await house.call("", "GET", "/v1/messages", headers={"Authorization": authorization})
        assert answer.status_code == 200


async def test_any_other_key_is_refused_alike(house: House) -> None:
    key = house.keys["eken"]
    wrong = [
        "Bearer",
        "Bearer x",
        f"Bearer {key}x",
        f"Bearer {key.replace('live', 'test')}",
        _basic("eken", key),
        _basic("api", ""),
        "Basic %",
        "Basic /w==",
    ]
    answers = [await house.call("", "GET", "/v1/messages", headers={"Authorization": one}) for one in wrong]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["code"] for answer in answers} == {"bad_credentials"}
    assert all("Bearer" in answer.headers["www-authenticate"] for answer in answers)
    none = await house.call("", "GET", "/v1/messages")
    strange = await house.call("", "GET", "/v1/messages", headers={"Authorization": "Digest x"})
    assert [none.json()["code"], strange.json()["code"]] == ["not_authenticated"] * 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages"), ("POST", "/v1/messages/batch"), ("GET", "/v1/messages"), ("GET", "/v1/messages/x"),
        ("GET", "/v1/messages/x/timeline"), ("POST", "/v1/messages/x/cancel"),
    ],
)  # fmt: skip
async def test_every_route_of_the_api_asks_for_a_key_before_it_reads_anything(
    house: House, method: str, path: str
) -> None:
    counted: list[int] = []
    answer = await house.call("", method, path, content=_drip(b"{", 3, counted), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 401


async def test_a_new_key_works_from_the_next_look_at_the_directory_on(house: House) -> None:
    web = house.web
    with web.database.write() as tx:
        made = create_credential(tx, web.directory.value.product("hyra"), None, Mode.TEST, web.clock.now())
    assert (await house.call(made.api_key, "GET", "/v1/messages")).status_code == 401, "not known before the next look"
    web.directory.refresh(web.database)
    assert (await house.call(made.api_key, "GET", "/v1/messages")).status_code == 200


async def test_who_sends_wrong_keys_is_told_to_wait_and_keeps_nobody_else_out(house: House) -> None:
    codes = [(await house.call("nej", "GET", "/v1/messages")).status_code for _ in range(15)]
    assert codes[:10] == [401] * 10
    assert codes[-3:] == [429] * 3
    late = await house.call("nej", "GET", "/v1/messages")
    assert (late.json()["code"], late.json()["retryable"], int(late.headers["retry-after"]) > 0) == (
        "too_many_failures",
        True,
        True,
    )
    assert (await house.call("eken", "GET", "/v1/messages")).status_code == 200, "the right key from the same place"
    async with house.client("nej", peer="192.0.2.10") as other:
        assert (await other.get("/v1/messages")).status_code == 401, "another place"


def test_wrong_keys_are_forgiven_in_time_and_remembered_for_so_many_peers() -> None:
    now = 0.0
    failures = Failures(lambda: now)
    for _ in range(11):
        failures.count("a")
    with pytest.raises(OmbudError):
        failures.count("a")
    now += 12
    failures.count("a")
    for n in range(PEERS + 50):
        failures.count(str(n))
    assert len(failures._forgiven_at) == PEERS


# --- what goes wrong with us ---------------------------------------------------------------------------------------


async def test_nothing_of_an_unexpected_error_reaches_the_caller(house: House) -> None:
    def broken() -> bytes:
        raise RuntimeError("the secret of the house")

    app = create_app(dataclasses.replace(house.web, metrics=broken))
    answer = await dataclasses.replace(house, app=app).call("", "GET", "/metrics")
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (500, "internal_error", True)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"secret" not in answer.content


async def test_trouble_with_the_database_is_a_try_later(house: House) -> None:
    file = house.web.database.file
    assert file
    for engine in (house.web.database.engine, house.web.database._read):
        engine.dispose()  # what was open would still find the file that is taken away
    file.rename(file.with_name("away"))
    file.mkdir()
    for answer in (await house.call("eken", "GET", "/v1/messages"), await house.send()):
        assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (503, "database_gone", True)
        assert answer.headers["retry-after"] == "5"


async def test_a_service_that_stops_says_so(house: House) -> None:
    house.web.group.stop()
    answer = await house.send()
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "shutting_down", "10")


async def test_a_full_disk_is_said_and_nothing_is_accepted(built: Callable[..., House]) -> None:
    house = built(Settings(service={"min_free": 10**18}))
    house.web.submissions.look_at_disk()
    answer = await house.send()
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (507, "disk_full", "60")


async def test_too_many_messages_a_minute_are_told_when_to_come_again(built: Callable[..., House]) -> None:
    house = built(Settings(limits={"messages_per_minute": 2}))
    house.web.group.start()
    codes = [(await house.send()).status_code for _ in range(3)]
    late = await house.send()
    house.web.group.stop()
    assert (codes[0], late.status_code, late.json()["code"]) == (202, 429, "too_fast")
    assert 0 < int(late.headers["retry-after"]) <= 60


async def test_a_path_or_a_method_that_is_not_there_is_a_problem_too(house: House) -> None:
    absent = await house.call("eken", "GET", "/v1/nej")
    assert (absent.status_code, absent.json()["code"]) == (404, "not_found")
    method = await house.call("eken", "DELETE", "/v1/messages")
    assert (method.status_code, method.json()["code"], method.headers["allow"]) == (
        405,
        "method_not_allowed",
        "GET, POST",
    )


def test_every_error_of_the_house_has_a_status_that_the_document_knows() -> None:
    assert {error.http for error in every_error()} <= {
        400,
        401,
        403,
        404,
        405,
        408,
        409,
        410,  # personal links that are over
        413,
        415,
        422,
        429,
        500,
        503,
        507,
    }
