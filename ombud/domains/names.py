"""What people type as a domain, and which domains can be a customer's."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import NoReturn

from ombud.errors import BadAddress, FreeMail, NotADomain, PublicSuffix
from ombud.mail.address import canonical_domain
from ombud.mail.dmarc import is_public_suffix
from ombud.mail.encodedword import without_unsafe

#: More labels than any company's sender domain has; what has more is a try to make us ask a lot.
MAX_LABELS = 16
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*://|mailto:|https?:)/*", re.IGNORECASE)


def typed_domain(text: str) -> str:
    """The canonical domain that a person typed, case and a final dot aside. Raises NotADomain, which says what to type instead:
    a web address or an e-mail address is never taken for the domain in it."""
    text = text.strip()
    if "@" in text and "/" not in text:
        _refuse(text, "it is an e-mail address", "det är en e-postadress", text.rpartition("@")[2].strip("<> "))
    if "/" in text or ":" in text:
        host = re.split(r"[/?#]", _SCHEME.sub("", text), maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
        _refuse(text, "it is a web address", "det är en webbadress", host.removeprefix("www."))
    if "*" in text:
        _refuse(text, "a * stands for many names", "en * står för många namn", text.replace("*.", "").replace("*", ""))
    if text.count(".") >= MAX_LABELS:
        _refuse(text, f"it has more than {MAX_LABELS} parts", f"den har fler än {MAX_LABELS} delar", "")
    try:
        return canonical_domain(text)
    except BadAddress as error:
        _refuse(text, str(error.details["reason"]), "den är inte skriven som ett domännamn", "")


def _refuse(text: str, en: str, sv: str, instead: str) -> NoReturn:
    try:
        instead = canonical_domain(instead)
    except BadAddress:
        instead = "example.se"
    raise NotADomain(typed=without_unsafe(text[:100]), reason_en=en, reason_sv=sv, instead=instead)


def sender_domain(text: str) -> str:
    """`typed_domain` that a company can own. Raises NotADomain, PublicSuffix, FreeMail."""
    domain = typed_domain(text)
    if is_public_suffix(domain):
        raise PublicSuffix(domain=domain)
    if is_free_mail(domain):
        raise FreeMail(domain=domain)
    return domain


def is_free_mail(domain: str) -> bool:
    """Whether anyone can have an address at it, or at the domain that it is under."""
    labels = domain.split(".")
    return any(".".join(labels[n:]) in _free_mail() for n in range(len(labels) - 1))


@cache
def _free_mail() -> frozenset[str]:
    return frozenset(tomllib.loads(files("ombud.domains").joinpath("freemail.toml").read_text("utf-8"))["domains"])
