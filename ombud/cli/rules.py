"""`ombud rules`: what the great receivers ask of senders, checked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ombud.cli.operator import by_option
from ombud.cli.session import NOT_OK, Group, Session, choice_of, ip_address_or_none
from ombud.mail.rules import Receiver

if TYPE_CHECKING:
    from ombud.domains.senderrules import Sender
    from ombud.installation import Installation
    from ombud.mail.rules import Judged
    from ombud.routing import Route

_MARKS = {"pass": "✔", "fail": "✖", "advice": "!", "unknown": "?", "not_tested": "–", "not_for_you": "–"}


@click.group("rules", cls=Group)
def command() -> None:
    """What Gmail, Yahoo, Outlook.com and iCloud ask of senders."""


@command.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List the rules: whom each is for, and how receivers answer when it is broken."""
    from ombud.mail.rules import RULES

    rows = [
        {
            "id": rule.id, "rule": session.say(rule.en, rule.sv), "applies": rule.applies.value,
            "checked_by": [kind.value for kind in rule.kinds], "answers": list(rule.answers),
        }
        for rule in RULES.values()
    ]  # fmt: skip
    session.show_rows(rows, "id", "rule", "applies", "answers", spare=("answers",))


@command.command()
@click.option("--domain", help="Check a sender domain: its DNS, its routes and its counters.")
@click.option(
    "--message", type=click.File("rb"), help="Check a message: a file as it is to be sent, or - for standard input."
)
@click.option("--marketing", is_flag=True, help="With --message: it goes to people who have signed up for it.")
@click.option(
    "--ip",
    default="",
    callback=ip_address_or_none,
    help="With --domain: the address of the server that sends, for SPF and PTR.",
)
@click.option("--everything", is_flag=True, help="Also the rules that are not for this sender, or cannot be tested.")
@click.pass_context
def check(
    ctx: click.Context, domain: str | None, message: BinaryIO | None, marketing: bool, ip: str, everything: bool
) -> None:
    """Check a domain or a message. Exit code 3: a rule is broken for which receivers refuse mail."""
    if (domain is None) == (message is None):
        raise click.UsageError("Give --domain or --message.")
    session: Session = ctx.obj
    if message is not None:
        found = _of_message(session, message.read(60_000_000), marketing)
    else:
        with session.opened() as installation:
            found = asyncio.run(_of_domain(installation, str(domain), ip))
    shown = [
        one for one in found if everything or session.as_json or one.verdict.value not in ("not_tested", "not_for_you")
    ]
    session.show_rows([_row(session, one) for one in shown], "ok", "id", "rule", "detail", spare=("detail",))
    if any(one.verdict.value == "fail" for one in found):
        ctx.exit(NOT_OK)


@command.command()
@click.option("--domain", required=True, help="A domain of the organisation.")
@click.option("--receiver", type=choice_of(Receiver), required=True, help="With whom.")
@click.option("--reason", default="", help="How you know.")
@click.option("--not", "take_back", is_flag=True, help="Take what an operator has said back; what was counted stays.")
@by_option
@click.pass_obj
def bulk(session: Session, domain: str, receiver: str, reason: str, take_back: bool, by: str) -> None:
    """Say that an organisation is a bulk sender, since it also sends mail that does not go through here."""
    from ombud.domains.names import typed_domain
    from ombud.domains.volume import set_bulk_sender, unset_bulk_sender
    from ombud.errors import BadField
    from ombud.mail.dmarc import organisation_by_list

    organisation = organisation_by_list(typed_domain(domain))
    if not take_back and not reason:
        raise BadField(field="reason", reason="say how you know")
    with session.opened() as installation, installation.database.write() as tx:
        if take_back:
            changed = unset_bulk_sender(tx, organisation, Receiver(receiver))
        else:
            changed = set_bulk_sender(tx, organisation, Receiver(receiver), by, reason, installation.clock.now())
    en, sv = (
        ("noted", "noterat") if changed
        else ("there was nothing to take back", "det fanns inget att ta tillbaka") if take_back
        else ("it is one already, by what was counted", "den är det redan, enligt det som har räknats")
    )  # fmt: skip
    session.show_done(
        {"organisation": organisation, "receiver": receiver, "bulk": not take_back, "changed": changed},
        f"{organisation}: {en}.",
        f"{organisation}: {sv}.",
    )


