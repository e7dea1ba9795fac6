"""What a running service does for its campaigns by itself: goes live where the campaign says so,
tells what brownouts did, and lets fees follow what was rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from ombud.accounts import load_directory
from ombud.campaigns.brownouts import recently_over, tell_what_it_did
from ombud.campaigns.cases import forget_heard
from ombud.campaigns.choosing import ServiceCentre
from ombud.campaigns.fees import settle_rolled_back, unsettled
from ombud.campaigns.golive import AUTOMATIC, go_live, ready
from ombud.campaigns.hearing import REMEMBERED
from ombud.campaigns.mailing import letter_writer, load_reach
from ombud.campaigns.picture import load_picture
from ombud.choices import Campaign, GoLive, load_choices
from ombud.clock import Clock
from ombud.db import Database, GroupCommit, Transaction
from ombud.errors import OmbudError
from ombud.seal import Seal
from ombud.settings import Settings

log = structlog.get_logger("ombud.campaigns")

#: So many customers go live in one look; the next look takes the others.
AT_A_TIME = 50


@dataclass(frozen=True, slots=True)
class CampaignJobs:
    """The service calls each of these now and then. Several processes may: who is second finds it done."""

    settings: Settings
    database: Database
    group: GroupCommit
    clock: Clock
    seal: Seal

    async def go_live(self) -> None:
        """Let the choices be in force that lack nothing, in campaigns that say so."""
        now = self.clock.now()
        for slug in await self.database.reading(_automatic, now):
            await self.group.run(_all_go_live, (self, slug, now))

    async def tell_of_brownouts(self) -> None:
        """Tell those whose mail a brownout held how much it was, once it has all got out."""
        now = self.clock.now()
        if await self.database.reading(recently_over, now):
            await self.group.run(_tell_all, (self, now))

    async def settle_fees(self) -> None:
        """Have those who were rolled back, by whomever, pay by what stands now."""
        now = self.clock.now()
        if await self.database.reading(unsettled, now):
            await self.group.run(_settle_all, now)

    async def forget(self) -> None:
        """What the service centre has told is remembered for as long as its signature could be taken again, and longer."""
        await self.group.run(_forget_all, None)


def _automatic(tx: Transaction, now: datetime) -> list[str]:
    """The campaigns that have started, and in which somebody is ready and waits for nobody."""
    started = [one for one in load_choices(tx).campaigns if one.go_live is GoLive.AUTOMATIC and one.start_at <= now]
    return [one.slug for one in started if ready(load_picture(tx, one.slug, now, load_reach(tx, one.slug)))]


def _all_go_live(tx: Transaction, pieces: Sequence[tuple[CampaignJobs, str, datetime]]) -> list[int]:
    return [_go_live(tx, jobs, slug, now) for jobs, slug, now in pieces]


def _go_live(tx: Transaction, jobs: CampaignJobs, slug: str, now: datetime) -> int:
    """Looked at again within the transaction, so that nobody goes live who has just chosen anew."""
    centre = ServiceCentre.of(jobs.settings)
    picture = load_picture(tx, slug, now, load_reach(tx, slug))
    done = 0
    for customer in ready(picture)[:AT_A_TIME]:
        try:
            with tx.savepoint():
                go_live(tx, picture, customer, now, by=AUTOMATIC, centre=centre)
            done += 1
            log.info("gone_live", campaign=slug, customer=customer.slug)
        except OmbudError as error:  # one whose way is not allowed, say, keeps nobody else
            log.warning("not_gone_live", campaign=slug, customer=customer.slug, error=error.code)
    return done


def _tell_all(tx: Transaction, pieces: Sequence[tuple[CampaignJobs, datetime]]) -> list[int]:
    return [sum(_tell(tx, jobs, campaign, now) for campaign in load_choices(tx).campaigns) for jobs, now in pieces]


def _tell(tx: Transaction, jobs: CampaignJobs, campaign: Campaign, now: datetime) -> int:
    writer = letter_writer(tx, jobs.seal, jobs.settings)
    return len(tell_what_it_did(tx, campaign, load_directory(tx), writer, now))


def _settle_all(tx: Transaction, pieces: Sequence[datetime]) -> list[int]:
    return [len(settle_rolled_back(tx, now, by=AUTOMATIC)) for now in pieces]


def _forget_all(tx: Transaction, pieces: Sequence[None]) -> list[int]:
    return [forget_heard(tx, REMEMBERED) for _ in pieces]
