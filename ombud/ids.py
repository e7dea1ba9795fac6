"""Names that no one can guess and that sort by age: 48 bits of time, 80 random bits, as 26 letters and digits."""

from __future__ import annotations

import secrets
import time

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread
#: What `new_id` and `new_secret` make, as a regular expression.
ID_FORM, SECRET_FORM = (f"[0-9a-hjkmnp-tv-z]{{{length}}}" for length in (26, 32))


def new_id() -> str:
    """A new identifier. Newer ones sort after older ones (by the millisecond), so that indexes grow at their end."""
    return _write(time.time_ns() // 1_000_000 << 80 | secrets.randbits(80), 26)


def new_secret() -> str:
    """A new secret of 160 random bits, 32 characters."""
    return _write(secrets.randbits(160), 32)


def new_handle() -> str:
    """A short unique name for people to read aloud, 10 characters of 50 random bits; not a secret."""
    return _write(secrets.randbits(50), 10)


def _write(number: int, length: int) -> str:
    return "".join([_LETTERS[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5)])
