"""`ombud doctor`: look for what would keep the service from working, and say what to do about it."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import stat
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from cryptography import x509

from ombud import queue, settings
from ombud.accounts import load_directory
from ombud.apply import is_signed
from ombud.cli.session import NOT_OK, Command, Session
from ombud.db import Database
from ombud.db.migrate import step_of
from ombud.dns import Resolver
from ombud.domains import active_keys, load_key_ring, load_ownership
from ombud.errors import BadField, DatabaseNotOpened, Misconfigured, OmbudError, TryLater
from ombud.installation import MASTER_KEY, Installation
from ombud.notices.outbox import backlog
from ombud.providers import make_provider
from ombud.providers.provider import Surroundings
from ombud.providers.smtp import Smtp
from ombud.providers.smtp.connection import NoSession
from ombud.queue import State
from ombud.routing import TEST_ROUTE, Route, load_facts, route_secret
from ombud.seal import load_or_make

#: A certificate that ends sooner than this needs a person now.
_CERTIFICATE_LEFT = timedelta(days=14)
#: Clocks further apart than this make times in logs and leases misleading.
_CLOCK_APART = timedelta(seconds=5)
#: Letters and webhooks that wait longer than this say that something is in their way.
_TOLD_WITHIN = timedelta(hours=1)
#: The file that marks a directory which `ombud demo` has made.
_DEMO = "demo"
#: What the checks are called in Swedish; a route's has its slug behind it.
_SWEDISH = {
    "directory": "katalog", "master key": "huvudnyckel", "settings": "inställningar", "database": "databas", "disk": "disk",
    "clock": "klocka", "secrets": "hemligheter", "signing": "signering", "queue": "kö", "outbox": "utkorg", "certificate": "certifikat",
    "name servers": "namnservrar", "route": "väg",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether it is as it must be, what was found, and what to do if it is not."""

    check: str
    ok: bool
    found: str
    advice: str = ""


@click.command("doctor", cls=Command)
@click.option("--connect", is_flag=True, help="Also connect to every route's server: TLS and log-in, and no mail.")
@click.pass_context
def command(ctx: click.Context, connect: bool) -> None:
    """Look for what would keep the service from working, and say what to do. Exit code 3: something is wrong."""
    session: Session = ctx.obj
    checks = list(_checks(session, connect))
    if session.as_json:
        session.show_json({"ok": all(one.ok for one in checks), "checks": [asdict(one) for one in checks]})
    else:
        rows = [
            {**asdict(one), "ok": "✔" if one.ok else "✖", "check": _called(one.check, session.language)}
            for one in checks
        ]
        session.show_rows(rows, "ok", "check", "found", "advice")
    if not all(one.ok for one in checks):
        ctx.exit(NOT_OK)


def _called(check: str, language: str) -> str:
    kind, of, slug = check.partition("route ")
    return check if language != "sv" else f"{_SWEDISH['route']} {slug}" if of else _SWEDISH[kind]


def _checks(session: Session, connect: bool) -> Iterator[Check]:
    yield from (outside := [_directory(session), _master_key(session), _settings(session)])
    if not all(one.ok for one in outside):
        return
    try:
        with session.opened() as installation:
            yield from _inside(session, installation)
            yield from asyncio.run(_routes(session, installation, connect))
    except DatabaseNotOpened as error:  # which says itself what to do
        yield Check("database", False, error.text(session.language))
    except TryLater as error:
        yield Check("database", False, error.text(session.language), _advice_on_database(session))
    except OmbudError as error:
        yield Check(_at_fault(session), False, error.text(session.language))


# --- the directory -------------------------------------------------------------------------------------------------


def _directory(session: Session) -> Check:
    path = session.directory.absolute()
    if not path.is_dir():
        return Check(
            "directory",
            False,
            str(path),
            session.say("There is none; make it with `ombud apply`.", "Den finns inte; skapa den med `ombud apply`."),
        )
    writable = os.access(path, os.R_OK | os.W_OK | os.X_OK)
    return Check(
        "directory",
        writable,
        str(path),
        "" if writable else session.say("Let this user write in it.", "Låt den här användaren skriva i den."),
    )


def _master_key(session: Session) -> Check:
    path = session.directory / MASTER_KEY
    if not path.exists():
        advice = session.say(
            "Make an installation with `ombud apply`, or put its master.key back.",
            "Skapa en installation med `ombud apply`, eller lägg tillbaka dess master.key.",
        )
        return Check("master key", False, session.say("missing", "saknas"), advice)
    mode = stat.S_IMODE(path.stat().st_mode)
    ok = not mode & 0o077 and os.access(path, os.R_OK)
    return Check("master key", ok, f"{mode:04o}", "" if ok else f"chmod 600 {path}")


