"""What the picture of a campaign makes of choices, switches, extensions and what was set by hand."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ombud.accounts import load_directory, put_customer, put_product, suspend_customer
from ombud.accounts.people import Role, put_person
from ombud.accounts.vendor import put_vendor
from ombud.campaigns.picture import Picture, load_picture
from ombud.campaigns.stages import Ball, Flag, Reach, Stage
from ombud.choices import ExtensionKind, approve_extension, ask_extension
from ombud.clock import parse_moment
from ombud.routing import assign, put_switch, roll_back
from tests.campaigns.house import NOON, House, on_sqlite

#: All of it is read by the owners' questions, which their own tests ask of both databases.
pytestmark = on_sqlite

STOP = parse_moment("2024-06-01T00:00")
HOUR = timedelta(hours=1)


def picture(house: House, now: datetime = NOON, reach: dict[int, Reach] | None = None) -> Picture:
    with house.database.read() as tx:
        return load_picture(tx, "molntjanst-2024", now, reach or {})


def switch(house: House, *products: str, at: datetime = NOON, to: str = "mailgun", **more: object) -> int:
    ids = [house.product(one) for one in products] or None
    with house.database.write() as tx:
        return put_switch(
            tx, house.eken.id, house.route(to), NOON, product_ids=ids, at=at, campaign_id=house.campaign.id, **more  # type: ignore[arg-type]  # handed on
        ).id  # fmt: skip


def test_everyone_but_the_vendor_and_the_suspended_is_in_the_picture(house: House) -> None:
    with house.database.write() as tx:
        for slug in ("bruket", "vitec"):
            put_customer(tx, slug, slug.title(), NOON)
        put_product(tx, "ombud", "Ombud", NOON)
        directory = load_directory(tx)
        put_vendor(
            tx, "Vitec", directory.customer("vitec"), directory.product("ombud"), "Vitec <post@vitec.example>", NOON
        )
        suspend_customer(tx, "bruket", NOON)
    assert [one.slug for one in picture(house).customers] == ["eken", "linden"]


def test_what_letters_have_done_comes_from_the_letters(house: House) -> None:
    told = NOON - timedelta(days=3)
    seen = picture(house, reach={house.eken.id: Reach(told), house.linden.id: Reach(told, bounced=True)})
    assert seen.standings[house.eken.id].stage is Stage.REACHED
    assert seen.standings[house.linden.id].next.code == "find_contact"


def test_a_switch_makes_a_product_live_when_its_time_comes_and_not_in_its_canary(house: House) -> None:
    house.choose(house.eken, "mailgun")
    switch(house, "hyra", at=NOON + HOUR)
    assert not picture(house).facts[house.eken.id].live_since
    live = picture(house, NOON + HOUR).facts[house.eken.id].live_since
    assert live == {house.product("hyra"): NOON + HOUR}
    switch(house, "marknad", at=NOON + HOUR, canary_percent=10, canary_until=NOON + 3 * HOUR)
    in_canary = picture(house, NOON + 2 * HOUR).standings[house.eken.id]
    assert in_canary.stage is not Stage.LIVE and Flag.CANARY in in_canary.flags and Flag.PARTLY_LIVE in in_canary.flags
    after = picture(house, NOON + 3 * HOUR).standings[house.eken.id]
    assert (after.stage, after.since) == (Stage.LIVE, NOON + 3 * HOUR)
    assert Flag.CANARY not in after.flags


def test_a_switch_that_was_rolled_back_is_not_live_and_says_so(house: House) -> None:
    house.choose(house.eken, "mailgun")
    number = switch(house)
    assert picture(house).standings[house.eken.id].stage is Stage.LIVE
    with house.database.write() as tx:
        roll_back(tx, number, NOON + HOUR, by="anna", reason="studsar")
    standing = picture(house, NOON + HOUR).standings[house.eken.id]
    assert standing.stage is not Stage.LIVE and Flag.ROLLED_BACK in standing.flags


def test_who_chooses_anew_is_not_live_until_the_new_choice_is(house: House) -> None:
    first = house.choose(house.eken, "mailgun")
    switch(house)
    house.choose(house.eken, "egen", NOON + HOUR, expected=first.choice.id)
    assert picture(house, NOON + HOUR).standings[house.eken.id].stage is not Stage.LIVE
    switch(house, at=NOON + 2 * HOUR, to="eken-egen")
    assert picture(house, NOON + 2 * HOUR).standings[house.eken.id].stage is Stage.LIVE


def test_a_way_that_was_set_by_hand_is_live_by_the_choice_that_leads_to_it(house: House) -> None:
    with house.database.write() as tx:
        assign(tx, house.eken.id, None, house.route("eken-egen"), NOON)
    before = picture(house, STOP).standings[house.eken.id]
    assert before.stage is Stage.NOT_REACHED and Flag.BY_HAND in before.flags  # the stop does not concern it
    house.choose(house.eken, "egen")
    after = picture(house).standings[house.eken.id]
    assert (after.stage, after.since) == (Stage.LIVE, NOON)


def test_the_stop_stops_those_whose_mail_does_not_leave_and_an_extension_keeps_it_off(house: House) -> None:
    assert {one.stage for one in picture(house, STOP - HOUR).standings.values()} == {Stage.NOT_REACHED}
    assert {one.stage for one in picture(house, STOP).standings.values()} == {Stage.STOPPED}
    with house.database.write() as tx:
        asked = ask_extension(
            tx, house.campaign, house.eken, ExtensionKind.EXTENSION, date(2024, 6, 30), NOON,
            reason_code="own_server_project", reason="bygger om", by="anna",
        )  # fmt: skip
        approve_extension(tx, house.campaign, asked, "bo", NOON)
    standings = picture(house, STOP).standings
    assert (standings[house.eken.id].stage, standings[house.linden.id].stage) == (Stage.EXTENDED, Stage.STOPPED)
    assert picture(house, parse_moment("2024-07-01T00:00")).standings[house.eken.id].stage is Stage.STOPPED


def test_an_exemption_goes_before_a_longer_extension(house: House) -> None:
    with house.database.write() as tx:
        for kind, until in ((ExtensionKind.EXTENSION, date(2024, 7, 31)), (ExtensionKind.EXEMPTION, date(2024, 6, 30))):
            asked = ask_extension(
                tx,
                house.campaign,
                house.eken,
                kind,
                until,
                NOON,
                reason_code="no_mail",
                reason="skickar inget",
                by="anna",
            )
            approve_extension(tx, house.campaign, asked, "bo", NOON)
    assert picture(house).standings[house.eken.id].stage is Stage.EXEMPT
    assert picture(house, parse_moment("2024-07-01T00:00")).standings[house.eken.id].stage is Stage.EXTENDED


def test_a_named_microsoft_administrator_has_the_ball_while_the_own_way_is_missing(house: House) -> None:
    house.choose(house.linden, "egen")  # linden-egen does not exist
    assert picture(house).standings[house.linden.id].ball is Ball.CUSTOMER
    with house.database.write() as tx:
        put_person(tx, house.linden.id, "Mia", "mia@linden.example", NOON, role=Role.MICROSOFT_ADMIN)
    assert picture(house).standings[house.linden.id].ball is Ball.MICROSOFT_ADMIN
