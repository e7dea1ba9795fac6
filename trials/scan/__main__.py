"""`python -m trials.scan`: how long a scan takes, what it costs, and whether it says the right thing of every domain."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress

from ombud.dns import Answer, Resolver, remembering
from ombud.domains.scan import Scanned, scan
from trials.scan.world import domains


@dataclass
class Counting:
    """A resolver that counts what it is asked."""

    resolver: Resolver
    questions: int = 0

    async def ask(self, name: str, kind: str) -> Answer:
        self.questions += 1
        return await self.resolver.ask(name, kind)


async def scan_all(port: int, number: int, at_a_time: int, bar: Progress) -> tuple[dict[str, Scanned], int]:
    counting = Counting(Resolver([f"127.0.0.1:{port}"], seconds=10))
    ask, room, task = remembering(counting.ask), asyncio.Semaphore(at_a_time), bar.add_task("looking", total=number)

    async def one(domain: str) -> Scanned:
        async with room:
            found = await scan(ask, domain)
        bar.advance(task)
        return found

    found = await asyncio.gather(*(one(domain) for domain, _ in domains(number)))
    return {one.domain: one for one in found}, counting.questions


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m trials.scan", description=__doc__)
    parser.add_argument("--domains", type=int, default=10_000)
    parser.add_argument("--at-a-time", type=int, default=64)
    given = parser.parse_args(arguments)
    command = [sys.executable, "-m", "trials.scan.world", str(given.domains)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as world:
        assert world.stdout and world.stdin
        port = json.loads(world.stdout.readline())["port"]
        started, cpu = time.monotonic(), time.process_time()
        with Progress(console=Console(stderr=True)) as bar:
            found, questions = asyncio.run(scan_all(port, given.domains, given.at_a_time, bar))
        seconds, used = time.monotonic() - started, time.process_time() - cpu
        world.stdin.close()
    wrong = [
        f"{domain}: {found[domain].fits.value}/{found[domain].reason}, not {kind.fits}/{kind.reason}"
        for domain, kind in domains(given.domains)
        if (found[domain].fits.value, found[domain].reason) != (kind.fits, kind.reason)
    ]
    score = {
        "domains": len(found), "wrong": len(wrong), "examples": wrong[:3], "seconds": round(seconds, 1),
        "questions": questions, "questions_a_second": round(questions / seconds), "cpu_seconds": round(used, 1),
        "reasons": dict(Counter(one.reason for one in found.values())),
    }  # fmt: skip
    print(
        f"{len(found)} domains in {seconds:.0f} s, {questions} questions, {used:.0f} s of one core; {len(wrong)} wrong",
        file=sys.stderr,
    )
    print(json.dumps(score))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
