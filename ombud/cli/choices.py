"""`ombud choices`: what customers have chosen, and choosing for one that asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from ombud.accounts import Customer, Directory, load_directory
from ombud.campaigns.choosing import ServiceCentre, choose
from ombud.campaigns.choosing import withdraw as take_back
from ombud.campaigns.presenting import Presenter, load_presenter
from ombud.choices import Campaign, Choice, Choices, Shown, choices_of, load_choices, shown_of
from ombud.choices.groups import companies_in_group_of
from ombud.cli.operator import by_option, campaign_named, campaign_option
from ombud.cli.session import Group, Session, dry_run_option, yes_option
from ombud.db import Transaction
from ombud.errors import NotFound
from ombud.settings import Settings

reason_option = click.option("--reason", required=True, help="Why you do it for the customer: who asked, and when.")


@click.group("choices", cls=Group)
def command() -> None:
    """What customers have chosen, with every change that there has been."""


@command.command("list")
@campaign_option
@click.option("--alternative", metavar="SLUG", help="Only those who have chosen this.")
@click.pass_obj
def list_(session: Session, campaign: str | None, alternative: str | None) -> None:
    """List the customers who have chosen, with what, when and by whom."""
    with session.opened() as installation, installation.database.read() as tx:
        choices, directory = load_choices(tx), load_directory(tx)
        chosen = campaign_named(choices, campaign, installation.clock.now())
    if alternative:
        chosen.alternative(alternative)  # a misspelt one is not one that nobody has chosen
    found = [(directory.customer_by_id(customer), one) for customer, one in choices.active_in(chosen.id).items()]
    rows = [
        _about(session, chosen, customer, one)
        for customer, one in sorted(found, key=lambda pair: pair[0].slug)
        if alternative in (None, one.alternative)
    ]
    session.show_rows(rows, "customer", "alternative", "at", "by", "by_operator", "reason", spare=("reason", "by"))


@command.command()
@click.argument("customer")
@campaign_option
@click.pass_obj
def show(session: Session, customer: str, campaign: str | None) -> None:
    """Show a customer's choice with the words and the price that were shown, verbatim."""
    with session.opened() as installation, installation.database.read() as tx:
        who, chosen, choices = _named(tx, customer, campaign, session, installation.clock.now())
        choice = choices.active(chosen.id, who.id)
        if choice is None:
            raise NotFound(kind="choice of", name=who.name)
        shown = shown_of(tx, choice)
    session.show_one({**_about(session, chosen, who, choice), **_seen(shown)})


@command.command()
@click.argument("customer")
@campaign_option
@click.pass_obj
def history(session: Session, customer: str, campaign: str | None) -> None:
    """Show every choice that there has been for a customer, the first first."""
    with session.opened() as installation, installation.database.read() as tx:
        who, chosen, _ = _named(tx, customer, campaign, session, installation.clock.now())
        rows = [
            {**_about(session, chosen, who, one), **_seen(shown_of(tx, one))}
            for one in choices_of(tx, chosen.id, who.id)
        ]
    session.show_rows(rows, "number", "alternative", "at", "by", "reason", "price", spare=("price", "by"))


# --- choosing for a customer ---------------------------------------------------------------------------------------


