from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from ombud.smtp import raise_open_files

resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_open_files({needed}), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def raised(soft: int, hard: int, needed: int) -> list[str]:
    """What a process of its own says: a hard limit that was lowered stays so."""
    program = PROGRAM.format(soft=soft, hard=hard, needed=needed)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    assert raised(soft=200, hard=400, needed=300) == ["400 (400, 400)"]


def test_a_hard_limit_that_is_too_low_is_told() -> None:
    told, limits = raised(soft=200, hard=400, needed=500)
    assert "few_open_files" in told
    assert limits == "400 (400, 400)"
