"""The public half of a DKIM key as it stands in DNS: read tolerantly, and compared by key and not by text (RFC 6376 3.6.1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_MAX_KEY = 4096  # characters of p=; RSA-16384 would be less


class Same(StrEnum):
    """What stands at a selector's name, beside the key that should."""

    SAME = "same"
    #: The key is there, but receivers cannot read it because of how it was typed; see the notes.
    SPOILED = "spoiled"
    #: The beginning of the key: the value was cut, as panels do at 255 characters.
    CUT = "cut"
    OTHER = "other"
    REVOKED = "revoked"
    UNREADABLE = "unreadable"
    #: More than one record: which of them a receiver takes is nobody's promise (RFC 6376 3.6.2.2).
    SEVERAL = "several"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class KeyText:
    """One TXT value read as a key record.

    `notes`: quoted, escaped, spaces (inside the key: allowed, seldom meant), version_not_first (spoil it for receivers but for
    spaces); testing (t=y), no_subdomains (t=s), sha1_only, not_email, weak (RSA under 1024 bits: receivers refuse), short (under
    2048). `key` is empty for a revoked one and for one that cannot be read.
    """

    text: str
    kind: str
    key: bytes
    bits: int
    revoked: bool
    readable: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    state: Same
    found: KeyText | None = None


#: Ways to type a key that leave it in view, and unreadable to receivers.
SPOILING = ("quoted", "escaped", "version_not_first")


def read_key(text: str) -> KeyText | None:
    """A TXT value as a key record; None when it does not look like one at all."""
    notes: list[str] = []
    plain = _unspoiled(text, notes)
    tags = _tags(plain)
    if "p" not in tags or tags.get("v", "DKIM1") != "DKIM1":
        return None
    if "v" in tags and next(iter(tags)) != "v":  # RFC 6376 3.6.1: it must be first
        notes.append("version_not_first")
    flags = {flag.strip().lower() for flag in tags.get("t", "").split(":")}
    notes += [note for flag, note in (("y", "testing"), ("s", "no_subdomains")) if flag in flags]
    if "h" in tags and "sha256" not in {one.strip().lower() for one in tags["h"].split(":")}:
        notes.append("sha1_only")
    if not {"*", "email"} & {one.strip().lower() for one in tags.get("s", "*").split(":")}:
        notes.append("not_email")
    written = tags["p"]
    value = re.sub(r"\s", "", written)
    if value != written:
        notes.append("spaces")
    kind = tags.get("k", "rsa").lower()
    key, bits = _key(kind, value)
    if kind == "rsa" and bits:
        notes += ["weak"] if bits < 1024 else ["short"] if bits < 2048 else []
    return KeyText(text, kind, key, bits, not value, bool(key), tuple(notes))


def compare(texts: Sequence[str], expected: str) -> Compared:
    """What the TXT values at a selector's name are beside the `expected` record. Only key records among them count."""
    wanted = read_key(expected)
    if wanted is None or not wanted.readable:
        raise ValueError("the expected record is no key record")
    found = [read for text in texts if (read := read_key(text))]
    if not found:
        return Compared(Same.MISSING)
    best = next((one for one in found if one.key and one.key == wanted.key), found[0])
    if len(found) > 1:
        return Compared(Same.SEVERAL, best)
    if best.key == wanted.key:
        return Compared(Same.SPOILED if set(best.notes) & set(SPOILING) else Same.SAME, best)
    if best.revoked:
        return Compared(Same.REVOKED, best)
    there, whole = _p(best.text).rstrip("="), _p(expected).rstrip("=")
    if there and there != whole and whole.startswith(there):
        return Compared(Same.CUT, best)
    return Compared(Same.OTHER if best.readable else Same.UNREADABLE, best)


def _unspoiled(text: str, notes: list[str]) -> str:
    """The value without what DNS panels were given beside it: quotation marks, and backslashes before semicolons."""
    if '"' in text:
        notes.append("quoted")
        text = re.sub(r'"\s*"', "", text).replace('"', "")
    if "\\" in text:
        notes.append("escaped")
        text = text.replace("\\", "")
    return text


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip(), value.strip())
    return tags


def _p(text: str) -> str:
    return re.sub(r"\s", "", _tags(_unspoiled(text, [])).get("p", ""))


def _key(kind: str, value: str) -> tuple[bytes, int]:
    """The key in its one form (SubjectPublicKeyInfo, or the bare 32 bytes of Ed25519) and its bits; empty when it is none."""
    if not value or len(value) > _MAX_KEY or not _BASE64.fullmatch(value):
        return b"", 0
    try:
        data = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
        if kind == "ed25519":
            Ed25519PublicKey.from_public_bytes(data)
            return data, 256
        return _rsa(data) if kind == "rsa" else (b"", 0)  # RFC 6376 3.6.1: other kinds are ignored
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        return b"", 0


def _rsa(data: bytes) -> tuple[bytes, int]:
    """RFC 6376 3.6.1 says RSAPublicKey, everybody publishes SubjectPublicKeyInfo, and receivers take both. Raises ValueError."""
    key = load_der_public_key(data)
    if not isinstance(key, RSAPublicKey):
        return b"", 0
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), key.key_size
