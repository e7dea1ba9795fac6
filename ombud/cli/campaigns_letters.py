"""`ombud campaigns letters`: the campaign's letters, looked at before they are sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ombud.cli.operator import by_option, campaign_named, campaign_option, picture_of
from ombud.cli.session import NOT_OK, Group, Session, yes_option

if TYPE_CHECKING:
    from ombud.campaigns.letters import Plan, Planned
    from ombud.campaigns.picture import Picture
    from ombud.db import Transaction
    from ombud.installation import Installation

_SAMPLES = 3
#: Why a customer gets no letter, or is to be telephoned: English, Swedish.
_WHY = {
    "not_started": ("the campaign has not begun", "kampanjen har inte börjat"),
    "done": ("done", "klar"),
    "exempt": ("exempt", "undantag"),
    "ball_with_us": ("it is our move", "vi har bollen"),
    "waiting_for_dns": ("waiting for DNS", "väntar på DNS"),
    "no_contact": ("nobody to write to", "ingen att skriva till"),
    "dead_contact": ("letters come back", "breven studsar"),
    "snoozed": ("paused", "pausad"),
    "told": ("has had this letter", "har fått brevet"),
    "no_records": ("no records are known", "posterna är inte kända"),
    "nothing_due": ("nothing is due", "inget är på tur"),
    "never_opened": ("never opened one", "aldrig öppnat"),
}
_A_TIME = 200  # letters in one transaction: the service's own mail does not wait for all of them


@click.group("letters", cls=Group)
def letters() -> None:
    """The campaign's letters: who gets which today, and why not."""


@letters.command()
@campaign_option
@click.option("--excluded", is_flag=True, help="Also list everyone who gets none, with the reason.")
@click.option("--samples/--no-samples", default=True, help="Show three of the letters as they would go out.")
@click.pass_obj
def preview(session: Session, campaign: str | None, excluded: bool, samples: bool) -> None:
    """Show what would be sent now: the recipients, three real letters, and why the others get none. Sends nothing."""
    from ombud.campaigns.cadence import next_letter_time
    from ombud.campaigns.mailing import letter_writer

    with session.opened() as installation, installation.database.read() as tx:
        now = next_letter_time(installation.clock.now())
        picture, plan = _planned(tx, campaign, now)
        writer = letter_writer(tx, installation.seal, installation.settings)
    written = [(one, writer.sample(one.letter)) for one in _samples(plan.planned)] if samples else []
    if session.as_json:
        session.show_json(
            {
                "campaign": picture.campaign.slug, "at": now, "letters": [_about(picture, one) for one in plan.planned],
                "excluded": _excluded(picture, plan) if excluded else None, "reasons": _reasons(plan),
                "samples": [{"to": one.letter.address, "subject": text.subject, "text": text.text} for one, text in written],
            }
        )  # fmt: skip
        return
    click.echo(_headline(session, plan, now))
    session.show_rows(
        [_in_words(session, _about(picture, one)) for one in plan.planned],
        "customer",
        "to",
        "letter",
        "step",
        "stage",
        "ball",
        spare=("stage", "ball"),
    )
    if plan.excluded:
        click.echo()
        if excluded:
            rows = [{**row, "why": _why(session, row["why"])} for row in _excluded(picture, plan)]
            session.show_rows(rows, "customer", "person", "why", "detail")
        else:
            counts = [{"why": _why(session, why), "count": number} for why, number in _reasons(plan).items()]
            session.show_rows(counts, "why", "count")
    for one, text in written:
        click.echo(f"\n{'─' * 76}\n{session.say('To', 'Till')}: {one.letter.name} <{one.letter.address}>")
        click.echo(f"{session.say('Subject', 'Ämne')}: {text.subject}\n\n{text.text.rstrip()}")


@letters.command()
@campaign_option
@click.option("--any-time", is_flag=True, help="Also outside of the hours for letters (working days 8 to 15).")
@by_option
@yes_option
@click.pass_context
def send(ctx: click.Context, campaign: str | None, any_time: bool, by: str, yes: bool) -> None:
    """Send the letters that are due now; a running service mails them. Those that were sent before are never sent again."""
    from ombud.accounts.vendor import load_vendor
    from ombud.campaigns.cadence import is_letter_time, next_letter_time
    from ombud.errors import NoVendor

    session: Session = ctx.obj
    with session.opened() as installation:
        now = installation.clock.now()
        if not any_time and not is_letter_time(now):
            opens = next_letter_time(now)
            raise click.UsageError(f"Letters go out on working days from 8 to 15; next {opens:%Y-%m-%d}. --any-time sends them now.")  # fmt: skip
        with installation.database.read() as tx:
            _, plan = _planned(tx, campaign, now)
            if load_vendor(tx) is None:
                raise NoVendor()
        if plan.planned:
            number = len(plan.planned)
            session.confirm(yes, f"{_headline(session, plan, now)} Send to {number}?", f"{_headline(session, plan, now)} Skicka till {number}?")  # fmt: skip
        sent = _send(installation, plan.planned, now, by)
    session.show_done(
        {"letters": sent, "excluded": _reasons(plan)}, f"{sent} letters are on their way.", f"{sent} brev är på väg."
    )


def _send(installation: Installation, planned: Sequence[Planned], now: datetime, by: str) -> int:
    from rich.progress import track

    from ombud.campaigns.mailing import letter_writer
    from ombud.notices.letters import put_letters

    sent = 0
    starts = range(0, len(planned), _A_TIME)
    for start in track(starts, description="", transient=True) if len(planned) > _A_TIME else starts:
        with installation.database.write() as tx:
            writer = letter_writer(tx, installation.seal, installation.settings)
            sent += len(put_letters(tx, writer, [one.letter for one in planned[start : start + _A_TIME]], now, by=by))
    return sent


