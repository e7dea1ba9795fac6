"""The queue against a model: whatever happens in whatever order, every recipient is in one state that a person would expect."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from sqlalchemy import select

from ombud import usage
from ombud.db import Database
from ombud.ids import new_id
from ombud.mail.reply import Reply
from ombud.queue import (
    Attempt,
    Change,
    Lease,
    NewMessage,
    NewRecipient,
    State,
    Stream,
    What,
    after,
    beat,
    change_all,
    commit_sending,
    lease,
    put,
    recover,
)  # fmt: skip
from ombud.queue.tables import recipient_table
from ombud.usage import HandOver
from ombud.verify import verify
from tests.conftest import NOON
from tests.queue.conftest import put_stage

REPLY = Reply(250, "2.0.0", "words")
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # each step is a commit, and here no power fails
OUTCOMES = {What.DELIVER: "delivered", What.DEFER: "deferred", What.FAIL: "failed", What.LOSE: "unknown"}


class QueueModel(RuleBasedStateMachine):
    """Two workers, one route; `states` is what we believe, the database is what is."""

    template: Path
    leases: Bundle[Lease] = Bundle("leases")
    sending: Bundle[Lease] = Bundle("sending")

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY))
        shutil.copy(self.template, self.directory / "ombud.db")
        self.database = Database.open(f"sqlite:///{self.directory / 'ombud.db'}")
        with self.database.write() as tx:
            self.customer, self.product, self.route = put_stage(tx)
        self.states: dict[int, State] = {}
        self.fences: dict[int, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "database"):
            try:
                self.verify()
            finally:
                self.database.close()
                shutil.rmtree(self.directory)

    @rule(recipients=st.integers(1, 4), held=st.booleans())
    def put(self, recipients: int, held: bool) -> None:
        state = State.HELD if held else State.WAITING
        id = new_id()
        message = NewMessage(
            id=id, customer_id=self.customer, product_id=self.product, credential_id=1, mode="live", door="http", peer="",
            stream=Stream.BULK, mail_from="", header_from="a@eken.example", message_id=id, subject="", content=b"x", created_at=NOON,
            recipients=[NewRecipient(f"{n}@post.example", state, "customer_route", self.route) for n in range(recipients)],
        )  # fmt: skip
        with self.database.write() as tx:
            put(tx, [message])
            rows = tx.execute(select(recipient_table.c.id).where(recipient_table.c.message_id == id))
            self.states.update({row.id: state for row in rows})

    @rule(target=leases, worker=st.sampled_from("ab"), most=st.integers(1, 5))
    def lease(self, worker: str, most: int) -> object:
        with self.database.write() as tx:
            beat(tx, worker, 60)
            taken = lease(tx, worker, self.route, most)
        for one in taken:
            assert after(self.states[one.recipient_id], What.LEASE) is State.LEASED
            assert one.repeated == (self.states[one.recipient_id] is State.UNKNOWN)
            assert one.fence > self.fences.get(one.recipient_id, 0)
            self.states[one.recipient_id], self.fences[one.recipient_id] = State.LEASED, one.fence
        return multiple(*taken)

    @rule(target=sending, one=consumes(leases))
    def commit(self, one: Lease) -> object:
        with self.database.write() as tx:
            (fits,) = commit_sending(tx, [(one.recipient_id, one.fence)])
        assert fits == (self._holds(one) and self.states[one.recipient_id] is State.LEASED)
        if fits:
            self.states[one.recipient_id] = State.SENDING
        return one

    @rule(one=consumes(sending), what=st.sampled_from(list(OUTCOMES)), again=st.booleans())
    def settle(self, one: Lease, what: What, again: bool) -> None:
        attempt = Attempt(self.route, NOON, OUTCOMES[what], REPLY, "relay")
        change = Change(one.recipient_id, one.fence, what, NOON, wait=timedelta(0), attempt=attempt)
        expected = after(self.states[one.recipient_id], what) if self._holds(one) else None
        with self.database.write() as tx:
            results = change_all(tx, [change, change] if again else [change])
            if results[0].now is State.DELIVERED:
                usage.meter(tx, [HandOver(one.recipient_id, self.customer, self.product, self.route, True, NOON)])
        assert results[0].now == expected
        assert not again or results[1].now is None  # the second of two equal answers changes nothing
        self._now(one.recipient_id, expected)

    @rule(dead=st.sampled_from("ab"))
    def worker_dies(self, dead: str) -> None:
        with self.database.write() as tx:
            owned = {row.id for row in tx.execute(select(recipient_table.c.id).where(recipient_table.c.worker == dead))}
            recover(tx, NOON, timedelta(0), all_but="b" if dead == "a" else "a")
            now = {
                row.id: State(row.state) for row in tx.execute(select(recipient_table.c.id, recipient_table.c.state))
            }
        for number in owned:
            before = self.states[number]
            expected = {State.UNKNOWN} if before is State.SENDING else {State.WAITING, State.QUARANTINED}
            assert now[number] in expected
            self.states[number] = now[number]

    @rule(what=st.sampled_from([What.HOLD, What.RELEASE, What.RETRY, What.CANCEL]), pick=st.integers(0, 50))
    def operator(self, what: What, pick: int) -> None:
        if self.states:
            number = sorted(self.states)[pick % len(self.states)]
            with self.database.write() as tx:
                (result,) = change_all(tx, [Change(number, None, what, NOON, wait=timedelta(0), reason="operator")])
            assert result.now == after(self.states[number], what)
            self._now(number, result.now)

    @invariant()
    def what_is_is_what_we_believe(self) -> None:
        with self.database.read() as tx:
            rows = tx.execute(select(recipient_table.c.id, recipient_table.c.state))
            assert {row.id: State(row.state) for row in rows} == self.states

    @rule()
    def verify(self) -> None:
        """Ten times as dear as a step, so not after each; what is wrong mostly stays so, and the end is verified too."""
        with self.database.read() as tx:
            assert verify(tx) == []

    def _holds(self, one: Lease) -> bool:
        return self.fences[one.recipient_id] == one.fence

    def _now(self, number: int, state: State | None) -> None:
        if state:
            self.states[number] = state


def test_the_queue_does_what_its_model_does(sqlite_template: Path) -> None:
    QueueModel.template = sqlite_template
    QueueModel.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
    QueueModel.TestCase("runTest").runTest()
