"""The delay profile: how likely it is that an equal webhook is a copy.

A webhook that names a file, or that can come only once for another reason, carries evidence: an equal one is
a copy, whatever its age. The ages of these copies, and how many such webhooks did *not* come again, show what
this network does. From that follows how likely it is that an equal webhook without evidence (a second
``recording-starting``) is a copy too, and not a step of its own:

    P(copy of this age) = certain copies of about this age × scale / doubtful webhooks of about this age

``scale`` is how many more webhooks there are without evidence than with it. Where no certain copy was about
as old, the number of ages that only a single copy has says how often an age appears for the first time, and those
of them that are half as old to twice as old, how often one like this does: where copies come minutes later, a new
age is one of minutes. What few show leans towards what more show: this age on ages like it, and these on all. That
nothing ever comes twice is the strongest evidence of all: then the share is next to nothing.

Copies often come in bursts: after an outage many webhooks of many sessions come again, about equally old. So
a certain copy of *another* session that came at the same time and is about as old is a companion. How much it
weighs is learned too: from how many of the certain copies have such a companion, and how many have one by
chance, an hour away.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from math import log

from tracker.judging.log.habits import SECOND, Habits, age_bin, bin_end, session_number
from tracker.judging.prices import HIGHEST

__all__ = ["ENOUGH", "ENOUGH_STEPS", "Profile"]

ENOUGH = 100
"""Bodies that can come only once, before the delay profile is believed,"""
ENOUGH_STEPS = 1000
"""and steps that came in order, before the learned lateness is."""
AT_ONCE = 15 * SECOND
"""A companion comes at most so long before or after a copy."""
ELSEWHERE = 3600 * SECOND
"""At a moment so far from a copy, another one there is chance."""
REAL = 5
"""Equal webhooks that are taken for steps of their own before a log has shown any: else the first would be a copy."""
LIKE = 40
"""Bins to either side that are ages like an age: from two minutes on, about from half to twice as old."""
LEAN, LEAN_ON_ALL = 10, 20
"""What is known of ages like an age weighs as much as so many equal webhooks of that age, and what is known of all ages
as much as so many of ages like it."""
SURE = 0.98
"""No age makes a copy likelier than this."""
SAMPLE = 400
"""At most so many certain copies are examined for a companion."""


class Profile:
    """How likely it is that an equal webhook without evidence is a copy; derived from ``Habits``.

    Attributes:
        enough: Whether enough is known to say it.
        late: How late a step may be without costing more, in microseconds; ``None`` while too little is known.
    """

    def __init__(self, habits: Habits) -> None:
        self.enough = habits.bodies >= ENOUGH
        self.late = _learned_lateness(habits)
        self._late = sorted(habits.overtaken)
        self._as_late = [*accumulate([habits.overtaken[place] for place in reversed(self._late)], initial=0)][
            ::-1
        ]
        self._steps = habits.steps + self._as_late[0]
        self._copies, self._doubtful = habits.copies, habits.doubtful
        self._bodies = habits.bodies
        self._scale = habits.others / max(1, habits.bodies)
        self._single = [one for one, count in habits.copies.items() if count == _near(habits.copies, one) == 1]
        self._unseen = {one: count for one, count in habits.doubtful.items() if not _near(habits.copies, one)}
        self._rare = (len(self._single) + 1) * self._scale / (REAL + sum(self._unseen.values()))
        self._shares: dict[int, float] = {}
        self._bursts = sorted(habits.bursts)
        self._times = [at for at, _, _ in self._bursts]
        self._with, self._without = self._odds()

    def copy_price(self, at: int, age: int) -> tuple[bool, float]:
        """Whether an equal webhook of this age, received at ``at``, is surely a copy, and what that costs."""
        share = self.share_of_age(age, with_others=any(self._companions(at, age, None)))
        return share >= 0.9, min(HIGHEST, max(0.02, -log(max(share, 1e-6))))

    def again_price(self, at: int, age: int, stream: str) -> float:
        """What it costs that a webhook, which is counted itself, came again at this age; nothing if those of others did."""
        if any(self._companions(at, age, session_number(stream))):
            return 0.0
        return min(HIGHEST, max(0.0, -log(max(1, _near(self._copies, age_bin(age))) / (self._bodies + 1))))

    def share_as_late(self, delay: int) -> float | None:
        """The share of the steps that came so late or later; ``None`` while too little is known."""
        if self.late is None:
            return None
        return (self._as_late[bisect_left(self._late, age_bin(delay))] + 1) / (self._steps + 1)

    def share_of_age(self, age: int, *, with_others: bool) -> float:
        """The same by its age, and whether a certain copy that is as old came with it."""
        place = age_bin(age)
        share = self._shares.get(place)
        if share is None:
            share = self._shares[place] = min(SURE, self._share_in(place))
        odds = share / (1 - share) * (self._with if with_others else self._without)
        return odds / (1 + odds)

    def _share_in(self, place: int) -> float:
        """The same by the bin of its age alone."""
        single = sum(1 for one in self._single if -LIKE <= one - place <= LIKE)
        unseen = sum(count for one, count in self._unseen.items() if -LIKE <= one - place <= LIKE)
        rare = min(SURE, (single * self._scale + LEAN_ON_ALL * min(SURE, self._rare)) / (unseen + LEAN_ON_ALL))
        near = _near(self._copies, place)
        if not near:
            return rare
        return (near * self._scale + LEAN * rare) / (max(1, _near(self._doubtful, place)) + LEAN)

    def _companions(self, at: int, age: int, session: int | None) -> Iterator[bool]:
        """For each certain copy of another session that came at about the same time and is about as old."""
        first, last = bisect_left(self._times, at - AT_ONCE), bisect_right(self._times, at + AT_ONCE)
        within = max(75 * SECOND, 0.02 * age)
        return (
            True for _, old, other in self._bursts[first:last] if other != session and abs(old - age) <= within
        )

    def _odds(self) -> tuple[float, float]:
        """How much likelier a copy is with a companion, and without; learned from the certain copies."""
        count = len(self._bursts)
        if not count:
            return 1.0, 1.0
        sample = [self._bursts[place] for place in range(0, count, max(1, count // SAMPLE))]
        ours = sum(any(self._companions(*one)) for one in sample)
        chance = sum(
            any(self._companions(at + ELSEWHERE, age, session))
            or any(self._companions(at - ELSEWHERE, age, session))
            for at, age, session in sample
        )
        of = len(sample) + 1
        with_it, by_chance = (ours + 0.5) / of, (chance + 0.5) / of
        return with_it / by_chance, (1 - with_it) / (1 - by_chance)


def _near(ages: dict[int, int], place: int) -> int:
    """How many have about this age: it, or one in the bins beside it."""
    return ages.get(place - 1, 0) + ages.get(place, 0) + ages.get(place + 1, 0)


def _learned_lateness(habits: Habits) -> int | None:
    """Four times the delay that one overtaken step in a hundred exceeds, in microseconds."""
    late = sum(habits.overtaken.values())
    if habits.steps + late < ENOUGH_STEPS:
        return None
    beyond = late * 0.01
    for place in sorted(habits.overtaken, reverse=True):
        beyond -= habits.overtaken[place]
        if beyond < 0:
            return int(4 * bin_end(place) * SECOND)
    return 5 * SECOND
