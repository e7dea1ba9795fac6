"""What happens in the story of the notice, day by day: choices, extensions, a brownout, a rollback, the stop and the day after it.

Each happening calls what a person's click or command calls, and tells in a line what was done.
"""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta

from ombud.accounts import Customer, load_directory
from ombud.accounts.people import people_of
from ombud.campaigns import choosing
from ombud.campaigns.brownouts import approve as approve_and_tell
from ombud.campaigns.golive import go_live as put_live
from ombud.campaigns.golive import lacks
from ombud.campaigns.mailing import letter_writer, load_reach, put_automatic
from ombud.campaigns.picture import load_picture
from ombud.campaigns.presenting import load_presenter
from ombud.choices import ExtensionKind, approve_extension, ask_extension, load_choices
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.domains import keep_key
from ombud.mail.dkim import new_key
from ombud.routing import ask_brownout, load_facts, pause_route, roll_back
from ombud.sandbox.stage import HYRA, MARKNAD, Happening, Stage
from ombud.sandbox.year import Plot

CAMPAIGN = "molntjanst-2024"
ANNA, BO = "Anna Berg", "Bo Ek"  # two operators at the vendor: what takes two people takes both


def the_notice_of_2024() -> Plot:
    """The plot: from the first letter to the day after the stop."""
    return {
        date(2024, 1, 8): [letters_go_out_by_themselves],
        date(2024, 1, 22): [chooses("eken", "own")],
        date(2024, 1, 29): [proves_and_goes_live("eken")],
        date(2024, 2, 1): [tells("the risk date: the large receiver refuses from today on what nobody vouches for")],
        date(2024, 2, 12): [chooses("lindgarden", "subcontractor"), sets_up_dkim("lindgarden")],
        date(2024, 2, 20): [chooses("angsgarden", "subcontractor"), sets_up_dkim("angsgarden")],
        date(2024, 3, 4): [proves_and_goes_live("lindgarden", canary=20)],
        date(2024, 3, 11): [chooses("kvarnholmen", "own")],
        date(2024, 3, 25): [proves_and_goes_live("angsgarden")],
        date(2024, 3, 31): [tells("the clocks are put on: no day of the campaign moves by it")],
        date(2024, 4, 2): [chooses("kvarnholmen", "subcontractor"), sets_up_dkim("kvarnholmen")],
        date(2024, 4, 8): [proves_and_goes_live("kvarnholmen")],
        date(2024, 4, 15): [chooses("havsbris", "subcontractor"), sets_up_dkim("havsbris"), proves_and_goes_live("havsbris")],
        date(2024, 4, 17): [is_rolled_back("havsbris", "the customer wants to wait for its new letterhead")],
        date(2024, 4, 22): [proves_and_goes_live("havsbris")],
        date(2024, 5, 10): [asks_for_and_approves_a_brownout(date(2024, 5, 14))],
        date(2024, 5, 14): [brownout_holds_and_releases],
        date(2024, 5, 20): [gets("solrosen", ExtensionKind.EXTENSION, date(2024, 6, 30), "waiting_for_supplier")],
        date(2024, 5, 28): [gets("granen", ExtensionKind.EXEMPTION, date(2024, 6, 14), "leaving")],
        date(2024, 5, 31): [old_route_rests, last_mail_before_the_stop],
        date(2024, 6, 1): [tells("the stop: nothing leaves any more for those who have no choice in force"), first_mail_after_the_stop, old_route_wakes],
        date(2024, 6, 2): [gets("tallbacken", ExtensionKind.RESERVE, date(2024, 6, 14), "technical_problem")],
        date(2024, 6, 3): [chooses("bjallerbo", "subcontractor"), sets_up_dkim("bjallerbo"), proves_and_goes_live("bjallerbo")],
    }  # fmt: skip


# --- choices -------------------------------------------------------------------------------------------------------


def tells(words: str) -> Happening:
    async def happen(stage: Stage) -> None:
        stage.tell(words)

    return happen


