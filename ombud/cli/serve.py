"""`ombud serve`: run the service until a signal ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial

import click
import structlog
import uvloop

from ombud import maillog
from ombud.cli.session import Command, Session
from ombud.errors import Misconfigured
from ombud.installation import Installation
from ombud.service import Service, serve

log = structlog.get_logger("ombud.cli")

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@click.command("serve", cls=Command)
@click.pass_obj
def command(session: Session) -> None:
    """Run the service: both doors, delivery and the jobs. The installation is made if it is not there.

    SIGTERM or Ctrl-C: close the doors, finish what is under way, stop. A second Ctrl-C: stop at once; nothing accepted is
    lost by that. SIGHUP: read the certificates again.
    """
    with session.opened(make=True) as installation:
        maillog.configure(installation.settings.log)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(session, installation))
        except OSError as error:
            raise Misconfigured(reason=f"cannot listen: {error}") from error


async def _serve(session: Session, installation: Installation) -> None:
    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, until.set)
    loop.add_signal_handler(signal.SIGINT, _interrupted, until)
    await serve(installation, until, partial(_started, session))


def _interrupted(until: asyncio.Event) -> None:
    if until.is_set():
        # The queue is made for this: what was leased is due again, what was at its final dot is `unknown`.
        maillog.flush()
        os._exit(INTERRUPTED)
    until.set()


def _started(session: Session, service: Service) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, service)
    smtp, http = service.settings.smtp, service.settings.http
    url = http.public_url or f"http://{http.host}:{service.http.port}"
    ports = {"starttls_port": service.smtp.starttls_port, "tls_port": service.smtp.tls_port}
    if session.as_json:
        session.show_json({"smtp": {"host": smtp.host, **ports}, "http": url, "pid": os.getpid()})
        return
    click.echo(
        session.say(
            f"Ombud is up in {service.installation.directory}.", f"Ombud är igång i {service.installation.directory}."
        )
    )
    click.echo(f"  SMTP  {smtp.host}  STARTTLS {ports['starttls_port']}  TLS {ports['tls_port']}")
    click.echo(f"  HTTP  {url}")
    click.echo(session.say("Ctrl-C stops it.", "Ctrl-C stannar tjänsten."))


def _reload(service: Service) -> None:
    try:
        service.reload()
    except Misconfigured as error:
        log.error("reload_failed", error=error.text())  # the old certificate goes on serving
