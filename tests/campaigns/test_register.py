"""Who was told of a change of sub-processors: the first letter that arrived, from the letters themselves."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import update

from ombud.accounts.vendor import load_vendor
from ombud.campaigns.register import Told, load_told
from ombud.choices.subprocessors import Subprocessor
from ombud.db import Database
from ombud.notices.letters import Writer, letter_table, put_letters, to_person
from ombud.queue import State
from tests.campaigns.house import NOON, SEAL, House, furnish

ENTRY = Subprocessor(
    "mailgun", "Mailgun", date(2024, 1, 8), date(2024, 2, 7), date(2024, 3, 1), campaign="molntjanst-2024"
)


@pytest.fixture
def house(database: Database) -> House:
    return furnish(database)


def write(house: House, key: str, outcome: State | None, hours: int) -> None:
    """A letter to Eken's Karin, and what came of it an hour later."""
    at = NOON + timedelta(hours=hours)
    values = {"customer": "Bostads AB Eken", "valid_until": "16 juni 2024", "choose_url": "https://e-post.example/c/x"}
    letter = to_person(house.karin, house.eken.id, key, "new_link", values=values, campaign=house.campaign.slug)
    with house.database.write() as tx:
        put_letters(tx, Writer(SEAL, load_vendor(tx), "https://e-post.example"), [letter], at)
        changed = {"outcome": outcome, "outcome_at": at + timedelta(hours=1) if outcome else None}
        tx.execute(update(letter_table).where(letter_table.c.key == key).values(**changed))


def told(house: House) -> dict[str, Told]:
    with house.database.read() as tx:
        return {one.customer.slug: one for one in load_told(tx, ENTRY)}


def test_nobody_is_told_by_a_letter_that_was_never_written(house: House) -> None:
    assert told(house) == {"eken": Told(house.eken), "linden": Told(house.linden)}


def test_the_first_letter_that_arrived_counts_and_until_then_the_first_that_was_sent(house: House) -> None:
    write(house, "first", State.FAILED, 0)
    write(house, "second", None, 1)
    found = told(house)["eken"]
    assert (found.sent_at, found.arrived_at, found.address) == (NOON, None, "karin@eken.example")
    write(house, "third", State.DELIVERED, 2)
    write(house, "fourth", State.DELIVERED, 3)
    found = told(house)["eken"]
    assert (found.letter, found.sent_at) == ("new_link", NOON + timedelta(hours=2))
    assert found.arrived_at == NOON + timedelta(hours=3)
    assert len(found.version) == 12
    assert told(house)["linden"] == Told(house.linden)
