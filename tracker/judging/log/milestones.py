"""The positions at which what is known of a growing log takes effect.

What a log says changes with each delivery. If every session were judged anew each time, a log would cost its
length squared; if each were judged by what was known when it was last looked at, the result would depend on
when that was. So the values in force change only at a few positions, the milestones. Read models that grow
with the log, a rebuild of them and an audit of the store then judge by the same values. The distance between
milestones grows with the log, so the work at all of them together stays in proportion to its length.
"""

from __future__ import annotations

__all__ = ["is_milestone", "milestone_before", "next_milestone"]

FIRST = 100


def is_milestone(position: int) -> bool:
    """Whether the view of a log that grows changes behind this position: 100, 200, 500, 1,000, 2,000 …"""
    return position >= FIRST and milestone_before(position) == position


def milestone_before(position: int) -> int:
    """The last milestone up to a position; 0 if there is none."""
    if position < FIRST:
        return 0
    power = int(10 ** (len(str(position)) - 1))
    return power * max(one for one in (1, 2, 5) if one * power <= position)


def next_milestone(position: int) -> int:
    """The first milestone behind a position."""
    before = milestone_before(position)
    return before * 5 // 2 if str(before).startswith("2") else before * 2 or FIRST
