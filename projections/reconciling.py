"""Reconciling while a server runs: one thread asks VideoSDK for its records, again and again.

Each time it asks for the sessions that are not known to have ended, and for the lists of the last day, or since the last
time that it came to their end. What it could not ask for, it asks for the next time.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from projections.answers.records import of_all
from projections.read_models import ReadModels
from projections.views.database import VIEWS_DB, views_errors
from tracker.errors import TrackerError
from tracker.intake.reconciling import Asked, Reconciled, reconcile
from tracker.intake.vendor import Api
from tracker.store.application import Tracker

if TYPE_CHECKING:  # importing it takes long, and not every command needs it
    from projections.views.live import Following

WAIT = 1.0
"""Seconds until it is looked again whether the read models are there."""
PATIENCE = 60.0
"""Seconds to wait while they are written."""
STOP = 5.0
"""Seconds to end; what is being asked for by then is asked for again at the next start."""
Sleep = Callable[[float], None]
log = logging.getLogger("projections.reconciling")


class Stopped(Exception):  # noqa: N818 - no error, a way out
    """The server is to stop."""


class Reconciling:
    """The thread. ``connect`` gives the API, which sleeps by what it is given; ``every`` is in seconds."""

    name = "reconciling"

    def __init__(
        self,
        tracker: Tracker,
        live: Following,
        every: float,
        connect: Callable[[Sleep], AbstractContextManager[Api]],
        account: str | None = None,
    ) -> None:
        self.problem = ""
        """Why VideoSDK could not be asked the last time; empty where it could."""
        self._tracker, self._live, self._every, self._connect = tracker, live, every, connect
        self._account = account
        self._over = Event()
        self._thread = Thread(target=self._run, name="reconciling", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._over.set()
        await asyncio.to_thread(self._thread.join, STOP)

    def ask(self) -> Reconciled:
        """Asks once. Raises ``TrackerError``."""
        done, asked = Reconciled(), self._asked(self._live.now())
        with self._connect(self._sleep) as api:
            for each in reconcile(self._tracker, api, asked, self._live.now):
                done = each
                self._live.wake()
                self._sleep(0)
        return done

    def _asked(self, now: datetime) -> Asked:

        path: Path = self._tracker.data / VIEWS_DB
        while not path.exists():
            self._sleep(WAIT)
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with views_errors(path), closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as connection:
            return of_all(ReadModels(connection), None, now, self._account)

    def _sleep(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise Stopped

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                done = self.ask()
                if done.stored:
                    fields = {"records": done.read, "stored": done.stored}
                    log.warning("VideoSDK was asked for its records", extra={"fields": fields})
                self.problem = ""
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - nothing may end the thread
                self._complain(error)
            self._over.wait(self._every)

    def _complain(self, error: Exception) -> None:
        problem = str(error) if isinstance(error, TrackerError) else type(error).__name__
        if problem != self.problem:
            fields = {"error": problem, "hint": getattr(error, "hint", "")}
            log.error("VideoSDK could not be asked for its records", extra={"fields": fields})
        self.problem = problem
