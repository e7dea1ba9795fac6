"""An installation of the example, and `ombud` to run in it as a person or a script would."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner

from ombud.cli.app import app
from ombud.sandbox.nameserver import NameServer, Zones

#: Between the campaign's risk date and its stop: who has chosen nothing goes by the old way.
APPLIED, NOW = "2024-04-16T09:00", "2024-04-16T10:00"
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024" / "ombud.toml"


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.err)["error"]
        return found


class Ombud:
    """`ombud ARGUMENTS` in one directory. A command that does not end with the code that is looked for fails the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *arguments: str | Path, code: int = 0, answer: str = "") -> Said:
        done = CliRunner().invoke(
            app, ["--dir", str(self.directory), *map(str, arguments)], input=answer, prog_name="ombud"
        )
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
        return Said(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OMBUD_LANG", "en")
    monkeypatch.setenv("OMBUD_SERVICE__AT", NOW)
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def _applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installation") / "dir"
    Ombud(directory)("--at", APPLIED, "apply", EXAMPLE)
    return directory


@pytest.fixture
def ombud(_applied: Path, tmp_path: Path) -> Ombud:
    """In an installation to which the example was applied."""
    return Ombud(Path(shutil.copytree(_applied, tmp_path / "dir")))


@pytest.fixture
def bare(tmp_path: Path) -> Ombud:
    """Where there is no installation yet."""
    return Ombud(tmp_path / "bare")


@contextmanager
def serving(zones: Zones) -> Iterator[NameServer]:
    """A name server in a thread of its own: a command has a loop of its own."""
    server, ready, loop = NameServer(zones), threading.Event(), asyncio.new_event_loop()

    def run() -> None:
        loop.run_until_complete(server.start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(10)
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
