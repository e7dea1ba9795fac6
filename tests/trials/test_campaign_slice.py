"""A slice of the generated campaign, and the trial's own judge put to the test."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ombud.db import Database
from ombud.db.migrate import upgrade
from ombud.routing import load_switches, roll_back
from ombud.seal import Seal
from trials.campaign.__main__ import FIRST, main
from trials.campaign.made import DAY, make, noon, put_traffic, shared_out
from trials.campaign.trial import Trial


@pytest.fixture
def trial(tmp_path: Path, sqlite_template: Path) -> Trial:
    (tmp_path / "ombud.db").write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{tmp_path / 'ombud.db'}")
    upgrade(database)
    made = make(database, Seal(b"k" * 32), 30, seed=7)
    put_traffic(made, FIRST, 30_000)
    return Trial(made)


def test_twelve_days_of_thirty_customers_come_out_as_the_ledger_says(trial: Trial) -> None:
    result = trial.run(FIRST, 12)
    assert not result.wrong, result.first_wrong
    assert result.comparisons == 30 * 12 and result.letters > 30 and result.went_live > 1


def test_the_judge_finds_what_was_done_behind_the_ledgers_back(trial: Trial) -> None:
    trial.run(FIRST, 7)
    now = noon(FIRST + 7 * DAY, 7)
    with trial.made.database.write() as tx:
        live = next(one for one in load_switches(tx) if one.stands(now))
        for switch in load_switches(tx):
            if switch.customer_id == live.customer_id and switch.stands(now):
                roll_back(tx, switch.id, now, by="nobody", reason="unseen")
    trial.run(FIRST + 7 * DAY, 1)
    assert set(trial.result.wrong) >= {"another_stage", "done_or_not"}


def test_the_judge_finds_a_reminder_to_one_who_is_done(trial: Trial) -> None:
    trial.run(FIRST, 1)
    for entry in trial.ledger.values():
        entry.extension = "exemption"  # all are done, as far as the ledger knows
    trial.one_day(date(2024, 4, 30))  # a day on which everyone else is reminded
    assert trial.result.wrong["done_reminded"] > 0


def test_nothing_is_lost_when_a_whole_is_shared_out() -> None:
    assert shared_out(10, [1.0, 1.0, 1.0]) == [3, 4, 3]
    assert sum(shared_out(10_000_000, [0.1, 7.3, 2.2, 1e-9])) == 10_000_000


def test_the_command_ends_well_with_a_small_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--customers", "12", "--messages", "1200", "--days", "2", "--json"]) == 0
    assert '"messages": 1200' in capsys.readouterr().out
