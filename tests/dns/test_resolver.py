"""Questions to real name servers on loopback, well-behaved and not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import uvloop

from ombud.dns import Resolver, Status, Zone, overlaid, remembering
from ombud.sandbox.nameserver import NameServer, Zones

LONG = "v=DKIM1; p=" + "A" * 600
RECORDS = f"""
eken.example. 300 IN TXT "v=spf1 " "include:x" " -all"
eken.example. 300 IN MX 10 MX1.Eken.example.
eken.example. 300 IN NS ns1.eken.example.
eken.example. 300 IN NS ns2.eken.example.
ns1.eken.example. 300 IN A 127.0.0.1
ns2.eken.example. 300 IN A 127.0.0.7
null.example. IN MX 0 .
www.eken.example. 60 IN CNAME eken.example.
deep.eken.example. IN CNAME www.eken.example.
dangling.eken.example. IN CNAME nobody.eken.example.
away.eken.example. IN CNAME www.elsewhere.test.
loop1.eken.example. IN CNAME loop2.eken.example.
loop2.eken.example. IN CNAME loop1.eken.example.
self.eken.example. IN CNAME self.eken.example.
long.eken.example. IN TXT "{LONG[:250]}" "{LONG[250:500]}" "{LONG[500:]}"
sub.bjork.example. IN NS ns1.sub.bjork.example.
ns1.sub.bjork.example. IN A 127.0.0.9
bytes.example. IN TXT "a\\000b\\200\\255" "<b>\\027[31m"
"""


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    zones = Zones()
    zones.add(RECORDS)
    zones.add("\n".join(f'many.example. IN TXT "{number:03} {"x" * 60}"' for number in range(60)))
    zones.add("\n".join(f'huge.example. IN TXT "{number} {"y" * 200}"' for number in range(250)))
    server = NameServer(zones)
    await server.start()
    yield server
    await server.stop()


def resolver_of(*servers: NameServer, seconds: float = 2.0) -> Resolver:
    addresses = [f"{server.address[0]}:{server.address[1]}" for server in servers]
    return Resolver(addresses, authority_port=servers[0].address[1], seconds=seconds)


async def test_a_text_comes_whole_and_names_come_lower_case_without_the_final_dot(server: NameServer) -> None:
    resolver = resolver_of(server)
    text = await resolver.ask("EKEN.example.", "TXT")
    assert (text.name, text.status, text.values, text.ttl) == (
        "eken.example", Status.FOUND, ("v=spf1 include:x -all",), 300,
    )  # fmt: skip
    assert (await resolver.ask("eken.example", "MX")).values == ("10 mx1.eken.example",)
    assert (await resolver.ask("null.example", "MX")).values == ("0 .",)
    assert (await resolver.ask("long.eken.example", "TXT")).values == (LONG,)


async def test_bytes_that_are_no_text_stay_visible_and_no_nul_gets_through(server: NameServer) -> None:
    (value,) = (await resolver_of(server).ask("bytes.example", "TXT")).values
    assert value == "a\\x00b\\xc8\\xff<b>\x1b[31m"


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("nobody.eken.example", "TXT", "nxdomain"),
        ("eken.example", "AAAA", "nodata"),
        ("dangling.eken.example", "TXT", "nxdomain"),
        ("www.eken.example", "AAAA", "nodata"),
        ("a..example", "TXT", "malformed"),
        (f"{'x' * 64}.example", "TXT", "malformed"),
        (".".join(["abcdefgh"] * 40), "TXT", "malformed"),
        ("räka.example", "TXT", "malformed"),
    ],
)
async def test_what_is_definitely_not_there_is_told_apart(server: NameServer, name: str, kind: str, why: str) -> None:
    answer = await resolver_of(server).ask(name, kind)
    assert (answer.status, answer.why, answer.values) == (Status.ABSENT, why, ())


async def test_aliases_are_followed_and_told(server: NameServer) -> None:
    answer = await resolver_of(server).ask("deep.eken.example", "MX")
    assert answer.values == ("10 mx1.eken.example",)
    assert answer.aliases == ("www.eken.example", "eken.example")
    assert answer.ttl == 5  # the shortest on the way
    alias = await resolver_of(server).ask("deep.eken.example", "CNAME")
    assert (alias.values, alias.aliases) == (("www.eken.example",), ())


@pytest.mark.parametrize("name", ["loop1.eken.example", "self.eken.example"])
async def test_aliases_in_a_circle_are_unknown(server: NameServer, name: str) -> None:
    answer = await resolver_of(server).ask(name, "TXT")
    assert (answer.status, answer.why) == (Status.UNKNOWN, "loop")


async def test_an_alias_out_of_what_the_server_knows_is_followed_by_asking_again(server: NameServer) -> None:
    answer = await resolver_of(server).ask("away.eken.example", "TXT")
    assert (answer.status, answer.why, answer.aliases) == (Status.UNKNOWN, "refused", ("www.elsewhere.test",))
    alone = await resolver_of(server).ask_at(f"127.0.0.1:{server.address[1]}", "away.eken.example", "TXT")
    assert (alone.status, alone.why, alone.aliases) == (Status.UNKNOWN, "alias", ("www.elsewhere.test",))


@pytest.mark.parametrize(
    ("fault", "why"),
    [("SERVFAIL", "servfail"), ("REFUSED", "refused"), ("NOTAUTH", "lame"), ("timeout", "timeout"), ("garbage", "malformed"),
     ("FORMERR", "servfail")],
)  # fmt: skip
async def test_a_server_in_trouble_is_unknown_and_never_absent(server: NameServer, fault: str, why: str) -> None:
    server.zones.faults["eken.example"] = fault
    answer = await resolver_of(server, seconds=0.1).ask("eken.example", "TXT")
    assert (answer.status, answer.why) == (Status.UNKNOWN, why)


async def test_a_fault_of_one_type_leaves_the_others_alone(server: NameServer) -> None:
    server.zones.faults["eken.example TXT"] = "SERVFAIL"
    assert (await resolver_of(server).ask("eken.example", "TXT")).unknown
    assert (await resolver_of(server).ask("eken.example", "MX")).found


async def test_an_answer_that_does_not_fit_in_a_datagram_comes_over_tcp(server: NameServer) -> None:
    answer = await resolver_of(server).ask("many.example", "TXT")
    assert (len(answer.values), sum(map(len, answer.values))) == (60, 60 * 64)


async def test_an_absurdly_big_answer_is_not_looked_into(server: NameServer) -> None:
    answer = await resolver_of(server).ask("huge.example", "TXT")
    assert (answer.status, answer.why, answer.values) == (Status.UNKNOWN, "too_big", ())


async def test_an_answer_that_is_cut_even_over_tcp_is_not_taken_for_an_empty_one(server: NameServer) -> None:
    server.zones.faults["eken.example"] = "cut"
    assert (await resolver_of(server).ask("eken.example", "TXT")).unknown


async def test_the_next_resolver_is_asked_when_one_does_not_know(server: NameServer) -> None:
    lame = Zones()
    lame.faults["eken.example"] = "SERVFAIL"
    broken = NameServer(lame)
    await broken.start()
    answer = await resolver_of(broken, server).ask("eken.example", "MX")
    assert answer.found and answer.server.endswith(str(server.address[1]))
    await broken.stop()


@pytest.fixture
def silent() -> Iterator[str]:
    """A port at which nobody ever answers."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


