"""What commands about a campaign share: which campaign, and who says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ombud.clock import parse_moment
from ombud.errors import NoCampaign

if TYPE_CHECKING:
    from ombud.campaigns.picture import Picture
    from ombud.choices import Campaign, Choices
    from ombud.db import Transaction

F = TypeVar("F", bound=Callable[..., Any])


def campaign_option(function: F) -> F:
    return click.option(
        "--campaign", metavar="SLUG", help="Which campaign; the default is the one that has started last."
    )(function)


def by_option(function: F) -> F:
    return click.option(
        "--by", envvar="OMBUD_OPERATOR", default=_logged_in, help="Who you are; the default is who is logged in."
    )(function)


def _logged_in() -> str:
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "?"


def campaign_named(choices: Choices, slug: str | None, now: datetime) -> Campaign:
    """The campaign of that slug; None: the one that has started last, else the next one. Raises UnknownCampaign and NoCampaign."""
    if slug is not None:
        return choices.campaign(slug)
    if not choices.campaigns:
        raise NoCampaign
    started = [one for one in choices.campaigns if one.start_at <= now]
    return started[-1] if started else choices.campaigns[0]


def picture_of(tx: Transaction, slug: str | None, now: datetime) -> Picture:
    """The picture of the campaign of that slug, or of the one that `campaign_named` gives."""
    from ombud.campaigns.mailing import load_reach
    from ombud.campaigns.picture import load_picture
    from ombud.choices import load_campaigns, make_choices

    campaign = campaign_named(
        make_choices(load_campaigns(tx)), slug, now
    )  # without anyone's choices: the picture reads them
    return load_picture(tx, campaign.slug, now, load_reach(tx, campaign.slug))


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Reads an option that is a moment."""
    try:
        return None if value is None else parse_moment(value)
    except ValueError as error:
        raise click.BadParameter("write it as 2024-06-01T00:00, with an offset if it is not Stockholm time") from error
