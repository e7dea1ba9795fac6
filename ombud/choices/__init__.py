"""What was decided: campaigns with their dates and alternatives, choices, extensions; facts, append-only.

    load_choices(tx) -> Choices       everything as one value: `campaign_of(product_id, now)`, `active(campaign_id, customer_id)`,
                                      `extension(campaign_id, customer_id, now, kind)`
    put_campaign(tx, wanted, texts, now)     a changed campaign or text is a new version; the old ones stay readable
    record_choice(tx, ..., expected)         raises ChoiceConflict when another was first
    ask_extension, approve_extension, end_extension

Whoever writes here calls `touch`, so that every process goes by it within about a second.
"""

from ombud.choices.campaign import (
    LANGUAGES,
    AfterStop,
    Alternative,
    Campaign,
    GoLive,
    Kind,
    Need,
    Page,
    PageVersion,
    Reserve,
    Texts,
    end_of,
    start_of,
)
from ombud.choices.campaigns import (
    KeptText,
    KeptVersion,
    load_campaigns,
    page_text,
    put_campaign,
    texts_of,
    versions_of,
)
from ombud.choices.choice import Choice, Shown
from ombud.choices.choosing import choices_in, choices_of, record_choice, shown_of, withdraw_choice
from ombud.choices.extending import REASON_CODES, approve_extension, ask_extension, end_extension, extension_by_id
from ombud.choices.extension import Extension, ExtensionKind, ExtensionState
from ombud.choices.snapshot import Choices, load_choices, make_choices

__all__ = [
    "LANGUAGES", "REASON_CODES", "AfterStop", "Alternative", "Campaign", "Choice", "Choices", "Extension", "ExtensionKind",
    "ExtensionState", "GoLive", "KeptText", "KeptVersion", "Kind", "Need", "Page", "PageVersion", "Reserve", "Shown", "Texts",
    "approve_extension", "ask_extension", "choices_in", "choices_of", "end_extension", "end_of", "extension_by_id",
    "load_campaigns", "load_choices", "make_choices", "page_text", "put_campaign", "record_choice", "shown_of", "start_of",
    "texts_of", "versions_of", "withdraw_choice",
]  # fmt: skip