def _settings(session: Session) -> Check:
    try:
        settings.load(session.directory)
    except Misconfigured as error:
        return Check(
            "settings",
            False,
            error.text(session.language),
            session.say("Correct ombud.toml or the OMBUD_ variable.", "Rätta ombud.toml eller OMBUD_-variabeln."),
        )
    return Check(
        "settings",
        True,
        "ombud.toml" if (session.directory / "ombud.toml").exists() else session.say("defaults", "standardvärden"),
    )


def _at_fault(session: Session) -> str:
    """What keeps the installation from being opened: the master key can lie there, for its owner alone, and be none."""
    try:
        load_or_make(session.directory / MASTER_KEY)
    except Misconfigured:
        return "master key"
    return "database"


def _advice_on_database(session: Session) -> str:
    return session.say(
        "See `service.database` in the settings; is the server up?",
        "Se `service.database` i inställningarna; är servern igång?",
    )


# --- inside --------------------------------------------------------------------------------------------------------


def _inside(session: Session, installation: Installation) -> Iterator[Check]:
    database = installation.database
    weakness = database.weakness()
    if not weakness and database.file and not os.access(database.file, os.W_OK):
        weakness = session.say("Let this user write it.", "Låt den här användaren skriva i den.")
    yield Check("database", not weakness, f"{database.version()}, schema {step_of(database)}", weakness)
    if database.file:
        yield _disk(session, installation, database.file)
    yield _clock(session, installation, database)
    yield _secrets(session, installation)
    yield _signing(session, installation)
    yield _queue(session, installation)
    yield _outbox(session, installation)
    yield _certificate(session, installation)


def _disk(session: Session, installation: Installation, file: Path) -> Check:
    free, least = shutil.disk_usage(file.parent).free, installation.settings.service.min_free
    advice = session.say(
        "Make room: below service.min_free mail is refused.", "Frigör utrymme: under service.min_free nekas e-post."
    )
    return Check(
        "disk",
        free >= least,
        session.say(f"{free >> 20} MiB free", f"{free >> 20} MiB ledigt"),
        "" if free >= least else advice,
    )


def _clock(session: Session, installation: Installation, database: Database) -> Check:
    with database.read() as tx:
        apart = abs(tx.now - datetime.now(UTC))
    if installation.settings.service.at:
        return Check(
            "clock",
            True,
            session.say(
                f"turned to {installation.settings.service.at}", f"ställd på {installation.settings.service.at}"
            ),
        )
    advice = session.say("Let both machines keep time by NTP.", "Låt båda maskinerna gå efter NTP.")
    return Check(
        "clock", apart < _CLOCK_APART, f"{apart.total_seconds():.1f} s", "" if apart < _CLOCK_APART else advice
    )


def _secrets(session: Session, installation: Installation) -> Check:
    """Whether this master key opens what is sealed."""
    with installation.database.read() as tx:
        try:
            keys = load_key_ring(tx, installation.seal).keys
            for route in load_facts(tx).routes.values():
                route_secret(tx, installation.seal, route.slug)
        except Misconfigured as error:
            advice = session.say(
                "Put the master.key back that belongs to this database.",
                "Lägg tillbaka den master.key som hör till databasen.",
            )
            return Check("secrets", False, error.text(session.language), advice)
    return Check("secrets", True, session.say(f"{len(keys)} domains with keys", f"{len(keys)} domäner med nycklar"))


def _signing(session: Session, installation: Installation) -> Check:
    """Whether every domain whose mail is to be signed has a key: without one its mail is held."""
    now = installation.clock.now()
    with installation.database.read() as tx:
        directory, facts, ownership = load_directory(tx), load_facts(tx), load_ownership(tx)
        signed = [one for one in directory.customers.values() if is_signed(facts, directory, one, now)]
        bare = [domain.name for one in signed for domain in ownership.of(one.id) if not active_keys(tx, domain.name)]
    advice = session.say(
        "Make keys with `ombud domains new-key`, or apply the file again.",
        "Skapa nycklar med `ombud domains new-key`, eller kör apply igen.",
    )
    return Check("signing", not bare, ", ".join(bare[:5]) or "ok", advice if bare else "")


def _queue(session: Session, installation: Installation) -> Check:
    with installation.database.read() as tx:
        stuck = sum(one.recipients for one in queue.count(tx) if one.state is State.QUARANTINED)
    advice = session.say(
        "Look at them: `ombud messages list --state quarantined`.",
        "Titta på dem: `ombud messages list --state quarantined`.",
    )
    return Check(
        "queue", not stuck, session.say(f"{stuck} quarantined", f"{stuck} i karantän"), advice if stuck else ""
    )


