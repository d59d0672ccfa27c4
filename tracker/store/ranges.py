"""Reading on behind what cannot be read.

A page of a file that is damaged holds some positions; every query that meets it fails. So a range that fails is
halved until what is left of it is one position: that one is lost, and all others are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from tracker.errors import StoreDamagedError

T = TypeVar("T")


class Hole(msgspec.Struct, frozen=True):
    """Positions that cannot be read, the first and the last of them."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    @property
    def place(self) -> str:
        return places(self.first, self.last)


def places(first: int, last: int) -> str:
    """Positions as somebody would name them."""
    return f"position {first}" if first == last else f"positions {first} to {last}"


def readable(
    select: Callable[[int, int], Sequence[T]],
    after: int,
    stop: int,
    page: int,
    following: Callable[[int], int | None],
) -> Iterator[Sequence[T] | Hole]:
    """What ``select`` gives behind a position up to ``stop``, so many positions at a time, and the holes in it.

    ``select(after, stop)`` gives what is there behind a position up to another one, or raises
    ``StoreDamagedError``. ``following(after)`` gives the next position that there is: it is asked where there is
    nothing for a while.
    """
    hole: Hole | None = None
    while after < stop:
        is_empty = True
        for one in _halved(select, after, min(after + page, stop)):
            is_empty = False
            if not isinstance(one, Hole):
                if hole is not None:
                    yield hole
                    hole = None
                yield one
            else:
                hole = Hole(hole.first if hole else one.first, one.last)
        after += page
        if is_empty:
            after = max(after, _next(following, after, stop) - 1)
    if hole is not None:
        yield hole


def _next(following: Callable[[int], int | None], after: int, stop: int) -> int:
    try:
        return following(after) or stop + 1
    except StoreDamagedError:
        return after + 1


def _halved(select: Callable[[int, int], Sequence[T]], after: int, stop: int) -> Iterator[Sequence[T] | Hole]:
    try:
        found = select(after, stop)
    except StoreDamagedError:
        if stop - after == 1:
            yield Hole(stop, stop)
            return
        middle = (after + stop) // 2
        yield from _halved(select, after, middle)
        yield from _halved(select, middle, stop)
        return
    if found:
        yield found
