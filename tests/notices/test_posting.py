"""Nobody makes Ombud post into a network that is not the open Internet."""

from __future__ import annotations

import asyncio

import pytest

from ombud.notices.posting import Answer, Poster, may_connect
from tests.notices.receiver import answer, receiving

FORBIDDEN = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:db8::1",
    "2001::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "5f00::1",
    "3fff::1",
    "not-an-address",
]
ALLOWED = ["193.10.1.1", "8.8.8.8", "2a00:1450:400f::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_of_no_open_network_is_not_connected_to(address: str) -> None:
    assert not may_connect(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_an_address_of_the_open_internet_is(address: str) -> None:
    assert may_connect(address)


HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.1",
    "0",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "127.0.0.1.",
    "[::]",
    "10.0.0.1",
    "169.254.169.254",
    "[fe80::1]",
    "[64:ff9b::7f00:1]",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_no_way_of_writing_a_number_leads_inside(host: str) -> None:
    async def addresses(name: str) -> list[str]:
        raise AssertionError(f"{name} was asked for")

    async with receiving(answer()) as inside, Poster(addresses, timeout=2) as poster:
        for url in (f"https://{host}/", f"https://{host}:443/", f"http://{host}:{inside.port}/"):
            found = await poster.post(url, {}, b"{}")
            assert (found.status, inside.connections) == (0, 0)
            assert "must be https, and lie on the open Internet" in found.words


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], ["::1"], []], ids=str
)
async def test_no_name_leads_inside_whatever_it_resolves_to(found: list[str]) -> None:
    async def addresses(name: str) -> list[str]:
        return found

    async with Poster(addresses, timeout=2) as poster:
        answer = await poster.post("https://centre.example/", {}, b"{}")
    # Not only in vain: it was not tried.
    assert answer.status == 0 and ("open Internet" if found else "has no address") in answer.words


async def test_a_name_that_changes_its_address_is_connected_to_where_it_was_looked_at() -> None:
    asked: list[str] = []

    async def rebinding(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) > 1 else ["192.0.2.1"]

    async with receiving(answer()) as inside, Poster(rebinding, timeout=2) as poster:
        assert (await poster.post(f"https://rebind.example:{8443}/", {}, b"")).status == 0
        assert inside.connections == 0 and len(asked) == 1


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "https://8.8.8.8:25/", "https://8.8.8.8:22/", "gopher://8.8.8.8/", "https://"]
)
async def test_only_https_on_its_own_ports(url: str) -> None:
    async with Poster(_nobody, timeout=2) as poster:
        answer = await poster.post(url, {}, b"")
    assert answer.status == 0 and "must be https" in answer.words


async def test_an_answer_is_read_to_a_bound_and_in_a_bound_of_time() -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with receiving(trickle) as slow, Poster(_nobody, private=True, timeout=0.5) as poster:
        found = await poster.post(slow.url, {}, b"")
        assert found.status == 0 and found.seconds < 2
    async with receiving(answer("200 OK", b"y" * 1_000_000)) as big, Poster(_nobody, private=True) as poster:
        found = await poster.post(big.url, {}, b"")
        assert found.status == 200 and len(found.body) <= 64 * 1024


async def test_cookies_and_redirects_are_not_taken() -> None:
    moved = answer("307 Elsewhere", b"", "Location: http://127.0.0.1:1/", "Set-Cookie: a=b")
    async with receiving(moved) as centre, Poster(_nobody, private=True) as poster:
        for _ in range(2):
            found = await poster.post(centre.url, {}, b"")
            assert found.status == 307 and "sends us on" in found.words
        assert len(centre.posts) == 2 and "cookie" not in centre.posts[1].headers


async def _nobody(host: str) -> list[str]:
    raise OSError("nobody is asked here")


def test_an_answer_says_what_it_is() -> None:
    assert Answer(200, "ok").body == b""