def _outbox(session: Session, installation: Installation) -> Check:
    """Whether letters and webhooks get out."""
    with installation.database.read() as tx:
        left = backlog(tx)
    late = left.oldest > _TOLD_WITHIN
    found = session.say(
        f"{left.waiting} waiting, {left.given_up} given up", f"{left.waiting} väntar, {left.given_up} uppgivna"
    )
    if late:
        hours = int(left.oldest.total_seconds() // 3600)
        found += session.say(f"; the oldest for {hours} h", f"; den äldsta i {hours} h")
    advice = session.say(
        "See why with `ombud notices list --failing`, mend it, then `ombud notices retry --all`; is the service running?",
        "Se varför med `ombud notices list --failing`, åtgärda, och kör `ombud notices retry --all`; är tjänsten igång?",
    )
    ok = not left.given_up and not late
    return Check("outbox", ok, found, "" if ok else advice)


def _certificate(session: Session, installation: Installation) -> Check:
    smtp = installation.settings.smtp
    path, key = (
        smtp.certificate or installation.directory / "smtp-cert.pem",
        smtp.key or installation.directory / "smtp-key.pem",
    )
    if smtp.certificate is None and not path.exists():
        return Check(
            "certificate", True, session.say("none yet; the service makes one", "inget än; tjänsten skapar ett")
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key)
        end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        return Check(
            "certificate",
            False,
            str(error),
            session.say("See smtp.certificate and smtp.key.", "Se smtp.certificate och smtp.key."),
        )
    ok = end - datetime.now(UTC) > _CERTIFICATE_LEFT
    own = (
        ""
        if smtp.certificate
        else session.say(", self-made: clients must be told to trust it", ", egengjort: klienterna måste lita på det")
    )
    return Check(
        "certificate",
        ok,
        f"{end:%Y-%m-%d}{own}",
        "" if ok else session.say("Renew it, then SIGHUP.", "Förnya det, sedan SIGHUP."),
    )


# --- routes --------------------------------------------------------------------------------------------------------


async def _routes(session: Session, installation: Installation, connect: bool) -> list[Check]:
    with installation.database.read() as tx:
        facts = load_facts(tx)
        secrets = {route.id: route_secret(tx, installation.seal, route.slug) for route in facts.routes.values()}
    resolver = Resolver(installation.settings.delivery.dns_servers)
    routes = [route for route in facts.routes.values() if route.slug != TEST_ROUTE]
    looks = (_route(session, installation, route, secrets[route.id], resolver, connect) for route in routes)
    found = await asyncio.gather(*looks)
    unanswered = [route.slug for route, check in zip(routes, found, strict=True) if check is None]
    silent = [_name_servers(session, installation, unanswered)] if unanswered else []
    return [check for check in found if check] + silent


async def _route(
    session: Session, installation: Installation, route: Route, secret: str, resolver: Resolver, connect: bool
) -> Check | None:
    """Whether the route's settings can be used, its host has an address, and (if asked for) its server takes us.

    None: no name server answers for its host.
    """
    name = f"route {route.slug}"
    around = Surroundings(resolver.addresses, installation.settings.service.name)
    try:
        provider = make_provider(
            route.provider, route.settings, secret, around,
            connections=route.limits.connections, delivery=installation.settings.delivery,
        )  # fmt: skip
    except (BadField, Misconfigured) as error:
        advice = session.say("Correct its settings and apply again.", "Rätta dess inställningar och kör apply igen.")
        return Check(name, False, error.text(session.language), advice)
    if not isinstance(provider, Smtp):
        return Check(name, True, route.provider)
    try:
        addresses = await resolver.addresses(provider.route.host)
    except OSError:
        return None
    if not addresses:
        advice = session.say(
            "Its host has no address in DNS; is it spelt right?",
            "Värdnamnet har ingen adress i DNS; är det rätt stavat?",
        )
        return Check(name, False, provider.route.host, advice)
    return await _connected(session, name, provider) if connect else Check(name, True, ", ".join(addresses))


def _name_servers(session: Session, installation: Installation, unanswered: Sequence[str]) -> Check:
    """What to do is the same for all these routes, so it is said once."""
    slugs = ", ".join(unanswered)
    servers = ", ".join(installation.settings.delivery.dns_servers)
    if (session.directory / _DEMO).exists():
        again = f"`ombud --dir {session.directory} demo --keep`"
        advice = session.say(
            f"This is a demo, and its world is not running: {again}.",
            f"Det här är en demo vars värld inte är igång: {again}.",
        )
    else:
        advice = session.say(
            f"Does it answer? See delivery.dns_servers ({servers or 'empty: those of the system'}).",
            f"Svarar den? Se delivery.dns_servers ({servers or 'tom: systemets egna'}).",
        )
    return Check("name servers", False, session.say(f"no answer for {slugs}", f"inget svar för {slugs}"), advice)


async def _connected(session: Session, name: str, provider: Smtp) -> Check:
    """A session up to the point where mail could be handed over: greeting, TLS with its certificate, log-in."""
    try:
        connection = await provider.pool.take()
    except NoSession as failure:
        advice = session.say(
            "The server does not take us; its words say why.", "Servern släpper inte in oss; dess svar säger varför."
        )
        return Check(name, False, f"{failure.remote} {failure.answer.reply}", advice)
    else:
        provider.pool.give_back(connection)
        return Check(name, True, f"{connection.remote} {provider.route.tls}")
    finally:
        await provider.close()
