"""`verify`: a database that the verbs made is clean, and each rule sees the one thing that it is there to see."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from ombud import queue, usage
from ombud.accounts import Mode, create_credential, load_directory, put_customer, put_product
from ombud.accounts.links import Scope as LinkScope
from ombud.accounts.people import people_of, put_person
from ombud.campaigns.choosing import choose
from ombud.choices import (
    Alternative,
    Campaign,
    ExtensionKind,
    Kind,
    Shown,
    approve_extension,
    ask_extension,
    put_campaign,
)
from ombud.clock import day_of, month_of
from ombud.db import Database, Transaction
from ombud.domains import Timing, keys_of, prove_domain, put_next
from ombud.domains.rotation import activate, mark_seen, revoke
from ombud.mail.dkim import new_key
from ombud.mail.reply import Reply
from ombud.notices.letters import LinkWish, Writer, put_letters, submitted, to_person
from ombud.notices.outbox import Kind as NoticeKind
from ombud.notices.outbox import Told, claim, settle
from ombud.queue import Attempt, Change, Lease, NewMessage, NewRecipient, State, Stream, What
from ombud.routing import assign, load_facts, put_route
from ombud.seal import Seal
from ombud.usage import HandOver
from ombud.verify import RULES, Violation, verify

NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)
SOON = timedelta(minutes=5)
YES = Reply(250, "2.0.0", "ok")
NOT_NOW = Reply(451, "4.7.1", "greylisted")
NO = Reply(550, "5.1.1", "no such user")


# --- a small history of everything that can happen -------------------------------------------------------------------


class History:
    """Puts messages in and lets things happen to them by the queue's own verbs, as delivery and the commands do."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.write() as tx:
            for slug in ("eken", "linden"):
                put_customer(tx, slug, slug.title(), NOON)
            put_product(tx, "hyra", "Hyra", NOON)
            directory = load_directory(tx)
            self.eken, self.linden = directory.customer("eken"), directory.customer("linden")
            self.hyra = directory.product("hyra")
            seal = Seal(b"k" * 32)
            put_route(tx, seal, "way", "nowhere", {}, None, NOON, billable=True)
            put_route(tx, seal, "lindens", "nowhere", {}, None, NOON, customer_id=self.linden.id)
            create_credential(tx, self.hyra, self.eken, Mode.LIVE, NOON)
            facts = load_facts(tx)
            self.way, self.test = facts.route("way"), facts.route("test")
            assert self.way
            assign(tx, None, self.hyra.id, self.way.id, NOON)
            prove_domain(tx, "eken.example", self.eken, "operator", "seen", NOON)
            for selector in ("om1", "om2"):
                put_next(tx, seal, new_key("eken.example", selector, "ed25519-sha256"), NOON)
            for key in keys_of(tx, "eken.example"):
                mark_seen(tx, key, 300, NOON)
            for key in keys_of(tx, "eken.example"):
                activate(tx, key, Timing(), NOON)
            revoke(tx, keys_of(tx, "eken.example")[0], NOON)
            queue.beat(tx, "w1", 60)
        self.credential = 1

    def put(self, name: str, *states: State, mode: str = "live", stream: Stream = Stream.TRANSACTIONAL) -> None:
        """A message called `name`, with one recipient for each state; due in five minutes, so that `at_work` takes no other."""
        route = self.test if mode == "test" else self.way
        assert route
        recipients = [
            NewRecipient(f"r{n}@to.example", state, "product_route", route.id) for n, state in enumerate(states)
        ]
        message = NewMessage(
            name, self.eken.id, self.hyra.id, 0 if mode == "test" else self.credential, mode, "smtp", "192.0.2.1", stream, "a@eken.example",
            "a@eken.example", f"{name}@localhost", "Hyran", b"From: a@eken.example\r\n\r\n", recipients, NOON, wait=SOON,
        )  # fmt: skip
        with self.database.write() as tx:
            queue.put(tx, [message])

    def lease(self, name: str, worker: str = "w1") -> list[Lease]:
        """Make the message's recipients due, and take them."""
        with self.database.write() as tx:
            due = "UPDATE recipient SET due_at = 1 WHERE message_id = :name AND due_at IS NOT NULL"
            tx.execute(text(due), {"name": name})
            leases = [lease for route in queue.routes_with_mail(tx) for lease in queue.lease(tx, worker, route, 100)]
        assert {lease.message_id for lease in leases} == {name}
        return leases

    def sending(self, name: str) -> list[Lease]:
        leases = self.lease(name)
        with self.database.write() as tx:
            assert all(queue.commit_sending(tx, [(lease.recipient_id, lease.fence) for lease in leases]))
        return leases

    def happen(
        self, leases: Sequence[Lease], what: What, reply: Reply | None = None, wait: timedelta | None = None
    ) -> None:
        result = {What.DELIVER: "delivered", What.DEFER: "deferred", What.FAIL: "failed", What.LOSE: "unknown"}.get(
            what, "deferred"
        )
        changes = [
            Change(
                lease.recipient_id, lease.fence, what, NOON, wait=wait, reason="looked_at",
                attempt=Attempt(lease.route_id, NOON, result, reply, "mx.to.example[192.0.2.9]:25") if reply else None,
            )
            for lease in leases
        ]  # fmt: skip
        with self.database.write() as tx:
            changed = queue.change_all(tx, changes)
            assert all(one.now for one in changed)
            test = self.test and leases[0].route_id == self.test.id
            usage.meter(
                tx,
                [
                    HandOver(lease.recipient_id, self.eken.id, self.hyra.id, lease.route_id, not test, NOON)
                    for lease in leases
                    if what is What.DELIVER
                ],
            )

    def operator(self, name: str, what: What, wait: timedelta | None = None) -> None:
        with self.database.write() as tx:
            numbers = [
                row.id for row in tx.execute(text("SELECT id FROM recipient WHERE message_id = :m"), {"m": name})
            ]
            changed = queue.change_all(tx, [Change(number, None, what, NOON, wait=wait) for number in numbers])
            assert all(one.now for one in changed)


