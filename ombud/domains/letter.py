"""What to do with a domain's DNS, in words for whoever keeps it: to be sent on as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ombud.domains.checks.check import DMARC_VALUE
from ombud.domains.hosts import TYPING_NOTES, UNKNOWN, Host, typed
from ombud.mail.records import Purpose, Record, Weight


def records_to_publish(domain: str, records: Sequence[Record], report: Mapping[str, Any] | None) -> list[Record]:
    """The records with a value that can be published. SPF is the merged record, if the latest check saw one that is there."""
    seen = {(one["purpose"], one["name"]): one for one in report["records"]} if report else {}
    found = []
    for record in (*records, *_dmarc(domain, seen)):
        there = seen.get((record.purpose.value, record.name))
        merged = there["expected"] if there and record.purpose is Purpose.SPF else ""
        if record.value:  # a key that only the customer's own server has is nothing that we could publish
            found.append(replace(record, value=merged or record.value))
    return found


def _dmarc(domain: str, seen: Mapping[Any, Mapping[str, Any]]) -> list[Record]:
    """The recommended DMARC record, where there is none: one that is there is the customer's own affair."""
    name = f"_dmarc.{domain}"
    there = seen.get((Purpose.DMARC.value, name))
    if there and there["state"] == "ok":
        return []
    return [Record(Purpose.DMARC, "TXT", name, DMARC_VALUE, Weight.RECOMMENDED)]


_WORDS = {
    "sv": {
        "subject": "DNS-poster för {domain}",
        "intro": "För att mejl från {domain} ska komma fram behöver följande poster finnas i domänens DNS.",
        "host": "Domänens DNS sköts hos {host}.",
        "unknown": "Vi vet inte vem som sköter domänens DNS.",
        "fields": "{n}. {what}\n   Typ:   {kind}\n   Namn:  {name}\n   Värde: {value}",
        "empty": "(lämna tomt)",
        "optional": " (rekommenderas)",
        "minutes": "Posterna brukar synas inom {minutes} minuter.",
        "usually": "Posterna brukar synas inom en timme.",
        "end": "Vi kontrollerar själva och hör av oss när allt är klart. Posterna ändras inte medan ni väntar.",
        "nothing": "{domain} behöver inga fler poster för vår skull.",
    },
    "en": {
        "subject": "DNS records for {domain}",
        "intro": "For mail from {domain} to arrive, the following records must be in the domain's DNS.",
        "host": "The domain's DNS is kept at {host}.",
        "unknown": "We do not know who keeps the domain's DNS.",
        "fields": "{n}. {what}\n   Type:  {kind}\n   Name:  {name}\n   Value: {value}",
        "empty": "(leave it empty)",
        "optional": " (recommended)",
        "minutes": "The records are usually seen within {minutes} minutes.",
        "usually": "The records are usually seen within an hour.",
        "end": "We check by ourselves and tell you when all is ready. The records do not change while you wait.",
        "nothing": "{domain} needs no more records for our sake.",
    },
}
_WHAT = {
    Purpose.OWNER: ("Visar att domänen är er", "Shows that the domain is yours"),
    Purpose.DKIM: ("Signaturen på mejlen (DKIM)", "The signature on the mail (DKIM)"),
    Purpose.RETURN_PATH: ("Studsadressen, med SPF", "The return path, with SPF"),
    Purpose.SPF: ("Vilka servrar som får skicka (SPF); ersätter den post som finns", "Which servers may send (SPF); replaces the present record"),
    Purpose.DMARC: ("Vad mottagaren ska göra med förfalskningar (DMARC)", "What receivers do with forgeries (DMARC)"),
    Purpose.OTHER: ("Krävs av den som skickar", "Required by whoever sends"),
}  # fmt: skip


def letter(domain: str, records: Sequence[Record], zone: str, host: Host, language: str) -> str:
    """The records with where and how to type them, the host's usual time, and what happens then."""
    words = _WORDS[language]
    if not records:
        return words["nothing"].format(domain=domain)
    known = host if host.steps_sv and host.sure != "low" else UNKNOWN
    where = words["host"].format(host=host.name) if host.name else words["unknown"]
    parts = [words["subject"].format(domain=domain), words["intro"].format(domain=domain)]
    parts.append(f"{where} {known.steps_sv if language == 'sv' else known.steps_en}")
    parts += [_part(n, record, zone, host, language) for n, record in enumerate(records, 1)]
    parts.append(words["minutes"].format(minutes=host.minutes) if host.minutes else words["usually"])
    return "\n\n".join([*parts, words["end"]])


def _part(n: int, record: Record, zone: str, host: Host, language: str) -> str:
    words, made = _WORDS[language], typed(record, zone, host)
    index = 0 if language == "sv" else 1
    what = _WHAT[record.purpose][index] + (words["optional"] if record.weight is not Weight.REQUIRED else "")
    notes = "".join(f"\n   {TYPING_NOTES[note][index]}" for note in made.notes)
    fields = words["fields"].format(n=n, what=what, kind=made.kind, name=made.name or words["empty"], value=made.value)
    return fields + notes
