"""Asks name servers. Whatever the network does becomes an answer; nothing raises for it but `addresses`, which says so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import dns.asyncquery
import dns.exception
import dns.inet
import dns.message
import dns.resolver

from ombud.dns.answer import Answer, Authority, NameServer, Status, canonical
from ombud.dns.datagrams import Datagrams
from ombud.dns.reading import query_for, read, whole_name

#: Seconds for one try of one server.
SECONDS = 3.0
#: Rounds over the resolver's servers before nobody knows.
ROUNDS = 2
#: Questions under way at a time.
CONCURRENT = 100
_MAX_ALIASES = 8
#: Zones have a handful of name servers; one with hundreds must not make us ask hundreds of questions.
_MAX_SERVERS = 13


class Resolver:
    """Asks the given resolvers (`IP` or `IP:PORT`), or whatever the system asks when there are none.

    `authority_port` is where the servers of zones listen: 53 but in a world on loopback. One resolver belongs to one event loop.
    """

    def __init__(self, servers: Sequence[str] = (), *, authority_port: int = 53, seconds: float = SECONDS) -> None:
        self.servers = tuple(servers)
        self.authority_port = authority_port
        self._seconds = seconds
        self._under_way = asyncio.Semaphore(CONCURRENT)
        self._system: tuple[str, ...] | None = None

    async def ask(self, name: str, kind: str, *, unchecked: bool = False) -> Answer:
        """What the resolvers say of `name` and the record type `kind`. CNAMEs are followed (but for kind CNAME).

        `unchecked` asks for the answer even if DNSSEC says that it is forged (RFC 4035 3.2.2): a SERVFAIL that then becomes an
        answer is a zone whose signatures are broken.
        """
        asked, aliases = name, tuple[str, ...]()
        while True:
            answer = await self._ask_resolvers(asked, kind, unchecked)
            aliases += answer.aliases
            answer = replace(answer, name=canonical(name), aliases=aliases)
            if answer.why != "alias":
                return answer
            # The server gave only the beginning of the chain: the rest is asked for.
            asked = aliases[-1]
            if len(aliases) > _MAX_ALIASES or asked in (canonical(name), *aliases[:-1]):
                return replace(answer, why="loop")

    async def ask_at(self, server: str, name: str, kind: str) -> Answer:
        """What one server of the zone (`IP` or `IP:PORT`) itself says, without asking others. `lame` when it does not answer
        for the zone."""
        return await self._ask_one(server, self.authority_port, name, kind, recursive=False)

    async def name_servers(self, domain: str) -> Authority:
        """The zone that `domain` is in and its servers with their addresses, as the resolvers know them."""
        name = canonical(domain)
        while True:
            answer = await self.ask(name, "NS")
            if answer.unknown:
                return Authority(name, (), Status.UNKNOWN, answer.why)
            if answer.found and not answer.aliases:
                names = answer.values[:_MAX_SERVERS]
                servers = await asyncio.gather(*(self._name_server(server) for server in names))
                return Authority(name, tuple(servers), Status.FOUND)
            _, _, name = name.partition(".")
            if not name:
                return Authority(".", (), Status.ABSENT, answer.why)

    async def delegation(self, zone: str) -> Answer:
        """The NS records of `zone` as the zone above it hands them out; they may differ from the zone's own."""
        question = canonical(zone)
        parent = await self.name_servers(question.partition(".")[2] or ".")
        answer = Answer(question, "NS", Status.UNKNOWN, why=parent.why or "timeout")
        for server in parent.servers:
            for address in server.addresses:
                answer = await self._ask_one(
                    address, self.authority_port, question, "NS", recursive=False, referral=True
                )
                if not answer.unknown:
                    return answer
        return answer

    async def addresses(self, host: str) -> Sequence[str]:
        """The host's IP addresses, in the order to try them; [] when it definitely has none. Raises OSError when nobody knows."""
        if _is_address(host):
            return [host]
        if not self.servers:
            return await _system_addresses(host)
        answers = [await self.ask(host, kind) for kind in ("AAAA", "A")]
        for answer in answers:
            if answer.unknown:
                raise OSError(f"{answer.kind} of {host}: {answer.why}")
        return [address for answer in answers for address in answer.values]

    async def _name_server(self, name: str) -> NameServer:
        answers = await asyncio.gather(self.ask(name, "A"), self.ask(name, "AAAA"))
        addresses = tuple(value for answer in answers for value in answer.values)
        return NameServer(name, addresses, unknown=not addresses and any(answer.unknown for answer in answers))

    async def _ask_resolvers(self, name: str, kind: str, unchecked: bool) -> Answer:
        answer = Answer(canonical(name), kind, Status.UNKNOWN, why="timeout")
        for _ in range(ROUNDS):
            for server in self._resolvers():
                answer = await self._ask_one(server, 53, name, kind, recursive=True, unchecked=unchecked)
                if not answer.unknown or answer.why in ("alias", "loop", "too_big"):
                    return answer  # another server would say the same
        return answer

    def _resolvers(self) -> Sequence[str]:
        if self.servers:
            return self.servers
        if self._system is None:
            try:
                found = dns.resolver.Resolver(configure=True).nameservers
                self._system = tuple(str(server) for server in found)
            except dns.exception.DNSException:  # there is no /etc/resolv.conf, or nothing in it
                self._system = ()
        return self._system

    async def _ask_one(
        self, server: str, port: int, name: str, kind: str,
        *, recursive: bool, unchecked: bool = False, referral: bool = False,
    ) -> Answer:  # fmt: skip
        question = whole_name(name)
        if question is None:
            return Answer(canonical(name), kind, Status.ABSENT, why="malformed")
        try:
            host, port = host_and_port(server, port)
            query = query_for(question, kind, recursive=recursive, unchecked=unchecked)
            async with self._under_way:
                response = await self._exchange(query, host, port)
        except dns.exception.Timeout:
            why = "timeout"
        except (dns.exception.DNSException, ValueError, EOFError):
            why = "malformed"
        except OSError:  # nobody listens there, or no way leads there
            why = "timeout"
        else:
            return read(response, question, kind, server, recursive=recursive, referral=referral)
        return Answer(canonical(name), kind, Status.UNKNOWN, why=why, server=server)

    async def _exchange(self, query: dns.message.QueryMessage, host: str, port: int) -> dns.message.Message:
        async with Datagrams(dns.inet.af_for_address(host), host, port) as datagrams:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, host, timeout=self._seconds, port=port, udp_sock=datagrams
            )
        return response


def host_and_port(server: str, port: int) -> tuple[str, int]:
    """Raises ValueError for what is no address."""
    host = server
    if server.count(":") == 1 or "]" in server:
        host, _, number = server.rpartition(":") if not server.endswith("]") else (server, "", str(port))
        port = int(number)
    host = host.strip("[]")
    ip_address(host)
    return host, port


async def _system_addresses(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return []
        raise
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