def choose_and_extend(history: History) -> None:
    """Eken chooses, and chooses anew; an operator chooses for Linden, which gets more time."""
    names: dict[str, str] = {"sv": "Egen", "en": "Own"}
    own = Alternative("own", Kind.OWN, "{slug}-egen", (), True, names, names)
    wanted = Campaign(
        0, "byte", 0, names, {}, (own,), date(2024, 1, 8), date(2024, 2, 1), date(2024, 5, 31), date(2024, 8, 31)
    )
    shown = Shown("Egen server.", "", "sv")
    with history.database.write() as tx:
        campaign = put_campaign(tx, wanted, {}, NOON)
        karin = put_person(tx, history.eken.id, "Karin", "karin@eken.example", NOON, may_choose=True)
        put_person(tx, history.linden.id, "Lars", "lars@linden.example", NOON, may_choose=True)
        first = choose(tx, campaign, history.eken, "own", shown, NOON, expected=None, person=karin)
        choose(tx, campaign, history.eken, "own", shown, NOON, expected=first.choice.id, person=karin)
        choose(tx, campaign, history.linden, "own", shown, NOON, expected=None, operator="anna", reason="rang")
        asked = ask_extension(
            tx, campaign, history.linden, ExtensionKind.EXTENSION, date(2024, 6, 30), NOON, reason_code="other", reason="x", by="anna"
        )  # fmt: skip
        approve_extension(tx, campaign, asked, "bo", NOON)


def write_to_karin(history: History) -> None:
    """Two letters: one is on its way as the message `delivered`, one waits."""
    with history.database.write() as tx:
        karin = people_of(tx, history.eken.id)[0]
        writer = Writer(Seal(b"k" * 32), None, "https://ombud.example")
        values = {"customer": "Eken", "valid_until": "juni"}
        links = {"choose_url": LinkWish(LinkScope.CHOOSE, "byte")}
        letters = [
            to_person(karin, history.eken.id, f"new/{n}", "new_link", values=values, links=links) for n in (1, 2)
        ]
        put_letters(tx, writer, letters, NOON)
        first = claim(tx, NoticeKind.MAIL, "", 1)[0]
        settle(tx, first, Told(True), NOON)
        submitted(tx, first.ref, "delivered")


