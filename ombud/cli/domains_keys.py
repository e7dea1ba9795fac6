"""`ombud domains rotate-dkim`: changing the keys that sign, with no moment in which a mail fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import click

from ombud.cli.session import Command, Session, yes_option

if TYPE_CHECKING:
    from ombud.db import Transaction
    from ombud.dns import Resolver
    from ombud.domains import Key, Rotation
    from ombud.installation import Installation
    from ombud.mail.dkim import Algorithm

ALGORITHMS = ("rsa-sha256", "ed25519-sha256")
#: What is next for a key in each state: for people, Swedish and English.
_NEXT = {
    "next": ("ska publiceras", "is to be published"),
    "published": ("väntar på att synas", "waits to be seen"),
    "seen": ("kan ta över", "can take over"),
    "active": ("signerar", "signs"),
    "retiring": ("finns kvar för mejl på väg", "stays for mail on its way"),
}


def resolver_of(installation: Installation) -> Resolver:
    """Asks DNS as the installation's settings say."""
    from ombud.dns import Resolver

    settings = installation.settings
    return Resolver(settings.delivery.dns_servers, authority_port=settings.dns.authority_port)


def rotation_of(installation: Installation) -> Rotation:
    from ombud.domains import Rotation

    database = installation.database
    return Rotation.of(
        installation.settings.dns, installation.seal, resolver_of(installation), database.reading, database.writing
    )


@click.command("rotate-dkim", cls=Command)
@click.argument("name", required=False)
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0], show_default=True, help="Which key.")
@click.option("--selector", default="", help="What to call the next key; the default goes on from the present one.")
@click.option(
    "--revoke-old",
    is_flag=True,
    help="Take the old key back now: somebody else may have it. Mail on its way then fails.",
)
@click.option(
    "--step", is_flag=True, help="Take every step that is due now, of all domains, as the service does each minute."
)
@yes_option
@click.pass_obj
def rotate_dkim(
    session: Session, name: str | None, algorithm: str, selector: str, revoke_old: bool, step: bool, yes: bool
) -> None:  # fmt: skip
    """Change the DKIM key of NAME, or show every change that is under way.

    The next key is published and seen by everybody before mail is signed with it; the old one can be verified until no mail
    signed with it can be on its way. The running service takes the steps. Where the customer publishes the keys, the record
    that is shown must be put into the customer's DNS first.
    """
    from ombud.domains.rotation import rotating

    with session.opened() as installation:
        if name:
            _ask(session, installation, name, cast("Algorithm", algorithm), selector, revoke_old, yes)
        if step:
            done = asyncio.run(rotation_of(installation).round(installation.clock.now()))
            if done.refused:
                from ombud.errors import ZoneNotTaken

                raise ZoneNotTaken(zone=installation.settings.dns.vendor_zone, reason=done.refused)
        with installation.database.read() as tx:
            domain = _domain(tx, name) if name else None
            rows = [_row(session, key) for key in _keys(tx, domain, rotating)]
    session.show_rows(
        rows, "domain", "selector", "algorithm", "state", "next", "since", "record", spare=("algorithm", "record")
    )


def _keys(tx: Transaction, domain: str | None, rotating: Callable[..., list[Key]]) -> list[Key]:
    from ombud.domains import keys_of

    return keys_of(tx, domain) if domain else rotating(tx)


def _domain(tx: Transaction, name: str) -> str:
    """Raises NotFound."""
    from ombud.domains import load_ownership
    from ombud.domains.names import typed_domain
    from ombud.errors import NotFound

    canonical = typed_domain(name)
    if canonical not in load_ownership(tx).domains:
        raise NotFound(kind="domain", name=canonical)
    return canonical


def _ask(
    session: Session, installation: Installation, name: str, algorithm: Algorithm, selector: str, revoke_old: bool, yes: bool
) -> None:  # fmt: skip
    from ombud.domains import put_next
    from ombud.domains.rotation import ask_switch, end_hold, plan_rotation
    from ombud.mail import dkim

    now, zone = installation.clock.now(), installation.settings.dns.vendor_zone.lower().rstrip(".")
    if revoke_old:
        session.confirm(
            yes,
            f"Take the old key of {name} back at once? Mail that is on its way and signed with it will fail.",
            f"Återkalla den gamla nyckeln för {name} genast? Mejl som är på väg och signerat med den kommer att underkännas.",
        )
        with installation.database.write() as tx:
            end_hold(tx, _domain(tx, name), now)
        return
    with installation.database.read() as tx:
        wish = plan_rotation(tx, _domain(tx, name), algorithm, zone, now, selector)
    # Made outside the transaction: RSA takes long enough to keep every other writer waiting.
    key = None if wish.waiting else dkim.new_key(wish.domain, wish.selector, algorithm)
    with installation.database.write() as tx:
        if wish.waiting:
            ask_switch(tx, wish.waiting, now)
        elif key:
            put_next(tx, installation.seal, key, now, vendor_zone=wish.vendor_zone, switch_at=now)


def _row(session: Session, key: Key) -> dict[str, Any]:
    moments = (key.retired_at, key.activated_at, key.seen_at, key.published_at, key.created_at)
    return {
        "domain": key.domain, "selector": key.selector, "algorithm": key.algorithm, "state": key.state.value,
        "next": session.say(*reversed(_NEXT[key.state.value])), "since": next(one for one in moments if one),
        "switch_at": key.switch_at, "keep_until": key.keep_until, "name": key.name, "home": key.home or None,
        "record": key.record,
    }  # fmt: skip
