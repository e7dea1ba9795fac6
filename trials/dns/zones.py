"""A zone with one fault each, on real name servers on loopback, looked at by the real check."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ombud.dns import Resolver
from ombud.domains.checks import Report, check
from ombud.domains.findings import Source, catalogue
from ombud.domains.watch import State, Watch, told
from ombud.mail.records import Purpose, Record
from ombud.providers import records_for
from ombud.sandbox.nameserver import NameServer, Zones, txt

ZONES = Path(__file__).parents[2] / "tests" / "domains" / "zones.toml"
#: Where the servers of the world stand; all on one port, since an NS record has no room for another.
SERVERS = {"resolver": "127.0.31.9", "ns1": "127.0.31.1", "ns2": "127.0.31.2"}
NOW = datetime(2024, 4, 16, 7, 0, tzinfo=UTC)
#: Seconds that a server which does not answer is waited for: everything is on this machine.
PATIENCE = 0.15

Line = tuple[str, str, str]  # name, type, value


@dataclass(frozen=True, slots=True)
class Fixture:
    """One finding's zone: the lines that each server has, and what each does instead of answering."""

    code: str
    domain: str
    records: tuple[Record, ...]
    lines: Mapping[str, Sequence[Line]]
    faults: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    taken: bool = False
    keyless: bool = False
    hindsight: str = ""


def fixtures(path: Path = ZONES) -> list[Fixture]:
    """Every fixture of the file, and first `well`, in which nothing is wrong."""
    table = tomllib.loads(path.read_text("utf-8"))
    keys, well = table.pop("keys"), table.pop("well")
    return [_fixture("", {}, well, keys), *(_fixture(code, entry, well, keys) for code, entry in table.items())]


def expected_codes() -> list[str]:
    """The codes that must have a fixture: all that the checker gives."""
    return [kind.code for kind in catalogue().values() if kind.source is Source.DNS]


def _fixture(code: str, entry: Mapping[str, Any], well: Mapping[str, str], keys: Mapping[str, str]) -> Fixture:
    words = {**keys, "cut": f"v=DKIM1; k=rsa; p={keys['one']}"[:255]}
    wanted = entry.get("records", "alias")
    zone = _lines(well["zone"], words)
    if wanted == "text":
        zone = _changed(zone, _lines(well["text"], words))
        zone = [line for line in zone if line[1] != "CNAME"]
    zone = _changed(zone, _lines(entry.get("change", ""), words))
    zone = _without(zone, entry.get("without", ())) + _lines(entry.get("add", ""), words)
    world = _lines(well["world"], words) + _lines(entry.get("world", ""), words)
    lines = {name: _view(name, entry, zone, words) for name in SERVERS}
    lines["resolver"] = [*lines["resolver"], *world]
    faults: dict[str, dict[str, str]] = {name: {} for name in SERVERS}
    for place, fault in entry.get("faults", {}).items():
        server, _, what = place.partition(" ")
        faults[server][what] = fault
    domain = entry.get("domain", "kund.example")
    records = tuple(_records(wanted, domain, words))
    flags = {name: entry.get(name, False) for name in ("taken", "keyless")}
    return Fixture(code, domain, records, lines, faults, hindsight=entry.get("hindsight", ""), **flags)


def _view(server: str, entry: Mapping[str, Any], zone: Sequence[Line], words: Mapping[str, str]) -> list[Line]:
    return _without(_changed(zone, _lines(entry.get(server, ""), words)), entry.get(f"{server}_without", ()))


def _lines(text: str, words: Mapping[str, str]) -> list[Line]:
    found = []
    for line in filter(None, text.splitlines()):
        for word, value in words.items():
            line = line.replace("{" + word + "}", value)
        name, kind, value = line.split(" ", 2)
        found.append((_whole(name), kind, value if kind in ("TXT", "A") else _target(value)))
    return found


def _whole(name: str) -> str:
    return "kund.example" if name == "@" else name.rstrip(".") if name.endswith(".") else f"{name}.kund.example"


def _target(value: str) -> str:
    return value if value.endswith(".") else f"{value}.kund.example."


