"""Some hundred mails of the rotation trial: keys change while they are sent, and none of them fails."""

from __future__ import annotations

from pathlib import Path

from trials.rotation.trial import Plan, run


def test_no_mail_fails_while_keys_change(tmp_path: Path) -> None:
    # No faster than this: what takes the same time at any speed (a lease, a look at the keys) must stay small beside the hold.
    score = run(Plan(messages=480, domains=1, rate=80, speed=100), tmp_path)
    assert (score.arrived, score.failed_at_once, score.failed_late) == (480, 0, 0), score.examples
    assert score.switches > 0