async def test_nobody_at_all_is_unknown(silent: str) -> None:
    for server in (silent, "127.0.0.1:1", "not-an-address", "127.0.0.1:port"):
        answer = await Resolver([server], seconds=0.05).ask("eken.example", "TXT")
        assert answer.unknown and answer.why in ("timeout", "malformed")


async def test_a_server_asked_itself_answers_only_for_its_own_zones(server: NameServer) -> None:
    resolver = resolver_of(server)
    assert (await resolver.ask_at("127.0.0.1", "eken.example", "TXT")).found
    assert (await resolver.ask_at("127.0.0.1", "nobody.eken.example", "TXT")).why == "nxdomain"
    assert (await resolver.ask_at("127.0.0.1", "elsewhere.test", "TXT")).why == "refused"
    assert (await resolver.ask_at("127.0.0.1", "x.sub.bjork.example", "TXT")).why == "lame"  # it has handed it out
    server.zones.faults["eken.example"] = "lame"
    assert (await resolver.ask_at("127.0.0.1", "eken.example", "TXT")).why == "lame"
    assert (await resolver.ask_at("127.0.0.1", "eken.example", "TXT")).authenticated is None


async def test_the_zone_of_a_name_is_found_with_its_servers_addresses(server: NameServer) -> None:
    authority = await resolver_of(server).name_servers("om1._domainkey.eken.example")
    assert (authority.zone, authority.status) == ("eken.example", Status.FOUND)
    assert {one.name: one.addresses for one in authority.servers} == {
        "ns1.eken.example": ("127.0.0.1",), "ns2.eken.example": ("127.0.0.7",),
    }  # fmt: skip


async def test_the_zone_of_an_alias_is_not_that_of_what_it_points_at(server: NameServer) -> None:
    server.zones.add("crm.bjork.example. IN CNAME eken.example.")
    assert (await resolver_of(server).name_servers("crm.bjork.example")).zone == "bjork.example"


async def test_when_nobody_knows_the_servers_that_is_not_called_none(server: NameServer) -> None:
    server.zones.faults["eken.example"] = "SERVFAIL"
    authority = await resolver_of(server).name_servers("eken.example")
    assert (authority.status, authority.servers) == (Status.UNKNOWN, ())
    server.zones.faults = {"ns1.eken.example": "SERVFAIL"}
    servers = (await resolver_of(server).name_servers("eken.example")).servers
    assert {one.name for one in servers if one.unknown} == {"ns1.eken.example"}


