"""What the service does for its campaigns by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from ombud.campaigns.cases import CaseState, case_of, first_time_heard, heard_table
from ombud.campaigns.golive import AUTOMATIC
from ombud.campaigns.jobs import CampaignJobs
from ombud.choices import GoLive
from ombud.clock import TurnedClock
from ombud.db import Database, GroupCommit
from ombud.domains.proof import Proof, ProofState, Seen, begin_proof, note_read
from ombud.domains.watchlist import watch_table
from ombud.routing import decide, load_facts, load_switches, put_allowed_regions, roll_back
from ombud.settings import Settings
from tests.campaigns.house import NOON, SEAL, House, furnish, on_sqlite


@pytest.fixture
async def jobs(database: Database) -> AsyncIterator[CampaignJobs]:
    group = GroupCommit(database)
    group.start()
    yield CampaignJobs(Settings(), database, group, TurnedClock(NOON), SEAL)
    group.stop()


def lacks_nothing(house: House, slug: str = "eken") -> None:
    """The customer's records are in place, and a message by the subcontractor has proved them."""
    domain, customer = f"{slug}.example", house.directory.customer(slug)
    proof = Proof(
        f"p-{slug}", domain, customer.id, house.route("mailgun"), ProofState.ASKED, NOON, None, f"post@{domain}", "probe@vendor.example",
        "m@vendor.example", f"n-{slug}",
    )  # fmt: skip
    with house.database.write() as tx:
        tx.execute(update(watch_table).where(watch_table.c.domain == domain).values(state="ok", since=NOON))
        begin_proof(tx, proof)
        note_read(tx, proof.id, True, Seen(dmarc="pass", aligned_dkim=True), NOON)


def reasons(house: House, slug: str = "eken") -> set[str]:
    with house.database.read() as tx:
        facts = load_facts(tx)
    now = NOON + timedelta(hours=1)
    return {
        decide(facts, house.directory.customer(slug).id, house.product(one), now).reason for one in ("hyra", "marknad")
    }


async def test_where_the_campaign_says_so_a_choice_is_in_force_once_it_lacks_nothing(
    database: Database, jobs: CampaignJobs
) -> None:
    house = furnish(database, go_live=GoLive.AUTOMATIC)
    house.choose(house.eken, "mailgun")
    await jobs.go_live()
    assert reasons(house) == {"legacy"}  # its records are not there
    lacks_nothing(house)
    await jobs.go_live()
    assert reasons(house) == {"choice_live"}
    with database.read() as tx:
        assert {one.by for one in load_switches(tx)} == {AUTOMATIC}
        case = case_of(tx, house.campaign.id, house.eken.id)
    assert case and case.state is CaseState.CLOSED
    await jobs.go_live()
    with database.read() as tx:
        assert len(load_switches(tx)) == 2  # one for each way that the mail came by, and none anew


@on_sqlite
async def test_by_hand_means_that_nobody_is_switched(house: House, jobs: CampaignJobs) -> None:
    house.choose(house.eken, "mailgun")
    lacks_nothing(house)
    await jobs.go_live()
    assert reasons(house) == {"legacy"}


@on_sqlite
async def test_who_was_rolled_back_waits_for_a_person(database: Database, jobs: CampaignJobs) -> None:
    house = furnish(database, go_live=GoLive.AUTOMATIC)
    house.choose(house.eken, "mailgun")
    lacks_nothing(house)
    await jobs.go_live()
    with database.write() as tx:
        for one in load_switches(tx):
            roll_back(tx, one.id, NOON + timedelta(minutes=1), by="anna", reason="studsar")
    jobs.clock.turn(timedelta(hours=1))  # type: ignore[attr-defined]  # the one that can be turned
    await jobs.go_live()
    assert reasons(house) == {"rolled_back"}


async def test_one_whose_way_is_not_allowed_keeps_nobody_else(database: Database, jobs: CampaignJobs) -> None:
    house = furnish(database, go_live=GoLive.AUTOMATIC)
    for customer in (house.eken, house.linden):
        house.choose(customer, "mailgun")
        lacks_nothing(house, customer.slug)
    with database.write() as tx:
        put_allowed_regions(tx, frozenset({"NO"}))
    await jobs.go_live()  # neither: the route is in the EU
    with database.write() as tx:
        assert load_switches(tx) == []
        put_allowed_regions(tx, frozenset({"EU"}))
    await jobs.go_live()
    assert reasons(house) == reasons(house, "linden") == {"choice_live"}


async def test_what_the_service_centre_told_is_forgotten_when_it_cannot_be_told_again(
    house: House, jobs: CampaignJobs
) -> None:
    with house.database.write() as tx:
        assert first_time_heard(tx, "msg_1") and first_time_heard(tx, "msg_2")
        tx.execute(update(heard_table).where(heard_table.c.id == "msg_1").values(at=tx.now - timedelta(days=3)))
    await jobs.forget()
    with house.database.read() as tx:
        assert tx.execute(select(heard_table.c.id)).scalars().all() == ["msg_2"]


@on_sqlite
async def test_without_a_brownout_there_is_nothing_to_tell(house: House, jobs: CampaignJobs) -> None:
    await jobs.tell_of_brownouts()
    assert jobs.group.commits == 0  # nobody who writes was disturbed
