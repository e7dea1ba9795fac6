"""The catalogue of findings: what can be wrong, with its words in both languages. The facts are in `findings.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from ombud.mail.encodedword import without_unsafe
from ombud.mail.records import Weight

#: A value longer than this is shortened in a sentence; the record itself always shows it whole.
_LONGEST = 160


class Turn(StrEnum):
    """Who can do something about it."""

    CUSTOMER = "customer"
    IT_SUPPLIER = "it_supplier"  # whoever edits the domain's DNS
    VENDOR = "vendor"  # us
    WAIT = "wait"  # nobody: it passes by itself
    MICROSOFT_ADMIN = "microsoft_admin"


class Source(StrEnum):
    """What a finding comes from."""

    DNS = "dns"  # the checker
    REPLY = "reply"  # a mail server's words
    ROUTING = "routing"
    PROVIDER = "provider"  # the kind of route looks for it itself


@dataclass(frozen=True, slots=True)
class Words:
    """One language's words; `{name}` in them is filled in from what was found."""

    verdict: str
    do: str
    detail: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the catalogue."""

    code: str
    weight: Weight
    turn: Turn
    source: Source
    sv: Words
    en: Words
    link: str = ""
    reply: str = ""  # what of a mail server's words gives it

    def words(self, language: str) -> Words:
        return self.sv if language == "sv" else self.en


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found to be wrong, with the values that its sentences need. `name` is the record that it is about."""

    code: str
    values: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    #: Above the catalogue's weight where this domain needs what others may do without.
    raised: Weight | None = None

    @property
    def kind(self) -> Kind:
        return catalogue()[self.code]

    @property
    def weight(self) -> Weight:
        return self.raised or self.kind.weight

    def verdict(self, language: str) -> str:
        """The one sentence, fit to be read out over the phone."""
        return self._filled(self.kind.words(language).verdict)

    def advice(self, language: str) -> str:
        return self._filled(self.kind.words(language).do)

    def detail(self, language: str) -> str:
        return self._filled(self.kind.words(language).detail)

    def _filled(self, pattern: str) -> str:
        return pattern.format_map(_Shown(self.values))


class _Shown(dict[str, str]):
    """Values as sentences show them: outsiders' text without anything that could steer a terminal, and never endless."""

    def __getitem__(self, name: str) -> str:
        value = without_unsafe(str(super().__getitem__(name)))
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST].rstrip()}…"

    def __missing__(self, name: str) -> str:
        return "–"


@cache
def catalogue() -> Mapping[str, Kind]:
    """Every finding by its code, in the order of the file."""
    table = tomllib.loads(files("ombud.domains").joinpath("findings.toml").read_text("utf-8"))
    return {code: _kind(code, dict(entry)) for code, entry in table.items()}


def _kind(code: str, entry: dict[str, Any]) -> Kind:
    sv, en = (Words(**entry.pop(language)) for language in ("sv", "en"))
    source = Source(entry.pop("from", "dns"))
    weight, turn = Weight(entry.pop("weight")), Turn(entry.pop("turn"))
    link, reply = (entry.pop(name, "") for name in ("link", "reply"))
    if entry:
        raise ValueError(f"{code}: unknown {', '.join(entry)}")
    return Kind(code, weight, turn, source, sv, en, link, reply)


def finding_of_reply(reply: str) -> Finding | None:
    """What a mail server's words (`535 5.7.139 ...`) say is wrong with the set-up; None when they are not about that."""
    for kind in catalogue().values():
        if kind.reply and re.search(kind.reply, reply, re.DOTALL):
            return Finding(kind.code, {"reply": reply})
    return None
