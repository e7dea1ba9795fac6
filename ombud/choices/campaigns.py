"""Campaigns as they are kept: every version that there ever was, and every text that a page has had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, UniqueConstraint, insert, select

from ombud.choices.campaign import AfterStop, Alternative, Campaign, GoLive, Kind, Need, Page, PageVersion, Reserve
from ombud.db import Identity, Json, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import NotFound

campaign_table = Table(
    "campaign",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
)

version_table = Table(
    "campaign_version",
    metadata,
    Column("campaign_id", Integer, ForeignKey("campaign.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", Json, nullable=False),  # all but id, slug and version: see _content
    Column("at", Moment, nullable=False),
)

text_table = Table(
    "campaign_text",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("campaign_id", Integer, ForeignKey("campaign.id"), nullable=False),
    Column("page", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("text", Text, nullable=False),  # Markdown with {{names}}, as it was written
    Column("at", Moment, nullable=False),
    UniqueConstraint("campaign_id", "page", "language", "version"),
)

#: (page, language) -> Markdown.
PageTexts = Mapping[tuple[Page, str], str]


@dataclass(frozen=True, slots=True)
class KeptText:
    """One version of one page in one language."""

    page: Page
    language: str
    version: int
    sha256: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """One version of a campaign, with the moment from which it counted."""

    campaign: Campaign
    at: datetime


# --- reading -------------------------------------------------------------------------------------------------------


def load_campaigns(tx: Transaction) -> list[Campaign]:
    """The newest version of each."""
    newest: dict[int, Campaign] = {}
    for kept in _versions(tx):
        newest[kept.campaign.id] = kept.campaign
    return list(newest.values())


def versions_of(tx: Transaction, campaign_id: int) -> list[KeptVersion]:
    """Every version of a campaign, the first first."""
    return [kept for kept in _versions(tx) if kept.campaign.id == campaign_id]


def page_text(tx: Transaction, campaign: Campaign, page: Page, language: str, version: int | None = None) -> KeptText:
    """A page's Markdown with its {{names}}: the campaign's own version of it, or the one asked for. Raises NotFound."""
    number = version or campaign.pages[page, language].version if (page, language) in campaign.pages else version
    for kept in texts_of(tx, campaign.id, page, language):
        if kept.version == number:
            return kept
    raise NotFound(
        kind="text", name=f"{campaign.slug}/{page}.{language} {f'version {version}' if version else ''}".strip()
    )


def texts_of(tx: Transaction, campaign_id: int, page: Page | None = None, language: str = "") -> list[KeptText]:
    """Every text that the campaign's pages have had, by page, language and version."""
    c = text_table.c
    query = select(text_table).where(c.campaign_id == campaign_id).order_by(c.page, c.language, c.version)
    if page:
        query = query.where(c.page == page)
    if language:
        query = query.where(c.language == language)
    return [
        KeptText(Page(row.page), row.language, row.version, row.sha256, row.text, row.at) for row in tx.execute(query)
    ]


def _versions(tx: Transaction) -> list[KeptVersion]:
    v, c = version_table.c, campaign_table.c
    rows = tx.execute(
        select(c.id, c.slug, v.version, v.content, v.at)
        .join_from(version_table, campaign_table)
        .order_by(v.campaign_id, v.version)
    )
    return [KeptVersion(_campaign(row.id, row.slug, row.version, row.content), row.at) for row in rows]


# --- writing -------------------------------------------------------------------------------------------------------


def put_campaign(tx: Transaction, wanted: Campaign, texts: PageTexts, now: datetime) -> Campaign:
    """Bring the campaign of that slug to what is wanted (whose id, version and pages do not count), with these texts.

    What differs from the newest version makes a new one; when nothing does, the newest is returned as it is. An alternative
    that is there no more is kept as one that is not offered, for those who have chosen it. Product and route ids must exist.
    """
    before = next((one for one in load_campaigns(tx) if one.slug == wanted.slug), None)
    number = before.id if before else _new_campaign(tx, wanted.slug, now)
    after = replace(
        wanted,
        id=number,
        version=before.version if before else 0,
        alternatives=_with_withdrawn(wanted, before),
        pages=_put_texts(tx, number, texts, now),
    )
    if after == before:
        return before
    after = replace(after, version=after.version + 1)
    values = {"campaign_id": number, "version": after.version, "content": _content(after), "at": now}
    tx.execute(insert(version_table).values(**values))
    touch(tx)
    return after


