"""What the great receivers ask of senders, rule by rule (Google, Yahoo, Microsoft's consumer mail, Apple; as of 2026-07)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

#: The receivers' own domains: nobody else's mail may come from them, and mail to them is counted.
GMAIL = frozenset({"gmail.com", "googlemail.com"})
_OUTLOOK_NAMES = frozenset({"outlook", "hotmail", "live"})
_OUTLOOK = frozenset({"msn.com", "passport.com", "windowslive.com"})
_YAHOO_NAMES = frozenset({"yahoo", "ymail", "rocketmail", "aol"})
_APPLE = frozenset({"icloud.com", "me.com", "mac.com"})
#: Recipients in 24 hours from which a domain is a bulk sender, for Gmail for ever (Google's sender guidelines).
BULK = 5000


class Receiver(StrEnum):
    GMAIL = "gmail"
    OUTLOOK = "outlook"


def receiver_of(domain: str) -> Receiver | None:
    """Which of the receivers that count their senders' mail takes mail for this domain (lower-case)."""
    if domain in GMAIL:
        return Receiver.GMAIL
    return Receiver.OUTLOOK if _is_outlook(domain) else None


def is_consumer(domain: str) -> bool:
    """Whether everybody's private addresses are there, so that no program may send from it by another way."""
    name = domain.partition(".")[0]
    return domain in GMAIL or domain in _APPLE or _is_outlook(domain) or name in _YAHOO_NAMES


def _is_outlook(domain: str) -> bool:
    name, _, rest = domain.partition(".")
    return domain in _OUTLOOK or (name in _OUTLOOK_NAMES and rest.count(".") <= 1 and bool(rest))


class Applies(StrEnum):
    """Whose mail a rule is for."""

    ALL = "all"
    BULK = (
        "bulk"  # those who have sent 5 000 in a day to Gmail once, or do so to Outlook, or whom an operator has named
    )
    MARKETING = "mkt"  # what people have signed up for
    ADVICE = "advice"  # announced, or good in any case
    OWN_SERVER = "own"  # those who deliver to receivers' servers themselves


class Kind(StrEnum):
    """What a rule is checked by."""

    DNS = "dns"
    MESSAGE = "message"
    COUNTERS = "counters"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    applies: Applies
    kinds: tuple[Kind, ...]
    sv: str
    en: str
    #: The answers by which receivers tell that it was broken, as they write them.
    answers: tuple[str, ...] = ()


_D, _M, _C, _K = Kind.DNS, Kind.MESSAGE, Kind.COUNTERS, Kind.CONNECTION
_A = Applies