def _changed(zone: Sequence[Line], lines: Sequence[Line]) -> list[Line]:
    new = {line[:2] for line in lines}
    return [*(line for line in zone if line[:2] not in new), *lines]


def _without(zone: Sequence[Line], places: Sequence[str]) -> list[Line]:
    gone = {(_whole(name), kind) for name, kind in (place.split(" ") for place in places)}
    return [line for line in zone if line[:2] not in gone]


def _records(wanted: str, domain: str, words: Mapping[str, str]) -> Iterator[Record]:
    """What the domain's mail needs: asked of the real provider, with its route's settings."""
    return_path = {"host": "smtp.vendor.example", "return_path": "studs", "return_path_target": "studs.vendor.example"}
    settings: dict[str, dict[str, object]] = {
        "alias": {**return_path, "spf_include": "studs.vendor.example"},
        "envelope": {**return_path},
        "text": {"host": "smtp.vendor.example", "spf_include": "spf.vendor.example"},
        "own": {"host": "smtp.kund.example", "dkim_selectors": ["brev"], "spf_include": "spf.kundpost.example"},
        "verification": {"host": "smtp.vendor.example", "dns_records": ["prov.{domain} TXT verification=4711"]},
    }
    key = f"v=DKIM1; k=rsa; p={words['one']}"
    if wanted == "alias":
        for selector, text in (("om1", key), ("om2", "")):
            target = f"{selector}.k7.dkim.vendor.example"
            name = f"{selector}._domainkey.{domain}"
            yield Record(Purpose.DKIM, "CNAME", name, target, text=text, spare=not text)
    if wanted == "text":
        yield Record(Purpose.DKIM, "TXT", f"om1._domainkey.{domain}", key)
    if wanted == "claim":
        yield Record(Purpose.OWNER, "TXT", f"_ombud.{domain}", "ombud-claim=4zq9x")
    if wanted in settings:
        yield from records_for("smtp", domain, settings[wanted])


# --- playing them ------------------------------------------------------------------------------------------------------


async def play(fixture: Fixture) -> Report:
    """Put the fixture's zone on name servers of its own, and look at its domain."""
    async with served(fixture.lines, fixture.faults) as resolver:
        report = await check(
            fixture.domain, fixture.records, resolver, NOW, taken=fixture.taken, keyless=fixture.keyless
        )
    return told(report, _watched(fixture)) if fixture.hindsight else report


@asynccontextmanager
async def served(
    lines: Mapping[str, Sequence[Line]], faults: Mapping[str, Mapping[str, str]] | None = None
) -> AsyncIterator[Resolver]:
    """A world of name servers, one for each name in SERVERS, with what each has and does."""
    views = {name: Zones() for name in SERVERS}
    for name, zones in views.items():
        _publish(zones, lines[name])
        zones.faults = dict((faults or {}).get(name, {}))
    servers, port = await _started(views)
    try:
        yield Resolver([f"{SERVERS['resolver']}:{port}"], authority_port=port, seconds=PATIENCE)
    finally:
        for server in servers:
            await server.stop()


def _publish(zones: Zones, lines: Sequence[Line]) -> None:
    try:
        zones.add(
            "".join(f"{name}. IN {kind} {txt(value) if kind == 'TXT' else value}\n" for name, kind, value in lines)
        )
    except ValueError:  # together they are no lawful zone, and that is what some are for
        for line in lines:
            zones.publish(*line)


async def _started(views: Mapping[str, Zones]) -> tuple[list[NameServer], int]:
    """The servers on their addresses, on one port that is free on all of them."""
    for _ in range(50):
        servers, port = list[NameServer](), 0
        try:
            for name, address in SERVERS.items():
                servers.append(NameServer(views[name]))
                await servers[-1].start(address, port)
                port = servers[-1].address[1]
        except OSError:
            for server in servers:
                await server.stop()
            continue
        return servers, port
    raise OSError("no port is free on all of the world's addresses")


def _watched(fixture: Fixture) -> Watch:
    since = NOW - timedelta(hours=2 if fixture.hindsight == "at_risk" else 100)
    return Watch(fixture.domain, State(fixture.hindsight), since=since, stop_at=since + timedelta(hours=72))
