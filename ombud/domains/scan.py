"""A look at a domain before its owner is asked: who keeps its DNS, who takes its mail, who may send and who signs for it, and which
alternative fits. Nothing is written, and nobody has to know of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from ombud.dns import Answer, Ask
from ombud.domains.hosts import Host, Standing, host_of, standing_of
from ombud.mail import dmarc, spf
from ombud.mail.dkimrecord import read_key


@dataclass(frozen=True, slots=True)
class Service:
    """A mail service that is known by its traces."""

    slug: str
    name: str
    kind: str  # service | gateway | webhost
    mx: tuple[str, ...]
    spf: tuple[str, ...]
    selectors: tuple[str, ...]


class Fits(StrEnum):
    """Which kind of alternative to recommend."""

    OWN = "own"
    SUBCONTRACTOR = "subcontractor"
    ASK = "ask"  # DNS does not tell
    UNKNOWN = "unknown"  # DNS did not answer


#: Why: the code's sentences, Swedish and English.
REASONS = {
    "own_signs": (
        "{name} tar emot domänens mejl och signerar redan det som skickas därifrån.",
        "{name} takes the domain's mail and already signs what is sent from there.",
    ),
    "own_can_sign": (
        "{name} tar emot domänens mejl och kan signera, men DKIM är inte påslaget där ännu.",
        "{name} takes the domain's mail and can sign it, but DKIM is not switched on there yet.",
    ),
    "own_server": (
        "Domänen har en egen mejlserver. Den kan skicka, om den kan signera med DKIM.",
        "The domain has a mail server of its own. It can send, if it can sign with DKIM.",
    ),
    "gateway": (
        "{name} står framför den server som skickar. Fråga vilken det är.",
        "{name} stands before the server that sends. Ask which that is.",
    ),
    "webhost": (
        "Mejlen ligger hos ett webbhotell, {name}, som begränsar hur mycket ett program får skicka.",
        "The mail is at a web host, {name}, which limits how much a program may send.",
    ),
    "no_mail": (
        "Domänen tar inte emot mejl, så där finns ingen egen server att skicka genom.",
        "The domain takes no mail, so there is no server of its own to send by.",
    ),
    "other": (
        "Mejlen tas emot av {name}. Fråga om den kan skicka för ett program och signera med DKIM.",
        "The mail is taken by {name}. Ask whether it can send for a program and sign with DKIM.",
    ),
    "no_domain": ("Domänen finns inte i DNS.", "The domain is not in DNS."),
    "no_answer": ("Domänens namnservrar svarade inte. Titta igen senare.", "The domain's name servers did not answer. Look again later."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scanned:
    """What DNS says of one domain. Empty texts: there is none; `uncertain`: some question got no answer."""

    domain: str
    dns_host: str = ""
    name_servers: tuple[str, ...] = ()
    standing: Standing = Standing.IN_USE
    mx: tuple[str, ...] = ()
    mail_service: str = ""
    spf: str = ""
    spf_result: str = "none"
    spf_lookups: int = 0
    spf_problems: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    dmarc: str = ""
    dmarc_at: str = ""
    signers: tuple[str, ...] = ()
    fits: Fits = Fits.UNKNOWN
    reason: str = "no_answer"
    reason_name: str = ""
    uncertain: bool = False

    def why(self, language: str) -> str:
        sv, en = REASONS[self.reason]
        return (sv if language == "sv" else en).format(name=self.reason_name)


async def scan(ask: Ask, domain: str, taught: Sequence[Host] = ()) -> Scanned:
    """Look at one domain, by some ten questions. Never raises for what the network did.

    `taught`: DNS hosts that the operator has added. The signers found are those that are looked for: a selector can be anything.
    """
    servers = await _name_servers(ask, domain)
    if servers is None:
        return Scanned(domain, uncertain=True)
    exchanges = await ask(domain, "MX")
    if exchanges.why == "nxdomain" and not servers.values:
        return Scanned(domain, fits=Fits.ASK, reason="no_domain")
    host = host_of(servers.values, taught)
    mx = _mail_servers(exchanges)
    verdict = await spf.survey(ask, domain)
    found = await dmarc.discover(ask, domain)
    service = _service_of(mx)
    senders = _senders(verdict.tree)
    signers = await _signers(ask, domain, {service, *senders} - {None})
    uncertain = exchanges.unknown or found.uncertain or any(code == "dns" for code, *_ in verdict.problems())
    fits, reason, name = _recommended(domain, exchanges, mx, service, signers)
    return Scanned(
        domain, host.name if host else "", tuple(sorted(servers.values)), standing_of(servers.values), mx,
        _called(domain, mx, service), verdict.tree.texts[0] if len(verdict.tree.texts) == 1 else "", verdict.result.value,
        verdict.lookups, tuple(dict.fromkeys(code for code, *_ in verdict.problems() if code != "no_record")),
        tuple(one.name for one in senders), found.policy, found.found_at,
        tuple(f"{selector} ({one.name})" if one else selector for selector, one in signers), fits, reason, name, uncertain,
    )  # fmt: skip


# --- looking ---------------------------------------------------------------------------------------------------------


async def _name_servers(ask: Ask, domain: str) -> Answer | None:
    """The NS records of the zone that the domain is in; None when nobody knows."""
    name = domain
    while True:
        answer = await ask(name, "NS")
        if answer.unknown:
            return None
        name = name.partition(".")[2]
        if (answer.found and not answer.aliases) or "." not in name:
            return answer


def _mail_servers(exchanges: Answer) -> tuple[str, ...]:
    """In the order to try them; a null MX (RFC 7505) is none."""
    pairs = [value.partition(" ") for value in exchanges.values]
    ordered = sorted(pairs, key=lambda pair: int(pair[0]) if pair[0].isdigit() else 0)
    return tuple(name for _, _, name in ordered if name != ".")


def _senders(tree: spf.Tree) -> tuple[Service, ...]:
    """The services whose servers the record lets send, by their includes."""
    targets = {step.target for _, step in tree.walk() if step.term.kind in ("include", "redirect")}
    return tuple(service for service in services() if targets & set(service.spf))


async def _signers(ask: Ask, domain: str, likely: Iterable[Service | None]) -> list[tuple[str, Service | None]]:
    """The selectors of the likely services that hold a key, and our own."""
    guesses: list[tuple[str, Service | None]] = [
        (selector, one) for one in services() if one in set(likely) for selector in one.selectors
    ]
    found = []
    for selector, service in (*guesses, ("om1", None)):
        answer = await ask(f"{selector}._domainkey.{domain}", "TXT")
        keys = [key for text in answer.values if (key := read_key(text)) and key.readable]
        if keys:
            found.append((selector, service))
    return found


# --- concluding ------------------------------------------------------------------------------------------------------


def _recommended(
    domain: str, exchanges: Answer, mx: Sequence[str], service: Service | None, signers: Sequence[tuple[str, Service | None]]
) -> tuple[Fits, str, str]:  # fmt: skip
    if exchanges.unknown:
        return Fits.UNKNOWN, "no_answer", ""
    if not mx:
        return Fits.SUBCONTRACTOR, "no_mail", ""
    if service is None:
        own = any(name == domain or name.endswith(f".{domain}") for name in mx)
        return (Fits.OWN, "own_server", "") if own else (Fits.ASK, "other", mx[0])
    if service.kind == "gateway":
        return Fits.ASK, "gateway", service.name
    if service.kind == "webhost":
        return Fits.SUBCONTRACTOR, "webhost", service.name
    signs = any(one == service for _, one in signers)
    return Fits.OWN, "own_signs" if signs else "own_can_sign", service.name


def _called(domain: str, mx: Sequence[str], service: Service | None) -> str:
    if service:
        return service.name
    if not mx:
        return ""
    return "own" if any(name.endswith(f".{domain}") or name == domain for name in mx) else mx[0]


def _service_of(mx: Sequence[str]) -> Service | None:
    return next(
        (one for name in mx for one in services() if any(name == end or name.endswith(f".{end}") for end in one.mx)),
        None,
    )


@cache
def services() -> tuple[Service, ...]:
    table: Mapping[str, Any] = tomllib.loads(files("ombud.domains").joinpath("services.toml").read_text("utf-8"))
    return tuple(
        Service(one["slug"], one["name"], one["kind"], tuple(one["mx"]), tuple(one["spf"]), tuple(one["selectors"]))
        for one in table["service"]
    )
