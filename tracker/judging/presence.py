"""Who was inside a session and when, by the hypotheses that are held. It is derived when it is first asked for.

A person may have come several times, and visits of one person may overlap: a second device joined before the first
one left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import inf

import msgspec

from tracker.judging.state import Aggregate

__all__ = ["Inside", "Presence"]


class Presence(msgspec.Struct, eq=False, dict=True):
    """When the people of a session were inside. Times are microseconds since 1970.

    Attributes:
        people: In the order in which they appeared.
        end: When those left of whom no left came: at the end of the session; ``None``: they are still inside.
    """

    people: Sequence[Aggregate] = ()
    end: int | None = None

    def occupied(self) -> list[tuple[int, int | None]]:
        """From when to when somebody was inside (``None``: still is), the earliest first; kept."""
        return self._occupied

    @cached_property
    def _occupied(self) -> list[tuple[int, int | None]]:
        spans = [(come, self.end if gone is None else gone) for one in self.people for come, gone in one.inside]
        return sorted(spans, key=lambda span: (span[0], span[1] is None, span[1] or 0))

    def left(self) -> Mapping[str, Sequence[int]]:
        """When each person left, by what names that person; kept."""
        return self._left

    @cached_property
    def _left(self) -> dict[str, tuple[int, ...]]:
        return {
            one.key[0][1]: tuple([gone for _, gone in one.inside if gone is not None]) for one in self.people
        }

    @property
    def empty_since(self) -> int | None:
        """Since when nobody is inside; ``None`` where somebody is, or nobody can know."""
        since: int | None = None
        for person in self.people:
            run = person.held.runs[-1]
            if not run.closed:
                return None
            for one in run.originals.values():
                if since is None or one.at > since:
                    since = one.at
        return since

    def lone(self, end: int | None) -> Iterator[tuple[int, int | None, Aggregate]]:
        """From when to when one person was the only one inside (``None``: still is); ``end`` as above."""
        moments: list[tuple[int, int, Aggregate]] = []
        for person in self.people:
            for come, left in person.inside:
                gone = end if left is None else left
                if gone is None or gone > come:
                    moments.append((come, 1, person))
                if gone is not None and gone > come:
                    moments.append((gone, -1, person))
        moments.sort(key=lambda one: (one[0], one[1]))
        inside: Counter[Aggregate] = Counter()
        alone: tuple[int, Aggregate] | None = None
        for at, change, person in moments:
            before = len(inside)
            inside[person] += change
            if not inside[person]:
                del inside[person]
            if len(inside) != before:
                if alone is not None:
                    yield alone[0], at, alone[1]
                alone = (at, next(iter(inside))) if len(inside) == 1 else None
        if alone is not None:
            yield alone[0], None, alone[1]


class Inside:
    """When one person was inside, or nearly: what two aggregates say may cross on its way by ``margin``."""

    def __init__(self, person: Aggregate, margin: int) -> None:
        self._comes: list[int] = []
        self._goes: list[float] = []
        latest = -inf
        for come, gone in Presence([person]).occupied():
            latest = max(latest, inf if gone is None else gone + margin)
            self._comes.append(come - margin)
            self._goes.append(latest)

    def covers(self, at: int) -> bool:
        """Whether the person was inside at a moment."""
        place = bisect_right(self._comes, at) - 1
        return place >= 0 and at <= self._goes[place]
