"""`ombud domains`: the sender domains that customers have proved, and their keys."""

from __future__ import annotations

from typing import Any, cast

import click

from ombud.accounts import load_directory
from ombud.cli.session import Group, Session, yes_option
from ombud.db import Transaction
from ombud.domains import Domain, active_keys, forget_domain, keep_key, key_records, load_ownership, prove_domain
from ombud.errors import BadField, NotFound
from ombud.mail import dkim
from ombud.mail.address import canonical_domain
from ombud.mail.dkim import Algorithm

#: How a domain came to be proved when an operator has vouched for it.
PROOF = "operator"
_TTL = 3600
_STRING = 255  # octets of one character-string; a longer TXT is several, joined without a space (RFC 6376 3.6.2.2)


@click.group("domains", cls=Group)
def command() -> None:
    """The sender domains that customers have proved, and their keys."""


@command.command("list")
@click.option("--customer", help="Only this customer's.")
@click.pass_obj
def list_(session: Session, customer: str | None) -> None:
    """List the proved domains."""
    with session.opened() as installation, installation.database.read() as tx:
        wanted = load_directory(tx).customer(customer).id if customer else None
        domains = load_ownership(tx).domains.values()
        rows = [_about(tx, domain) for domain in domains if wanted in (None, domain.customer_id)]
    session.show_rows(rows, "name", "customer", "proof", "proved_at", "keys", spare=("proof", "proved_at"))


@command.command()
@click.argument("name")
@click.pass_obj
def show(session: Session, name: str) -> None:
    """Show a domain with the records that must stand in DNS for its keys."""
    with session.opened() as installation, installation.database.read() as tx:
        domain = _domain(tx, name)
        values = {
            **_about(tx, domain),
            "records": [_record(one.name, one.value) for one in key_records(tx, domain.name)],
        }
    session.show_one(values)


def _domain(tx: Transaction, name: str) -> Domain:
    """Raises NotFound."""
    canonical = canonical_domain(name)
    if canonical not in (domains := load_ownership(tx).domains):
        raise NotFound(kind="domain", name=canonical)
    return domains[canonical]


def _about(tx: Transaction, domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "customer": load_directory(tx).customer_by_id(domain.customer_id).slug,
        "proof": domain.proof,
        "reason": domain.reason,
        "proved_at": domain.proved_at,
        "keys": [f"{selector} ({algorithm})" for selector, algorithm in active_keys(tx, domain.name)],
    }


@command.command()
@click.argument("name")
@click.option("--customer", required=True, help="Whose it is.")
@click.option(
    "--proved", is_flag=True, required=True, help="Say that you have seen to it that the domain is the customer's."
)
@click.option("--reason", required=True, help="How you know; kept with the domain.")
@click.pass_obj
def add(session: Session, name: str, customer: str, proved: bool, reason: str) -> None:
    """Vouch for a domain: mail from NAME, and from the domains under it, is let in for the customer."""
    domain = canonical_domain(name)
    with session.opened() as installation, installation.database.write() as tx:
        owner = load_directory(tx).customer(customer)
        added = prove_domain(tx, domain, owner, PROOF, reason, installation.clock.now())
    session.show_done(
        {"domain": domain, "customer": customer, "change": "added" if added else "same"},
        f"{domain} is proved for {owner.name}.",
        f"{domain} är styrkt för {owner.name}.",
    )


@command.command()
@click.argument("name")
@yes_option
@click.pass_obj
def remove(session: Session, name: str, yes: bool) -> None:
    """Take the proof of a domain back: new mail from it is refused from now on, and its keys are destroyed.

    What is in the queue to be signed by them is held; `ombud queue release` lets it go once the domain has a key again.
    """
    domain = canonical_domain(name)
    with session.opened() as installation:
        session.confirm(
            yes,
            f"Refuse all new mail from {domain}, and destroy its keys? What is queued to be signed by them will be held. "
            "Leave their records in DNS for a week: receivers still check what has left.",
            f"Neka all ny e-post från {domain} och förstör dess nycklar? Det som är köat för att signeras med dem hålls kvar. "
            "Låt deras poster stå kvar i DNS en vecka: mottagarna kontrollerar fortfarande det som har skickats.",
        )
        with installation.database.write() as tx:
            forget_domain(tx, domain)
    session.show_done(
        {"domain": domain, "change": "removed"}, f"{domain} is not proved any more.", f"{domain} är inte styrkt längre."
    )


@command.command()
@click.argument("name", required=False)
@click.option("--bind", is_flag=True, help="Print lines for a zone file.")
@click.pass_obj
def keys(session: Session, name: str | None, bind: bool) -> None:
    """Show the DNS records that must be published for the keys in use: of one domain, or of all."""
    with session.opened() as installation, installation.database.read() as tx:
        records = key_records(tx, _domain(tx, name).name if name else None)
    if bind:
        for record in records:
            click.echo(zone_line(record.name, record.value))
    else:
        session.show_rows([_record(record.name, record.value) for record in records], "name", "type", "value")


def _record(name: str, value: str) -> dict[str, str]:
    return {"name": name, "type": "TXT", "value": value}


def zone_line(name: str, value: str) -> str:
    """A TXT record as a zone file has it (RFC 1035 5.1). The value is ASCII."""
    parts = [value[start : start + _STRING] for start in range(0, len(value), _STRING)]
    strings = " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
    return f"{name}. {_TTL} IN TXT {strings}"


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
    key = dkim.new_key(canonical_domain(name), selector, cast("Algorithm", algorithm))
    with session.opened() as installation, installation.database.write() as tx:
        domain = _domain(tx, name)
        if selector in (known for known, _ in active_keys(tx, domain.name)):
            raise BadField(field="selector", reason=f"{domain.name} has a key of that name already")
        record = keep_key(tx, installation.seal, key, installation.clock.now())
    session.show_one(_record(record.name, record.value))
