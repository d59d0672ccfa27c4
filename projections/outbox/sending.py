"""Sending while something runs: one thread looks what is to be sent, and one for each receiver sends, so that no receiver
delays another.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Event, Thread

import attrs

from projections.outbox.queue import Message, Queue
from projections.outbox.webhooks import NotTakenError, Target
from tracker.errors import TrackerError

POLL = 0.5
PAUSE = 5.0
"""Seconds that nothing is sent to a receiver that is busy or not there."""
STOP = 2.0
"""Seconds to end; what is being sent by then is sent again at the next start, under the same id."""

log = logging.getLogger("projections.outbox")


def _done() -> None:
    pass


def _nothing(connection: sqlite3.Connection, now: datetime) -> None:
    pass


@attrs.define
class Sender:
    """Sends what waits for one receiver.

    A message that is not taken waits, and what is about the same thing behind it. Others go on, unless the receiver is busy or not
    there: one message may be the cause of that, two are not.

    Attributes:
        queue: Where it waits.
        kind, rule: What it is sent for: ``alert`` or ``relay``, and the name of the entry.
        target: Who takes it.
        now: The clock.
        before: What is done to the outbox before a message is taken out of it.
        busy: For how many messages, one after the other, the receiver was busy or not there.
        problem: Why the message that was sent last was not taken; empty where it was.
    """

    queue: Queue
    kind: str
    rule: str
    target: Target
    now: Callable[[], datetime]
    before: Callable[[sqlite3.Connection, datetime], None] = _nothing
    busy: int = 0
    problem: str = ""

    @property
    def rests(self) -> bool:
        """Whether nothing should be sent for ``PAUSE``."""
        return self.busy > 1

    def send_one(self) -> bool | None:
        """Sends the message whose turn it is; whether it was taken, ``None`` where there is none."""
        with self.queue.file.to_write() as connection:
            self.before(connection, self.now())
            message = self.queue.take(connection, self.rule, self.now())
        if message is None:
            return None
        try:
            self.target.send(message, self.now())
        except NotTakenError as error:
            self.busy, self.problem = self.busy + 1 if error.busy else 0, error.problem
            self._not_taken(message, error)
            return False
        self.busy, self.problem = 0, ""
        self.queue.delivered(message)
        return True

    def _not_taken(self, message: Message, error: NotTakenError) -> None:
        fields = {self.kind: self.rule, "id": message.id, "problem": error.problem}
        if error.gone:
            self.queue.disable(self.rule, message, self.now(), error.problem)
            log.error("a receiver wants no more", extra={"fields": fields})
        elif self.queue.failed(message, self.now(), error.problem):
            log.error("a message could not be delivered", extra={"fields": fields})
        else:
            log.warning("a message was not taken", extra={"fields": fields | {"attempts": message.attempts}})


@attrs.frozen
class Work:
    """What the threads do.

    Attributes:
        senders: One for each receiver.
        look: Writes what is to be sent into the outbox, if anything is new; called again and again.
        always: Whether it is called also where there is no receiver.
        close: Called when nothing is looked for any more.
    """

    senders: Sequence[Sender]
    look: Callable[[], None]
    always: bool = False
    close: Callable[[], None] = _done


class Outgoing:
    """The threads. ``make`` reads the configuration anew; it raises ``TrackerError`` where that is broken.

    ``pause`` gives the seconds until it is looked again, by how often looking has failed in a row.
    """

    def __init__(
        self, name: str, make: Callable[[], Work], pause: Callable[[int], float] = lambda _: POLL
    ) -> None:
        self.name, self._stuck = name, ""
        self._make, self._pause = make, pause
        self._threads: list[Thread] = []
        self._work = make()
        self._over = Event()
        """Set when the threads of now are to end."""

    @property
    def problem(self) -> str:
        """Why it could not go on when it last looked, or a receiver did not take what was sent last; empty where all is well."""
        return self._stuck or next((one.problem for one in self._work.senders if one.problem), "")

    def start(self) -> None:
        self._begin(Thread(target=self._look_on, args=(self._over, self._work)))
        for sender in self._work.senders:
            self._begin(Thread(target=self._send_on, args=(self._over, sender)))

    def reload(self) -> int:
        """Goes on by the entries that are in the file now, and returns how many these are.

        Raises ``TrackerError`` where they are broken, and changes nothing then.
        """
        anew = self._make()
        self._over.set()
        self._over, self._work = Event(), anew
        self.start()
        return len(anew.senders)

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

    def _look_on(self, over: Event, work: Work) -> None:
        failed = 0
        while (work.senders or work.always) and not over.is_set():
            try:
                work.look()
                self._stuck, failed = "", 0
            except Exception as error:  # noqa: BLE001 - nothing may end the thread
                self._complain(error)
                failed += 1
            over.wait(self._pause(failed))
        work.close()

    def _send_on(self, over: Event, sender: Sender) -> None:
        while not over.is_set():
            try:
                taken = sender.send_one()
            except Exception as error:  # noqa: BLE001 - nothing may end the thread
                self._complain(error)
                over.wait(PAUSE)
                continue
            if taken is None or sender.rests:
                over.wait(POLL if taken is None else PAUSE)
        sender.target.close()

    def _complain(self, error: Exception) -> None:
        problem = error.message if isinstance(error, TrackerError) else type(error).__name__
        if problem != self._stuck:
            fields = {"error": str(error) if isinstance(error, TrackerError) else problem}
            log.error("%s cannot go on", self.name, extra={"fields": fields})
        self._stuck = problem
