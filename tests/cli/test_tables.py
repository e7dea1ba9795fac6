"""What people see: tables that can be read on a terminal of 80 columns, whatever stands in them."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime
from fcntl import ioctl
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ombud.cli import tables

AT = datetime(2024, 4, 16, 7, 0, tzinfo=UTC)
MESSAGE = {
    "id": "01m85x3x59w1hkpbm8jjps1gv2", "at": AT, "customer": "kvarnholmen", "product": "hyra", "from": "hyra@kvarnholmen.example",
    "subject": "Hyresavi för lägenhet 24-2102, att betala senast 2024-04-30", "states": ["24 delivered", "11 failed"],
}  # fmt: skip


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Shows rows on a terminal of so many columns; the lines that stand there then."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    def show(width: int, rows: Any, columns: Any, spare: Any = (), language: str = "en") -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        tables.show_rows(rows, columns, language, spare)
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    return show


def test_a_message_takes_two_lines_on_80_columns_with_its_id_and_local_time_whole(terminal: Any) -> None:
    lines = terminal(80, [MESSAGE], ("id+at", "customer+product", "from+subject", "states"))
    assert [line.rstrip() for line in lines] == [
        "id                          customer     from",
        "at                          product      subject                    states",
        "─" * 80,
        "01m85x3x59w1hkpbm8jjps1gv2  kvarnholmen  hyra@kvarnholmen.example   24 delivered",
        "2024-04-16 09:00:00         hyra         Hyresavi för lägenhet 24…  11 failed",
    ]


def test_what_has_no_room_is_left_out_and_named(terminal: Any) -> None:
    rows = [{"slug": "ut", "to": "smtp.underleverantor.example:42955", "region": "EU", "provider": "smtp"}]
    columns = ("slug", "provider", "to", "region")
    assert "EU" in "".join(terminal(80, rows, columns, ("region", "provider")))
    narrow = terminal(50, rows, columns, ("region", "provider"), "sv")
    assert "smtp.underleverantor.example:42955" in "".join(narrow)
    assert "EU" not in "".join(narrow)
    assert narrow[-1] == "(Inte plats för: område.)"


def test_a_column_that_is_empty_in_every_row_is_not_shown(terminal: Any) -> None:
    lines = terminal(80, [{"a": 1, "due_at": None}, {"a": 2, "due_at": None}], ("a", "due_at"))
    assert "due" not in lines[0]
    assert "–" in "".join(terminal(80, [{"a": 1, "due_at": None}, {"a": 2, "due_at": AT}], ("a", "due_at")))


TEXTS = st.text(st.sampled_from("abcåäö日本 -\n"), max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.fixed_dictionaries({"id": TEXTS, "subject": TEXTS, "from": TEXTS, "count": st.integers(0, 10**9)}), min_size=1, max_size=4),
    width=st.integers(60, 200),
)  # fmt: skip
def test_no_table_is_wider_than_the_terminal(terminal: Any, rows: Any, width: int) -> None:
    lines = terminal(width, rows, ("id", "from+subject", "count"), ("count",))
    assert max(map(cell_len, lines)) <= width


def test_a_port_is_a_name_and_a_count_is_a_number() -> None:
    assert tables.shown({"port": 45711, "user": None}, "sv") == "port: 45711"
    assert tables.shown(45711, "sv") == "45\N{NO-BREAK SPACE}711"


def test_a_message_is_shown_within_80_columns_of_a_terminal(ombud: Any) -> None:
    said = ombud(
        "send", "--from", "hyra@eken.example", "--to", "anna@storpost.example", "--text", "x", "--product", "hyra"
    )
    id = said.json["id"]
    ombud("queue", "hold", id)
    ombud("queue", "release", id)
    for arguments in (("messages", "show", id), ("messages", "list"), ("queue", "show"), ("routes", "list")):
        lines = _on_a_terminal(["--dir", str(ombud.directory), "--lang", "sv", *arguments])
        assert max(map(cell_len, lines)) <= 80, arguments
        assert any("eken" in line for line in lines), arguments


def _on_a_terminal(arguments: list[str]) -> list[str]:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "ombud", *arguments], stdout=theirs, env={**environment, "TERM": "dumb"}
    ) as process:
        os.close(theirs)
        found = b""
        while part := _read(ours):
            found += part
        assert process.wait(30) == 0
    os.close(ours)
    return found.decode().replace("\r", "").splitlines()


def _read(ours: int) -> bytes:
    try:
        return os.read(ours, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


def test_where_there_is_no_room_a_messages_customer_goes_before_its_id(
    ombud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ombud("send", "--product", "hyra", "--from", "hyra@eken.example", "--to", "asa@tenant.example", "--text", "Hej")
    monkeypatch.setattr("ombud.cli.tables._WIDE", 60)
    said = ombud("--table", "messages", "list").out
    assert "(No room for: customer, product.)" in said
    assert any(len(line.split(" ")[0]) == 26 for line in said.splitlines())
