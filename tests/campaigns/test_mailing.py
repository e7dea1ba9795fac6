"""A campaign's letters from a real database: planned, sent once, followed, and answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import update

from ombud.accounts import load_directory, put_customer
from ombud.accounts.links import Scope, make_link, open_link
from ombud.accounts.people import Role, mark_bounced, person_by_id, put_person
from ombud.accounts.vendor import put_vendor
from ombud.campaigns.answering import learn_case_number
from ombud.campaigns.cases import case_of
from ombud.campaigns.choosing import ServiceCentre
from ombud.campaigns.correspondence import (
    daily_notes,
    domain_letters,
    due_letters,
    extension_letters,
    load_orders,
    plan_of,
)
from ombud.campaigns.letters import Plan, Why
from ombud.campaigns.mailing import (
    automatic_campaigns,
    last_days,
    load_past,
    load_reach,
    put_automatic,
    snooze,
)
from ombud.campaigns.picture import Picture, load_picture
from ombud.campaigns.stages import Ball
from ombud.choices import Extension, ExtensionKind, approve_extension, ask_extension, load_choices
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.domains import prove_domain
from ombud.domains.watchlist import watch_table
from ombud.errors import TooLateToPause
from ombud.notices.letters import Writer, follow_letters, letters_of, put_letters, submitted
from ombud.notices.outbox import Kind, find_notices
from ombud.queue import State
from ombud.usage import Counted, Tally, add_tallies
from tests.campaigns.house import SEAL, House

WRITER = Writer(SEAL, None, "https://ombud.example")
SLUG = "molntjanst-2024"


def at(day: str, hour: int = 9) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), STOCKHOLM).replace(hour=hour)


def _plan(tx: Transaction, now: datetime) -> tuple[Picture, Plan]:
    picture = load_picture(tx, SLUG, now, load_reach(tx, SLUG))
    return picture, plan_of(tx, picture, now)


def _send(house: House, day: str) -> list[str]:
    with house.database.write() as tx:
        now = at(day)
        return [
            f"{one.text} {one.address}" for one in put_letters(tx, WRITER, _plan(tx, now)[1].letters, now, by="ola")
        ]


def _ask(tx: Transaction, house: House, now: datetime) -> Extension:
    return ask_extension(
        tx, house.campaign, house.eken, ExtensionKind.EXTENSION, date(2024, 6, 30), now,
        reason_code="waiting_for_supplier", reason="IT-leverantören har semester", by="anna",
    )  # fmt: skip


def test_a_day_is_sent_once_whoever_sends_it_twice(house: House) -> None:
    assert _send(house, "2024-01-08") == ["invitation karin@eken.example", "invitation lars@linden.example"]
    assert _send(house, "2024-01-08") == _send(house, "2024-01-09") == []
    house.choose(house.eken, "mailgun", at("2024-03-01"))
    assert _send(house, "2024-03-28") == ["setup_reminder karin@eken.example", "choose_reminder lars@linden.example"]
    with house.database.read() as tx:
        sent = letters_of(tx, campaign=SLUG)
        assert [(one.stage, one.ball) for one in sent[1:]] == [
            ("not_reached", "vendor"),
            ("chosen", "customer"),
            ("not_reached", "vendor"),
        ]
        assert {notice.kind for notice in find_notices(tx)} == {Kind.MAIL}


def test_what_came_of_letters_is_where_the_customer_stands(house: House) -> None:
    _send(house, "2024-01-08")
    with house.database.write() as tx:
        assert load_reach(tx, SLUG) == {}
        put_person(tx, house.eken.id, "Sven", "sven@eken.example", at("2024-01-08"))
        mark_bounced(tx, house.karin.id, at("2024-01-09"))
        assert load_reach(tx, SLUG) == {}  # Sven is left
        mark_bounced(tx, house.lars.id, at("2024-01-09"))
        assert load_reach(tx, SLUG)[house.linden.id].bounced
        _, plan = _plan(tx, at("2024-03-28"))
        assert [one.why for one in plan.excluded if one.customer_id == house.linden.id] == [Why.DEAD_CONTACT]


def test_a_pause_is_kept_by_the_person_and_ends_before_the_last_day(house: House) -> None:
    now = at("2024-05-24")
    with house.database.write() as tx:
        token = make_link(tx, SEAL, Scope.SNOOZE, SLUG, now, customer_id=house.eken.id, person_id=house.karin.id)
        link = open_link(tx, SEAL, token, Scope.SNOOZE, now)
        choices = load_choices(tx)
        granted = snooze(tx, link, house.campaign, choices, now)
        assert (granted.until, granted.before) == (date(2024, 5, 30), False)
        assert snooze(tx, link, house.campaign, choices, at("2024-05-29")).before
        # Nor by the link of another letter: a person is left alone once in a campaign.
        later = make_link(tx, SEAL, Scope.SNOOZE, SLUG, now, customer_id=house.eken.id, person_id=house.karin.id)
        again = snooze(tx, open_link(tx, SEAL, later, Scope.SNOOZE, now), house.campaign, choices, at("2024-05-25"))
        assert (again.until, again.before) == (date(2024, 5, 30), True)
        assert load_past(tx, house.campaign).snoozed == {house.karin.id: date(2024, 5, 30)}
        assert load_reach(tx, SLUG)[house.eken.id].opened_at == now
        other = make_link(tx, SEAL, Scope.SNOOZE, SLUG, now, customer_id=house.linden.id, person_id=house.lars.id)
        with pytest.raises(TooLateToPause):
            snooze(tx, open_link(tx, SEAL, other, Scope.SNOOZE, now), house.campaign, choices, at("2024-05-30"))


def test_more_time_moves_the_last_day_and_is_told(house: House) -> None:
    now = at("2024-05-20")
    with house.database.write() as tx:
        asked = _ask(tx, house, now)
        assert last_days(house.campaign, load_choices(tx)) == {}
        done = approve_extension(tx, house.campaign, asked, "bo", now)
        assert last_days(house.campaign, load_choices(tx)) == {house.eken.id: date(2024, 6, 30)}
        assert done.approved_by == "bo"
        assert due_letters(tx, at("2024-05-23")) == []  # days later it is no news
        new = put_letters(tx, WRITER, due_letters(tx, now), now)
        assert [one.address for one in new] == ["karin@eken.example"]
        text = find_notices(tx)[0].payload["text"].replace("\n", " ")
        assert due_letters(tx, at("2024-05-21")) == []
        assert "till och med 30\xa0juni 2024" in text and "IT-leverantören har semester" in text


def test_reserve_mode_is_told_as_what_it_is(house: House) -> None:
    given = Extension(
        1, house.campaign.id, house.eken.id, ExtensionKind.RESERVE, date(2024, 5, 30), at("2024-05-31", 0),
        "technical_problem", "", "anna", at("2024-05-20"),
    )  # fmt: skip
    (letter,) = extension_letters(house.campaign, house.eken, given, [house.karin, house.lars])
    written = WRITER.sample(letter)
    assert written.subject == "Er e-post skickas tillfälligt från vår adress (Bostads AB Eken)"
    assert "mer tid" not in written.text and "Anledning" not in written.text


def test_whose_mail_stops_gets_a_note_each_working_morning_with_the_numbers(house: House) -> None:
    hyra, marknad = house.product("hyra"), house.product("marknad")
    with house.database.write() as tx:
        add_tallies(
            tx,
            [
                Tally(date(2024, 6, 1), house.eken.id, hyra, 0, Counted.REFUSED, 7),
                Tally(date(2024, 6, 2), house.eken.id, marknad, 0, Counted.REFUSED, 1005),
                Tally(date(2024, 6, 3), house.eken.id, hyra, 0, Counted.REFUSED, 3),
            ],
        )
        assert due_letters(tx, at("2024-06-03", 7)) == []  # too early in the day
        assert due_letters(tx, at("2024-06-01")) == []  # a Saturday
        monday = due_letters(tx, at("2024-06-03"))
        (note,) = put_letters(tx, WRITER, monday, at("2024-06-03"))
        assert (note.text, note.address) == ("daily_note", "karin@eken.example")
        (notice,) = find_notices(tx)
        subject, text = notice.payload["subject"], notice.payload["text"]
        assert subject.split() == [
            "1",
            "012",
            "mejl",
            "från",
            "Bostads",
            "AB",
            "Eken",
            "skickades",
            "inte",
            "1",
            "juni–2",
            "juni",
        ]
        assert "1\xa0012 mejl nekades" in text and "Marknad och Hyra" in text
        assert put_letters(tx, WRITER, due_letters(tx, at("2024-06-03", 14)), at("2024-06-03", 14)) == []
        tuesday = put_letters(tx, WRITER, due_letters(tx, at("2024-06-04")), at("2024-06-04"))
        assert len(tuesday) == 1 and tuesday[0].values["refused"] == "3"
        assert due_letters(tx, at("2024-06-05")) == []  # nothing stopped yesterday
        mark_bounced(tx, house.karin.id, at("2024-06-04"))
        assert due_letters(tx, at("2024-06-04")) == []  # nobody is left to tell


def test_who_has_more_time_or_has_gone_live_gets_no_note(house: House) -> None:
    with house.database.write() as tx:
        add_tallies(tx, [Tally(date(2024, 6, 3), house.eken.id, house.product("hyra"), 0, Counted.REFUSED, 7)])
        asked = _ask(tx, house, at("2024-05-20"))
        approve_extension(tx, house.campaign, asked, "bo", at("2024-05-20"))
        picture, _ = _plan(tx, at("2024-06-04"))
        assert daily_notes(tx, picture, at("2024-06-04")) == []


def test_letters_go_out_by_themselves_only_where_someone_has_said_so(house: House) -> None:
    now = at("2024-01-08")
    with house.database.write() as tx:
        assert automatic_campaigns(tx) == [] and due_letters(tx, now) == []
        put_automatic(tx, SLUG, True, "ola", now)
        assert due_letters(tx, now) == []  # nobody has said who writes
        put_customer(tx, "molntjanst", "Molntjänst AB", now)
        vendor, product = load_directory(tx).customer("molntjanst"), house.directory.product("hyra")
        put_vendor(tx, "Molntjänst AB", vendor, product, "epost@molntjanst.example", now)
        assert [one.text for one in due_letters(tx, now)] == ["invitation", "invitation"]
        assert due_letters(tx, at("2024-01-08", 16)) == []
        put_automatic(tx, SLUG, False, "ola", now)
        assert automatic_campaigns(tx) == [] and due_letters(tx, now) == []


def test_a_domain_at_risk_and_back_is_told_once_each_to_those_who_look_after_it(house: House) -> None:
    since, now = at("2024-05-20", 8), at("2024-05-20", 22)  # also in the evening: there is a time on it
    report = {
        "records": [{"type": "CNAME", "name": "om1._domainkey.eken.example", "expected": "om1.keys.example", "state": "missing"}],
        "findings": [{"code": "dkim.missing", "weight": "required", "turn": "it_supplier", "sv": {"verdict": "DKIM-posten finns inte ännu."}, "en": {"verdict": "x"}}],
    }  # fmt: skip
    with house.database.write() as tx:
        put_person(tx, house.eken.id, "Exempel IT", "it@leverantor.example", since, role=Role.IT_SUPPLIER)
        gone = {
            "state": "at_risk",
            "since": since,
            "stop_at": since + timedelta(hours=72),
            "checked_at": now,
            "report": report,
        }
        tx.execute(update(watch_table).where(watch_table.c.domain == "eken.example").values(**gone))
        new = put_letters(tx, WRITER, due_letters(tx, now), now)
        assert [(one.text, one.address) for one in new] == [
            ("domain_at_risk", "karin@eken.example"), ("domain_at_risk", "it@leverantor.example"),
        ]  # fmt: skip
        (notice, _) = find_notices(tx)
        assert notice.payload["subject"].split() == [
            "Åtgärda",
            "senast",
            "23",
            "maj",
            "kl.",
            "08.00:",
            "något",
            "saknas",
            "i",
            "DNS",
            "för",
            "eken.example",
        ]
        assert "om1._domainkey.eken.example  CNAME  om1.keys.example" in notice.payload["text"]
        assert "DKIM-posten finns inte ännu." in notice.payload["text"]
        assert domain_letters(tx, now + timedelta(hours=1)) == []
        back = {"state": "ok", "since": now, "stop_at": None}
        tx.execute(update(watch_table).where(watch_table.c.domain == "eken.example").values(**back))
        new = put_letters(tx, WRITER, domain_letters(tx, now + timedelta(minutes=5)), now)
        assert [one.text for one in new] == ["domain_back", "domain_back"]
        assert domain_letters(tx, now + timedelta(hours=1)) == []


def test_a_supplier_is_asked_for_what_is_missing_of_the_first_domain_that_is_not_in_order(house: House) -> None:
    missing = {
        "name_servers": ["ns1.loopia.se", "ns2.loopia.se"],
        "records": [
            {"type": "CNAME", "name": f"om{n}._domainkey.second.example", "expected": f"om{n}.keys.example", "state": state}
            for n, state in ((1, "missing"), (2, "ok"))
        ],
    }  # fmt: skip
    with house.database.write() as tx:
        for name in ("second.example", "third.example"):
            prove_domain(tx, name, house.eken, "operator", "", at("2024-05-01"))
        for name, state in (("eken.example", "ok"), ("second.example", "pending"), ("third.example", "pending")):
            tx.execute(update(watch_table).where(watch_table.c.domain == name).values(state=state, report=missing))
        picture, _ = _plan(tx, at("2024-05-07"))
        waits = replace(picture.standings[house.eken.id], ball=Ball.IT_SUPPLIER)
        assert load_orders(tx, picture) == {}  # no supplier has the ball
        orders = load_orders(tx, replace(picture, standings={house.eken.id: waits}))
        order = orders[house.eken.id]
        assert (order.domain, order.records) == (
            "second.example",
            ("om1._domainkey.second.example  CNAME  om1.keys.example",),
        )
        assert order.name_servers == ("ns1.loopia.se", "ns2.loopia.se")


def test_a_case_number_in_the_service_centres_answer_is_attached(house: House) -> None:
    house.choose(house.eken, "mailgun", centre=ServiceCentre(webhook="centre"))
    with house.database.write() as tx:
        (notice,) = find_notices(tx)
        assert learn_case_number(tx, notice, {"number": "SC-4711"}, at("2024-05-07"))
        assert not learn_case_number(tx, notice, {"number": "SC-4711"}, at("2024-05-07"))
        assert not learn_case_number(tx, notice, {"ok": True}, at("2024-05-07"))
        case = case_of(tx, house.campaign.id, house.eken.id)
        assert case and case.number == "SC-4711"


def test_letters_that_came_back_put_the_customer_on_the_list_of_the_dead(house: House) -> None:
    _send(house, "2024-01-08")
    with house.database.write() as tx:
        for notice in find_notices(tx):
            submitted(tx, notice.ref, f"gone-{notice.id}")  # a message of which nothing is known stays open
        assert follow_letters(tx, at("2024-01-08", 12)) == {}
        assert person_by_id(tx, house.karin.id).bounced_at is None
        assert {one.outcome for one in letters_of(tx)} == {None}
        assert State.FAILED.final
