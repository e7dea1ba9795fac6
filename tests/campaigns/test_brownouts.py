"""A brownout is announced, asked for by one and approved by another; what goes in comes out, and those concerned are told."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from ombud.accounts import load_directory
from ombud.accounts.people import mark_bounced, put_person
from ombud.campaigns.brownouts import BrownoutState, approve, concerned, report, reports, tell_what_it_did
from ombud.choices import ExtensionKind, approve_extension, ask_extension
from ombud.clock import parse_moment
from ombud.errors import BadField, BrownoutOver, SelfApproval
from ombud.ids import new_id
from ombud.notices.letters import Writer, letters_of
from ombud.queue import Change, NewMessage, NewRecipient, Origin, State, Stream, What, change_all, held_ids, put
from ombud.routing import Action, Brownout, ask_brownout, decide, get_brownout, load_facts, pause_brownout
from tests.campaigns.house import NOON, SEAL, House, on_sqlite

STARTS, ENDS = parse_moment("2024-05-15T10:00"), parse_moment("2024-05-15T12:00")
MINUTE = timedelta(minutes=1)
WRITER = Writer(SEAL, None, "https://ombud.example")


def asked(house: House, starts: datetime = STARTS, ends: datetime = ENDS) -> Brownout:
    with house.database.write() as tx:
        return ask_brownout(tx, house.campaign.id, starts, ends, NOON, by="anna", reason="så att de ser")


def approved(house: House, one: Brownout, by: str = "bo", now: datetime = NOON) -> list[str]:
    with house.database.write() as tx:
        facts, directory = load_facts(tx), load_directory(tx)
        return [letter.address for letter in approve(tx, facts, directory, house.campaign, one.id, WRITER, now, by=by)]


def customers(house: House, one: Brownout) -> list[int]:
    with house.database.read() as tx:
        return concerned(tx, load_facts(tx), load_directory(tx), house.campaign, one)


def decided(house: House, now: datetime, important: bool = False) -> Action:
    with house.database.read() as tx:
        return decide(load_facts(tx), house.eken.id, house.product("hyra"), now, important=important).action


@on_sqlite
def test_it_concerns_those_who_have_neither_chosen_nor_more_time(house: House) -> None:
    one = asked(house)
    assert customers(house, one) == [house.eken.id, house.linden.id]
    house.choose(house.eken, "mailgun")
    with house.database.write() as tx:
        more = ask_extension(
            tx, house.campaign, house.linden, ExtensionKind.EXTENSION, date(2024, 6, 30), NOON, reason_code="other", reason="bygger", by="anna"
        )  # fmt: skip
    assert customers(house, one) == [house.linden.id]  # asked for is not granted
    with house.database.write() as tx:
        approve_extension(tx, house.campaign, more, "bo", NOON)
    assert customers(house, one) == []


def test_nothing_happens_before_another_person_approves_it(house: House) -> None:
    one = asked(house)
    assert decided(house, STARTS) is Action.SEND
    with pytest.raises(SelfApproval):
        approved(house, one, by="anna")
    assert decided(house, STARTS) is Action.SEND
    assert approved(house, one) == ["karin@eken.example", "lars@linden.example"]
    assert [decided(house, at) for at in (STARTS - MINUTE, STARTS, ENDS - MINUTE, ENDS)] == [
        Action.SEND, Action.HOLD, Action.HOLD, Action.SEND,
    ]  # fmt: skip
    assert decided(house, STARTS, important=True) is Action.SEND


@on_sqlite
def test_everyone_is_told_once_a_day_before_and_no_later(house: House) -> None:
    one = asked(house)
    with pytest.raises(BadField, match="24 hours"):
        approved(house, one, now=STARTS - timedelta(hours=23))
    assert len(approved(house, one, now=STARTS - timedelta(hours=24))) == 2
    with pytest.raises(BrownoutOver):
        approved(house, one, by="cia")
    with house.database.read() as tx:
        assert [letter.text for letter in letters_of(tx)] == ["brownout_announced"] * 2


@on_sqlite
def test_nobody_is_told_at_an_address_that_letters_come_back_from(house: House) -> None:
    with house.database.write() as tx:
        mark_bounced(tx, house.lars.id, NOON)
        put_person(tx, house.eken.id, "Ola Ek", "ola@eken.example", NOON)  # may not choose
    assert approved(house, asked(house)) == ["karin@eken.example"]


def hold(house: House, *customers: str) -> None:
    """One message of each, held as `decide` says during the window."""
    with house.database.write() as tx:
        for slug in customers:
            id = new_id()
            put(
                tx,
                [
                    NewMessage(
                        id=id, customer_id=house.directory.customer(slug).id, product_id=house.product("hyra"), credential_id=1,
                        mode="live", door="http", peer="", stream=Stream.TRANSACTIONAL, mail_from=f"hyra@{slug}.example",
                        header_from=f"hyra@{slug}.example", message_id=f"{id}@ombud.example", subject="Avi", content=b"",
                        recipients=[NewRecipient("asa@tenant.example", State.HELD, "brownout", house.route("vipre"))],
                        created_at=STARTS + MINUTE,
                    )
                ],
            )  # fmt: skip


def release(house: House) -> None:
    with house.database.write() as tx:
        for customer in (house.eken, house.linden):
            origin = Origin(house.product("hyra"), f"{customer.slug}.example")
            for id, _ in held_ids(tx, "brownout", customer.id, [origin], 100):
                assert change_all(tx, [Change(id, None, What.RELEASE, ENDS, wait=timedelta(0))])[0].now is State.WAITING


def test_what_goes_in_comes_out_and_is_told_when_it_has(house: House) -> None:
    one = asked(house)
    approved(house, one)
    hold(house, "eken", "eken", "linden")
    after = ENDS + MINUTE
    with house.database.write() as tx:
        during = report(tx, house.campaign, get_brownout(tx, one.id), STARTS + 2 * MINUTE)
        assert (during.state, during.fate.held, during.fate.still_held, during.balanced) == (
            BrownoutState.ON,
            3,
            3,
            True,
        )
        stuck = report(tx, house.campaign, get_brownout(tx, one.id), after)
        assert (stuck.state, stuck.balanced) == (BrownoutState.OVER, False)
        assert tell_what_it_did(tx, house.campaign, house.directory, WRITER, after) == []
    release(house)
    with house.database.write() as tx:
        (done,) = reports(tx, house.campaign, after)
        assert done.balanced and (done.fate.held, done.fate.released, done.fate.customers) == (3, 3, 2)
        told = tell_what_it_did(tx, house.campaign, house.directory, WRITER, after)
        assert [(one.address, one.values["held"], one.values["released"]) for one in told] == [
            ("karin@eken.example", "2", "2"), ("lars@linden.example", "1", "1"),
        ]  # fmt: skip
        assert tell_what_it_did(tx, house.campaign, house.directory, WRITER, after) == []  # once


@on_sqlite
def test_the_button_ends_it_at_once(house: House) -> None:
    one = asked(house)
    approved(house, one)
    pressed = STARTS + timedelta(minutes=30)
    assert decided(house, pressed) is Action.HOLD
    with house.database.write() as tx:
        pause_brownout(tx, one.id, pressed, by="vem som helst")
    assert decided(house, pressed) is Action.SEND
    with house.database.read() as tx:
        assert report(tx, house.campaign, get_brownout(tx, one.id), pressed).state is BrownoutState.PAUSED


@on_sqlite
def test_what_nobody_approves_in_time_lapses(house: House) -> None:
    one = asked(house)
    with house.database.read() as tx:
        found = [report(tx, house.campaign, one, at).state for at in (NOON, ENDS)]
    assert found == [BrownoutState.ASKED, BrownoutState.LAPSED]
