"""What Prometheus reads: one table of what is measured, each with its help text; `docs/metrics.md` is made from it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from ombud import __version__, queue
from ombud.db import Database, GroupCommit
from ombud.db.snapshot import Snapshot
from ombud.delivery import Delivery, Following
from ombud.notices.outbox import Backlog, backlog
from ombud.queue import State
from ombud.routing import Facts
from ombud.smtp import SubmissionDoor
from ombud.submission import Submissions

#: What waits in the database is counted at most so often, in seconds.
COUNT_EVERY = 5.0
#: A scrape that wants a new count waits so long for it, in seconds, and then makes do with the last one.
PATIENCE = 0.01

#: The values of a metric's labels, and its value with them.
Samples = Iterable[tuple[tuple[str, ...], float]]


class Measured(Protocol):
    """The service, as far as it is measured."""

    @property
    def database(self) -> Database: ...
    @property
    def smtp(self) -> SubmissionDoor[Any]: ...
    @property
    def submissions(self) -> Submissions: ...
    @property
    def group(self) -> GroupCommit: ...
    @property
    def delivery(self) -> Delivery: ...
    @property
    def following(self) -> Following: ...
    @property
    def facts(self) -> Snapshot[Facts]: ...


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is measured: a counter (it only grows, and begins at 0 with the process) or a gauge (it is now so much)."""

    name: str
    help: str
    read: Callable[[_Sources], Samples]
    labels: tuple[str, ...] = ()
    gauge: bool = False


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the values come from."""

    service: Measured
    depth: _Depth


def text(service: Measured) -> bytes:
    """The service's metrics in Prometheus's text format. Costs about a millisecond; may be called from any thread."""
    if (registry := _registries.get(service)) is None:
        registry = _registries[service] = CollectorRegistry()
        registry.register(_Reader(_Sources(service, _Depth(service.database))))
        ProcessCollector(namespace="ombud", registry=registry)
    return generate_latest(registry)


@dataclass(frozen=True, slots=True)
class _Counts:
    """What waited when it was counted."""

    recipients: Mapping[State, int]
    outbox: Backlog


class _Depth:
    """How much waits in the queue and in the outbox. A thread asks the database; whoever asks this never waits long."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: _Counts | None = None
        self._counted_at = float("-inf")
        self._counting: threading.Thread | None = None
        self._lock = threading.Lock()

    def now(self) -> _Counts | None:
        """The latest count there is; None when the database has not answered."""
        with self._lock:
            if self._counting is None and time.monotonic() - self._counted_at >= COUNT_EVERY:
                self._counting = threading.Thread(target=self._count, name="count-queue", daemon=True)
                self._counting.start()
            counting = self._counting
        if counting:
            counting.join(PATIENCE)
        return self._counts

    def _count(self) -> None:
        counts: _Counts | None = None
        try:
            with self._database.read() as tx:
                recipients = Counter[State]()
                for line in queue.count(tx):
                    recipients[line.state] += line.recipients
                counts = _Counts(recipients, backlog(tx))
        except SQLAlchemyError:
            counts = None  # an old count would look as if all were well
        with self._lock:
            self._counts, self._counted_at, self._counting = counts, time.monotonic(), None


