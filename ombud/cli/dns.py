"""`ombud dns`: what the domain name system says, and what it is to say."""

from __future__ import annotations

import click

from ombud.cli.dns_connect import connect
from ombud.cli.dns_explain import explain, host
from ombud.cli.dns_spf import spf
from ombud.cli.dns_zone import zone
from ombud.cli.session import Group


@click.group("dns", cls=Group)
def command() -> None:
    """What the domain name system says of domains, and what it is to say."""


for verb in (explain, host, connect, spf, zone):
    command.add_command(verb)
