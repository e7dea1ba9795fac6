"""DKIM: signs a finished message for its domain, so that receivers can tell who answers for it (RFC 6376, 8301, 8463)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from ombud.errors import Misconfigured

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]

# Named in h= even when absent, so that nobody can add one to a mail on its way (RFC 6376 8.15; the last two RFC 8058 4).
ALWAYS = (
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to",
    b"mime-version", b"content-type", b"content-transfer-encoding",
    b"list-unsubscribe", b"list-unsubscribe-post",
)  # fmt: skip
# Named when they stand in the mail; Gmail and RFC 9477 believe the last three only under a signature.
WHEN_PRESENT = (
    b"sender", b"in-reply-to", b"references", b"list-id", b"feedback-id", b"cfbl-address", b"cfbl-feedback-id",
)  # fmt: skip
SIGNED = frozenset(ALWAYS + WHEN_PRESENT)

MAX_LINE = 78  # RFC 5322 2.1.1: SHOULD
BLOCK = 64 * 1024  # bytes of body in hand at a time: bounds the memory, whatever the mail looks like

_TEXT = re.compile(rb"[^ \t\r\n]")
_RUN = re.compile(rb"  +")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)
_KEY_TYPES = {"rsa-sha256": RSAPrivateKey, "ed25519-sha256": Ed25519PrivateKey}
_PKCS1, _SHA256 = PKCS1v15(), SHA256()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of a domain, parsed once. `domain` and `selector` are lower-case ASCII. Raises Misconfigured when unfit.

    It may be used from several threads at a time. Printing it shows nothing secret.
    """

    domain: str
    selector: str
    algorithm: Algorithm
    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)
    #: The field's first tags, the same in every signature by this key, folded.
    start: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.domain, self.record_name)
        _check_key(self.algorithm, self.private)
        object.__setattr__(self, "start", _start_of_field(self))

    @property
    def record_name(self) -> str:
        """Where receivers look for the public key (RFC 6376 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


# --- signing -------------------------------------------------------------------------------------------------------


def sign(content: bytes, keys: Sequence[SigningKey], at: datetime) -> bytes:
    """The DKIM-Signature fields of `content`, one per key in that order, CRLF-ended, to be put on top of it as they are.

    `content` has passed the gate (CRLF only, no line over 998) and is not changed afterwards; fields may be put on top.
    `at` is aware. The same arguments give the same bytes. Takes linear time; the costly parts (SHA-256, RSA) let other
    threads run.
    """
    names, fields = signed_fields(content)
    # RFC 6376 3.5: no l= (it would let anyone append to the body), no i= (it would say no more than d=).
    tags = b"\r\n t=%d; bh=%b;\r\n h=%b;\r\n b=" % (int(at.timestamp()), body_hash(content), _h_tag(names))
    return b"".join(_field(key, tags, fields) for key in keys)


def _field(key: SigningKey, tags: bytes, fields: bytes) -> bytes:
    value = key.start + tags
    # RFC 6376 3.7: the field signs itself last, with b= empty and no CRLF. We fold only where we want one space, so
    # unfolding is all that its canonical form takes.
    to_sign = fields + b"dkim-signature:" + value.replace(b"\r\n ", b" ")
    signature = base64.b64encode(_signature(key.private, to_sign))
    lines = [signature[n : n + 72] for n in range(0, len(signature), 72)]
    return b"DKIM-Signature: " + value + b"\r\n ".join(lines) + b"\r\n"


def _signature(private: RSAPrivateKey | Ed25519PrivateKey, data: bytes) -> bytes:
    if isinstance(private, RSAPrivateKey):
        return private.sign(data, _PKCS1, _SHA256)
    return private.sign(sha256(data).digest())  # RFC 8463 3: Ed25519 over the hash


def _start_of_field(key: SigningKey) -> bytes:
    tags = ("v=1", f"a={key.algorithm}", "c=relaxed/relaxed", f"d={key.domain}", f"s={key.selector}")
    return _folded([f"{tag};".encode() for tag in tags], b" ", taken=len("DKIM-Signature: "))


@lru_cache(maxsize=256)
def _h_tag(names: tuple[bytes, ...]) -> bytes:
    return _folded([name + b":" for name in names], b"", taken=len(" h=")).removesuffix(b":")


def _folded(words: list[bytes], between: bytes, taken: int) -> bytes:
    """The words joined by `between`, or by a fold where the line would be longer than 78; `taken` is before the first."""
    lines = [words[0]]
    for word in words[1:]:
        if taken + len(lines[-1]) + len(between) + len(word) <= MAX_LINE:
            lines[-1] += between + word
        else:
            lines.append(word)
            taken = len(" ")
    return b"\r\n ".join(lines)


# --- the canonical form "relaxed" ------------------------------------------------------------------------------------


def signed_fields(content: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """The names for h=, and the fields that they choose, in the form that is hashed (RFC 6376 3.4.2).

    Every name stands once more than its field does, so that a field added later breaks the signature (5.4.2, 8.15).
    """
    found: dict[bytes, list[bytes]] = {}
    for line in _unfolded(content[: _header_end(content)]).split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.rstrip(b" ").lower()
        if name in SIGNED:
            found.setdefault(name, []).append(b"%b:%b\r\n" % (name, value.strip(b" ")))
    names: list[bytes] = []
    fields: list[bytes] = []
    for name in (*ALWAYS, *(name for name in WHEN_PRESENT if name in found)):
        instances = found.get(name, [])
        names += [name] * (len(instances) + 1)
        fields += reversed(instances)  # RFC 6376 5.4.2: the lowest first
    return tuple(names), b"".join(fields)


def body_hash(content: bytes) -> bytes:
    """The value of bh=: the SHA-256 of the body (RFC 6376 3.4.4), in base64."""
    hasher = sha256()
    start = _header_end(content) + len(b"\r\n\r\n")
    end = _end_of_text(content, start)
    for block in _blocks(content, start, end):
        hasher.update(_relaxed(block))
    if end > start:  # 3.4.4: a body without text is hashed as nothing at all, every other ends with one CRLF
        hasher.update(b"\r\n")
    return base64.b64encode(hasher.digest())


def _header_end(content: bytes) -> int:
    """Where the CRLF of the last header line begins."""
    end = content.find(b"\r\n\r\n")
    return end if end >= 0 else len(content)


def _end_of_text(content: bytes, start: int) -> int:
    """Where the body ends when empty lines, and lines of white space only, are taken off (RFC 6376 3.4.4 b)."""
    end = len(content)
    while end > start:
        block = max(start, end - BLOCK)
        text = content[block:end].rstrip(b" \t\r\n")
        if text:
            return block + len(text)
        end = block
    return start


def _blocks(content: bytes, start: int, end: int) -> Iterator[bytes]:
    """The body in pieces, each cut before a byte of text, so that neither white space nor a CRLF is cut in two."""
    while start < end:
        text = _TEXT.search(content, start + BLOCK, end)
        stop = text.start() if text else end
        yield content[start:stop]
        start = stop


def _relaxed(body: bytes) -> bytes:
    # Runs first, then line ends: the other way round `[ \t]+\r\n` tries every start of a long run and is quadratic.
    return _one_space(body).replace(b" \r\n", b"\r\n") if b" " in body or b"\t" in body else body


def _unfolded(header: bytes) -> bytes:
    return _one_space(header.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" "))


def _one_space(text: bytes) -> bytes:
    """Every run of spaces and tabs as one space."""
    text = text.replace(b"\t", b" ")
    return _RUN.sub(b" ", text) if b"  " in text else text


# --- keys ------------------------------------------------------------------------------------------------------------


def new_key(domain: str, selector: str, algorithm: Algorithm = "rsa-sha256") -> SigningKey:
    """Make a key; RSA has 2048 bits (RFC 8301 3.2) and takes some tenths of a second."""
    rsa = algorithm == "rsa-sha256"
    private = generate_private_key(public_exponent=65537, key_size=2048) if rsa else Ed25519PrivateKey.generate()
    return SigningKey(domain, selector, algorithm, private)


def from_pem(domain: str, selector: str, pem: bytes, *, trusted: bool = False) -> SigningKey:
    """Read a private key (PKCS #8 or #1, without password); the algorithm is the key's own. Raises Misconfigured.

    `trusted`: it is one of our own that came out of its seal, so that its primes need not be tried (40 ms for each key).
    """
    try:
        private = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=trusted)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Misconfigured(reason=f"the DKIM key of {domain} cannot be read as PEM without a password") from error
    if isinstance(private, RSAPrivateKey):
        return SigningKey(domain, selector, "rsa-sha256", private)
    if isinstance(private, Ed25519PrivateKey):
        return SigningKey(domain, selector, "ed25519-sha256", private)
    raise Misconfigured(reason=f"the DKIM key of {domain} is neither RSA nor Ed25519")


def to_pem(key: SigningKey) -> bytes:
    """The private key as PKCS #8 PEM, in the clear: seal it before it is stored."""
    return key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def dns_record(key: SigningKey) -> str:
    """The TXT value to publish at `key.record_name`; with RSA longer than the 255 bytes of one DNS string."""
    public = key.private.public_key()
    if key.algorithm == "rsa-sha256":
        kind, data = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, data = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)  # RFC 8463 4.2: the bare 32 bytes
    return f"v=DKIM1; k={kind}; p={base64.b64encode(data).decode()}"


def _check_name(domain: str, record_name: str) -> None:
    # They stand bare in the field and in DNS: nothing but letters, digits, hyphens and dots may get there.
    if "." not in domain or len(record_name) > 253 or not _NAME.fullmatch(record_name):
        raise Misconfigured(reason=f"{record_name!r} is not a name that a DKIM key can have")


def _check_key(algorithm: str, private: RSAPrivateKey | Ed25519PrivateKey) -> None:
    if not isinstance(private, _KEY_TYPES.get(algorithm, ())):
        raise Misconfigured(reason=f"a {type(private).__name__} does not sign with {algorithm!r}")
    # RFC 8301 3.2: signers use at least 1024 bits, and receivers need not take more than 4096.
    if isinstance(private, RSAPrivateKey) and not 1024 <= private.key_size <= 4096:
        raise Misconfigured(reason=f"a DKIM key of {private.key_size} bits is of no use: take 2048")
