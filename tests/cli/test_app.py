"""What holds for every command: help, languages, JSON or tables, errors and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from ombud.cli.app import NOUNS, app


def every_command(command: click.Command, path: str = "ombud") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from every_command(inner, f"{path} {name}")


COMMANDS = dict(every_command(app))


def test_every_command_and_option_is_told_in_a_sentence() -> None:
    assert len(COMMANDS) > 40
    for path, command in COMMANDS.items():
        assert command.help, path
        assert command.help.strip().endswith("."), path
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{path} {option.name}"
                assert option.help.endswith("."), f"{path} {option.name}"


def test_the_list_of_nouns_says_of_each_what_it_says_itself() -> None:
    assert set(NOUNS) == {path.split()[1] for path in COMMANDS if path != "ombud"}
    for noun, sentence in NOUNS.items():
        assert len(sentence) < 70
        first = " ".join((COMMANDS[f"ombud {noun}"].help or "").split())
        assert first.split(maxsplit=1)[0] == sentence.split(maxsplit=1)[0], noun


def test_every_command_takes_the_global_options_after_its_name() -> None:
    for path, command in COMMANDS.items():
        assert {"dir", "json", "lang", "at"} <= {option.name for option in command.params}, path


def test_the_help_is_there_before_anything_heavy_is_imported() -> None:
    program = (
        "import sys; from ombud.cli.app import app; app(['--help'], standalone_mode=False);"
        "sys.exit(f'{found}' if (found := {'sqlalchemy', 'fastapi', 'rich', 'cryptography'} & set(sys.modules)) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Exit codes: 0 ok, 1" in done.stdout


def test_there_is_a_version(ombud: Any) -> None:
    assert ombud("--version").out.startswith("ombud, version ")


def test_an_error_is_json_on_the_other_stream_for_programs(ombud: Any) -> None:
    said = ombud("customers", "show", "nobody", code=1)
    assert said.out == ""
    assert said.error == {
        "code": "not_found", "title": "Not found", "detail": "There is no customer nobody.", "retryable": False,
    }  # fmt: skip


def test_an_error_is_a_sentence_for_people_in_their_language(ombud: Any) -> None:
    said = ombud("customers", "show", "nobody", "--table", "--lang", "sv", code=1)
    assert said.err == "✖ Kunden nobody finns inte.\n"
    assert ombud("--lang", "en", "--table", "customers", "show", "x", code=1).err == "✖ There is no customer x.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["cutsomers"],
        ["customers", "show"],
        ["routes", "assign", "mailgun-eu"],
        ["queue", "hold"],
        ["--at", "soon", "verify"],
    ],
)
def test_wrong_usage_ends_with_2(ombud: Any, arguments: list[str]) -> None:
    assert "Error:" in ombud(*arguments, code=2).err


def test_no_installation_is_made_by_looking_for_one(bare: Any) -> None:
    assert bare("customers", "list", code=1).error["code"] == "no_installation"
    assert not bare.directory.exists()


def test_the_directory_may_come_from_the_environment(ombud: Any, bare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.setenv("OMBUD_DIR", str(ombud.directory))
    assert CliRunner().invoke(app, ["products", "list"]).exit_code == 0
    assert bare("products", "list", code=1).error["code"] == "no_installation", "the option wins"


def test_a_moment_that_a_command_is_told_wins_over_the_environment(ombud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMBUD_SERVICE__AT", "2024-02-01T00:00")
    explain = ("routes", "explain", "--customer", "eken", "--product", "hyra", "--to", "a@b.example")
    assert ombud(*explain).json["at"].startswith("2024-02-01T00:00")
    assert ombud(*explain, "--at", "2024-06-01T00:00").json["at"].startswith("2024-06-01T00:00")


def test_a_database_that_is_gone_is_told_as_something_that_passes(ombud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMBUD_SERVICE__DATABASE", "postgresql://nobody:hemlig@127.0.0.1:9/none")
    error = ombud("customers", "list", code=1).error
    assert (error["code"], error["retryable"]) == ("database_not_opened", True)
    assert "postgresql://127.0.0.1:9/none cannot be opened: " in error["detail"]  # which one, and no password
    assert "hemlig" not in error["detail"]


def test_a_table_is_for_people(ombud: Any) -> None:
    table = ombud("customers", "list", "--table", "--lang", "sv").out
    assert "kortnamn" in table
    assert "Ängsgården Fastigheter AB" in table
    assert "{" not in table


def test_what_came_from_outside_cannot_steer_the_terminal() -> None:
    from ombud.cli import tables

    shown = tables.shown("rad\x1b[31m\u202eslut", "sv")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert tables.shown(12500, "sv") == "12\N{NO-BREAK SPACE}500"


@pytest.mark.parametrize(
    "arguments",
    [["people", "remove"], ["links", "renew"], ["switches", "show"], ["overrides", "end"], ["extensions", "approve"]],
)
@pytest.mark.parametrize("number", ["0", "99999999999999999999"])
def test_a_number_that_no_row_can_have_is_wrong_usage(ombud: Any, arguments: list[str], number: str) -> None:
    assert "range" in ombud(*arguments, number, code=2).err


@pytest.mark.parametrize("moment", ["0001-01-01T00:00", "9999-12-31T23:59", "2024-13-01"])
def test_a_moment_that_cannot_be_reckoned_with_is_wrong_usage(ombud: Any, moment: str) -> None:
    assert "2024-06-01T00:00" in ombud("--at", moment, "doctor", code=2).err


def test_a_file_that_cannot_be_used_is_named_with_the_reason(ombud: Any, tmp_path: Path) -> None:
    gone = tmp_path / "not there" / "curve.svg"
    error = ombud("billing", "statement", "--customer", "lindgarden", "--svg", gone, code=1).error
    assert error["code"] == "file_unusable"
    assert str(gone) in error["detail"] and "No such file" in error["detail"]
    latin = tmp_path / "lösen.txt"
    latin.write_bytes("lösen".encode("latin-1"))
    add = ("routes", "add", "r", "--set", "host=smtp.example.se", "--set", "user=u", "--password-file", latin)
    assert "is not UTF-8 at byte 1" in ombud(*add, code=1).error["detail"]
    send = ("send", "--from", "a@eken.example", "--to", "b@tenant.example", "--text-file", latin)
    assert "is not UTF-8" in ombud(*send, code=1).error["detail"]


def test_what_is_not_there_is_said_in_swedish_with_the_houses_words(ombud: Any) -> None:
    assert "Kunden nope finns inte." in ombud("--table", "--lang", "sv", "customers", "show", "nope", code=1).err


def test_where_no_campaign_is_a_command_says_how_to_make_one(bare: Any, tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_text("")
    bare("apply", tmp_path / "none.toml")
    error = bare("campaigns", "status", code=1).error
    assert error["code"] == "no_campaign"
    assert "ombud apply" in error["detail"]


@pytest.mark.parametrize("mode", ["--json", "--table"])
def test_names_are_printed_whatever_the_locale(ombud: Any, mode: str) -> None:
    """A cron job has none; Python's own ways round it are switched off here."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "ombud", "--dir", str(ombud.directory), mode, "customers", "list"]
    said = subprocess.run(command, capture_output=True, check=True, env=plain)
    assert "Ängsgården" in said.stdout.decode()


def test_an_answer_that_has_no_room_is_told_in_a_sentence(ombud: Any) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "ombud", "--dir", str(ombud.directory), "customers", "list"]
        said = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert said.returncode == 1
    assert "Traceback" not in said.stderr and "file_unusable" in said.stderr
