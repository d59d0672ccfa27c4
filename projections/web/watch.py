"""What readiness and alerts rest on and nobody counts by the way: a loss, and how long a delivery has waited.

Once a second it is noted where the store ends. The oldest delivery that is not judged came at the latest when
the store was first seen to end behind the checkpoint: so its age is known though the follower stands still.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Any

from projections.views.accepting import find, keep_lost_positions
from projections.views.loss import Loss
from tracker.errors import StoreError
from tracker.intake.receiver import SOURCE
from tracker.store.application import Tracker
from tracker.store.clock import WrongTimes

INTERVAL = 1.0
"""Seconds between two looks."""

log = logging.getLogger("projections.web")


class Watch:
    """Looks at the store beside those who write and follow; ``receiver`` and ``live`` may be ``None``."""

    def __init__(self, tracker: Tracker, receiver: Any, live: Any) -> None:
        self.loss: Loss | None = None
        """What the read models were built from and the store lacks, as long as nobody has accepted it."""
        self._tracker, self._receiver, self._live = tracker, receiver, live
        self._marks: deque[tuple[float, int]] = deque()
        """When the store was first seen to end where; only ends that are not judged yet."""
        self._lock = Lock()
        self._task: asyncio.Task[None] | None = None
        self._has_logged_death = False
        self._wrong: list[WrongTimes] = []

    def start(self) -> None:
        """Begins to look; to be called in the event loop, before anything is stored."""
        with suppress(StoreError):
            self._look_for_loss()
            if self._receiver is not None:
                keep_lost_positions(self._tracker)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await asyncio.to_thread(self.look)
            except Exception as error:  # noqa: BLE001 - nothing may end the watch
                log.error("it cannot be watched", extra={"fields": {"error": type(error).__name__}})  # noqa: TRY400

    def look(self) -> None:
        """Notes how it stands now; from any thread."""
        with suppress(StoreError):  # the receiver and the follower tell that
            if self._live is None or self._live.problem or self.loss is not None:
                self._look_for_loss()
            if self._live is not None:
                self._note(self._tracker.last_position())
            self._look_at_clock()
        self._tell_death()

    @property
    def waited(self) -> float:
        """Seconds for which the oldest delivery that is not judged has been waiting, 0 where none is."""
        with self._lock:
            self._forget_judged()
            return monotonic() - self._marks[0][0] if self._marks else 0.0

    @property
    def is_following(self) -> bool:
        """Whether the thread that follows is there, where there is to be one."""
        return self._live is None or self._live.is_alive

    def _look_for_loss(self) -> None:
        loss = find(self._tracker)
        if loss is not None and self.loss is None:
            fields = {"error": loss.text, "hint": "tracker accept-loss records it, and goes on"}
            log.error("deliveries are lost", extra={"fields": fields})
        self.loss = loss

    def _look_at_clock(self) -> None:
        """Where receive times were taken back, the clock is not behind them any more."""
        if self._receiver is None or not self._receiver.clock.is_far_behind:
            return
        wrong = self._tracker.wrong_times()
        if wrong != self._wrong:
            self._receiver.clock.correct(self._tracker.latest_from(SOURCE))
            self._wrong = wrong

    def _note(self, end: int) -> None:
        with self._lock:
            self._forget_judged()
            if end > max(self._live.checkpoint_position, self._marks[-1][1] if self._marks else 0):
                self._marks.append((monotonic(), end))

    def _forget_judged(self) -> None:
        while self._marks and self._marks[0][1] <= self._live.checkpoint_position:
            self._marks.popleft()

    def _tell_death(self) -> None:
        if not self.is_following and not self._has_logged_death and not self._live.stopping:
            self._has_logged_death = True
            log.error("the follower has ended", extra={"fields": {"hint": "restart the server"}})
