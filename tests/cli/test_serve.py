"""`ombud serve` as its own process, with commands beside it in the same installation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

ANY_PORT = {"OMBUD_SMTP__STARTTLS_PORT": "0", "OMBUD_SMTP__TLS_PORT": "0", "OMBUD_HTTP__PORT": "0"}


@pytest.fixture
def service(ombud: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "ombud", "--dir", str(ombud.directory), "serve"]
    process = subprocess.Popen(
        command, env={**os.environ, **ANY_PORT}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


def test_commands_work_while_the_service_runs_and_a_signal_ends_it_well(
    ombud: Any, service: subprocess.Popen[str]
) -> None:
    assert service.stdout
    up = json.loads(service.stdout.readline())
    assert up["pid"] == service.pid
    with urllib.request.urlopen(up["http"] + "/healthz", timeout=10) as answer:
        assert answer.status == 200
    send = (
        "send",
        "--from",
        "a@eken.example",
        "--to",
        "b@mejlen.example",
        "--text",
        "x",
        "--product",
        "hyra",
        "--mode",
        "test",
    )
    id = ombud(*send).json["id"]
    deadline = time.monotonic() + 20
    while ombud("messages", "show", id).json["states"] != {"delivered": 1}:
        assert time.monotonic() < deadline, "the service does not deliver"
        time.sleep(0.2)
    assert ombud("usage", "show", "--customer", "eken").json["lines"] == [
        {"product": "hyra", "route": "test", "emails": 1, "billable": 0}
    ]
    assert ombud("serve", code=1).error["detail"].count("ombud serve") == 1, "there can be only one"
    service.send_signal(signal.SIGHUP)
    service.send_signal(signal.SIGTERM)
    assert service.wait(20) == 0
    assert ombud("verify").json["ok"] is True
