"""An installation to be killed: set up with four customers, started and ended as a process, and asked what it knows."""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ombud import queue
from ombud.accounts import Mode, create_credential, load_directory, put_customer, put_product
from ombud.db import Database, Transaction
from ombud.domains import keep_key, prove_domain
from ombud.installation import opened
from ombud.mail.dkim import new_key
from ombud.queue import Filter, Scope, State
from ombud.routing import Limits, assign, load_facts, put_route
from ombud.smtp.certificate import make_certificate
from ombud.verify import verify
from trials.crash.mail import Sender

ROOT = Path(__file__).resolve().parents[2]
SERVE = (sys.executable, "-m", "ombud", "--json", "serve")
CUSTOMERS = ("kund1", "kund2", "kund3", "kund4")
CONNECTIONS = 10
#: On PostgreSQL a dead worker is known by its silence. A short one, so that its mail comes back while the load runs.
LEASE_SECONDS = 6
UP_WITHIN = 60.0  # seconds
PAGE = 500


@dataclass(frozen=True, slots=True)
class Known:
    """What Ombud itself says of one recipient."""

    state: State
    unknown: int  # times that it was labelled as perhaps delivered
    lost_workers: int  # of these, because its worker died


@dataclass
class House:
    """`command` starts the service, and is given `--dir DIR`; with `prefix` something is put before it (strace)."""

    directory: Path
    database: str = ""  # its address; "": SQLite in the directory
    command: Sequence[str] = SERVE
    prefix: Sequence[str] = ()
    senders: list[Sender] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    service: subprocess.Popen[bytes] | None = None

    @property
    def ca_file(self) -> str:
        return str(self.directory / "smtp-cert.pem")

    def set_up(self, sink_port: int) -> None:
        """Make the installation: its customers, their domains, keys and credentials, and the route to the sink."""
        self.make_directory()
        make_certificate(self.directory, "localhost")
        with opened(self.directory) as installation, installation.database.write() as tx:
            now, seal = installation.clock.now(), installation.seal
            settings = {"host": "127.0.0.1", "port": sink_port, "tls": "none", "connections": CONNECTIONS}
            put_route(
                tx,
                seal,
                "sink",
                "smtp",
                settings,
                None,
                now,
                sign=True,
                billable=True,
                limits=Limits(connections=CONNECTIONS),
            )
            put_product(tx, "hyra", "Hyra", now)
            for slug in CUSTOMERS:
                put_customer(tx, slug, slug.title(), now)
            directory, route = load_directory(tx), load_facts(tx).route("sink")
            assert route
            product = directory.product("hyra")
            assign(tx, None, product.id, route.id, now)
            for customer in directory.customers.values():
                domain = f"{customer.slug}.example"
                prove_domain(tx, domain, customer, "operator", "the crash trial", now)
                keep_key(tx, seal, new_key(domain, "om1", "ed25519-sha256"), now)
                made = create_credential(tx, product, customer, Mode.LIVE, now, "the crash trial")
                self.senders.append(Sender(customer.slug, f"avi@{domain}", made.handle, made.secret, made.api_key))

    def twin(self, directory: Path) -> House:
        """Another process on the same database, with a directory and ports of its own."""
        other = replace(self, directory=directory, service=None)
        other.make_directory()
        for name in ("master.key", "smtp-cert.pem", "smtp-key.pem"):
            shutil.copy(self.directory / name, directory / name)
        return other

    def make_directory(self) -> None:
        """The directory with its settings, and nothing else."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ports = dict(zip(("http", "starttls", "tls"), free_ports(3), strict=True))
        (self.directory / "ombud.toml").write_text(f"""[service]
name = "localhost"
database = "{self.database}"
min_free = 0
[smtp]
starttls_port = {self.ports["starttls"]}
tls_port = {self.ports["tls"]}
[http]
port = {self.ports["http"]}
[delivery]
lease_seconds = {LEASE_SECONDS}
[log]
format = "text"
""")

    # --- the process ---

    def start(self, *, wait: bool = True) -> bool:
        """Start the service; says whether it came up. Without `wait` it says yes at once."""
        with (self.directory / "serve.log").open("ab") as log:
            command = [*self.prefix, *self.command, "--dir", str(self.directory)]
            self.service = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.wait_until_up() if wait else True

    def wait_until_up(self, seconds: float = UP_WITHIN) -> bool:
        """Until it listens (the HTTP door is opened last), or has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.service and self.service.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.ports["http"])) == 0:
                    return True
            time.sleep(0.02)
        return False

    def kill(self) -> None:
        """kill -9, and nothing else."""
        if self.service:
            self.service.send_signal(signal.SIGKILL)
            self.service.wait()

    def stop(self) -> int:
        """Ask it to stop, as an operator would; its exit code."""
        service = self.service
        if not service:
            return 0
        service.terminate()
        try:
            return service.wait(40)
        except subprocess.TimeoutExpired:
            service.kill()
            return service.wait()

    # --- what it knows; the service may run or not ---

    def verify(self) -> list[str]:
        """What `ombud verify` asks: the rules that do not hold, each with its detail."""
        try:
            with self._reading() as tx:
                return [f"{one.rule}: {one.detail}" for one in verify(tx)]
        except SQLAlchemyError as error:
            return [f"the database cannot be asked: {error.args[0]}"]

    def states(self) -> Counter[State]:
        with self._reading() as tx:
            return sum((Counter({one.state: one.recipients}) for one in queue.count(tx)), Counter[State]())

    def known(self) -> Mapping[str, Known]:
        """Every recipient by its address, with its state and its labels."""
        with self._reading() as tx:
            return dict(_all_known(tx))

    def hurry(self) -> Counter[State]:
        """Have tried now what waits for its time or for a person, as an operator would; how many, by state. The service may run."""
        verbs = {State.DEFERRED: "retry", State.UNKNOWN: "retry", State.QUARANTINED: "release", State.HELD: "release"}
        here = self.states()
        return Counter({
            state: self._ombud("queue", verb, "--state", state, "--yes")["changed"] for state, verb in verbs.items() if here[state]
        })  # fmt: skip

    def _ombud(self, *words: str) -> Any:
        """What a command answers, as JSON. Exit code 3 is an answer too."""
        command = [sys.executable, "-m", "ombud", "--json", "--dir", str(self.directory), *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300)
        if done.returncode not in (0, 3):
            raise RuntimeError(f"ombud {' '.join(words)}: {done.stderr.decode()[-800:]}")
        return json.loads(done.stdout)

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        database = Database.open(self.database or f"sqlite:///{self.directory / 'ombud.db'}")
        try:
            with database.read() as tx:
                yield tx
        finally:
            database.close()


def _all_known(tx: Transaction) -> Iterator[tuple[str, Known]]:
    before: str | None = None
    while True:
        page, before = queue.list_messages(tx, Scope(), Filter(), PAGE, before)
        for message in page:
            lost = [one for one in queue.timeline(tx, message.id) if one.type == "unknown" and one.recipient]
            times = Counter(one.recipient for one in lost)
            workers = Counter(one.recipient for one in lost if "worker" in one.data.get("words", ""))
            for one in message.recipients:
                yield one.address, Known(one.state, times[one.address], workers[one.address])
        if before is None:
            return


def free_ports(number: int) -> list[int]:
    """Ports that nothing listens on. A service that is killed and started again must have the same ones each time, so they lie
    below those that a system hands out by itself, or another program's connection may sit on one when it comes back."""
    ports: list[int] = []
    while len(ports) < number:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
