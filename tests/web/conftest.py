"""The HTTP door on a real database: Eken and Linden with a domain and keys each, and a key of the vendor's for all."""

from __future__ import annotations

import base64
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from ombud.accounts import Mode, create_credential, load_directory
from ombud.clock import TurnedClock
from ombud.db import Database, GroupCommit, Transaction
from ombud.db.snapshot import Snapshot
from ombud.domains import load_ownership, prove_domain
from ombud.domains.proof import Proof, ProofState, Seen, Signed, begin_proof, note_read, note_sent
from ombud.ids import new_id
from ombud.queue import Scope, content, get_message
from ombud.queue.tables import recipient_table
from ombud.routing import assign, load_facts, put_route
from ombud.seal import Seal
from ombud.settings import Settings
from ombud.submission import Submissions
from ombud.web import Web, create_app
from tests.conftest import NOON, Cast

HYRESAVI: dict[str, Any] = {
    "from": "Bostads AB Eken <hyra@eken.example>",
    "to": ["Åsa Öberg <asa@tenant.example>"],
    "subject": "Hyresavi för maj",
    "text": "Hej Åsa!\n\nHär kommer hyresavin.\n",
}


#: What the database has no part in is tried on one of them.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def one_url(sqlite_template: Path, tmp_path: Path) -> str:
    """For whole files of that kind: `database_url` is made this there."""
    shutil.copy(sqlite_template, tmp_path / "ombud.db")
    return f"sqlite:///{tmp_path / 'ombud.db'}"


def proof_that_was_read(tx: Transaction) -> str:
    """The id of a probe message from eken.example that came and was judged."""
    address = "ombud-prov@eken.example"
    id, signatures = new_id(), (Signed("x.example", "s1", "pass"),)
    begin_proof(
        tx,
        Proof(
            id, "eken.example", 1, 7, ProofState.ASKED, NOON, None, address, "p@x.example", "<1@x.example>", "0" * 32
        ),
    )
    note_sent(tx, id, ProofState.SENT, "250 ok")
    note_read(
        tx, id, True, Seen("mx.x.example", "pass", "eken.example", signatures, "pass", address, True, False), NOON
    )
    return id


@dataclass
class House:
    """The door with everything behind it. `keys`: eken, eken_test, linden, vendor."""

    web: Web
    app: Any
    keys: dict[str, str]
    not_ready: list[str] = field(default_factory=list)

    def client(
        self, key: str = "", peer: str = "192.0.2.9", **headers: str
    ) -> AbstractAsyncContextManager[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app=self.app, client=(peer, 4711))
        if key:
            headers["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        return httpx2.AsyncClient(transport=transport, base_url="http://ombud.test", headers=headers)

    async def call(self, key: str, method: str, path: str, **more: Any) -> httpx2.Response:
        async with self.client(key) as client:
            return await client.request(method, path, **more)

    async def send(self, key: str = "eken", http: dict[str, str] | None = None, /, **changed: Any) -> httpx2.Response:
        """Send the rent notice under these HTTP headers, with these fields changed (None: left out)."""
        fields = {name: value for name, value in {**HYRESAVI, **changed}.items() if value is not None}
        return await self.call(key, "POST", "/v1/messages", json=fields, headers=http or {})

    def kept(self, id: str) -> bytes:
        """The bytes that were accepted."""
        with self.web.database.read() as tx:
            return content(tx, Scope(), id)

    def addresses(self, id: str) -> list[str]:
        with self.web.database.read() as tx:
            return [recipient.address for recipient in get_message(tx, Scope(), id).recipients]

    def variables(self, id: str, n: int) -> dict[str, str]:
        """What a recipient's copy is made out with."""
        with self.web.database.read() as tx:
            r = recipient_table.c
            return dict(tx.execute(select(r.variables).where(r.message_id == id, r.n == n)).scalar_one())


def _furnish(database: Database, cast: Cast, clock: TurnedClock) -> dict[str, str]:
    seal = Seal(b"m" * 32)
    now = clock.now()
    with database.write() as tx:
        prove_domain(tx, "eken.example", cast.eken, "operator", "", now)
        prove_domain(tx, "linden.example", cast.linden, "operator", "", now)
        put_route(tx, seal, "ut", "smtp", {"host": "127.0.0.1"}, None, now)
        route = load_facts(tx).route("ut")
        assert route
        assign(tx, None, cast.hyra.id, route.id, now)
        return {
            "eken": create_credential(tx, cast.hyra, cast.eken, Mode.LIVE, now).api_key,
            "eken_test": create_credential(tx, cast.hyra, cast.eken, Mode.TEST, now).api_key,
            "eken_other": create_credential(tx, cast.hyra, cast.eken, Mode.LIVE, now).api_key,
            "linden": create_credential(tx, cast.hyra, cast.linden, Mode.LIVE, now).api_key,
            "vendor": create_credential(tx, cast.hyra, None, Mode.LIVE, now).api_key,
        }


@pytest.fixture
def built(database: Database, cast: Cast) -> Callable[..., House]:
    """Builds a House with these settings; its group commit is started and stopped by `house`."""

    def build(settings: Settings | None = None) -> House:
        settings = settings or Settings(service={"name": "ombud.example"})
        clock = TurnedClock(NOON)
        keys = _furnish(database, cast, clock)
        directory, ownership, facts = Snapshot(load_directory), Snapshot(load_ownership), Snapshot(load_facts)
        for snapshot in (directory, ownership, facts):
            snapshot.refresh(database)
        group = GroupCommit(database)
        submissions = Submissions(settings, database, group, clock, directory, ownership, facts, lambda: None)
        missing: list[str] = []
        web = Web(
            submissions,
            database,
            group,
            clock,
            facts,
            directory,
            settings,
            lambda: missing,
            lambda: b"ombud_up 1\n",
            Seal(b"m" * 32),
        )
        return House(web, create_app(web), keys, missing)

    return build


@pytest.fixture
async def house(built: Callable[..., House]) -> AsyncIterator[House]:
    made = built()
    made.web.group.start()
    yield made
    made.web.group.stop()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()
