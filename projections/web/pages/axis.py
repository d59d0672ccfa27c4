"""Time as a line of a hundred percent, in which long stretches without anything are folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import attrs

from projections import zones
from projections.web.pages.html import span

LONG = 45 * 60.0
"""Seconds below which nothing is folded."""
SHARE = 0.3
"""A stretch without anything that takes more than this part of what is drawn to scale is folded."""
FOLD = 6.0
"""The width of a folded stretch, in percent; all of them together take at most half."""
MARGIN = 1.2
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Seconds from one tick to the next."""
APART = 8.0
"""How far the ticks are apart at least, in percent."""


@attrs.frozen
class Piece:
    """A stretch of time, in seconds since the epoch, and where it is drawn, in percent."""

    begin: float
    end: float
    left: float
    right: float
    folded: bool

    def x(self, at: float) -> float:
        length = self.end - self.begin
        return self.left + (self.right - self.left) * ((at - self.begin) / length if length else 0.5)


@attrs.frozen
class Fold:
    """A folded stretch: its place in percent, and how long it is."""

    left: float
    right: float
    label: str


@attrs.frozen
class Tick:
    x: float
    label: str


@attrs.frozen
class Axis:
    """Where a moment is drawn. ``timeless``: nothing has a time, and what is drawn is the order alone."""

    pieces: tuple[Piece, ...]
    timeless: bool = False

    @classmethod
    def over(cls, times: Iterable[datetime], *, timeless: bool = False) -> Axis:
        """An axis on which all these moments have their place; there must be at least one."""
        moments = sorted({time.timestamp() for time in times})
        if len(moments) == 1:
            moments.append(moments[0] + 1)
        gaps = [end - begin for begin, end in pairwise(moments)]
        folded = set() if timeless else _folded(gaps)
        return cls(tuple(_pieces(moments, gaps, folded)), timeless)

    @property
    def end(self) -> datetime:
        return datetime.fromtimestamp(self.pieces[-1].end, UTC)

    def x(self, at: datetime) -> float:
        """In percent; what lies outside is drawn at the edge."""
        seconds = at.timestamp()
        for piece in self.pieces:
            if seconds <= piece.end:
                return round(max(piece.left, piece.x(seconds)), 2)
        return round(self.pieces[-1].right, 2)

    def folds(self) -> Iterator[Fold]:
        for piece in self.pieces:
            if piece.folded:
                yield Fold(round(piece.left, 2), round(piece.right, 2), span(piece.end - piece.begin))

    def ticks(self) -> list[Tick]:
        """Round times, none in a fold."""
        scaled = [piece for piece in self.pieces if not piece.folded]
        seconds, width = (
            sum(piece.end - piece.begin for piece in scaled),
            sum(piece.right - piece.left for piece in scaled),
        )
        step = next((step for step in STEPS if step / seconds * width >= APART), STEPS[-1])
        found: list[Tick] = []
        day = None
        folds = [(fold.left + fold.right) / 2 for fold in self.folds()]
        for time, x in () if self.timeless else _round_times(scaled, step):
            free = all(abs(x - fold) >= APART - 1 for fold in folds)
            at = time.astimezone(zones.shown_in())
            if free and (not found or x - found[-1].x >= APART - 1):
                label = f"{at:%H:%M:%S}" if step < 60 else f"{at:%H:%M}"
                found.append(Tick(round(x, 2), label if day in (None, at.date()) else f"{at:%m-%d} {label}"))
                day = at.date()
        return found


def _round_times(pieces: Iterable[Piece], step: int) -> Iterator[tuple[datetime, float]]:
    for piece in pieces:
        at = -(-piece.begin // step) * step
        while at <= piece.end:
            yield datetime.fromtimestamp(at, UTC), piece.x(at)
            at += step


def _folded(gaps: list[float]) -> set[int]:
    """The places of the stretches that are too long beside the others."""
    folded = set[int]()
    while len(folded) * FOLD < 50:
        left = sum(gap for place, gap in enumerate(gaps) if place not in folded)
        place, gap = max(
            ((place, gap) for place, gap in enumerate(gaps) if place not in folded),
            key=lambda found: found[1],
            default=(0, 0.0),
        )
        if gap <= max(LONG, SHARE * left):
            break
        folded.add(place)
    return folded if len(folded) < len(gaps) else set()


def _pieces(moments: list[float], gaps: list[float], folded: set[int]) -> Iterator[Piece]:
    """Neighbouring stretches that are drawn to scale are one piece."""
    scaled = sum(gap for place, gap in enumerate(gaps) if place not in folded) or 1.0
    rate = (100 - 2 * MARGIN - len(folded) * FOLD) / scaled
    left, begin = MARGIN, moments[0]
    for place in range(len(gaps)):
        if place in folded:
            if moments[place] > begin or place == 0:
                middle = left + (moments[place] - begin) * rate
                yield Piece(begin, moments[place], left, middle, folded=False)
                left = middle
            yield Piece(moments[place], moments[place + 1], left, left + FOLD, folded=True)
            left, begin = left + FOLD, moments[place + 1]
        elif place + 1 == len(gaps):
            yield Piece(begin, moments[-1], left, left + (moments[-1] - begin) * rate, folded=False)
    if len(gaps) - 1 in folded:
        yield Piece(begin, begin, left, left, folded=False)


def ordinal(place: int) -> datetime:
    """A moment for what has no time, by its place in the order."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=place)
