"""What is held: each hold ends exactly once, whatever happens in whatever order, and count in is count out."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import delete, select, update
from sqlalchemy import func as sql

from ombud.db import Database
from ombud.queue import (
    Change,
    NewMessage,
    NewRecipient,
    Origin,
    State,
    Stream,
    What,
    change_all,
    fate_of_held,
    held,
    held_ids,
    prolong,
    put,
    queued,
    timeline,
)
from ombud.queue.tables import (
    attempt_table,
    body_table,
    event_table,
    hold_table,
    message_table,
    recipient_table,
)
from ombud.verify import verify
from tests.conftest import NOON, Cast, Postgres
from tests.queue.conftest import MakeMail, new_message, put_stage

_r = recipient_table.c
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
REASONS = ("no_active_choice", "brownout", "held_by_operator")
#: What ends a hold, as the event says it.
ENDS = {What.RELEASE: "released", What.EXPIRE: "expired", What.CANCEL: "cancelled", What.SUPPRESS: "suppressed"}


def test_what_is_held_from_the_start_has_an_event_that_says_why(database: Database, put_mail: MakeMail) -> None:
    id = put_mail(state=State.HELD)
    with database.read() as tx:
        assert [(one.type, one.data.get("reason")) for one in timeline(tx, id)] == [
            ("accepted", "customer_route"),
            ("held", "customer_route"),
        ]
        (found,) = held(tx)
        assert (found.reason, found.recipients, found.since) == ("customer_route", 1, NOON)
        assert verify(tx) == []


def test_a_hold_that_ends_when_the_clock_has_been_set_back_ends_as_it_began(
    database: Database, put_mail: MakeMail
) -> None:
    put_mail(state=State.HELD)
    with database.write() as tx:
        (id,) = tx.execute(select(_r.id)).scalars()
        change_all(tx, [Change(id, None, What.RELEASE, NOON - timedelta(hours=1), wait=timedelta(0))])
        assert tx.execute(select(hold_table.c.ended_at)).scalar() == NOON
        assert verify(tx) == []


def test_the_held_are_found_in_the_order_in_which_they_were_accepted(
    database: Database, cast: Cast, route_id: int
) -> None:
    with database.write() as tx:
        put(tx, [new_message(cast.eken.id, cast.hyra.id, route_id, state=State.WAITING) for _ in range(3)])
        put(tx, [new_message(cast.eken.id, cast.hyra.id, route_id, state=State.HELD) for _ in range(3)])
        numbers = [row.id for row in tx.execute(select(recipient_table.c.id).order_by(recipient_table.c.id))]
        # The ones that were accepted first are held last, and still go first.
        late = NOON + timedelta(hours=1)
        change_all(tx, [Change(number, None, What.HOLD, late, reason="customer_route") for number in numbers[:3]])
        asked = ("customer_route", cast.eken.id, [Origin(cast.hyra.id, "eken.example")])
        assert [id for id, _ in held_ids(tx, *asked, 4)] == numbers[:4]
        assert [id for id, _ in held_ids(tx, *asked, 4, after=numbers[3])] == numbers[4:]
        assert held_ids(tx, *asked, 9, held_before=NOON) == []
        assert len(held_ids(tx, *asked, 9, held_before=late)) == 3
        assert fate_of_held(tx, "customer_route", NOON, late).held == 3  # the hour that ends then has the others not
        assert fate_of_held(tx, "customer_route", late, late + timedelta(hours=1)).held == 3
        assert held_ids(tx, "brownout", *asked[1:], 9) == []


def test_what_was_held_for_long_has_its_time_to_be_delivered_all_the_same(
    database: Database, put_mail: MakeMail
) -> None:
    put_mail(state=State.HELD)
    r = recipient_table.c
    with database.write() as tx:
        tx.execute(update(recipient_table).values(expires_at=tx.now - timedelta(days=5)))
        ids = [row.id for row in tx.execute(select(r.id))]
        prolong(tx, ids, timedelta(days=5))
        assert tx.execute(select(r.expires_at)).scalar_one() == tx.now + timedelta(days=5)


def test_queued_tells_what_waits_and_for_how_long(
    database: Database, cast: Cast, route_id: int, put_mail: MakeMail
) -> None:
    put_mail()
    put_mail(wait=timedelta(hours=2))
    put_mail(customer=cast.linden)
    put_mail()
    with database.write() as tx:  # one whose last answer was lost may be there already: it is not moved about
        tx.execute(
            update(recipient_table).where(_r.id == select(sql.max(_r.id)).scalar_subquery()).values(state=State.UNKNOWN)
        )
    with database.read() as tx:
        now, later = queued(tx, route_id, cast.eken.id, 10)
    assert now.due_in == timedelta(0)
    assert timedelta(hours=1) < later.due_in <= timedelta(hours=2)


class HoldModel(RuleBasedStateMachine):
    """`fates` is what we believe became of each hold; None while it lasts."""

    database: ClassVar[Database]

    @initialize()
    def begin(self) -> None:
        with self.database.write() as tx:
            for table in (hold_table, event_table, attempt_table, recipient_table, body_table, message_table):
                tx.execute(delete(table))
            self.customer, self.product, self.route = put_stage(tx)
        self.now, self.made = NOON, 0
        self.states: dict[int, State] = {}
        self.fates: dict[int, list[str | None]] = {}

    @rule(recipients=st.integers(1, 3), reason=st.sampled_from(REASONS), keep=st.booleans())
    def accept(self, recipients: int, reason: str, keep: bool) -> None:
        self.made += 1
        state = State.HELD if keep else State.WAITING
        message = NewMessage(
            id=f"m{self.made}", customer_id=self.customer, product_id=self.product, credential_id=1, mode="live", door="http", peer="",
            stream=Stream.BULK, mail_from="", header_from="a@eken.example", message_id="x", subject="", content=b"x",
            created_at=self.tick(), recipients=[NewRecipient(f"{n}@post.example", state, reason, self.route) for n in range(recipients)],
        )  # fmt: skip
        with self.database.write() as tx:
            put(tx, [message])
            rows = tx.execute(select(recipient_table.c.id).where(recipient_table.c.message_id == message.id))
            for row in rows:
                self.states[row.id] = state
                self.fates[row.id] = [None] if keep else []

    @rule(
        picks=st.lists(st.integers(0, 30), min_size=1, max_size=4), what=st.sampled_from([What.HOLD, *ENDS]),
        reason=st.sampled_from(REASONS), killed=st.booleans(),
    )  # fmt: skip
    def change(self, picks: list[int], what: What, reason: str, killed: bool) -> None:
        """Some change in one transaction; `killed`: the process dies before it commits, and nothing has happened."""
        if not self.states:
            return
        numbers = sorted(self.states)
        chosen = list(dict.fromkeys(numbers[pick % len(numbers)] for pick in picks))
        now = self.tick()
        wait = timedelta(0) if what is What.RELEASE else None
        changes = [Change(number, None, what, now, wait=wait, reason=reason) for number in chosen]
        try:
            with self.database.write() as tx:
                results = change_all(tx, changes)
                if killed:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            return
        for number, result in zip(chosen, results, strict=True):
            if result.now is None:
                continue
            if result.now is State.HELD:
                self.fates[number].append(None)
            elif self.states[number] is State.HELD:
                assert self.fates[number][-1] is None
                self.fates[number][-1] = ENDS[what]
            self.states[number] = result.now

    @invariant()
    def every_hold_ended_once_or_lasts(self) -> None:
        h = hold_table.c
        with self.database.read() as tx:
            found: dict[int, list[Any]] = {number: [] for number in self.fates}
            for row in tx.execute(select(h.recipient_id, h.ended_as).order_by(h.id)):
                found[row.recipient_id].append(row.ended_as)
            assert found == self.fates

    def teardown(self) -> None:
        """Dearer than a step, so at the end: the counts, and every rule of the database."""
        if not hasattr(self, "states"):
            return
        with self.database.read() as tx:
            fates = [fate_of_held(tx, reason, NOON, self.now + timedelta(1)) for reason in REASONS]
            believed = Counter(end or "still_held" for ends in self.fates.values() for end in ends)
            for name in ("still_held", *ENDS.values()):
                assert sum(getattr(one, name) for one in fates) == believed[name]
            assert sum(one.held for one in fates) == believed.total()
            assert sum(one.recipients for one in held(tx)) == believed["still_held"]
            assert verify(tx) == []

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_every_held_mail_ends_in_exactly_one_of_released_expired_cancelled(
    kind: str, sqlite_template: Path, request: pytest.FixtureRequest
) -> None:
    directory = Path(tempfile.mkdtemp(dir=MEMORY))
    if kind == "sqlite":
        shutil.copy(sqlite_template, directory / "ombud.db")
        url = f"sqlite:///{directory / 'ombud.db'}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.fresh()
    HoldModel.database = Database.open(url)
    try:
        HoldModel.TestCase.settings = settings(
            max_examples=15 if kind == "sqlite" else 6, stateful_step_count=20, deadline=None
        )
        HoldModel.TestCase("runTest").runTest()
    finally:
        HoldModel.database.close()
        shutil.rmtree(directory)
