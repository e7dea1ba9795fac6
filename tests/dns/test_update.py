"""Publishing by dynamic update: in the sandbox's server, and in real ones where they are installed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ombud.dns import Resolver, UpdateServer
from ombud.domains.zone import ZoneRecord, zone_text
from ombud.mail.dkim import dns_record, new_key
from ombud.sandbox.nameserver import NameServer, Zones

SECRET = base64.b64encode(b"a secret of thirty-two bytes, no?").decode()
ZONE = "dkim.leverantor.example"
NAME = f"om1.kund-se.{ZONE}"
RECORD = dns_record(new_key("kund.se", "om1"))
REFUSALS = ("refused", "notauth", "not_signed", "bad_key")  # servers choose among them
OTHER = dns_record(new_key("kund.se", "om1", "ed25519-sha256"))


def put(value: str | None, name: str = NAME) -> tuple[str, str, str | None, int]:
    return name, "TXT", zone_text(value) if value is not None else None, 300


@pytest.fixture
async def world() -> AsyncIterator[NameServer]:
    zones = Zones()
    zones.add(f"{ZONE}. IN SOA ns1.namnserver.example. hostmaster.{ZONE}. 1 3600 600 86400 0")
    zones.allow_updates("ombud-key", SECRET)
    server = NameServer(zones)
    await server.start()
    yield server
    await server.stop()


def server_of(address: str, **more: str) -> UpdateServer:
    return UpdateServer(**{"address": address, "zone": ZONE, "key_name": "ombud-key", "secret": SECRET, **more})


async def published(address: str, name: str = NAME) -> tuple[str, ...]:
    return (await Resolver([address]).ask_at(address, name, "TXT")).values


async def one_value_stands_there_and_then_another_and_then_none(address: str) -> None:
    server = server_of(address)
    assert await server.publish([put(RECORD), put(OTHER, f"om2.kund-se.{ZONE}")]) == ""
    assert await published(address) == (RECORD,)
    assert await server.publish([put(OTHER)]) == ""
    assert await published(address) == (OTHER,)
    assert await server.publish([put(None)]) == ""
    assert await published(address) == ()
    assert await published(address, f"om2.kund-se.{ZONE}") == (OTHER,)


async def what_is_signed_wrongly_changes_nothing(address: str) -> None:
    wrong = base64.b64encode(b"another secret of thirty-two bytes").decode()
    assert await server_of(address, secret=wrong).publish([put(RECORD)]) in REFUSALS
    assert await server_of(address, key_name="stranger").publish([put(RECORD)]) in REFUSALS
    assert await server_of(address, key_name="").publish([put(RECORD)]) in REFUSALS
    assert (
        await server_of(address, zone="elsewhere.example").publish([("a.elsewhere.example", "TXT", '"x"', 300)])
        in REFUSALS
    )
    assert await published(address) == ()


async def test_the_sandboxs_server_takes_an_update(world: NameServer) -> None:
    await one_value_stands_there_and_then_another_and_then_none(f"{world.address[0]}:{world.address[1]}")


async def test_the_sandboxs_server_takes_nothing_from_a_stranger(world: NameServer) -> None:
    await what_is_signed_wrongly_changes_nothing(f"{world.address[0]}:{world.address[1]}")


async def test_two_hundred_records_go_in_a_few_messages(world: NameServer) -> None:
    address = f"{world.address[0]}:{world.address[1]}"
    assert await server_of(address).publish([put(RECORD, f"om1.kund{n}.{ZONE}") for n in range(200)]) == ""
    assert await published(address, f"om1.kund199.{ZONE}") == (RECORD,)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"address": "127.0.0.1:1"}, "timeout"), ({"address": "nowhere"}, "malformed"), ({"secret": "not base64!"}, "bad_key"),
     ({"algorithm": "hmac-md4"}, "malformed")],
)  # fmt: skip
async def test_what_cannot_be_sent_is_told_and_nothing_raises(change: dict[str, str], why: str) -> None:
    assert await server_of(**{"address": "127.0.0.1:1", **change}).publish([put(RECORD)]) == why


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(server_of("127.0.0.1"))


# --- real name servers -----------------------------------------------------------------------------------------------


@dataclass
class Real:
    address: str
    process: subprocess.Popen[bytes]


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _zone_file(directory: Path, lines: str = "") -> Path:
    path = directory / "zone"
    path.write_text(
        f"$ORIGIN {ZONE}.\n$TTL 300\n@ IN SOA ns1 hostmaster 1 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 127.0.0.1\n{lines}"
    )
    return path


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    return found or pytest.skip(f"{name} is not installed: install the package to try it against a real server")


@contextlib.contextmanager
def _running(port: int, *command: str) -> Iterator[Real]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        else:
            process.kill()
            pytest.fail(f"{command[0]} did not come up: {process.communicate()[1].decode()[-400:]}")
        yield Real(f"127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()


@contextlib.contextmanager
def knot(directory: Path) -> Iterator[Real]:
    port, program = _free_port(), _program("knotd")
    config = directory / "knot.conf"
    _zone_file(directory)
    config.write_text(f"""
