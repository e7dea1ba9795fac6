"""`ombud serve` as its own process, with commands beside it in the same installation."""

from __future__ import annotations

import json
import os
import signal
import socket
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


def test_a_port_that_is_taken_is_told_with_what_to_do(ombud: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = ANY_PORT | {"OMBUD_SMTP__TLS_PORT": str(taken.getsockname()[1])}
        command = [sys.executable, "-m", "ombud", "--dir", str(ombud.directory), "--table", "serve"]
        said = subprocess.run(
            command, env={**os.environ, **ports}, capture_output=True, text=True, timeout=30, check=False
        )
    assert said.returncode == 1
    assert "another program has that port" in said.stderr and "smtp.tls_port" in said.stderr


def test_a_person_is_told_where_the_doors_are_and_what_the_world_calls_them(ombud: Any) -> None:
    known = ANY_PORT | {"OMBUD_HTTP__PUBLIC_URL": "https://mail.example.se"}
    command = [sys.executable, "-m", "ombud", "--dir", str(ombud.directory), "--table", "serve"]
    with subprocess.Popen(
        command, env={**os.environ, **known}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        said = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert said[2].startswith("  HTTP  http://127.0.0.1:") and said[2].endswith("(https://mail.example.se)\n")
