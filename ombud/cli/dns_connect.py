"""`ombud dns connect`: the link by which a DNS host puts the records in by itself (Domain Connect), where it offers that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from ombud.cli.session import NOT_OK, Command, Session

if TYPE_CHECKING:
    from ombud.domains.domainconnect import Offer, Template
    from ombud.installation import Installation


@click.command("connect", cls=Command)
@click.argument("domain", required=False)
@click.option("--redirect", default="", metavar="URL", help="Where the host sends the customer back to.")
@click.option("--public-key", is_flag=True, help="Show the TXT records by which hosts verify our links.")
@click.option(
    "--template", "as_template", is_flag=True, help="Print the template for domains that need what DOMAIN needs."
)
@click.pass_context
def connect(ctx: click.Context, domain: str | None, redirect: str, public_key: bool, as_template: bool) -> None:
    """Ask whether DOMAIN's host offers Domain Connect for our template, and show the signed link. Exit code 3: it does not.

    Nothing that the host says is trusted: whether the records are there is seen in DNS.
    """
    from ombud.domains.domainconnect import public_key_texts

    session: Session = ctx.obj
    with session.opened() as installation:
        template = template_of(installation)
        if public_key:
            if template.private is None:
                raise click.UsageError("Set dns.connect_key first.")
            rows = [{"name": template.key, "type": "TXT", "value": text} for text in public_key_texts(template.private)]
            session.show_rows(rows, "name", "type", "value")
            return
        if not domain:
            raise click.UsageError("Name a domain, or give --public-key.")
        if as_template:
            click.echo(_template(installation, template, domain), nl=False)
            return
        values = asyncio.run(_offered(installation, template, domain, redirect))
    session.show_one(values)
    if not values["url"]:
        ctx.exit(NOT_OK)


def template_of(installation: Installation) -> Template:
    """Raises Misconfigured."""
    from ombud.domains.domainconnect import Template, load_private
    from ombud.errors import Misconfigured

    settings = installation.settings.dns
    provider, slash, service = settings.connect_template.partition("/")
    if not (provider and slash and service):
        raise Misconfigured(reason="dns.connect_template is not set to PROVIDER/SERVICE")
    try:
        private = load_private(settings.connect_key.read_bytes()) if settings.connect_key else None
    except OSError as error:
        raise Misconfigured(reason=f"dns.connect_key: {error}") from error
    return Template(provider, service, settings.connect_key_host, private)


async def _offered(installation: Installation, template: Template, typed: str, redirect: str) -> dict[str, Any]:
    from ombud.cli.domains_keys import resolver_of
    from ombud.cli.domains_publish import to_publish
    from ombud.domains.domainconnect import apply_url, covers, discover
    from ombud.domains.fetching import fetching
    from ombud.domains.names import typed_domain
    from ombud.ids import new_handle
    from ombud.mail.records import Weight
    from ombud.notices.posting import may_connect

    domain = typed_domain(typed)
    wanted, _, zone = to_publish(installation, domain)
    required = [record for record in wanted if record.weight is Weight.REQUIRED]
    resolver = resolver_of(installation)
    offer: Offer | None = None
    if covers(required):
        offer = await discover(resolver.ask, fetching(resolver.addresses, may_connect), zone, template)
    url = apply_url(offer, template, domain, zone, required, state=new_handle(), redirect=redirect) if offer else None
    return {"domain": domain, "host": offer.host if offer else None, "covered": covers(required), "url": url}


def _template(installation: Installation, template: Template, typed: str) -> str:
    from ombud.cli.domains_publish import to_publish
    from ombud.domains.domainconnect import template_json
    from ombud.domains.names import typed_domain

    domain = typed_domain(typed)
    wanted, _, _ = to_publish(installation, domain)
    name = installation.settings.service.name
    return template_json(template, wanted, domain, name=name, key_domain=template.provider_id)
