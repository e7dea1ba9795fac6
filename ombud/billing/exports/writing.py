"""Puts files into a directory so that none is ever seen half-written, and none that is there is overwritten with something else."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from ombud.errors import ExportFileTaken, Misconfigured


@dataclass(frozen=True, slots=True)
class File:
    name: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def put_files(directory: Path, files: Sequence[File]) -> list[File]:
    """Write the files, the last one last, and say which were not there already.

    Every file is first written whole under a temporary name and synced; then each is given its name, in order. So whoever finds
    the last one (the manifest) finds all. Raises ExportFileTaken when one of the names is there with another content, and
    Misconfigured when the directory cannot be written; in both cases, nothing that was there has been touched.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        new = [file for file in files if not _is_there(directory / file.name, file)]
        _sweep(directory, new)
        waiting = _written_aside(directory, new)
        try:
            for name, aside in waiting.items():
                aside.replace(directory / name)
            _sync(directory)
        finally:
            _forget(waiting.values())
    except OSError as error:
        raise Misconfigured(reason=f"{directory}: {error.strerror}") from error
    return new


def _is_there(path: Path, file: File) -> bool:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return False
    if found != file.data:
        raise ExportFileTaken(file=path)
    return True


def _written_aside(directory: Path, files: Sequence[File]) -> Mapping[str, Path]:
    """Each file whole and synced under a name that begins with a dot: a program that watches the directory leaves those alone."""
    waiting: dict[str, Path] = {}
    try:
        for file in files:
            waiting[file.name] = aside = directory / f".{file.name}.{os.getpid()}.part"
            with aside.open("wb") as out:
                out.write(file.data)
                out.flush()
                os.fsync(out.fileno())
    except BaseException:
        _forget(waiting.values())
        raise
    return waiting


def _sweep(directory: Path, files: Sequence[File]) -> None:
    """Take away what a process that was killed has left of these files."""
    for file in files:
        for aside in directory.glob(f".{escape(file.name)}.*.part"):
            pid = aside.name.split(".")[-2]
            if pid.isdecimal() and not _runs(int(pid)):
                aside.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _forget(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            path.unlink()


def _sync(directory: Path) -> None:
    """Names are the directory's content: they last when it is synced."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
