"""What an attacker tries at the SMTP door: commands slipped in around STARTTLS, and a second mail smuggled in one's data."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from trials.peers.house import OURS, House, run_quietly

_PACKAGE = "command-injection-tester"


def command_injection(house: House, folder: Path) -> str:
    """Let the tester of the STARTTLS research (CVE-2011-0411 and its kin) judge the door. What it found; "ok" when nothing."""
    why = run_quietly([sys.executable, "-m", "venv", folder], folder)
    if why := why or run_quietly(
        [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", _PACKAGE], folder
    ):
        return f"not installed: {why}"
    options: list[str | Path] = [
        "--smtp",
        "--smtp-port",
        str(house.starttls_port),
        "--nocolor",
        "--timeout",
        "2",
        "--logdir",
        folder / "logs",
    ]
    command: list[str | Path] = [folder / "bin/python", folder / "bin" / _PACKAGE, *options, "127.0.0.1"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    clean = (
        "Sanity test done" in said
        and "no command injection here" in said
        and not re.search(r"(?<!no )command injection here", said, re.IGNORECASE)
    )
    return "ok" if clean else f"failed: {' / '.join(said.strip().splitlines()[-3:])}"


def smuggling(house: House, corpus: Path) -> Iterator[tuple[str, str]]:
    """For each sequence of the corpus that is no end of data: its name, and "ok" when it ended nothing and was refused."""
    for path in sorted(corpus.glob("*.json")):
        for name, sequence in json.loads(path.read_text("utf-8"))["sequences"].items():
            yield name, _smuggle(house, bytes.fromhex(sequence["hex"]))


def _smuggle(house: House, sequence: bytes) -> str:
    token = uuid.uuid4().hex
    inner = _envelope() + _content(f"inner {token}")
    with _session(house) as talk:
        talk.ask(_envelope(), 3)
        said = talk.ask(_content(f"outer {token}") + sequence + inner + b"\r\n.\r\nNOOP\r\n", 2)
    answers = re.findall(rb"^(\d{3}) ", said, re.MULTILINE)
    if not answers or not answers[0].startswith(b"5"):
        return f"failed: it was answered {said[:80]!r}"
    if answers[1:] not in ([], [b"250"]):
        return f"failed: what was inside was taken for commands: {said[:200]!r}"
    return "failed: something was delivered" if house.has(token) else "ok"


def _envelope() -> bytes:
    return f"MAIL FROM:<info@{OURS}>\r\nRCPT TO:<asa@tenant.example>\r\nDATA\r\n".encode()


def _content(subject: str) -> bytes:
    return f"From: info@{OURS}\r\nTo: asa@tenant.example\r\nSubject: {subject}\r\n\r\nHej".encode()


class _Talk:
    """A logged-in session that is written to byte by byte."""

    def __init__(self, wire: ssl.SSLSocket) -> None:
        self._wire = wire

    def __enter__(self) -> _Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def ask(self, sent: bytes, answers: int) -> bytes:
        """Send, and read so many last lines of answers, or until the server closes or is silent."""
        self._wire.sendall(sent)
        said = b""
        try:
            while len(re.findall(rb"^\d{3} .*\r\n", said, re.MULTILINE)) < answers and (more := self._wire.recv(65536)):
                said += more
        except OSError:
            pass
        return said


def _session(house: House) -> _Talk:
    context = ssl.create_default_context(cafile=str(house.ca_file))
    plain = socket.create_connection(("127.0.0.1", house.tls_port), timeout=5)
    talk = _Talk(context.wrap_socket(plain, server_hostname="127.0.0.1"))
    password = base64.b64encode(f"\0{house.user}\0{house.password}".encode())
    talk.ask(b"", 1)
    talk.ask(b"EHLO client.example\r\n", 1)
    said = talk.ask(b"AUTH PLAIN " + password + b"\r\n", 1)
    if not said.startswith(b"235"):
        raise RuntimeError(f"not logged in: {said!r}")
    return talk
