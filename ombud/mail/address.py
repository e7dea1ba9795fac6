"""Mail addresses: one strict parser for every way in, one canonical form for every comparison.

Strict means: what three parsers would not read alike is refused, with the reason, and never repaired.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

import idna

from ombud.errors import BadAddress
from ombud.mail import encodedword

MAX_LOCAL = 64  # octets, RFC 5321 4.5.3.1.1
MAX_ADDRESS = 254  # octets: a path of 256 (RFC 5321 4.5.3.1.3) without its angle brackets
MAX_DOMAIN = 253  # RFC 1035 3.1, as text
_MAX_MAILBOX = 2000  # characters; a name and an address, with room for encoded words

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"  # RFC 5322 3.2.3
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1035 2.3.1, RFC 1123 2.1
# The last label ends with a letter: no top level domain does otherwise, and 192.0.2.1 is none.
_DOMAIN = rf"(?:{_LABEL}\.)+(?=[A-Za-z0-9-]*[A-Za-z](?![A-Za-z0-9.-])){_LABEL}"
_ASCII_DOMAIN = re.compile(_DOMAIN)
_ASCII_ADDRESS = re.compile(rf"([{_ATEXT}]+(?:\.[{_ATEXT}]+)*)@({_DOMAIN})")
_DOT_ATOM = re.compile(rf"[{_ATEXT}\x80-\U0010ffff]+(?:\.[{_ATEXT}\x80-\U0010ffff]+)*")  # RFC 6532 3.2
_RESERVED_HYPHENS = re.compile(r"(?:^|\.)..--", re.ASCII)  # RFC 5891 4.2.3.1: "xn--" is one, the others are nobody's
# Marks and letters that show nothing: they would make two addresses of what a person sees as one.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)

_WORD = rf'(?:"(?:[^"\\]|\\[^\r\n])*"|[{_ATEXT}\x80-\U0010ffff][{_ATEXT}.\x80-\U0010ffff]*)'
_PHRASE = re.compile(rf"{_WORD}(?:[ \t]+{_WORD})*")  # RFC 5322 3.2.5, with the dots of 4.1: "St. Erik"
_PHRASE_WORD = re.compile(_WORD)
_QUOTED_PAIR = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Address:
    """`local@domain`: the local part as it came (NFC), the domain as a lower-case A-label. Equal means: the same mailbox
    as far as anyone but its own server can tell."""

    local: str
    domain: str

    @property
    def needs_utf8(self) -> bool:
        """Whether only a server with SMTPUTF8 can take it (RFC 6531 3.2)."""
        return not self.local.isascii()

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with the name to show for it; the name is decoded text and may be ""."""

    name: str
    address: Address


def parse_address(text: str) -> Address:
    """The address that `text` is, all of it. Raises BadAddress.

    Quoted local parts, address literals, comments, white space and names around the address are refused.
    """
    found = _ASCII_ADDRESS.fullmatch(text) if len(text) <= MAX_ADDRESS else None
    if found:
        local, domain = found[1], found[2]
        if len(local) <= MAX_LOCAL and "--" not in domain and len(domain) <= MAX_DOMAIN and "=?" not in local:
            return Address(local, domain.lower())
    return _parse_slowly(text)


def canonical_domain(text: str) -> str:
    """The one form of a domain name: A-labels (IDNA 2008, mapped by UTS 46), lower case, no final dot. Raises BadAddress."""
    return _canonical(text, text.removesuffix("."))


def parse_mailbox(text: str) -> Mailbox:
    """The one mailbox that `text` is: `a@b`, `<a@b>`, `Name <a@b>` or `"Na, me" <a@b>`. Raises BadAddress.

    Also the reader of an unfolded From value: groups, comments, lists and anything after the address are refused.
    Encoded words are read in the name only.
    """
    text = text.strip(" \t")
    if len(text) > _MAX_MAILBOX:
        _refuse(text, "it is too long")
    if not text.endswith(">"):
        return Mailbox("", _parse_bare(text))
    phrase, bracket, inner = text[:-1].rpartition("<")
    if not bracket:
        _refuse(text, "something stands after the address")
    if phrase.endswith("."):  # legal, and CPython's parser fails on it
        _refuse(text, "white space is missing before the angle bracket")
    phrase = phrase.rstrip(" \t")
    return Mailbox(_name(text, phrase) if phrase else "", parse_address(inner))


# --- Addresses -----------------------------------------------------------------------------------------------------


def _parse_slowly(text: str) -> Address:
    """The whole rule, for international addresses and for those that need a reason why not."""
    if len(text) > MAX_ADDRESS:
        _refuse(text, f"it is longer than {MAX_ADDRESS} octets")
    if text.startswith('"') or '"@' in text:
        _refuse(text, "quoted local parts are not taken")
    local, at, domain = text.rpartition("@")
    if not at:
        _refuse(text, "there is no @")
    if "@" in local:
        _refuse(text, "there is more than one @")
    address = Address(_canonical_local(text, local), _canonical(text, domain))
    if max(len(str(address).encode()), len(text.encode())) > MAX_ADDRESS:
        _refuse(text, f"it is longer than {MAX_ADDRESS} octets")
    return address


