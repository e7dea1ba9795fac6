"""The story of `ombud demo`: a world on loopback, an installation that is set up in it, and a rent-notice run through both doors.

What happened is told by the recipients' Maildirs, not by Ombud: the two must agree, and a demo that asks Ombud how Ombud did
would prove nothing.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from ombud.accounts import Mode, NewCredential, create_credential, load_directory
from ombud.apply import Done, apply, read
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.domains import key_records, load_ownership
from ombud.errors import Misconfigured
from ombud.ids import new_handle
from ombud.installation import Installation, opened
from ombud.mail.address import canonical_domain
from ombud.queue import State
from ombud.queue import count as count_queue
from ombud.routing import load_facts
from ombud.sandbox import count, example
from ombud.sandbox.nameserver import txt
from ombud.sandbox.pdf import rent_notice_pdf
from ombud.usage import usage_of

PRODUCT = "hyra"
#: The day on which the story's rent notices go out: after the risk date, before the stop.
DAY = "2024-04-16T09:00"
#: The mail that the story sends, and how long it may take before what is missing is called lost.
PATIENCE = 120.0
_THREADS = 5
#: A service ends by itself within this.
_END_SECONDS = 60.0


@dataclass(slots=True)
class Tally:
    """One line of the table: what was submitted for a customer, and where it is."""

    customer: str
    product: str
    route: str
    submitted: int = 0
    delivered: int = 0
    deferred: int = 0
    failed: int = 0
    spf: int = 0
    dkim: int = 0
    dmarc: int = 0


@dataclass(slots=True)
class Run:
    """What is known of the run: `submitted` from the doors' answers, everything else from the Maildirs."""

    lines: list[Tally]
    duplicates: int
    billable: int
    metered: int  # what Ombud's own meter says; must equal `billable`
    seconds: float

    def total(self, what: str) -> int:
        return sum(int(getattr(line, what)) for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        by_route: dict[str, dict[str, int]] = defaultdict(Counter)
        for line in self.lines:
            for what in ("submitted", "delivered", "deferred", "failed"):
                by_route[line.route][what] += getattr(line, what)
        accounted = self.total("delivered") + self.total("deferred") + self.total("failed")
        return {
            **{what: self.total(what) for what in ("submitted", "delivered", "deferred", "failed")},
            "lost": self.total("submitted") - accounted, "duplicates": self.duplicates,
            "dkim_pass": self.total("dkim"), "spf_pass": self.total("spf"), "dmarc_pass": self.total("dmarc"),
            "billable": self.billable, "by_route": {route: dict(counts) for route, counts in sorted(by_route.items())},
            "seconds": round(self.seconds, 1),
        }  # fmt: skip


@dataclass(slots=True)
class Stage:
    """The world and the service as they run: where everything is, and the credentials to use it with."""

    directory: Path
    world: Mapping[str, Any]  # as world.json holds it
    earlier: frozenset[Path]  # mail that lay in the mailboxes already
    metered_before: int
    processes: list[subprocess.Popen[str]] = field(default_factory=list)


def new_directory(directory: Path, *, keep: bool) -> None:
    """Begin afresh in `directory`, unless it is to be kept.

    Raises Misconfigured rather than empty one that no demo has made, or that one is played in at this moment.
    """
    if directory.exists() and any(directory.iterdir()):
        if not keep and not (directory / "demo").exists():
            raise Misconfigured(reason=f"{directory} was not made by a demo; give an empty directory with --dir")
        if _is_played(directory):
            raise Misconfigured(
                reason=f"a demo is played in {directory} already; stop it, or give another one with --dir"
            )
        if not keep:
            shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "demo").write_text("Made by `ombud demo`, which empties this directory when it starts anew.\n")


