"""Hears of new mail that another process took in (PostgreSQL's LISTEN); on SQLite there is no other process to hear."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from ombud.db.database import WAKE, Database

log = structlog.get_logger("ombud.db")
_LOOK_UP_EVERY = 1.0  # seconds, to see whether it is time to stop


class Listener:
    """Calls `heard` (in a thread of its own) whenever a process says that there is mail. Comes back when the database does."""

    def __init__(self, database: Database, heard: Callable[[], None]) -> None:
        self._address = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._heard = heard
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="db-listen", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        import psycopg  # only here: on SQLite alone it need not be installed

        while not self._stop.is_set():
            try:
                with psycopg.connect(self._address, autocommit=True, connect_timeout=10) as connection:
                    connection.execute(f"LISTEN {WAKE}")
                    while not self._stop.is_set():
                        for _ in connection.notifies(timeout=_LOOK_UP_EVERY, stop_after=1):
                            self._heard()
            except psycopg.Error as error:
                log.warning("listen_lost", error=str(error))
                self._stop.wait(2.0)
