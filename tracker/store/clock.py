"""Receive times: a clock that does not go back by a little, and times that are taken back.

The order of the store is the order in which webhooks came, so a later receive time should not be an
earlier one. Where a clock goes back by a moment, or that of another receiver is behind, the newest time is
given again, for ``PIN`` at most. What lies further ahead was never true: a clock without a battery, a wrong time
server. Then the clock is used as it is, and how far it is behind is reported.

A receive time that was stored stays in the store. That it is wrong is recorded beside it, among the
positions of sources, and from then on the delivery is read as one without a receive time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from threading import Lock

import msgspec

PIN = timedelta(minutes=5)
"""For so long at most the newest receive time is given again while the clock is behind it."""
PREFIX = "clock:"
_NAME = re.compile(r"clock:(\d+)-(\d+):(.*)")
_NONE = timedelta(0)


def wall_clock() -> datetime:
    """The time by the clock of this machine, in UTC."""
    return datetime.now(UTC)


class Clock:
    """Receive times, from any thread. ``source`` tells the time, in UTC.

    ``newest`` is the receive time given last, ``ahead`` the newest one that was ever given, where that is
    another. That the source went back is logged once, and again after it has caught up.
    """

    def __init__(
        self,
        newest: datetime | None = None,
        source: Callable[[], datetime] = wall_clock,
        *,
        ahead: datetime | None = None,
    ) -> None:
        self._newest, self._source = newest, source
        self._ahead = max(filter(None, (newest, ahead)), default=None)
        self._is_behind = False
        self._lock = Lock()

    def now(self) -> datetime:
        with self._lock:
            now = self._source()
            late = self._newest - now if self._newest is not None else _NONE
            self._tell(late)
            if self._newest is None or not _NONE < late <= PIN:
                self._newest = now
            self._ahead = max(self._ahead or now, now)
            return self._newest

    @property
    def behind(self) -> float:
        """Seconds by which the source is behind the newest receive time that was ever given."""
        with self._lock:
            late = self._ahead - self._source() if self._ahead is not None else _NONE
            return max(_NONE, late).total_seconds()

    @property
    def is_far_behind(self) -> bool:
        """Whether that is more than is made up for."""
        return self.behind > PIN.total_seconds()

    def correct(self, ahead: datetime | None) -> None:
        """The newest receive time there is, after others were taken back."""
        with self._lock:
            self._ahead = ahead

    def _tell(self, late: timedelta) -> None:
        behind = late > _NONE
        if behind and not self._is_behind:
            import logging  # takes long, and most clocks are right

            fields = {"seconds": f"{late.total_seconds():.3f}"}
            if late > PIN:
                fields["hint"] = "it is used as it is; tracker mend-clock takes wrong receive times back"
            log = logging.getLogger("tracker.intake.receiver")
            log.warning("the clock is behind the last receive time", extra={"fields": fields})
        self._is_behind = behind


class WrongTimes(msgspec.Struct, frozen=True):
    """That the receive times at these positions are wrong; ``at`` is the moment of the record in ISO 8601."""

    first: int
    last: int
    at: str

    @property
    def name(self) -> str:
        """By which it is recorded."""
        return f"{PREFIX}{self.first}-{self.last}:{self.at}"


def wrong_times(names: Iterable[str]) -> list[WrongTimes]:
    """Those among the names of sources, by position."""
    found = (_NAME.fullmatch(name) for name in names)
    return sorted(
        (WrongTimes(int(one[1]), int(one[2]), one[3]) for one in found if one), key=lambda one: one.first
    )
