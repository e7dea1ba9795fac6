"""The choice as a person makes it in a browser: through the real door, by the links of letters."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from ombud import settings as settings_module
from ombud.accounts import load_directory, suspend_customer
from ombud.accounts.links import Scope, links_about, make_link, revoke_link, uses_of
from ombud.accounts.people import Person, mark_bounced, put_person, remove_person
from ombud.campaigns.cases import case_of
from ombud.choices import Campaign, Choice, load_choices, put_campaign, record_choice, shown_of
from ombud.clock import TurnedClock
from ombud.db import Database, GroupCommit
from ombud.db.snapshot import Snapshot
from ombud.domains import load_ownership
from ombud.notices.letters import letters_of
from ombud.notices.outbox import find_notices
from ombud.routing import load_facts
from ombud.seal import Seal
from ombud.submission import Submissions
from ombud.web import HttpDoor, Web, create_app
from tests.choices.conftest import SHOWN, TEXTS, TOLD, campaign
from tests.conftest import NOON, Cast
from tests.notices.conftest import furnish_vendor
from tests.web.conftest import on_sqlite

SEAL = Seal(b"c" * 32)
SLUG = "molntjanst-2024"
SAME = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Desk:
    database: Database
    web: Web
    clock: TurnedClock
    cast: Cast
    campaign: Campaign
    karin: Person  # may choose for Eken, and for Linden too
    sven: Person  # Eken's, who may not
    client: httpx2.AsyncClient

    def link(
        self, scope: Scope = Scope.CHOOSE, *, person: Person | None = None, about: str = SLUG, days: int = 40,
        made: datetime = NOON,
    ) -> str:  # fmt: skip
        person = person or self.karin
        with self.database.write() as tx:
            assert person.customer_id
            return make_link(
                tx, SEAL, scope, about, made, timedelta(days=days), customer_id=person.customer_id, person_id=person.id
            )

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers=headers)

    async def post(self, path: str, http: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
        return await self.client.post(path, data=fields, headers=SAME if http is None else http)

    async def confirm(self, token: str, alternative: str = "own", **fields: Any) -> dict[str, Any]:
        """Go to the confirmation, and give the form that stands there."""
        page = await self.post(f"/c/{token}/check", alternative=alternative, **fields)
        assert page.status_code == 200, page.text
        return {
            "alternative": alternative,
            "company": [unescape(one) for one in re.findall(r'name="company" value="([^"]*)"', page.text)],
        }

    async def choose(self, token: str, alternative: str = "own", **fields: Any) -> httpx2.Response:
        return await self.post(f"/c/{token}/choice", **await self.confirm(token, alternative, **fields))

    def active(self, customer: str = "eken") -> Choice | None:
        with self.database.read() as tx:
            return load_choices(tx).active(self.campaign.id, getattr(self.cast, customer).id)

    def everything(self) -> str:
        """All that the database holds, to see that nothing changed."""
        with self.database.read() as tx:
            names = [row[0] for row in tx.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))]
            return repr([[tuple(row) for row in tx.execute(text(f"SELECT * FROM {name}"))] for name in sorted(names)])


@pytest.fixture
async def desk(database: Database, cast: Cast, tmp_path: Path) -> AsyncIterator[Desk]:
    with database.write() as tx:
        furnish_vendor(tx)
        texts = {key: f"# Meddelande\n\nHej {{{{company}}}}! {value}" for key, value in TEXTS.items()}
        made = put_campaign(tx, campaign(products={cast.hyra.id: 1}), texts, TOLD)
        karin = put_person(tx, cast.eken.id, "Karin Ek", "karin@eken.example", TOLD, may_choose=True)
        sven = put_person(tx, cast.eken.id, "Sven Ek", "sven@eken.example", TOLD)
    settings = settings_module.load(tmp_path, service={"name": "ombud.example", "min_free": 0}, http={"port": 0})
    snapshots: tuple[Snapshot[Any], ...] = (Snapshot(load_directory), Snapshot(load_ownership), Snapshot(load_facts))
    for snapshot in snapshots:
        snapshot.refresh(database)
    group, clock = GroupCommit(database), TurnedClock(NOON)
    submissions = Submissions(settings, database, group, clock, *snapshots, lambda: None)
    web = Web(submissions, database, group, clock, snapshots[2], snapshots[0], settings, lambda: [], lambda: b"", SEAL)
    door = HttpDoor(settings.http, create_app(web))
    group.start()
    await door.start()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{door.port}") as client:
        yield Desk(database, web, clock, cast, made, karin, sven, client)
    await door.stop(1)
    group.stop()


# --- looking -------------------------------------------------------------------------------------------------------


@on_sqlite
async def test_looking_changes_nothing_however_often(desk: Desk) -> None:
    token, snooze = desk.link(), desk.link(Scope.SNOOZE)
    before = desk.everything()
    for _ in range(5):
        for path in (f"/c/{token}", f"/c/{token}?lang=en", f"/s/{snooze}", f"/choose/{SLUG}/eken", f"/c/{token}/done"):
            assert (await desk.get(path)).status_code in (200, 303)
        assert (await desk.client.head(f"/c/{token}")).status_code == 200
    assert desk.everything() == before


@on_sqlite
async def test_the_page_has_the_notice_the_alternatives_and_the_dates_in_both_languages(desk: Desk) -> None:
    token = desk.link()
    swedish, english = await desk.get(f"/c/{token}"), await desk.get(f"/c/{token}?lang=en")
    for page, words in (
        (swedish, ["Bostads AB Eken", "24 dagar kvar", "Efter 31\xa0maj 2024 skickas inte er e-post", "Rekommenderas", "Er egen server.", "Hej Bostads AB Eken!"]),
        (english, ["24 days remain", "After 31\xa0May 2024 your e-mail is not sent", "Recommended", "Your own server.", "Go on and check"]),
    ):  # fmt: skip
        for word in words:
            assert word in unescape(page.text)
    assert '<html lang="sv">' in swedish.text and '<html lang="en">' in english.text
    assert "<h1>Meddelande" not in swedish.text  # one heading of the first degree to a page
    assert len(re.findall("<h1>", swedish.text)) == 1


@on_sqlite
async def test_the_page_gives_the_browser_no_leave_to_do_anything_but_show_it(desk: Desk) -> None:
    page = await desk.get(f"/c/{desk.link()}")
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert page.headers["referrer-policy"] == "same-origin"
    assert "noindex" in page.headers["x-robots-tag"] and page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text and "style=" not in page.text and "set-cookie" not in page.headers


@on_sqlite
async def test_a_name_that_looks_like_markup_is_text(desk: Desk) -> None:
    with desk.database.write() as tx:
        tx.execute(text("UPDATE customer SET name = '<script>alert(1)</script> {{ 7*7 }}' WHERE slug = 'eken'"))
        tx.execute(text("UPDATE person SET name = '\"><img src=x onerror=alert(1)>'"))
    desk.web.directory.refresh(desk.database)
    token = desk.link()
    await desk.choose(token)
    for page in (await desk.get(f"/c/{token}"), await desk.get(f"/c/{token}/done")):
        assert "<script" not in page.text and "<img" not in page.text and "{{ 7*7 }}" in unescape(page.text)


# --- choosing ------------------------------------------------------------------------------------------------------


async def test_a_choice_is_checked_made_and_answered_with_its_case(desk: Desk) -> None:
    token = desk.link()
    with desk.database.write() as tx:  # another who may choose, whose letters come back
        gone = put_person(tx, desk.cast.eken.id, "Gun Ek", "gun@eken.example", NOON, may_choose=True)
        mark_bounced(tx, gone.id, NOON)
    done = await desk.choose(token)
    assert done.status_code == 303
    receipt = await desk.get(done.headers["location"])
    assert "Valet är gjort" in receipt.text and f"{SLUG}/eken" in receipt.text
    choice = desk.active()
    assert choice and (choice.alternative, choice.person_id) == ("own", desk.karin.id)
    assert choice.peer == "127.0.0.1" and choice.by == "Karin Ek <karin@eken.example>"
    with desk.database.read() as tx:
        shown = shown_of(tx, choice)
        assert shown.words == "Alternativ 1\n\nEr egen server." and shown.texts == {
            "campaign": 1,
            "faq.sv": 1,
            "notice.sv": 1,
        }
        case = case_of(tx, desk.campaign.id, desk.cast.eken.id)
        assert case and case.alternative == "own"
        (letter,) = letters_of(tx)
        assert (letter.text, letter.person_id) == ("receipt", desk.karin.id)
        uses = [use.what for link in links_about(tx, Scope.CHOOSE) for use in uses_of(tx, link.id)]
        assert sorted(uses) == ["chose", "considered"]


@on_sqlite
async def test_the_same_form_again_is_answered_and_changes_nothing(desk: Desk) -> None:
    token = desk.link()
    form = await desk.confirm(token)
    first = await desk.post(f"/c/{token}/choice", **form)
    before = desk.everything()
    for _ in range(3):
        again = await desk.post(f"/c/{token}/choice", **form)
        assert (again.status_code, again.headers["location"]) == (303, first.headers["location"])
    assert desk.everything() == before


async def test_of_two_who_choose_at_once_one_wins_and_the_other_is_told(desk: Desk) -> None:
    with desk.database.write() as tx:
        sven = put_person(tx, desk.cast.eken.id, "Sven Ek", "sven@eken.example", NOON, may_choose=True)
    karins, svens = desk.link(), desk.link(person=sven)
    one, other = await desk.confirm(karins, "own"), await desk.confirm(svens, "subcontractor")
    answers = await asyncio.gather(desk.post(f"/c/{karins}/choice", **one), desk.post(f"/c/{svens}/choice", **other))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    lost = next(answer for answer in answers if answer.status_code == 409)
    winner = desk.active()
    assert winner and winner.by.partition(" <")[0] in lost.text and "Någon annan hann före" in lost.text
    with desk.database.read() as tx:
        assert len(letters_of(tx)) == 2  # a receipt to each of the two, of the one choice
    # The one who lost looks at it, and changes it.
    link = svens if winner.person_id == desk.karin.id else karins
    assert (await desk.choose(link, "subcontractor" if winner.alternative == "own" else "own")).status_code == 303
    changed = desk.active()
    assert changed and changed.number == 2


@on_sqlite
async def test_the_same_for_all_companies_is_shown_first_and_makes_a_choice_for_each(desk: Desk) -> None:
    with desk.database.write() as tx:
        put_person(tx, desk.cast.linden.id, "Karin Ek", "karin@eken.example", NOON, may_choose=True)
    token = desk.link()
    assert "Stiftelsen Linden" in (await desk.get(f"/c/{token}")).text
    page = await desk.post(f"/c/{token}/check", alternative="own", also="linden")
    assert page.text.count('name="company"') == 2 and desk.active("linden") is None
    assert (await desk.choose(token, also="linden")).status_code == 303
    eken, linden = desk.active("eken"), desk.active("linden")
    assert eken and linden and eken.person_id != linden.person_id  # each by the right that she has there
    assert "Stiftelsen Linden" in (await desk.get(f"/c/{token}/done")).text


@on_sqlite
async def test_a_conflict_at_one_company_leaves_the_others_choices(desk: Desk) -> None:
    with desk.database.write() as tx:
        put_person(tx, desk.cast.linden.id, "Karin Ek", "karin@eken.example", NOON, may_choose=True)
    token = desk.link()
    form = await desk.confirm(token, also="linden")
    with desk.database.write() as tx:
        record_choice(
            tx,
            desk.campaign,
            desk.cast.linden,
            "subcontractor",
            SHOWN,
            NOON,
            expected=None,
            operator="Ola",
            reason="rang",
        )
    answer = await desk.post(f"/c/{token}/choice", **form)
    assert answer.status_code == 409 and "Stiftelsen Linden" in answer.text and "Det här är gjort" in answer.text
    linden, eken = desk.active("linden"), desk.active("eken")
    assert linden and linden.by_operator and eken and eken.alternative == "own"


@on_sqlite
async def test_after_the_stop_it_can_still_be_chosen(desk: Desk) -> None:
    desk.clock.turn(timedelta(days=30))
    token = desk.link()
    assert "Er e-post skickas inte sedan" in (await desk.get(f"/c/{token}")).text
    assert (await desk.choose(token)).status_code == 303 and desk.active()


@on_sqlite
async def test_what_has_changed_since_it_was_read_has_to_be_read_again(desk: Desk) -> None:
    token = desk.link()
    form = await desk.confirm(token)
    with desk.database.write() as tx:
        put_campaign(tx, campaign(products={desk.cast.hyra.id: 1}, stop_date=date(2024, 6, 15)), TEXTS, NOON)
    answer = await desk.post(f"/c/{token}/choice", **form)
    assert answer.status_code == 409 and "har ändrats sedan du läste" in answer.text and desk.active() is None


# --- bad input -----------------------------------------------------------------------------------------------------


@on_sqlite
async def test_bad_links_and_forms_are_each_answered_clearly_and_change_nothing(desk: Desk) -> None:
    token = desk.link()
    form = await desk.confirm(token)
    expired = desk.link(days=1, made=NOON - timedelta(days=2))
    revoked = desk.link()
    removed = desk.link(person=desk.sven)
    with desk.database.write() as tx:
        revoke_link(tx, links_about(tx)[1].id, NOON)
        remove_person(tx, desk.sven.id, NOON)
    lindens = [one.replace("eken:", "linden:", 1) for one in form["company"]]
    before = desk.everything()
    snooze = desk.link(Scope.SNOOZE)
    before = desk.everything()
    tries: list[tuple[str, int, str, dict[str, Any]]] = [
        (f"/c/{token[:-1]}x/choice", 404, "link_forged", form),
        (f"/c/{'0' * 64}/choice", 404, "link_forged", form),
        ("/c/%00%ff../choice", 404, "link_forged", form),
        (f"/c/{expired}/choice", 410, "link_expired", form),
        (f"/c/{revoked}/choice", 410, "link_revoked", form),
        (f"/c/{removed}/choice", 410, "link_revoked", form),
        (f"/c/{snooze}/choice", 403, "link_of_another_kind", form),
        (f"/s/{token}", 403, "link_of_another_kind", {}),
        (f"/c/{token}/choice", 403, "may_not_choose", {**form, "company": lindens}),
        (f"/c/{token}/choice", 403, "may_not_choose", {**form, "company": ["nobody::", "x"]}),
        (f"/c/{token}/choice", 409, "shown_changed", {**form, "company": ["eken::" + "0" * 64]}),
        (f"/c/{token}/choice", 422, "alternative_not_offered", {**form, "alternative": "both"}),
        (f"/c/{token}/check", 422, "Markera ett av alternativen", {"alternative": "both"}),
        (f"/c/{token}/check", 422, "Markera ett av alternativen", {}),
        (f"/c/{token}/choice", 422, "Markera ett av alternativen", {}),
        ("/choose/nothing/eken", 404, "not_found", {}),
    ]
    for path, status, word, fields in tries:
        answer = await desk.post(path, **fields)
        assert (answer.status_code, word in answer.text) == (status, True), (path, answer.text)
        assert answer.headers["content-type"].startswith("text/html")
        assert "Traceback" not in answer.text
    assert desk.everything() == before


@on_sqlite
async def test_a_form_from_another_site_is_refused(desk: Desk) -> None:
    token = desk.link()
    form = await desk.confirm(token)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        answer = await desk.post(f"/c/{token}/choice", headers, **form)
        assert answer.status_code == 403 and "form_from_elsewhere" in answer.text
    assert desk.active() is None
    own = str(desk.client.base_url).rstrip("/")
    assert (await desk.post(f"/c/{token}/choice", {"Origin": own}, **form)).status_code == 303


@on_sqlite
async def test_a_form_that_is_none_or_too_big_is_refused(desk: Desk) -> None:
    path = f"/c/{desk.link()}/check"
    as_json = await desk.client.post(path, json={"alternative": "own"}, headers=SAME)
    assert as_json.status_code == 415
    big = await desk.client.post(path, data={"alternative": "x" * 70_000}, headers=SAME)
    assert big.status_code == 413
    odd = {**SAME, "Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"alternative=%ff%fe", b"\xff\xfe", b"&".join([b"a=b"] * 3000)):
        answer = await desk.client.post(path, content=body, headers=odd)
        assert answer.status_code in (400, 422) and answer.headers["content-type"].startswith("text/html")


@on_sqlite
async def test_who_may_not_choose_may_read(desk: Desk) -> None:
    token = desk.link(person=desk.sven)
    page = await desk.get(f"/c/{token}")
    assert "Du kan läsa, men inte välja" in page.text and "<form" not in page.text
    form = await desk.confirm(desk.link())
    assert "may_not_choose" in (await desk.post(f"/c/{token}/choice", **form)).text and desk.active() is None


# --- links that are asked for --------------------------------------------------------------------------------------


@on_sqlite
async def test_links_are_sent_to_the_contacts_and_the_page_never_tells_who_or_whether(desk: Desk) -> None:
    known, unknown = await desk.get(f"/choose/{SLUG}/eken"), await desk.get(f"/choose/{SLUG}/nobody-here")
    assert known.text.replace("/eken", "") == unknown.text.replace("/nobody-here", "")
    assert "Eken" not in known.text and "karin" not in known.text.lower()
    answers = [await desk.post(f"/choose/{SLUG}/{slug}") for slug in ("eken", "nobody-here", "eken", "eken")]
    pages = {answer.text.replace("/eken", "").replace("/nobody-here", "") for answer in answers}
    assert len(pages) == 1 and {answer.status_code for answer in answers} == {200}
    with desk.database.read() as tx:
        (letter,) = letters_of(tx)  # once an hour, to the one who may choose
        assert (letter.text, letter.address) == ("new_link", "karin@eken.example")
        (notice,) = find_notices(tx)
        found = re.search(r"https://ombud\.example/c/(\w+)", notice.payload["text"])
    assert found and (await desk.get(f"/c/{found[1]}")).status_code == 200
    desk.clock.turn(timedelta(hours=1))
    await desk.post(f"/choose/{SLUG}/eken")
    with desk.database.write() as tx:
        assert len(letters_of(tx)) == 2
        suspend_customer(tx, "eken", desk.clock.now())
    desk.clock.turn(timedelta(hours=1))
    assert (await desk.post(f"/choose/{SLUG}/eken")).status_code == 200
    with desk.database.read() as tx:
        assert len(letters_of(tx)) == 2  # none to a customer that is suspended


@on_sqlite
async def test_who_comes_with_an_expired_link_gets_a_new_one_by_mail_and_not_on_the_page(desk: Desk) -> None:
    expired = desk.link(days=1, made=NOON - timedelta(days=2))
    page = await desk.get(f"/c/{expired}")
    assert page.status_code == 410 and "Skicka en ny länk" in page.text and "gällde till 2024-05-06" in page.text
    answer = await desk.post(f"/c/{expired}/renew")
    assert answer.status_code == 200 and "karin" not in answer.text.lower() and "/c/" not in answer.text
    with desk.database.read() as tx:
        assert [letter.address for letter in letters_of(tx)] == ["karin@eken.example"]


# --- pausing -------------------------------------------------------------------------------------------------------


@on_sqlite
async def test_reminders_are_paused_once_and_for_a_week_at_most(desk: Desk) -> None:
    token, another = desk.link(Scope.SNOOZE), desk.link(Scope.SNOOZE)
    assert "Pausa till 14\xa0maj 2024" in unescape((await desk.get(f"/s/{token}")).text)
    assert "14\xa0maj 2024" in unescape((await desk.post(f"/s/{token}")).text)
    desk.clock.turn(timedelta(days=3))
    for link in (token, another):  # also by another letter's link
        again = await desk.post(f"/s/{link}")
        assert again.status_code == 200 and "14\xa0maj 2024" in unescape(again.text)


@on_sqlite
async def test_the_last_days_cannot_be_paused_away(desk: Desk) -> None:
    desk.clock.turn(timedelta(days=19))  # 26 May
    token, late = desk.link(Scope.SNOOZE), desk.link(Scope.SNOOZE)
    assert "Pausa till 30\xa0maj 2024" in unescape((await desk.get(f"/s/{token}")).text)
    desk.clock.turn(timedelta(days=4))
    for answer in (await desk.get(f"/s/{late}"), await desk.post(f"/s/{late}")):
        assert answer.status_code == 409 and "too_late_to_pause" in answer.text
