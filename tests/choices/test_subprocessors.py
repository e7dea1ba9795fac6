from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ombud.choices.subprocessors import (
    Subprocessor,
    answer_objection,
    object_to,
    objections,
    put_subprocessor,
    subprocessor,
    subprocessors,
)
from ombud.db import Database
from ombud.errors import BadField, NotFound, WrongState
from tests.conftest import NOON, Cast

MAILGUN = Subprocessor(
    "mailgun-2024", "Mailgun", date(2024, 1, 8), date(2024, 2, 7), date(2024, 3, 1), "Sinch AB", "Vipre", "EU/EEA",
    {"sv": "Skickar e-post.", "en": "Sends e-mail."}, "molntjanst-2024",
)  # fmt: skip


def test_the_register_keeps_an_entry_and_what_is_changed_in_it(database: Database) -> None:
    with database.write() as tx:
        assert put_subprocessor(tx, MAILGUN, NOON)
        assert not put_subprocessor(tx, MAILGUN, NOON)
        assert subprocessor(tx, "mailgun-2024") == MAILGUN
        later = replace(MAILGUN, object_until=date(2024, 2, 29))
        assert put_subprocessor(tx, later, NOON)
        assert subprocessors(tx) == [later]
        with pytest.raises(NotFound):
            subprocessor(tx, "vipre")


def test_its_days_must_follow_each_other(database: Database) -> None:
    for wrong in (replace(MAILGUN, object_until=date(2024, 1, 7)), replace(MAILGUN, from_date=date(2024, 2, 1))):
        with database.write() as tx, pytest.raises(BadField, match="must not be before"):
            put_subprocessor(tx, wrong, NOON)
    with database.write() as tx:  # but they may fall together
        assert put_subprocessor(tx, replace(MAILGUN, object_until=MAILGUN.from_date), NOON)


def test_an_objection_is_dated_and_answered_once(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        put_subprocessor(tx, MAILGUN, NOON)
        made = object_to(tx, "mailgun-2024", cast.eken, "Vi vill inte ha Mailgun.", "Karin Ek", NOON)
        assert (made.customer_id, made.at, made.answered_at) == (cast.eken.id, NOON, None)
        later = NOON + timedelta(days=2)
        answered = answer_objection(tx, made.id, "Välj alternativ 1.", "anna", later)
        assert (answered.answer, answered.answered_by, answered.answered_at) == ("Välj alternativ 1.", "anna", later)
        with pytest.raises(WrongState, match="anna"):
            answer_objection(tx, made.id, "Nej.", "bo", later)
        assert objections(tx) == objections(tx, "mailgun-2024") == [answered]
        assert objections(tx, "other") == []


def test_an_objection_to_nothing_or_without_words_is_refused(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        with pytest.raises(NotFound):
            object_to(tx, "vipre", cast.eken, "Nej.", "Karin Ek", NOON)
        put_subprocessor(tx, MAILGUN, NOON)
        with pytest.raises(BadField):
            object_to(tx, "mailgun-2024", cast.eken, "  ", "Karin Ek", NOON)
        with pytest.raises(NotFound):
            answer_objection(tx, 7, "Ja.", "anna", NOON)