@command.command()
@click.option("--all", "everything", is_flag=True, help="Also organisations with no mail to them in the last day.")
@click.pass_obj
def volumes(session: Session, everything: bool) -> None:
    """Show how much each organisation has sent to Gmail and Outlook.com in the last 24 hours, and who is a bulk sender."""
    from ombud.domains import volume

    with session.opened() as installation, installation.database.read() as tx:
        counted = volume.volumes(tx, installation.clock.now())
        bulk = {(one.organisation, one.receiver): one for one in volume.bulk_senders(tx)}
    places = sorted({*counted, *(bulk if everything or not counted else ())}, key=lambda one: -counted.get(one, 0))
    rows = [
        {
            "organisation": organisation, "receiver": receiver.value, "number": counted.get((organisation, receiver), 0),
            "bulk_since": known.since if (known := bulk.get((organisation, receiver))) else None,
            "said_by": known.by if known else None,
        }
        for organisation, receiver in places
    ]  # fmt: skip
    session.show_rows(rows, "organisation", "receiver", "number", "bulk_since", "said_by")


def _of_message(session: Session, content: bytes, marketing: bool) -> Sequence[Judged]:
    from datetime import UTC, datetime

    from ombud.mail.rules import check_message, read

    return check_message(read(content), datetime.now(UTC), marketing=marketing)


async def _of_domain(installation: Installation, domain: str, ip: str) -> Sequence[Judged]:
    from ombud.cli.domains_keys import resolver_of
    from ombud.domains.names import typed_domain
    from ombud.domains.senderrules import check_sender

    sender = await installation.database.reading(_sender, installation, typed_domain(domain), ip)
    return await check_sender(resolver_of(installation), sender)


def _sender(tx: Any, installation: Installation, domain: str, ip: str) -> Sender:
    """What is known here of a domain; a stranger's is judged by DNS alone."""
    from ombud.accounts import load_directory
    from ombud.cli.domains_proving import routes_of
    from ombud.domains import keys_of, load_ownership
    from ombud.domains.senderrules import Sender
    from ombud.domains.volume import bulk_senders, volumes
    from ombud.mail.dmarc import organisation_by_list
    from ombud.routing import load_facts

    organisation = organisation_by_list(domain)
    owner = load_ownership(tx).owner(domain)
    routes = routes_of(load_facts(tx), load_directory(tx), owner.customer_id, installation) if owner else []
    keys = keys_of(tx, domain) or (keys_of(tx, owner.name) if owner else [])
    counted = volumes(tx, installation.clock.now(), organisation)
    return Sender(
        domain, keys, [_way(route, domain, ip) for route in routes] or ([_direct(domain, ip)] if ip else []),
        {receiver: number for (_, receiver), number in counted.items()}, bulk_senders(tx, organisation),
    )  # fmt: skip


def _way(route: Route, domain: str, ip: str) -> Any:
    from ombud.domains.senderrules import Way

    label = str(route.settings.get("return_path") or "")
    tls = None if route.provider != "smtp" else route.settings.get("tls", "required") in ("required", "implicit")
    include = str(route.settings.get("spf_include") or route.settings.get("return_path_target") or "")
    return Way(route.slug, route.sign, f"{label}.{domain}" if label else domain, include, ip, tls)


def _direct(domain: str, ip: str) -> Any:
    from ombud.domains.senderrules import Way

    return Way("--ip", False, domain, ip=ip)


def _row(session: Session, one: Judged) -> dict[str, Any]:
    rule = one.rule
    return {
        "ok": _MARKS[one.verdict.value], "id": rule.id, "rule": session.say(rule.en, rule.sv), "verdict": one.verdict.value,
        "applies": rule.applies.value, "detail": one.detail, "answers": list(rule.answers),
    }  # fmt: skip
