"""`ombud serve` as a process: stopped, killed, reloaded and started twice under load; what it said yes to is never lost."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import func, select

from ombud.queue import State
from ombud.queue.tables import event_table
from ombud.smtp.certificate import make_certificate
from tests.flows.conftest import Build, Start, on_sqlite
from tests.flows.house import ROOT, TIMES, House, Load, until


def _labelled(house: House) -> int:
    """How many times it was written down that a recipient may get a second copy."""
    with house.looking() as tx:
        return int(tx.execute(select(func.count()).where(event_table.c.type == "unknown")).scalar_one())


def test_sigterm_under_load_loses_and_doubles_nothing_and_exits_0(build: Build, start: Start) -> None:
    house = build()
    service = start(house)
    house.hop.seconds = 0.02
    with Load(house) as load:
        load.has(40 * TIMES)
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
    known, taken = house.known(), house.hop.taken
    assert set(load.acknowledged) <= known.keys()
    assert {address for address, state in known.items() if state is State.DELIVERED} == taken.keys()
    assert set(taken.values()) <= {1}
    assert set(known.values()) <= {State.DELIVERED, State.WAITING, State.DEFERRED}  # nothing is left in its hands
    assert house.unwell() == []
    start(house)
    house.arrives(*load.acknowledged, hurry=True)
    assert set(house.hop.taken.values()) == {1}


def test_kill_9_under_load_loses_nothing_and_doubles_only_what_is_labelled(build: Build, start: Start) -> None:
    house = build(delivery={"lease_seconds": 2})
    service = start(house)
    house.hop.seconds = 0.02
    with Load(house) as load:
        for _ in range(TIMES):
            load.has(40)
            service.kill()
            service = start(house)
        load.has(10)
    house.arrives(*load.acknowledged, hurry=True)
    house.settled()
    again = sum(count - 1 for count in house.hop.taken.values())
    assert again <= _labelled(house)
    assert house.hop.taken.keys() <= set(load.offered)
    assert house.unwell() == []


@on_sqlite
def test_sighup_serves_the_new_certificate_and_a_broken_one_changes_nothing(
    build: Build, start: Start, tmp_path: Path
) -> None:
    files = _new_directory(tmp_path, "tls")
    certificate, key = files / "cert.pem", files / "key.pem"
    old = make_certificate(_new_directory(tmp_path, "old"), "old.example")
    new = make_certificate(_new_directory(tmp_path, "new"), "new.example")
    certificate.write_bytes(old[0].read_bytes())
    key.write_bytes(old[1].read_bytes())
    house = build(smtp={"certificate": str(certificate), "key": str(key)})
    service = start(house)
    assert _served(house) == _digest(old[0])
    certificate.write_text("nonsense")
    service.signal(signal.SIGHUP)
    until(lambda: "reload_failed" in (house.directory / "serve.log").read_text())
    assert _served(house) == _digest(old[0])
    certificate.write_bytes(new[0].read_bytes())
    key.write_bytes(new[1].read_bytes())
    service.signal(signal.SIGHUP)
    until(lambda: _served(house) == _digest(new[0]))
    service.signal(signal.SIGTERM)
    assert service.wait() == 0


def _new_directory(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def _digest(certificate: Path) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()


def _served(house: House) -> str:
    """The certificate of the TLS port, as its digest."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", house.tls_port), timeout=20) as client,
        trusting.wrap_socket(client, server_hostname="old.example") as under_tls,
    ):
        return hashlib.sha256(under_tls.getpeercert(binary_form=True) or b"").hexdigest()


@on_sqlite
def test_a_second_process_on_one_sqlite_is_refused_and_the_first_goes_on(build: Build, start: Start) -> None:
    house = build()
    start(house)
    second = subprocess.run(
        [sys.executable, "-m", "ombud", "--json", "--dir", str(house.directory), "serve"],
        cwd=ROOT, capture_output=True, timeout=60,
    )  # fmt: skip
    assert second.returncode == 1
    said = second.stderr.decode()
    assert "another `ombud serve` runs here" in said
    assert not second.stdout or "smtp" not in json.loads(second.stdout)
    assert house.submit()[0] == 250
    house.arrives("anna@post.example")
    assert house.hop.taken == Counter(["anna@post.example"])
