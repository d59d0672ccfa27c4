"""The follower as a process of its own, so that judging takes no time from receiving and answering.

    server    starts the process, wakes it after each commit, and passes on that the rules are to be read again
    follower  opens the store by itself, follows it (``projections.views.live``), and reports how far after each turn

The follower ends when the pipe from the server does: so it also ends when the server is killed. When the follower is
killed, or cannot be started, the server goes on receiving and answering, says so in ``problem``, and starts another one,
which goes on at the checkpoint. Signals from the terminal are for the server: Ctrl-C does not reach the follower.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Lock, Thread, Timer
from time import monotonic
from typing import Any

import attrs

from projections.views.live import RETRY, Following, Live
from projections.web import logs
from tracker.bulk import bulk
from tracker.errors import TrackerError
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.clock import wall_clock

WAKE, RELOAD, STOP = b"wake", b"reload", b"stop"
LOOK = 0.5
"""Seconds after which the server looks whether the follower has had its time to end."""
LAST = 10.0
"""That time, in seconds, for the page that is being judged; then the follower is killed, which undoes its transaction."""
ENDED = "the follower has ended, and is started again"
NOT_STARTED = "the follower cannot be started, and is tried again"
FROM_TERMINAL = {signal.SIGINT, signal.SIGHUP}

log = logging.getLogger("projections.web")


@attrs.frozen
class Report:
    """What the follower says of itself; the names are those of ``Following``."""

    checkpoint_position: int
    as_of: datetime | None
    readings: Mapping[tuple[str, str], int]
    problem: str
    rules: Rules


@attrs.frozen
class Task:
    """What the follower is to follow. ``url`` is that of the store, ``rules`` count until others could be read."""

    data: Path
    url: str | None
    rules: Rules
    load_rules: Callable[[], Rules]


class Follower(Following):
    """The follower, as another process. ``load_rules`` is called there, so it is pickled.

    Attributes:
        pid: The process that follows now.

    """

    def __init__(
        self,
        tracker: Tracker,
        load_rules: Callable[[], Rules],
        now: Callable[[], datetime],
        url: str | None = None,
    ) -> None:
        super().__init__(tracker, load_rules, now)
        self.pid: int | None = None
        self._url = url
        self._before: Counter[tuple[str, str]] = Counter()
        """The readings of earlier processes."""
        self._is_to_reload = False
        self._over, self._killed_at = Event(), float("inf")
        self._messages: Connection | None = None
        self._sending = Lock()
        self._messenger = Thread(target=self._pass_on, name="messenger", daemon=True)

    def start(self) -> None:
        super().start()
        self._messenger.start()

    def reload(self) -> None:
        self._is_to_reload = True
        self._woken.set()

    async def stop(self) -> None:
        self._killed_at = monotonic() + LAST
        self._over.set()
        await super().stop()

    def _run(self) -> None:
        while not self._over.is_set():
            problem, event, fields = self._follow()
            if not self._over.is_set():
                self._before, self.problem = Counter(self.readings), problem
            if not self._over.wait(RETRY):  # where everything was asked to end at once, that is no fault
                log.error(event, extra={"fields": fields})

    def _follow(self) -> tuple[str, str, dict[str, Any]]:
        """One process, until it has ended; the problem with that, and what is logged of it."""
        try:
            with self._process() as process:
                self._take_reports(process.reports)
        except (OSError, MemoryError) as error:  # the machine has no room for another process
            fields: dict[str, Any] = {"error": str(error) or type(error).__name__, "hint": "it is tried again"}
            return NOT_STARTED, "the follower cannot be started", fields
        fields = {"code": process.code, "hint": "it is started again, and goes on where it was"}
        return ENDED, "the follower has ended", fields

    @contextmanager
    def _process(self) -> Iterator[_Process]:
        """A new process; it has ended behind the block."""
        started = _start(Task(self._tracker.data, self._url, self.rules, self._load_rules))
        self.pid = started.process.pid
        try:
            with self._sending, suppress(OSError):  # it may have ended by now
                self._messages = started.messages
                if self._over.is_set():
                    self._messages.send_bytes(STOP)
            yield started
        finally:
            started.end()
            with self._sending:  # nobody waits in there for a process that has ended
                self._messages = None
                started.messages.close()

    def _take_reports(self, reports: Connection) -> None:
        """Until the follower has ended, or has had its time to."""
        with suppress(EOFError, OSError):
            while monotonic() < self._killed_at:
                if reports.poll(LOOK):
                    self._take(reports.recv())

    def _take(self, report: Report) -> None:
        self.as_of, self.problem, self.rules = report.as_of, report.problem, report.rules
        self.readings = self._before + Counter(report.readings)
        self._move(report.checkpoint_position)

    def _pass_on(self) -> None:
        """Sends what the follower is to do. Where that takes nothing, because it was halted, only this thread waits."""
        message = b""
        while message != STOP:
            self._woken.wait()
            self._woken.clear()
            again, self._is_to_reload = self._is_to_reload, False
            message = STOP if self._over.is_set() else RELOAD if again else WAKE
            with self._sending, suppress(OSError):
                if self._messages is not None:
                    self._messages.send_bytes(message)


@attrs.define
class _Process:
    """A follower as its server sees it. ``code`` is that with which it ended, negative where that was a signal."""

    process: Any
    messages: Connection
    reports: Connection
    code: int | None = None

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.code = self.process.exitcode
        self.process.close()
        self.reports.close()


def _start(task: Task) -> _Process:
    """Raises ``OSError`` where there is no room for a process."""
    context = get_context("spawn")  # a fork would copy what other threads are about to do
    with ExitStack() as theirs, ExitStack() as ours:
        reader, messages = context.Pipe(duplex=False)
        theirs.enter_context(reader), ours.enter_context(messages)
        reports, report = context.Pipe(duplex=False)
        theirs.enter_context(report), ours.enter_context(reports)
        process = context.Process(target=follow, args=(reader, report, task), name="follower", daemon=True)
        resource_tracker.ensure_running()  # or it is started below, and lets signals through
        with _kept_from_terminal():
            process.start()
        ours.pop_all()
    return _Process(process, messages, reports)


@contextmanager
def _kept_from_terminal() -> Iterator[None]:
    """Whoever is started in it gets no signal from a terminal, from its very beginning."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Reporting(Live):
    """The follower in its own process."""

    def __init__(self, tracker: Tracker, task: Task, reports: Connection, handler: logs.Handler) -> None:
        super().__init__(tracker, lambda: task.rules, wall_clock)
        self._load_rules = task.load_rules
        self._reports, self._handler = reports, handler
        self._reported: Report | None = None

    def run(self, messages: Connection) -> None:
        """Follows until it is to stop, or nobody is there any more who could say so."""
        Thread(target=self._obey, args=(messages,), daemon=True).start()
        if self._tracker.notifies:
            self._listener.start()
        self._run()

    def _obey(self, messages: Connection) -> None:
        does = {WAKE: self.wake, RELOAD: self.reload}
        with suppress(EOFError, OSError):
            while (message := messages.recv_bytes()) != STOP:
                does[message]()
        self.stopping = True
        self._woken.set()
        kill = Timer(LAST, os._exit, [1])
        kill.daemon = True
        kill.start()

    def _move(self, position: int) -> None:
        self.checkpoint_position = position

    def _end_turn(self) -> None:
        self._handler.flush_floods()
        report = Report(self.checkpoint_position, self.as_of, Counter(self.readings), self.problem, self.rules)
        if report != self._reported:
            self._reported = report
            with suppress(OSError):  # the server is gone
                self._reports.send(report)


def follow(messages: Connection, reports: Connection, task: Task) -> None:
    """What the other process does."""
    handler = logs.start()
    try:
        with bulk(), Tracker.open(task.data, task.url) as tracker:
            _Reporting(tracker, task, reports, handler).run(messages)
    except TrackerError as error:
        fields = {"error": str(error), "hint": error.hint}
        log.error("the follower cannot begin", extra={"fields": fields})  # noqa: TRY400 - one line says it
        raise SystemExit(1) from error
    finally:
        handler.flush_floods(over=True)
