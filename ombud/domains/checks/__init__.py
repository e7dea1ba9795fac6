"""The check of a domain's DNS: what is asked, of whom, and what follows. Nothing here is stored, and nothing changes anything."""

from ombud.domains.checks.asking import OneServer, Source
from ombud.domains.checks.check import check
from ombud.domains.checks.report import WRONG, Looked, Outcome, Report, State, as_json, finding_json, in_hindsight

__all__ = [
    "WRONG", "Looked", "OneServer", "Outcome", "Report", "Source", "State", "as_json", "check", "finding_json", "in_hindsight",
]  # fmt: skip
