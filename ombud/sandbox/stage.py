"""The stage of the story: a world and a service in one process with a clock to turn, and the ledger of all that was submitted."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import smtplib
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import aiohttp

from ombud import queue
from ombud.accounts import Mode, NewCredential, create_credential, load_directory
from ombud.apply import apply, read
from ombud.clock import STOCKHOLM, TurnedClock
from ombud.ids import new_id
from ombud.installation import Installation, opened
from ombud.mail.address import canonical_domain
from ombud.queue import State
from ombud.sandbox import cast, count, example
from ombud.sandbox.story import environment
from ombud.sandbox.world import World
from ombud.service import Service

RISK = date(2024, 2, 1)
DAY = timedelta(days=1)
HYRA, MARKNAD = "hyra", "marknad"
#: A mail that has not come to rest after so many seconds is called lost.
PATIENCE = 60.0
#: Who receives: in turn, so that every week each customer writes to each of them.
_TENANTS = (
    "anna@storpost.example",
    "hyresgast.bo.berg@gmail.com",
    "cecilia@hemmanet.example",
    "david@bredbandet.example",
    "eva@mejlen.example",
)
#: The large receiver of this world also stands for Gmail; nothing here leaves the machine.
LARGE = replace(cast.RECEIVERS[0], domains=cast.RECEIVERS[0].domains | {"gmail.com"})


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail with one recipient that a product wanted to send; `answer` is what the door said: "" for yes, else its code."""

    message_id: str
    customer: str
    product: str
    to: str
    day: date
    answer: str


#: What the world's relays are called as routes, and with one letter in the line of a day.
ROUTES = {
    "underleverantör": "underleverantor",
    "mailgun-eu": "mailgun-eu",
    "egen-server": "egen-server",
    "eken": "eken-egen",
}
LETTERS = {"underleverantor": "L", "egen-server": "L", "mailgun-eu": "M", "eken-egen": "E"}
LEGEND = "sent by L the old way, M Mailgun, E its own server, R the vendor's reserve; x refused by the receiver; - refused at the door; h held"


