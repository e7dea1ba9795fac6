"""The world's name server: authoritative for every zone of the example, over UDP and TCP, and changed while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.resolver
import dns.rrset
import dns.zonefile

log = logging.getLogger(__name__)

#: Seconds that a positive answer may be kept. Short, since people try things out; negative answers are not kept at all.
TTL = 5
_WORLD = dns.name.from_text("example.")
_UDP_LIMIT = 1232  # bytes that pass every network unfragmented (DNS flag day 2020)
_MAX_ALIASES = 8
_TCP_IDLE = 30.0

Node = dict[dns.rdatatype.RdataType, dns.rdataset.Rdataset]


class Zones:
    """Every record of the world. A zone is made for a domain (`eken.example`) as soon as a name in it has a record.

    Records come from `add` and `publish`, and from a watched file that is read again whenever it has changed, before the
    next answer. `faults` makes names fail: `{"eken.example": "SERVFAIL"}`, or `"timeout"` for no answer at all.
    """

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.on_change: Callable[[], None] = lambda: None
        self._fixed: list[dns.rrset.RRset] = []
        self._watched: list[dns.rrset.RRset] = []
        self._path: Path | None = None
        self._seen: tuple[int, int, int] | None = None
        self._nodes: dict[dns.name.Name, Node] = {}
        self._build()

    def add(self, text: str) -> None:
        """Add records written as in a zone file, with whole names: `www.eken.example. IN A 127.0.0.1`.

        Raises ValueError, with the line, when it cannot be read.
        """
        self._fixed += _read(text)
        self._build()

    def publish(self, name: str, kind: str, value: str) -> None:
        """Add one record; of a TXT the value is the text itself, cut into strings here (RFC 1035 3.3.14).

        Raises ValueError when `value` does not suit the type `kind`.
        """
        self.add(f"{name.rstrip('.')}. IN {kind} {txt(value) if kind.upper() == 'TXT' else value}")

    def withdraw(self, name: str, kind: str) -> None:
        """Take away what `add` and `publish` have put at this name and type."""
        owner, rdtype = _name(name), dns.rdatatype.from_text(kind)
        self._fixed = [found for found in self._fixed if (found.name, found.rdtype) != (owner, rdtype)]
        self._build()

    def watch(self, path: Path) -> None:
        """Also answer with the records of this file, as it is at each moment. It need not exist yet."""
        self._path = path

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        """The reply to a query, or None where a fault says that none comes."""
        self._reread()
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return response
        asked = query.question[0]
        fault = self.faults.get(asked.name.to_text(omit_final_dot=True).lower())
        if fault == "timeout":
            return None
        if fault:
            response.set_rcode(dns.rcode.from_text(fault))
            return response
        self._resolve(asked.name, asked.rdtype, response)
        return response

    def _resolve(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, response: dns.message.Message) -> None:
        for _ in range(_MAX_ALIASES):
            zone = self._zone(name)
            if zone is None:
                if not response.answer:  # an alias may well point out of this world: then the chain just ends
                    response.set_rcode(dns.rcode.REFUSED)
                return
            node = self._node(name)
            found = (node or {}).get(rdtype) or (node or {}).get(dns.rdatatype.CNAME)
            if found is None:
                if node is None:
                    response.set_rcode(dns.rcode.NXDOMAIN)
                soa = self._nodes[zone][dns.rdatatype.SOA]
                response.authority.append(dns.rrset.from_rdata_list(zone, 0, list(soa)))  # RFC 2308 3
                return
            response.answer.append(dns.rrset.from_rdata_list(name, found.ttl, list(found)))
            if found.rdtype == rdtype:
                return
            # Stub resolvers ask nobody else, so the chain is followed here, through all zones of the world.
            name = found[0].target
        response.set_rcode(dns.rcode.SERVFAIL)

    def _zone(self, name: dns.name.Name) -> dns.name.Name | None:
        """The zone that a name is in: its domain's, else the one above all domains; None for names outside this world."""
        return next(
            (zone for zone in (_domain_of(name), _WORLD) if zone in self._nodes and name.is_subdomain(zone)), None
        )

    def _node(self, name: dns.name.Name) -> Node | None:
        """What stands at a name, perhaps by a wildcard (RFC 4592 3.3.1); None when the name does not exist."""
        if name in self._nodes:
            return self._nodes[name]
        encloser = name.parent()
        while encloser not in self._nodes:
            encloser = encloser.parent()
        return self._nodes.get(dns.name.Name((b"*", *encloser.labels)))

    def _build(self) -> None:
        nodes = {_WORLD: _apex(_WORLD)}
        for rrset in [*self._fixed, *self._watched]:
            zone = _domain_of(rrset.name)
            if zone not in nodes:
                nodes[zone] = _apex(zone)
            name = rrset.name
            while name not in nodes:  # a name exists when something stands below it (RFC 4592 2.2.2)
                nodes[name] = {}
                name = name.parent()
            node = nodes[rrset.name]
            known = node.setdefault(rrset.rdtype, dns.rdataset.Rdataset(rrset.rdclass, rrset.rdtype))
            for data in rrset:
                known.add(data, rrset.ttl)
        self._nodes = nodes
        self.on_change()

    def _reread(self) -> None:
        if self._path is None:
            return
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return
        now = (state.st_mtime_ns, state.st_size, state.st_ino)
        if now == self._seen:
            return
        self._seen = now
        try:
            self._watched = _read(self._path.read_text("utf-8"))
        except ValueError as error:
            log.warning("%s was not read; the records before it still hold: %s", self._path.name, error)
            return
        self._build()


