"""`ombud doctor`: what is wrong is found, told with what to do, and ends with 3."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ombud.installation import opened
from ombud.notices.outbox import GIVE_UP_AFTER, State, notice_table
from ombud.seal import load_or_make

ROUTE = """
[[routes]]
slug = "ut"
provider = "smtp"
settings = {{ host = "127.0.0.1", port = {port}, tls = "none"{more} }}
password = "{password}"
"""


@pytest.fixture
def server() -> Iterator[int]:
    """A server that greets, and takes no log-in; enough for a doctor."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _serve(listener: socket.socket) -> None:
    answers = {
        b"EHLO": b"250-here\r\n250 AUTH PLAIN\r\n",
        b"AUTH": b"535 5.7.8 who are you\r\n",
        b"QUIT": b"221 bye\r\n",
    }
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 here\r\n")
            for line in lines:
                connection.sendall(answers[line[:4]])


def small(bare: Any, tmp_path: Path, port: int, user: str = "") -> Any:
    more, password = (f', user = "{user}"', "hemligt") if user else ("", "")
    (tmp_path / "small.toml").write_text(ROUTE.format(port=port, more=more, password=password))
    bare("apply", tmp_path / "small.toml")
    return bare


def wrong(said: Any) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in said.json["checks"] if not one["ok"]}


def test_a_sound_installation_is_told_to_be_one(bare: Any, tmp_path: Path, server: int) -> None:
    said = small(bare, tmp_path, server)("doctor")
    assert said.json["ok"] is True
    assert {one["check"] for one in said.json["checks"]} >= {
        "directory",
        "master key",
        "database",
        "disk",
        "clock",
        "route ut",
    }
    connected = bare("doctor", "--connect")
    assert [one["found"] for one in connected.json["checks"] if one["check"] == "route ut"] == [
        f"127.0.0.1[127.0.0.1]:{server} none"
    ]
    table = bare("doctor", "--table", "--lang", "sv").out
    assert "✔" in table
    assert "✖" not in table


def test_a_server_that_does_not_take_us_is_told_with_its_words(bare: Any, tmp_path: Path, server: int) -> None:
    small(bare, tmp_path, server, user="me")
    assert bare("doctor").json["ok"] is True, "it is only asked when that is asked for"
    found = wrong(bare("doctor", "--connect", code=3))
    assert "535 5.7.8 who are you" in found["route ut"]["found"]
    assert found["route ut"]["advice"]


def test_a_server_that_is_not_there_is_told(bare: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "no connection" in wrong(small(bare, tmp_path, port)("doctor", "--connect", code=3))["route ut"]["found"]


def test_no_installation_at_all_is_told_and_none_is_made(bare: Any) -> None:
    found = wrong(bare("doctor", code=3))
    assert set(found) == {"directory", "master key"}
    assert not bare.directory.exists()
    assert "✖" in bare("doctor", "--table", code=3).out


def test_a_key_that_others_can_read_is_told(ombud: Any) -> None:
    (ombud.directory / "master.key").chmod(0o644)
    assert wrong(ombud("doctor", code=3))["master key"]["advice"].startswith("chmod 600 ")


def test_a_setting_that_does_not_exist_is_told(ombud: Any) -> None:
    (ombud.directory / "ombud.toml").write_text("[smtp]\nprot = 1\n")
    assert "smtp.prot" in wrong(ombud("doctor", code=3))["settings"]["found"]


@pytest.fixture
def offline(ombud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's installation, with a name server that knows nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_fail, args=(listener,), daemon=True)
        thread.start()
        monkeypatch.setenv("OMBUD_DELIVERY__DNS_SERVERS", f'["127.0.0.1:{listener.getsockname()[1]}"]')
        yield ombud
        listener.sendto(b"", listener.getsockname())
        thread.join(5)


def _fail(listener: socket.socket) -> None:
    while query := (asked := listener.recvfrom(512))[0]:
        listener.sendto(
            query[:2] + b"\x81\x82" + query[4:], asked[1]
        )  # the question again, with SERVFAIL (RFC 1035 4.1.1)


def test_the_master_key_of_another_installation_is_told(offline: Any) -> None:
    (offline.directory / "master.key").unlink()
    load_or_make(offline.directory / "master.key")
    assert "master.key" in wrong(offline("doctor", code=3))["secrets"]["advice"]


def test_a_name_server_that_does_not_answer_is_told_as_that(offline: Any) -> None:
    found = wrong(offline("doctor", code=3))
    assert set(found) == {"name servers"}
    assert found["name servers"]["found"] == "no answer for underleverantor, egen-server, mailgun-eu, eken-egen"
    assert "delivery.dns_servers (127.0.0.1:" in found["name servers"]["advice"]


def test_a_demo_whose_world_has_stopped_is_told_as_that(offline: Any) -> None:
    (offline.directory / "demo").touch()
    assert "demo --keep" in wrong(offline("doctor", code=3))["name servers"]["advice"]


def test_the_checks_have_swedish_names_for_people(offline: Any) -> None:
    table = offline("doctor", "--table", "--lang", "sv", code=3).out
    assert "namnservrar" in table
    assert "huvudnyckel" in table


def test_a_domain_that_should_be_signed_for_and_has_no_key_is_told(offline: Any) -> None:
    offline("routes", "assign", "mailgun-eu", "--customer", "norrvik")
    assert wrong(offline("doctor", code=3))["signing"]["found"] == "norrvik.example"


def test_letters_and_webhooks_that_do_not_get_out_are_told(offline: Any) -> None:
    notice = offline("webhooks", "test", "centre").json["notice"]
    assert set(wrong(offline("doctor", code=3))) == {"name servers"}  # it has only just been put
    with opened(offline.directory) as installation, installation.database.write() as tx:
        put_at = tx.now - timedelta(hours=7, minutes=1)
        tx.execute(notice_table.update().values(gives_up_at=put_at + GIVE_UP_AFTER))
    found = wrong(offline("doctor", code=3))["outbox"]
    assert found["found"] == "1 waiting, 0 given up; the oldest for 7 h"
    assert "ombud notices retry" in found["advice"]
    with opened(offline.directory) as installation, installation.database.write() as tx:
        tx.execute(notice_table.update().values(state=State.GIVEN_UP, due_at=None))
    assert wrong(offline("doctor", code=3))["outbox"]["found"] == "0 waiting, 1 given up"
    offline("notices", "drop", notice, "--yes")
    assert set(wrong(offline("doctor", code=3))) == {"name servers"}


def test_a_full_disk_and_a_bad_certificate_are_told(offline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMBUD_SERVICE__MIN_FREE", str(2**60))
    monkeypatch.setenv("OMBUD_SMTP__CERTIFICATE", str(offline.directory / "nothing.pem"))
    found = wrong(offline("doctor", code=3))
    assert "service.min_free" in found["disk"]["advice"]
    assert "certificate" in found


def test_what_keeps_the_installation_shut_is_told_where_it_lies(ombud: Any) -> None:
    key = ombud.directory / "master.key"
    whole = key.read_text()
    key.write_text("nonsense")
    assert [one["check"] for one in ombud("doctor", code=3).json["checks"] if not one["ok"]] == ["master key"]
    key.write_text(whole)
    (ombud.directory / "ombud.db").write_bytes(b"no database at all" * 1000)
    wrong = [one for one in ombud("doctor", code=3).json["checks"] if not one["ok"]]
    assert [one["check"] for one in wrong] == ["database"]
    assert "file is not a database" in wrong[0]["found"]
