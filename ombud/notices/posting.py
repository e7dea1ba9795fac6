"""Posting to an address that someone has typed: never to a machine of our own network, never further than it says, never for long.

The address that is *connected* to is the one that was looked at (SSRF by a name that changes between the two is not possible),
redirects are not followed, and an answer is read to a bound.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

#: Where nothing on the open Internet lives. An own table: what Python calls private has changed between versions (CVE-2024-4032).
_FORBIDDEN = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",  # RFC 6890, RFC 5771
        "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",  # RFC 6890, RFC 4291, RFC 9637, RFC 9602
    )
)  # fmt: skip
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
_SIX_TO_FOUR = ip_network("2002::/16")  # RFC 3056: bytes 2 to 5 are
_PORTS = (80, 443, 8443)

LARGEST_ANSWER = 64 * 1024
_WORDS = 500  # of an answer that are kept


class Forbidden(OSError):
    """The address is not one that may be posted to."""


def may_connect(text: str) -> bool:
    """Whether an IP address is one of the open Internet, also behind the ways that IPv6 has of writing an IPv4 one."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(not any(one.version == net.version and one in net for net in _FORBIDDEN) for one in _meanings(address))


def _meanings(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:  # ::ffff:10.0.0.1; only its meaning counts
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(address.packed[-4:])]
    if address in _SIX_TO_FOUR:
        return [address, IPv4Address(address.packed[2:6])]
    return [address]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int  # 0: none came
    words: str  # the beginning of what it said, or why none came
    body: bytes = b""
    retry_after: float = 0.0
    seconds: float = 0.0


class Poster:
    """Posts. `addresses` finds a host's (it may raise OSError); `private` lets everything through, for a service centre in the
    vendor's own network and for tests. Use it as a context."""

    def __init__(
        self, addresses: Callable[[str], Awaitable[Sequence[str]]], *, private: bool = False, timeout: float = 15.0,
        ca_file: str | None = None,
    ) -> None:  # fmt: skip
        self._addresses, self._private, self._timeout, self._ca_file = addresses, private, timeout, ca_file
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http:
            await self._http.close()
            self._http = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the other side answered; never raises for anything that it or the network did."""
        began = time.monotonic()
        try:
            self._look_at(url)
            async with asyncio.timeout(self._timeout):
                answer = await self._post(url, headers, body)
        except TimeoutError:
            answer = Answer(0, f"no answer within {self._timeout:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # One message for all that is forbidden: whoever typed the address must not learn what lives in our network.
            answer = Answer(0, _why(error))
        return Answer(answer.status, answer.words, answer.body, answer.retry_after, time.monotonic() - began)

    def _look_at(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if self._private:
            return
        # aiohttp asks no resolver about an IP address, however it is written: such are looked at here.
        if (
            not host
            or parts.scheme != "https"
            or (parts.port or 443) not in _PORTS
            or (_is_number(host) and not may_connect(host))
        ):
            raise Forbidden

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        async with self._session().post(url, data=body, headers=dict(headers), allow_redirects=False) as reply:
            text = await _read(reply.content)
            words = " ".join(text[:_WORDS].decode("utf-8", "replace").split())
            if 300 <= reply.status < 400:
                words = f"it sends us on to another address, which is not followed: {reply.headers.get('Location', '')[:200]}"
            return Answer(reply.status, words, text, _seconds(reply.headers.get("Retry-After", "")))

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            import ssl

            context = ssl.create_default_context(cafile=self._ca_file)
            connector = aiohttp.TCPConnector(
                resolver=_Looked(self._addresses, self._private),
                use_dns_cache=False,
                limit=100,
                limit_per_host=10,
                ssl=context,
            )
            self._http = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False,
                headers={"User-Agent": "Ombud", "Accept-Encoding": "identity"},
            )  # fmt: skip
        return self._http


class _Looked(AbstractResolver):
    """Gives aiohttp the addresses that it then connects to; one forbidden address among them forbids the name."""

    def __init__(self, addresses: Callable[[str], Awaitable[Sequence[str]]], private: bool) -> None:
        self._addresses, self._private = addresses, private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = list(await self._addresses(host))
        if not found:
            raise OSError(f"{host} has no address")
        if not self._private and not all(map(may_connect, found)):
            raise Forbidden
        return [
            ResolveResult(
                hostname=host, host=one, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
            )
            for one in found
        ]  # fmt: skip

    async def close(self) -> None:
        pass


def _is_number(host: str) -> bool:
    """Whether a host is an IP address in any of the ways that a system may read one: 127.1, 0x7f000001, 2130706433, [::1]."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return ":" in host or last.isdecimal() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in last[2:]))


async def _read(stream: aiohttp.StreamReader) -> bytes:
    """The beginning of an answer. What is more is left on the line, which is then closed."""
    found = bytearray()
    while len(found) < LARGEST_ANSWER and (chunk := await stream.read(LARGEST_ANSWER - len(found))):
        found += chunk
    return bytes(found)


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0.0


def _why(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Forbidden):
            return "the address is not one that may be posted to: it must be https, and lie on the open Internet"
        cause = cause.__cause__ or cause.__context__ or getattr(cause, "os_error", None)
    said: Exception = getattr(error, "os_error", error)  # aiohttp keeps what the system, or our resolver, said in there
    return f"{type(said).__name__}: {said}"[:300]
