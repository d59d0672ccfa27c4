"""Retention while something serves: once a day, people are erased from what is older than ``[retention]`` says, and sessions
that are older than that go into an archive.

It is done in a thread of its own and by the store alone. The follower and the alerts of the server do their part by
themselves, as soon as the store says that people were erased; then what is left in the files is cleared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event, Thread

from projections.erasing import erase_beside
from projections.views.publications import PUBLISHED_DB, reader
from tracker.errors import TrackerError
from tracker.intake import erasing, pruning
from tracker.retention import Retention
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.clock import wall_clock

__all__ = ["Retaining"]

DAY = timedelta(days=1)
RETRY = 3_600.0
"""Seconds until it is tried again, after it failed, and until what another process did not carry out is."""
POLL = 0.5
FOLLOWED = 600.0
"""Seconds in which what is published should have followed; else it is cleared the next day."""

log = logging.getLogger("projections.retaining")


class Retaining:
    """The thread. ``load`` reads the settings anew, ``wake`` tells the follower that there is something to do."""

    name = "retention"

    def __init__(
        self,
        tracker: Tracker,
        load: Callable[[], Retention],
        load_rules: Callable[[], Rules],
        wake: Callable[[], None],
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self.problem = ""
        """Why the last turn failed; empty where it did not."""
        self._tracker, self._load, self._wake, self._now = tracker, load, wake, now
        self._load_rules = load_rules
        self._over = Event()
        self._thread = Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Ends the thread after what it is at; the rest is done at the next start."""
        self._over.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        next_turn, before = self._now(), 0
        while not self._over.is_set():
            try:
                # An erasure that is not done after an hour was killed, or waits for a disk; until it is, nothing is published.
                if self._now() >= next_turn or before == self._outstanding():
                    self.turn()
                    next_turn, self.problem = self._now() + DAY, ""
                before = self._outstanding() or -1
            except _Stopped:
                return
            except Exception as error:  # noqa: BLE001 - nothing may end the thread
                self.problem = (
                    str(error) if isinstance(error, TrackerError | ImportError) else type(error).__name__
                )
                log.error("retention failed", extra={"fields": {"error": self.problem}})  # noqa: TRY400 - one line says it
            self._over.wait(RETRY)

    def _outstanding(self) -> int:
        """The request of the ledger that is not carried out; 0 where all are."""
        return self._tracker.ledger.requests if erasing.is_behind(self._tracker) else 0

    def turn(self) -> None:
        """Does what is due now, and what broke off before. Raises ``TrackerError``."""
        retention, now = self._load(), self._now()
        self._erase(retention, now)
        self._prune(retention, now)

    def _erase(self, retention: Retention, now: datetime) -> None:
        if retention.people is not None:
            plan = erasing.of_older(self._tracker, now - retention.people, now, self._go_on)
            if plan.events:
                self._cleared(erasing.carry_out(self._tracker, plan, now, self._go_on))
                return
        if erasing.is_behind(self._tracker):
            self._cleared(erasing.outstanding(self._tracker, now, self._go_on))

    def _prune(self, retention: Retention, now: datetime) -> None:
        if retention.sessions is None or retention.archive is None:
            return
        from projections.pruning import move  # it needs a package that need not be there

        rules = self._load_rules()
        planned = pruning.plan(self._tracker, now - retention.sessions, now, rules, self._go_on)
        if planned.digests or self._tracker.is_pruned_since():
            moved = move(self._tracker, planned, retention.archive, now, self._go_on)
            self._wake()
            fields = {"sessions": moved.sessions, "archive": str(moved.archive), "problem": moved.problem}
            log.warning("sessions were moved into an archive", extra={"fields": fields})

    def _cleared(self, done: erasing.Done) -> None:
        """Lets the follower do its part, then clears what is beside it."""
        self._wake()
        waited = 0.0
        while not (is_followed := self._is_followed(done.requests)) and waited < FOLLOWED:
            self._over.wait(POLL)
            self._go_on(0, 0)
            waited += POLL
        erase_beside(self._tracker.data)
        if is_followed:
            self._tracker.ledger.finish(done.requests)
        fields = {"deliveries": done.events, "problem": done.problem}
        log.warning("people were erased", extra={"fields": fields})

    def _is_followed(self, requests: int) -> bool:
        with reader(self._tracker.data / PUBLISHED_DB) as published:
            return published is not None and published.erased >= requests

    def _go_on(self, _done: int, _total: int) -> None:
        if self._over.is_set():
            raise _Stopped


class _Stopped(Exception):  # noqa: N818 - no error, a way out
    pass
