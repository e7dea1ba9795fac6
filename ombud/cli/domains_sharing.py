"""`ombud domains share`: a link for the one who keeps a domain's DNS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ombud.cli.operator import by_option
from ombud.cli.session import Command, Session, yes_option

if TYPE_CHECKING:
    from ombud.accounts.links import Link
    from ombud.db import Transaction


@click.command("share", cls=Command)
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 366), default=40, show_default=True, help="How long the link lives.")
@click.option("--renew", is_flag=True, help="Let the links that there are live on, and make no new one.")
@click.option("--revoke", is_flag=True, help="Let nobody open the page any more.")
@click.option(
    "--list", "only_list", is_flag=True, help="Show the links that there are, and what was said through them."
)
@by_option
@yes_option
@click.pass_obj
def share(
    session: Session, name: str, days: int, renew: bool, revoke: bool, only_list: bool, by: str, yes: bool
) -> None:  # fmt: skip
    """Make a link to the page of NAME: what must stand in its DNS, for whoever keeps it. It needs no log-in and opens nothing else.

    Whoever has the link can see the page, and say "done" or "I cannot, because". The link is shown once."""
    from ombud.campaigns.mailing import base_url
    from ombud.domains import shares
    from ombud.domains.names import typed_domain

    domain = typed_domain(name)
    if sum((renew, revoke, only_list)) > 1:
        raise click.UsageError("Give one of --renew, --revoke and --list.")
    if revoke:
        session.confirm(yes, f"Close the page of {domain} for everybody?", f"Stänga sidan för {domain} för alla?")
    with session.opened() as installation, installation.database.write() as tx:
        now = installation.clock.now()
        if only_list:
            rows = [_row(tx, one) for one in shares.shares_of(tx, domain)]
        elif renew or revoke:
            number = shares.revoke_shares(tx, domain, now) if revoke else shares.renew_shares(tx, domain, now, days)
        else:
            token = shares.share(tx, installation.seal, domain, by, now, days=days)
            base = base_url(installation.settings)
    if only_list:
        session.show_rows(rows, "made", "by", "until", "revoked_at", "said")
    elif renew or revoke:
        session.show_done(
            {"domain": domain, "links": number, "change": "revoked" if revoke else "renewed"},
            f"{number} links: {'closed' if revoke else 'renewed'}.",
            f"{number} länkar: {'stängda' if revoke else 'förlängda'}.",
        )
    else:
        url = f"{base}/d/{token}"
        session.show_done({"domain": domain, "url": url, "api": f"{base}/v1/shares/{token}", "days": days}, url, url)


def _row(tx: Transaction, link: Link) -> dict[str, Any]:
    from ombud.accounts.links import uses_of

    said = [
        f"{use.at:%Y-%m-%d} {use.what}" + (f": {use.answer['reason']}" if use.answer.get("reason") else "")
        for use in uses_of(tx, link.id)
    ]
    return {
        "made": link.created_at,
        "by": link.by,
        "until": link.expires_at,
        "revoked_at": link.revoked_at,
        "said": said,
    }
