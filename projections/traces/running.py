"""Exporting while a server runs: one thread looks what is closed out by now."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from projections.outbox.queue import delay
from projections.outbox.sending import Outgoing, Work
from projections.traces.exported import Exporter
from projections.views.database import VIEWS_DB
from tracker.rules import Rules

POLL = 5.0
"""Seconds."""
LONGEST = 3
"""After so many attempts in a row that failed, the delays grow no more: that is half an hour."""
LATE = timedelta(days=1)
"""A session that was last seen by so much longer ago than one may be idle is of an old log, and collectors refuse it."""

log = logging.getLogger("projections.traces")


class Traces(Outgoing):
    """The thread.

    ``load`` gives the collector that the configuration names now, ``None`` where it names none; ``end`` the last position
    of the store; ``rules`` and ``now`` those by which is judged now.
    """

    def __init__(
        self,
        data: Path,
        load: Callable[[], Any],
        end: Callable[[], int],
        rules: Callable[[], Rules],
        now: Callable[[], datetime],
    ) -> None:
        super().__init__("traces", partial(_work, data, load, end, rules, now), _pause)

    def reload(self) -> int:
        """As ``Outgoing.reload``; returns how many collectors there are."""
        super().reload()
        return int(self._work.always)


def _pause(failed: int) -> float:
    return delay(min(failed, LONGEST)).total_seconds() if failed else POLL


def exporter(data: Path, collector: Any, rules: Rules) -> Exporter:
    return Exporter(data, collector, rules.redelivery, rules.session_idle + LATE)


def _work(
    data: Path,
    load: Callable[[], Any],
    end: Callable[[], int],
    rules: Callable[[], Rules],
    now: Callable[[], datetime],
) -> Work:
    collector = load()
    if collector is None:
        return Work((), lambda: None)
    after = exporter(data, collector, rules()).armed(end())

    def look() -> None:
        nonlocal after
        if not (data / VIEWS_DB).exists():
            return
        one = exporter(data, collector, rules())
        counts = one.run(now(), after)
        if counts.rejected:
            log.error("the collector rejected spans", extra={"fields": {"rejected": str(counts.rejected)}})
        done = counts.done
        if done != after:
            one.note(done)
            after = done

    return Work((), look, always=True, close=collector.close)
