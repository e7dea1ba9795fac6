"""`ombud campaigns`: the mandatory changes that customers must choose their way through."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.campaigns.mailing import base_url
from ombud.campaigns.presenting import load_presenter
from ombud.choices import (
    LANGUAGES,
    Campaign,
    Choices,
    KeptVersion,
    Page,
    load_choices,
    page_text,
    texts_of,
    versions_of,
)
from ombud.choices.pages import fill_text
from ombud.cli.campaigns_brownout import brownout
from ombud.cli.campaigns_letters import letters
from ombud.cli.campaigns_live import dry_run, live
from ombud.cli.campaigns_status import customers, status
from ombud.cli.session import Group, Session, choice_of
from ombud.errors import NotFound
from ombud.routing import Facts, load_facts


@click.group("campaigns", cls=Group)
def command() -> None:
    """The changes that every customer must choose its way through."""


for verb in (status, customers, dry_run, live, brownout, letters):
    command.add_command(verb)


@command.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List the campaigns with their dates and how many have chosen."""
    with session.opened() as installation, installation.database.read() as tx:
        choices, now = load_choices(tx), installation.clock.now()
    rows = [
        {
            "slug": one.slug, "name": one.name[session.language], "state": _state(one, now), "version": one.version,
            "start_date": one.start_date.isoformat(), "risk_date": one.risk_date.isoformat(),
            "stop_date": one.stop_date.isoformat(), "last_extension_date": one.last_extension_date.isoformat(),
            "chosen": len(choices.active_in(one.id)),
        }
        for one in choices.campaigns
    ]  # fmt: skip
    session.show_rows(
        rows, "slug", "state", "start_date", "risk_date", "stop_date", "last_extension_date", "chosen", "version",
        spare=("version", "last_extension_date", "start_date"),
    )  # fmt: skip


@command.command()
@click.argument("slug")
@click.option("--version", type=click.IntRange(1), help="An earlier version, instead of the one that counts.")
@click.pass_obj
def show(session: Session, slug: str, version: int | None) -> None:
    """Show a campaign: dates, products, alternatives, and what there has been of versions."""
    with session.opened() as installation, installation.database.read() as tx:
        choices, facts, directory = load_choices(tx), load_facts(tx), load_directory(tx)
        versions = versions_of(tx, choices.campaign(slug).id)
        values = _about(_version(versions, slug, version), choices, facts, directory, installation.clock.now())
    values["versions"] = [{"version": one.campaign.version, "at": one.at} for one in versions]
    if session.as_json:
        session.show_json(values)
        return
    alternatives = values.pop("alternatives")
    session.show_one(values)
    click.echo()
    said = [{**one, "name": one["name"][session.language]} for one in alternatives]
    session.show_rows(said, "slug", "name", "kind", "route", "needs", "recommended", "offered", "chosen")


@command.command()
@click.argument("slug")
@click.argument("page", type=choice_of(Page), required=False)
@click.option(
    "--language", type=click.Choice(LANGUAGES), help="Only in this language; for a page the default is yours."
)
@click.option("--version", type=click.IntRange(1), help="An earlier version of the text.")
@click.option("--customer", metavar="SLUG", help="With this customer's values filled in.")
@click.pass_obj
def texts(
    session: Session, slug: str, page: str | None, language: str | None, version: int | None, customer: str | None
) -> None:
    """List every text that the campaign's pages have had, or print one PAGE: notice or faq."""
    with session.opened() as installation, installation.database.read() as tx:
        campaign = load_choices(tx).campaign(slug)
        if page is None:
            rows = [
                {
                    "page": one.page, "language": one.language, "version": one.version, "at": one.at, "sha256": one.sha256,
                    "current": campaign.pages.get((one.page, one.language)) is not None
                    and campaign.pages[one.page, one.language].version == one.version,
                }
                for one in texts_of(tx, campaign.id, language=language or "")
            ]  # fmt: skip
            session.show_rows(rows, "page", "language", "version", "current", "at", "sha256", spare=("sha256",))
            return
        kept = page_text(tx, campaign, Page(page), language or session.language, version)
        text = kept.text
        if customer:
            one = load_directory(tx).customer(customer)
            presenter = load_presenter(tx, campaign, installation.clock.now(), one.id)
            link = f"{base_url(installation.settings)}/choose/{campaign.slug}/{one.slug}"
            text = fill_text(text, presenter.values(one, kept.language, link))
    values = {
        "page": kept.page, "language": kept.language, "version": kept.version, "sha256": kept.sha256, "at": kept.at, "text": text,
    }  # fmt: skip
    session.show_done(values, text.rstrip("\n"), text.rstrip("\n"))


def _version(versions: list[KeptVersion], slug: str, version: int | None) -> Campaign:
    for one in versions:
        if one.campaign.version == version:
            return one.campaign
    if version is not None:
        raise NotFound(kind="version", name=f"{version} of {slug}")
    return versions[-1].campaign


def _state(campaign: Campaign, now: datetime) -> str:
    if now < campaign.start_at:
        return "not_started"
    if campaign.end_at and now >= campaign.end_at:
        return "ended"
    if now >= campaign.stop_at:
        return "stopped"
    return "risk" if now >= campaign.risk_at else "open"


def _about(campaign: Campaign, choices: Choices, facts: Facts, directory: Directory, now: datetime) -> dict[str, Any]:
    chosen = Counter(one.alternative for one in choices.active_in(campaign.id).values())
    return {
        "slug": campaign.slug,
        "name": dict(campaign.name),
        "version": campaign.version,
        "state": _state(campaign, now),
        "start_date": campaign.start_date.isoformat(),
        "risk_date": campaign.risk_date.isoformat(),
        "stop_date": campaign.stop_date.isoformat(),
        "last_extension_date": campaign.last_extension_date.isoformat(),
        "end_date": campaign.end_date.isoformat() if campaign.end_date else None,
        "zone": campaign.zone,
        "mail_leaves_until": campaign.stop_at,
        "after_stop": campaign.after_stop,
        "hold_days": campaign.hold_days or None,
        "go_live": campaign.go_live,
        "price_plan": campaign.price_plan or None,
        "allowed_regions": sorted(campaign.allowed_regions),
        "reserve": {"route": facts.routes[campaign.reserve.route_id].slug, "address": campaign.reserve.address}
        if campaign.reserve
        else None,
        "products": {
            directory.product_by_id(product).slug: facts.routes[route].slug
            for product, route in campaign.products.items()
        },
        "alternatives": [
            {
                "slug": one.slug, "name": dict(one.name), "text": dict(one.text), "kind": one.kind, "route": one.route,
                "needs": list(one.needs), "recommended": one.recommended, "offered": one.offered,
                "price_plan": campaign.plan_of(one) or None, "chosen": chosen[one.slug],
            }
            for one in campaign.alternatives
        ],
    }  # fmt: skip
