"""The trial: a whole service sends while its keys are changed as fast as the rules let it."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ombud.accounts import Mode, Sender, load_directory, put_customer, put_product
from ombud.domains import KeyState, Round, keep_key, keys_of, prove_domain
from ombud.domains.rotation import ask_switch
from ombud.domains.zone import home_of
from ombud.installation import Installation, opened
from ombud.mail.address import parse_address
from ombud.mail.dkim import new_key
from ombud.queue import count
from ombud.routing import assign, load_facts, put_route
from ombud.service import Service
from ombud.submission import Submission
from trials.rotation.outside import FastZones, Outside

ZONE = "dkim.leverantor.example"
SETTLE, HOLD = 300.0, 480.0  # seconds of the world's clock; a mail is on its way for less than HOLD


@dataclass(frozen=True)
class Plan:
    messages: int = 10_000
    domains: int = 6
    rate: int = 120  # messages a second
    speed: int = 60  # seconds of the world's clock in one of ours
    control: bool = False  # without the waits: the judge must find faults


@dataclass(frozen=True)
class Score:
    messages: int
    arrived: int
    switches: int
    revoked: int
    failed_at_once: int
    failed_late: int
    examples: list[str]
    seconds: float

    @property
    def clean(self) -> bool:
        return self.arrived == self.messages and self.failed_at_once == 0 and self.failed_late == 0


def run(plan: Plan, directory: Path, told: Callable[[int], None] = lambda number: None) -> Score:
    """Play it. `told` hears how many have been submitted."""
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    outside = Outside(_zones(plan, secret), slowest=HOLD / plan.speed * 0.85)
    outside.start()
    waits = (0.0, 0.0) if plan.control else (SETTLE / plan.speed, HOLD / plan.speed)
    settings: dict[str, dict[str, Any]] = {
        "service": {"name": "ombud.leverantor.example", "min_free": 0}, "smtp": {"starttls_port": -1, "tls_port": -1},
        "http": {"port": 0}, "notices": {"tell": False},
        "delivery": {"dns_servers": [f"127.0.0.1:{outside.dns_port}"]},
        "dns": {
            "vendor_zone": ZONE, "update_server": f"127.0.0.1:{outside.dns_port}", "update_key": "ombud",
            "update_secret": secret, "authority_port": outside.dns_port, "watch": False,
            "settle_minutes": waits[0] / 60, "hold_days": waits[1] / 86400,
        },
    }  # fmt: skip
    started = time.monotonic()
    with opened(directory, **settings) as installation:
        _set_up(installation, plan, outside.smtp_port)
        switches, revoked = asyncio.run(_play(installation, plan, told))
    outside.stop()
    failed = [arrival.at_once for arrival in outside.arrivals if arrival.at_once]
    late = [arrival.late for arrival in outside.arrivals if arrival.late]
    return Score(
        plan.messages, len(outside.arrivals), switches, revoked, len(failed), len(late), [*failed[:3], *late[:3]],
        round(time.monotonic() - started, 1),
    )  # fmt: skip


def domain_of(number: int) -> str:
    return f"kund{number}.example"


def _zones(plan: Plan, secret: str) -> FastZones:
    zones = FastZones(plan.speed)
    lines = [
        f"{ZONE}. IN SOA ns1.namnserver.example. hostmaster.{ZONE}. 1 3600 600 86400 0",
        "ns1.namnserver.example. IN A 127.0.0.1",
    ]
    lines += [f"{ZONE}. IN NS ns1.namnserver.example."]
    lines += [
        f"{selector}._domainkey.{domain_of(n)}. 300 IN CNAME {home_of(selector, domain_of(n), ZONE)}."
        for n in range(plan.domains) for selector in ("om1", "om2")
    ]  # fmt: skip
    zones.add("\n".join(lines))
    zones.allow_updates("ombud", secret)
    return zones


def _set_up(installation: Installation, plan: Plan, port: int) -> None:
    now = installation.clock.now()
    keys = [new_key(domain_of(n), "om1") for n in range(plan.domains)]
    with installation.database.write() as tx:
        put_customer(tx, "kund", "Kund AB", now)
        put_product(tx, "hyra", "Hyra", now)
        customer = load_directory(tx).customer("kund")
        put_route(
            tx,
            installation.seal,
            "ut",
            "smtp",
            {"host": "127.0.0.1", "port": port, "tls": "none"},
            None,
            now,
            sign=True,
        )
        route = load_facts(tx).route("ut")
        assert route
        assign(tx, customer.id, None, route.id, now)
        for key in keys:
            prove_domain(tx, key.domain, customer, "operator", "trial", now)
            keep_key(tx, installation.seal, key, now, vendor_zone=ZONE)


async def _play(installation: Installation, plan: Plan, told: Callable[[int], None]) -> tuple[int, int]:
    service = Service(installation)
    await service.start()
    await service.rotation.round(installation.clock.now())  # the records are there before the first mail is
    over = asyncio.Event()
    rotating = asyncio.ensure_future(_rotate(service, plan, over))
    try:
        await _send(service, plan, told)
        await _drained(service)
    finally:
        over.set()
        totals = await rotating
        await service.stop()
    return totals.switched, totals.revoked


async def _rotate(service: Service, plan: Plan, over: asyncio.Event) -> Round:
    """A round twice a second; whatever can take over is told to, so that keys never rest."""
    switched = revoked = 0
    while not over.is_set():
        now = service.clock.now()
        await service._in_group(_hurry, plan, now)
        done = await service.rotation.round(now)
        switched, revoked = switched + done.switched, revoked + done.revoked
        await asyncio.sleep(0.5)
    return Round(switched=switched, revoked=revoked)


def _hurry(tx: object, plan: Plan, now: object) -> None:
    for number in range(plan.domains):
        for key in keys_of(tx, domain_of(number)):  # type: ignore[arg-type]  # run in a transaction by the service
            if key.state in (KeyState.PUBLISHED, KeyState.SEEN) and key.switch_at is None:
                ask_switch(tx, key, now)  # type: ignore[arg-type]  # as above


async def _send(service: Service, plan: Plan, told: Callable[[int], None]) -> None:
    with service.database.read() as tx:
        directory = load_directory(tx)
    sender = Sender(1, directory.products["hyra"], directory.customer("kund"), Mode.LIVE)
    start = time.monotonic()
    for number in range(plan.messages):
        await service.submissions.submit(sender, _message(number, domain_of(number % plan.domains)))
        if number % 100 == 99:
            told(number + 1)
            await asyncio.sleep(max(0.0, (number + 1) / plan.rate - (time.monotonic() - start)))


def _message(number: int, domain: str) -> Submission:
    content = (
        f"From: Kund <avi@{domain}>\r\nTo: a@mottagare.example\r\nSubject: Avi {number}\r\nMessage-ID: <{number}@{domain}>\r\n"
        f"Date: Tue, 07 May 2024 12:00:00 +0200\r\n\r\nHej {number}\r\n"
    ).encode()
    return Submission(
        parse_address(f"avi@{domain}"), (parse_address("a@mottagare.example"),), content, "http", "127.0.0.1"
    )


async def _drained(service: Service) -> None:
    async with asyncio.timeout(300):
        while any(
            one.recipients
            for one in await service.database.reading(count)
            if one.state.value in ("waiting", "leased", "sending", "deferred")
        ):
            await asyncio.sleep(0.2)
