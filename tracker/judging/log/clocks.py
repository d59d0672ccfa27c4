"""Clocks: where the receive times of one source cannot be right.

Whoever writes a log writes it in the order in which webhooks come, so the receive times of one source should
not go back. Several processes may write to it, which makes neighbours cross by a moment. More than that is
a clock that was set back, or a log that is not in order, and windows cannot be trusted there. It is reported
once a source; a source that goes back throughout has its newest line first. Two sources may have two clocks.

Single lines whose time cannot be true were found when the log was read, because that needs the lines behind
them (``tracker.intake.receive_times``). They carry what they said, and another time is believed. Each of them, or each
row of them, is reported with both times.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from tracker.delivery.envelope import parse_time
from tracker.delivery.webhook import Delivery

__all__ = ["MOST_WRONG", "Backwards", "Clocks", "Wrong", "newest_first"]

CLOCK = timedelta(seconds=1)
"""What the receive times of one source may go back by: several processes write to one log."""
NEWEST_FIRST = 4
"""So many times as often as forward go the times back where the newest line stands first."""
MOST_WRONG = 100
"""Rows of wrong lines that are reported one by one; the last one counts what comes behind it."""


def newest_first(falls: int, rises: int) -> bool:
    """Whether times that go back so often, and forward so often, are those of a log that begins with its newest line."""
    return falls >= 2 and NEWEST_FIRST * rises <= falls


class Backwards(msgspec.Struct):
    """The first delivery of a source that was received before the one in front of it.

    ``falls`` and ``rises`` count how often the times of the source went back and forward since its beginning.
    """

    position: int
    source: str
    type: str
    at: datetime
    before: datetime
    falls: int = 1
    rises: int = 0

    @property
    def is_newest_first(self) -> bool:
        """Whether the source goes back throughout."""
        return newest_first(self.falls, self.rises)


class Wrong(msgspec.Struct):
    """Lines of one source, in a row, whose receive times cannot be true.

    Attributes:
        first, last: Their positions.
        place, end: Where they stand, as ``file:line``.
        said, said_last: The times that they give.
        at, until: What is believed instead.
        more: Further such lines of the log, which are not reported one by one.
    """

    first: int
    last: int
    place: str
    end: str
    said: datetime
    said_last: datetime
    at: datetime
    until: datetime
    more: int = 0


class Clock(msgspec.Struct):
    """The clock of one source, as far as it has been read.

    Attributes:
        at: Its last receive time.
        rises: How often it went forward.
        found: Which of ``Clocks.backwards`` is of this source, if one is.
        is_wrong: Whether the last time was a wrong one.
    """

    at: datetime
    rises: int = 0
    found: int | None = None
    is_wrong: bool = False


class Clocks(msgspec.Struct):
    """The clocks of all sources of a log, and what is wrong with them.

    Attributes:
        of: By source.
        backwards: One for each source whose times go back.
        wrong: Rows of wrong lines.
    """

    of: dict[str, Clock] = msgspec.field(default_factory=dict)
    backwards: list[Backwards] = msgspec.field(default_factory=list)
    wrong: list[Wrong] = msgspec.field(default_factory=list)

    def observe(self, delivery: Delivery, at: datetime) -> None:
        """Takes in the receive time of the next delivery."""
        received = delivery.received
        source = received.source.rpartition(":")[0]
        clock = self.of.get(source)
        if clock is None:
            clock = self.of[source] = Clock(at)
        before, clock.at = clock.at, at
        if at > before:
            clock.rises += 1
        elif before - at >= CLOCK:
            self._observe_fall(clock, Backwards(delivery.position, source, delivery.topic, at, before))
        if received.wrong_time is not None:
            self._observe_wrong(delivery, at, goes_on=clock.is_wrong)
            clock.is_wrong = True
        elif clock.is_wrong:
            clock.is_wrong = False
        if clock.found is not None:
            self.backwards[clock.found].rises = clock.rises

    def known(self) -> tuple[tuple[Backwards, ...], tuple[Wrong, ...]]:
        """What is known now; it does not change any more."""
        return tuple(map(replace, self.backwards)), tuple(map(replace, self.wrong))

    def _observe_fall(self, clock: Clock, found: Backwards) -> None:
        if clock.found is None:
            clock.found = len(self.backwards)
            self.backwards.append(found)
        else:
            self.backwards[clock.found].falls += 1

    def _observe_wrong(self, delivery: Delivery, at: datetime, *, goes_on: bool) -> None:
        place = delivery.received.source
        said = parse_time(delivery.received.wrong_time or "") or at
        last = self.wrong[-1] if self.wrong else None
        if goes_on and last is not None and last.end.rpartition(":")[0] == place.rpartition(":")[0]:
            last.last, last.end, last.said_last, last.until = delivery.position, place, said, at
        elif last is None or len(self.wrong) < MOST_WRONG:
            self.wrong.append(Wrong(delivery.position, delivery.position, place, place, said, said, at, at))
        else:
            last.more += 1
