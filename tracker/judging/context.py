"""What is known beside an aggregate when it is judged: the rules, the session around it, the log around that.

It does not change while a session is assessed, so what a run costs can be kept with the run.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tracker.judging.log import NOTHING_KNOWN, LogView
from tracker.lifecycle import Lifecycle
from tracker.rules import Rules, Windows

__all__ = ["SAME_AGE", "Context"]

SAME_AGE = 1_500_000
"""Microseconds by which the ages of copies may differ that were sent again together,"""
SAME_AGE_SHARE = 0.02
"""and the share of the age, where it is an hour or more."""
_HOUR = 3_600_000_000
AT_ONCE = 2_000_000
"""Microseconds within which comes what was sent in one burst."""


class Context(msgspec.Struct, eq=False):
    """See above. Times are microseconds since 1970.

    Attributes:
        rules: The windows, limits, severities and prices in force.
        log: What the whole log says.
        stream: Where the deliveries are stored.
        lacking: Webhook types to which this room, its account or the whole log does not subscribe.
        end: When the session ended or was presumed to have ended; ``None`` while it has not.
        over: When the last of its own steps came and its position: what came before session-started, where that came
            behind session-ended, may have been overtaken as well.
        presumed: Whether the end is only presumed.
        next_begin: When the next session of the room began, where this one has not ended.
        given_way: The same, where this one was not idle for long by then.
        ages: How old the copies of this session are that are certain, the youngest first.
        find_in_common: Finds the ages that several repeated steps have in common, when it is first called.
        resent: Positions of what came again in one burst with a copy that is certain.
        two_channels: Whether everything that can come only once came twice, so that the rest should have, too.
        find_occupied: Finds from when to when somebody was inside (``None``: still is), when it is called; ``None`` where
            nobody can know.
        find_left: Finds when each person left, by what names that person, when it is called.
        as_of: The moment as of which is judged; ``None``: no time passes.
    """

    rules: Rules
    log: LogView = NOTHING_KNOWN
    stream: str = ""
    lacking: frozenset[str] = frozenset()
    end: int | None = None
    over: tuple[int, int] = (0, 0)
    presumed: bool = False
    next_begin: int | None = None
    given_way: int | None = None
    ages: Sequence[int] = ()
    find_in_common: Callable[[], Sequence[int]] = tuple
    resent: frozenset[int] = frozenset()
    two_channels: bool = False
    find_occupied: Callable[[], Sequence[tuple[int, int | None]]] | None = None
    find_left: Callable[[], Mapping[str, Sequence[int]]] = dict
    as_of: int | None = None
    windows: Windows = Rules().windows  # both follow from the rules
    prices: Mapping[str, float] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.windows, self.prices = self.rules.windows, self.rules.price_list

    @property
    def evidence(self) -> tuple[object, ...]:
        """All that a price can depend on, the rules and the delay profile left out; not the moment."""
        return (*self.evidence_without_repeats, tuple(self.find_in_common()))

    @property
    def evidence_without_repeats(self) -> tuple[object, ...]:
        """All of that where no step came twice: the ages that repeated ones have in common take long to find."""
        occupied = None if self.find_occupied is None else tuple(self.find_occupied())
        end = self.end, self.over, self.presumed
        copies = tuple(self.ages), self.resent, self.two_channels
        return (*end, *copies, occupied, self.find_left(), self.lacking, self.log.silences)

    def lacks(self, lifecycle: Lifecycle, step: str) -> bool:
        """Whether nobody subscribes to the webhook type of this step."""
        return bool(self.lacking) and lifecycle.webhook_type(step) in self.lacking

    def is_as_old(self, age: int) -> bool:
        """Whether a certain copy of this session is as old."""
        within = max(SAME_AGE, SAME_AGE_SHARE * age) if age >= _HOUR else SAME_AGE
        return any(abs(age - other) <= within for other in self.ages)

    def is_as_old_as_evidence(self, age: int) -> bool:
        """Whether a certain copy of this session is as old, or several repeated steps are."""
        ages = self.find_in_common()
        place = bisect_left(ages, age - SAME_AGE)
        return (place < len(ages) and ages[place] <= age + SAME_AGE) or self.is_as_old(age)

    def is_second_channel(self, age: int) -> bool:
        """Whether everything comes twice here, and the second time about so much later."""
        if not self.two_channels or not self.ages:
            return False
        return self.ages[0] // 2 <= age <= self.ages[-1] * 3 // 2 + self.windows.fast_redelivery

    def is_empty(self, at: int) -> bool:
        """Whether nobody was inside at a moment, or a moment later."""
        if self.find_occupied is None:
            return False
        until = at + self.windows.fast_redelivery
        return not any(come <= at and (gone is None or gone > until) for come, gone in self.find_occupied())

    def needs_no_stop(self, at: int, who: str | None) -> bool:
        """Whether what stopped at a moment may have stopped by itself: also what is of somebody who left just before."""
        if self.is_empty(at) or self.log.is_catching_up(at):
            return True
        if who is not None and any(
            -self.windows.fast_redelivery <= at - gone <= self.windows.self_stop
            for gone in self.find_left().get(who, ())
        ):
            return True
        return self.end is not None and at >= self.end - self.windows.self_stop

    def is_after_end(self, at: int, position: int) -> bool:
        """Whether something came after the end of the session."""
        if self.end is None or self.presumed:
            return False
        return (at, position) > self.over