class _Reader(Collector):
    def __init__(self, sources: _Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for metric in METRICS:
            kind = GaugeMetricFamily if metric.gauge else CounterMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.read(self._sources):
                family.add_metric(labels, value)
            yield family


# Held by the service: when it goes, they go.
_registries: WeakKeyDictionary[Measured, CollectorRegistry] = WeakKeyDictionary()


# --- what is measured ----------------------------------------------------------------------------------------------


def _one(read: Callable[[Measured], float]) -> Callable[[_Sources], Samples]:
    return lambda sources: [((), read(sources.service))]


def _answers(sources: _Sources) -> Samples:
    door = sources.service.smtp
    return [(("accepted",), door.accepted), (("deferred",), door.deferred), (("refused",), door.refused)]


def _refusals(sources: _Sources) -> Samples:
    return [((code,), count) for code, count in sorted(sources.service.submissions.refused.items())]


def _outcomes(sources: _Sources) -> Samples:
    return [((result,), count) for result, count in sources.service.delivery.outcomes.items()]


def _queued(sources: _Sources) -> Samples:
    counts = sources.depth.now()
    return [((state,), counts.recipients.get(state, 0)) for state in State if not state.final] if counts else ()


def _outbox(sources: _Sources) -> Samples:
    counts = sources.depth.now()
    return [(("waiting",), counts.outbox.waiting), (("given_up",), counts.outbox.given_up)] if counts else ()


def _outbox_oldest(sources: _Sources) -> Samples:
    counts = sources.depth.now()
    return [((), counts.outbox.oldest.total_seconds())] if counts else ()


def _held(sources: _Sources) -> Samples:
    by_reason = Counter[str]()
    for one in sources.service.following.held:
        by_reason[one.reason] += one.recipients
    return [((reason,), number) for reason, number in sorted(by_reason.items())]


def _warned(sources: _Sources) -> Samples:
    return [((warning,), number) for warning, number in sorted(sources.service.submissions.warned.items())]


def _route_in_flight(sources: _Sources) -> Samples:
    return [((outlet.route.slug,), outlet.in_flight) for outlet in sources.service.delivery.outlets]


def _breaker_open(sources: _Sources) -> Samples:
    return [((outlet.route.slug,), outlet.breaker.open) for outlet in sources.service.delivery.outlets]


def _paused(sources: _Sources) -> Samples:
    return [((route.slug,), route.paused) for route in sources.service.facts.value.routes.values()]


METRICS = (
    Metric("ombud_version", "The version that runs, as a label; always 1.", lambda _: [((__version__,), 1)], ("version",), gauge=True),
    # in
    Metric("ombud_smtp_connections", "Connections that came to the submission ports.", _one(lambda s: s.smtp.connections)),
    Metric("ombud_smtp_connections_turned_away", "Of these, connections that there was no room for.", _one(lambda s: s.smtp.turned_away)),
    Metric("ombud_smtp_connections_open", "Connections to the submission ports now.", _one(lambda s: s.smtp.open), gauge=True),
    Metric("ombud_smtp_auth_failures", "Wrong user names or passwords at the submission ports.", _one(lambda s: s.smtp.auth_failures)),
    Metric("ombud_smtp_bytes", "Bytes received at the submission ports.", _one(lambda s: s.smtp.bytes)),
    Metric("ombud_smtp_messages", "Messages at the submission ports, by how they were answered (2yz, 4yz, 5yz).", _answers, ("answer",)),
    Metric("ombud_accepted_recipients", "Recipients accepted, by every door.", _one(lambda s: s.submissions.accepted)),
    Metric("ombud_warned_recipients", "Of these, recipients accepted in spite of a warning, such as gmail_at_risk.", _warned, ("warning",)),
    Metric("ombud_refused_messages", "Messages that were not accepted, by every door, by error code.", _refusals, ("code",)),
    # kept
    Metric("ombud_queue_recipients", f"Recipients in the queue by state, counted at most every {COUNT_EVERY:.0f} s. All processes of one database tell the same.", _queued, ("state",), gauge=True),
    Metric("ombud_held_recipients", "Recipients held now, by reason. All processes of one database tell the same.", _held, ("reason",), gauge=True),
    Metric("ombud_notices", "Letters and webhooks that wait to be told, and those that were given up. All processes of one database tell the same.", _outbox, ("state",), gauge=True),
    Metric("ombud_notices_oldest_seconds", "How long the oldest of those that wait has waited. All processes of one database tell the same.", _outbox_oldest, gauge=True),
    Metric("ombud_commits", "Transactions committed by group commit.", _one(lambda s: s.group.commits)),
    Metric("ombud_committed_pieces", "Pieces of work in these; by commits it is how well they group.", _one(lambda s: s.group.pieces)),
    # out
    Metric("ombud_attempts", "Tries at recipients that ended, by what they led to.", _outcomes, ("result",)),
    Metric("ombud_delivery_in_flight", "Pieces of work in the delivery worker's hands now.", _one(lambda s: s.delivery.in_flight), gauge=True),
    Metric("ombud_route_in_flight", "Messages in hand now, by route.", _route_in_flight, ("route",), gauge=True),
    Metric("ombud_route_breaker_open", "1 while a route is not tried because it failed time after time, by route.", _breaker_open, ("route",), gauge=True),
    Metric("ombud_route_paused", "1 while an operator has paused the route.", _paused, ("route",), gauge=True),
)  # fmt: skip
