"""The messages that the injector hands in: every recipient's address is its own, and says how the sink is to treat it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from trials.crash.ledger import Offer

DOMAIN = "mottagare.example"
#: How the sink treats a recipient, and how often. Most are simply taken.
FAULTS = {"ok": 86, "slow": 4, "later": 3, "soft": 2, "hang": 2, "never": 3}
MOST_RECIPIENTS = 3
BATCH = 8
_WORDS = ("hyra", "avi", "maj", "lägenhet", "el", "vatten", "värme", "förråd", "nycklar", "trapphus", "gården.")


@dataclass(frozen=True, slots=True)
class Sender:
    """A customer with what it submits with."""

    customer: str
    address: str
    user: str
    password: str
    api_key: str


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to hand in; `content` is empty where Ombud is to write it."""

    offer: Offer
    content: bytes
    text: str


class Writer:
    """Makes messages, each different from every other; the same ones again for the same name and seed."""

    def __init__(self, name: str, door: str, sender: Sender, seed: int, *, plain: bool = False) -> None:
        self._name, self._door, self._sender, self._count = name, door, sender, 0
        self._faults = {"ok": 1} if plain else FAULTS
        self._random = random.Random(f"{seed} {name}")

    def next(self) -> Mail:
        self._count += 1
        token = f"{self._name}{self._count:05}"
        number = BATCH if self._door == "batch" else self._random.randint(1, MOST_RECIPIENTS)
        recipients = [f"{self._fault()}-{token}-{n}@{DOMAIN}" for n in range(number)]
        text = self._text()
        content = self._content(token, recipients, text) if self._door in ("smtp", "raw") else b""
        sha = hashlib.sha256(content).hexdigest() if content else ""
        key = "" if self._door == "smtp" else f"key {token}"
        return Mail(Offer(token, self._sender.customer, self._door, recipients, sha, key), content, text)

    def _fault(self) -> str:
        return self._random.choices(list(self._faults), list(self._faults.values()))[0]

    def _text(self) -> str:
        # Now and then one that is larger than what the client dialogue holds back until the last moment.
        lines = 1500 if self._random.random() < 0.02 else self._random.randint(1, 60)
        return "\r\n".join(" ".join(self._random.choices(_WORDS, k=9)) for _ in range(lines)) + "\r\n"

    def _content(self, token: str, recipients: list[str], text: str) -> bytes:
        header = (
            f"From: {self._sender.customer} <{self._sender.address}>\r\nTo: {', '.join(recipients)}\r\nSubject: Avi {token}\r\n"
            f"Message-ID: <{token}@injector.example>\r\nDate: Tue, 07 May 2024 12:00:00 +0200\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        )
        return (header + text).encode()
