"""Who is written to, what, and when: never the done, never twice, and never anyone but the one who has the ball."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from ombud.accounts import Customer
from ombud.accounts.people import Person, Role
from ombud.campaigns.letters import (
    PLANNED,
    Call,
    Excluded,
    Known,
    Order,
    Past,
    Plan,
    Planned,
    Volume,
    Why,
    phone_list,
    plan_letters,
)
from ombud.campaigns.nextsteps import NEXT_STEPS
from ombud.campaigns.stages import Ball, Stage, Standing
from ombud.clock import STOCKHOLM
from ombud.notices.writing import letter_text
from ombud.workdays import workdays
from tests.campaigns.values import campaign

CAMPAIGN = campaign()
#: What a customer's standing is at each step of the way.
PLACES: Mapping[str, tuple[Stage, Ball]] = {
    "write": (Stage.NOT_REACHED, Ball.VENDOR),
    "find_contact": (Stage.NOT_REACHED, Ball.VENDOR),
    "open": (Stage.REACHED, Ball.CUSTOMER),
    "choose": (Stage.OPENED, Ball.CUSTOMER),
    "give_server": (Stage.CHOSEN, Ball.CUSTOMER),
    "records_customer": (Stage.CHOSEN, Ball.CUSTOMER),
    "records_supplier": (Stage.SETTING_UP, Ball.IT_SUPPLIER),
    "records_wait": (Stage.SETTING_UP, Ball.DNS),
    "consent": (Stage.SETTING_UP, Ball.MICROSOFT_ADMIN),
    "prove": (Stage.VERIFIED, Ball.VENDOR),
    "switch": (Stage.PROVEN, Ball.VENDOR),
    "none": (Stage.LIVE, Ball.NOBODY),
}


def at(day: str, hour: int = 9) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), STOCKHOLM).replace(hour=hour)


def standing(code: str, customer: int = 1, stage: Stage | None = None) -> Standing:
    step, ball = PLACES[code]
    return Standing(customer, stage or step, step, ball, at("2024-05-02"), NEXT_STEPS[code], frozenset())


def person(number: int = 11, customer: int = 1, **more: Any) -> Person:
    return Person(
        number, customer, f"Karin {number}", f"k{number}@eken.example", may_choose=more.pop("may_choose", True), **more
    )


SUPPLIER = person(12, role=Role.IT_SUPPLIER, may_choose=False)
ADMIN = person(13, role=Role.MICROSOFT_ADMIN, may_choose=False)
LONG_AGO = at("2024-01-10")


def known(*people: Person, last: Mapping[tuple[int, str], datetime] | None = None, **more: Any) -> Known:
    snoozed = more.pop("snoozed", {})
    customers = {n: Customer(n, f"kund-{n}", f"Kund {n}") for n in {1, *(one.customer_id or 1 for one in people)}}
    values = {"people": people, "past": Past(last or {}, snoozed), "chosen": {1: "mailgun"}, **more}
    return Known(customers=customers, **values)


def plan(day: str, code: str, *people: Person, stage: Stage | None = None, **more: Any) -> Plan:
    return plan_letters(at(day), CAMPAIGN, [standing(code, stage=stage)], known(*people, **more))


def letter(found: Plan) -> Planned:
    (one,) = found.planned
    assert not found.excluded
    return one


def why(found: Plan) -> Excluded:
    (one,) = found.excluded
    assert not found.planned
    return one


def told(text: str, day: str, number: int = 11) -> dict[tuple[int, str], datetime]:
    return {(number, text): at(day)}


# --- which letter --------------------------------------------------------------------------------------------------


def test_the_first_letter_is_the_invitation_whatever_day_it_is() -> None:
    assert letter(plan("2024-01-08", "write", person())).letter.text == "invitation"
    late = letter(plan("2024-05-07", "write", person()))
    assert (late.letter.text, late.step.name) == ("invitation", "invitation")
    assert letter(plan("2024-05-28", "write", person())).letter.text == "choose_last_week"  # no time for an invitation


def test_each_step_has_its_letter() -> None:
    written = told("invitation", "2024-01-10")
    expected = {
        "2024-01-25": "risk", "2024-03-28": "choose_reminder", "2024-04-30": "choose_reminder", "2024-05-17": "choose_reminder",
        "2024-05-24": "choose_last_week", "2024-05-28": "choose_last_week", "2024-05-30": "choose_last_week",
        "2024-05-31": "choose_stop_day", "2024-06-03": "choose_after_stop", "2024-06-05": "choose_after_stop",
    }  # fmt: skip
    for day, text in expected.items():
        assert letter(plan(day, "choose", person(), last=written)).letter.text == text, day
    assert why(plan("2024-01-24", "choose", person(), last=written)).why is Why.NOTHING_DUE


def test_a_step_is_told_once_and_caught_up_with_when_it_was_missed() -> None:
    missed = letter(plan("2024-05-03", "open", person(), last=told("invitation", "2024-01-10")))
    assert missed.step.name == "-30"
    same = letter(plan("2024-04-30", "open", person(), last=told("invitation", "2024-01-10")))
    assert same.letter.key == missed.letter.key
    done = why(plan("2024-05-03", "open", person(), last=told("choose_reminder", "2024-04-30")))
    assert (done.why, done.detail) == (Why.TOLD, "-30")


def test_who_is_done_gets_one_other_letter_and_is_never_reminded() -> None:
    done = letter(plan("2024-05-24", "none", person(), last=told("choose_reminder", "2024-04-30")))
    assert (done.letter.text, done.letter.key) == ("done", "molntjanst-2024/done/11")
    assert why(plan("2024-05-28", "none", person(), last=told("done", "2024-05-24"))).why is Why.DONE
    assert why(plan("2024-05-28", "none", stage=Stage.EXEMPT)).why is Why.EXEMPT
    # Nobody to tell is nothing to do about: the done are on no list.
    for people in ((), (person(bounced_at=LONG_AGO),)):
        assert why(plan("2024-05-28", "none", *people)).why is Why.DONE


def test_what_is_ours_or_nobodys_to_do_reminds_no_one() -> None:
    written = told("invitation", "2024-01-10")
    assert why(plan("2024-05-24", "switch", person(), last=written)).why is Why.BALL_WITH_US
    assert why(plan("2024-05-24", "prove", person(), last=written)).why is Why.BALL_WITH_US
    assert why(plan("2024-05-24", "records_wait", person(), last=written)).why is Why.WAITING_FOR_DNS


def test_when_the_supplier_has_the_ball_the_supplier_is_written_to_and_nobody_else() -> None:
    order = {1: Order("eken.example", ("om1._domainkey  CNAME  x.example",), {"sv": ("DKIM-posten finns inte ännu.",)})}
    people = (person(), SUPPLIER, ADMIN)
    first = letter(plan("2024-05-07", "records_supplier", *people, orders=order))
    assert (first.letter.address, first.letter.text) == (SUPPLIER.email, "supplier_order")
    assert first.letter.values["record_1"] == "om1._domainkey  CNAME  x.example" and not first.letter.links
    later = letter(
        plan("2024-05-17", "records_supplier", *people, orders=order, last=told("supplier_order", "2024-05-07", 12))
    )
    assert (later.letter.address, later.letter.text) == (SUPPLIER.email, "supplier_reminder")
    assert why(plan("2024-05-17", "records_supplier", person(), orders=order)).why is Why.NO_CONTACT
    assert why(plan("2024-05-17", "records_supplier", *people)).why is Why.NO_RECORDS


def test_the_microsoft_administrator_is_asked_where_there_is_one() -> None:
    assert letter(plan("2024-05-07", "consent", person(), ADMIN)).letter.text == "microsoft_admin"
    alone = letter(plan("2024-05-17", "consent", person(), last=told("invitation", "2024-01-10")))
    assert (alone.letter.address, alone.letter.text) == (person().email, "setup_reminder")


def test_who_has_chosen_is_reminded_of_what_remains() -> None:
    found = letter(plan("2024-05-17", "records_customer", person(), last=told("receipt", "2024-05-10")))
    assert found.letter.text == "setup_reminder" and "DNS-posterna" in found.letter.values["task"]
    assert found.letter.values["alternative"] == "Mailgun"


def test_who_asked_to_be_left_alone_is_until_that_day() -> None:
    written = told("invitation", "2024-01-10")
    left = why(plan("2024-05-17", "open", person(), last=written, snoozed={11: date(2024, 5, 20)}))
    assert (left.why, left.detail) == (Why.SNOOZED, "2024-05-20")
    back = letter(plan("2024-05-20", "open", person(), last=written, snoozed={11: date(2024, 5, 20)}))
    assert back.step.name == "-14" and "snooze_url" not in back.letter.links  # it can be asked for once


def test_a_pause_is_not_offered_when_there_is_no_time_for_one() -> None:
    written = told("invitation", "2024-01-10")
    assert "snooze_url" in letter(plan("2024-05-28", "open", person(), last=written)).letter.links
    for day in ("2024-05-30", "2024-05-31", "2024-06-03"):
        assert "snooze_url" not in letter(plan(day, "open", person(), last=written)).letter.links


def test_more_time_moves_the_steps_to_the_new_last_day() -> None:
    extended = {
        "stage": Stage.EXTENDED,
        "last_days": {1: date(2024, 6, 30)},
        "last": told("choose_reminder", "2024-05-17"),
    }
    found = letter(plan("2024-05-31", "choose", person(), **extended))  # 30 days before
    assert (found.letter.text, found.step.name) == ("choose_reminder", "-30")
    assert found.letter.key == "molntjanst-2024/2024-06-30-30/11"
    assert "30\xa0juni 2024" in found.letter.values["consequence"]


def test_the_last_day_is_today_only_on_that_day() -> None:
    """A last day on a Sunday is told of on the Friday before; what is sent by hand at a weekend says what is so then."""
    sunday = {
        "stage": Stage.EXTENDED,
        "last_days": {1: date(2024, 6, 30)},
        "last": told("choose_last_week", "2024-06-27"),
    }
    friday = letter(plan("2024-06-28", "choose", person(), **sunday))
    assert (friday.letter.text, friday.step.name) == ("choose_last_week", "0")
    assert friday.letter.values["remaining"] == "2 dagar kvar"
    assert letter(plan("2024-06-30", "choose", person(), **sunday)).letter.text == "choose_stop_day"
    saturday = letter(plan("2024-06-01", "choose", person(), last=told("choose_last_week", "2024-05-30")))
    assert (saturday.letter.text, saturday.step.name) == ("choose_after_stop", "0")


def test_before_the_campaign_nobody_is_written_to() -> None:
    assert why(plan("2024-01-07", "write", person())).why is Why.NOT_STARTED


def test_letters_say_only_what_is_true_on_their_day() -> None:
    before = letter(plan("2024-01-25", "open", person(), last=told("invitation", "2024-01-10"))).letter.values
    assert before["risk"].startswith("Redan från 1\xa0februari 2024") and before["remaining"] == "127 dagar kvar"
    day = letter(plan("2024-05-30", "open", person(language="en"), last=told("invitation", "2024-01-10"))).letter.values
    assert day["remaining"] == "1 day remains" and day["emails"] == ""
    after = letter(
        plan(
            "2024-06-03",
            "open",
            person(),
            last=told("invitation", "2024-01-10"),
            volumes={1: Volume(3412, 1104, 17, 0)},
        )
    )
    assert after.letter.values["consequence"] == "" and after.letter.values["stopped_since"] == "1\xa0juni 2024"
    assert (after.letter.values["emails"], after.letter.values["refused"], after.letter.values["held"]) == (
        "3\xa0412",
        "17",
        "",
    )


# --- who is called -------------------------------------------------------------------------------------------------


def _calls(day: str, code: str, *people: Person, **more: Any) -> list[Call]:
    return phone_list(at(day), CAMPAIGN, [standing(code)], known(*people, **more))


def test_dead_and_missing_contacts_are_called_at_once_and_the_never_opened_two_weeks_before() -> None:
    (dead,) = _calls("2024-02-01", "find_contact", person(bounced_at=LONG_AGO, phone="08-1"))
    assert (dead.why, dead.person and dead.person.phone) == ("dead_contact", "08-1")
    (dead,) = _calls("2024-02-01", "choose", person(bounced_at=LONG_AGO))
    assert dead.why == "dead_contact"
    (missing,) = _calls("2024-02-01", "choose")
    assert (missing.why, missing.person) == ("no_contact", None)
    assert _calls("2024-05-16", "open", person()) == []
    (unopened,) = _calls("2024-05-17", "open", person())
    assert unopened.why == "never_opened"
    assert _calls("2024-05-17", "choose", person()) == []  # opened: a letter will do
    assert _calls("2024-05-17", "none") == []


def test_the_phone_list_begins_with_who_sends_most() -> None:
    people = [person(n, customer=n) for n in (1, 2, 3)]
    found = phone_list(
        at("2024-05-17"), CAMPAIGN, [standing("open", n) for n in (1, 2, 3)],
        known(*people, volumes={2: Volume(900), 3: Volume(5000)}),
    )  # fmt: skip
    assert [call.customer.id for call in found] == [3, 2, 1]


# --- in bulk -------------------------------------------------------------------------------------------------------


def _crowd(number: int) -> tuple[list[Standing], list[Person]]:
    chance = random.Random(7)
    codes = list(PLACES)
    standings = [standing(chance.choice(codes), n) for n in range(1, number + 1)]
    people = []
    for n in range(1, number + 1):
        if chance.random() < 0.95:
            bounced = LONG_AGO if chance.random() < 0.03 else None
            people.append(person(10 * n, customer=n, bounced_at=bounced, language=chance.choice(["sv", "en"])))
        if chance.random() < 0.5:
            people.append(person(10 * n + 1, customer=n, role=Role.IT_SUPPLIER, may_choose=False))
    return standings, people


def test_everyone_is_accounted_for_and_every_letter_can_be_written() -> None:
    standings, people = _crowd(400)
    orders = {n: Order(f"k{n}.example") for n in range(1, 401)}
    chosen = dict.fromkeys(range(1, 401), "mailgun")
    found = plan_letters(at("2024-05-17"), CAMPAIGN, standings, known(*people, orders=orders, chosen=chosen))
    assert {one.letter.customer_id for one in found.planned} | {one.customer_id for one in found.excluded} == set(
        range(1, 401)
    )
    assert len({one.letter.key for one in found.planned}) == len(found.planned)
    by_customer = {one.customer_id: one for one in standings}
    common = {"greeting", "vendor", "signature", "phone"}
    for one in found.planned:
        where = by_customer[one.letter.customer_id]
        assert where.stage is not Stage.LIVE or one.letter.text == "done"
        assert where.ball is not Ball.IT_SUPPLIER or one.letter.text.startswith("supplier")
        needed = letter_text(one.letter.text, one.letter.language).needed
        assert needed <= one.letter.values.keys() | one.letter.links.keys() | common


def test_a_campaign_of_5000_is_planned_within_a_second() -> None:
    standings, people = _crowd(5000)
    last = {(one.id, "invitation"): LONG_AGO for one in people}
    everything = known(
        *people,
        last=last,
        orders={n: Order("k.example") for n in range(1, 5001)},
        chosen=dict.fromkeys(range(1, 5001), "egen"),
    )
    plan_letters(at("2024-05-17"), CAMPAIGN, standings[:10], everything)  # the calendar is read once
    began = time.process_time()
    found = plan_letters(at("2024-05-17"), CAMPAIGN, standings, everything)
    assert time.process_time() - began < 1.0
    assert len(found.planned) + len(found.excluded) >= 5000


def test_sixty_days_day_by_day_remind_nobody_twice_or_on_one_day_or_when_done() -> None:
    """Every morning the plan is put; every day some go one step further."""
    chance = random.Random(11)
    way = ["write", "open", "choose", "records_customer", "records_wait", "prove", "switch", "none"]
    place = dict.fromkeys(range(1, 101), 0)
    people = [person(n, customer=n) for n in place]
    last: dict[tuple[int, str], datetime] = {}
    keys: set[str] = set()
    letters: Counter[tuple[int, date]] = Counter()
    days = list(workdays(date(2024, 4, 2), date(2024, 6, 8)))
    for day in days:
        now = at(day.isoformat())
        stops = day > CAMPAIGN.stop_date
        standings = [
            standing(way[where], n, Stage.STOPPED if stops and way[where] != "none" else None)
            for n, where in place.items()
        ]
        found = plan_letters(
            now, CAMPAIGN, standings, replace(known(*people, last=dict(last)), chosen=dict.fromkeys(place, "egen"))
        )
        for one in found.planned:
            number = one.letter.customer_id
            assert one.letter.key not in keys and one.letter.text in PLANNED
            assert (way[place[number]] == "none") == (one.letter.text == "done")
            keys.add(one.letter.key)
            last[number, one.letter.text] = now
            letters[number, day] += 1
        # The same plan again, an hour later, is empty.
        again = plan_letters(
            now + timedelta(hours=1),
            CAMPAIGN,
            standings,
            replace(known(*people, last=dict(last)), chosen=dict.fromkeys(place, "egen")),
        )
        assert again.planned == ()
        for n in place:
            if chance.random() < 0.08 and place[n] < len(way) - 1:
                place[n] += 1
    assert max(letters.values()) == 1
    done = {number for number, text in last if text == "done"}
    assert done and done <= {number for number, where in place.items() if way[where] == "none"}