async def test_what_the_zone_above_hands_out_is_told(server: NameServer) -> None:
    server.zones.add("namnserver.example. IN SOA a. b. 1 1 1 1 1\nns1.namnserver.example. IN A 127.0.0.1")
    answer = await resolver_of(server).delegation("sub.bjork.example")
    assert answer.values == ("ns1.sub.bjork.example",)


async def test_addresses_raise_when_nobody_knows_and_are_empty_when_there_are_none(server: NameServer) -> None:
    resolver = resolver_of(server)
    assert await resolver.addresses("ns2.eken.example") == ["127.0.0.7"]
    assert await resolver.addresses("nobody.eken.example") == []
    assert await resolver.addresses("192.0.2.1") == ["192.0.2.1"]
    server.zones.faults["ns2.eken.example AAAA"] = "SERVFAIL"
    with pytest.raises(OSError, match="servfail"):
        await resolver.addresses("ns2.eken.example")


async def test_a_thousand_questions_at_once_are_asked_a_hundred_at_a_time(server: NameServer) -> None:
    resolver = resolver_of(server, seconds=10)
    answers = await asyncio.gather(*(resolver.ask("eken.example", "MX") for _ in range(1000)))
    assert all(answer.found for answer in answers)


ZONE = {
    "eken.example": {"TXT": ["v=spf1 include:x -all"], "MX": ["10 MX1.Eken.example."], "NS": ["ns1.eken.example."]},
    "ns1.eken.example": {"A": ["127.0.0.1"]},
    "www.eken.example": {"CNAME": ["eken.example"]},
    "dangling.eken.example": {"CNAME": ["nobody.eken.example"]},
    "loop1.eken.example": {"CNAME": ["loop2.eken.example"]},
    "loop2.eken.example": {"CNAME": ["loop1.eken.example"]},
    "a.b.eken.example": {"A": ["127.0.0.2"]},
    "*.wild.eken.example": {"TXT": ["by wildcard"]},
    "known.wild.eken.example": {"A": ["127.0.0.3"]},
}


@pytest.mark.parametrize(
    "name",
    ["eken.example", "www.eken.example", "dangling.eken.example", "loop1.eken.example", "b.eken.example", "c.eken.example",
     "x.wild.eken.example", "known.wild.eken.example", "x.known.wild.eken.example", "a..example"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["TXT", "MX", "CNAME"])
async def test_a_dict_answers_as_a_server_with_the_same_records_does(name: str, kind: str) -> None:
    zones = Zones()
    for owner, kinds in ZONE.items():
        for rdtype, values in kinds.items():
            for value in values:
                dotted = value if rdtype in ("TXT", "A") else value.rstrip(".") + "."
                zones.publish(owner, rdtype, dotted)
    server = NameServer(zones)
    await server.start()
    real, made = await resolver_of(server).ask(name, kind), await Zone(ZONE).ask(name, kind)
    await server.stop()
    assert (real.name, real.status, real.values, real.why, real.aliases) == (
        made.name, made.status, made.values, made.why, made.aliases,
    )  # fmt: skip


async def test_what_would_be_published_stands_before_what_is(server: NameServer) -> None:
    ask = overlaid(resolver_of(server).ask, {"eken.example": {"TXT": ["v=spf1 -all"]}})
    assert (await ask("Eken.example.", "TXT")).values == ("v=spf1 -all",)
    assert (await ask("eken.example", "MX")).values == ("10 mx1.eken.example",)


async def test_an_answer_is_asked_for_once_and_unknown_again(server: NameServer) -> None:
    asked: list[str] = []
    resolver = resolver_of(server)

    async def ask(name: str, kind: str):  # type: ignore[no-untyped-def]  # a test's own
        asked.append(name)
        return await resolver.ask(name, kind)

    remembered = remembering(ask)
    await asyncio.gather(*(remembered("eken.example", "TXT") for _ in range(5)))
    server.zones.faults["bytes.example"] = "SERVFAIL"
    for _ in range(2):
        assert (await remembered("bytes.example", "TXT")).unknown
    assert asked == ["eken.example", "bytes.example", "bytes.example"]


@pytest.mark.parametrize("turns", [*range(8), 30])
def test_a_question_broken_off_at_any_moment_keeps_no_event_loop_from_closing(turns: int) -> None:
    async def ask_and_break_off(server: str) -> None:
        question = asyncio.ensure_future(Resolver([server]).ask("eken.example", "TXT"))
        for _ in range(turns):
            await asyncio.sleep(0)
        question.cancel()
        await asyncio.wait([question])

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        loop = uvloop.new_event_loop()
        loop.run_until_complete(ask_and_break_off(f"127.0.0.1:{silent.getsockname()[1]}"))
        closing = threading.Thread(target=loop.close, daemon=True)
        closing.start()
        closing.join(5)
        assert not closing.is_alive()