def live_through_everything(database: Database) -> None:
    history = History(database)
    choose_and_extend(history)
    write_to_karin(history)
    for name in ("waiting", "cancelled", "held-by-hand", "released"):
        history.put(name, State.WAITING)
    history.put("held-at-once", State.HELD)
    history.put("suppressed", State.WAITING, State.SUPPRESSED, stream=Stream.BULK)
    history.operator("cancelled", What.CANCEL)
    history.operator("held-by-hand", What.HOLD)
    history.operator("released", What.HOLD)
    history.operator("released", What.RELEASE, SOON)
    for name in (
        "delivered",
        "deferred",
        "failed",
        "unknown",
        "unknown-held",
        "late",
        "expired",
        "given-back",
        "aside",
    ):
        history.put(name, State.WAITING, State.WAITING)
    history.put("test", State.WAITING, mode="test", stream=Stream.IMPORTANT)
    for name in ("delivered", "deferred", "expired"):
        history.happen(history.sending(name), What.DEFER, NOT_NOW, SOON)
    history.happen(history.sending("delivered"), What.DELIVER, YES)
    history.happen(history.sending("test"), What.DELIVER, YES)
    history.happen(history.lease("failed"), What.FAIL, NO)
    history.happen(history.sending("unknown"), What.LOSE, NOT_NOW, SOON)
    history.happen(history.sending("unknown-held"), What.LOSE, NOT_NOW, None)
    late = history.sending("late")
    history.happen(late, What.LOSE, None, SOON)
    history.happen(late, What.DELIVER, YES)
    history.happen(history.lease("expired"), What.EXPIRE, NOT_NOW)
    history.happen(history.lease("given-back"), What.GIVE_BACK, None, SOON)
    history.happen(history.lease("aside"), What.QUARANTINE)
    history.put("in-hand", State.WAITING)
    history.put("at-the-dot", State.WAITING)
    history.lease("in-hand")
    history.sending("at-the-dot")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database in which everything has happened. The tests break it in a transaction that they roll back."""
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("lived") / "ombud.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        database = Database.open(f"sqlite:///{path}")
    else:
        database = Database.open(request.getfixturevalue("postgres").fresh())
    live_through_everything(database)
    yield database
    database.close()


@contextmanager
def broken(database: Database, *statements: str) -> Iterator[Transaction]:
    """A transaction in which these statements have been run, foreign keys or not; undone at the end."""
    with database.engine.connect() as connection, connection.begin() as transaction:
        unguarded = (
            "SET LOCAL session_replication_role = replica" if database.postgres else "PRAGMA defer_foreign_keys = ON"
        )
        for statement in (unguarded, *statements):
            done = connection.execute(text(statement))
            assert statement is unguarded or done.rowcount != 0, statement
        yield Transaction(connection)
        transaction.rollback()


def of(name: str, n: int = 0) -> str:
    return f"(SELECT id FROM recipient WHERE message_id = '{name}' AND n = {n})"


LINDENS = "(SELECT id FROM route WHERE slug = 'lindens')"  # its number may be any: a crash of PostgreSQL skips some


# --- clean -----------------------------------------------------------------------------------------------------------


def test_a_database_that_the_verbs_made_is_clean(lived: Database) -> None:
    with lived.read() as tx:
        states = {row[0] for row in tx.execute(text("SELECT DISTINCT state FROM recipient"))}
        assert verify(tx) == []
    assert states == set(State), "the history leaves out a state"


def test_an_empty_database_is_clean(database: Database) -> None:
    with database.read() as tx:
        assert verify(tx) == []


# --- broken ----------------------------------------------------------------------------------------------------------

MAKE_MESSAGE = (
    "INSERT INTO message SELECT 'new', customer_id, product_id, credential_id, mode, door, peer, stream, mail_from, header_from,"
    " message_id, subject, size, personal, needs_utf8, tags, metadata, created_at FROM message WHERE id = 'waiting'"
)
MAKE_EVENT = "INSERT INTO event (at, type, customer_id, message_id, recipient_id, data) SELECT at, '{}', customer_id, message_id, {}, data FROM event WHERE message_id = '{}' AND type = 'accepted'"
MAKE_RECIPIENT = (
    "INSERT INTO recipient (message_id, n, customer_id, address, state, reason, route_id, lane, due_at, expires_at, fence, attempts,"
    " crashes, changed_at) SELECT '{}', {}, customer_id, address, state, reason, route_id, lane, due_at, expires_at, fence, attempts,"
    " crashes, changed_at FROM recipient WHERE message_id = 'waiting'"
)
MAKE_ATTEMPT = "INSERT INTO attempt SELECT {}, {}, route_id, started_at, ended_at, '{}', code, enhanced, words, remote FROM attempt WHERE recipient_id = {} AND n = 1"

#: Makes the day's counts fit the meter again, for what is to be broken there only.
TALLY = [
    "DELETE FROM tally",
    "INSERT INTO tally SELECT 19850, customer_id, product_id, route_id, CASE WHEN billable THEN 'billable' ELSE 'free' END, 0, count(*) FROM usage GROUP BY 2, 3, 4, 5",
]

LOCKED = "INSERT INTO billing_period (period, preview, hash, previewed_at, previewed_by, locked_at) VALUES ('2024-05', '{}', 'h', 1, 'eva', 1)"


def invoice(running: int, *, serial: int = 0, credits: str = "NULL", net: int = 50_000) -> str:
    return (
        "INSERT INTO invoice_basis (running, number, customer_id, period, serial, credits, issued, currency, net, vat, emails, content,"
        f" sha256, by, at) VALUES ({running}, 'M{running}', 1, '2024-05', {serial}, {credits}, 1, 'SEK', {net}, 0, 0, '{{}}', '', 'eva', 1)"
    )


def billed(number: str, net: int = 50_000) -> str:
    return f"INSERT INTO invoiced SELECT 1, '2024-05', id, 0, {net} FROM invoice_basis WHERE number = '{number}'"


_OF_M1 = "(SELECT id FROM invoice_basis WHERE number = 'M1')"

BREAK = [
    ("invoice_numbers_gap", [LOCKED, invoice(1), billed("M1"), invoice(3, serial=1, credits=_OF_M1, net=-50_000)]),
    ("invoice_unlocked", [invoice(1), billed("M1")]),
    ("credited_too_much", [LOCKED, invoice(1), billed("M1"), invoice(2, serial=1, credits=_OF_M1, net=-50_001)]),
    ("invoiced_differs", [LOCKED, invoice(1), billed("M1", 49_999)]),
    ("invoiced_differs", [LOCKED, invoice(1)]),
    ("keys_doubled", ["UPDATE signing_key SET state = 'active', sealed_private = (SELECT sealed_private FROM signing_key WHERE state = 'active') WHERE state = 'revoked'"]),
    ("keys_doubled", ["UPDATE signing_key SET selector = 'om2', state = 'next', sealed_private = (SELECT sealed_private FROM signing_key WHERE state = 'active') WHERE state = 'revoked'"]),
    ("key_half_there", ["UPDATE signing_key SET state = 'retiring' WHERE state = 'revoked'"]),
    ("key_half_there", ["UPDATE signing_key SET sealed_private = (SELECT sealed_private FROM signing_key WHERE state = 'active') WHERE state = 'revoked'"]),
    ("domain_unwatched", ["DELETE FROM domain_watch"]),
    ("domain_stops_when", ["UPDATE domain_watch SET state = 'at_risk'"]),
    ("domain_stops_when", ["UPDATE domain_watch SET stop_at = 1"]),
    ("choice_missing", ["DELETE FROM choice WHERE number = 1 AND NOT by_operator"]),
    ("choice_missing", ["UPDATE choice SET number = 3 WHERE number = 2"]),
    ("choice_by_a_stranger", ["UPDATE choice SET person_id = (SELECT id FROM person WHERE name = 'Lars') WHERE number = 2"]),
    ("choice_by_a_stranger", ["UPDATE choice SET person_id = NULL WHERE number = 2"]),
    ("choice_by_a_stranger", ["UPDATE choice SET by = '' WHERE by_operator"]),
    ("case_missing", ["DELETE FROM case_comment", "DELETE FROM service_case"]),
    ("case_differs", ["UPDATE service_case SET alternative = 'vipre' WHERE reference LIKE '%/eken'"]),
    ("extension_by_one", ["UPDATE extension SET approved_by = 'Anna'"]),
    ("notice_adrift", ["UPDATE notice SET due_at = NULL WHERE state = 'waiting'"]),
    ("notice_adrift", ["UPDATE notice SET due_at = 5 WHERE state = 'told'"]),
    ("letter_unsent", ["UPDATE letter SET notice_ref = 'gone' WHERE message_id IS NULL"]),
    ("letter_unsent", ["UPDATE letter SET message_id = 'gone' WHERE message_id IS NOT NULL"]),
    ("letter_unsent", ["UPDATE letter SET message_id = NULL"]),
    ("link_of_a_stranger", ["UPDATE link SET customer_id = (SELECT id FROM customer WHERE slug = 'linden') WHERE scope = 'choose'"]),
    ("extension_by_one", ["UPDATE extension SET approved_by = ''"]),
    ("state_unknown", ["UPDATE recipient SET state = 'lost', due_at = NULL WHERE message_id = 'waiting'"]),
    ("never_due", ["UPDATE recipient SET due_at = NULL WHERE message_id = 'waiting'"]),
    ("never_due", ["UPDATE recipient SET due_at = NULL WHERE message_id = 'deferred' AND n = 1"]),
    ("never_due", ["UPDATE recipient SET route_id = NULL WHERE message_id = 'waiting'"]),
    ("wrongly_due", ["UPDATE recipient SET due_at = 5 WHERE message_id = 'delivered'"]),
    ("wrongly_due", ["UPDATE recipient SET due_at = 5 WHERE message_id = 'in-hand'"]),
    ("wrongly_due", ["UPDATE recipient SET due_at = 5 WHERE message_id = 'held-by-hand'"]),
    ("lease_differs", ["UPDATE recipient SET worker = NULL WHERE message_id = 'in-hand'"]),
    ("lease_differs", ["UPDATE recipient SET worker = 'w1' WHERE message_id = 'failed'"]),
    ("lease_orphaned", ["DELETE FROM worker"]),
    ("fence_ahead", ["UPDATE recipient SET fence = 9999 WHERE message_id = 'waiting'"]),
    ("fence_ahead", ["UPDATE recipient SET fence = 0 WHERE message_id = 'at-the-dot'"]),
    ("counter_wrong", ["DELETE FROM revision"]),
    ("counter_wrong", ["INSERT INTO fence VALUES (2, 0)"]),
    ("hold_differs", ["UPDATE hold SET ended_at = held_at, ended_as = 'released' WHERE ended_at IS NULL"]),
    ("hold_differs", [f"INSERT INTO hold (recipient_id, customer_id, product_id, sender_domain, reason, held_at) VALUES ({of('waiting')}, 1, 1, 'eken.example', 'x', 5)"]),
    ("hold_of_another", ["UPDATE hold SET sender_domain = 'linden.example'"]),
    ("hold_of_another", ["UPDATE hold SET product_id = product_id + 1"]),
    ("hold_unended", ["UPDATE hold SET ended_as = NULL WHERE ended_at IS NOT NULL"]),
    ("hold_unended", ["UPDATE hold SET ended_at = held_at - 1 WHERE ended_at IS NOT NULL"]),
    ("customer_differs", ["UPDATE recipient SET customer_id = 2 WHERE message_id = 'waiting'"]),
    ("customer_differs", ["UPDATE event SET customer_id = 2 WHERE message_id = 'waiting'"]),
    ("credential_differs", ["UPDATE credential SET customer_id = 2"]),
    ("credential_differs", ["UPDATE credential SET mode = 'test'"]),
    ("lane_differs", ["UPDATE recipient SET lane = lane + 1 WHERE message_id = 'waiting'"]),
    ("lane_differs", ["UPDATE recipient SET lane = 4 * 2 + 1 WHERE message_id = 'waiting'"]),
    ("route_foreign", [f"UPDATE recipient SET route_id = {LINDENS} WHERE message_id = 'waiting'"]),
    ("route_unknown", ["UPDATE recipient SET route_id = 9999 WHERE message_id = 'waiting'"]),
    ("route_unknown", [f"UPDATE attempt SET route_id = 9999 WHERE recipient_id = {of('failed')}"]),
    ("assigned_twice", ["INSERT INTO assignment (customer_id, product_id, route_id, since) SELECT customer_id, product_id, 1, since FROM assignment"]),
    ("message_empty", [MAKE_MESSAGE, "INSERT INTO body SELECT 'new', content FROM body WHERE message_id = 'waiting'", MAKE_EVENT.format("accepted", "NULL", "waiting").replace(" message_id, NULL", " 'new', NULL")]),
    ("recipients_gap", ["UPDATE recipient SET n = 1 WHERE message_id = 'waiting'"]),
    ("recipients_gap", [MAKE_RECIPIENT.format("waiting", 2)]),
    ("body_differs", ["DELETE FROM body WHERE message_id = 'waiting'"]),
    ("body_differs", ["UPDATE message SET size = size + 1 WHERE id = 'waiting'"]),
    ("accepted_differs", ["DELETE FROM event WHERE message_id = 'waiting'"]),
    ("accepted_differs", [MAKE_EVENT.format("accepted", "NULL", "waiting")]),
    ("points_nowhere", [MAKE_RECIPIENT.format("gone", 0)]),
    ("points_nowhere", ["INSERT INTO body SELECT 'gone', content FROM body WHERE message_id = 'waiting'"]),
    ("points_nowhere", [MAKE_ATTEMPT.format("999", 1, "deferred", of("failed"))]),
    ("points_nowhere", [MAKE_EVENT.format("held", "999", "waiting")]),
    ("attempts_gap", [f"DELETE FROM attempt WHERE recipient_id = {of('failed')}"]),
    ("attempts_gap", [f"UPDATE attempt SET n = 3 WHERE recipient_id = {of('failed')}"]),
    ("attempts_gap", ["UPDATE recipient SET attempts = 4 WHERE message_id = 'waiting'"]),
    ("attempt_differs", [f"UPDATE attempt SET result = 'deferred' WHERE recipient_id = {of('delivered')}"]),
    ("attempt_differs", [f"UPDATE attempt SET result = 'delivered' WHERE recipient_id = {of('deferred')}"]),
    ("event_differs", ["UPDATE recipient SET state = 'failed' WHERE message_id = 'expired'"]),
    ("event_differs", [f"DELETE FROM event WHERE recipient_id = {of('delivered')} AND type = 'delivered'"]),
    ("event_differs", [MAKE_EVENT.format("delivered", of("deferred"), "deferred")]),
    ("event_after_the_end", [MAKE_EVENT.format("delivered", of("delivered"), "delivered")]),
    ("usage_missing", [f"DELETE FROM usage WHERE recipient_id = {of('delivered')}", *TALLY]),
    ("usage_extra", [f"INSERT INTO usage SELECT {of('failed')}, customer_id, product_id, route_id, period, handed_over_at, billable FROM usage WHERE recipient_id = {of('delivered')}", *TALLY]),
    ("usage_differs", [f"UPDATE usage SET customer_id = 2 WHERE recipient_id = {of('delivered')}", *TALLY]),
    ("usage_differs", [f"UPDATE usage SET product_id = 2 WHERE recipient_id = {of('delivered')}", *TALLY]),
    ("usage_differs", [f"UPDATE usage SET route_id = {LINDENS} WHERE recipient_id = {of('delivered')}", *TALLY]),
    ("usage_differs", [f"UPDATE usage SET billable = true WHERE recipient_id = {of('test')}", *TALLY]),
    ("usage_period_differs", ["UPDATE usage SET period = '2024-06'"]),
    ("usage_period_differs", ["UPDATE usage SET period = 'May'"]),
    ("tally_differs", ["UPDATE tally SET number = number + 1 WHERE what = 'billable'"]),
    ("tally_differs", ["UPDATE tally SET day = day + 1"]),
    ("tally_differs", ["UPDATE tally SET what = 'free' WHERE what = 'billable'"]),
    ("tally_differs", ["DELETE FROM tally WHERE what = 'free'"]),
    ("tally_differs", ["INSERT INTO tally SELECT day + 3, customer_id, product_id, route_id, what, shard, 1 FROM tally WHERE what = 'free'"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "statements"), BREAK, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(BREAK)])
def test_what_is_broken_is_seen_by_its_rule_and_no_other(lived: Database, rule: str, statements: list[str]) -> None:
    with broken(lived, *statements) as tx:
        assert [violation.rule for violation in verify(tx)] == [rule]


def test_every_rule_is_broken_by_a_test() -> None:
    assert {rule for rule, _ in BREAK} == set(RULES)


def test_a_violation_says_what_is_wrong_how_often_and_where_by_message_never_by_address(lived: Database) -> None:
    with broken(lived, "UPDATE recipient SET fence = 9999 WHERE state <> 'x'") as tx:
        (violation,) = verify(tx)
    assert violation.count > len(violation.examples) == 5
    assert violation.examples[0] == "aside-0"
    assert violation.detail.startswith(
        f"A recipient has a fence number that was never given out ({violation.count}: aside-0, "
    )
    assert "@" not in violation.detail


def test_the_days_of_what_is_handed_over_are_stockholms_also_when_the_clocks_are_put_on(lived: Database) -> None:
    winter, summer = datetime(2024, 3, 30, 23, 30, tzinfo=UTC), datetime(2024, 3, 31, 22, 30, tzinfo=UTC)
    in_winter, in_summer = (round(moment.timestamp() * 1_000_000) for moment in (winter, summer))
    moved = [
        f"UPDATE usage SET handed_over_at = {in_winter} WHERE billable",
        f"UPDATE usage SET handed_over_at = {in_summer} WHERE NOT billable",
        "UPDATE usage SET period = CASE WHEN billable THEN '2024-03' ELSE '2024-04' END",
    ]
    days = [f"UPDATE tally SET day = {19813 + n} WHERE what = '{what}'" for n, what in enumerate(("billable", "free"))]
    with broken(lived, *moved, *days) as tx:
        assert verify(tx) == []
    with broken(lived, *moved, days[0], days[1].replace("19814", "19813")) as tx:
        (violation,) = verify(tx)
    assert violation.examples == ("customer 1 on 2024-03-31, free", "customer 1 on 2024-04-01, free")


def test_counts_stay_when_the_meter_forgets_the_days_behind_them(lived: Database) -> None:
    old = "INSERT INTO tally SELECT day - 200, customer_id, product_id, route_id, what, shard, 7 FROM tally"
    with broken(lived, old) as tx:
        assert verify(tx) == []


def test_a_violation_that_names_all_its_rows_says_no_more() -> None:
    assert Violation("x", 1, "It is wrong.", ("a",)).detail == "It is wrong (1: a)"


@pytest.mark.parametrize(
    "moment",
    [datetime(2024, 5, 31, 21, 59, 59, 999999, tzinfo=UTC), datetime(2024, 5, 31, 22, 0, tzinfo=UTC), datetime(2023, 12, 31, 23, 30, tzinfo=UTC)],
)  # fmt: skip
def test_the_month_of_a_hand_over_is_stockholms_to_the_microsecond(lived: Database, moment: datetime) -> None:
    micros = round(moment.timestamp() * 1_000_000)
    day = f"UPDATE tally SET day = {day_of(moment).toordinal() - date(1970, 1, 1).toordinal()}"
    with broken(lived, f"UPDATE usage SET handed_over_at = {micros}, period = '{month_of(moment)}'", day) as tx:
        assert verify(tx) == []
    with broken(lived, f"UPDATE usage SET handed_over_at = {micros}, period = '{moment:%Y-%m}'", day) as tx:
        right = f"{moment:%Y-%m}" == month_of(moment)
        assert [violation.rule for violation in verify(tx)] == ([] if right else ["usage_period_differs"])
