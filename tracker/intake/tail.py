"""Logs that grow while they are read: a pipe that is left open, and a file that is written to and rotated.

Who stores lines by the thousand would keep the last ones of such a log waiting. So these logs give a
``PAUSE`` where nothing more is there and the first line behind the last pause has waited for ``QUIET``;
``ingest`` then stores what waits. Where lines come faster than they are read there is no pause.

A followed file is read until another one has its name (it was renamed) or until it no longer holds what
was read (it was cut to nothing, after a copy had been made). What comes then is another log: its lines
are counted from 1, and like every log it is known by what it says. So a rotated file may be given to
``ingest`` at any time, and only what was missed is stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from select import POLLIN, poll
from time import monotonic, sleep
from typing import IO

import attrs
import msgspec

from tracker.intake.lines import Line
from tracker.intake.logs import Log
from tracker.intake.packing import CHUNK

QUIET = 1.0
"""Seconds that a line waits for more lines, before it is stored without them."""
TICK = 0.1
"""Seconds between two looks at a file that does not grow."""
GRACE = 2.0
"""Seconds that a file must have been quiet in after it was renamed: its writer goes on for a moment."""
SAME = 256
"""Bytes before the place where reading goes on; where they are others, the file was cut."""

Stopping = Callable[[], bool]
"""Whether to stop reading; asked at every look at what is there."""


class Waiting(msgspec.Struct):
    """Whether something that was read waits, and since when."""

    since: float | None = None

    def begin(self) -> None:
        if self.since is None:
            self.since = monotonic()

    def end(self) -> bool:
        """Whether it is time for a pause; if so, nothing waits any longer."""
        due = self.since is not None and monotonic() - self.since >= QUIET
        if due:
            self.since = None
        return due


@attrs.define(eq=False, kw_only=True)
class Pipe(Log):
    """Standard input, which may be left open for ever."""

    stopping: Stopping

    def _packed(self, file: IO[bytes]) -> Iterator[bytes]:
        waiting, watch = Waiting(), poll()
        watch.register(file.fileno(), POLLIN)
        while not self.stopping():
            if not watch.poll(0):
                if waiting.end():
                    yield b""
                watch.poll(TICK * 1000)
                continue
            chunk = file.read1(CHUNK)  # type: ignore[attr-defined]  # it is a buffered one
            if not chunk:
                return
            self.consumed += len(chunk)
            waiting.begin()
            yield chunk


@attrs.define(eq=False, kw_only=True)
class Followed(Log):
    """A file that is written to, until it is rotated or reading is to stop."""

    grows = True

    stopping: Stopping
    over: bool = False
    """Whether nothing more will be read of it, because it was rotated."""

    def is_over(self) -> bool:
        return self.over

    def lines(self) -> Iterator[Line]:
        for line in super().lines():
            if line.ended or self.over:  # else it is still being written
                yield line

    def _packed(self, file: IO[bytes]) -> Iterator[bytes]:
        waiting, rotated, same = Waiting(), _Rotated(self.path, file.fileno()), b""
        while not self.stopping():
            # What was read before is read once more, so that a cut is seen in the same moment.
            found = os.pread(file.fileno(), len(same) + CHUNK, self.consumed - len(same))
            chunk = found[len(same) :]
            if not found.startswith(same):
                self.over = True
                return
            if chunk:
                self.consumed += len(chunk)
                same = found[-SAME:]
                waiting.begin()
                rotated.restart()
                yield chunk
                continue
            if waiting.end():
                yield b""
            if rotated.for_good():
                self.over = True
                return
            sleep(TICK)


class _Rotated:
    """Whether another file has the name of an open one, and nobody writes to that any more."""

    def __init__(self, path: str, descriptor: int) -> None:
        self._path, self._identity = path, _identity(os.fstat(descriptor))
        self._since: float | None = None

    def restart(self) -> None:
        self._since = None

    def for_good(self) -> bool:
        try:
            there = _identity(os.stat(self._path))  # noqa: PTH116 - it is asked often
        except OSError:  # between its name and the next one's
            return False
        if there == self._identity:
            self._since = None
            return False
        if self._since is None:
            self._since = monotonic()
        return monotonic() - self._since >= GRACE


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def files(log: Followed) -> Iterator[Followed]:
    """A file, then each that takes its place. Raises ``LogError`` where one cannot be read."""
    yield log
    while log.over:
        while not os.path.exists(log.path) and not log.stopping():  # noqa: PTH110 - as above
            sleep(TICK)
        if log.stopping():
            return
        log = Followed(log.path, log.keys, log.zone, log.fields, log.account, stopping=log.stopping)
        yield log
