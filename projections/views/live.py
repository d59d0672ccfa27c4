"""Keeping the read models up with the store while it is served, and settling them by the clock.

One thread follows, of this process (``Live``) or of another one (``projections.web.follower``). The writer of this
process wakes it after each commit; what other processes append it finds by looking, every ``POLL``. A server tells of it
too, and a second thread listens: then it is enough to look every ``POLL_NOTIFIED``, for a notification that is missed. It
works at most every ``PAUSE``, so under load one page takes what many commits brought, and a delivery is in the rows well
within 200 ms. When nothing comes, what rests on absence is settled once in ``SETTLE``.

What goes wrong keeps nobody from storing: it is reported in ``problem`` and tried again, with the rules as
they are in their file by then. So where the rules were changed and a command has judged the past anew
by them, the server follows; where a command came with rules of its own, the server makes them its own again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

from projections.views.database import VIEWS_DB
from projections.views.follow import Views
from tracker.errors import StoreError, TrackerError
from tracker.rules import Rules
from tracker.store.application import Tracker

POLL = 0.1
POLL_NOTIFIED = 1.0
PAUSE = 0.05
SETTLE = 1.0
RETRY = 1.0
"""Seconds."""

log = logging.getLogger("projections.views.live")


class Following:
    """How far the read models go, and who waits for that. ``load_rules`` reads the rules anew.

    Attributes:
        views_path: Their file.
        rules: By which they are judged.
        checkpoint_position: The position up to which they go.
        as_of: The moment at which they are settled, ``None`` before there is one.
        readings: Webhook type and reading -> how often it was judged so since the start.
        problem: Why they cannot follow; empty while they do.
        stopping: Whether the server is to stop.
        now: Gives the time by which what rests on absence is settled.

    """

    def __init__(self, tracker: Tracker, load_rules: Callable[[], Rules], now: Callable[[], datetime]) -> None:
        self.views_path: Path = tracker.data / VIEWS_DB
        self.rules = load_rules()
        self.checkpoint_position = 0
        self.as_of: datetime | None = None
        self.readings: Mapping[tuple[str, str], int] = {}
        self.problem = ""
        self.stopping = False
        self.now = now
        self._tracker, self._load_rules = tracker, load_rules
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moved = asyncio.Event()
        self._woken = Event()
        self._stored = 0
        self._thread = Thread(target=self._run, name="follower", daemon=True)

    @property
    def lag(self) -> int:
        """How many deliveries are stored and not yet judged."""
        with suppress(StoreError):  # then as far as is known
            self._stored = max(self._stored, self._tracker.last_position())
        return max(0, self._stored - self.checkpoint_position)

    @property
    def is_alive(self) -> bool:
        """Whether the thread that follows, or sees to it, runs or is yet to begin."""
        return self._thread.ident is None or self._thread.is_alive()

    def start(self) -> None:
        """Begins to follow; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def wake(self) -> None:
        """Something was stored; from any thread."""
        self._woken.set()

    def reload(self) -> None:
        """Reads the rules again, and judges anew if they have changed; from any thread."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Nobody is to wait any longer: the server is to stop. To be called in the event loop."""
        self.stopping = True
        self._tell()

    async def stop(self) -> None:
        """Ends after the page that is being judged; what is not judged yet will be at the next start."""
        self.let_go()
        self._woken.set()
        await asyncio.to_thread(self._thread.join)

    async def wait_for(self, position: int, timeout: float) -> bool:  # noqa: ASYNC109 - part of what is asked
        """Until the read models go up to a position, at most ``timeout`` seconds; whether they do."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.checkpoint_position < position and not self.stopping:
                    await self._moved.wait()
        return self.checkpoint_position >= position

    def _run(self) -> None:
        """What the thread does, until ``stopping``."""
        raise NotImplementedError

    def _move(self, position: int) -> None:
        """Wakes those who wait when the read models go to another position; from any thread."""
        if position != self.checkpoint_position:
            self.checkpoint_position = position
            assert self._loop is not None, "it has been started"
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


class Live(Following):
    """The follower, as a thread of this process."""

    def __init__(self, tracker: Tracker, load_rules: Callable[[], Rules], now: Callable[[], datetime]) -> None:
        super().__init__(tracker, load_rules, now)
        self._reload = Event()
        self._settled = 0.0
        self._poll = POLL_NOTIFIED if tracker.notifies else POLL
        self._listener = Thread(target=self._listen, name="listener", daemon=True)

    def start(self) -> None:
        super().start()
        if self._tracker.notifies:
            self._listener.start()

    def reload(self) -> None:
        self._reload.set()
        self._woken.set()

    async def stop(self) -> None:
        await super().stop()
        if self._tracker.notifies:
            await asyncio.to_thread(self._listener.join)

    def _run(self) -> None:
        views: Views | None = None  # its connection belongs to this thread
        while not self.stopping:
            begun = monotonic()
            try:
                views = self._turn(views)
            except _Stopped:
                break
            except Exception as error:  # noqa: BLE001 - nothing may end the thread that follows
                self._complain("the read models cannot follow", error)
                _closed(views)
                views = None
            self._end_turn()
            self._woken.wait(self._poll)
            self._woken.clear()
            self._rest(begun + (RETRY if self.problem else PAUSE) - monotonic())
        _closed(views)

    def _listen(self) -> None:
        """Wakes the follower when another process has stored something; looking is what finds it."""
        while not self.stopping:
            with suppress(StoreError):
                self._tracker.listen(self.wake, lambda: self.stopping)
            self._rest(RETRY)

    def _turn(self, views: Views | None) -> Views:
        if self._reload.is_set():
            self._reload.clear()
            _closed(views)
            views = None
        if views is None:
            self._read_rules()
            views = Views.open(self._tracker, self.rules, self._go_on, self.now)
        else:
            views.catch_up(self._tracker, self._go_on)
        self._settle(views)
        self._follow(views)
        return views

    def _end_turn(self) -> None:
        """Called after each turn, whether it succeeded or not."""

    def _read_rules(self) -> None:
        """Those that are in the file now; where it is broken, the old ones go on."""
        try:
            self.rules = self._load_rules()
        except TrackerError as error:
            log.error(  # noqa: TRY400 - it is our own error, and one line says it
                "the rules stay as they were", extra={"fields": _fields(error)}
            )

    def _settle(self, views: Views) -> None:
        if monotonic() - self._settled < SETTLE:
            return
        self._settled, now = monotonic(), self.now()
        views.go_back_to(self._tracker, now, self._go_on)
        if views.has_due(now):
            views.settle(self._tracker, now)

    def _follow(self, views: Views) -> None:
        """Tells those who wait how far the read models go."""
        if self.problem:
            self.problem = ""
            log.warning("the read models follow again", extra={"fields": {}})
        self.as_of, self.readings = views.checkpoint.as_of, views.readings
        self._move(views.checkpoint.position)

    def _go_on(self, _done: int, _total: int) -> None:
        """Called after each page."""
        if self.stopping:
            raise _Stopped

    def _rest(self, seconds: float) -> None:
        """So that under load one page takes what many commits brought."""
        if seconds > 0 and not self.stopping:
            sleep(seconds)

    def _complain(self, what: str, error: Exception) -> None:
        fields = _fields(error)
        problem = error.message if isinstance(error, TrackerError) else fields["error"]  # without its place
        if problem != self.problem:
            log.error(what, extra={"fields": fields})
        self.problem = problem


class _Stopped(Exception):  # noqa: N818 - no error, a way out
    pass


def _closed(views: Views | None) -> None:
    if views is not None:
        views.close()


def _fields(error: Exception) -> dict[str, str]:
    """What may be said of an error: of one that is not ours, only its name, for it could quote a body."""
    message = str(error) if isinstance(error, TrackerError) else type(error).__name__
    return {"error": message, "hint": getattr(error, "hint", "")}
