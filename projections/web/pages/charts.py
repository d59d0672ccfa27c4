"""Small charts: numbers as rectangles in a box of 100 by 100, which the page stretches to the room that there is."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

SIDE = 100.0
GAP = 0.22
"""Of a column, the part that stays empty."""


@attrs.frozen
class Rect:
    """A rectangle; ``name`` is its class, ``title`` what it says when the pointer is on it."""

    x: float
    y: float
    width: float
    height: float
    name: str
    title: str = ""


def columns(
    parts: Sequence[Sequence[int]], names: Sequence[str], behind: Sequence[int] = (), titles: Sequence[str] = ()
) -> list[Rect]:
    """Columns from left to right, each a pile of ``parts`` from the bottom up; ``behind`` each a pale one.

    All have one scale, and the highest reaches the top.
    """
    most = max([*map(sum, parts), *behind, 1])
    wide = SIDE / max(len(parts), 1)
    found = [
        _column(place, wide, GAP / 2, 0, number, most, "behind")
        for place, number in enumerate(behind)
        if number
    ]
    inset = GAP if behind else GAP / 2
    for place, pile in enumerate(parts):
        below = 0
        for name, number in zip(names, pile, strict=True):
            if number:
                found.append(_column(place, wide, inset, below, number, most, name))
            below += number
    found += [
        Rect(round(place * wide, 3), 0, round(wide, 3), SIDE, "reach", title)
        for place, title in enumerate(titles)
    ]
    return found


def _column(place: int, wide: float, inset: float, below: int, number: int, most: int, name: str) -> Rect:
    height, foot = SIDE * number / most, SIDE * below / most
    x, width = wide * (place + inset), wide * (1 - 2 * inset)
    return Rect(round(x, 3), round(SIDE - foot - height, 3), round(width, 3), round(height, 3), name)


def bar(numbers: Sequence[int], names: Sequence[str]) -> list[Rect]:
    """One bar, cut into parts from left to right; nothing where all are zero."""
    whole, found, x = sum(numbers), [], 0.0
    for name, number in zip(names, numbers, strict=True):
        if number:
            width = SIDE * number / whole
            found.append(Rect(round(x, 3), 0, round(width, 3), SIDE, name))
            x += width
    return found