async def letters_go_out_by_themselves(stage: Stage) -> None:
    """An operator has looked at the first letters, and lets the service send them when they are due."""
    with stage.installation.database.write() as tx:
        put_automatic(tx, CAMPAIGN, True, ANNA, stage.now)
    stage.tell("the campaign begins: its letters go out by themselves from today on")


def chooses(slug: str, alternative: str) -> Happening:
    """Somebody at the customer who may choose does so; what they see is kept."""

    async def happen(stage: Stage) -> None:
        with stage.installation.database.write() as tx:
            customer, campaign = _customer(tx, slug), load_choices(tx).campaign(CAMPAIGN)
            person = next(one for one in people_of(tx, customer.id) if one.may_choose)
            presenter = load_presenter(tx, campaign, stage.now, customer.id)
            shown = presenter.shown(customer, alternative, person.language)
            before = presenter.choices.active(campaign.id, customer.id)
            chosen = choosing.choose(
                tx, campaign, customer, alternative, shown, stage.now, expected=before.id if before else None, person=person
            )  # fmt: skip
        changed = f", instead of {before.alternative}" if before else ""
        stage.tell(f"{person.name} chooses for {customer.name}: {alternative}{changed} (case {chosen.case.reference})")

    return happen


def sets_up_dkim(slug: str) -> Happening:
    """Vendor and customer together: a key is made, and the customer publishes its record."""

    async def happen(stage: Stage) -> None:
        domain = stage.domains[slug]
        key = await asyncio.to_thread(new_key, domain, "om1", "rsa-sha256")
        with stage.installation.database.write() as tx:
            record = keep_key(tx, stage.installation.seal, key, stage.now)
        stage.world.publish(record.name, "TXT", record.value)
        stage.tell(f"{domain} has its DKIM record")

    return happen


def proves_and_goes_live(slug: str, canary: int = 100) -> Happening:
    """A real message shows whether the way is authenticated; what is missing beside that, an operator answers for."""

    async def happen(stage: Stage) -> None:
        proof = await _prove(stage, slug)
        with stage.installation.database.write() as tx:
            customer, now = _customer(tx, slug), stage.now
            picture = load_picture(tx, CAMPAIGN, now, load_reach(tx, CAMPAIGN))
            missing = ", ".join(one.en for one in lacks(picture, customer))
            until = now + timedelta(days=2) if canary < 100 else None
            put_live(
                tx, picture, customer, now, by=ANNA, override_reason=f"seen to by hand: {missing}" if missing else "",
                canary_percent=canary, canary_until=until,
            )  # fmt: skip
        first = f", {canary} % of the recipients first" if canary < 100 else ""
        stage.tell(f"{customer.name} is live{first}: its test message {proof}")

    return happen


async def _prove(stage: Stage, slug: str) -> str:
    """Send a message by the route that was chosen, and read what its receiver says of it."""
    service = stage.service
    with stage.installation.database.read() as tx:
        picture = load_picture(tx, CAMPAIGN, stage.now, load_reach(tx, CAMPAIGN))
        route = picture.route_of(_customer(tx, slug))
    assert route
    sent = await service.prover.prove(stage.domains[slug], route, service.ownership.value, service.ring.value, ANNA)
    (proof,) = await service.prover.wait_for([sent], 20)
    return "passed" if proof.ok else f"did not pass ({proof.state})"


def is_rolled_back(slug: str, reason: str) -> Happening:
    async def happen(stage: Stage) -> None:
        with stage.installation.database.write() as tx:
            customer = _customer(tx, slug)
            standing = [one for one in load_facts(tx).switches_of.get(customer.id, ()) if one.stands(stage.now)]
            for switch in standing:
                roll_back(tx, switch.id, stage.now, by=ANNA, reason=reason)
        stage.tell(f"{customer.name} is rolled back: {reason}")

    return happen


