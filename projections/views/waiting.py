"""The streams of which something came and whose rows have not been written since.

Live, they are written at the end of the page. In a file that is made anew nobody sees what stands in between, so a
stream waits until nothing has come of it for long: most sessions are judged, and their rows made, only once.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from projections.read_models import Row, deliveries
from tracker.delivery.webhook import Delivery

STREAMS = 5_000
"""Streams that wait at most; fewer than are kept in memory, so that none has to be read again from the store."""
DELIVERIES = 40_000
"""Deliveries of which they wait at most; the row of one takes about a third of a kB."""


class Waiting(msgspec.Struct):
    """See above.

    Attributes:
        new: Those of which there are no rows.
    """

    new: set[str] = msgspec.field(default_factory=set)
    _came: dict[str, list[Row]] = msgspec.field(default_factory=dict)
    """Stream -> the rows of what came, as far as ``deliveries.came`` has them; the stream touched last at the end."""
    _number: int = 0

    def __contains__(self, stream: str) -> bool:
        return stream in self._came

    def add(self, delivery: Delivery) -> None:
        """A delivery came, and puts its stream at the end."""
        came = self._came.pop(delivery.stream, [])
        came.append(deliveries.came(delivery))
        self._came[delivery.stream] = came
        self._number += 1

    def touch(self, streams: Iterable[str]) -> None:
        """These may be seen otherwise, though nothing came of them."""
        for stream in streams:
            self._came.setdefault(stream, [])

    def all(self) -> list[str]:
        return list(self._came)

    def longest(self) -> list[str]:
        """Where too much waits, those that have waited longest: about the half."""
        if len(self._came) <= STREAMS and self._number <= DELIVERIES:
            return []
        found, number = [], self._number
        for left, (stream, came) in zip(range(len(self._came), 0, -1), self._came.items(), strict=True):
            if left <= STREAMS // 2 and number <= DELIVERIES // 2:
                break
            found.append(stream)
            number -= len(came)
        return found

    def pop(self, streams: Iterable[str]) -> list[Row]:
        """These are written now. Returns the rows of what came of them, by position."""
        rows: list[Row] = []
        for stream in streams:
            rows += self._came.pop(stream, ())
            self.new.discard(stream)
        self._number -= len(rows)
        rows.sort()
        return rows
