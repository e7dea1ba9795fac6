"""What holds for every command: help, languages, JSON or tables, errors and exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
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
    assert said.err == "✖ Det finns ingen customer nobody.\n"
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
    monkeypatch.setenv("OMBUD_SERVICE__DATABASE", "postgresql://nobody@127.0.0.1:9/none")
    error = ombud("customers", "list", code=1).error
    assert (error["code"], error["retryable"]) == ("database_gone", True)


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
