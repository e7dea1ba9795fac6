"""The notice's campaign, and choices and extensions in it, as values."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from ombud.choices import Alternative, Campaign, Choice, Extension, ExtensionKind, Kind, Need

HYRA, MARKNAD = 1, 2
OLD_WAY = 1
CHOSEN_AT = datetime(2024, 2, 5, 9, 0, tzinfo=UTC)
NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)

OWN = Alternative(
    "egen",
    Kind.OWN,
    "{slug}-egen",
    (Need.PROVEN,),
    True,
    {"sv": "Egen server", "en": "Own server"},
    {"sv": "", "en": ""},
)
MAILGUN = Alternative(
    "mailgun", Kind.SUBCONTRACTOR, "mailgun", (Need.RECORDS, Need.PROVEN), False, {"sv": "Mailgun", "en": "Mailgun"}, {"sv": "", "en": ""},
)  # fmt: skip


def campaign(**more: Any) -> Campaign:
    values: dict[str, Any] = {
        "id": 1, "slug": "molntjanst-2024", "version": 1, "name": {"sv": "Aktivt val 2024", "en": "Active choice 2024"},
        "products": {HYRA: OLD_WAY, MARKNAD: OLD_WAY}, "alternatives": (OWN, MAILGUN), "start_date": date(2024, 1, 8),
        "risk_date": date(2024, 2, 1), "stop_date": date(2024, 5, 31), "last_extension_date": date(2024, 8, 31),
    }  # fmt: skip
    return Campaign(**{**values, **more})


def choice(alternative: str, customer_id: int = 1, at: datetime = CHOSEN_AT) -> Choice:
    return Choice(1, 1, customer_id, 1, alternative, at, "Karin Ek <karin@eken.example>", None, False, "", "", 1, "")


def extension(kind: ExtensionKind = ExtensionKind.EXTENSION, customer_id: int = 1) -> Extension:
    asked, approved = datetime(2024, 5, 2, tzinfo=UTC), datetime(2024, 5, 3, tzinfo=UTC)
    return Extension(
        1, 1, customer_id, kind, date(2024, 6, 30), datetime(2024, 6, 30, 22, tzinfo=UTC), "other", "bygger om", "anna", asked,
        "bo", approved,
    )  # fmt: skip
