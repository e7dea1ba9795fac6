"""Some hundred mails of the rotation trial: keys change while they are sent, and none of them fails."""

from __future__ import annotations

from pathlib import Path

from trials.rotation.trial import Plan, run


def test_no_mail_fails_while_keys_change(tmp_path: Path) -> None:
    score = run(Plan(messages=240, domains=1, rate=80, speed=300), tmp_path)
    assert (score.arrived, score.failed_at_once, score.failed_late) == (240, 0, 0), score.examples
    assert score.switches > 0
