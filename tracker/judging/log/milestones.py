"""The positions at which what is known of a growing log takes effect.

What a log says changes with each delivery. If every session were judged anew each time, a log would cost its
length squared; if each were judged by what was known when it was last looked at, the result would depend on
when that was. So the values in force change only at certain positions, the milestones. Read models that grow
with the log, a rebuild of them and an audit of the store then judge by the same values. The distance between
milestones grows with the log, so the work at all of them together stays in proportion to its length.

In a short log each position is a milestone: so a store that somebody has just begun is judged as its log is.
"""

from __future__ import annotations

__all__ = ["is_milestone", "milestone_before", "next_milestone", "page_end"]

SHORT = 100
"""Up to this position each is a milestone."""


def is_milestone(position: int) -> bool:
    """Whether the view of a log that grows changes behind this position: 1 to 100, 200, 500, 1,000, 2,000 …"""
    return position > 0 and milestone_before(position) == position


def milestone_before(position: int) -> int:
    """The last milestone up to a position; 0 if there is none."""
    if position <= SHORT:
        return max(0, position)
    power = int(10 ** (len(str(position)) - 1))
    return power * max(one for one in (1, 2, 5) if one * power <= position)


def next_milestone(position: int) -> int:
    """The first milestone behind a position."""
    if position < SHORT:
        return position + 1
    before = milestone_before(position)
    return before * 5 // 2 if str(before).startswith("2") else before * 2


def page_end(after: int, last: int) -> int:
    """Up to which position a page may go behind ``after``, where ``last`` is the last one: what is known changes in
    effect at no position before it, or at each, so that the last one will do."""
    return max(next_milestone(after), min(last, SHORT))
