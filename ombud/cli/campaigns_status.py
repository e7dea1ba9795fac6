"""`ombud campaigns status` and `customers`: how a campaign goes, summed up and one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from ombud.accounts.links import LINK_DAYS, Scope, link_path, make_links
from ombud.accounts.people import load_people
from ombud.campaigns.mailing import base_url
from ombud.campaigns.nextsteps import BALLS, NEXT_STEPS, STAGES
from ombud.campaigns.picture import Picture
from ombud.campaigns.stages import Ball, Flag, Stage
from ombud.campaigns.status import NOTHING_CHOSEN, Filter, Line, Status, Sum, load_lines, select_lines, status_of
from ombud.cli.operator import campaign_option, picture_of
from ombud.cli.session import Command, Session, choice_of
from ombud.installation import Installation
from ombud.wording import said_number

F = TypeVar("F", bound=Callable[..., Any])

_CUSTOMERS = (
    "customer", "name", "org_number", "stage", "ball", "days", "next", "alternative", "emails", "gmail_share", "flags", "contact",
)  # fmt: skip


# --- which customers -----------------------------------------------------------------------------------------------


def _filter_options(function: F) -> F:
    options = (
        click.option("--stage", "stages", multiple=True, type=choice_of(Stage), help="Only these; may be given again."),
        click.option("--ball", "balls", multiple=True, type=choice_of(Ball), help="Only where these have the ball."),
        click.option("--alternative", "alternatives", multiple=True, help="Only who has chosen this; `none`: nothing."),
        click.option("--flag", "flags", multiple=True, type=choice_of(Flag), help="Only those with this flag."),
        click.option("--next", "next_steps", multiple=True, metavar="CODE", help="Only those whose next step is this."),
        click.option("--days", type=click.IntRange(0, 3660), help="Only where the ball has lain for so many days."),
        click.option("--search", default="", help="Only those with this in the name or the slug."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _filter(picture: Picture, given: dict[str, Any]) -> Filter:
    _known(
        "--alternative", given["alternatives"], [NOTHING_CHOSEN, *(one.slug for one in picture.campaign.alternatives)]
    )
    _known("--next", given["next_steps"], NEXT_STEPS)
    return Filter(
        stages=frozenset(map(Stage, given["stages"])),
        balls=frozenset(map(Ball, given["balls"])),
        alternatives=frozenset(given["alternatives"]),
        flags=frozenset(map(Flag, given["flags"])),
        next_steps=frozenset(given["next_steps"]),
        at_least=timedelta(days=given["days"]) if given["days"] is not None else None,
        text=given["search"],
    )


def _known(option: str, given: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for one in given:
        if one not in names:
            raise click.BadParameter(f"{one} is none of {', '.join(names)}", param_hint=option)


# --- status --------------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@campaign_option
@_filter_options
@click.pass_obj
def status(session: Session, /, campaign: str | None, **given: Any) -> None:
    """Show how a campaign goes: stages by who has the ball, mail at risk, and whether it will be done in time."""

    with session.opened() as installation, installation.database.read() as tx:
        picture = picture_of(tx, campaign, installation.clock.now())
        lines = select_lines(load_lines(tx, picture), _filter(picture, given), picture.at)
    found = status_of(picture, lines)
    if session.as_json:
        session.show_json(_status_values(found))
    else:
        _show_status(session, found)


def _status_values(found: Status) -> dict[str, Any]:
    campaign, pace = found.campaign, found.pace
    return {
        "campaign": campaign.slug,
        "at": found.at,
        "today": found.today,
        "stop_date": campaign.stop_date,
        "days": pace.days,
        "workdays": pace.workdays,
        "total": _sum_values(found.total),
        "stages": [
            {
                "stage": stage,
                **_sum_values(found.stage(stage)),
                "balls": {ball: _sum_values(found.cells[stage, ball]) for ball in Ball if (stage, ball) in found.cells},
            }
            for stage in Stage
        ],
        "balls": [{"ball": ball, **_sum_values(found.ball(ball))} for ball in Ball],
        "flags": {flag: _sum_values(found.flags[flag]) for flag in Flag if flag in found.flags},
        "extended": found.stage(Stage.EXTENDED).customers,
        "exempt": found.stage(Stage.EXEMPT).customers,
        "reserve": found.flags[Flag.RESERVE].customers if Flag.RESERVE in found.flags else 0,
        "at_risk": _sum_values(found.at_risk),
        "no_choice": _sum_values(found.no_choice),
        "gmail_at_risk": found.gmail_at_risk,
        "pace": {
            "left": pace.left,
            "needed": round(pace.needed, 1),
            "actual": round(pace.actual, 1),
            "done_lately": pace.done_lately,
            "measured_workdays": pace.measured,
            "forecast": _sum_values(found.forecast),
        },
        "ready": found.ready,
        "slow_suppliers": found.slow_suppliers,
    }


def _sum_values(one: Sum) -> dict[str, Any]:
    return {"customers": one.customers, "emails": one.emails, "to_gmail": one.to_gmail, "gmail_share": one.gmail_share}


def _show_status(session: Session, found: Status) -> None:
    pace, name = found.pace, found.campaign.name
    last, today = found.campaign.stop_date, found.today
    click.echo(
        session.say(
            f"{name['en']} · last day {last} · today {today} · {pace.days} days, {pace.workdays} working days",
            f"{name['sv']} · sista dag {last} · i dag {today} · {pace.days} dagar, {pace.workdays} arbetsdagar",
        )
    )
    _show_stages(session, found)
    for en, sv in (_risk_words(found), _pace_words(found), _more_time_words(found), _today_words(found)):
        click.echo(session.say(en, sv))


def _show_stages(session: Session, found: Status) -> None:
    """Stages by balls, with only the columns and rows that hold someone."""
    word = session.language != "sv"
    balls = [ball for ball in Ball if found.ball(ball).customers]
    rows = [
        {
            "stage": STAGES[stage][word],
            **_row(session, those, found.total.customers),
            **_cells(found, stage, balls, word),
        }
        for stage in Stage
        if (those := found.stage(stage)).customers
    ]
    total = {BALLS[ball][word]: found.ball(ball).customers for ball in balls}
    rows.append(
        {"stage": session.say("in all", "totalt"), **_row(session, found.total, found.total.customers), **total}
    )
    columns = ("stage", "customers", "share", "bar", *(BALLS[ball][word] for ball in balls), "emails", "to_gmail")
    session.show_rows(rows, *columns, spare=("bar",))


def _cells(found: Status, stage: Stage, balls: Sequence[Ball], word: bool) -> dict[str, int]:
    return {BALLS[ball][word]: found.cells[stage, ball].customers for ball in balls if (stage, ball) in found.cells}


def _row(session: Session, one: Sum, everyone: int) -> dict[str, Any]:
    share = one.customers / everyone if everyone else 0.0
    return {
        "customers": one.customers, "share": session.say(f"{100 * share:.1f} %", f"{_comma(100 * share)} %"), "bar": "█" * round(share * 20),
        "emails": one.emails, "to_gmail": one.to_gmail,
    }  # fmt: skip


def _risk_words(found: Status) -> tuple[str, str]:
    risk, unproven = found.at_risk, found.gmail_at_risk
    share = 100 * risk.gmail_share
    return (
        f"Not done: {said_number(risk.customers, 'en')} customers, {said_number(risk.emails, 'en')} e-mails a month, {share:.1f} % of "
        f"them to Gmail; {said_number(unproven, 'en')} e-mails to Gmail went without authentication.",
        f"Inte klara: {said_number(risk.customers, 'sv')} kunder, {said_number(risk.emails, 'sv')} mejl i månaden, {_comma(share)} % av "
        f"dem till Gmail; {said_number(unproven, 'sv')} mejl till Gmail gick utan autentisering.",
    )


def _pace_words(found: Status) -> tuple[str, str]:
    pace, left, last = found.pace, found.forecast, found.campaign.stop_date
    return (
        f"Left {said_number(pace.left, 'en')}. Needed {pace.needed:.1f} a working day, the pace is {pace.actual:.1f} → forecast "
        f"{said_number(left.customers, 'en')} left on {last} (≈ {said_number(left.emails, 'en')} e-mails a month).",
        f"Kvar {said_number(pace.left, 'sv')}. Behövs {_comma(pace.needed)} per arbetsdag, takten är {_comma(pace.actual)} → prognos "
        f"{said_number(left.customers, 'sv')} kvar {last} (≈ {said_number(left.emails, 'sv')} mejl i månaden).",
    )


def _more_time_words(found: Status) -> tuple[str, str]:
    extended, exempt = found.stage(Stage.EXTENDED).customers, found.stage(Stage.EXEMPT).customers
    reserve = _flagged(found, Flag.RESERVE)
    return (
        f"More time: {extended} extended, {exempt} exempt, {reserve} in reserve mode.",
        f"Mer tid: {extended} förlängda, {exempt} undantagna, {reserve} i reservläge.",
    )


def _today_words(found: Status) -> tuple[str, str]:
    dead = _flagged(found, Flag.DEAD_CONTACT)
    return (
        f"Do now: {found.ready} ready to go live · {found.slow_suppliers} suppliers > 5 days · {dead} dead contacts",
        f"Dra nu: {found.ready} klara att slå över · {found.slow_suppliers} leverantörer > 5 dagar · {dead} döda kontakter",
    )


def _flagged(found: Status, flag: Flag) -> int:
    return found.flags[flag].customers if flag in found.flags else 0


def _comma(value: float) -> str:
    return f"{value:.1f}".replace(".", ",")


# --- customers -----------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@campaign_option
@_filter_options
@click.option(
    "--csv", "as_csv", is_flag=True, help="As CSV, each with a new personal link to the choice, valid for 40 days."
)
@click.option("--no-links", is_flag=True, help="CSV without links.")
@click.pass_obj
def customers(session: Session, /, campaign: str | None, as_csv: bool, no_links: bool, **given: Any) -> None:
    """List a campaign's customers: where each stands, who has the ball, and what comes next. The sums are those of `status`."""

    with session.opened() as installation:
        with installation.database.read() as tx:
            picture = picture_of(tx, campaign, installation.clock.now())
            lines = select_lines(load_lines(tx, picture), _filter(picture, given), picture.at)
            people = load_people(tx)
        contacts = {one.customer_id: one for one in reversed(people) if one.bounced_at is None and one.may_choose}
        rows = [_line_values(session, line, picture.at, contacts.get(line.customer.id)) for line in lines]
        if as_csv and not no_links:
            links = _links(installation, picture, lines, contacts)
            rows = [{**row, "link": links.get(line.customer.id)} for row, line in zip(rows, lines, strict=True)]
    if not as_csv and not session.as_json:
        rows = [_in_words(session, row) for row in rows]
    if as_csv:
        session.show_csv(rows, *_CUSTOMERS, *(() if no_links else ("link",)))
    else:
        session.show_rows(
            rows, "customer", "stage", "ball", "days", "next", "alternative", "emails", "to_gmail", "flags",
            spare=("to_gmail", "flags", "alternative", "days"),
        )  # fmt: skip


