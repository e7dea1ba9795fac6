"""`ombud webhooks`: where other systems are told."""

from __future__ import annotations

import click

from ombud.apply.customers import check_slug
from ombud.cli.session import Group, Session, yes_option
from ombud.notices.outbox import Kind, put_notice
from ombud.notices.webhooks import load_webhooks, new_webhook_secret, put_webhook, remove_webhook


@click.group("webhooks", cls=Group)
def command() -> None:
    """Where other systems are told, such as the service centre."""


@command.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List the webhooks; their secrets are not shown."""
    with session.opened() as installation, installation.database.read() as tx:
        found = load_webhooks(tx, installation.seal).values()
    session.show_rows([{"slug": one.slug, "url": one.url} for one in found], "slug", "url")


@command.command()
@click.argument("slug")
@click.argument("url")
@click.option("--new-secret", is_flag=True, help="Change the secret of one that there is.")
@click.pass_obj
def add(session: Session, slug: str, url: str, new_secret: bool) -> None:
    """Add a webhook, or change its address. A new secret is shown once: the receiver checks signatures with it."""
    check_slug(slug)
    with session.opened() as installation, installation.database.write() as tx:
        known = slug in load_webhooks(tx, installation.seal)
        secret = new_webhook_secret() if new_secret or not known else ""
        put_webhook(tx, installation.seal, slug, url, secret, installation.clock.now())
    shown = f" {secret}" if secret else ""
    session.show_done(
        {"slug": slug, "url": url, "secret": secret or None},
        f"{slug} tells {url}.{f' Its secret:{shown}' if secret else ''}",
        f"{slug} meddelar {url}.{f' Hemligheten:{shown}' if secret else ''}",
    )


@command.command()
@click.argument("slug")
@click.pass_obj
def test(session: Session, slug: str) -> None:
    """Tell it something that means nothing; a running service does it, and `ombud notices` shows how it went."""
    with session.opened() as installation, installation.database.write() as tx:
        ref = put_notice(tx, Kind.WEBHOOK, slug, {"type": "test"}, installation.clock.now(), about="test")
    session.show_done({"notice": ref}, f"On its way: ombud notices show {ref}", f"På väg: ombud notices show {ref}")


@command.command()
@click.argument("slug")
@yes_option
@click.pass_obj
def remove(session: Session, slug: str, yes: bool) -> None:
    """Tell it nothing more. What waits for it goes on waiting, for a new one of that name."""
    with session.opened() as installation:
        session.confirm(yes, f"Tell {slug} nothing more?", f"Sluta meddela {slug}?")
        with installation.database.write() as tx:
            remove_webhook(tx, slug, installation.clock.now())
    session.show_done({"slug": slug, "change": "removed"}, f"{slug} is removed.", f"{slug} är borttagen.")
