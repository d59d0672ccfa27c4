"""``/metrics`` for Prometheus: what is in the read models, and what the receiver and the follower have counted.

No label is an id. A webhook type is a label only where a lifecycle declares it; all others share one, so that nobody
can make the metrics grow by sending types. What is counted begins at 0 when the server starts, as counters do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import accumulate
from typing import Any

import attrs
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projections.alerts import outbox as alerts
from projections.read_models import ReadModels
from projections.read_models.sessions import LIVE
from projections.read_models.types import UNKNOWN
from projections.relay import database as relay
from projections.web.snapshot import snapshot
from projections.web.tokens import GUARDED
from tracker.delivery.envelope import parse_time
from tracker.errors import StoreError
from tracker.judging.state import LOST
from tracker.lifecycles import REGISTRY

Samples = Iterable[tuple[tuple[str, ...], float]]


async def metrics(request: Request) -> Response:
    body = await run_in_threadpool(_exposition, request.app.state)
    return Response(body, headers={"cache-control": "no-store"}, media_type=CONTENT_TYPE_LATEST)


def _exposition(state: State) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Tracker(state))
    return generate_latest(registry)


@attrs.frozen
class _Tracker(Collector):
    state: State

    def collect(self) -> Iterator[Metric]:
        receiver, live = self.state.receiver, self.state.live
        failing = []
        if receiver is not None:
            yield from _received(receiver)
            failing.append((("store",), bool(receiver.problem)))
        if live is not None:
            yield from _judged(live, self.state.watch)
            failing.append((("read_models",), bool(live.problem) or not self.state.watch.is_following))
            with suppress(StoreError):
                yield from list(_outgoing(live))
        failing += [((part.name,), bool(part.problem)) for part in self.state.beside]
        loss = self.state.watch.loss
        yield _gauge(
            "tracker_lost_deliveries",
            "Deliveries that had been judged and are not in the store; 0 once that is accepted.",
            (),
            [((), loss.gone if loss else 0)],
        )
        yield _gauge("tracker_failing", "1 where the last attempt failed.", ("part",), failing)
        if live is not None:
            with (
                suppress(StoreError),
                snapshot(self.state) as of,
            ):  # what was counted is wanted then most of all
                yield from list(_stored(of.db))


def _received(receiver: Any) -> Iterator[Metric]:
    """Since the start, by this process."""
    yield _counter(
        "tracker_webhooks_stored", "Webhooks received and stored.", (), [((), receiver.stats.stored)]
    )
    refused = {(reason,): count for reason, count in receiver.stats.refused.items()}
    yield _counter("tracker_webhooks_refused", "Webhooks not accepted.", ("reason",), refused.items())
    failures = receiver.stats.refused["signature"]
    yield _counter("tracker_signature_failures", "Webhooks whose signature is not right.", (), [((), failures)])
    yield _gauge(
        "tracker_signatures_verified",
        "0 where it was started with --insecure-no-verify.",
        (),
        [((), not receiver.insecure)],
    )
    yield _histogram("tracker_commit_batch_size", "Webhooks in one transaction.", receiver.stats.batch_sizes)
    yield _histogram(
        "tracker_append_seconds", "Seconds that a transaction took.", receiver.stats.append_seconds
    )
    yield _gauge(
        "tracker_clock_behind_seconds",
        "Seconds by which the clock is behind the newest receive time.",
        (),
        [((), receiver.clock.behind)],
    )
    yield _gauge("tracker_webhooks_queued", "Webhooks that wait to be stored.", (), [((), receiver.queued)])


def _judged(live: Any, watch: Any) -> Iterator[Metric]:
    """Since the start, by this process."""
    yield _counter(
        "tracker_deliveries",
        "Deliveries judged, by webhook type and by what each was taken for.",
        ("type", "reading"),
        {
            (UNKNOWN, "unrouted"): 0,
            **live.readings,
        }.items(),  # from the first one on it shows that there was none
    )
    yield _gauge("tracker_lag_deliveries", "Deliveries stored and not yet judged.", (), [((), live.lag)])
    yield _gauge(
        "tracker_oldest_unjudged_seconds",
        "Seconds that the oldest delivery which is not judged has waited.",
        (),
        [((), watch.waited)],
    )
    yield _gauge(
        "tracker_position", "The position up to which is judged.", (), [((), live.checkpoint_position)]
    )


def _outgoing(live: Any) -> Iterator[Metric]:
    data = live.views_path.parent
    waiting, dead = alerts.queue_of(data).counts()
    yield _gauge("tracker_alerts_pending", "Messages of alerts that are yet to be sent.", (), [((), waiting)])
    yield _gauge("tracker_alerts_dead", "Messages of alerts that could not be delivered.", (), [((), dead)])
    waiting, dead = relay.queue_of(data).counts()
    yield _gauge("tracker_relay_pending", "Messages of the relay that are yet to be sent.", (), [((), waiting)])
    yield _gauge("tracker_relay_dead", "Messages of the relay that could not be delivered.", (), [((), dead)])


def _stored(db: ReadModels) -> Iterator[Metric]:
    """As the read models have it now."""
    yield _gauge(
        "tracker_findings",
        "Findings that have settled, by code, lifecycle and severity.",
        ("code", "lifecycle", "severity"),
        _rows(
            db,
            "SELECT code, COALESCE(lifecycle, ''), severity, COUNT(*) FROM findings "
            "WHERE verdict != 'provisional' GROUP BY 1, 2, 3",
        ),
    )
    yield _gauge("tracker_sessions", "Sessions by state.", ("state",), _rows(db, f"{_SESSIONS} GROUP BY 1"))
    found = list(_open(db))
    yield _gauge(
        "tracker_open_aggregates",
        "What has begun and not ended, by state.",
        ("lifecycle", "state"),
        (((lifecycle, state), count) for lifecycle, state, count, _ in found),
    )
    oldest: dict[tuple[str, ...], float] = {}
    for lifecycle, _, _, since in found:
        begun = parse_time(since or "")
        if begun is not None:
            oldest[lifecycle,] = min(begun.timestamp(), oldest.get((lifecycle,), begun.timestamp()))
    yield _gauge(
        "tracker_oldest_open_timestamp_seconds",
        "When the oldest one began that has not ended.",
        ("lifecycle",),
        oldest.items(),
    )


_SESSIONS = "SELECT state, COUNT(*) FROM sessions"


def _open(db: ReadModels) -> Iterator[tuple[str, str, int, str | None]]:
    """Lifecycle, state, how many of them are open, and when the oldest began."""
    sessions, visits, runs = [], [], {}
    for one in REGISTRY.values():
        if one.is_session:
            sessions.append(one.name)
        elif one.is_presence:
            visits.append((one.name, one.ends))
        else:
            runs[one.name] = {*one.ends, LOST}
    for name in sessions:
        for row in db.execute(
            f"SELECT state, COUNT(*), MIN(first_seen_at) FROM sessions WHERE {LIVE} GROUP BY 1"
        ):
            yield name, *row
    for name, ends in visits:
        for row in db.execute("SELECT state, COUNT(*), MIN(joined_at) FROM participants GROUP BY 1"):
            if row[0] not in ends:
                yield name, *row
    for row in db.execute("SELECT lifecycle, state, COUNT(*), MIN(first_step_at) FROM runs GROUP BY 1, 2"):
        if row[1] not in runs[row[0]]:
            yield row


def _rows(db: ReadModels, select: str) -> Samples:
    """A SELECT whose last column is the value and whose others are labels."""
    return [(tuple(labels), value) for *labels, value in db.execute(select)]


def _counter(name: str, about: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    return _filled(CounterMetricFamily(name, about, labels=labels), samples)


def _gauge(name: str, about: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    return _filled(GaugeMetricFamily(name, about, labels=labels), samples)


def _filled(family: Any, samples: Samples) -> Metric:
    for labels, value in samples:
        family.add_metric(labels, float(value))
    metric: Metric = family
    return metric


def _histogram(name: str, about: str, counted: Any) -> Metric:
    bounds = [*map(floatToGoString, counted.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(counted.counts), strict=True))
    return HistogramMetricFamily(name, about, buckets=buckets, sum_value=counted.sum)


routes = [Route("/metrics", metrics, middleware=GUARDED)]