def _canonical_local(text: str, local: str) -> str:
    _refuse_unprintable(text, local)
    local = unicodedata.normalize("NFC", local)  # RFC 6532 3.1
    if not local:
        _refuse(text, "nothing stands before the @")
    if "=?" in local:  # allowed by the grammar, and decoded into another address by mailers that should not
        _refuse(text, "an encoded word is not taken as an address")
    if not _DOT_ATOM.fullmatch(local):
        _refuse(text, f"{_blame(local)} may not stand before the @")
    if len(local.encode()) > MAX_LOCAL:
        _refuse(text, f"more than {MAX_LOCAL} octets stand before the @")
    # A full-width @ or dot turns into a real one at a receiver that compares by NFKC.
    if not local.isascii() and not _DOT_ATOM.fullmatch(unicodedata.normalize("NFKC", local)):
        _refuse(text, "a character before the @ stands for another one")
    if any(unicodedata.category(part[0]).startswith("M") for part in local.split(".")):
        _refuse(text, "a combining mark stands first")
    return local


def _blame(local: str) -> str:
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "a dot first, last or twice in a row"
    odd = next((letter for letter in local if letter != "." and not _DOT_ATOM.fullmatch(letter)), "that")
    return "white space" if odd.isspace() else f"the character {odd}"


def _canonical(text: str, domain: str) -> str:
    if domain.startswith("["):
        _refuse(text, "an IP address is not taken as a domain")
    if not domain or len(domain) > MAX_DOMAIN:
        _refuse(text, "the domain is too long" if domain else "there is no domain")
    if not domain.isascii() or _RESERVED_HYPHENS.search(domain):
        _refuse_unprintable(text, domain)
        try:
            domain = _to_ascii(domain)
        except (idna.IDNAError, UnicodeError):
            _refuse(text, "the domain is not a valid international name")
    if not _ASCII_DOMAIN.fullmatch(domain) or len(domain) > MAX_DOMAIN:
        _refuse(text, "the domain is not a full host name, such as example.se")
    return domain.lower()


@lru_cache(maxsize=4096)  # most mail of a customer is from and to few domains, and IDNA costs 20 times the rest
def _to_ascii(domain: str) -> str:
    """The A-label form. Raises IDNAError, or UnicodeError of its kind."""
    ascii_form = idna.encode(domain, uts46=True, std3_rules=True, transitional=False).decode().lower()
    if ascii_form.endswith("."):
        raise idna.IDNAError(ascii_form)
    meaning = idna.decode(ascii_form)
    if any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in meaning):
        for label in meaning.split("."):  # RFC 5893 1.4: one label from right to left binds all of them
            idna.check_bidi(label, check_ltr=True)
    return ascii_form


def _refuse_unprintable(text: str, part: str) -> None:
    """Controls, line separators, direction overrides, zero-width and unassigned characters, and spaces outside ASCII."""
    if part.isascii() and part.isprintable():
        return
    if _INVISIBLE.search(part) or any(unicodedata.category(letter)[0] in "CZ" for letter in part):
        _refuse(text, "it holds white space, a control character or one that cannot be seen")


# --- Mailboxes -----------------------------------------------------------------------------------------------------


def _parse_bare(text: str) -> Address:
    """An address without angle brackets; says so when it looks like more than one, or like a group or a comment."""
    if not _ASCII_ADDRESS.fullmatch(text):
        for sign, reason in _NOT_ONE:
            if sign in text:
                _refuse(text, reason)
    return parse_address(text)


_NOT_ONE = (
    (",", "there is more than one address, or a comma outside quotation marks"),
    (";", "groups are not taken"),
    (":", "groups are not taken"),
    ("(", "comments are not taken"),
    ("<", "something stands after the address"),
)


def _name(text: str, phrase: str) -> str:
    if not _PHRASE.fullmatch(phrase):
        reason = next((reason for sign, reason in _NOT_ONE if sign in phrase), None)
        _refuse(text, reason or "the name needs quotation marks")
    words = _PHRASE_WORD.findall(phrase)
    # RFC 2047 5: an encoded word stands alone. One that never ends takes the address with it in some parsers.
    if any("=?" in word and not word.startswith('"') and not encodedword.is_word(word) for word in words):
        _refuse(text, "an encoded word in the name is not whole, or does not stand alone")
    name = " ".join(_unquoted(word) for word in words)
    if encodedword.has_unsafe(name):
        _refuse(text, "the name holds a control character or a direction override")
    return _decoded_name(text, name)


def _unquoted(word: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", word[1:-1]) if word.startswith('"') else word


def _decoded_name(text: str, name: str) -> str:
    """The name to show. What decodes to angle brackets or controls is refused: it would be another address elsewhere."""
    decoded = encodedword.decode(name)
    if "<" in decoded or ">" in decoded:
        _refuse(text, "angle brackets are not taken in a name")
    if decoded != name and "\ufffd" in decoded:
        _refuse(text, "the encoded name cannot be read, or holds a control character")
    return decoded


def _refuse(text: str, reason: str) -> NoReturn:
    # The text goes into replies and logs: cut, and never with a line break or an escape in it.
    raise BadAddress(address=encodedword.without_unsafe(text[:100]), reason=reason)
