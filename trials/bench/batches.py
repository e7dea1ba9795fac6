"""The HTTP door's load: batch calls of a thousand recipients each, over a few connections, one after another on each."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from trials.bench.mails import DOMAINS

RECIPIENTS, CONNECTIONS = 1000, 4


@dataclass(frozen=True)
class Batches:
    """What came of it."""

    recipients: int
    refused: int
    recipients_a_second: float
    p50_ms: float  # a whole call
    p99_ms: float


def send_batches(port: int, api_key: str, calls: int) -> Batches:
    """`calls` batches in all. The mail is small: what is measured is the taking in of recipients."""
    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        shares = [range(n, calls, CONNECTIONS) for n in range(CONNECTIONS)]
        answers = [
            answer for share in threads.map(lambda share: _send(port, api_key, share), shares) for answer in share
        ]
    seconds = time.perf_counter() - began
    times = sorted(ms for _, ms in answers)
    accepted = sum(count for count, _ in answers)
    return Batches(
        accepted,
        calls * RECIPIENTS - accepted,
        round(accepted / seconds),
        round(times[len(times) // 2], 1),
        round(times[len(times) * 99 // 100], 1),
    )


def _send(port: int, api_key: str, numbers: Sequence[int]) -> list[tuple[int, float]]:
    """For each call how many recipients it was accepted for, and its milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    found = []
    for number in numbers:
        body = _body(number)
        began = time.perf_counter()
        connection.request("POST", "/v1/messages/batch", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        accepted = json.loads(said)["accepted"] if answer.status == 202 else 0
        found.append((accepted, (time.perf_counter() - began) * 1000))
    connection.close()
    return found


def _body(number: int) -> bytes:
    recipients = [
        {"to": f"hyresgast{number * RECIPIENTS + n}@r{n % 20:02d}.example", "variables": {"namn": f"Åsa {n}"}}
        for n in range(RECIPIENTS)
    ]
    content = {
        "from": f"Bostads AB <orders@{DOMAINS[number % len(DOMAINS)]}>",
        "subject": "Vattnet stängs av på tisdag",
        "text": "Hej {{namn}}!\n\nPå tisdag kl. 9-12 stängs vattnet av.\n",
        "stream": "bulk",
    }
    return json.dumps({**content, "recipients": recipients}, ensure_ascii=False).encode()
