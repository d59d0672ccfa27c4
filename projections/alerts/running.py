"""Alerts while something runs: one thread sweeps, and one for each rule sends.

The thread that sweeps looks whether something was published. So it does not matter which process publishes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from projections.alerts.database import alerts_file
from projections.alerts.outbox import make_digest, queue_of
from projections.alerts.sweep import has_due, sweep
from projections.alerts.targets import target_of
from projections.outbox.sending import Outgoing, Sender, Work
from projections.views.publications import PUBLISHED_DB, End, reader
from tracker.alert import Alert
from tracker.store.clock import wall_clock


def senders(data: Path, alerts: Sequence[Alert], now: Callable[[], datetime] = wall_clock) -> list[Sender]:
    """Raises ``UsageError`` where one cannot be sent."""
    queue = queue_of(data)
    return [
        Sender(
            queue, "alert", alert.name, target_of(alert, os.environ), now, partial(make_digest, queue, alert)
        )
        for alert in alerts
    ]


class Alerts(Outgoing):
    """The threads. ``load`` reads the rules anew."""

    def __init__(
        self,
        data: Path,
        load: Callable[[], Sequence[Alert]],
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        super().__init__("alerts", partial(_work, data, load, now))


def _work(data: Path, load: Callable[[], Sequence[Alert]], now: Callable[[], datetime]) -> Work:
    alerts = load()
    end: End | None = None

    def look() -> None:
        nonlocal end
        if not alerts and not alerts_file(data).path.exists():
            return
        if end is None or _is_due(data, end, now()):
            end = sweep(data, alerts, now(), end)

    return Work(senders(data, alerts, now), look, always=True)  # somebody may look after what no rule is about


def _is_due(data: Path, end: End, moment: datetime) -> bool:
    with reader(data / PUBLISHED_DB) as published:
        if published is None or published.end != end:
            return True
    with alerts_file(data).to_read() as connection:
        return connection is None or has_due(connection, moment)
