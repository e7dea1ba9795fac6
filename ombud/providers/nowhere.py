"""The provider `nowhere`: what test credentials use. Says yes to everything and never calls the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from ombud.errors import BadField
from ombud.mail.records import Record
from ombud.mail.reply import Reply
from ombud.mail.smtp.answer import Answer, Stage
from ombud.providers.provider import LEASE_LOST, Commit, Outcome, Outgoing, Surroundings, judge

NOTHING_SENT = Answer(Stage.DOT, Reply(250, "2.0.0", "test mode: nothing was sent"))


class Nowhere:
    """Takes any mail, after `commit` like every provider, and drops it."""

    recipients_per_message = 1000
    concurrency = 1000

    @classmethod
    def make(cls, settings: Mapping[str, object], password: str, around: Surroundings) -> Self:
        for name in settings:
            raise BadField(field=name, reason="the provider nowhere has no settings")
        return cls()

    @classmethod
    def records(cls, domain: str, settings: Mapping[str, object]) -> Sequence[Record]:
        return ()

    async def send(self, outgoing: Outgoing, commit: Commit) -> list[Outcome]:
        answer = NOTHING_SENT if await commit() else LEASE_LOST
        return [judge(answer, "nowhere")] * len(outgoing.recipients)

    async def close(self) -> None:
        """Nothing is open."""
