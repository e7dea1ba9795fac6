"""Sealing: what is secret in the database (DKIM keys, passwords of routes) lies there encrypted, bound to its row; and signing
what only this installation can have said (personal links)."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ombud.errors import Misconfigured

KEY_BYTES = 32  # AES-256
NONCE_BYTES = 12  # NIST SP 800-38D 5.2.1.1; random, so one key is good for some 2**32 seals (8.3)
ID_BYTES = 8
TAG_BYTES = 16
LEAST_MAC = 16  # NIST SP 800-107 5.3.3: 128 bits and nobody guesses one


class Seal:
    """Seals with the master key; opens with it or with one of the retired ones.

    A sealed value is: id of the master key (8 bytes), nonce (12), AES-256-GCM ciphertext with its tag.
    """

    def __init__(self, master_key: bytes, retired: Sequence[bytes] = ()) -> None:
        """Keys are 32 random bytes each. Raises Misconfigured when one is not."""
        if any(len(key) != KEY_BYTES for key in (master_key, *retired)):
            raise Misconfigured(reason=f"a master key must be {KEY_BYTES} bytes")
        self._current = _key_id(master_key)
        self._ciphers = {_key_id(key): AESGCM(key) for key in (master_key, *retired)}
        # Not the master keys themselves: a key has one use (NIST SP 800-57 part 1, 5.2).
        self._signers = [_mac(key, b"ombud signing") for key in (master_key, *retired)]

    def seal(self, plain: bytes, about: str) -> bytes:
        """Encrypt. `about` names the place it is for (`domains/17/dkim`), and must be said again to open it."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return self._current + nonce + self._ciphers[self._current].encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Decrypt. Raises Misconfigured when the key is unknown, a byte has changed, or it was sealed for another place."""
        cipher = self._ciphers.get(sealed[:ID_BYTES])
        if cipher is None or len(sealed) < ID_BYTES + NONCE_BYTES + TAG_BYTES:
            raise Misconfigured(reason=f"the secret of {about} was sealed with a master key that is not here")
        nonce, ciphertext = sealed[ID_BYTES : ID_BYTES + NONCE_BYTES], sealed[ID_BYTES + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, about.encode())
        except InvalidTag as error:
            raise Misconfigured(reason=f"the secret of {about} has been changed, or belongs to another row") from error

    def sign(self, data: bytes, purpose: str) -> bytes:
        """A MAC (HMAC-SHA-256, 32 bytes) of the data, under a key of this purpose's own."""
        return _mac(_mac(self._signers[0], purpose.encode()), data)

    def signed(self, data: bytes, purpose: str, mac: bytes) -> bool:
        """Whether `sign` made this MAC, with the master key or a retired one. `mac` may be cut to its first 16 bytes or more."""
        if len(mac) < LEAST_MAC:
            return False
        fits = False
        for signer in self._signers:  # all of them: the time must not tell which it was
            fits |= hmac.compare_digest(_mac(_mac(signer, purpose.encode()), data)[: len(mac)], mac)
        return fits


def load_or_make(path: Path) -> Seal:
    """Read the master key from `path`, or make one there (mode 0600, on the disk before this returns).

    One key a line, in hexadecimal; the first seals, the others only open. To rotate, put a new line on top. Several
    processes may start at a time: all get the same key. Raises Misconfigured when others can read the file.
    """
    if not path.exists():
        _make(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Misconfigured(reason=f"{path} can be read by others; make it yours alone: chmod 600 {path}")
    try:
        keys = [bytes.fromhex(line) for line in path.read_text("ascii").splitlines() if line.strip()]
    except ValueError:
        # `from None`: the error of a failed decoding carries the bytes, and these are the key.
        raise Misconfigured(reason=f"{path} does not hold hexadecimal keys, one a line") from None
    if not keys:
        raise Misconfigured(reason=f"{path} is empty")
    return Seal(keys[0], keys[1:])


def _key_id(key: bytes) -> bytes:
    return sha256(b"ombud master key id" + key).digest()[:ID_BYTES]


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _make(path: Path) -> None:
    # Written aside and then linked: the name never stands for half a key, and whoever comes second keeps the first's.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
