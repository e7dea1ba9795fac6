"""`ombud domains`: the sender domains that customers have proved, and their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import click

from ombud.accounts import Directory, load_directory
from ombud.cli.domains_check import check, state_text, watch
from ombud.cli.domains_keys import rotate_dkim
from ombud.cli.domains_proving import prove
from ombud.cli.domains_publish import instructions, records
from ombud.cli.domains_scan import scan
from ombud.cli.domains_sharing import share
from ombud.cli.session import Group, Session, yes_option
from ombud.db import Transaction
from ombud.domains import (
    Domain,
    active_keys,
    active_keys_by_domain,
    forget_domain,
    keep_key,
    key_records,
    load_ownership,
    prove_domain,
)
from ombud.errors import BadField, NotFound
from ombud.mail import dkim
from ombud.mail.dkim import Algorithm
from ombud.mail.records import Purpose, Record

#: How a domain came to be proved when an operator has vouched for it.
PROOF = "operator"


@click.group("domains", cls=Group)
def command() -> None:
    """The sender domains that customers have proved, and their keys."""


for verb in (check, watch, records, instructions, rotate_dkim, prove, scan, share):
    command.add_command(verb)


@command.command("list")
@click.option("--customer", help="Only this customer's.")
@click.pass_obj
def list_(session: Session, customer: str | None) -> None:
    """List the proved domains, and those that are claimed and have yet to be proved."""
    from ombud.domains.claims import open_claims
    from ombud.domains.watchlist import standings

    with session.opened() as installation, installation.database.read() as tx:
        directory = load_directory(tx)
        wanted = directory.customer(customer).id if customer else None
        domains, keys = load_ownership(tx).domains, active_keys_by_domain(tx)
        rows: list[dict[str, Any]] = [
            {
                **_about(domains[one.domain], directory, keys.get(one.domain, ())),
                "state": state_text(session, one.state.value),
            }
            for one in standings(tx, wanted)
        ]
        rows += [
            {
                "name": one.domain,
                "customer": directory.customer_by_id(one.customer_id).slug,
                "state": state_text(session, "claimed"),
            }
            for one in open_claims(tx, wanted)
        ]
    session.show_rows(
        rows, "name", "customer", "state", "proof", "proved_at", "keys", spare=("proof", "proved_at", "keys")
    )


@command.command()
@click.argument("name")
@click.pass_obj
def show(session: Session, name: str) -> None:
    """Show a domain: whose it is, where it stands, and the records that must be in DNS for its keys. `stop_at`: when mail that needs
    the records that are gone is held; what is held leaves when they are back."""
    from ombud.domains.watchlist import watch_of

    with session.opened() as installation, installation.database.read() as tx:
        domain = _domain(tx, name)
        standing = watch_of(tx, domain.name)
        values = {
            **_about(domain, load_directory(tx), active_keys(tx, domain.name)),
            "state": state_text(session, standing.state.value),
            "since": standing.since,
            "stop_at": standing.stop_at,
            "codes": list(standing.codes),
            "next_check": standing.next_at,
            "records": [_record(one.name, one.value) for one in key_records(tx, domain.name)],
        }
    session.show_one(values)


def _domain(tx: Transaction, name: str) -> Domain:
    """Raises NotADomain, NotFound."""
    from ombud.domains.names import typed_domain

    canonical = typed_domain(name)
    if canonical not in (domains := load_ownership(tx).domains):
        raise NotFound(kind="domain", name=canonical)
    return domains[canonical]


def _about(domain: Domain, directory: Directory, keys: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "name": domain.name,
        "customer": directory.customer_by_id(domain.customer_id).slug,
        "proof": domain.proof,
        "reason": domain.reason,
        "proved_at": domain.proved_at,
        "keys": [f"{selector} ({algorithm})" for selector, algorithm in keys],
    }


@command.command()
@click.argument("name")
@click.option("--customer", required=True, help="Whose it is.")
@click.option("--proved", is_flag=True, help="Say that you have seen to it that the domain is the customer's.")
@click.option("--reason", default="", help="With --proved: how you know; kept with the domain.")
@click.pass_obj
def add(session: Session, name: str, customer: str, proved: bool, reason: str) -> None:
    """Claim a domain for a customer: shows the token to put into its DNS, and once that is seen, mail from NAME and from the
    domains under it is let in for the customer. With --proved you vouch for it instead."""
    from ombud.domains.names import sender_domain

    domain = sender_domain(name)
    if proved != bool(reason):
        raise click.UsageError("--proved and --reason go together.")
    if not proved:
        _claim(session, domain, customer)
        return
    with session.opened() as installation, installation.database.write() as tx:
        owner = load_directory(tx).customer(customer)
        added = prove_domain(tx, domain, owner, PROOF, reason, installation.clock.now())
    session.show_done(
        {"domain": domain, "customer": customer, "change": "added" if added else "same"},
        f"{domain} is proved for {owner.name}.",
        f"{domain} är styrkt för {owner.name}.",
    )


def _claim(session: Session, domain: str, customer: str) -> None:
    from ombud.domains.claims import claim_domain

    with session.opened() as installation, installation.database.write() as tx:
        owner = load_directory(tx).customer(customer)
        claim = claim_domain(tx, domain, owner, installation.clock.now())
    record = claim.record
    other = claim.contested
    session.show_done(
        {
            "domain": domain, "customer": customer, "change": "claimed", "contested": other,
            "record": {"type": record.kind, "name": record.name, "value": record.value},
        },
        f"Put this into the DNS of {domain}; the service looks for it by itself:\n\n"
        f"  {record.kind}  {record.name}  {record.value}\n"
        + ("\nSomebody else claims it too: whoever publishes first has it." if other else ""),
        f"Lägg in det här i DNS för {domain}; tjänsten letar själv efter det:\n\n"
        f"  {record.kind}  {record.name}  {record.value}\n"
        + ("\nNågon annan gör också anspråk på den: den som först lägger in sin kod får den." if other else ""),
    )  # fmt: skip


@command.command()
@click.argument("name")
@yes_option
@click.pass_obj
def remove(session: Session, name: str, yes: bool) -> None:
    """Take the proof of a domain back: new mail from it is refused from now on, and its keys are destroyed.

    What is in the queue to be signed by them is held; `ombud queue release` lets it go once the domain has a key again.
    """
    from ombud.domains.names import typed_domain

    domain = typed_domain(name)
    with session.opened() as installation:
        if _withdrawn(session, installation, domain):
            return
        session.confirm(
            yes,
            f"Refuse all new mail from {domain}, and destroy its keys? What is queued to be signed by them will be held. "
            "Leave their records in DNS for a week: receivers still check what has left.",
            f"Neka all ny e-post från {domain} och förstör dess nycklar? Det som är köat för att signeras med dem hålls kvar. "
            "Låt deras poster stå kvar i DNS en vecka: mottagarna kontrollerar fortfarande det som har skickats.",
        )
        with installation.database.write() as tx:
            forget_domain(tx, domain, installation.clock.now())
    session.show_done(
        {"domain": domain, "change": "removed"}, f"{domain} is not proved any more.", f"{domain} är inte styrkt längre."
    )


def _withdrawn(session: Session, installation: Any, domain: str) -> bool:
    """Give up the open claims on a domain that nobody has proved. Says whether there were any."""
    from ombud.domains.claims import open_claims, withdraw_claims

    with installation.database.write() as tx:
        claims = [claim for claim in open_claims(tx) if claim.domain == domain]
        if domain in load_ownership(tx).domains or not claims:
            return False
        for claim in claims:
            withdraw_claims(tx, domain, claim.customer_id, installation.clock.now())
    session.show_done(
        {"domain": domain, "change": "withdrawn"},
        f"Nobody claims {domain} any more.",
        f"Ingen gör anspråk på {domain} längre.",
    )
    return True


@command.command()
@click.argument("name", required=False)
@click.option("--bind", is_flag=True, help="Print lines for a zone file.")
@click.pass_obj
def keys(session: Session, name: str | None, bind: bool) -> None:
    """Show the DNS records that must be published for the keys in use: of one domain, or of all."""
    with session.opened() as installation, installation.database.read() as tx:
        records = key_records(tx, _domain(tx, name).name if name else None)
    if bind:
        from ombud.domains.handing import bind_lines

        click.echo(bind_lines([Record(Purpose.DKIM, "TXT", one.name, one.value) for one in records]), nl=False)
    else:
        session.show_rows([_record(record.name, record.value) for record in records], "name", "type", "value")


def _record(name: str, value: str) -> dict[str, str]:
    return {"name": name, "type": "TXT", "value": value}


@command.command("new-key")
@click.argument("name")
@click.option("--selector", required=True, help="What to call it; a name that the domain has not had before.")
@click.option(
    "--algorithm", type=click.Choice(["rsa-sha256", "ed25519-sha256"]), default="rsa-sha256", show_default=True,
    help="Ed25519 only beside RSA: many receivers do not know it yet.",
)  # fmt: skip
@click.pass_obj
def new_key(session: Session, name: str, selector: str, algorithm: str) -> None:
    """Make a DKIM key for a domain, and show the record to publish. Mail is signed with it from now on."""
    from ombud.domains.names import typed_domain

    key = dkim.new_key(
        typed_domain(name), selector, cast("Algorithm", algorithm)
    )  # it takes long: before the database waits
    with session.opened() as installation, installation.database.write() as tx:
        domain = _domain(tx, name)
        if selector in (known for known, _ in active_keys(tx, domain.name)):
            raise BadField(field="selector", reason=f"{domain.name} has a key of that name already")
        record = keep_key(tx, installation.seal, key, installation.clock.now())
    session.show_one(_record(record.name, record.value))
