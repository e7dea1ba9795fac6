"""The two ledgers: append-only files of JSON lines, written by the injector and by the sink, read by the judge."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Offer:
    """A message that the injector is about to hand in. Nothing is promised for it yet."""

    token: str
    customer: str
    door: str  # smtp | raw | fields | batch
    recipients: list[str]  # no two offers share an address
    sha: str  # of the bytes from the From field on; "" where Ombud is to write the message
    key: str = ""  # the Idempotency-Key


@dataclass(frozen=True, slots=True)
class Ack:
    """Ombud said yes: from here on nothing of it may be lost."""

    token: str
    answer: str  # the reply's words or the answer's body: the same for every retry with the same key


@dataclass(frozen=True, slots=True)
class Refusal:
    """Ombud said no for good."""

    token: str
    words: str


@dataclass(frozen=True, slots=True)
class Copy:
    """One content that the sink took in full."""

    recipients: list[str]
    mail_from: str
    message_id: str
    ombud: str  # the id in Ombud's own trace: another one means that the message was accepted another time
    sha: str  # of the bytes from the From field on
    whole: str  # of all the bytes, trace and signature too
    answered: bool  # False: the sink hung up instead of answering


@dataclass(frozen=True, slots=True)
class No:
    """The sink refused a recipient for good."""

    recipient: str


Entry = Offer | Ack | Refusal | Copy | No
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Offer, Ack, Refusal, Copy, No)}


class Ledger:
    """Appends entries from any thread. What `write` wrote survives this process; with `sync`, the machine's fall too."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def write(self, entry: Entry, *, sync: bool = False) -> None:
        line = json.dumps([type(entry).__name__, asdict(entry)], ensure_ascii=False).encode() + b"\n"
        with self._lock:
            os.write(self._file, line)
            if sync:
                os.fsync(self._file)


def read(path: Path) -> Iterator[Entry]:
    """Every entry, in order. A last line that was cut off in the middle was never finished, and so never acted on."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                kind, values = json.loads(line)
                yield _KINDS[kind](**values)
