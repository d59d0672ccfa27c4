"""Where the states of a diagram stand, and how the lines run between them.

A neighbour is reached straight, any other state of the line by a track above it, what stands below by a track in
between. No two tracks lie on each other, unless they lead to the same state. Places are in pixels.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import attrs

from tracker.findings import Severity
from tracker.lifecycle import ABSENT

WIDE, HIGH = 92, 34
"""A state's box."""
HALF_WIDE, HALF_HIGH = WIDE // 2, HIGH // 2
GAP = 44
"""Between two boxes at least; more where a label needs it."""
CHARACTER = 6.6
"""The width of one in a label."""
FIRST = 24
"""Where the dot is, at which a run begins."""
TRACK = 23
"""From one track above the line to the next."""
LABELS = 46
"""Below the line, for the words on the ways that lead down."""
ROUND = 9
"""The radius of a bend."""


@attrs.frozen
class Way:
    """From a state to a state by a webhook type: how often it was gone, and what was found there."""

    before: str
    after: str
    number: str
    codes: str
    title: str
    refused: bool
    severity: Severity | None
    path: str = ""
    x: float = 0
    y: float = 0
    anchor: Literal["start", "middle", "end"] = "middle"

    @property
    def length(self) -> float:
        """The width of its label."""
        return CHARACTER * len(f"{self.number} {self.codes}".strip())


