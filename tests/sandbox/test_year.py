"""The story of the notice, a slice of it: the last days before the stop and the day after, counted in the mailboxes."""

from __future__ import annotations

import asyncio
import logging
from datetime import date
from pathlib import Path

from ombud import maillog
from ombud.sandbox import plot, year
from ombud.settings import LogSettings


def test_the_stop_is_played_and_every_mail_is_accounted_for(tmp_path: Path) -> None:
    maillog.configure(LogSettings(level="error"))
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    whole = plot.the_notice_of_2024()
    slice_ = {day: happenings for day, happenings in whole.items() if day >= date(2024, 5, 31)}
    slice_[date(2024, 5, 30)] = [plot.chooses("eken", "own"), plot.proves_and_goes_live("eken")]
    lines: list[str] = []
    told = asyncio.run(
        year.play(
            tmp_path, slice_, lines.append, lambda done, total: None, first=date(2024, 5, 30), last=date(2024, 6, 3)
        )
    )  # fmt: skip
    assert told.disagreements == []
    assert (told.total("lost"), told.duplicates) == (0, 0)
    assert told.ok
    eken, norrvik, bjallerbo, tallbacken = (
        told.customers[slug] for slug in ("eken", "norrvik", "bjallerbo", "tallbacken")
    )
    assert eken.delivered == eken.submitted
    assert set(eken.by_route) == {"eken-egen"}
    assert (norrvik.held, norrvik.refused) == (1, 2)  # accepted before the stop; on Saturday and on Monday
    assert (bjallerbo.held, bjallerbo.by_route["mailgun-eu"]) == (
        0,
        2,
    )  # what was held goes with the choice, and Monday's
    assert tallbacken.refused == 0
    assert any("norrvik no_active_choice" in line for line in lines)  # by SMTP, in words that end with the code
    assert "1R" in lines[-1]  # in reserve mode
