"""An installation at work, with a server behind it that keeps what arrives."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ombud.accounts import Mode, create_credential, load_directory, put_customer, put_product
from ombud.domains import keep_key, prove_domain
from ombud.installation import opened
from ombud.mail import dkim
from ombud.routing import assign, load_facts, put_route
from trials.bench import sink
from trials.bench.machine import free_port
from trials.bench.systems import Programs

OURS, FOREIGN = "eken.example", "linden.example"
ARRIVES_IN = 20.0  # seconds


@dataclass(frozen=True)
class House:
    """What a client is told, and where to look for what came of it."""

    starttls_port: int
    tls_port: int
    ca_file: Path
    user: str
    password: str
    record: bytes  # of the sender domain's DKIM key
    kept: Path

    def arrived(self, token: str) -> Path | None:
        """The mail of that token, awaited for a while."""
        return self._found(token, time.monotonic() + ARRIVES_IN)

    def has(self, token: str) -> bool:
        """Whether it is there now."""
        return self._found(token, time.monotonic()) is not None

    def _found(self, token: str, until: float) -> Path | None:
        while True:
            for path in sorted(self.kept.glob("*.eml")):
                if token.encode() in path.read_bytes():
                    return path
            if time.monotonic() >= until:
                return None
            time.sleep(0.1)


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    """Set it up in `folder` and run it while the `with` lasts. Eken may send; Linden is someone else's."""
    ports = free_port(), free_port(), free_port()
    kept = folder / "kept"
    kept.mkdir(parents=True)
    (folder / "ombud.toml").write_text(
        f'[service]\nname = "localhost"\n[smtp]\nstarttls_port = {ports[0]}\ntls_port = {ports[1]}\n[http]\nport = 0\n'
    )
    user, password, record = _set_up(folder, ports[2])
    programs = Programs(folder)
    try:
        programs.start("sink", [sys.executable, Path(sink.__file__), str(ports[2]), kept])
        programs.wait_for(ports[2])
        programs.start("serve", [sys.executable, "-m", "ombud", "--dir", folder, "serve"])
        programs.wait_for(ports[1])
        yield House(ports[0], ports[1], folder / "smtp-cert.pem", user, password, record, kept)
    finally:
        programs.stop()


def _set_up(folder: Path, sink_port: int) -> tuple[str, str, bytes]:
    now, key = datetime.now(UTC), dkim.new_key(OURS, "s1")
    with opened(folder) as installation, installation.database.write() as tx:
        put_product(tx, "hyra", "Hyra", now)
        put_customer(tx, "eken", "Bostads AB Eken", now)
        put_customer(tx, "linden", "Stiftelsen Linden", now)
        directory = load_directory(tx)
        eken, hyra = directory.customer("eken"), directory.product("hyra")
        for domain, customer in ((OURS, eken), (FOREIGN, directory.customer("linden"))):
            prove_domain(tx, domain, customer, "operator", "peers", now)
        keep_key(tx, installation.seal, key, now)
        settings = {"host": "127.0.0.1", "port": sink_port, "tls": "none"}
        put_route(tx, installation.seal, "sink", "smtp", settings, None, now, sign=True, billable=True)
        route = load_facts(tx).route("sink")
        assert route
        assign(tx, None, hyra.id, route.id, now)
        credential = create_credential(tx, hyra, eken, Mode.LIVE, now)
    return credential.handle, credential.secret, dkim.dns_record(key).encode()


def run_quietly(command: Sequence[str | Path], folder: Path) -> str:
    """Run an installer there; the first words of what went wrong, "" when nothing did."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1][:200]