@command.command()
@click.argument("customer")
@click.argument("alternative")
@campaign_option
@click.option("--group", is_flag=True, help="For every company of the customer's group.")
@reason_option
@by_option
@dry_run_option
@yes_option
@click.pass_obj
def make(
    session: Session, customer: str, alternative: str, campaign: str | None, group: bool, reason: str, by: str, dry_run: bool, yes: bool
) -> None:  # fmt: skip
    """Choose for a customer that has asked for it. What it costs is shown first, for each company of a group.

    Of a group either all are chosen for or none. Whoever has chosen in the meantime is not overruled: then nothing is done.
    """
    with session.opened() as installation:
        now = installation.clock.now()
        with installation.database.read() as tx:
            who, chosen, choices = _named(tx, customer, campaign, session, now)
            choices.open_campaign(chosen.slug, now)
            presenter = load_presenter(tx, chosen, now, None if group else who.id)
            companies = _companies(tx, presenter.directory, who, group)
        plan = [(one, presenter.shown(one, alternative, one.language)) for one in companies]
        if dry_run or not session.as_json:
            _preview(session, presenter, plan, alternative)
        if dry_run:
            return
        session.confirm(yes, f"Choose for {len(plan)}?", f"Vill du välja för {len(plan)}?")
        with installation.database.write() as tx:
            made = [
                choose(
                    tx, chosen, one, alternative, shown, now, expected=_expected(choices, chosen, one),
                    centre=_centre(installation.settings), operator=by, reason=reason,
                )
                for one, shown in plan
            ]  # fmt: skip
    rows = [
        {**_about(session, chosen, one, done.choice), "case": done.case.reference}
        for (one, _), done in zip(plan, made, strict=True)
    ]
    if session.as_json:
        session.show_json(rows)
    else:
        for row in rows:
            click.echo(session.say(f"Chosen for {row['customer']}: {alternative}, case {row['case']}.", f"Valt för {row['customer']}: {alternative}, ärende {row['case']}."))  # fmt: skip


@command.command()
@click.argument("customer")
@campaign_option
@reason_option
@by_option
@yes_option
@click.pass_obj
def withdraw(session: Session, customer: str, campaign: str | None, reason: str, by: str, yes: bool) -> None:
    """Take a customer's choice back, such as one made for the wrong company. The history keeps it; its mail goes on as it goes."""
    with session.opened() as installation:
        now = installation.clock.now()
        with installation.database.read() as tx:
            who, chosen, choices = _named(tx, customer, campaign, session, now)
        session.confirm(yes, f"Take back the choice of {who.name}?", f"Vill du ta tillbaka valet för {who.name}?")
        with installation.database.write() as tx:
            done = take_back(
                tx, chosen, who, now, expected=_expected(choices, chosen, who), operator=by, reason=reason,
                centre=_centre(installation.settings),
            )  # fmt: skip
    values = {**_about(session, chosen, who, done.choice), "case": done.case.reference}
    session.show_done(values, f"{who.name} has chosen nothing now.", f"{who.name} har inget val längre.")


def _named(
    tx: Transaction, customer: str, campaign: str | None, session: Session, now: Any
) -> tuple[Customer, Campaign, Choices]:
    choices = load_choices(tx)
    return load_directory(tx).customer(customer), campaign_named(choices, campaign, now), choices


def _companies(tx: Transaction, directory: Directory, who: Customer, group: bool) -> list[Customer]:
    return [directory.customer_by_id(one) for one in companies_in_group_of(tx, who.id)] if group else [who]


def _preview(session: Session, presenter: Presenter, plan: Sequence[tuple[Customer, Shown]], alternative: str) -> None:
    campaign = presenter.campaign
    rows = [
        {
            "customer": one.slug, "name": one.name, "alternative": alternative, "price": shown.price or None,
            "before": before.alternative if (before := presenter.choices.active(campaign.id, one.id)) else None,
        }
        for one, shown in plan
    ]  # fmt: skip
    session.show_rows(rows, "customer", "name", "before", "alternative", "price", spare=("name",))


def _expected(choices: Choices, campaign: Campaign, customer: Customer) -> int | None:
    newest = choices.newest(campaign.id, customer.id)
    return newest.id if newest else None


def _centre(settings: Settings) -> ServiceCentre:
    return ServiceCentre(settings.service_centre.webhook, settings.service_centre.mail)


def _about(session: Session, campaign: Campaign, customer: Customer, choice: Choice) -> dict[str, Any]:
    return {
        "customer": customer.slug,
        "campaign": campaign.slug,
        "number": choice.number,
        "alternative": choice.alternative or None,
        "name": campaign.alternative(choice.alternative).name[session.language] if choice.alternative else None,
        "at": choice.at,
        "by": choice.by,
        "by_operator": choice.by_operator,
        "reason": choice.reason or None,
        "peer": choice.peer or None,
        "campaign_version": choice.campaign_version,
    }


def _seen(shown: Shown) -> dict[str, Any]:
    return {**asdict(shown), "words": shown.words or None, "price": shown.price or None, "sha256": shown.sha256}
