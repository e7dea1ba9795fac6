"""What is sealed can be opened in its own place, with its own key, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.errors import Misconfigured
from ombud.seal import Seal, load_or_make

OLD, NEW = b"old" * 10 + b"!!", bytes(range(200, 232))
ABOUT = "domains/17/dkim"


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_sealed_can_be_opened_again(plain: bytes, about: str) -> None:
    seal = Seal(NEW)
    assert seal.open(seal.seal(plain, about), about) == plain


def test_the_secret_does_not_show_and_the_same_secret_never_looks_the_same() -> None:
    first, second = (Seal(NEW).seal(b"secret", ABOUT) for _ in range(2))
    assert b"secret" not in first
    assert first[8:] != second[8:]


def test_a_secret_moved_to_another_row_is_refused() -> None:
    seal = Seal(NEW)
    with pytest.raises(Misconfigured, match="belongs to another row"):
        seal.open(seal.seal(b"secret", "domains/17/dkim"), "domains/18/dkim")


def test_another_master_key_cannot_open_it() -> None:
    with pytest.raises(Misconfigured, match="master key that is not here"):
        Seal(NEW).open(Seal(OLD).seal(b"secret", ABOUT), ABOUT)


def test_naming_another_key_in_the_blob_does_not_help() -> None:
    ours, theirs = Seal(NEW).seal(b"secret", ABOUT), Seal(OLD).seal(b"secret", ABOUT)
    with pytest.raises(Misconfigured, match="has been changed"):
        Seal(NEW).open(ours[:8] + theirs[8:], ABOUT)


def test_after_a_rotation_the_old_key_opens_and_the_new_one_seals() -> None:
    rotated = Seal(NEW, retired=[OLD])
    assert rotated.open(Seal(OLD).seal(b"secret", ABOUT), ABOUT) == b"secret"
    fresh = rotated.seal(b"secret", ABOUT)
    assert Seal(NEW).open(fresh, ABOUT) == b"secret"
    with pytest.raises(Misconfigured):
        Seal(OLD).open(fresh, ABOUT)


def test_any_truncated_lengthened_or_altered_blob_is_refused() -> None:
    seal = Seal(NEW)
    whole = seal.seal(b"secret", ABOUT)
    truncated = [whole[:length] for length in range(len(whole))]
    altered = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for blob in (*truncated, *altered, whole + b"\0"):
        with pytest.raises(Misconfigured):
            seal.open(blob, ABOUT)


def test_a_master_key_of_the_wrong_length_is_refused() -> None:
    for keys in ((b"", ()), (NEW[:16], ()), (NEW, (OLD[:31],))):
        with pytest.raises(Misconfigured, match="32 bytes"):
            Seal(*keys)


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    sealed = load_or_make(path).seal(b"secret", ABOUT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make(path).open(sealed, ABOUT) == b"secret"
    assert [found.name for found in tmp_path.iterdir()] == ["master.key"]


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    for n in range(20):
        path = tmp_path / str(n)
        with ThreadPoolExecutor(4) as pool:
            first, *others = pool.map(load_or_make, [path] * 4)
        sealed = first.seal(b"secret", ABOUT)
        assert [seal.open(sealed, ABOUT) for seal in others] == [b"secret"] * 3
    assert len(list(tmp_path.iterdir())) == 20


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_file_that_others_can_reach_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    load_or_make(path)
    path.chmod(mode)
    with pytest.raises(Misconfigured, match="chmod 600"):
        load_or_make(path)


def test_a_new_line_on_top_of_the_key_file_rotates(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    before = load_or_make(path).seal(b"secret", ABOUT)
    path.write_text(NEW.hex() + "\n" + path.read_text())
    rotated = load_or_make(path)
    assert rotated.open(before, ABOUT) == b"secret"
    assert Seal(NEW).open(rotated.seal(b"new", ABOUT), ABOUT) == b"new"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hemligt\n", b"abcd\n", b"\xff\xfe\n", NEW])
def test_a_key_file_with_anything_else_in_it_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(Misconfigured) as caught:
        load_or_make(path)
    assert "hemligt" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.binary(max_size=50), st.text(max_size=10))
def test_what_was_signed_is_known_again_also_after_the_master_key_was_changed(data: bytes, purpose: str) -> None:
    mac = Seal(OLD).sign(data, purpose)
    assert Seal(OLD).signed(data, purpose, mac)
    assert Seal(NEW, [OLD]).signed(data, purpose, mac)
    assert Seal(OLD).signed(data, purpose, mac[:16])
    assert not Seal(NEW).signed(data, purpose, mac)
    assert not Seal(OLD).signed(data + b"x", purpose, mac)
    assert not Seal(OLD).signed(data, purpose + "x", mac)


def test_a_mac_that_is_too_short_to_trust_is_refused() -> None:
    assert not Seal(OLD).signed(b"data", "link", b"")
    assert not Seal(OLD).signed(b"data", "link", Seal(OLD).sign(b"data", "link")[:15])
