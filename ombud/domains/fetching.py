"""Gets a small answer from an address that an outsider has named: over https, from the open Internet only, and to a bound."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

SECONDS = 8.0
LARGEST = 64 * 1024


def fetching(
    addresses: Callable[[str], Awaitable[Sequence[str]]], may_connect: Callable[[str], bool], ca_file: str = ""
) -> Callable[[str], Awaitable[tuple[int, bytes]]]:
    """A function that gets a URL. The address that is connected to is the one that `may_connect` has seen; redirects are not
    followed. It raises OSError for whatever goes wrong."""

    async def fetch(url: str) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=ca_file or None)
        connector = aiohttp.TCPConnector(resolver=_Resolver(addresses, may_connect), ssl=context, use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
                session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as response,
            ):
                body = await response.content.read(LARGEST + 1)
                if len(body) > LARGEST:
                    raise OSError(f"{url} answers with more than {LARGEST} bytes")
                return response.status, body
        except (TimeoutError, aiohttp.ClientError, ValueError, UnicodeError) as error:
            raise OSError(f"{url}: {error or type(error).__name__}") from error

    return fetch


class _Resolver(AbstractResolver):
    """Looks names up as the rest of the installation does, and gives only addresses that may be connected to."""

    def __init__(
        self, addresses: Callable[[str], Awaitable[Sequence[str]]], may_connect: Callable[[str], bool]
    ) -> None:
        self._addresses, self._may_connect = addresses, may_connect

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [address for address in await self._addresses(host) if self._may_connect(address)]
        if not found:
            raise OSError(f"{host} is at no address that may be asked")
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET,
            )
            for address in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is open."""