@letters.command("phone-list")
@campaign_option
@click.pass_context
def phone_list_(ctx: click.Context, campaign: str | None) -> None:
    """Whom letters do not reach: dead and missing contacts, and from two weeks before the stop those who never opened one.

    Most mail first. Ends with 3 when there is someone to call.
    """
    from ombud.campaigns.correspondence import calls_of

    session: Session = ctx.obj
    with session.opened() as installation, installation.database.read() as tx:
        now = installation.clock.now()
        calls = calls_of(tx, picture_of(tx, campaign, now), now)
    rows = [
        {
            "customer": one.customer.slug, "name": one.person.name if one.person else one.customer.contact_name or None,
            "phone": (one.person.phone if one.person else "") or None, "email": one.person.email if one.person else None,
            "why": one.why, "emails": one.emails,
        }
        for one in calls
    ]  # fmt: skip
    if not session.as_json:
        rows = [{**row, "why": _why(session, str(row["why"]))} for row in rows]
    session.show_rows(rows, "customer", "name", "phone", "email", "why", "emails", spare=("email",))
    ctx.exit(NOT_OK if rows else 0)


@letters.command()
@click.argument("mode", type=click.Choice(["on", "off"]))
@campaign_option
@by_option
@click.pass_obj
def automatic(session: Session, mode: str, campaign: str | None, by: str) -> None:
    """Have the service send the campaign's letters by itself when they are due (on), or only you (off, as at first)."""
    from ombud.campaigns.mailing import put_automatic
    from ombud.choices import load_choices

    with session.opened() as installation, installation.database.write() as tx:
        now = installation.clock.now()
        chosen = campaign_named(load_choices(tx), campaign, now)
        put_automatic(tx, chosen.slug, mode == "on", by, now)
    session.show_done(
        {"campaign": chosen.slug, "automatic": mode == "on"},
        f"The letters of {chosen.slug} go out {'by themselves' if mode == 'on' else 'by hand only'}.",
        f"Breven i {chosen.slug} skickas {'av sig själva' if mode == 'on' else 'bara för hand'}.",
    )


@letters.command("list")
@campaign_option
@click.option("--customer", help="Only to this one.")
@click.pass_obj
def list_(session: Session, campaign: str | None, customer: str | None) -> None:
    """List the letters that have been sent, the newest first, with what became of each."""
    from ombud.accounts import load_directory
    from ombud.choices import load_choices
    from ombud.notices.letters import letters_of

    with session.opened() as installation, installation.database.read() as tx:
        directory = load_directory(tx)
        chosen = campaign_named(load_choices(tx), campaign, installation.clock.now())
        number = directory.customer(customer).id if customer else None
        found = letters_of(tx, campaign=chosen.slug, customer_id=number)
    rows = [
        {
            "at": one.at, "customer": directory.customer_by_id(one.customer_id).slug, "to": one.address, "letter": one.text,
            "version": one.version, "language": one.language, "stage": one.stage or None, "ball": one.ball or None,
            "outcome": one.outcome, "message": one.message_id,
        }
        for one in reversed(found)
    ]  # fmt: skip
    session.show_rows(rows, "at", "customer", "to", "letter", "stage", "outcome", "message", spare=("message", "stage"))


def _planned(tx: Transaction, campaign: str | None, now: datetime) -> tuple[Picture, Plan]:
    from ombud.campaigns.correspondence import plan_of

    picture = picture_of(tx, campaign, now)
    return picture, plan_of(tx, picture, now)


def _samples(planned: Sequence[Planned]) -> list[Planned]:
    """Three of them, of as many kinds as there are."""
    kinds: dict[str, Planned] = {}
    for one in planned:
        kinds.setdefault(one.letter.text, one)
    rest = [one for one in planned if one not in kinds.values()]
    return [*kinds.values(), *rest][:_SAMPLES]


def _headline(session: Session, plan: Plan, now: datetime) -> str:
    from ombud.wording import said_moment

    kinds = Counter(one.letter.text for one in plan.planned)
    said = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common()) or session.say("nothing", "inget")
    when = said_moment(now, session.language)
    return session.say(f"{len(plan.planned)} letters, {when}: {said}.", f"{len(plan.planned)} brev, {when}: {said}.")


def _about(picture: Picture, one: Planned) -> dict[str, Any]:
    return {
        "customer": picture.directory.customer_by_id(one.letter.customer_id).slug, "to": one.letter.address,
        "letter": one.letter.text, "step": one.step.name, "stage": one.letter.stage, "ball": one.letter.ball,
        "language": one.letter.language, "key": one.letter.key,
    }  # fmt: skip


def _why(session: Session, code: str) -> str:
    """Why there is no letter, or why there is to be a call, for people."""
    return session.say(*_WHY[code])


def _in_words(session: Session, row: dict[str, Any]) -> dict[str, Any]:
    """The same row for people."""
    from ombud.campaigns.nextsteps import BALLS, STAGES

    word = 0 if session.language == "sv" else 1
    return {**row, "stage": STAGES[row["stage"]][word], "ball": BALLS[row["ball"]][word]}


def _excluded(picture: Picture, plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "customer": picture.directory.customer_by_id(one.customer_id).slug, "person": one.person.email if one.person else None,
            "why": one.why, "detail": one.detail or None,
        }
        for one in plan.excluded
    ]  # fmt: skip


def _reasons(plan: Plan) -> dict[str, int]:
    return dict(Counter(one.why.value for one in plan.excluded).most_common())
