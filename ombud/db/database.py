"""Opens a database, proves that it keeps what it says it keeps, and hands out transactions."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, CursorResult, Engine, Executable, Select, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from ombud.db.schema import Moment
from ombud.errors import DatabaseGone, DiskFull, Misconfigured, TryLater, UnsafeDatabase

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger("ombud.db")

#: SQLite before this can corrupt a WAL database when two connections write and checkpoint at once (WAL-reset bug, 3.7.0-3.51.2).
SAFE_SQLITE = (3, 51, 3)
READERS = 4
#: The channel that wakes delivery workers in other processes (PostgreSQL only; in one process a callback does it).
WAKE = "ombud_wake"


class Transaction:
    """One transaction, passed to the parts as their first argument. The parts never commit.

    `now` is the database's clock, read once: leases and the queue's schedule go by it on every machine alike.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect
        self.postgres = connection.dialect.name == "postgresql"
        self.touched = False  # see `snapshot.touch`

    def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a statement; a list of values runs it once for each, in one go."""
        return self._connection.execute(statement, values)

    def run_many(self, sql: str, rows: Sequence[Any]) -> int:
        """Run SQL in the driver's own style for each row (see `Many`). Returns how many rows were changed."""
        return self._connection.exec_driver_sql(sql, list(rows)).rowcount

    def ask(self, sql: str, values: Any) -> Sequence[Sequence[Any]]:
        """Run SQL in the driver's own style (see `Question`), and give all of its rows."""
        return self._connection.exec_driver_sql(sql, values).fetchall()

    @cached_property
    def now(self) -> datetime:
        moment = self._connection.execute(_NOW_POSTGRES if self.postgres else _NOW_SQLITE).scalar_one()
        assert isinstance(moment, datetime)
        return moment

    def skip_locked(self, rows: Select[Any]) -> Select[Any]:
        """Lock the rows of a SELECT, leaving out those that another worker has. SQLite has one writer: nothing to lock."""
        return rows.with_for_update(skip_locked=True) if self.postgres else rows

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done within, and only that, when it raises."""
        before = self.touched
        try:
            with self._connection.begin_nested():
                yield
        except BaseException:
            self.touched = before
            raise

    def wake_others(self) -> None:
        """Tell the workers of other processes, once this commits, that there is mail to deliver."""
        if self.postgres:
            self._connection.execute(text(f"NOTIFY {WAKE}"))


_NOW_SQLITE = text("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000 AS now").columns(
    now=Moment
)
_NOW_POSTGRES = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) AS now").columns(
    now=Moment
)


class Database:
    """One database, SQLite or PostgreSQL. Open it with `Database.open`; `close` it when done.

    Reading and writing are apart: SQLite gets exactly one connection that writes and checkpoints, and some that only read.
    """

    def __init__(self, url: URL, write: Engine, read: Engine) -> None:
        self.url = url
        self.postgres = url.get_backend_name() == "postgresql"
        self._write, self._read = write, read
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="db-read")

    @classmethod
    def open(cls, address: str, *, unsafe: bool = False) -> Database:
        """Open the database at `sqlite:///FILE` or `postgresql://...`; a missing SQLite file is made.

        Raises UnsafeDatabase when it would lose accepted mail in a power cut (unless `unsafe`), Misconfigured when the
        address is not usable, DatabaseGone when it does not answer.
        """
        url = make_url(address)
        if url.get_backend_name() == "sqlite":
            database = cls(url, *_open_sqlite(url))
        elif url.get_backend_name() == "postgresql":
            database = cls(url, *_open_postgres(url))
        else:
            raise Misconfigured(reason=f"service.database: {url.get_backend_name()} is neither sqlite nor postgresql")
        try:
            weakness = database.weakness()
        except SQLAlchemyError as error:
            database.close()
            raise trouble(error) or DatabaseGone() from error
        if weakness and not unsafe:
            database.close()
            raise UnsafeDatabase(reason=weakness)
        return database

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None."""
        return Path(self.url.database) if not self.postgres and self.url.database else None

    @property
    def engine(self) -> Engine:
        """The engine that writes; for migrations and tests."""
        return self._write

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """One transaction that commits at the end, or rolls back when it raises. Blocks; many go by `GroupCommit`."""
        with self._write.connect() as connection, connection.begin():
            yield Transaction(connection)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One transaction that sees one moment's state and cannot write. Raises TryLater when the database is in trouble."""
        try:
            with self._read.connect() as connection, connection.begin():
                yield Transaction(connection)
        except SQLAlchemyError as error:
            raise trouble(error) or error from error

    async def reading(self, question: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask `question(tx, ...)` on a reading connection, in a thread. Raises TryLater when the database is in trouble."""

        def ask() -> T:
            with self.read() as tx:
                return question(tx, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, ask)

    async def writing(self, verb: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `verb(tx, ...)` in a transaction of its own, in a thread: for commands. The service's verbs go by `GroupCommit`."""

        def do() -> T:
            with self.write() as tx:
                return verb(tx, *args, **kwargs)

        return await asyncio.to_thread(do)

    def has_committed(self, xid: str) -> bool:
        """Whether a PostgreSQL transaction took effect whose COMMIT was never answered. False also when nobody can tell."""
        self._write.dispose()  # its connections are those that were just lost
        try:
            with self._write.connect() as connection:
                status = connection.execute(text("SELECT pg_xact_status(CAST(:xid AS xid8))"), {"xid": xid}).scalar()
        except SQLAlchemyError:
            return False  # the caller is told to try later, which is true of both
        return status == "committed"

    def weakness(self) -> str:
        """Why this database could lose what it has committed, or "" when nothing says so; read back from the database itself."""
        with self._write.connect() as connection:

            def ask(question: str) -> str:
                return str(connection.execute(text(question)).scalar())

            if self.postgres:
                if ask("SHOW fsync") != "on":
                    return "fsync is off"
                if ask("SHOW synchronous_commit") == "off":
                    return "synchronous_commit is off"
                if ask("SHOW full_page_writes") != "on":
                    return "full_page_writes is off"
                return ""
            if ask("PRAGMA journal_mode") != "wal":
                return "journal_mode is not wal (does the file lie on a network share?)"
            if ask("PRAGMA synchronous") != "2":
                return "synchronous is not FULL"
            return ""

    def version(self) -> str:
        """The database's name and version, for the log and `ombud doctor`."""
        with self._read.connect() as connection:
            if self.postgres:
                return "PostgreSQL " + str(connection.execute(text("SHOW server_version")).scalar())
            return "SQLite " + str(connection.execute(text("SELECT sqlite_version()")).scalar())

    def close(self) -> None:
        self._readers.shutdown(wait=True)
        self._read.dispose()
        self._write.dispose()


def trouble(error: BaseException) -> TryLater | None:
    """What a database error means for whoever waits: DiskFull or DatabaseGone when it is the database that is in trouble,
    None when the statement itself was at fault."""
    if not isinstance(error, DBAPIError):
        return None
    # A full disk makes SQLite roll back by itself, and then the savepoint that we would release is gone: look for the first cause.
    if any(_is_full(cause) for cause in _chain(error)):
        return DiskFull()
    if error.connection_invalidated or _is_the_databases(error):
        return DatabaseGone()
    return None


def _is_the_databases(error: DBAPIError) -> bool:
    """psycopg's OperationalErrors are all about the connection or the server. SQLite's are also wrong SQL, and a file that is
    damaged is a plain DatabaseError, so there the words tell."""
    if not type(error.orig).__module__.startswith(("sqlite3", "pysqlite3")):
        return isinstance(error, OperationalError)
    words = str(error.orig).lower()
    return any(
        sign in words
        for sign in ("locked", "busy", "unable to open", "i/o error", "interrupted", "malformed", "not a database")
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full(error: BaseException) -> bool:
    words = str(error).lower()
    return "disk is full" in words or "no space left" in words or "could not extend file" in words


def storage_failed(error: BaseException) -> bool:
    """Whether the disk said no to a write or a sync. What it then holds is unknown, so nobody may try again (fsyncgate)."""
    return isinstance(error, DBAPIError) and (
        "disk i/o error" in str(error.orig).lower() or getattr(error.orig, "errno", None) == errno.EIO
    )


# --- SQLite --------------------------------------------------------------------------------------------------------


def _sqlite_module() -> ModuleType:
    """The newest SQLite at hand: the one that `pysqlite3` brings, else Python's own."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        import sqlite3 as dbapi2
    if dbapi2.sqlite_version_info < SAFE_SQLITE:
        log.warning("old_sqlite", version=dbapi2.sqlite_version, advice="install pysqlite3, or run one process only")
    module: ModuleType = dbapi2
    return module


def _open_sqlite(url: URL) -> tuple[Engine, Engine]:
    if not url.database or url.database == ":memory:":
        raise Misconfigured(reason="service.database: SQLite needs a file")
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(reason=f"service.database: {error}") from error
    module = _sqlite_module()

    def engine(pool_size: int, begin: str, pragmas: tuple[str, ...]) -> Engine:
        made = create_engine(
            url, module=module, poolclass=QueuePool, pool_size=pool_size, max_overflow=0, pool_timeout=60,
            connect_args={"check_same_thread": False, "timeout": 15.0, "cached_statements": 256},
        )  # fmt: skip

        @event.listens_for(made, "connect")
        def _(connection: Any, record: Any) -> None:
            connection.isolation_level = (
                None  # the driver's own BEGINs would come too late: BEGIN IMMEDIATE is ours to say
            )
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(made, "begin")
        def _(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return made

    # Small caches: what they lack is in the system's page cache, which is not counted for every connection anew.
    write = engine(1, "BEGIN IMMEDIATE", (
        "page_size = 8192", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
        "wal_autocheckpoint = 2000", "journal_size_limit = 67108864", "cache_size = -16384", "temp_store = MEMORY",
    ))  # fmt: skip
    read = engine(
        READERS, "BEGIN", ("wal_autocheckpoint = 0", "query_only = ON", "cache_size = -2048", "temp_store = MEMORY")
    )
    return write, read


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


def _open_postgres(url: URL) -> tuple[Engine, Engine]:
    url = url.set(drivername="postgresql+psycopg")
    try:
        write = create_engine(url, pool_size=4, max_overflow=4, connect_args={"connect_timeout": 10})
        read = create_engine(url, pool_size=READERS, max_overflow=0, connect_args={"connect_timeout": 10})
    except ModuleNotFoundError as error:
        raise Misconfigured(reason="PostgreSQL needs the extra `postgres` (psycopg)") from error

    @event.listens_for(read, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

    return write, read
