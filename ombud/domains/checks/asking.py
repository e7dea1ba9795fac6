"""Asks everyone who could know: each of the zone's servers, then a resolver; and says what follows when they do not agree."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from ombud.dns import Answer, Authority, NameServer, Status

#: The `why` of a zone that nothing tells of: a stand-in has records, and no name servers that it could name.
ASSUMED = "assumed"


class Source(Protocol):
    """Whoever answers: `ombud.dns.Resolver` on the network, `ombud.dns.Zone` from a dict."""

    async def ask(self, name: str, kind: str, *, unchecked: bool = False) -> Answer: ...

    async def ask_at(self, server: str, name: str, kind: str) -> Answer: ...

    async def name_servers(self, domain: str) -> Authority: ...


@dataclass(frozen=True, slots=True)
class Server:
    """One name server of the zone, at the address that answers best. `trouble` is why it does not, "" when it does."""

    name: str
    address: str = ""
    trouble: str = ""  # timeout | servfail | refused | lame | malformed | nowhere | no_soa


@dataclass(frozen=True, slots=True)
class Views:
    """The answers to one question: those of the zone's servers, and the resolver's."""

    name: str
    kind: str
    servers: tuple[Answer, ...]
    resolver: Answer

    @property
    def definite(self) -> tuple[Answer, ...]:
        return tuple(answer for answer in self.servers if not answer.unknown)

    @property
    def best(self) -> Answer:
        """The answer that counts: a server's yes, else a server's no, else the resolver's yes. A resolver's no alone is nothing."""
        for wanted in (Status.FOUND, Status.ABSENT):
            for answer in self.servers:
                if answer.status is wanted:
                    return answer
        if not self.resolver.absent or not self.servers:
            return self.resolver
        return self.servers[0]

    @property
    def split(self) -> bool:
        """Whether servers of the zone that answer contradict each other."""
        return len({(answer.status, frozenset(answer.values)) for answer in self.definite}) > 1

    def sure(self, answer: Answer) -> bool:
        """Whether more than one source stands by it: every server of the zone says the same, and another of them or the resolver
        agrees. A resolver may have an old answer, so it need not agree where several servers do."""
        agree = [one for one in self.servers if _same(one, answer)]
        if len(agree) != len(self.servers):
            return False
        return len(agree) > 1 or (
            bool(agree) and (_same(self.resolver, answer) or self.resolver.server == agree[0].server)
        )


def _same(one: Answer, other: Answer) -> bool:
    return one.status is other.status and frozenset(one.values) == frozenset(other.values)


class Asking:
    """One check's questions. Each is asked once, however many parts of the check want to know."""

    def __init__(self, source: Source, servers: Sequence[Server] = (), zone: str = "") -> None:
        self.source, self.servers, self.zone = source, tuple(servers), zone
        self._asked: dict[tuple[str, str, str], asyncio.Task[Answer]] = {}

    def of_zone(self, servers: Sequence[Server], zone: str) -> Asking:
        """The same questions and answers, now that the zone's servers are known."""
        other = Asking(self.source, servers, zone)
        other._asked = self._asked
        return other

    async def everywhere(self, name: str, kind: str) -> Views:
        """Every server of the zone that is up, and the resolver."""
        up = [server for server in self.servers if not server.trouble]
        answers = await asyncio.gather(*(self.at(server.address, name, kind) for server in up), self.ask(name, kind))
        return Views(name, kind, tuple(answers[:-1]), answers[-1])

    async def first(self, name: str, kind: str) -> Answer:
        """The best answer about a name: of the zone's servers where it lies in the zone and they know it all, else a resolver's."""
        if not (name == self.zone or name.endswith(f".{self.zone}")):
            return await self.ask(name, kind)
        for server in self.servers:
            if not server.trouble:
                answer = await self.at(server.address, name, kind)
                if not answer.unknown:
                    return answer
        return await self.ask(name, kind)

    async def ask(self, name: str, kind: str) -> Answer:
        """What the resolver says."""
        return await self._once("", name, kind)

    async def unchecked(self, name: str, kind: str) -> Answer:
        """What the resolver says when it is told to overlook DNSSEC."""
        return await self.source.ask(name, kind, unchecked=True)

    async def at(self, address: str, name: str, kind: str) -> Answer:
        return await self._once(address, name, kind)

    async def _once(self, address: str, name: str, kind: str) -> Answer:
        key = address, name, kind
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._now(*key))
        return await self._asked[key]

    async def _now(self, address: str, name: str, kind: str) -> Answer:
        if not address:
            return await self.source.ask(name, kind)
        answer = await self.source.ask_at(address, name, kind)
        # One lost datagram must not make a server look dead.
        return await self.source.ask_at(address, name, kind) if answer.why == "timeout" else answer


class OneServer:
    """A single name server asked for everything, as if it were both the resolver and each zone's own: `--nameserver`.

    Name servers that the zone names and that stand on this machine are asked too, on the same port; those elsewhere are only
    names, for they are not the ones that were meant.
    """

    def __init__(self, source: Source, server: str) -> None:
        self._source, self._server = source, server

    async def ask(self, name: str, kind: str, *, unchecked: bool = False) -> Answer:
        return await self._source.ask(name, kind, unchecked=unchecked)

    async def ask_at(self, server: str, name: str, kind: str) -> Answer:
        if server == self._server:
            return await self._source.ask(name, kind)
        return await self._source.ask_at(server, name, kind)

    async def name_servers(self, domain: str) -> Authority:
        found = await self._source.name_servers(domain)
        if (
            found.status is Status.ABSENT or found.why == "refused"
        ):  # it knows of no zone: then it answers for the domain itself
            return Authority(domain, (self._as_asked(NameServer(self._server, ())),), Status.FOUND, ASSUMED)
        servers = tuple(self._as_asked(server) for server in found.servers)
        return Authority(found.zone, servers, found.status, found.why)

    def _as_asked(self, server: NameServer) -> NameServer:
        host = self._server.rpartition(":")[0].strip("[]") or self._server
        others = [one for one in server.addresses if ip_address(one).is_loopback and one != host]
        return NameServer(server.name, tuple(others) or (self._server,))