class Stage:
    """World, service and clock while the year is played; and the ledger of all that was submitted."""

    def __init__(self, world: World, installation: Installation, service: Service, say: Callable[[str], None]) -> None:
        assert isinstance(installation.clock, TurnedClock)
        self.world, self.installation, self.service, self.say = world, installation, service, say
        self.clock = installation.clock
        self.ledger: dict[str, Mail] = {}
        self.copies: dict[str, count.Copy] = {}  # the tenants' copies, by Message-ID
        self.letters = 0
        self.duplicates = 0
        self.domains: dict[str, str] = {}
        self._credentials: dict[tuple[str, str], NewCredential] = {}
        self._seen: set[Path] = set()
        self._worked: set[date] = set()
        self._http: aiohttp.ClientSession | None = None

    # --- time ---

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def today(self) -> date:
        return self.now.astimezone(STOCKHOLM).date()

    def tell(self, words: str) -> None:
        """Say what happens."""
        self.say(f"{self.today}    {words}")

    def turn_to(self, day: date, hour: int = 9, minute: int = 0) -> None:
        """Turn the clock on to that moment, Stockholm time; never back."""
        moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=STOCKHOLM)
        self.clock.turn(max(timedelta(0), moment - self.now))

    async def settled(self) -> None:
        """Until nothing is on its way: what is left is delivered, refused, held, or put off."""
        await self.service.catch_up()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = await self.installation.database.reading(queue.count)
            if not any(
                one.state in (State.WAITING, State.LEASED, State.SENDING)
                for one in found
                if one.route_id not in self._paused()
            ):
                return
            await asyncio.sleep(0.02)

    def _paused(self) -> set[int]:
        return {route.id for route in self.service.facts.value.routes.values() if route.paused}

    # --- sending ---

    def open_accounts(self) -> None:
        with self.installation.database.write() as tx:
            directory = load_directory(tx)
            for row in example.load().customers:
                customer = directory.customer(row["slug"])
                self.domains[customer.slug] = canonical_domain(row["domain"])
                for product in (HYRA, MARKNAD):
                    made = create_credential(tx, directory.product(product), customer, Mode.LIVE, self.now, "the story")
                    self._credentials[customer.slug, product] = made

    async def send(self, slug: str, product: str, to: str) -> None:
        """Submit one mail by the product's door: Hyra calls the API, Marknad speaks SMTP."""
        made = self._credentials[slug, product]
        by_door = self._by_http if product == HYRA else self._by_smtp
        message_id, answer = await by_door(slug, product, to, made)
        self.ledger[message_id] = Mail(message_id, slug, product, to, self.now.astimezone(STOCKHOLM).date(), answer)

    async def _by_http(self, slug: str, product: str, to: str, made: NewCredential) -> tuple[str, str]:
        if self._http is None:
            self._http = aiohttp.ClientSession(f"http://127.0.0.1:{self.service.http.port}")
        body = {
            "from": f"{product}@{self.domains[slug]}", "to": [to], "subject": "Hyresavi", "text": "Hej! Här är din hyresavi.\n",
        }  # fmt: skip
        async with self._http.post(
            "/v1/messages", json=body, headers={"Authorization": f"Bearer {made.api_key}"}
        ) as response:
            answer = await response.json(content_type=None)
        if response.status == 202:
            return answer["message_id"].strip("<>"), ""
        return new_id(), answer["code"]

    async def _by_smtp(self, slug: str, product: str, to: str, made: NewCredential) -> tuple[str, str]:
        message_id = f"{new_id()}@marknad.molntjanst.example"
        return message_id, await asyncio.to_thread(self._talk_smtp, slug, product, to, made, message_id)

    def _talk_smtp(self, slug: str, product: str, to: str, made: NewCredential, message_id: str) -> str:
        message = EmailMessage(policy=SMTP)
        message["From"], message["To"] = f"{product}@{self.domains[slug]}", to
        message["Subject"], message["Message-ID"] = "Lediga lägenheter", f"<{message_id}>"
        message.set_content("Hej! Nu finns det nya lediga lägenheter.\n", cte="quoted-printable")
        tls = ssl.create_default_context(cafile=str(self.installation.directory / "smtp-cert.pem"))
        with smtplib.SMTP("127.0.0.1", self.service.smtp.starttls_port, timeout=60) as client:
            client.starttls(context=tls)
            client.login(made.handle, made.secret)
            try:
                client.sendmail(str(message["From"]), [to], message.as_bytes())
            except smtplib.SMTPDataError as refused:
                return _code_in(refused.smtp_error)
        return ""

    async def usual_mail(self) -> None:
        """A working day's mail, once a day: a rent notice from each customer, on Wednesdays also a letter of the housing queue's."""
        day = self.today
        if day in self._worked:
            return
        self._worked.add(day)
        work = []
        for place, slug in enumerate(sorted(self.domains)):
            work.append(self.send(slug, HYRA, _TENANTS[(day.toordinal() + place) % len(_TENANTS)]))
            if day.weekday() == 2:
                work.append(self.send(slug, MARKNAD, _TENANTS[(day.toordinal() // 7 + place) % len(_TENANTS)]))
        await asyncio.gather(*work)

    async def close(self) -> None:
        if self._http:
            await self._http.close()

    # --- counting ---

    def collect(self) -> list[count.Copy]:
        """The tenants' copies that have come since the last time; the contacts' are counted as letters."""
        new = sorted(count.files(self.world.mail) - self._seen)
        self._seen.update(new)
        found = []
        for copy in count.read_files(new):
            if copy.message_id.strip("<>") in self.ledger:
                message_id = copy.message_id.strip("<>")
                self.duplicates += message_id in self.copies
                self.copies[message_id] = copy
                found.append(copy)
            elif copy.domain in self.domains.values():
                self.letters += not copy.refused
        return found

    def cell(self, slug: str, since: int, copies: Sequence[count.Copy]) -> str:
        """What became of a customer's mail since so many mails ago, in a few characters."""
        signs = Counter(_sign(copy) for copy in copies if self.ledger[copy.message_id.strip("<>")].customer == slug)
        mails = list(self.ledger.values())[since:]
        if refused := sum(bool(one.answer) for one in mails if one.customer == slug):
            signs["-"] = refused
        if held := self.held().get(slug, 0):
            signs["h"] = held
        return "".join(f"{number}{sign}" for sign, number in sorted(signs.items()))

    def at_risk(self, mail: Mail) -> bool:
        """Whether a mail was accepted for Gmail after the risk date and went by a way that no test message had proved."""
        copy = self.copies.get(mail.message_id)
        proved = copy is not None and ROUTES.get(copy.relay) in ("mailgun-eu", "eken-egen")
        return not mail.answer and mail.to.endswith("@gmail.com") and mail.day >= RISK and not proved

    def held(self) -> dict[str, int]:
        with self.installation.database.read() as tx:
            directory = load_directory(tx)
            found = Counter[str]()
            for one in queue.held(tx):
                found[directory.customer_by_id(one.customer_id).slug] += one.recipients
        return found


#: Something that happens in the story.
Happening = Callable[[Stage], Awaitable[None]]


def _code_in(words: bytes | str) -> str:
    """The stable code that a reply of the door ends with, in brackets."""
    text = words.decode() if isinstance(words, bytes) else words
    return text.rpartition("[")[2].rstrip("]")


def _sign(copy: count.Copy) -> str:
    if copy.refused:
        return "x"
    route = ROUTES.get(copy.relay, "?")
    return "R" if copy.from_domain == "molntjanst.example" else LETTERS.get(route, "?")


# --- the stage -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def on_stage(directory: Path, say: Callable[[str], None], first: date) -> AsyncIterator[Stage]:
    story = _example_without_choices(directory / "example")
    world = World(directory, story=story, receivers=[LARGE, *cast.RECEIVERS[1:]])
    await world.start()
    try:
        _write_settings(directory, world, first)
        with opened(directory) as installation:
            apply(
                installation.database,
                installation.seal,
                read(story / "ombud.toml", environment(world.addresses())),
                installation.clock.now(),
            )
            service = Service(installation)
            await service.start()
            stage = Stage(world, installation, service, say)
            try:
                stage.open_accounts()
                await service.catch_up()
                yield stage
            finally:
                await stage.close()
                await service.stop(5)
    finally:
        await world.stop()


def _example_without_choices(directory: Path) -> Path:
    """The example on the day of the notice: nobody has chosen anything."""
    shutil.copytree(example.DEFAULT, directory)
    path = directory / "customers.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "alternative": "none"} for row in rows)
    return directory


def _write_settings(directory: Path, world: World, first: date) -> None:
    probe = _TENANTS[2].partition("@")[2]
    tables: dict[str, dict[str, object]] = {
        "service": {"name": "ombud.molntjanst.example", "at": f"{first}T07:00", "min_free": 0},
        "smtp": {"starttls_port": 0, "tls_port": -1},
        "http": {"port": 0, "public_url": "https://epost.molntjanst.example"},
        "delivery": {"dns_servers": ["{}:{}".format(*world.dns)], "ca_file": str(world.ca_file)},
        "proof": {
            "mailbox": f"prov@{probe}", "maildir": str(world.mail / probe), "server": "mx.hemmanet.example",
        },
        "log": {"level": "error"},
    }  # fmt: skip
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()) + "\n"
        for name, table in tables.items()
    )
    (directory / "ombud.toml").write_text("# Written by `ombud demo --story`.\n" + text, "utf-8")