def gets(slug: str, kind: ExtensionKind, until: date, reason_code: str) -> Happening:
    """More time, or reserve mode: one asks, another approves."""

    async def happen(stage: Stage) -> None:
        with stage.installation.database.write() as tx:
            customer, campaign = _customer(tx, slug), load_choices(tx).campaign(CAMPAIGN)
            asked = ask_extension(
                tx, campaign, customer, kind, until, stage.now, reason_code=reason_code, reason="as told by phone", by=ANNA
            )  # fmt: skip
            approve_extension(tx, campaign, asked, BO, stage.now)
        stage.tell(f"{customer.name} gets {kind} until {until}: asked by {ANNA}, approved by {BO}")

    return happen


# --- the brownout --------------------------------------------------------------------------------------------------


def asks_for_and_approves_a_brownout(day: date) -> Happening:
    async def happen(stage: Stage) -> None:
        starts, ends = _moment(day, 9), _moment(day, 12)
        with stage.installation.database.write() as tx:
            campaign = load_choices(tx).campaign(CAMPAIGN)
            asked = ask_brownout(
                tx, campaign.id, starts, ends, stage.now, by=ANNA, reason="to show what the stop is like"
            )
            writer = letter_writer(tx, stage.installation.seal, stage.installation.settings)
            letters = approve_and_tell(
                tx, load_facts(tx), load_directory(tx), campaign, asked.id, writer, stage.now, by=BO
            )
        stage.tell(f"a brownout is announced for {day} 09-12: {len(letters)} letters")

    return happen


async def brownout_holds_and_releases(stage: Stage) -> None:
    stage.turn_to(stage.today, 9, 30)
    await stage.service.catch_up()
    await stage.usual_mail()
    await stage.settled()
    held = stage.held()
    stage.tell(f"09:30: the brownout holds {sum(held.values())} mails of {len(held)} customers")
    stage.turn_to(stage.today, 12)
    await stage.settled()
    left = sum(stage.held().values())
    stage.tell(f"12:00: it is over, and {left} are held")


# --- the stop ------------------------------------------------------------------------------------------------------


async def old_route_rests(stage: Stage) -> None:
    """In the evening: so that some mail that was accepted in time is still in the queue at midnight."""
    stage.turn_to(stage.today, 9)
    await stage.usual_mail()
    await stage.settled()
    stage.turn_to(stage.today, 20)
    with stage.installation.database.write() as tx:
        pause_route(tx, "underleverantor", stage.now)
    await stage.service.catch_up()
    stage.tell("20:00: the old subcontractor does maintenance; its mail waits in the queue")


async def last_mail_before_the_stop(stage: Stage) -> None:
    stage.turn_to(stage.today, 23, 50)
    for slug in ("eken", "bjallerbo", "norrvik", "solrosen"):
        await stage.send(slug, HYRA, "cecilia@hemmanet.example")
    stage.tell("23:50: eken, bjallerbo, norrvik and solrosen send one mail each, and all are accepted")


async def first_mail_after_the_stop(stage: Stage) -> None:
    for slug, product in (("eken", HYRA), ("bjallerbo", HYRA), ("norrvik", MARKNAD), ("solrosen", HYRA)):
        await stage.send(slug, product, "cecilia@hemmanet.example")  # Hyra by the API, Marknad by SMTP
    answers = {mail.customer: mail.answer or "accepted" for mail in list(stage.ledger.values())[-4:]}
    stage.tell("00:00: they send one more: " + ", ".join(f"{slug} {answer}" for slug, answer in answers.items()))


async def old_route_wakes(stage: Stage) -> None:
    with stage.installation.database.write() as tx:
        pause_route(tx, "underleverantor", None)
    await stage.settled()
    held = ", ".join(f"{number} of {slug}" for slug, number in sorted(stage.held().items()))
    stage.tell(
        f"the old subcontractor is back; what was accepted before the stop and has no way any more is held: {held}"
    )


def _customer(tx: Transaction, slug: str) -> Customer:
    return load_directory(tx).customer(slug)


def _moment(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=STOCKHOLM)
