"""The world's name server: authoritative for every zone of the example, over UDP and TCP, and changed while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
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
import dns.tsig
import dns.update
import dns.zonefile

log = logging.getLogger(__name__)

#: Seconds that a positive answer may be kept. Short, since people try things out; negative answers are not kept at all.
TTL = 5
_WORLD = dns.name.from_text("example.")
_UDP_LIMIT = 1232  # bytes that pass every network unfragmented (DNS flag day 2020)
_MAX_ALIASES = 8
_TCP_IDLE = 30.0
_SOA = re.compile(r"^(\S+)[ \t]+(?:(\d+)[ \t]+)?IN[ \t]+SOA[ \t]+([^\n(]+)$", re.MULTILINE)

#: What a name can be made to do beside answering with a code: no answer at all; bytes that are no message; an empty answer; a
#: server that knows nothing of the zone; an answer that is always cut, over TCP too; signatures that are broken, so that there
#: is an answer only for who says that it need not be checked (RFC 4035 3.2.2).
FAULTS = ("timeout", "garbage", "nodata", "lame", "cut", "bogus")

#: The rest of a reply that says no more than NOTAUTH to an update (RFC 8945 5.2).
_NOT_AUTHENTIC = bytes.fromhex("a809") + bytes(8)

Node = dict[dns.rdatatype.RdataType, dns.rdataset.Rdataset]


class Zones:
    """Every record of the world. A zone is made for a domain (`eken.example`) as soon as a name in it has a record, and
    wherever a SOA record is added. NS records below a zone's top hand out what is under them (RFC 1034 4.3.2).

    Records come from `add` and `publish`, and from a watched file that is read again whenever it has changed, before the
    next answer. `faults` makes names fail, in all (`{"eken.example": "SERVFAIL"}`) or for one type
    (`{"eken.example TXT": "timeout"}`): with a reply code, or with one of `FAULTS`.
    """

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.keys: dict[dns.name.Name, dns.tsig.Key] = {}
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

    def allow_updates(self, key_name: str, secret: str, algorithm: str = "hmac-sha256") -> None:
        """Let whoever signs with this TSIG key (`secret` in base64) change records by dynamic update (RFC 2136)."""
        name = _name(key_name)
        self.keys[name] = dns.tsig.Key(name, secret, algorithm)

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        """The reply to a query or update, or None where a fault says that none comes."""
        self._reread()
        response = dns.message.make_response(query)
        if isinstance(query, dns.update.UpdateMessage):
            response.set_rcode(self._update(query))
            return response
        response.flags |= dns.flags.AA
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return response
        asked = query.question[0]
        fault = self.fault(asked)
        if fault in ("timeout", "garbage"):
            return None
        if fault == "bogus":
            fault = "" if query.flags & dns.flags.CD else "SERVFAIL"
        if fault in ("lame", "cut"):
            response.flags ^= dns.flags.AA if fault == "lame" else dns.flags.TC
        elif fault and fault != "nodata":
            response.set_rcode(dns.rcode.from_text(fault))
        elif not fault:
            self._resolve(asked.name, asked.rdtype, response)
        return response

    def _update(self, message: dns.update.UpdateMessage) -> dns.rcode.Rcode:
        """RFC 2136 3.4, without prerequisites: nobody here sends any."""
        if not message.had_tsig:
            return dns.rcode.REFUSED
        zone = message.zone[0].name
        if dns.rdatatype.SOA not in self._nodes.get(zone, {}):
            return dns.rcode.NOTAUTH
        if any(not change.name.is_subdomain(zone) for change in message.update):
            return dns.rcode.NOTZONE
        for change in message.update:
            if change.deleting is None:
                self._fixed.append(dns.rrset.from_rdata_list(change.name, change.ttl, list(change)))
            else:
                kept = [one for one in self._fixed if (one.name, one.rdtype) != (change.name, change.rdtype)]
                self._fixed = kept
        self._build()
        return dns.rcode.NOERROR

    def fault(self, asked: dns.rrset.RRset) -> str:
        """What goes wrong with this question; "" when nothing does."""
        name = asked.name.to_text(omit_final_dot=True).lower()
        return self.faults.get(f"{name} {dns.rdatatype.to_text(asked.rdtype)}") or self.faults.get(name, "")

    def _resolve(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, response: dns.message.Message) -> None:
        for _ in range(_MAX_ALIASES):
            zone = self._zone(name)
            if zone is None:
                if not response.answer:  # an alias may well point out of this world: then the chain just ends
                    response.set_rcode(dns.rcode.REFUSED)
                return
            if (handed := self._handed_out(name, zone)) is not None:
                if not response.answer:  # RFC 1034 4.3.2 3 b: somebody else's, and no word of ours about it
                    response.flags &= ~dns.flags.AA
                response.authority.append(handed)
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
        """The zone that a name is in: the nearest above it that has a SOA; None for names outside this world."""
        while name != dns.name.root:
            if dns.rdatatype.SOA in self._nodes.get(name, {}):
                return name
            name = name.parent()
        return None

    def _handed_out(self, name: dns.name.Name, zone: dns.name.Name) -> dns.rrset.RRset | None:
        """The NS records, below the zone's top, of what the name is in; None when the zone answers for it itself."""
        found = None
        while name != zone:
            if servers := self._nodes.get(name, {}).get(dns.rdatatype.NS):
                found = dns.rrset.from_rdata_list(name, servers.ttl, list(servers))
            name = name.parent()
        return found

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
        rrsets = [*self._fixed, *self._watched]
        own = {(rrset.name, rrset.rdtype) for rrset in rrsets}
        for rrset in rrsets:
            zone = _domain_of(rrset.name)
            if zone not in nodes and not _is_under(rrset.name, zone, own):
                # What the world gives every zone, but for what this one has of its own.
                nodes[zone] = {rdtype: found for rdtype, found in _apex(zone).items() if (zone, rdtype) not in own}
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
        query = dns.message.from_wire(wire, keyring=zones.keys)
    except (dns.tsig.BadSignature, dns.tsig.BadTime, dns.message.UnknownTSIGKey):
        return wire[:2] + _NOT_AUTHENTIC
    except (dns.exception.DNSException, ValueError):
        return None
    if query.flags & dns.flags.QR:  # a reply to a reply could go on for ever
        return None
    response = zones.answer(query)
    if response is None:
        # A header that promises a question, and nothing after it.
        return wire[:2] + b"\x84\x00\x00\x01" + bytes(6) if zones.fault(query.question[0]) == "garbage" else None
    if limit is None:
        limit = min(max(query.payload, 512), _UDP_LIMIT) if query.edns >= 0 else 512  # RFC 6891 6.2.5
    with contextlib.suppress(dns.exception.TooBig):
        return response.to_wire(max_size=limit)
    response.answer.clear()
    response.authority.clear()
    response.flags |= dns.flags.TC
    return response.to_wire()


