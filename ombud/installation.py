"""An installation is a directory: `ombud.toml`, the database, the master key. This opens one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ombud import settings as settings_module
from ombud.clock import Clock, TurnedClock, WallClock, parse_moment
from ombud.db import Database
from ombud.db.migrate import upgrade
from ombud.errors import DatabaseGone, DatabaseNotOpened, Misconfigured
from ombud.seal import Seal, load_or_make
from ombud.settings import ServiceSettings, Settings

MASTER_KEY = "master.key"


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything that a command or the service starts from."""

    directory: Path
    settings: Settings
    database: Database
    seal: Seal
    clock: Clock


@contextmanager
def opened(directory: Path, **overrides: dict[str, Any]) -> Iterator[Installation]:
    """Open the installation in `directory`; make it when it is new, bring its database up to date.

    Raises Misconfigured (UnsafeDatabase, a wrong setting, a key file that others can read) or DatabaseGone.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(reason=f"{directory}: {error.strerror}") from error
    settings = settings_module.load(directory, **overrides)
    clock = clock_of(settings)
    try:
        seal = load_or_make(directory / MASTER_KEY)
    except OSError as error:
        raise Misconfigured(reason=f"{directory / MASTER_KEY}: {error.strerror}") from error
    database = _open_database(settings.service)
    try:
        upgrade(database)
        yield Installation(directory, settings, database, seal, clock)
    finally:
        database.close()


def _open_database(service: ServiceSettings) -> Database:
    try:
        return Database.open(service.database, unsafe=service.unsafe)
    except DatabaseGone as error:
        cause = getattr(error.__cause__, "orig", None) or error.__cause__ or error
        raise DatabaseNotOpened(database=_without_password(service.database), reason=_first_line(cause)) from error


def _without_password(address: str) -> str:
    place = urlsplit(address).netloc
    return address.replace(place, place.rpartition("@")[2], 1) if "@" in place else address


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def clock_of(settings: Settings) -> Clock:
    """The clock that the settings ask for: the wall's, or one turned to `service.at`."""
    service = settings.service
    if not service.at:
        return WallClock()
    try:
        return TurnedClock(parse_moment(service.at), parse_moment(service.at_since) if service.at_since else None)
    except ValueError as error:
        raise Misconfigured(reason=f"service.at: {error}") from error
