"""The published test suite of RFC 7208 (openspf.org, release 2014.04), all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ombud.dns import Answer, Status, Zone
from ombud.mail.spf import check_host

SUITE = Path(__file__).parents[2] / "golden/spf/rfc7208-tests.yml"


def zone(data: dict[str, list[Any]]) -> Zone:
    """The suite's zone: SPF records are TXT where none is given, and TIMEOUT falls on what stands nowhere else."""
    records: dict[str, dict[str, list[str]]] = {}
    faults: dict[str, str] = {}
    for name, rows in data.items():
        kinds = records.setdefault(name.lower(), {})
        said = [row for row in rows if isinstance(row, dict)]
        for row in said:
            ((kind, value),) = row.items()
            if kind == "SPF" and not any("TXT" in other for other in said):
                kind = "TXT"
            if kind == "SPF" or value == "NONE":
                continue
            if value == "TIMEOUT":
                faults[f"{name.lower()} {kind}"] = "timeout"
                continue
            text = value if isinstance(value, str) else "".join(value) if kind == "TXT" else " ".join(map(str, value))
            kinds.setdefault(kind, []).append(text)
        if "TIMEOUT" in rows:
            kinds_there = {kind for kind, values in kinds.items() if values}
            faults |= {
                f"{name.lower()} {kind}": "timeout"
                for kind in ("TXT", "A", "AAAA", "MX", "PTR", "CNAME")
                if kind not in kinds_there
            }
    return Zone(records, faults=faults)


def cases() -> Iterator[Any]:
    for scenario in yaml.safe_load_all(SUITE.read_text("utf-8")):
        for name, case in scenario["tests"].items():
            yield pytest.param(scenario["zonedata"], case, id=name)


@pytest.mark.parametrize(("data", "case"), list(cases()))
async def test_the_suite(data: dict[str, list[Any]], case: dict[str, Any]) -> None:
    made = zone(data)

    async def ask(name: str, kind: str) -> Answer:
        if name.startswith("error."):  # the suite's name for a server that never answers
            return Answer(name, kind, Status.UNKNOWN, why="timeout")
        return await made.ask(name, kind)

    verdict = await check_host(ask, str(case["host"]), case["helo"] or "", case["mailfrom"] or "")
    expected = case["result"] if isinstance(case["result"], list) else [case["result"]]
    assert verdict.result in expected
    if "explanation" in case:
        assert (verdict.explanation or "DEFAULT") == case["explanation"]


def test_the_suite_is_whole() -> None:
    assert len(list(cases())) == 203
