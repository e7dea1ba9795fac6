"""What watching costs: many domains on a name server in another process, watched by the real job on a real database; the CPU time
of this process alone is counted."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ombud.accounts import load_directory, put_customer
from ombud.db import Database
from ombud.db.migrate import upgrade
from ombud.dns import Resolver
from ombud.domains import prove_domain
from ombud.domains.watch import State
from ombud.domains.watching import Nothing, Watching
from ombud.domains.watchlist import standings
from ombud.mail.records import Record
from trials.dns.zones import NOW, SERVERS, Line, fixtures, served

DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Cost:
    """`seconds` of CPU for one check of one domain, everything included; `share` of one core for so many domains a day."""

    domains: int
    seconds: float
    wall: float

    def share(self, domains: int) -> float:
        return self.seconds * domains / DAY


def measure(domains: int) -> Cost:
    """Watch so many domains, in which all is well, from the first look until each is known to be in order."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(domains, there), daemon=True)
    server.start()
    port = here.recv()
    try:
        return asyncio.run(_watched(domains, port))
    finally:
        here.send(None)
        server.join(10)


def _of(number: int, line: Line) -> Line:
    name, kind, value = line
    return name.replace("kund.example", f"kund{number}.example"), kind, value


def _serve(domains: int, connection: Connection) -> None:
    well = fixtures()[0]
    lines = {
        name: [_of(n, line) for n in range(domains) for line in well.lines[name] if "kund.example" in line[0]]
        for name in SERVERS
    }
    lines["resolver"] += [line for line in well.lines["resolver"] if "kund.example" not in line[0]]

    async def serve() -> None:
        async with served(lines) as resolver:
            connection.send(resolver.authority_port)
            await asyncio.to_thread(connection.recv)

    asyncio.run(serve())


async def _watched(domains: int, port: int) -> Cost:
    well = fixtures()[0]
    needs = {f"kund{n}.example": _needs(n, well.records) for n in range(domains)}
    with tempfile.TemporaryDirectory() as directory:
        database = Database.open(f"sqlite:///{Path(directory)}/ombud.db", unsafe=True)
        upgrade(database)
        with database.write() as tx:
            put_customer(tx, "kund", "Kund AB", NOW)
            customer = load_directory(tx).customer("kund")
            for name in needs:
                prove_domain(tx, name, customer, "operator", "a trial", NOW)
        source = Resolver([f"{SERVERS['resolver']}:{port}"], authority_port=port, seconds=2)
        watching = Watching(database.reading, partial(_write, database), source, lambda tx, names, now: needs)
        begun, wall = time.process_time(), time.monotonic()
        ready = 0
        while ready < domains:
            ready += len(await watching.round(NOW + timedelta(seconds=1)))
            if time.monotonic() - wall > 300:
                raise SystemExit(f"only {ready} of {domains} domains were found in order")
        cost = Cost(domains, (time.process_time() - begun) / domains, time.monotonic() - wall)
        with database.read() as tx:
            assert all(one.state is State.OK for one in standings(tx))
        database.close()
    return cost


def _needs(number: int, records: Sequence[Record]) -> Nothing:
    from dataclasses import replace

    named = tuple(replace(one, name=one.name.replace("kund.example", f"kund{number}.example")) for one in records)
    return Nothing(named)


async def _write(database: Database, verb: Any, /, *arguments: Any) -> Any:
    def run() -> Any:
        with database.write() as tx:
            return verb(tx, *arguments)

    return await asyncio.to_thread(run)
