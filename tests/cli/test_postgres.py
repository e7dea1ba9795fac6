"""The same commands on PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024" / "ombud.toml"


def test_the_commands_work_on_postgresql(
    bare: Any, postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMBUD_SERVICE__DATABASE", postgres.fresh())
    (tmp_path / "empty.toml").touch()
    bare("apply", tmp_path / "empty.toml")
    checks = {one["check"]: one for one in bare("doctor").json["checks"]}
    assert checks["database"]["found"].startswith("PostgreSQL")
    bare("apply", EXAMPLE)
    send = (
        "send",
        "--from",
        "a@eken.example",
        "--to",
        "b@mejlen.example",
        "--text",
        "x",
        "--product",
        "hyra",
        "--tag",
        "avi",
    )
    id = bare(*send).json["id"]
    assert [one["id"] for one in bare("messages", "list", "--tag", "avi", "--route", "eken-egen").json["data"]] == [id]
    assert bare("queue", "hold", "--route", "eken-egen", "--yes").json["changed"] == 1
    assert bare("queue", "release", id).json["changed"] == 1
    events = bare("messages", "watch", "--for", "0", "--last", "2").lines
    assert [one["type"] for one in events] == ["held", "released"]
    assert bare("usage", "show", "--customer", "eken").json["emails"] == 0
    assert bare("domains", "remove", "lindgarden.example", "--yes").json["change"] == "removed"
    assert bare("verify").json["ok"] is True
