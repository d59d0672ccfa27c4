"""Alerts while something runs: one thread sweeps, and one for each rule sends, so that no receiver delays another.

The thread that sweeps looks every ``POLL`` whether something was published. So it does not matter which process publishes.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import attrs

from projections.alerts import outbox
from projections.alerts.database import alerts_file
from projections.alerts.outbox import Message
from projections.alerts.sweep import has_due, sweep
from projections.alerts.targets import NotTakenError, Target, target_of
from projections.views.publications import PUBLISHED_DB, End, reader
from tracker.alert import Alert
from tracker.errors import TrackerError

POLL = 0.5
PAUSE = 5.0
"""Seconds that a rule sends nothing after its receiver did not take a message."""
STOP = 2.0
"""Seconds to end; what is being sent by then is sent again at the next start, under the same id."""

log = logging.getLogger("projections.alerts")


def wall_clock() -> datetime:
    return datetime.now(UTC)


@attrs.frozen
class Sender:
    """Sends what waits for one rule."""

    data: Path
    alert: Alert
    target: Target
    now: Callable[[], datetime]

    def send_one(self) -> bool | None:
        """Sends the message whose turn it is; whether it was taken, ``None`` where there is none."""
        file = alerts_file(self.data)
        message = outbox.take(file, self.alert, self.now())
        if message is None:
            return None
        try:
            self.target.send(message, self.now())
        except NotTakenError as error:
            self._not_taken(message, error)
            return False
        outbox.delivered(file, message)
        return True

    def _not_taken(self, message: Message, error: NotTakenError) -> None:
        fields = {"alert": self.alert.name, "id": message.id, "problem": error.problem}
        if error.gone:
            outbox.disable(alerts_file(self.data), self.alert.name, message, self.now(), error.problem)
            log.error("the receiver of an alert wants no more", extra={"fields": fields})
        elif outbox.failed(alerts_file(self.data), message, self.now(), error.problem):
            log.error("an alert could not be delivered", extra={"fields": fields})
        else:
            log.warning("an alert was not taken", extra={"fields": fields | {"attempts": message.attempts}})


def senders(data: Path, alerts: Sequence[Alert], now: Callable[[], datetime] = wall_clock) -> list[Sender]:
    """Raises ``UsageError`` where one cannot be sent."""
    return [Sender(data, alert, target_of(alert, os.environ), now) for alert in alerts]


class Alerts:
    """The threads. ``load`` reads the rules anew."""

    def __init__(
        self,
        data: Path,
        load: Callable[[], Sequence[Alert]],
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self.problem = ""
        """Why the last sweep failed; empty where it did not."""
        self._data, self._load, self._now = data, load, now
        self._threads: list[Thread] = []
        self._senders = senders(data, load(), now)
        self._over = Event()
        """Set when the senders of now are to end."""

    def start(self) -> None:
        self._begin(Thread(target=self._sweep_on, args=(self._over, [one.alert for one in self._senders])))
        for sender in self._senders:
            self._begin(Thread(target=self._send_on, args=(self._over, sender)))

    def reload(self) -> int:
        """Goes on by the rules that are in the file now, and returns how many these are.

        Raises ``TrackerError`` where they are broken, and changes nothing then.
        """
        anew = senders(self._data, self._load(), self._now)
        self._over.set()
        self._over, self._senders = Event(), anew
        self.start()
        return len(anew)

    async def stop(self) -> None:
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """Ends the threads."""
        self._over.set()
        for thread in self._threads:
            thread.join(STOP)

    def _begin(self, thread: Thread) -> None:
        thread.daemon = True
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]
        thread.start()

    def _sweep_on(self, over: Event, alerts: Sequence[Alert]) -> None:
        end: End | None = None
        while alerts and not over.is_set():
            try:
                if end is None or self._is_due(end):
                    end = sweep(self._data, alerts, self._now(), end)
                self.problem = ""
            except Exception as error:  # noqa: BLE001 - nothing may end the thread
                self._complain(error)
            over.wait(POLL)

    def _is_due(self, end: End) -> bool:
        with reader(self._data / PUBLISHED_DB) as published:
            if published is None or published.end != end:
                return True
        with alerts_file(self._data).to_read() as connection:
            return connection is None or has_due(connection, self._now())

    def _send_on(self, over: Event, sender: Sender) -> None:
        while not over.is_set():
            try:
                taken = sender.send_one()
            except Exception as error:  # noqa: BLE001 - nothing may end the thread
                self._complain(error)
                taken = False
            if not taken:
                over.wait(POLL if taken is None else PAUSE)
        sender.target.close()

    def _complain(self, error: Exception) -> None:
        problem = error.message if isinstance(error, TrackerError) else type(error).__name__
        if problem != self.problem:
            fields = {"error": str(error) if isinstance(error, TrackerError) else problem}
            log.error("alerts cannot go on", extra={"fields": fields})
        self.problem = problem
