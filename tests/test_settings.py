"""Settings: what a command says wins over the environment, which wins over the file; what does not exist is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ombud.apply import read
from ombud.errors import Misconfigured
from ombud.settings import APPLIED, load

FILE = """
[service]
name = "file.example"
at = "2024-01-01T00:00"
[limits]
messages_per_minute = 7
[[routes]]
slug = "is for apply"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "ombud.toml").write_text(FILE)
    return tmp_path


def test_the_environment_wins_over_the_file_value_by_value(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMBUD_SERVICE__AT", "2024-02-01T00:00")
    monkeypatch.setenv("OMBUD_DELIVERY__DNS_SERVERS", '["192.0.2.1"]')
    settings = load(directory)
    assert (settings.service.name, settings.service.at) == ("file.example", "2024-02-01T00:00")
    assert settings.delivery.dns_servers == ["192.0.2.1"]
    assert settings.limits.messages_per_minute == 7


def test_a_commands_own_words_win_over_the_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMBUD_SERVICE__AT", "2024-02-01T00:00")
    monkeypatch.setenv("OMBUD_SERVICE__MIN_FREE", "5")
    settings = load(directory, service={"at": "2024-03-01T00:00", "at_since": ""})
    assert (settings.service.at, settings.service.min_free, settings.service.name) == (
        "2024-03-01T00:00",
        5,
        "file.example",
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OMBUD_SMTP__PROT", "1", "smtp.prot"),
        ("OMBUD_SERVICE__MIN_FREE", "much", "service.min_free"),
        ("OMBUD_SERVICE", "[1]", "service"),
        ("OMBUD_SERVICE", "x", "service"),
        ("OMBUD_DELIVERY__DNS_SERVERS", "192.0.2.1", "delivery"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(
    directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured, match=words):
        load(directory)


@pytest.mark.parametrize("file", ["[smtp]\nprot = 1", "smtp = 1", "[smtp"])
def test_a_wrong_file_is_refused(directory: Path, file: str) -> None:
    (directory / "ombud.toml").write_text(file)
    with pytest.raises(Misconfigured, match=r"smtp|toml"):
        load(directory)


def test_without_a_file_there_are_the_defaults_and_a_database_in_the_directory(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.service.database == f"sqlite:///{tmp_path / 'ombud.db'}"
    assert settings.smtp.starttls_port == 2587


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[smpt]\nhost = '::1'", "smpt is not known here; did you mean smtp?"),
        ("[smtp]\nstartls_port = 587", "smtp.startls_port: there is no such setting; did you mean starttls_port?"),
        ("smtp = 587", "smtp: it must be a table, [smtp]"),
        ("[smtp]\nstarttls_port = 70000", "smtp.starttls_port: Input should be less than or equal to 65535"),
        ("[delivery]\nsigning_threads = 0", "delivery.signing_threads: Input should be greater than or equal to 1"),
        ("[service]\ndatabase = 'ombud.db'", "service.database: write it as sqlite:///FILE"),
        ("[smtp\nhost = '::1'", "ombud.toml: "),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_place_and_what_was_meant(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "ombud.toml").write_text(text)
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path)
    assert words in str(refused.value)
    assert "?." not in str(refused.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "ombud.toml").write_bytes("[smtp]\nhost = 'å'".encode("latin-1"))
    with pytest.raises(Misconfigured, match=r"ombud\.toml: 'utf-8' codec"):
        load(tmp_path)
    (tmp_path / "ombud.toml").unlink()
    (tmp_path / "ombud.toml").mkdir()
    with pytest.raises(Misconfigured, match="directory"):
        load(tmp_path)


def test_a_variable_of_a_table_that_does_not_exist_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMBUD_SMPT__HOST", "::1")
    with pytest.raises(Misconfigured, match="OMBUD_SMPT__HOST is not known here; did you mean smtp"):
        load(directory)


def test_every_table_that_apply_reads_is_known_to_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "ombud.toml"
    file.write_text("zzzzzzzz = 1")
    with pytest.raises(Misconfigured) as refused:
        read(file, {})
    assert set(re.findall(r"\w+", str(refused.value).partition("there are ")[2])) == set(APPLIED)
