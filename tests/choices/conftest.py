"""The notice's campaign in a database, with Eken and Linden as its customers, and Karin who may choose for Eken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from ombud.accounts import Customer
from ombud.accounts.people import Person, put_person
from ombud.choices import (
    Alternative,
    Campaign,
    Choice,
    Choices,
    Kind,
    Need,
    Page,
    Reserve,
    Shown,
    load_choices,
    put_campaign,
    record_choice,
)
from ombud.db import Database
from tests.conftest import NOON, Cast

TOLD = datetime(2024, 1, 8, 8, 0, tzinfo=UTC)
SHOWN = Shown("Alternativ 1\n\nGenom er egen server.", "Kostar inget.", "sv", {"campaign": 1, "notice.sv": 1})
TEXTS = {(page, language): f"# {page} {language}" for page in Page for language in ("sv", "en")}
OWN = Alternative(
    "own", Kind.OWN, "{slug}-egen", (Need.PROVEN,), True,
    {"sv": "Alternativ 1", "en": "Alternative 1"}, {"sv": "Er egen server.", "en": "Your own server."},
)  # fmt: skip
MAILGUN = Alternative(
    "subcontractor", Kind.SUBCONTRACTOR, "mailgun-eu", (Need.RECORDS, Need.PROVEN), False,
    {"sv": "Alternativ 2", "en": "Alternative 2"}, {"sv": "Mailgun.", "en": "Mailgun."},
)  # fmt: skip


def campaign(**more: Any) -> Campaign:
    values: dict[str, Any] = {
        "id": 0, "slug": "molntjanst-2024", "version": 0, "name": {"sv": "Aktivt val", "en": "Active choice"},
        "products": {1: 1}, "alternatives": (OWN, MAILGUN), "start_date": date(2024, 1, 8), "risk_date": date(2024, 2, 1),
        "stop_date": date(2024, 5, 31), "last_extension_date": date(2024, 8, 31),
        "reserve": Reserve(1, "{slug}@molntjanst.example"),
    }  # fmt: skip
    return Campaign(**{**values, **more})


@dataclass(frozen=True)
class House:
    database: Database
    campaign: Campaign
    eken: Customer
    linden: Customer
    karin: Person  # Eken's, who may choose
    sven: Person  # Eken's, who may not
    lars: Person  # Linden's, who may choose

    def choose(
        self, alternative: str, expected: Choice | None = None, now: datetime = NOON, *, person: Person | None = None, **more: Any
    ) -> Choice:  # fmt: skip
        """For Eken; by Karin when nobody else is named."""
        who = more if "operator" in more else {"person": person or self.karin, **more}
        with self.database.write() as tx:
            return record_choice(
                tx, self.campaign, self.eken, alternative, SHOWN, now, expected=expected.id if expected else None, **who
            )

    def choices(self) -> Choices:
        with self.database.read() as tx:
            return load_choices(tx)


@pytest.fixture
def furnish(database: Database, cast: Cast) -> Callable[..., House]:
    def make(**more: Any) -> House:
        with database.write() as tx:
            made = put_campaign(tx, campaign(**more), TEXTS, TOLD)
            karin = put_person(tx, cast.eken.id, "Karin Ek", "karin@eken.example", TOLD, may_choose=True)
            sven = put_person(tx, cast.eken.id, "Sven Ek", "sven@eken.example", TOLD)
            lars = put_person(tx, cast.linden.id, "Lars Lind", "lars@linden.example", TOLD, may_choose=True)
        return House(database, made, cast.eken, cast.linden, karin, sven, lars)

    return make


@pytest.fixture
def house(furnish: Callable[..., House]) -> House:
    return furnish()
