"""Puts files into a directory so that none is ever seen half-written, and none that is there is overwritten with something else."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from ombud.errors import ExportFileTaken, Misconfigured


@dataclass(frozen=True, slots=True)
class File:
    """What is known of a file when its content is no longer in memory."""

    name: str
    sha256: str
    size: int

    @classmethod
    def of(cls, name: str, data: bytes) -> File:
        return cls(name, hashlib.sha256(data).hexdigest(), len(data))


class Putting:
    """Files on their way into a directory: each is put aside as soon as it is made, and all are named at the end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._is_new = not directory.exists()
        self._aside: dict[str, Path] = {}

    def put(self, name: str, data: bytes) -> File:
        """Write a file whole under a temporary name, and sync it. Raises ExportFileTaken when its name is there with another content."""
        with _named(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            self._sweep(name)
            if not _is_there(self._directory / name, data):
                self._write(name, data)
        return File.of(name, data)

    def finish(self) -> list[str]:
        """Give each its name, in the order in which they were put: whoever finds the last one (the manifest) finds all. The names of
        those that were not there already."""
        with _named(self._directory):
            for name, aside in self._aside.items():
                aside.replace(self._directory / name)
            _sync(self._directory)
        self._is_new = False
        return list(self._aside)

    def forget(self) -> None:
        """Take away what has not been named, and the directory where it was not there before."""
        for aside in self._aside.values():
            aside.unlink(missing_ok=True)
        if self._is_new:
            with suppress(OSError):
                self._directory.rmdir()

    def _write(self, name: str, data: bytes) -> None:
        # A program that watches the directory leaves alone what begins with a dot.
        aside = self._directory / f".{name}.{threading.get_ident()}.{os.getpid()}.part"
        self._aside[name] = aside
        with aside.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())

    def _sweep(self, name: str) -> None:
        """Take away what a process that was killed has left of the file."""
        for aside in self._directory.glob(f".{escape(name)}.*.part"):
            pid = aside.name.split(".")[-2]
            if pid.isdecimal() and not _runs(int(pid)):
                aside.unlink(missing_ok=True)


@contextmanager
def putting(directory: Path) -> Iterator[Putting]:
    """Files on their way: what is not finished leaves nothing behind, and nothing that was there has been touched. Raises Misconfigured
    when the directory cannot be written."""
    files = Putting(directory)
    try:
        yield files
    finally:
        files.forget()


@contextmanager
def _named(directory: Path) -> Iterator[None]:
    """Errors of the disk name the directory."""
    try:
        yield
    except OSError as error:
        raise Misconfigured(reason=f"{directory}: {error.strerror}") from error


def _is_there(path: Path, data: bytes) -> bool:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return False
    if found != data:
        raise ExportFileTaken(file=path)
    return True


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _sync(directory: Path) -> None:
    """Names are the directory's content: they last when it is synced."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
