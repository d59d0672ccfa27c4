"""How often which duration was seen: fixed bins on a logarithmic scale, so memory does not grow with the log.

Between two edges that people know (``10 s``, ``1 min``) lie eight bins of equal ratio, none wider than
a seventh of its beginning. A percentile is the upper edge of its bin, and so never too small.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from datetime import timedelta
from itertools import accumulate, pairwise

import attrs

EDGES = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600, 10_800, 21_600, 43_200, 86_400)
"""Seconds. Below the first and above the last everything is in one bin."""
_PARTS = 8


def _fine() -> list[float]:
    pairs = pairwise(EDGES)
    return [low * (high / low) ** (part / _PARTS) for low, high in pairs for part in range(_PARTS)] + [
        EDGES[-1]
    ]


_FINE = _fine()


@attrs.frozen
class Bar:
    """One bin as it is shown; seconds. The last has no end."""

    begin: float
    end: float | None
    count: int


@attrs.define
class Histogram:
    """``counts`` by bin, and the largest duration in seconds."""

    counts: list[int] = attrs.field(factory=lambda: [0] * (len(_FINE) + 1))
    total: int = 0
    largest: float = 0.0

    def add(self, duration: timedelta) -> None:
        """Counts one; a negative one, where a clock was set back, counts as none at all."""
        seconds = max(0.0, duration.total_seconds())
        self.counts[bisect_right(_FINE, seconds)] += 1
        self.total += 1
        self.largest = max(self.largest, seconds)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of what was seen lies. Raises ``ValueError`` if nothing was."""
        if not self.total:
            raise ValueError("nothing was counted")
        place = bisect_left(list(accumulate(self.counts)), math.ceil(share * self.total))
        return min(_FINE[place], self.largest) if place < len(_FINE) else self.largest

    def within(self, seconds: float) -> Histogram:
        """Only what is below one of the ``EDGES``."""
        place = _FINE.index(seconds) + 1
        counts = [*self.counts[:place], *[0] * (len(self.counts) - place)]
        return Histogram(counts, sum(counts), min(self.largest, seconds))

    def bars(self) -> list[Bar]:
        """What was seen between the edges, from the first bar that counts anything to the last."""
        places = [0, *(_FINE.index(edge) + 1 for edge in EDGES), len(self.counts)]
        sums = [sum(self.counts[low:high]) for low, high in pairwise(places)]
        bars = [
            Bar(begin, end, count)
            for begin, end, count in zip((0.0, *EDGES), (*EDGES, None), sums, strict=True)
        ]
        used = [place for place, bar in enumerate(bars) if bar.count]
        return bars[used[0] : used[-1] + 1] if used else []
