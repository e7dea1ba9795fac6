"""Houses for the flow tests: built as each test wants them, and taken down in the right order."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.flows.house import AsProcess, House, InThread
from tests.flows.nexthop import NextHop

#: What the database has no part in, and what only one of them can do.
on_sqlite = pytest.mark.parametrize("flow_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("flow_url", ["postgres"], indirect=True)

Serve = Callable[..., InThread]
Start = Callable[..., AsProcess]
Build = Callable[..., House]


@pytest.fixture(autouse=True, scope="session")
def _switch_interval() -> Iterator[None]:
    """The service sets it for its process, which here is not its own."""
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=["sqlite", "postgres"])
def flow_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database for a house in `tmp_path`: both kinds, unless the test says which."""
    return fresh(request, request.param, tmp_path)


def fresh(request: pytest.FixtureRequest, kind: str, directory: Path) -> str:
    if kind == "postgres":
        return str(request.getfixturevalue("postgres").fresh())
    shutil.copy(request.getfixturevalue("sqlite_template"), directory / "ombud.db")
    return ""


@pytest.fixture
def hop() -> Iterator[NextHop]:
    hop = NextHop()
    yield hop
    hop.close()


@pytest.fixture
def build(flow_url: str, tmp_path: Path, hop: NextHop) -> Build:
    """Furnishes the house, with these tables of settings."""
    return lambda **tables: House(tmp_path, flow_url, hop, **tables)


@pytest.fixture
def serve(build: Build) -> Iterator[Serve]:
    """Builds a house and runs its service in a thread; it is stopped when the test is over."""
    with ExitStack() as stack:

        def serve(**tables: Any) -> InThread:
            running = InThread(build(**tables))
            stack.callback(running.stop)
            return running

        yield serve


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process for a house; it is killed when the test is over."""
    with ExitStack() as stack:

        def start(house: House, **environment: str) -> AsProcess:
            process = AsProcess(house, **environment)
            stack.callback(process.close)
            return process

        yield start
