"""The world's name server, asked over real sockets by dnspython."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from ombud.sandbox.nameserver import NameServer, Zones, resolver, txt

RECORDS = """
eken.example. IN A 127.0.0.1
eken.example. IN TXT "v=spf1 -all"
www.eken.example. IN CNAME eken.example.
a.b.eken.example. IN A 127.0.0.2
*.wild.eken.example. IN TXT "by wildcard"
known.wild.eken.example. IN A 127.0.0.3
sel._domainkey.eken.example. IN CNAME eken.dkim.vendor.example.
eken.dkim.vendor.example. IN TXT "v=DKIM1; p=abc"
away.eken.example. IN CNAME www.elsewhere.test.
loop1.eken.example. IN CNAME loop2.eken.example.
loop2.eken.example. IN CNAME loop1.eken.example.
"""


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    zones = Zones()
    zones.add(RECORDS)
    server = NameServer(zones)
    await server.start()
    yield server
    await server.stop()


async def ask(server: NameServer, name: str, kind: str, *, tcp: bool = False, wait: float = 3) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=False)
    send = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    return await send(query, server.address[0], port=server.address[1], timeout=wait)


def values(response: dns.message.Message) -> list[str]:
    return [data.to_text() for rrset in response.answer for data in rrset]


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_record_is_answered_with_authority_over_udp_and_tcp(server: NameServer, tcp: bool) -> None:
    response = await ask(server, "eken.example", "TXT", tcp=tcp)
    assert values(response) == ['"v=spf1 -all"']
    assert response.flags & dns.flags.AA


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("eken.example", "AAAA", dns.rcode.NOERROR),  # the name is there, the type is not
        ("b.eken.example", "A", dns.rcode.NOERROR),  # something stands below it (RFC 4592 2.2.2)
        ("c.eken.example", "A", dns.rcode.NXDOMAIN),
        ("nobody.example", "MX", dns.rcode.NXDOMAIN),
        ("known.wild.eken.example", "TXT", dns.rcode.NOERROR),  # a wildcard does not cover a name that exists
        ("x.known.wild.eken.example", "TXT", dns.rcode.NXDOMAIN),
    ],
)
async def test_what_is_not_there_is_told_apart_and_comes_with_the_soa(
    server: NameServer, name: str, kind: str, rcode: dns.rcode.Rcode
) -> None:
    response = await ask(server, name, kind)
    assert (response.rcode(), response.answer) == (rcode, [])
    assert [rrset.rdtype.name for rrset in response.authority] == ["SOA"]


async def test_a_name_outside_the_world_is_refused(server: NameServer) -> None:
    assert (await ask(server, "example.com", "A")).rcode() == dns.rcode.REFUSED


async def test_an_alias_is_followed_into_another_zone(server: NameServer) -> None:
    response = await ask(server, "sel._domainkey.eken.example", "TXT")
    assert values(response) == ["eken.dkim.vendor.example.", '"v=DKIM1; p=abc"']


async def test_an_alias_out_of_the_world_is_answered_as_far_as_it_goes(server: NameServer) -> None:
    response = await ask(server, "away.eken.example", "A")
    assert (response.rcode(), values(response)) == (dns.rcode.NOERROR, ["www.elsewhere.test."])


async def test_a_loop_of_aliases_ends(server: NameServer) -> None:
    assert (await ask(server, "loop1.eken.example", "A")).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("name", ["any.wild.eken.example", "a.b.wild.eken.example"])
async def test_a_wildcard_answers_for_every_name_below_it(server: NameServer, name: str) -> None:
    response = await ask(server, name, "TXT")
    assert values(response) == ['"by wildcard"']
    assert response.answer[0].name.to_text() == f"{name}."


async def test_an_answer_too_long_for_udp_is_cut_and_whole_over_tcp(server: NameServer) -> None:
    for number in range(12):
        server.zones.publish("big.eken.example", "TXT", f"{number}" + "x" * 200)
    cut = await ask(server, "big.eken.example", "TXT")
    assert (bool(cut.flags & dns.flags.TC), cut.answer) == (True, [])
    whole = await ask(server, "big.eken.example", "TXT", tcp=True)
    assert len(values(whole)) == 12


async def test_a_text_longer_than_255_bytes_is_cut_into_strings_and_reads_as_one(server: NameServer) -> None:
    key = 'v=DKIM1; p="\\' + "A" * 600
    server.zones.publish("long.eken.example", "TXT", key)
    response = await ask(server, "long.eken.example", "TXT", tcp=True)
    assert b"".join(response.answer[0][0].strings).decode() == key


async def test_names_can_be_made_to_fail_and_to_give_no_answer(server: NameServer) -> None:
    server.zones.faults.update({"eken.example": "SERVFAIL", "www.eken.example": "timeout"})
    assert (await ask(server, "eken.example", "A")).rcode() == dns.rcode.SERVFAIL
    with pytest.raises(dns.exception.Timeout):
        await ask(server, "www.eken.example", "A", wait=0.2)
    server.zones.faults.clear()
    assert values(await ask(server, "eken.example", "A")) == ["127.0.0.1"]


async def test_records_come_and_go_while_it_runs(server: NameServer) -> None:
    server.zones.publish("new.eken.example", "A", "127.0.0.9")
    assert values(await ask(server, "new.eken.example", "A")) == ["127.0.0.9"]
    server.zones.withdraw("new.eken.example", "A")
    assert (await ask(server, "new.eken.example", "A")).rcode() == dns.rcode.NXDOMAIN


async def test_a_watched_file_is_read_again_whenever_it_has_changed(server: NameServer, tmp_path: Path) -> None:
    file = tmp_path / "dkim.zone"
    server.zones.watch(file)
    assert (await ask(server, "k1._domainkey.eken.example", "TXT")).rcode() == dns.rcode.NXDOMAIN
    file.write_text('k1._domainkey.eken.example. 60 IN TXT "one"\n')
    assert values(await ask(server, "k1._domainkey.eken.example", "TXT")) == ['"one"']
    file.write_text('k2._domainkey.eken.example. 60 IN TXT "two, and longer"\n')
    assert (await ask(server, "k1._domainkey.eken.example", "TXT")).rcode() == dns.rcode.NXDOMAIN
    assert values(await ask(server, "k2._domainkey.eken.example", "TXT")) == ['"two, and longer"']


async def test_a_watched_file_with_an_error_leaves_the_records_as_they_were(server: NameServer, tmp_path: Path) -> None:
    file = tmp_path / "dkim.zone"
    file.write_text('k1._domainkey.eken.example. 60 IN TXT "one"\n')
    server.zones.watch(file)
    assert values(await ask(server, "k1._domainkey.eken.example", "TXT")) == ['"one"']
    file.write_text("k1._domainkey.eken.example. 60 IN NOSUCHTYPE what is this\n")
    assert values(await ask(server, "k1._domainkey.eken.example", "TXT")) == ['"one"']


@pytest.mark.parametrize("junk", [b"", b"\x00", b"\xff" * 40, b"\x00" * 12])
async def test_junk_does_not_stop_it(server: NameServer, junk: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(junk, server.address)
    assert values(await ask(server, "eken.example", "A")) == ["127.0.0.1"]


def test_a_bad_record_is_refused_with_its_reason() -> None:
    with pytest.raises(ValueError, match="not a zone file"):
        Zones().publish("eken.example", "A", "not-an-address")


def test_a_text_is_quoted() -> None:
    assert txt('say "hej"') == '"say \\"hej\\""'
    assert txt("") == '""'


def test_the_resolver_asks_nobody_else() -> None:
    assert [str(server) for server in resolver(("127.0.0.1", 5353)).nameservers] == ["Do53:127.0.0.1@5353"]
