"""Remembers answers for the length of one piece of work, so that ten thousand domains do not ask for the same include."""

from __future__ import annotations

import asyncio

from ombud.dns.answer import Answer, canonical
from ombud.dns.zone import Ask


def remembering(ask: Ask) -> Ask:
    """The same answers, each asked for once. UNKNOWN is not remembered: the next one who asks may be luckier."""
    known: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    async def answer(name: str, kind: str) -> Answer:
        key = canonical(name), kind
        if key not in known:
            known[key] = asyncio.ensure_future(_ask(key))
        return await asyncio.shield(known[key])  # others may wait for it too: who gives up takes nothing from them

    async def _ask(key: tuple[str, str]) -> Answer:
        found = None
        try:
            found = await ask(*key)
            return found
        finally:
            if found is None or found.unknown:
                known.pop(key, None)

    return answer
