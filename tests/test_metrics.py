"""What Prometheus reads: from a real service at work, and in Prometheus's own reading of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from ombud import metrics
from ombud.accounts import Mode, create_credential, load_directory, put_customer, put_product
from ombud.db.database import READERS
from ombud.domains import prove_domain
from ombud.errors import BadMessage
from ombud.installation import opened
from ombud.mail.address import parse_address
from ombud.notices.outbox import GIVE_UP_AFTER, notice_table, put_notice
from ombud.queue import State
from ombud.routing import assign, load_facts, pause_route, put_route
from ombud.service import Service
from ombud.submission import Submission

NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)
HIS = parse_address("hyra@eken.example")
HERS = parse_address("anna@post.example")
CONTENT = b"From: hyra@eken.example\r\nSubject: Avi\r\n\r\nHej\r\n"
WAITING = "ombud_queue_recipients{state=waiting}"
WAITING_LINE = 'ombud_queue_recipients{state="waiting"}'


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service with a live route that is paused and the test route that is not; ports of its own choosing."""
    ports = {"smtp": {"starttls_port": 0, "tls_port": 0}, "http": {"port": 0}, "service": {"min_free": 0}}
    with opened(tmp_path, **ports) as installation:
        with installation.database.write() as tx:
            put_customer(tx, "eken", "Bostads AB Eken", NOON)
            put_product(tx, "hyra", "Hyra", NOON)
            directory = load_directory(tx)
            eken, hyra = directory.customer("eken"), directory.product("hyra")
            put_route(tx, installation.seal, "relay", "nowhere", {}, None, NOON)
            pause_route(tx, "relay", NOON)
            relay = load_facts(tx).route("relay")
            assert relay
            assign(tx, eken.id, None, relay.id, NOON)
            prove_domain(tx, "eken.example", eken, "operator", "", NOON)
            for n in range(2):  # for a webhook that is not there
                put_notice(tx, "webhook", "centre", {"n": n}, NOON)
            due, put_at = notice_table.c.due_at, tx.now - timedelta(hours=1)
            later = {due: tx.now + timedelta(hours=1), notice_table.c.gives_up_at: put_at + GIVE_UP_AFTER}
            tx.execute(notice_table.update().values(later))
            keys = [create_credential(tx, hyra, eken, mode, NOON).api_key for mode in (Mode.LIVE, Mode.TEST)]
        running = Service(installation)
        await running.start()
        for key in keys:
            sender = running.submissions.authenticate_key(key)
            await running.submissions.submit(sender, Submission(HIS, (HERS,), CONTENT, "http"))
            with pytest.raises(BadMessage):
                await running.submissions.submit(sender, Submission(HIS, (HERS,), b"From: a\n\n", "http"))
        await until(lambda: sum(running.delivery.outcomes.values()) == 1)
        yield running
        await running.stop()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)  # what is waited for happens in threads, which set no event


def forget_the_live_mail(service: Service) -> None:
    with service.database.write() as tx:
        tx.execute(text("UPDATE recipient SET state = 'cancelled', due_at = NULL WHERE state = 'waiting'"))


async def read(service: Service) -> dict[str, float]:
    """Every sample as Prometheus's own parser reads it, by `name{label=value}`."""
    await until(lambda: b"ombud_queue_recipients{" in metrics.text(service))  # the queue is counted by a thread
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(metrics.text(service).decode())
        for sample in family.samples
    }


async def test_what_the_service_has_done_can_be_read(service: Service) -> None:
    found = await read(service)
    assert found["ombud_accepted_recipients_total"] == 2
    assert found["ombud_refused_messages_total{code=bare_line_break}"] == 2
    assert found["ombud_attempts_total{result=delivered}"] == 1
    assert found["ombud_attempts_total{result=unknown}"] == 0
    assert found["ombud_smtp_messages_total{answer=accepted}"] == 0
    assert found[WAITING] == 1
    assert found["ombud_notices{state=waiting}"] == 2
    assert found["ombud_notices{state=given_up}"] == 0
    assert 3600 <= found["ombud_notices_oldest_seconds"] < 3700
    assert found["ombud_route_paused{route=relay}"] == 1
    assert found["ombud_route_paused{route=test}"] == 0
    assert found["ombud_route_breaker_open{route=test}"] == 0
    assert found["ombud_commits_total"] >= 3
    assert found["ombud_committed_pieces_total"] >= found["ombud_commits_total"]


async def test_the_queue_is_every_state_that_is_not_final(service: Service) -> None:
    found = await read(service)
    states = {name.partition("=")[2].rstrip("}") for name in found if name.startswith("ombud_queue_recipients")}
    assert states == {state for state in State if not state.final}


async def test_every_metric_is_ours_has_a_help_text_and_is_in_the_table(service: Service) -> None:
    families = [*text_string_to_metric_families(metrics.text(service).decode())]
    assert all(family.name.startswith("ombud_") and family.documentation for family in families)
    own = {family.name for family in families if not family.name.startswith("ombud_process_")}
    assert own == {metric.name for metric in metrics.METRICS}


async def test_the_queue_is_counted_at_most_every_few_seconds(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await read(service))[WAITING] == 1
    forget_the_live_mail(service)
    assert (await read(service))[WAITING] == 1
    monkeypatch.setattr(metrics, "COUNT_EVERY", 0.0)
    await until(lambda: f"{WAITING_LINE} 0.0" in metrics.text(service).decode())


async def test_without_a_database_the_rest_can_still_be_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await read(service)
    with service.database.write() as tx:
        tx.execute(text("ALTER TABLE recipient RENAME TO gone"))
    monkeypatch.setattr(metrics, "COUNT_EVERY", 0.0)
    await until(lambda: b"ombud_queue_recipients{" not in metrics.text(service))
    assert b"ombud_accepted_recipients_total 2.0" in metrics.text(service)
    with service.database.write() as tx:
        tx.execute(text("ALTER TABLE gone RENAME TO recipient"))


async def test_a_slow_count_never_holds_up_a_scrape(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await read(service)
    forget_the_live_mail(service)
    monkeypatch.setattr(metrics, "COUNT_EVERY", 0.0)
    with ExitStack() as busy:
        for _ in range(READERS):
            busy.enter_context(service.database.read())
        began = time.monotonic()
        for _ in range(5):
            assert f"{WAITING_LINE} 1.0" in metrics.text(service).decode()  # the last count there is
        assert time.monotonic() - began < 1
    await until(lambda: f"{WAITING_LINE} 0.0" in metrics.text(service).decode())
