"""An SPF record as text and as terms: the grammar of RFC 7208, strictly (section 12), and nothing asked of anyone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

VERSION = "v=spf1"
#: The terms that cost a DNS question, of which an evaluation may have ten (RFC 7208 4.6.4).
ASKING = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})

_NAME = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9._-]*)(?:(=)|(?=[:/])|$)(.*)", re.DOTALL)
_MACRO = (
    r"%(?:%|_|-|\{(?P<letter>[slodiphcrtvSLODIPHCRTV])(?P<digits>[0-9]*)(?P<reverse>[rR]?)(?P<delimiters>[.+,/_=-]*)\})"
)
_MACRO_STRING = re.compile(rf"(?:[!-$&-~]|{re.sub(r'[?]P<[a-z]+>', '?:', _MACRO)})*")
MACRO = re.compile(_MACRO)
_TOP_LABEL = r"(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN_END = re.compile(rf"(?:\.{_TOP_LABEL}\.?|{re.sub(r'[?]P<[a-z]+>', '?:', _MACRO)})\Z")
_WITH_LENGTHS = re.compile(
    r"(?P<domain>:.*?)?(?:/(?P<four>0|[1-9][0-9]?))?(?://(?P<six>0|[1-9][0-9]{0,2}))?", re.DOTALL
)
_EXP_ONLY = frozenset("crtCRT")


class BadRecord(Exception):
    """The text breaks the grammar. `term` is the part that does, `reason` says how, in English."""

    def __init__(self, term: str, reason: str) -> None:
        super().__init__(f"{term}: {reason}")
        self.term, self.reason = term, reason


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism or modifier. `text` is as it stood; `kind` is lower-case (`include`, `redirect`; another modifier has the kind
    `unknown`); `domain` still has its macros."""

    text: str
    kind: str
    qualifier: str = "+"
    domain: str = ""
    network: IPv4Network | IPv6Network | None = None
    prefixes: tuple[int, int] = (32, 128)

    @property
    def is_modifier(self) -> bool:
        return self.kind in ("redirect", "exp", "unknown")


@dataclass(frozen=True, slots=True)
class Record:
    """A record that keeps the grammar. `mechanisms` are in their order."""

    text: str
    terms: tuple[Term, ...]
    mechanisms: tuple[Term, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mechanisms", tuple(term for term in self.terms if not term.is_modifier))

    def one(self, kind: str) -> Term | None:
        return next((term for term in self.terms if term.kind == kind), None)


def spf_texts(texts: Sequence[str]) -> list[str]:
    """Those of a name's TXT records that are SPF records (RFC 7208 4.5)."""
    return [text for text in texts if re.match(r"v=spf1(?: |\Z)", text, re.IGNORECASE)]


def parse(text: str) -> Record:
    """The terms of a record. Raises BadRecord: an error anywhere spoils the whole record (RFC 7208 4.6)."""
    if not spf_texts([text]):
        raise BadRecord(text[:40], "it does not begin with v=spf1")
    if not text.isascii() or not text.isprintable():
        raise BadRecord(text[:40], "it has a character that is not printable ASCII")
    terms = tuple(_term(part) for part in text[len(VERSION) :].split(" ") if part)
    for kind in ("redirect", "exp"):
        if sum(term.kind == kind for term in terms) > 1:  # RFC 7208 6
            raise BadRecord(kind, "it stands there more than once")
    return Record(text, terms)


def _term(text: str) -> Term:
    found = _NAME.fullmatch(text)
    if not found:
        raise BadRecord(text, "it is neither a mechanism nor a modifier")
    qualifier, name, equals, rest = found[1], found[2].lower(), found[3], found[4]
    if equals:
        if qualifier:
            raise BadRecord(text, "a modifier takes no qualifier")
        if name in ("redirect", "exp"):
            return Term(text, name, domain=_domain(text, rest))
        _macro_string(text, rest)
        return Term(text, "unknown")
    if name not in _MECHANISMS or "." in name:
        raise BadRecord(text, "there is no such mechanism")
    return _MECHANISMS[name](text, name, qualifier or "+", rest)


def _all(text: str, name: str, qualifier: str, rest: str) -> Term:
    if rest:
        raise BadRecord(text, "`all` takes no value")
    return Term(text, name, qualifier)


def _with_domain(text: str, name: str, qualifier: str, rest: str) -> Term:
    if not rest.startswith(":"):
        raise BadRecord(text, f"`{name}` needs a domain")
    return Term(text, name, qualifier, _domain(text, rest[1:]))


def _ptr(text: str, name: str, qualifier: str, rest: str) -> Term:
    return _with_domain(text, name, qualifier, rest) if rest else Term(text, name, qualifier)


def _with_addresses(text: str, name: str, qualifier: str, rest: str) -> Term:
    found = _WITH_LENGTHS.fullmatch(rest)
    four, six = (int(found[group] or default) if found else -1 for group, default in (("four", 32), ("six", 128)))
    if not found or not 0 <= four <= 32 or six > 128:
        raise BadRecord(text, "the length of the network is wrong")
    domain = found["domain"]
    return Term(text, name, qualifier, _domain(text, domain[1:]) if domain else "", prefixes=(four, six))


def _network(text: str, name: str, qualifier: str, rest: str) -> Term:
    pattern = r":([0-9.]+)(?:/(0|[1-9][0-9]?))?" if name == "ip4" else r":([0-9A-Fa-f:.]+)(?:/(0|[1-9][0-9]{0,2}))?"
    found = re.fullmatch(pattern, rest)
    whole = 32 if name == "ip4" else 128
    try:
        if not found:
            raise ValueError
        network = ip_network(f"{found[1]}/{found[2] or whole}", strict=False)
    except ValueError:
        raise BadRecord(text, "that is no address or network") from None
    if network.max_prefixlen != whole:
        raise BadRecord(text, "that is an address of the other kind")
    return Term(text, name, qualifier, network=network)


_MECHANISMS = {
    "all": _all, "include": _with_domain, "exists": _with_domain, "ptr": _ptr,
    "a": _with_addresses, "mx": _with_addresses, "ip4": _network, "ip6": _network,
}  # fmt: skip


def _domain(text: str, value: str) -> str:
    _macro_string(text, value)
    if not _DOMAIN_END.search(value):
        raise BadRecord(text, "the domain does not end as a domain does")
    if any(found["letter"] and found["letter"] in _EXP_ONLY for found in MACRO.finditer(value)):
        raise BadRecord(text, "%{c}, %{r} and %{t} are for explanations only")  # RFC 7208 7.2
    return value


def _macro_string(text: str, value: str) -> None:
    if not _MACRO_STRING.fullmatch(value) or any(
        found["digits"] and not int(found["digits"]) for found in MACRO.finditer(value)
    ):
        raise BadRecord(text, "a % begins no macro that exists")