server:
    listen: 127.0.0.1@{port}
    rundir: {directory}
key:
  - id: ombud-key
    algorithm: hmac-sha256
    secret: {SECRET}
acl:
  - id: ombud
    key: ombud-key
    action: update
database:
    storage: {directory}
zone:
  - domain: {ZONE}
    storage: {directory}
    file: zone
    acl: ombud
""")
    with _running(port, program, "-c", str(config)) as real:
        yield real


@contextlib.contextmanager
def bind(directory: Path) -> Iterator[Real]:
    port, program = _free_port(), _program("named")
    config = directory / "named.conf"
    zone = _zone_file(directory)
    config.write_text(f"""
key "ombud-key" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
options {{ directory "{directory}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no;
  pid-file "{directory}/pid"; session-keyfile "{directory}/session.key"; dnssec-validation no; }};
controls {{ }};
zone "{ZONE}" {{ type primary; file "{zone}"; allow-update {{ key "ombud-key"; }}; }};
""")
    with _running(port, program, "-f", "-c", str(config)) as real:
        yield real


@pytest.mark.parametrize("server", [knot, bind], ids=["knot", "bind"])
async def test_real_servers_take_our_updates_and_nobody_elses(server: object, tmp_path: Path) -> None:
    with server(tmp_path) as real:  # type: ignore[operator]  # one of the two above
        await asyncio.sleep(0.2)
        await what_is_signed_wrongly_changes_nothing(real.address)
        await one_value_stands_there_and_then_another_and_then_none(real.address)


async def test_a_real_server_reads_the_lines_of_our_zone(tmp_path: Path) -> None:
    """nsd takes no updates: it is the way of the included file."""
    port, program = _free_port(), _program("nsd")
    lines = [
        ZoneRecord(NAME, "TXT", RECORD, 300).line,
        ZoneRecord(f"om2.kund-se.{ZONE}", "TXT", 'a "b" \\; c', 300).line,
    ]
    (tmp_path / "include").write_text("\n".join(lines) + "\n")
    _zone_file(tmp_path, f"$INCLUDE {tmp_path}/include\n")
    config = tmp_path / "nsd.conf"
    config.write_text(f"""
server:
  ip-address: 127.0.0.1@{port}
  zonesdir: "{tmp_path}"
  zonelistfile: "{tmp_path}/list"
  xfrdfile: "{tmp_path}/xfrd"
  xfrdir: "{tmp_path}"
  cookie-secret-file: "{tmp_path}/cookies"
  pidfile: ""
  username: ""
  database: ""
remote-control:
  control-enable: no
zone:
  name: {ZONE}
  zonefile: zone
""")
    with _running(port, program, "-d", "-c", str(config)) as real:
        await asyncio.sleep(0.2)
        assert await published(real.address) == (RECORD,)
        assert await published(real.address, f"om2.kund-se.{ZONE}") == ('a "b" \\; c',)
