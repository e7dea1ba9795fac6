"""Looks at the zone that a domain is in: whether it is there, who answers for it, and whether they do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from ombud.dns import Answer, Authority, NameServer
from ombud.domains.checks.asking import ASSUMED, Asking, Server
from ombud.domains.findings import Finding
from ombud.domains.hosts import Standing, standing_of
from ombud.mail.dmarc import is_public_suffix
from ombud.mail.records import Weight

#: Servers of one zone that are asked; more would make us ask more than we learn.
MAX_SERVERS = 6
_TROUBLE = {"timeout": "dns.timeout", "servfail": "dns.servfail"}


@dataclass(frozen=True, slots=True)
class Zone:
    """What is known of the zone. `testable`: records in it can be asked for."""

    name: str
    servers: tuple[Server, ...]
    findings: tuple[Finding, ...]
    testable: bool

    @property
    def name_servers(self) -> tuple[str, ...]:
        return tuple(server.name for server in self.servers)


async def look_at_zone(asking: Asking, domain: str) -> Zone:
    """Find the zone, and ask each of its servers for its SOA."""
    authority = await asking.source.name_servers(domain)
    if authority.status == "unknown":
        return Zone(domain, (), (await _unfound(asking, domain, authority),), testable=False)
    if authority.zone != domain and (authority.zone == "." or is_public_suffix(authority.zone)):
        return await _unregistered(asking, domain, authority)
    known = sorted(authority.servers, key=lambda server: server.name)
    named = tuple(Server(server.name) for server in known)
    if finding := _not_in_use(domain, named):
        return Zone(authority.zone, named, (finding,), testable=False)
    servers = await asyncio.gather(*(_ask_for_soa(asking, authority.zone, server) for server in known[:MAX_SERVERS]))
    zone = await _judged(asking, domain, authority.zone, tuple(servers))
    if authority.why == ASSUMED:
        return replace(zone, findings=tuple(one for one in zone.findings if one.code != "dns.no_soa"))
    return zone


async def _unfound(asking: Asking, domain: str, authority: Authority) -> Finding:
    """Nobody tells who answers for the domain. If they do once DNSSEC is overlooked, its signatures are what is broken."""
    if authority.why == "servfail" and not (await asking.unchecked(domain, "SOA")).unknown:
        return Finding("dns.dnssec_bogus", {"server": "resolver"})
    return _unanswered(authority.why, "resolver")


def _unanswered(why: str, server: str) -> Finding:
    return Finding(_TROUBLE.get(why, "dns.malformed"), {"server": server, "reason": why})


async def _unregistered(asking: Asking, domain: str, authority: Authority) -> Zone:
    """The domain has no name servers of its own, and what is above it is nobody's."""
    answer = await asking.ask(domain, "SOA")
    if answer.unknown:
        finding = _unanswered(answer.why, "resolver")
    else:
        finding = Finding("dns.nxdomain", {"domain": domain, "zone": authority.zone})
    return Zone(authority.zone, (), (finding,), testable=False)


def _not_in_use(domain: str, servers: Sequence[Server]) -> Finding | None:
    names = [server.name for server in servers]
    standing = standing_of(names)
    if standing is Standing.IN_USE:
        return None
    code = "dns.expired" if standing is Standing.EXPIRED else "dns.parked"
    return Finding(code, {"domain": domain, "found": ", ".join(names)})


# --- the zone's servers ------------------------------------------------------------------------------------------------


async def _ask_for_soa(asking: Asking, zone: str, server: NameServer) -> Server:
    """The server at its first address that answers for the zone. IPv6 only where there is no IPv4: we may have no way there."""
    four = [address for address in server.addresses if _is_ipv4(address)]
    found = Server(server.name, trouble="timeout" if server.unknown else "nowhere")
    for address in (four or server.addresses)[:2]:
        answer = await asking.at(address, zone, "SOA")
        found = Server(server.name, address, _trouble(answer))
        if found.trouble in ("", "no_soa"):
            break
    return found


def _is_ipv4(address: str) -> bool:
    host = address.rpartition(":")[0] if address.count(":") == 1 else address
    try:
        return ip_address(host.strip("[]")).version == 4
    except ValueError:
        return True  # a name in place of an address, in a world of one server


def _trouble(answer: Answer) -> str:
    if answer.found:
        return ""
    if answer.why == "nxdomain":
        return "nxdomain"
    return "no_soa" if answer.absent else "lame" if answer.why == "refused" else answer.why


async def _judged(asking: Asking, domain: str, zone: str, servers: tuple[Server, ...]) -> Zone:
    up = [server for server in servers if server.trouble in ("", "no_soa")]
    known = tuple(Server(one.name, one.address, "" if one in up else one.trouble) for one in servers)
    if not up:
        down = _all_down(domain, zone, known)
        # Some networks let nobody ask any but their own resolver. Then that must do; a loss it can never show alone.
        only_unreached = all(server.trouble in ("timeout", "nowhere") for server in servers)
        answered = only_unreached and (await asking.ask(zone, "SOA")).found
        return replace(down, findings=(), testable=True) if answered else down
    findings = [finding for server in servers if (finding := _of_server(zone, server, up))]
    if bogus := await _bogus(asking, zone):
        findings.append(bogus)
    return Zone(zone, known, tuple(findings), testable=True)


def _all_down(domain: str, zone: str, servers: tuple[Server, ...]) -> Zone:
    first = servers[0] if servers else Server(zone, trouble="nowhere")
    if all(server.trouble == "nxdomain" for server in servers) and servers:
        finding = Finding("dns.nxdomain", {"domain": domain, "zone": zone})
    elif all(server.trouble == "lame" for server in servers):
        finding = Finding("dns.lame", {"server": first.name, "zone": zone}, raised=Weight.REQUIRED)
    else:
        trouble = "timeout" if first.trouble in ("nowhere", "lame") else first.trouble
        finding = _unanswered(trouble, first.name)
    return Zone(zone, servers, (finding,), testable=False)


def _of_server(zone: str, server: Server, up: Sequence[Server]) -> Finding | None:
    about: Mapping[str, str] = {"server": server.name, "zone": zone, "reason": server.trouble}
    if server.trouble == "no_soa":
        return Finding("dns.no_soa", about) if server is up[0] else None
    if server.trouble == "lame":
        return Finding("dns.lame", about, server.name)
    return Finding("dns.server_down", about, server.name) if server.trouble else None


async def _bogus(asking: Asking, zone: str) -> Finding | None:
    """The zone's own servers answer, and a resolver does only when it overlooks DNSSEC."""
    answer = await asking.ask(zone, "SOA")
    if answer.why != "servfail" or (await asking.unchecked(zone, "SOA")).unknown:
        return None
    return Finding("dns.dnssec_bogus", {"server": answer.server or "resolver"})
