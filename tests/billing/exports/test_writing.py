"""Files are whole or not there, and what is there is not overwritten with something else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ombud.billing.exports.writing import putting
from ombud.errors import ExportFileTaken, Misconfigured

File = tuple[str, bytes]
ONE, TWO, LIST = ("1.xml", b"one"), ("2.xml", b"two"), ("manifest.json", b"both")


def put_files(directory: Path, files: Sequence[File]) -> list[str]:
    with putting(directory) as place:
        for name, data in files:
            place.put(name, data)
        return place.finish()


def names(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


def test_the_files_are_there_and_nothing_else(tmp_path: Path) -> None:
    assert put_files(tmp_path / "a" / "b", [ONE, TWO, LIST]) == ["1.xml", "2.xml", "manifest.json"]
    assert names(tmp_path / "a" / "b") == ["1.xml", "2.xml", "manifest.json"]
    assert (tmp_path / "a" / "b" / "1.xml").read_bytes() == b"one"


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    put_files(tmp_path, [ONE, LIST])
    before = (tmp_path / "1.xml").stat()
    assert put_files(tmp_path, [ONE, LIST]) == []
    assert (tmp_path / "1.xml").stat() == before


def test_what_a_crash_left_out_is_put_there_by_the_next_run(tmp_path: Path) -> None:
    put_files(tmp_path, [ONE])
    assert put_files(tmp_path, [ONE, TWO, LIST]) == ["2.xml", "manifest.json"]


def test_a_file_with_another_content_is_left_alone_and_so_is_everything_else(tmp_path: Path) -> None:
    (tmp_path / "2.xml").write_bytes(b"of another run")
    with pytest.raises(ExportFileTaken, match=r"2\.xml"):
        put_files(tmp_path, [ONE, TWO, LIST])
    assert names(tmp_path) == ["2.xml"]
    assert (tmp_path / "2.xml").read_bytes() == b"of another run"


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = os.fsync

    def full(handle: int) -> None:
        if sum(1 for _ in tmp_path.iterdir()) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Misconfigured, match="No space left"):
        put_files(tmp_path, [ONE, TWO, LIST])
    assert names(tmp_path) == []


def test_a_name_is_given_only_to_a_file_that_is_whole_and_the_manifest_gets_its_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, bytes]] = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        given.append((target.name, self.read_bytes()))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    put_files(tmp_path, [ONE, TWO, LIST])
    assert given == [("1.xml", b"one"), ("2.xml", b"two"), ("manifest.json", b"both")]


KILLED = """
import os, sys
from pathlib import Path
from ombud.billing.exports.writing import putting
FILES = [(f"{n}.xml", str(n).encode() * 100_000) for n in range(3)] + [("manifest.json", b"all")]
def put_files(directory, files):
    with putting(directory) as place:
        for file in files:
            place.put(*file)
        place.finish()
left = 0
def counted(real):
    def call(*arguments):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*arguments)
    return call
synced, replaced = os.fsync, Path.replace
os.fsync, Path.replace = counted(synced), counted(replaced)
for point in range(100):
    directory = Path(sys.argv[1]) / str(point)
    if (child := os.fork()) == 0:
        left = point
        put_files(directory, FILES)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    shown = {one.name: one.read_bytes() for one in directory.iterdir() if not one.name.startswith(".")}
    whole = dict(FILES)
    assert all(whole[name] == data for name, data in shown.items()), (point, sorted(shown))
    assert "manifest.json" not in shown or len(shown) == 4, (point, sorted(shown))
    left = 1000
    put_files(directory, FILES)  # the next run puts the rest there, and takes away what lies about
    assert {one.name: one.read_bytes() for one in directory.iterdir()} == whole, point
print(point)
"""


def test_killed_at_any_moment_nothing_half_is_seen_and_the_next_run_completes_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == 9  # four files written, four named, and the directory synced


def test_what_another_process_is_writing_is_let_be(tmp_path: Path) -> None:
    alive = tmp_path / f".1.xml.{os.getppid()}.part"
    alive.write_bytes(b"half")
    put_files(tmp_path, [ONE])
    assert names(tmp_path) == [alive.name, "1.xml"]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Misconfigured, match="file"):
        put_files(tmp_path / "file" / "below", [ONE])
