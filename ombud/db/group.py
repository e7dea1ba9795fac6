"""Group commit: work that arrives together commits together, so that the disk is asked once for many messages.

A *verb* is a function `verb(tx, pieces) -> results` that does the same thing to many pieces at once (insert these messages,
settle these recipients). Callers hand in one piece each and wait; a writer thread takes whatever has arrived since its last
commit, runs each verb once over all its pieces, commits, and then answers everyone. Nobody is answered before the commit.

One failing piece does not take the others down: when a verb raises, the transaction is rolled back and done again with
savepoints, piece by piece where need be, and only the pieces that raise on their own are answered with their error. So a verb
may be run more than once over the same pieces; it must do nothing but what the transaction undoes.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from ombud.db.database import Database, Transaction, storage_failed, trouble
from ombud.errors import DatabaseGone, ShuttingDown, TryLater

P = TypeVar("P")
R = TypeVar("R")
#: Does one thing to many pieces; gives one result for each, in order. A result that is an exception is raised to its caller.
Verb = Callable[[Transaction, Sequence[P]], Sequence[R | Exception]]

#: The most pieces in one commit: bounds how long the first of them waits for the last.
MOST = 500
#: How long to gather more pieces, in seconds, when the last commit had several: about as long as a commit takes.
GATHER = 0.005
EX_IOERR = 74
log = structlog.get_logger("ombud.db")


@dataclass(slots=True)
class _Waiting:
    verb: Verb[Any, Any]
    piece: Any
    answer: asyncio.Future[Any]
    result: Any = None


class GroupCommit:
    """`await group.run(verb, piece)` returns when the piece is committed and synced, or raises what became of it.

    SQLite has one writer thread (it has one writer anyway); PostgreSQL two, so that one may gather while the other commits.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: list[_Waiting] = []
        self._wake = threading.Condition()
        self._stopping = False
        self._last_size = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"db-write-{n}", daemon=True)
            for n in range(2 if database.postgres else 1)
        ]
        self.commits = 0
        self.pieces = 0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Commit what has been handed in, then end the threads. Later pieces are refused with ShuttingDown."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()

    async def run(self, verb: Verb[P, R], piece: P) -> R:
        """Do `verb` to `piece`, together with whatever else is waiting.

        Raises TryLater (DiskFull, DatabaseGone, ShuttingDown) when it is not known to be committed, or the piece's own error.
        """
        waiting = _Waiting(verb, piece, asyncio.get_running_loop().create_future())
        with self._wake:
            if self._stopping:
                raise ShuttingDown()
            self._pending.append(waiting)
            self._wake.notify()
        answer: R = await waiting.answer
        return answer

    # --- the writer thread ---

    def _work(self) -> None:
        while batch := self._take():
            try:
                self._commit(batch)
            except BaseException as error:  # whatever it was, nobody may be left waiting
                if storage_failed(error):
                    # A failed sync may have dropped the pages it was asked to write: what the disk holds is unknown, and
                    # asking again would be answered with yes (fsyncgate). Only recovery from the disk's own state is safe.
                    log.critical("storage_failed", error=str(error))
                    os._exit(EX_IOERR)
                known = trouble(error) or (error if isinstance(error, TryLater) else None)
                if known is None:
                    log.error("commit_failed", error=repr(error))
                for waiting in batch:
                    waiting.result = known or DatabaseGone()
            self._answer(batch)

    def _take(self) -> list[_Waiting]:
        """Whatever is waiting, at most MOST; empty when it is time to end.

        Under load it gathers for a moment: the more pieces share a commit, the less each costs. A lone piece never waits.
        """
        while True:
            with self._wake:
                while not self._pending and not self._stopping:
                    self._wake.wait()
                gathers = self._last_size > 1 and not self._stopping
            if gathers:
                time.sleep(
                    GATHER
                )  # asleep, not waiting: being woken for each piece would cost more than the gathering saves
            with self._wake:
                batch, self._pending = self._pending[:MOST], self._pending[MOST:]
                self._last_size = len(batch)
                if batch or self._stopping:
                    return batch
                # Another writer thread has taken them meanwhile.

    def _commit(self, batch: list[_Waiting]) -> None:
        together: dict[Verb[Any, Any], list[_Waiting]] = {}
        for waiting in batch:
            together.setdefault(waiting.verb, []).append(waiting)
        try:
            self._in_one_transaction(partial(_perform_all, together=together))
        except Exception as error:
            if _is_the_databases(error):
                raise  # no piece is at fault: all of the batch fails
            # Something raised, and all was rolled back: do it again, with care enough to find out whose fault it was.
            self._in_one_transaction(partial(_perform_with_care, together=together))
        self.commits += 1
        self.pieces += len(batch)

    def _in_one_transaction(self, work: Callable[[Transaction], None]) -> None:
        xid = ""
        try:
            with self._database.write() as tx:
                work(tx)
                if tx.postgres:
                    xid = str(tx.execute(text("SELECT pg_current_xact_id_if_assigned()")).scalar() or "")
        except SQLAlchemyError as error:
            # The answer to a COMMIT was lost. Never say yes on doubt, and find out before saying no.
            if not (xid and self._database.has_committed(xid)):
                raise
            log.warning("commit_answer_lost", error=str(error))

    def _answer(self, batch: list[_Waiting]) -> None:
        """Wake everyone on their own loops: one call a loop, not one a piece."""
        loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        for waiting in batch:
            loops.setdefault(waiting.answer.get_loop(), []).append(waiting)
        for loop, group in loops.items():
            try:
                loop.call_soon_threadsafe(_resolve, group)
            except RuntimeError:
                log.warning("answer_unheard", pieces=len(group))  # the loop is closed: nobody waits any more


def _perform_all(tx: Transaction, together: dict[Verb[Any, Any], list[_Waiting]]) -> None:
    """Each verb once over all its pieces; raises as soon as one does. Without savepoints: nearly always nothing raises."""
    for verb, group in together.items():
        results = verb(tx, [waiting.piece for waiting in group])
        for waiting, result in zip(group, results, strict=True):
            waiting.result = result


def _perform_with_care(tx: Transaction, together: dict[Verb[Any, Any], list[_Waiting]]) -> None:
    for verb, group in together.items():
        _perform(tx, verb, group)


def _perform(tx: Transaction, verb: Verb[Any, Any], group: list[_Waiting]) -> None:
    try:
        with tx.savepoint():
            _perform_all(tx, {verb: group})
    except Exception as error:
        if _is_the_databases(error):
            raise
        if len(group) == 1:
            group[0].result = error
            return
        for waiting in group:
            _perform(tx, verb, [waiting])


def _is_the_databases(error: Exception) -> bool:
    return trouble(error) is not None or storage_failed(error)


def _resolve(group: list[_Waiting]) -> None:
    for waiting in group:
        if waiting.answer.done():
            continue  # the caller was cancelled; its piece is committed all the same
        if isinstance(waiting.result, Exception):
            waiting.answer.set_exception(waiting.result)
        else:
            waiting.answer.set_result(waiting.result)
