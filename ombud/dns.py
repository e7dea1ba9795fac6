"""Looking up names. An answer is one of three: yes (with values), definitely none, or nobody knows (then OSError)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

SECONDS = 10.0


class Resolver:
    """Asks the given name servers (`IP` or `IP:PORT`), or whatever the system asks when there are none."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._resolver: dns.asyncresolver.Resolver | None = None
        if servers:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            self._resolver.nameservers = [_name_server(server) for server in servers]
            self._resolver.lifetime = SECONDS

    async def addresses(self, host: str) -> Sequence[str]:
        """The host's IP addresses, in the order to try them; [] when it definitely has none. Raises OSError when nobody knows."""
        if _is_address(host):
            return [host]
        if self._resolver is None:
            return await _system_addresses(host)
        found = [await self._ask(self._resolver, host, kind) for kind in ("AAAA", "A")]
        return [address for addresses in found for address in addresses]

    async def _ask(self, resolver: dns.asyncresolver.Resolver, host: str, kind: str) -> list[str]:
        try:
            answer = await resolver.resolve(host, kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise OSError(f"{kind} of {host}: {error}") from error
        return [record.to_text() for record in answer]


async def _system_addresses(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return []
        raise
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _name_server(text: str) -> dns.nameserver.Do53Nameserver:
    host, colon, port = text.rpartition(":") if text.count(":") == 1 or "]" in text else (text, "", "")
    return dns.nameserver.Do53Nameserver(host.strip("[]") or text, int(port) if colon else 53)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
