"""`python -m trials.dns`: what the diagnosis of DNS is worth, in figures. Exit code 0: all of them are as they should be."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import structlog

from ombud.domains.findings import Source, catalogue, finding_of_reply
from trials.dns import cost, faults
from trials.dns.zones import expected_codes, fixtures, play

ROOT = Path(__file__).parents[2]
REPLIES = ROOT / "tests" / "domains" / "replies.toml"
SUITE = "tests/mail/spf/test_rfc7208.py::test_the_suite"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trials.dns", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--sequences", type=int, default=1000, help="fault sequences to play")
    parser.add_argument("--domains", type=int, default=300, help="domains to measure the cost with; 0: do not measure")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    figures: dict[str, Any] = {}
    good = True
    for name, measure in (
        ("findings", findings), ("replies", replies), ("spf_suite", spf_suite),
        ("faults", lambda: fault_sequences(arguments.sequences)), ("cost", lambda: watching(arguments.domains)),
    ):  # fmt: skip
        figures[name], words, fine = measure()
        good &= fine
        if not arguments.json:
            print(f"{'✔' if fine else '✖'} {words}", flush=True)
    if arguments.json:
        print(json.dumps({**figures, "ok": good}))
    return 0 if good else 1


Figure = tuple[dict[str, Any], str, bool]


def findings() -> Figure:
    """Each zone gives exactly its finding, said in both languages; and every finding that comes from DNS has a zone."""
    played, wrong = fixtures(), list[str]()
    for fixture in played:
        report = asyncio.run(play(fixture))
        expected = [fixture.code] if fixture.code else []
        if list(report.codes) != expected:
            wrong.append(f"{fixture.code or 'well'}: {', '.join(report.codes) or 'nothing'}")
    untried = sorted(set(expected_codes()) - {fixture.code for fixture in played})
    of = len(played) - 1
    right = of - len([one for one in wrong if not one.startswith("well")])
    words = f"findings: {right} of {of} zones give exactly their finding, and the zone in which all is well gives none"
    if wrong or untried:
        words += "".join(f"\n    {one}" for one in (*wrong, *(f"{code}: no zone" for code in untried)))
    return {"right": right, "of": of, "wrong": wrong, "untried": untried}, words, not wrong and not untried


def replies() -> Figure:
    said = tomllib.loads(REPLIES.read_text("utf-8"))
    wrong = [code for code, reply in said.items() if (found := finding_of_reply(reply)) is None or found.code != code]
    codes = {kind.code for kind in catalogue().values() if kind.source is Source.REPLY}
    wrong += sorted(codes - set(said))
    of = len(codes)
    return (
        {"right": of - len(wrong), "of": of, "wrong": wrong},
        f"replies: {of - len(wrong)} of {of} give exactly their finding",
        not wrong,
    )


def spf_suite() -> Figure:
    """The published suite of RFC 7208, as the tests run it."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", SUITE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    passed, failed = (
        int(found[1]) if (found := re.search(rf"(\d+) {word}", done.stdout)) else 0 for word in ("passed", "failed")
    )
    # As quiet as the house has it, pytest gives only failures a number; what passed are the dots.
    passed = passed or sum(line.split(" ")[0].count(".") for line in done.stdout.splitlines() if "%" in line)
    fine = done.returncode == 0 and passed > 0
    words = f"SPF: the suite of RFC 7208 agrees in {passed} of {passed + failed}"
    return {"passed": passed, "of": passed + failed}, words, fine


def fault_sequences(number: int) -> Figure:
    begun = time.monotonic()
    played = asyncio.run(faults.play_all(number))
    false, late = sum(len(one.false) for one in played), faults.overdue(played)
    removals = [one.removal_took for one in played if one.removal_took is not None]
    words = (
        f"faults: {number} sequences of {faults.CHECKS} checks: {false} false alarms; {len(removals)} real removals, "
        f"each seen in at most {max(removals, default=0)} checks that could tell; {time.monotonic() - begun:.0f} s"
    )
    if false or late:
        words += f"\n    seeds: {[one.seed for one in played if one.false] + late}"
    return {"sequences": number, "false": false, "late": late, "removals": len(removals)}, words, not false and not late


def watching(domains: int) -> Figure:
    if not domains:
        return {}, "cost: not measured", True
    found = cost.measure(domains)
    share = found.share(10_000)
    words = f"cost: {found.seconds * 1000:.1f} ms of CPU a check; 10 000 domains a day take {share:.2%} of a core"
    return {"ms": round(found.seconds * 1000, 2), "share": round(share, 5), "domains": domains}, words, share < 0.05


if __name__ == "__main__":
    sys.exit(main())
