"""Exporting while a server runs: one thread looks every ``POLL`` what is closed out by now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

from projections.traces.exported import Exporter
from projections.views.database import VIEWS_DB
from tracker.errors import TrackerError
from tracker.rules import Rules

POLL = 5.0
PAUSE = 30.0
"""Seconds; the pause is after an export that failed."""
LATE = timedelta(days=1)
"""A session that was last seen by so much longer ago than one may be idle is of an old log, and collectors refuse it."""
STOP = 2.0
"""Seconds to end; what is being exported by then is exported again at the next start."""

log = logging.getLogger("projections.traces")


class Traces:
    """The thread. ``end`` is the last position of the store, ``rules`` and ``now`` are those by which is judged now."""

    def __init__(
        self, data: Path, collector: Any, end: int, rules: Callable[[], Rules], now: Callable[[], datetime]
    ) -> None:
        self.problem = ""
        """Why the last export failed; empty where it did not."""
        self._data, self._collector, self._rules, self._now = data, collector, rules, now
        self._after = self._exporter().armed(end)
        self._over = Event()
        self._thread = Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._over.set()
        await asyncio.to_thread(self._thread.join, STOP)
        self._collector.close()

    def look(self) -> None:
        """Exports what is closed out by now. Raises ``TrackerError``."""
        if not (self._data / VIEWS_DB).exists():
            return
        exporter = self._exporter()
        done = exporter.run(self._now(), self._after).done
        if done != self._after:
            exporter.note(done)
            self._after = done

    def _exporter(self) -> Exporter:
        rules = self._rules()
        return Exporter(self._data, self._collector, rules.redelivery, rules.session_idle + LATE)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self.look()
                self.problem = ""
            except Exception as error:  # noqa: BLE001 - nothing may end the thread
                self._complain(error)
            self._over.wait(PAUSE if self.problem else POLL)

    def _complain(self, error: Exception) -> None:
        problem = error.message if isinstance(error, TrackerError) else type(error).__name__
        if problem != self.problem:
            log.error(
                "traces cannot be exported",
                extra={"fields": {"error": str(error) if isinstance(error, TrackerError) else problem}},
            )
        self.problem = problem
