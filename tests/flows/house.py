"""A whole installation for flow tests: furnished, run in a thread or as a process, knocked at by stock clients, and looked into."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from smtplib import SMTP, SMTPDataError, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from typing import Any

import httpx2
import uvloop
from sqlalchemy import select, update

from ombud import installation as installation_module
from ombud import queue
from ombud.accounts import Mode, create_credential, load_directory, put_customer, put_product
from ombud.clock import TurnedClock
from ombud.db import Database, Transaction
from ombud.domains import keep_key, prove_domain
from ombud.installation import Installation
from ombud.mail.dkim import new_key
from ombud.queue import State
from ombud.queue.tables import recipient_table
from ombud.routing import Limits, assign, load_facts, put_route
from ombud.service import Service, alone
from ombud.smtp.certificate import make_certificate
from ombud.verify import verify
from tests.flows.nexthop import NextHop
from tests.smtp.conftest import Wire

ROOT = Path(__file__).resolve().parents[2]
#: How much more than in the usual run a campaign wants: mails in the loads, rounds of the repeated ones.
TIMES = int(os.environ.get("OMBUD_FLOWS", "1"))
CONNECTIONS = 4
NAME = "ombud.example"
AT = "2024-05-07T12:00:00"
EKEN = "hyra@eken.example"
ON_ITS_WAY = {State.WAITING, State.LEASED, State.SENDING}


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for the condition, never for time; fails when it has not come in so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)


def mail(to: str = "anna@post.example", sender: str = EKEN, text: str = "Hej!") -> bytes:
    """A rent notice."""
    head = f"From: Bostads AB Eken <{sender}>\r\nTo: <{to}>\r\nSubject: Hyresavi\r\n\r\n"
    return f"{head}{text}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Key:
    """One credential, as user and password and as API key."""

    user: str
    password: str
    api_key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the HTTP door said."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))


class House:
    """An installation whose mail goes to one next hop. `keys`: eken, linden, vendor (all customers), test (Eken's).

    `tables` are tables of settings; `route` among them is what the way to the next hop has otherwise than usual.
    """

    def __init__(self, directory: Path, database: str, hop: NextHop, **tables: dict[str, Any]) -> None:
        self.directory, self.hop, self.database = directory, hop, database
        self.keys: dict[str, Key] = {}
        self.starttls_port = self.tls_port = 0
        self.http = ""
        self.wake: Callable[[], None] = lambda: None  # tells a service in a thread to look at once
        self._route = tables.pop("route", {})
        self._write_settings(tables)
        make_certificate(directory, NAME)
        self.ca_file = directory / "smtp-cert.pem"
        with installation_module.opened(directory) as installed, installed.database.write() as tx:
            self._furnish(installed, tx)

    def _write_settings(self, tables: dict[str, dict[str, Any]]) -> None:
        settings: dict[str, dict[str, Any]] = {
            "service": {"name": NAME, "database": self.database, "min_free": 0, "at": AT},
            "smtp": {"starttls_port": 0, "tls_port": 0}, "http": {"port": 0}, "log": {"format": "json"},
        }  # fmt: skip
        for table, values in tables.items():
            settings.setdefault(table, {}).update(values)
        lines = [
            f"{line}\n"
            for table, values in settings.items()
            for line in (f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items()))
        ]
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "ombud.toml").write_text("".join(lines))

    def _furnish(self, installed: Installation, tx: Transaction) -> None:
        now, seal = installed.clock.now(), installed.seal
        for slug, name in (("eken", "Bostads AB Eken"), ("linden", "Stiftelsen Linden")):
            put_customer(tx, slug, name, now)
        put_product(tx, "hyra", "Hyra", now)
        # Its times are short, but for a machine that is busy.
        times = {"connect_seconds": 5, "command_seconds": 5, "data_seconds": 5, "dot_seconds": 20}
        way = {
            "host": "127.0.0.1",
            "port": self.hop.port,
            "tls": "none",
            "connections": CONNECTIONS,
            **times,
            **self._route,
        }
        put_route(
            tx, seal, "hop", "smtp", way, None, now, sign=True, billable=True, limits=Limits(connections=way["connections"])
        )  # fmt: skip
        directory, route = load_directory(tx), load_facts(tx).route("hop")
        assert route
        product, eken, linden = directory.product("hyra"), directory.customer("eken"), directory.customer("linden")
        assign(tx, None, product.id, route.id, now)
        for customer in (eken, linden):
            prove_domain(tx, f"{customer.slug}.example", customer, "operator", "the tests", now)
            keep_key(tx, seal, new_key(f"{customer.slug}.example", "om1", "ed25519-sha256"), now)
        owners = {
            "eken": (eken, Mode.LIVE),
            "linden": (linden, Mode.LIVE),
            "vendor": (None, Mode.LIVE),
            "test": (eken, Mode.TEST),
        }
        for name, (owner, mode) in owners.items():
            made = create_credential(tx, product, owner, mode, now)
            self.keys[name] = Key(made.handle, made.secret, made.api_key)

    # --- knocking ----------------------------------------------------------------------------------------------------

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    @contextmanager
    def client(self, who: str = "eken") -> Iterator[SMTP]:
        """The standard library's client, TLS on, and logged in unless `who` is empty."""
        client = SMTP("127.0.0.1", self.starttls_port, local_hostname="client.example", timeout=30)
        try:
            client.starttls(context=self.tls())
            if who:
                client.login(self.keys[who].user, self.keys[who].password)
            yield client
        finally:
            client.close()

    @contextmanager
    def wire(self, who: str = "eken", *, tls: bool = True) -> Iterator[Wire]:
        """A connection on which anything can be said; logged in as `who`, if that is said."""
        port = self.tls_port if tls else self.starttls_port
        wire = Wire(socket.create_connection(("127.0.0.1", port), timeout=30), self.tls() if tls else None)
        with wire:
            assert wire.line().startswith("220 ")
            wire.say(b"HELO client.example\r\n")
            assert wire.line().startswith("250 ")
            if who and tls:
                key = self.keys[who]
                wire.say(b"AUTH PLAIN " + b64encode(f"\0{key.user}\0{key.password}".encode()) + b"\r\n")
                assert wire.line().startswith("235 ")
            yield wire

    def submit(
        self, to: str = "anna@post.example", content: bytes = b"", who: str = "eken", sender: str = EKEN
    ) -> tuple[int, str]:
        """Send one mail by SMTP; what was answered to the final dot."""
        with self.client(who) as client:
            client.mail(sender)
            client.rcpt(to)
            code, words = client.data(content or mail(to, sender))
            return code, words.decode()

    def call(self, method: str, path: str, who: str = "eken", **more: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.keys[who].api_key if who in self.keys else who}"} if who else {}
        with httpx2.Client(base_url=self.http, headers=headers, timeout=60, verify=False) as client:
            answer = client.request(method, path, **more)
        return Answer(answer.status_code, answer.json())

    def post(self, who: str = "eken", **changed: Any) -> Answer:
        """Send one mail by HTTP: the rent notice, with these fields changed (None: left out)."""
        fields = {
            "from": f"Bostads AB Eken <{EKEN}>",
            "to": ["anna@post.example"],
            "subject": "Hyresavi",
            "text": "Hej!",
            **changed,
        }
        return self.call(
            "POST", "/v1/messages", who, json={name: value for name, value in fields.items() if value is not None}
        )

    def post_raw(self, content: bytes, who: str = "eken", **fields: Any) -> Answer:
        return self.call("POST", "/v1/messages", who, json={"raw": b64encode(content).decode(), **fields})

    # --- looking -----------------------------------------------------------------------------------------------------

    @contextmanager
    def looking(self) -> Iterator[Transaction]:
        database = Database.open(self.database or f"sqlite:///{self.directory / 'ombud.db'}")
        try:
            with database.read() as tx:
                yield tx
        finally:
            database.close()

    def known(self) -> dict[str, State]:
        """The state of every recipient, by address."""
        with self.looking() as tx:
            rows = tx.execute(select(recipient_table.c.address, recipient_table.c.state))
            return {row.address: State(row.state) for row in rows}

    def states(self) -> Counter[State]:
        with self.looking() as tx:
            return sum((Counter({one.state: one.recipients}) for one in queue.count(tx)), Counter[State]())

    def settled(self, seconds: float = 60) -> Counter[State]:
        """Wait until nobody is on the way any more, and the outcomes are written down."""
        until(lambda: not self.states().keys() & ON_ITS_WAY, seconds)
        return self.states()

    def unwell(self) -> list[str]:
        """The invariants of the database that do not hold."""
        with self.looking() as tx:
            return [f"{one.rule}: {one.detail}" for one in verify(tx)]

    def hurry(self) -> None:
        """Let what waits for its next try be due now."""
        database = Database.open(self.database or f"sqlite:///{self.directory / 'ombud.db'}")
        try:
            with database.write() as tx:
                due = recipient_table.c.due_at
                tx.execute(update(recipient_table).where(due.is_not(None)).values(due_at=tx.now - timedelta(seconds=1)))
        finally:
            database.close()
        self.wake()

    def arrives(self, *addresses: str, seconds: float = 60, hurry: bool = False) -> None:
        """Wait until they all have their mail, and what became of it is written down."""

        def there() -> bool:
            if hurry:
                self.hurry()
            return not set(addresses) - self.hop.taken.keys()

        try:
            until(there, seconds)
            until(lambda: all(self.known()[address] is State.DELIVERED for address in addresses), seconds)
        except AssertionError as error:
            error.add_note(f"{dict(self.states())}; not there: {sorted(set(addresses) - self.hop.taken.keys())[:5]}")
            raise


class InThread:
    """The service of a house in a thread of this process, so that its clock can be turned and its database be pinched."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._opened = installation_module.opened(house.directory)
        self.installation = self._opened.__enter__()
        self._alone = alone(self.installation)
        self._alone.__enter__()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="service", daemon=True)
        self._thread.start()
        self.service = self.run(self._start())
        house.starttls_port, house.tls_port = self.service.smtp.starttls_port, self.service.smtp.tls_port
        house.http = f"http://127.0.0.1:{self.service.http.port}"
        house.wake = self._wake

    async def _start(self) -> Service:
        service = Service(self.installation)
        await service.start()
        return service

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self.service.delivery.wake)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    @property
    def clock(self) -> TurnedClock:
        clock = self.installation.clock
        assert isinstance(clock, TurnedClock)
        return clock

    def pragma(self, setting: str) -> int:
        """Set or ask something of SQLite on the one connection that the service writes by."""
        with self.installation.database.engine.connect() as connection:
            return int(connection.exec_driver_sql(f"PRAGMA {setting}").scalar() or 0)

    def stop(self, grace: float = 5.0) -> None:
        self.house.wake = lambda: None
        self.run(self.service.stop(grace))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._alone.__exit__(None, None, None)
        self._opened.__exit__(None, None, None)


class AsProcess:
    """The service of a house as `ombud serve`, so that it can be signalled and killed."""

    def __init__(self, house: House, **environment: str) -> None:
        self.house = house
        command = [sys.executable, "-m", "ombud", "--json", "--dir", str(house.directory), "serve"]
        with (house.directory / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout
        up = json.loads(self.process.stdout.readline() or b"{}")
        assert up, (house.directory / "serve.log").read_text()[-2000:]
        self.starttls_port, self.tls_port, self.http = up["smtp"]["starttls_port"], up["smtp"]["tls_port"], up["http"]
        self.at_the_door()

    def at_the_door(self) -> None:
        """Let the house's clients knock at this process."""
        self.house.starttls_port, self.house.tls_port, self.house.http = self.starttls_port, self.tls_port, self.http

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 40) -> int:
        """Until it has ended; its exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        assert self.process.stdout
        self.process.stdout.close()


@dataclass
class Load:
    """Clients that send mail after mail, each to an address of its own, by both doors, until told to stop."""

    house: House
    clients: int = 4
    acknowledged: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)  # by reply code or HTTP status
    offered: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for n in range(self.clients):
            work = self._by_http if n % 4 == 3 else self._by_smtp
            self._threads.append(threading.Thread(target=self._repeat, args=(work, n), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def has(self, mails: int) -> None:
        """Wait until so many more are acknowledged."""
        goal = len(self.acknowledged) + mails
        until(lambda: len(self.acknowledged) >= goal, 60)

    def _repeat(self, work: Callable[[Iterator[str]], None], n: int) -> None:
        addresses = self._addresses(n)
        while not self._stop.is_set():
            try:
                work(addresses)
            except (SMTPException, OSError, httpx2.TransportError) as error:
                if isinstance(error, SMTPResponseException):
                    self.refused[error.smtp_code] += 1
                time.sleep(0.05)

    def _addresses(self, n: int) -> Iterator[str]:
        for number in range(10**9):
            if self._stop.is_set():
                return
            self.offered.append(f"load-{n}-{number}@post.example")
            yield self.offered[-1]

    def _by_smtp(self, addresses: Iterator[str]) -> None:
        with self.house.client() as client:
            for address in addresses:
                try:
                    client.sendmail(EKEN, [address], mail(address))
                except SMTPRecipientsRefused as error:
                    self.refused.update(code for code, _ in error.recipients.values())
                except SMTPDataError as error:
                    self.refused[error.smtp_code] += 1
                    time.sleep(0.02)
                else:
                    self.acknowledged.append(address)

    def _by_http(self, addresses: Iterator[str]) -> None:
        headers = {"Authorization": f"Bearer {self.house.keys['eken'].api_key}"}
        with httpx2.Client(base_url=self.house.http, headers=headers, timeout=60, verify=False) as client:
            for address in addresses:
                fields = {"from": EKEN, "to": [address], "subject": "Hyresavi", "text": "Hej!"}
                answer = client.post("/v1/messages", json=fields)
                if answer.status_code == 202:
                    self.acknowledged.append(address)
                else:
                    self.refused[answer.status_code] += 1
                    time.sleep(0.02)