def _is_played(directory: Path) -> bool:
    """Whether a service runs there: it holds its lock."""
    try:
        with (directory / "serve.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def on_stage(directory: Path, story: Path, say: Callable[[str], None], at: str = DAY) -> Iterator[Stage]:
    """Start the world, set the installation up in it, start the service; stop everything at the end."""
    processes: list[subprocess.Popen[str]] = []
    try:
        world = _start(
            [sys.executable, "-m", "ombud.sandbox", "--dir", str(directory), "--example", str(story)], processes
        )
        say(
            f"the world: name server on {world['dns']}, {len(world['servers'])} relays, {len(world['receivers'])} receiving servers"
        )
        ports = {"http": _free_port(), "starttls": _free_port(), "tls": _free_port()}
        _write_settings(directory, world, ports, at)
        with opened(directory) as installation:
            steps = _set_up(installation, story / "ombud.toml", world)
            credentials = _credentials(installation, story)
            told = _tell(directory, world, ports, installation, credentials)
            with installation.database.read() as tx:
                metered = _metered(tx)
        say(f"ombud apply {_short(story / 'ombud.toml')}: {steps} changes")
        _start(
            [sys.executable, "-m", "ombud", "--json", "--dir", str(directory), "serve"],
            processes,
            log=directory / "ombud.log",
        )
        say(f"ombud serve: SMTP on {ports['starttls']} (STARTTLS) and {ports['tls']} (TLS), HTTP on {ports['http']}")
        yield Stage(directory, told, count.files(Path(told["maildir"])), metered, processes)
    finally:
        _end_all(processes)


# --- setting up ----------------------------------------------------------------------------------------------------


def _start(command: list[str], processes: list[subprocess.Popen[str]], log: Path | None = None) -> dict[str, Any]:
    """Start a process in this process group and wait for its first line, which says as JSON that it is up."""
    errors = log.open("a") if log else None
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    if errors:
        errors.close()
    processes.append(process)
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{' '.join(command[2:4])} did not start" + (f"; see {log}" if log else ""))
    found: dict[str, Any] = json.loads(line)
    return found


def _end_all(processes: Sequence[subprocess.Popen[str]]) -> None:
    """End them, the service first: it may have mail to hand over. Each is ended, also when a second signal comes meanwhile."""
    with ExitStack() as stack:
        for process in processes:
            stack.callback(_end, process)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.terminate()
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()  # does nothing to one that has ended
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_settings(directory: Path, world: Mapping[str, Any], ports: Mapping[str, int], at: str) -> None:
    (directory / "ombud.toml").write_text(
        f"""# Written by `ombud demo`. The vendor, its products and customers come from examples/, by `ombud apply`.
[service]
name = "ombud.molntjanst.example"
at = "{at}"
at_since = "{datetime.now(UTC).isoformat(timespec="seconds")}"
min_free = 0

[smtp]
starttls_port = {ports["starttls"]}
tls_port = {ports["tls"]}

[http]
port = {ports["http"]}

[delivery]
dns_servers = ["{world["dns"]}"]
ca_file = "{world["ca_file"]}"

[dns]
authority_port = {world["dns"].rpartition(":")[2]}

[proof]
mailbox = "prov@hemmanet.example"
maildir = "{world["maildir"]}/hemmanet.example"
server = "mx.hemmanet.example"
automatic = false
""",
        "utf-8",
    )


def _set_up(installation: Installation, toml: Path, world: Mapping[str, Any]) -> int:
    """Apply the example, and publish the keys' records in the world's DNS. Returns how many things changed."""
    wanted = read(toml, {**os.environ, **environment(world)})
    steps = apply(installation.database, installation.seal, wanted, installation.clock.now())
    with installation.database.read() as tx:
        records = key_records(tx)
    zone = Path(world["dkim_zone"])
    draft = zone.with_suffix(".new")
    draft.write_text("".join(f"{record.name}. 5 IN TXT {txt(record.value)}\n" for record in records), "ascii")
    draft.rename(zone)
    return sum(step.done is not Done.SAME for step in steps)


def environment(world: Mapping[str, Any]) -> dict[str, str]:
    """The ports and passwords that the example's ombud.toml leaves to the environment."""
    names = {
        "underleverantör": "UNDERLEVERANTOR",
        "mailgun-eu": "MAILGUN",
        "egen-server": "EGEN_SERVER",
        "eken": "EKEN",
    }
    found = {}
    for relay, name in names.items():
        server = world["servers"][relay]
        found[f"{name}_PORT"] = str(server["port"])
        found[f"{name}_PASSWORD"] = str(server["password"] or "")
    return found


def _credentials(installation: Installation, story: Path) -> dict[str, NewCredential]:
    """A live credential for each customer that sends, made anew: a secret is shown once and kept nowhere."""
    senders = dict.fromkeys(row["customer"] for row in example.load(story).recipients)
    with installation.database.write() as tx:
        directory = load_directory(tx)
        product = directory.product(PRODUCT)
        return {
            slug: create_credential(
                tx, product, directory.customer(slug), Mode.LIVE, installation.clock.now(), "the demo"
            )
            for slug in senders
        }


def _tell(
    directory: Path, world: Mapping[str, Any], ports: Mapping[str, int], installation: Installation,
    credentials: Mapping[str, NewCredential],
) -> dict[str, Any]:  # fmt: skip
    """Write world.json: everything that a program needs to use the world from outside."""
    with installation.database.write() as tx:
        people = load_directory(tx)
        ownership = load_ownership(tx)
        test = create_credential(
            tx, people.product(PRODUCT), people.customer("eken"), Mode.TEST, installation.clock.now(), "the demo"
        )

    def entry(slug: str, made: NewCredential) -> dict[str, str]:
        domain = ownership.of(people.customer(slug).id)[0].name
        return {
            "customer": slug, "product": PRODUCT, "from": f"hyra@{domain}", "smtp_user": made.handle, "smtp_password": made.secret,
            "api_key": made.api_key, "mode": made.mode,
        }  # fmt: skip

    certificate = directory / "smtp-cert.pem"
    told = {
        "http": f"http://127.0.0.1:{ports['http']}",
        "smtp": {
            "host": "127.0.0.1", "starttls_port": ports["starttls"], "tls_port": ports["tls"], "ca_file": str(certificate),
        },
        "dns": world["dns"], "maildir": world["maildir"], "at": installation.clock.now().astimezone(STOCKHOLM).isoformat(timespec="seconds"),
        "credentials": [*(entry(slug, made) for slug, made in credentials.items()), entry("eken", test)],
        "servers": {name: f"{server['address']}:{server['port']}" for name, server in world["servers"].items()},
    }  # fmt: skip
    (directory / "world.json").write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return told


# --- the run -------------------------------------------------------------------------------------------------------


def play(stage: Stage, story: Path, progress: Callable[[int, int], None]) -> Run:
    """Send the rent notices, half through each door, and wait until every one is in a Maildir or refused."""
    started = time.monotonic()
    told = example.load(story)
    by_customer: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in told.recipients:
        by_customer[row["customer"]].append(row)
    with ThreadPoolExecutor(_THREADS) as threads:
        by_smtp = [
            threads.submit(_send_by_smtp, stage, slug, rows[0::2], told.notice) for slug, rows in by_customer.items()
        ]
        by_http = [
            threads.submit(_send_by_http, stage, slug, rows[1::2], told.notice) for slug, rows in by_customer.items()
        ]
        while not all(one.done() for one in (*by_smtp, *by_http)):
            progress(_arrived(stage), len(told.recipients))
            time.sleep(0.2)
        submitted = Counter({slug: smtp.result() for slug, smtp in zip(by_customer, by_smtp, strict=True)})
        submitted.update({slug: http.result() for slug, http in zip(by_customer, by_http, strict=True)})
    return _watch(stage, submitted, started, progress)


def _send_by_smtp(stage: Stage, slug: str, rows: list[dict[str, str]], notice: example.Notice) -> int:
    """Python's own smtplib, with TLS and a password. Returns how many recipients were accepted."""
    smtp, entry = stage.world["smtp"], _entry(stage, slug)
    tls = ssl.create_default_context(cafile=smtp["ca_file"])
    with smtplib.SMTP(smtp["host"], smtp["starttls_port"], timeout=60) as client:
        client.starttls(context=tls)
        client.login(entry["smtp_user"], entry["smtp_password"])
        for row in rows:
            client.sendmail(
                entry["from"], [_ascii_domain(row["email"])], _notice(entry["from"], row, notice).as_bytes()
            )
    return len(rows)


def _notice(sender: str, row: Mapping[str, str], notice: example.Notice) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Hyresavdelningen", addr_spec=sender)
    message["To"] = Address(row["name"], addr_spec=_ascii_domain(row["email"]))
    message["Subject"] = _filled(notice.subject, row)
    message.set_content(_filled(notice.text, row), cte="quoted-printable")
    message.add_attachment(
        rent_notice_pdf(row), maintype="application", subtype="pdf", filename=f"Hyresavi {row['lagenhet']}.pdf"
    )
    return message


def _filled(text: str, row: Mapping[str, str]) -> str:
    for name, value in row.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _send_by_http(stage: Stage, slug: str, rows: list[dict[str, str]], notice: example.Notice) -> int:
    """One batch call: one content, each with their own values. Returns how many recipients were accepted."""
    entry = _entry(stage, slug)
    first = {
        **rows[0],
        "name": "dig som hyr av oss",
        "lagenhet": "se mejlet",
        "belopp": "se mejlet",
        "ocr": "se mejlet",
    }
    body = {
        "from": f"Hyresavdelningen <{entry['from']}>", "subject": notice.subject, "text": notice.text, "stream": "bulk",
        "tags": ["hyresavi"], "attachments": [
            {"filename": "Så betalar du hyran.pdf", "content_type": "application/pdf", "content": base64.b64encode(rent_notice_pdf(first)).decode()}
        ],
        "recipients": [
            {"to": f'"{row["name"]}" <{row["email"]}>', "variables": {name: row[name] for name in _VARIABLES}} for row in rows
        ],
    }  # fmt: skip
    request = urllib.request.Request(
        f"{stage.world['http']}/v1/messages/batch", json.dumps(body).encode(), method="POST",
        headers={"Authorization": f"Bearer {entry['api_key']}", "Content-Type": "application/json", "Idempotency-Key": f"avi-{slug}-{new_handle()}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    return sum(result["status"] == "accepted" for result in answer["results"])


_VARIABLES = ("name", "lagenhet", "belopp", "ocr", "forfallodag")


def _entry(stage: Stage, slug: str) -> dict[str, str]:
    return next(
        entry for entry in stage.world["credentials"] if entry["customer"] == slug and entry["mode"] == Mode.LIVE
    )


def _ascii_domain(email: str) -> str:
    local, _, domain = email.rpartition("@")
    return f"{local}@{canonical_domain(domain)}"


def _arrived(stage: Stage) -> int:
    return len(count.files(Path(stage.world["maildir"]))) - len(stage.earlier)


# --- the count -----------------------------------------------------------------------------------------------------


def _watch(stage: Stage, submitted: Counter[str], started: float, progress: Callable[[int, int], None]) -> Run:
    expected, deadline = submitted.total(), time.monotonic() + PATIENCE
    while (arrived := _arrived(stage)) < expected and time.monotonic() < deadline:
        progress(arrived, expected)
        time.sleep(0.2)
    progress(arrived, expected)
    with opened(stage.directory) as installation:
        _until_settled(installation, deadline)
        return _counted(stage, installation, submitted, time.monotonic() - started)


def _until_settled(installation: Installation, deadline: float) -> None:
    """The last mail is in its Maildir before Ombud has written down that it is."""
    on_its_way = {State.WAITING, State.LEASED, State.SENDING}
    while time.monotonic() < deadline:
        with installation.database.read() as tx:
            if not any(one.state in on_its_way for one in count_queue(tx)):
                return
        time.sleep(0.1)


def _metered(tx: Transaction) -> int:
    return sum(line.emails for line in usage_of(tx) if line.billable)


def _counted(stage: Stage, installation: Installation, submitted: Counter[str], seconds: float) -> Run:
    with installation.database.read() as tx:
        people, ownership, facts = load_directory(tx), load_ownership(tx), load_facts(tx)
        metered = _metered(tx) - stage.metered_before
        waiting = Counter(
            one.customer_id for one in count_queue(tx) if one.state is State.DEFERRED for _ in range(one.recipients)
        )
    copies = count.read(Path(stage.world["maildir"]), without=stage.earlier)
    slugs = {domain.name: people.customer_by_id(domain.customer_id).slug for domain in ownership.domains.values()}
    routes = {route.slug: route for route in facts.routes.values()}
    lines: dict[tuple[str, str], Tally] = {}
    for copy in copies:
        slug, route = slugs.get(copy.from_domain, "?"), ROUTES.get(copy.relay, copy.relay)
        line = lines.setdefault((slug, route), Tally(slug, PRODUCT, route))
        line.delivered += not copy.refused
        line.failed += copy.refused
        line.spf += not copy.refused and copy.spf == "pass"
        line.dkim += not copy.refused and copy.dkim == "pass"
        line.dmarc += not copy.refused and copy.dmarc == "pass"
    for slug, number in submitted.items():
        own = [line for line in lines.values() if line.customer == slug] or [Tally(slug, PRODUCT, "?")]
        lines[slug, own[0].route] = own[0]
        own[0].submitted, own[0].deferred = number, waiting[people.customer(slug).id]
    billable = sum(line.delivered for line in lines.values() if line.route in routes and routes[line.route].billable)
    return Run(
        sorted(lines.values(), key=lambda line: line.customer),
        count.count(copies).duplicates,
        billable,
        metered,
        seconds,
    )


#: What the world's relays are called as routes of the example.
ROUTES = {"underleverantör": "underleverantor", "eken": "eken-egen"}


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