def _is_under(
    name: dns.name.Name, domain: dns.name.Name, own: set[tuple[dns.name.Name, dns.rdatatype.RdataType]]
) -> bool:
    """Whether the name is in a zone of its own below its domain."""
    while name != domain:
        if (name, dns.rdatatype.SOA) in own:
            return True
        name = name.parent()
    return False


def _read(text: str) -> list[dns.rrset.RRset]:
    try:
        # dnspython takes a SOA only at the top of the one zone that it reads, and this is a file of many.
        tops = [
            dns.rrset.from_text(top[1], int(top[2] or TTL), "IN", "SOA", top[3].partition(";")[0])
            for top in _SOA.finditer(text)
        ]
        pieces = _pieces(_SOA.sub("", text))
        return tops + [
            one for piece in pieces for one in dns.zonefile.read_rrsets(piece, default_ttl=TTL, rdclass=None)
        ]
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"not a zone file: {error}") from error


def _pieces(text: str) -> list[str]:
    """The text in pieces of some lines: dnspython's time grows with the square of what it reads at once. One that has a record over
    several lines, or a directive, stays whole."""
    lines = text.splitlines()
    if "(" in text or any(line[:1] in ("$", " ", "\t") and line.strip() for line in lines):
        return [text]
    return ["\n".join(lines[start : start + 100]) + "\n" for start in range(0, len(lines), 100)]


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