def txt(value: str) -> str:
    """A text as the value of a TXT record in a zone file: quoted strings of at most 255 bytes (RFC 1035 3.3).

    >>> txt('v=spf1 -all')
    '"v=spf1 -all"'
    """
    pieces = [value[start : start + 255] for start in range(0, len(value), 255)] or [""]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)


def resolver(address: tuple[str, int]) -> dns.resolver.Resolver:
    """A resolver that asks the name server at this address and nobody else; safe to share between threads."""
    made = dns.resolver.Resolver(configure=False)
    made.nameservers = [dns.nameserver.Do53Nameserver(*address)]
    made.cache = dns.resolver.LRUCache()
    made.lifetime = 4.0
    return made


class NameServer:
    """Answers for `zones` on one address, UDP and TCP on the same port."""

    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        self.address = ("", 0)
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; with port 0 on any that is free for both. Raises OSError when a named port is taken."""
        loop = asyncio.get_running_loop()
        while True:
            udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self.zones), (host, port))
            taken: tuple[str, int] = udp.get_extra_info("sockname")
            try:
                self._tcp = await asyncio.start_server(self._serve, *taken)
            except OSError:
                udp.close()
                if port:
                    raise
                continue
            self._udp, self.address = udp, taken
            return

    async def stop(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE):
                    size = int.from_bytes(await reader.readexactly(2))  # RFC 1035 4.2.2
                    wire = _reply(self.zones, await reader.readexactly(size), limit=65535)
                if wire is not None:
                    writer.write(len(wire).to_bytes(2) + wire)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own datagram transport is no DatagramTransport before Python 3.12
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        wire = _reply(self._zones, data, limit=None)
        if wire is not None and self._transport is not None:
            self._transport.sendto(wire, addr)


def _reply(zones: Zones, wire: bytes, limit: int | None) -> bytes | None:
    """The bytes to answer with; longer than the limit they are cut, with the bit set that sends the client to TCP."""
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        return None
    if query.flags & dns.flags.QR:  # a reply to a reply could go on for ever
        return None
    response = zones.answer(query)
    if response is None:
        return None
    if limit is None:
        limit = min(max(query.payload, 512), _UDP_LIMIT) if query.edns >= 0 else 512  # RFC 6891 6.2.5
    with contextlib.suppress(dns.exception.TooBig):
        return response.to_wire(max_size=limit)
    response.answer.clear()
    response.authority.clear()
    response.flags |= dns.flags.TC
    return response.to_wire()


def _read(text: str) -> list[dns.rrset.RRset]:
    try:
        return list(dns.zonefile.read_rrsets(text, default_ttl=TTL, rdclass=None))
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"not a zone file: {error}") from error


def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


def _domain_of(name: dns.name.Name) -> dns.name.Name:
    """The domain that a name belongs to, `eken.example.`: its last two labels, since no suffix in this world is longer."""
    return dns.name.Name(name.labels[-3:])


def _apex(zone: dns.name.Name) -> Node:
    texts = (
        (dns.rdatatype.SOA, f"ns1.namnserver.example. hostmaster.{zone} 1 3600 600 86400 0"),
        (dns.rdatatype.NS, "ns1.namnserver.example."),
    )
    return {rdtype: dns.rdataset.from_text(dns.rdataclass.IN, rdtype, TTL, text) for rdtype, text in texts}
