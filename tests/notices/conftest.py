"""A vendor that writes letters: its own customer, product and domain, and everything that tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ombud import settings as settings_module
from ombud.accounts import load_directory, put_customer, put_product
from ombud.accounts.vendor import OWN_PRODUCT, load_vendor, put_vendor
from ombud.clock import TurnedClock
from ombud.db import Database, GroupCommit, Transaction
from ombud.db.snapshot import Snapshot
from ombud.domains import load_ownership, prove_domain
from ombud.notices.letters import Writer
from ombud.notices.posting import Poster
from ombud.notices.telling import Teller
from ombud.queue.tables import body_table
from ombud.routing import assign, load_facts, put_route
from ombud.seal import Seal
from ombud.submission import Submissions
from tests.conftest import NOON, Cast

SEAL = Seal(b"s" * 32)


async def no_addresses(host: str) -> list[str]:
    raise OSError(f"nobody may be asked about {host} here")


def furnish_vendor(tx: Transaction) -> None:
    put_customer(tx, "molntjanst", "Molntjänst AB", NOON)
    put_product(tx, OWN_PRODUCT, "Ombud", NOON)
    directory = load_directory(tx)
    vendor, product = directory.customer("molntjanst"), directory.product(OWN_PRODUCT)
    prove_domain(tx, "molntjanst.example", vendor, "operator", "", NOON)
    put_route(tx, SEAL, "ut", "smtp", {"host": "127.0.0.1"}, None, NOON)
    route = load_facts(tx).route("ut")
    assert route
    assign(tx, None, product.id, route.id, NOON)
    put_vendor(
        tx, "Molntjänst AB", vendor, product, "Molntjänst <epost@molntjanst.example>", NOON,
        reply_to="Kundtjänst <hjalp@molntjanst.example>", signature="Anna Berg", phone="08-123 45 67",
    )  # fmt: skip


@dataclass
class Desk:
    database: Database
    group: GroupCommit
    clock: TurnedClock
    cast: Cast
    submissions: Submissions

    @asynccontextmanager
    async def telling(self, *, patience: float = 5.0, **more: Any) -> AsyncIterator[Teller]:
        poster = Poster(no_addresses, private=True, timeout=patience)
        async with poster:
            yield Teller(self.database, self.group, self.clock, SEAL, poster, self.submissions, "ombud.example", **more)

    def writer(self, tx: Transaction) -> Writer:
        return Writer(SEAL, load_vendor(tx), "https://ombud.example")

    def bodies(self) -> list[bytes]:
        with self.database.read() as tx:
            return [bytes(row.content) for row in tx.execute(select(body_table))]


@pytest.fixture
async def desk(database: Database, cast: Cast, tmp_path: Path) -> AsyncIterator[Desk]:
    with database.write() as tx:
        furnish_vendor(tx)
    settings = settings_module.load(tmp_path, service={"name": "ombud.example", "min_free": 0})
    snapshots: tuple[Snapshot[Any], ...] = (Snapshot(load_directory), Snapshot(load_ownership), Snapshot(load_facts))
    for snapshot in snapshots:
        snapshot.refresh(database)
    group, clock = GroupCommit(database), TurnedClock(NOON)
    group.start()
    yield Desk(database, group, clock, cast, Submissions(settings, database, group, clock, *snapshots, lambda: None))
    group.stop()
