"""Makes many keys at once: a thousand RSA keys are a minute's work of one core, and cores work side by side only in processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from ombud.mail.dkim import Algorithm, SigningKey, from_pem, new_key, to_pem

#: A domain, a selector and an algorithm.
Wish = tuple[str, str, Algorithm]
MakeKey = Callable[[str, str, Algorithm], SigningKey]

#: From so many on it pays to start other processes.
MANY = 32


def make_keys(wishes: Sequence[Wish], make_key: MakeKey = new_key) -> dict[Wish, SigningKey]:
    """A key for each wish; from MANY on every core makes some."""
    if len(wishes) < MANY:
        return {wish: make_key(*wish) for wish in wishes}
    # Started anew, not forked: this process may have threads.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        pems = pool.map(_pem, [make_key] * len(wishes), wishes, chunksize=8)
        return {
            wish: from_pem(domain, selector, pem, trusted=True)
            for wish, pem in zip(wishes, pems, strict=True)
            for domain, selector, _ in [wish]
        }


def _pem(make_key: MakeKey, wish: Wish) -> bytes:
    return to_pem(make_key(*wish))
