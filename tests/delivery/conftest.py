"""A house with a door and a way out: submission and delivery for real, on both databases, with a relay on loopback behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from ombud import settings as settings_module
from ombud.accounts import Mode, Sender, load_directory
from ombud.clock import TurnedClock
from ombud.db import Database, GroupCommit
from ombud.db.snapshot import Snapshot
from ombud.delivery import Delivery, Following
from ombud.domains import keep_key, load_key_ring, load_ownership, prove_domain
from ombud.mail.address import parse_address
from ombud.mail.dkim import new_key
from ombud.providers import PROVIDERS
from ombud.providers.provider import Provider, Surroundings
from ombud.queue import Happening, State, beat, timeline
from ombud.queue.tables import recipient_table
from ombud.routing import Limits, Route, assign, load_facts, pause_route, put_route
from ombud.seal import Seal
from ombud.submission import Options, Submission, Submissions
from tests.conftest import NOON, Cast
from tests.delivery.relay import Relay

MAIL = b"From: Bostads AB Eken <hyra@eken.example>\r\nTo: anna@post.example\r\nSubject: Hyresavi\r\n\r\nHej!\r\n"


@dataclass
class House:
    """What a test says: `submit`, `settled`, and looks."""

    database: Database
    group: GroupCommit
    submissions: Submissions
    delivery: Delivery
    following: Following
    relay: Relay
    clock: TurnedClock
    cast: Cast
    seal: Seal
    snapshots: tuple[Snapshot[Any], ...]
    task: asyncio.Task[None] | None = None

    def sender(self, mode: Mode = Mode.LIVE) -> Sender:
        return Sender(1, self.cast.hyra, self.cast.eken, mode)

    async def submit(self, *to: str, mode: Mode = Mode.LIVE, content: bytes = MAIL, **options: Any) -> str:
        recipients = tuple(parse_address(address) for address in to or ("anna@post.example",))
        submission = Submission(
            parse_address("hyra@eken.example"), recipients, content, "smtp", options=Options(**options)
        )
        return (await self.submissions.submit(self.sender(mode), submission)).id

    def refresh(self) -> None:
        for snapshot in self.snapshots:
            snapshot.refresh(self.database)

    def use_route(self, slug: str, **values: Any) -> Route:
        """Make a route to the same relay and let Eken's mail take it."""
        with self.database.write() as tx:
            relay = next(route for route in load_facts(tx).routes.values() if route.slug == "relay")
            put_route(tx, self.seal, slug, "smtp", values.pop("settings", relay.settings), None, NOON, **values)
            route = load_facts(tx).route(slug)
            assert route
            assign(tx, self.cast.eken.id, None, route.id, NOON)
        self.refresh()
        return route

    def pause(self, slug: str) -> None:
        with self.database.write() as tx:
            pause_route(tx, slug, NOON)
        self.refresh()

    def resume(self, slug: str) -> None:
        with self.database.write() as tx:
            pause_route(tx, slug, None)
        self.refresh()
        self.delivery.wake()

    async def states(self, id: str) -> list[State]:
        def ask(tx: Any) -> list[State]:
            rows = tx.execute(
                select(recipient_table.c.state).where(recipient_table.c.message_id == id).order_by(recipient_table.c.n)
            )
            return [State(row.state) for row in rows]

        return await self.database.reading(ask)

    async def settled(self, id: str, *states: State, seconds: float = 10) -> list[State]:
        """Wait until every recipient has one of the states (by default: until none is on its way)."""
        on_its_way = {State.WAITING, State.LEASED, State.SENDING}
        async with asyncio.timeout(seconds):
            while True:
                now = await self.states(id)
                if all(state in states if states else state not in on_its_way for state in now):
                    return now
                await asyncio.sleep(0.02)

    async def due_now(self) -> None:
        """Let what waits for its next try be due at once."""

        def hurry(tx: Any, pieces: Any) -> list[None]:
            r = recipient_table.c
            tx.execute(
                update(recipient_table).where(r.due_at.is_not(None)).values(due_at=tx.now - timedelta(seconds=1))
            )
            return [None]

        await self.group.run(hurry, None)
        self.delivery.wake()

    async def timeline(self, id: str) -> list[Happening]:
        return await self.database.reading(timeline, id)


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    relay = Relay()
    await relay.start()
    yield relay
    await relay.stop()


@pytest.fixture
async def house(database: Database, cast: Cast, relay: Relay, tmp_path: Path) -> AsyncIterator[House]:
    settings = settings_module.load(tmp_path, service={"name": "ombud.example", "min_free": 0})
    seal, clock = Seal(b"k" * 32), TurnedClock(NOON)
    with database.write() as tx:
        route = {
            "host": "127.0.0.1",
            "port": relay.port,
            "tls": "none",
            "connections": 4,
            "command_seconds": 5,
            "dot_seconds": 5,
        }
        put_route(tx, seal, "relay", "smtp", route, None, NOON, billable=True, limits=Limits(connections=4))
        found = load_facts(tx).route("relay")
        assert found
        assign(tx, cast.eken.id, None, found.id, NOON)
        prove_domain(tx, "eken.example", cast.eken, "operator", "the tests", NOON)
        prove_domain(tx, "linden.example", cast.linden, "operator", "the tests", NOON)
        keep_key(tx, seal, new_key("eken.example", "om1", "ed25519-sha256"), NOON)
        beat(tx, "elsewhere", 3600)
    group = GroupCommit(database)
    group.start()
    directory, ownership, facts = Snapshot(load_directory), Snapshot(load_ownership), Snapshot(load_facts)
    ring = Snapshot(lambda tx: load_key_ring(tx, seal))

    async def resolve(host: str) -> list[str]:
        return [host]

    def provider(route: Route) -> Provider:
        return PROVIDERS[route.provider].make(route.settings, "", Surroundings(resolve, "ombud.example"))

    delivery = Delivery(settings, database, group, clock, facts, ownership, ring, directory, provider)
    submissions = Submissions(settings, database, group, clock, directory, ownership, facts, delivery.wake)
    following = Following(settings, database, group, clock, facts, delivery.wake)
    house = House(
        database, group, submissions, delivery, following, relay, clock, cast, seal, (directory, ownership, facts, ring)
    )  # fmt: skip
    house.refresh()
    house.task = asyncio.create_task(delivery.run())
    yield house
    await delivery.stop(2)
    await house.task
    await asyncio.to_thread(group.stop)