def _new_campaign(tx: Transaction, slug: str, now: datetime) -> int:
    return int(
        tx.execute(insert(campaign_table).values(slug=slug, created_at=now).returning(campaign_table.c.id)).scalar_one()
    )


def _with_withdrawn(wanted: Campaign, before: Campaign | None) -> tuple[Alternative, ...]:
    named = {one.slug for one in wanted.alternatives}
    gone = [one for one in before.alternatives if one.slug not in named] if before else []
    return (*wanted.alternatives, *(replace(one, offered=False) for one in gone))


def _put_texts(
    tx: Transaction, campaign_id: int, texts: PageTexts, now: datetime
) -> dict[tuple[Page, str], PageVersion]:
    """Keep the texts that are new, and tell which version each page has."""
    newest = {(one.page, one.language): one for one in texts_of(tx, campaign_id)}
    pages = {}
    for (page, language), text in sorted(texts.items()):
        there, digest = newest.get((page, language)), sha256(text.encode()).hexdigest()
        version = there.version if there else 0
        if there is None or there.sha256 != digest:
            version += 1
            row = {"page": page, "language": language, "version": version, "sha256": digest, "text": text}
            tx.execute(insert(text_table).values(campaign_id=campaign_id, at=now, **row))
        pages[page, language] = PageVersion(version, digest)
    return pages


# --- a campaign as JSON --------------------------------------------------------------------------------------------


def _content(campaign: Campaign) -> dict[str, Any]:
    return {
        "name": dict(campaign.name),
        "products": list(map(list, campaign.products.items())),  # in the file's order
        "alternatives": [_alternative_content(one) for one in campaign.alternatives],
        "start_date": campaign.start_date.isoformat(),
        "risk_date": campaign.risk_date.isoformat(),
        "stop_date": campaign.stop_date.isoformat(),
        "last_extension_date": campaign.last_extension_date.isoformat(),
        "end_date": campaign.end_date.isoformat() if campaign.end_date else None,
        "zone": campaign.zone,
        "after_stop": campaign.after_stop,
        "hold_days": campaign.hold_days,
        "go_live": campaign.go_live,
        "price_plan": campaign.price_plan,
        "allowed_regions": sorted(campaign.allowed_regions),
        "reserve": {"route_id": campaign.reserve.route_id, "address": campaign.reserve.address} if campaign.reserve else None,
        "pages": [
            {"page": page, "language": language, "version": one.version, "sha256": one.sha256}
            for (page, language), one in campaign.pages.items()
        ],
    }  # fmt: skip


def _alternative_content(one: Alternative) -> dict[str, Any]:
    return {
        "slug": one.slug,
        "kind": one.kind,
        "route": one.route,
        "needs": list(one.needs),
        "recommended": one.recommended,
        "name": dict(one.name),
        "text": dict(one.text),
        "price_plan": one.price_plan,
        "offered": one.offered,
    }


def _campaign(number: int, slug: str, version: int, content: Mapping[str, Any]) -> Campaign:
    return Campaign(
        id=number,
        slug=slug,
        version=version,
        name=content["name"],
        products=dict(content["products"]),
        alternatives=tuple(
            Alternative(**{**one, "kind": Kind(one["kind"]), "needs": tuple(map(Need, one["needs"]))})
            for one in content["alternatives"]
        ),
        start_date=date.fromisoformat(content["start_date"]),
        risk_date=date.fromisoformat(content["risk_date"]),
        stop_date=date.fromisoformat(content["stop_date"]),
        last_extension_date=date.fromisoformat(content["last_extension_date"]),
        end_date=date.fromisoformat(content["end_date"]) if content["end_date"] else None,
        zone=content["zone"],
        after_stop=AfterStop(content["after_stop"]),
        hold_days=content["hold_days"],
        go_live=GoLive(content["go_live"]),
        price_plan=content["price_plan"],
        allowed_regions=frozenset(content["allowed_regions"]),
        reserve=Reserve(**content["reserve"]) if content["reserve"] else None,
        pages={(Page(one["page"]), one["language"]): PageVersion(one["version"], one["sha256"]) for one in content["pages"]},
    )  # fmt: skip
