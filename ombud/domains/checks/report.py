"""What a check came to: for each record, and for the domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from ombud.domains.findings import Finding
from ombud.mail.records import Record, Weight


class State(StrEnum):
    """What is known of one record."""

    UNCHECKED = "unchecked"  # nobody has looked
    MISSING = "missing"  # it is definitely not there
    MISMATCH = "mismatch"  # it is there with another value
    WRONG_HOST = "wrong_host"  # it is there under another name
    CONFLICT = "conflict"  # something beside it, or its servers among themselves, contradict it
    PROPAGATING = "propagating"  # saved; old answers have yet to go
    OK = "ok"
    RECOMMENDED = "recommended"  # not there, and mail works without it
    UNTESTABLE = "untestable"  # nobody knows: a server did not answer
    LOST = "lost"  # it was ok, and is definitely not any more


#: The states that say, by definite answers, that a record is not as it should be.
WRONG = (State.MISSING, State.MISMATCH, State.WRONG_HOST, State.CONFLICT, State.LOST)


class Outcome(StrEnum):
    """What one check says of a domain as a whole; what watching counts."""

    OK = "ok"
    MISS = "miss"  # a required record is definitely not in order, by more than one source
    UNKNOWN = "unknown"  # anything else: it changes nothing


@dataclass(frozen=True, slots=True)
class Looked:
    """One record beside what was found. `server`, `at` and `ttl`: who was asked, when, and how long the answer may be kept."""

    record: Record
    state: State
    found: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    server: str = ""
    at: datetime | None = None
    ttl: int | None = None
    #: What should be published here; differs from the record's own value where something must be merged.
    expected: str = ""
    #: Whether the state stands by more than one source's definite word.
    sure: bool = False

    @property
    def required(self) -> bool:
        return self.record.weight is Weight.REQUIRED


@dataclass(frozen=True, slots=True)
class Report:
    """One check of one domain."""

    domain: str
    at: datetime
    records: tuple[Looked, ...] = ()
    findings: tuple[Finding, ...] = ()  # those of no single record
    zone: str = ""
    name_servers: tuple[str, ...] = ()
    #: Whether any of the zone's own servers answered; else a resolver alone, which may hold what is no more.
    reached: bool = True

    @property
    def everything(self) -> tuple[Finding, ...]:
        """All findings, each code and name once; what is required first."""
        found: dict[tuple[str, str], Finding] = {}
        for finding in (*(one for looked in self.records for one in looked.findings), *self.findings):
            found.setdefault((finding.code, finding.name), finding)
        order = list(Weight)
        return tuple(sorted(found.values(), key=lambda one: order.index(one.weight)))

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(finding.code for finding in self.everything))

    @property
    def ok(self) -> bool:
        """Whether everything that is required is there."""
        return all(looked.state is State.OK for looked in self.records if looked.required) and not any(
            finding.weight is Weight.REQUIRED for finding in self.everything
        )


def as_json(report: Report) -> dict[str, object]:
    """The report as plain values: all of it, for storing and for programs."""
    return {
        "domain": report.domain, "at": report.at.isoformat(), "zone": report.zone, "name_servers": list(report.name_servers),
        "records": [_record_json(looked) for looked in report.records],
        "findings": [finding_json(finding) for finding in report.everything],
    }  # fmt: skip


def _record_json(looked: Looked) -> dict[str, object]:
    return {
        "type": looked.record.kind, "name": looked.record.name, "expected": looked.expected or looked.record.value,
        "found": "\n".join(looked.found) or None, "state": looked.state.value,
        "findings": list(dict.fromkeys(finding.code for finding in looked.findings)),
        "purpose": looked.record.purpose.value, "weight": looked.record.weight.value, "asked_by": looked.record.asked_by,
        "server": looked.server, "at": looked.at.isoformat() if looked.at else None, "ttl": looked.ttl,
    }  # fmt: skip


def finding_json(finding: Finding) -> dict[str, object]:
    kind = finding.kind
    return {
        "code": finding.code, "weight": finding.weight.value, "turn": kind.turn.value, "name": finding.name,
        "sv": finding.verdict("sv"), "en": finding.verdict("en"),
        "do": {language: finding.advice(language) for language in ("sv", "en")},
        "detail": {language: finding.detail(language) for language in ("sv", "en")}, "link": kind.link,
    }  # fmt: skip


def in_hindsight(report: Report, code: str, values: Mapping[str, str]) -> Report:
    """The report of a domain that was in order and is not: what is wrong now is `lost`, and `code` says what that means."""
    if not any(looked.required and looked.state in WRONG for looked in report.records):
        return report
    return replace(report, records=tuple(_lost(looked, code, values) for looked in report.records))


def _lost(looked: Looked, code: str, values: Mapping[str, str]) -> Looked:
    if not looked.required or looked.state not in WRONG:
        return looked
    record = looked.record
    about = {"name": record.name, "expected": looked.expected or record.value, **values}
    # What exactly is wrong is still told; that it is missing, the finding itself says.
    closer = tuple(finding for finding in looked.findings if not finding.code.endswith(".missing"))
    return replace(looked, state=State.LOST, findings=(Finding(code, about), *closer))