class Plan:
    """Where everything goes: first the boxes and the tracks, then way by way."""

    def __init__(self, line: list[str], bad: list[str], ways: list[Way]) -> None:
        self.line, self.bad = [ABSENT, *line], bad
        self.next = set(pairwise(self.line))
        above = [one for one in ways if self._is_above(one)]
        columns = self._columns(ways)
        self.level = self._levels(above, columns)
        y = max(self.level.values(), default=-1) * TRACK + 66
        self.foot = y + HALF_HIGH
        self.places: dict[str, tuple[float, float]] = {name: (x, float(y)) for name, x in columns.items()}
        depth = self.foot + LABELS + 12 * len(bad) + 20 + HALF_HIGH
        first, last = columns[line[0]], columns[line[-1]]
        step = max((last - first) / (len(bad) + 1), WIDE + GAP / 2)
        left = max(first, (first + last - step * (len(bad) - 1)) / 2)
        for place, name in enumerate(bad):
            self.places[name] = left + step * place, float(depth)
        self.height = depth + 48 if bad else y + 44
        self.ports = self._ports(above)

    def _is_above(self, one: Way) -> bool:
        straight = (one.before, one.after) in self.next and not one.refused
        return one.before in self.line and one.after in self.line and not straight

    def _columns(self, ways: list[Way]) -> dict[str, float]:
        """Each state of the line -> its middle; as far apart as the labels in between want."""
        gap = max(
            [
                GAP,
                *(one.length + 26 for one in ways if (one.before, one.after) in self.next and not one.refused),
            ]
        )
        begin = FIRST + gap + HALF_WIDE
        return {
            name: begin + (place - 1) * (WIDE + gap) if place else FIRST for place, name in enumerate(self.line)
        }

    def _levels(self, above: list[Way], columns: dict[str, float]) -> dict[Way, int]:
        """The lowest free track for each, the short ones first; its label needs room on it too."""
        taken: list[list[tuple[float, float]]] = []
        found = {}
        for one in sorted(above, key=lambda one: (abs(columns[one.before] - columns[one.after]), one.refused)):
            ends = sorted((columns[one.before], columns[one.after]))
            spare = max(0.0, one.length + 12 - (ends[1] - ends[0])) / 2
            left, right = ends[0] - spare - HALF_WIDE / 2, ends[1] + spare + HALF_WIDE / 2
            level = 0
            while level < len(taken) and any(left < end and begin < right for begin, end in taken[level]):
                level += 1
            taken += [[]] if level == len(taken) else []
            taken[level].append((left, right))
            found[one] = level
        return found

    def _ports(self, above: list[Way]) -> dict[tuple[Way, bool], float]:
        """(way, whether it is its end) -> where on the top of the box; so that tracks do not cross there."""
        sides: dict[str, list[tuple[int, int, Way, bool]]] = {}
        for one in above:
            for end, here, there in ((False, one.before, one.after), (True, one.after, one.before)):
                way = self.line.index(there) - self.line.index(here)
                to_left = way < 0 or (way == 0 and not end)
                order = (0, self.level[one]) if to_left else (1, -self.level[one])
                sides.setdefault(here, []).append((*order, one, end))
        found = {}
        for name, ends in sides.items():
            ends.sort(key=lambda end: end[:2])
            for place, (_, _, one, end) in enumerate(ends, 1):
                width = WIDE - 8 if name else 0
                found[one, end] = self.places[name][0] - width / 2 + width * place / (len(ends) + 1)
        return found

    def drawn(self, one: Way) -> Way:
        """The way with its line and the place of its label."""
        (x, y), (to_x, to_y) = self.places[one.before], self.places[one.after]
        if one in self.level:
            return self._over(one, y)
        if y == to_y:
            out = HALF_WIDE if one.before else 7
            ends = (x + out, to_x - HALF_WIDE - 1) if x < to_x else (x - out, to_x + HALF_WIDE + 1)
            return attrs.evolve(one, path=f"M{ends[0]:g} {y:g}H{ends[1]:g}", x=sum(ends) / 2, y=y - 8)
        if y > to_y:
            return self._up(one)
        return self._down(one) if one.before else self._from_dot(one)

    def _over(self, one: Way, y: float) -> Way:
        start, stop = self.ports[one, False], self.ports[one, True]
        track = y - HALF_HIGH - 24 - TRACK * self.level[one]
        out = HALF_HIGH if one.before else 7
        path = _bent((start, y - out), (start, track), (stop, track), (stop, y - HALF_HIGH - 1))
        return attrs.evolve(
            one, path=path, x=(start + stop) / 2, y=track + (-6 if one.before == one.after else 4)
        )

    def _down(self, one: Way) -> Way:
        """All that leads to one state shares the track above it; the words stand where each leaves."""
        place = self.bad.index(one.after)
        x, (to_x, to_y) = self.places[one.before][0] - 20 + 26 * place, self.places[one.after]
        track = self.foot + LABELS + 12 * (len(self.bad) - 1 - place)
        points = [(x, self.foot), (x, track), (to_x, track), (to_x, to_y - HALF_HIGH - 1)]
        if abs(x - to_x) < 2 * ROUND:
            points = [(x, self.foot), (x, to_y - HALF_HIGH - 1)]
        return attrs.evolve(one, path=_bent(*points), x=x + 6, y=self.foot + 16 + 17 * place, anchor="start")

    def _from_dot(self, one: Way) -> Way:
        (x, y), (to_x, to_y) = self.places[ABSENT], self.places[one.after]
        under = to_y + 9 if self.bad.index(one.after) == 0 else to_y + HALF_HIGH + 12
        points = [(x, y + 7), (x, under), (to_x - HALF_WIDE - 1, under)]
        if under > to_y + HALF_HIGH:
            points[-1:] = [(to_x, under), (to_x, to_y + HALF_HIGH + 1)]
        return attrs.evolve(one, path=_bent(*points), x=x + 8, y=under - 6, anchor="start")

    def _up(self, one: Way) -> Way:
        """Out of a side where nothing stands in between, else below the row."""
        (x, y), (to_x, _) = self.places[one.before], self.places[one.after]
        place, left = self.bad.index(one.before), to_x <= x
        port = to_x - 34 if left else to_x + 34
        free = place == 0 if left else place == len(self.bad) - 1
        side = x - HALF_WIDE if left else x + HALF_WIDE
        points = [(side, y - 6), (port, y - 6), (port, self.foot + 1)]
        if not free:
            points = [
                (x + 8, y + HALF_HIGH),
                (x + 8, y + HALF_HIGH + 12),
                (port, y + HALF_HIGH + 12),
                (port, self.foot + 1),
            ]
        offset = -6 if left else 6
        return attrs.evolve(
            one, path=_bent(*points), x=port + offset, y=self.foot + 34, anchor="end" if left else "start"
        )


def _bent(*points: tuple[float, float]) -> str:
    """A line of straight pieces with round bends."""
    path = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        bend = min(ROUND, _far(before, here) / 2, _far(here, after) / 2)
        (x, y), (to_x, to_y) = _toward(here, before, bend), _toward(here, after, bend)
        path.append(f"L{x:g} {y:g}Q{here[0]:g} {here[1]:g} {to_x:g} {to_y:g}")
    return "".join([*path, f"L{points[-1][0]:g} {points[-1][1]:g}"])


def _far(one: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _toward(here: tuple[float, float], there: tuple[float, float], length: float) -> tuple[float, float]:
    whole = _far(here, there) or 1.0
    return tuple(round(a + (b - a) * length / whole, 1) for a, b in zip(here, there, strict=True))  # type: ignore[return-value]