def _line_values(session: Session, line: Line, now: datetime, contact: Any) -> dict[str, Any]:
    standing = line.standing
    return {
        "customer": line.customer.slug,
        "name": line.customer.name,
        "org_number": line.customer.org_number or None,
        "stage": standing.stage,
        "step": standing.step,
        "ball": standing.ball,
        "since": standing.since,
        "days": line.days_with_ball(now),
        "next_code": standing.next.code,
        "next": session.say(standing.next.en, standing.next.sv),
        "alternative": line.alternative or None,
        "emails": line.emails,
        "to_gmail": line.to_gmail,
        "gmail_share": round(line.to_gmail / line.emails, 4) if line.emails else 0.0,
        "flags": sorted(standing.flags),
        "contact": f"{contact.name} <{contact.email}>" if contact else None,
    }


def _in_words(session: Session, row: dict[str, Any]) -> dict[str, Any]:
    word = session.language != "sv"
    return {
        **row,
        "stage": STAGES[row["stage"]][word],
        "ball": BALLS[row["ball"]][word],
        "flags": ", ".join(row["flags"]) or None,
    }


def _links(
    installation: Installation, picture: Picture, lines: Sequence[Line], contacts: dict[int | None, Any]
) -> dict[int, str]:
    """A new link to the choice for each customer that is not done and has someone who may choose."""

    whose = [line.customer.id for line in lines if not line.standing.done and line.customer.id in contacts]
    valid, campaign, now = timedelta(days=LINK_DAYS), picture.campaign.slug, installation.clock.now()
    wishes = [(Scope.CHOOSE, campaign, valid, number, contacts[number].id) for number in whose]
    with installation.database.write() as tx:
        tokens = make_links(tx, installation.seal, wishes, now, by="customer list")
    base = f"{base_url(installation.settings)}/{link_path(Scope.CHOOSE)}"
    return {number: f"{base}/{token}" for number, token in zip(whose, tokens, strict=True)}