RULES: Mapping[str, Rule] = {rule.id: rule for rule in (
    Rule("AUTH-ANY", _A.ALL, (_D, _K), "SPF eller DKIM godkänns", "SPF or DKIM passes", ("4.7.26", "5.7.26", "5.7.9")),
    Rule("AUTH-SPF", _A.BULK, (_D,), "SPF godkänns för kuvertets domän, med högst 10 frågor", "SPF passes for the envelope's domain, within 10 lookups",
         ("4.7.27", "5.7.27", "4.7.24", "5.7.24", "5.7.515")),
    Rule("AUTH-DKIM", _A.BULK, (_D, _M), "DKIM godkänns, med en nyckel på minst 1024 bitar", "DKIM passes, with a key of at least 1024 bits",
         ("4.7.30", "5.7.30", "5.7.515")),
    Rule("AUTH-DMARC", _A.BULK, (_D,), "Det finns exakt en giltig DMARC-post", "There is exactly one valid DMARC record",
         ("4.7.40", "4.7.31", "5.7.40", "5.7.515")),
    Rule("AUTH-ALIGN", _A.BULK, (_M, _D), "Från-adressens domän stämmer med SPF eller DKIM", "The From domain is aligned with SPF or DKIM",
         ("4.7.32", "5.7.32", "5.7.515")),
    Rule("AUTH-ALIGN2", _A.ADVICE, (_M, _D), "Från-adressens domän stämmer med både SPF och DKIM", "The From domain is aligned with both SPF and DKIM"),
    Rule("AUTH-SIGS", _A.ALL, (_M,), "Ingen av domänens egna signaturer är trasig", "None of the domain's own signatures is broken"),
    Rule("NET-PTR", _A.OWN_SERVER, (_D,), "Serverns adress har ett namn som leder tillbaka till den", "The server's address has a name that leads back to it",
         ("4.7.23", "5.7.25", "DY-001")),
    Rule("NET-TLS", _A.ALL, (_K,), "Mejlet lämnas över med TLS", "The mail is handed over with TLS", ("4.7.29", "5.7.29")),
    Rule("FMT-FROM", _A.ALL, (_M,), "Ett From-fält med en enda adress", "One From field with one address", ("5.7.1", "5.6.0")),
    Rule("FMT-HDR", _A.ALL, (_M,), "Date, From och Message-ID finns, en gång var", "Date, From and Message-ID are there, once each", ("5.7.1", "5.6.0")),
    Rule("FMT-LINE", _A.ALL, (_M,), "Raderna slutar med CRLF och är högst 998 byte", "Lines end with CRLF and have at most 998 bytes"),
    Rule("FMT-SIZE", _A.ALL, (_M,), "Högst 25 MB", "At most 25 MB", ("5.3.4", "5.2.270")),
    Rule("FMT-GMAILFROM", _A.ALL, (_M,), "Från-adressen är inte någons privata e-posttjänst", "The From address is not of a private mail service"),
    Rule("FMT-DISP", _A.ALL, (_M,), "Avsändarnamnet och ämnet låtsas inte vara något annat", "The sender's name and the subject do not pretend to be something else"),
    Rule("UNS-1CLICK", _A.MARKETING, (_M,), "Avregistrering med ett klick (RFC 8058), signerad", "One-click unsubscribe (RFC 8058), signed"),
    Rule("UNS-BODY", _A.MARKETING, (_M,), "En synlig länk för avregistrering", "A visible link to unsubscribe"),
    Rule("UNS-48H", _A.MARKETING, (_C,), "Avregistreringar följs inom 48 timmar", "Unsubscribes are honoured within 48 hours"),
    Rule("CMP-RATE", _A.ALL, (_C,), "Klagomål under 0,10 %, aldrig 0,30 %", "Complaints below 0.10 %, never 0.30 %", ("4.7.28", "5.7.1")),
    Rule("BNC-RATE", _A.ALL, (_C,), "Adresser som inte finns skickas det inte till igen", "Addresses that do not exist are not sent to again"),
    Rule("VOL-GMAIL", _A.ALL, (_C,), "Antal till Gmail på ett dygn, hela organisationen", "Number to Gmail in a day, of the whole organisation"),
    Rule("VOL-MS", _A.ALL, (_C,), "Antal till Outlook.com på ett dygn, hela organisationen", "Number to Outlook.com in a day, of the whole organisation", ("5.7.515",)),
    Rule("RATE-428", _A.OWN_SERVER, (_C,), "Paus och omstart i smått efter 4.7.28", "A pause and a slow start after 4.7.28", ("4.7.28",)),
    Rule("CONN-MS", _A.OWN_SERVER, (_K,), "Högst 500 förbindelser till Outlook.com", "At most 500 connections to Outlook.com", ("RP-003",)),
    Rule("DOM-EXIST", _A.ALL, (_D,), "Domänen finns och kan ta emot svar", "The domain exists and can take answers"),
    Rule("FBID", _A.BULK, (_M,), "Feedback-ID är rätt skrivet och signerat", "Feedback-ID is well formed and signed"),
)}  # fmt: skip


class Verdict(StrEnum):
    PASS = auto()
    FAIL = auto()
    ADVICE = auto()  # not as it should be, and nobody refuses mail for it, or not from this sender
    UNKNOWN = auto()  # a name server did not answer
    NOT_TESTED = auto()  # there is nothing to tell it by
    NOT_FOR_YOU = auto()  # the rule is not for this sender or mail


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule, and what came of it. `detail` is technical and in English: names, values, what was found."""

    rule: Rule
    verdict: Verdict
    detail: str = ""


def judged(id: str, ok: bool, detail: str = "", *, otherwise: Verdict = Verdict.FAIL) -> Judged:
    """PASS, or `otherwise`."""
    return Judged(RULES[id], Verdict.PASS if ok else otherwise, detail)


def skipped(id: str, verdict: Verdict, detail: str = "") -> Judged:
    return Judged(RULES[id], verdict, detail)
