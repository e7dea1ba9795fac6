"""The door on a real socket: it opens, answers, bounds what comes before and after a body, and stops without cutting anyone off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from ombud.settings import HttpSettings
from ombud.web import HttpDoor, server
from tests.web.conftest import HYRESAVI, House


@pytest.fixture
def database_url(one_url: str) -> str:
    return one_url


@pytest.fixture
async def door(house: House) -> AsyncIterator[HttpDoor]:
    opened = HttpDoor(HttpSettings(port=0, max_body=100_000), house.app)
    await opened.start()
    yield opened
    await opened.stop(1)


async def _speak(door: HttpDoor, *pieces: bytes) -> bytes:
    """Send the pieces, and read until the other side is silent or has closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        return await asyncio.wait_for(reader.read(100_000), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_message_comes_in_over_a_real_socket(house: House, door: HttpDoor) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", auth=("api", house.keys["eken"])) as client:
        answer = await client.post("/v1/messages", json=HYRESAVI)
        assert answer.status_code == 202
        shown = await client.get(f"/v1/messages/{answer.json()['id']}")
        assert shown.json()["subject"] == "Hyresavi för maj"
        refused = await client.post("/v1/messages", json={})
        assert refused.json()["doc_url"] == f"http://127.0.0.1:{door.port}/v1/docs#bad_field"
        assert "server" not in refused.headers


async def test_a_chunked_body_is_taken(house: House, door: HttpDoor) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for letter in json.dumps(HYRESAVI):
            yield letter.encode()

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {house.keys['eken']}"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", headers=headers) as client:
        assert (await client.post("/v1/messages", content=chunks())).status_code == 202


async def test_a_port_that_is_taken_is_said_at_start(house: House, door: HttpDoor) -> None:
    with pytest.raises(OSError, match="in use"):
        await HttpDoor(HttpSettings(port=door.port), house.app).start()


async def test_a_header_without_end_is_cut_off(door: HttpDoor) -> None:
    many = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n"
    long = b"X-A: " + b"b" * 2 * server.MOST_HEADER
    assert await _speak(door, many) == b""
    assert await _speak(door, b"GET / HTTP/1.1\r\nHost: x\r\n", long) == b""
    assert b"200 OK" in await _speak(door, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")


async def _pour(writer: asyncio.StreamWriter, piece: bytes, most: int) -> None:
    """Write the piece again and again, up to so many bytes. Raises ConnectionError when the other side hangs up."""
    for _ in range(most // len(piece)):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)


async def test_a_trailer_without_end_is_cut_off(door: HttpDoor) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    with pytest.raises(ConnectionError):
        await _pour(writer, b"X-A: b\r\n" * 1000, 10_000_000)
    writer.close()


async def test_a_call_that_goes_on_after_its_answer_is_not_read_for_ever(door: HttpDoor) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(ConnectionError):
        await _pour(writer, b"2710\r\n" + b"x" * 10_000 + b"\r\n", 10_000_000)
    writer.close()


async def test_who_says_nothing_is_not_waited_for(door: HttpDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_TIMEOUT", 0.1)
    assert await _speak(door) == b""
    assert await _speak(door, b"GET / HT") == b""
    assert await _speak(door, b"GET / HTTP/1.1\r\nHost: x\r\nX-") == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_a_call_that_two_servers_would_read_differently_is_refused(door: HttpDoor, request_bytes: bytes) -> None:
    answer = await _speak(door, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_call_under_way_gets_its_answer_when_the_door_stops(house: House) -> None:
    door = HttpDoor(HttpSettings(port=0), house.app)
    await door.start()
    body = json.dumps(HYRESAVI).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {house.keys['eken']}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:10])
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(door.stop(5))
    await asyncio.sleep(0.15)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(body[10:])
    assert (await reader.read(10_000)).startswith(b"HTTP/1.1 202")
    writer.close()
    await asyncio.wait_for(stopping, 3)


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(house: House, door: HttpDoor) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {house.keys['eken']}\r\nContent-Length: 500\r\n\r\n{{"
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    assert b"200 OK" in await _speak(door, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await house.call("eken", "GET", "/v1/messages")).json()["data"] == []
