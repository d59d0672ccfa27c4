"""Which windows a log suggests, and what the judging learns of it by itself: its delay profile and its lateness.

Each delivery is compared with what came of the same thing before. What a measure counts is chosen
so that the judging cannot have decided it: a copy counts towards ``redelivery`` where it can be nothing
else, because it is of the session itself or brings a file or url. Memory holds the sessions received
last; everything else is counts.

The delay profile is the judging's own (``tracker.judging.log``): how old the copies are that cannot be
anything else, and how probable it is that an equal webhook of that age is one too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs
from msgspec.structs import replace

from projections.explain.histogram import EDGES, Histogram
from tracker.delivery.webhook import UNROUTED, Delivery, canonical
from tracker.judging import words
from tracker.judging.log import Habits, LogView, Traffic, view_of
from tracker.judging.log.habits import SECOND, bin_end
from tracker.judging.log.profile import ENOUGH as ENOUGH_BODIES
from tracker.judging.log.profile import ENOUGH_STEPS
from tracker.judging.sessions import Sessions
from tracker.lifecycle import Lifecycle
from tracker.rules import Rules
from tracker.step import Step

MEMORY = 20_000
"""Sessions whose deliveries are compared; the one with the most recent delivery is forgotten last."""
ENOUGH = 30
"""Samples without which nothing is suggested."""

EQUAL = "gaps between equal deliveries"
COPIES = "gaps of what can only be a copy"
JOINED_AGAIN = "joined again while inside"
LATE = "how late a step came"
OVERTAKEN = "how late an overtaken left came"
AFTER_END = "how long after the session's end"
MEASURES = (EQUAL, COPIES, JOINED_AGAIN, LATE, OVERTAKEN, AFTER_END)

SWEEP = 1000
"""Deliveries after which is looked whether memory holds too many sessions."""
_HUMAN = [
    *(timedelta(seconds=number) for number in (1, 2, 3, 5, 10, 15, 20, 30, 45)),
    *(timedelta(minutes=number) for number in (1, 2, 3, 5, 10, 15, 20, 30, 45)),
    *(timedelta(hours=number) for number in (1, 2, 3, 6, 12, 24)),
]


def duration(seconds: float) -> str:
    """``"3.5 s"``, ``"1 min"``, ``"1 h 5 min"``."""
    return words.duration(round(seconds * SECOND))


@attrs.frozen
class Basis:
    """What a suggestion rests on: a percentile of a measure, times a margin, between two ends (seconds)."""

    rule: str
    measure: str
    share: float
    margin: float
    least: float
    most: float
    within: float | None = None
    """Only samples below it count."""


BASES = (
    Basis("redelivery", COPIES, 0.99, 2, 60, 3600),
    Basis("fast_redelivery", JOINED_AGAIN, 0.9, 1.5, 5, 30, within=60),
    Basis("lateness", LATE, 0.99, 1.5, 5, 600),
    # What is stuck is among the samples, so a limit rests on what the great majority needs.
    Basis("stuck_starting", "starting", 0.95, 3, 30, 3600),
    Basis("stuck_stopping", "stopping", 0.95, 3, 60, 21_600),
    Basis("overtaken", OVERTAKEN, 0.95, 3, 30, 300),
    Basis("grace", AFTER_END, 0.99, 2, 60, 21_600),
)


@attrs.frozen
class Suggestion:
    """A window as it is, and as the log suggests it; ``None`` where there are too few ``samples``."""

    rule: str
    now: timedelta
    suggested: timedelta | None
    samples: int
    share: float = 0.0
    measure: str = ""
    measured: float = 0.0
    """Seconds of the percentile."""

    @property
    def why(self) -> str:
        if self.suggested is None:
            return f"too few samples: {self.samples} of {ENOUGH}"
        return f"p{self.share * 100:.0f} {duration(self.measured)}, {self.measure}"


@attrs.define
class _Thing:
    """What came of one thing that has a state: in its run, and by step at any time."""

    came: dict[str, datetime] = attrs.field(factory=dict)
    last: dict[str, tuple[datetime, int]] = attrs.field(factory=dict)
    closed: bool = False
    outlives: bool = False
    rejoined: datetime | None = None
    left_after: timedelta | None = None


@attrs.define
class _Session:
    """One session: when it first came, when it ended, and its things."""

    first: datetime
    ended: datetime | None = None
    things: dict[Any, _Thing] = attrs.field(factory=dict)


@attrs.frozen
class Ages:
    """Equal webhooks of some age, which is between two ends (seconds; the last has none).

    Attributes:
        certain: Those that can come only once, and so are copies.
        doubtful: Those that may be another run's.
        probability: How probable it is that one of the doubtful is a copy; ``None`` where there are none.
    """

    begin: float
    end: float | None
    certain: int
    doubtful: int
    probability: float | None


@attrs.frozen
class Profile:
    """What the judging learns of a log.

    Attributes:
        bodies: Webhooks that can come only once, without their copies.
        copies: How often one of them came again.
        enough: Whether they are enough for the profile to be used.
        ages: By age.
        steps: Steps that came, in order or not.
        overtaken: Those that came after one that follows them.
        lateness: How late a step may be without a higher price; ``None`` where too little is known.
    """

    bodies: int
    copies: int
    enough: bool
    ages: tuple[Ages, ...]
    steps: int
    overtaken: int
    lateness: timedelta | None

    @property
    def lacks(self) -> str:
        """What is missing before the profile is used; empty where nothing is."""
        return "" if self.enough else f"{self.bodies:,} of {ENOUGH_BODIES:,} webhooks that can come only once"

    @property
    def lacks_steps(self) -> str:
        """What is missing before the lateness is learned; empty where nothing is."""
        return "" if self.lateness is not None else f"{self.steps:,} of {ENOUGH_STEPS:,} steps"


def profile(log: LogView) -> Profile:
    """What a log says of its copies and of late steps."""
    habits = log.habits
    late = log.profile.late
    overtaken = sum(habits.overtaken.values())
    return Profile(
        habits.bodies,
        sum(habits.copies.values()),
        log.profile.enough,
        tuple(_ages(log)),
        habits.steps + overtaken,
        overtaken,
        None if late is None else timedelta(microseconds=late),
    )


def _ages(log: LogView) -> Iterator[Ages]:
    """By the ranges that people know; those without a webhook are left out."""
    copies, doubtful = log.habits.copies, log.habits.doubtful
    for begin, end in pairwise((0.0, *EDGES, None)):
        places = [place for place in copies.keys() | doubtful.keys() if _within(place, begin, end)]
        certain = sum(copies.get(place, 0) for place in places)
        unsure = sum(doubtful.get(place, 0) for place in places)
        if places:
            yield Ages(begin or 0.0, end, certain, unsure, _probability(log, places) if unsure else None)


def _within(place: int, begin: float | None, end: float | None) -> bool:
    middle = _middle(place)
    return (begin or 0.0) <= middle and (end is None or middle < end)


def _middle(place: int) -> float:
    """The middle of an age's bin, in seconds."""
    return (bin_end(place) + (bin_end(place - 1) if place else 0.0)) / 2


def _probability(log: LogView, places: Iterable[int]) -> float:
    """That a doubtful webhook of these ages is a copy that came alone, on the average."""
    counts = {place: log.habits.doubtful.get(place, 0) for place in places}
    shares = [
        count * log.profile.share_of_age(int(_middle(place) * SECOND), with_others=False)
        for place, count in counts.items()
    ]
    return sum(shares) / sum(counts.values())


@attrs.define
class Calibration:
    """What was measured. ``steps`` has the time in a state that has a limit, by its rule and where."""

    rules: Rules
    measures: dict[str, Histogram] = attrs.field(factory=lambda: {name: Histogram() for name in MEASURES})
    steps: dict[tuple[str, str], Histogram] = attrs.field(factory=dict)
    deliveries: int = 0
    timed: int = 0
    habits: Habits = attrs.field(factory=Habits)
    _sessions: dict[str, _Session] = attrs.field(factory=dict)
    _observed: Sessions = attrs.field(init=False)

    @_observed.default
    def _observing(self) -> Sessions:
        return Sessions(self.rules, habits=self.habits)

    def measure(self, deliveries: Iterable[Delivery]) -> None:
        """Compares deliveries, in their order, with those before; what has no receive time tells nothing."""
        for delivery in deliveries:
            self.deliveries += 1
            if not delivery.stream.startswith(UNROUTED):
                self._observed.observe(delivery)
            if self.deliveries % SWEEP == 0:
                self._observed.keep(MEMORY)
            if delivery.received_at is not None:
                self.timed += 1
                if delivery.lifecycle is not None and delivery.step is not None:
                    self._take(delivery, delivery.lifecycle, delivery.step, delivery.received_at)

    def _take(self, delivery: Delivery, lifecycle: Lifecycle, step: Step, at: datetime) -> None:
        session = self._session(delivery.stream, at)
        thing = session.things.setdefault((lifecycle.name, delivery.key), _Thing())
        gap = self._compared(thing, delivery, lifecycle, step, at)
        begins = step.name in lifecycle.starts
        if lifecycle.is_presence and self._came_or_went(thing, step, at, begins=begins):
            return
        if begins and (thing.closed or (gap is not None and gap > self.rules.redelivery)):
            thing.came, thing.closed, thing.outlives = {}, False, False
        if step.name in thing.came:
            return
        self._time(session, thing, delivery, lifecycle, step, at)
        thing.came[step.name] = at
        thing.closed = thing.closed or step.closes
        if lifecycle.is_session and step.closes:
            session.ended = session.ended or at

    def _session(self, stream: str, at: datetime) -> _Session:
        session = self._sessions.pop(stream, None) or _Session(at)
        self._sessions[stream] = session  # behind all others
        if len(self._sessions) > MEMORY:
            del self._sessions[next(iter(self._sessions))]
        return session

    def _compared(
        self, thing: _Thing, delivery: Delivery, lifecycle: Lifecycle, step: Step, at: datetime
    ) -> timedelta | None:
        """The time since an equal delivery, which is counted; ``None`` where none was."""
        said = hash(canonical(delivery.data))
        before = thing.last.get(step.name)
        if before is None or before[1] != said:
            thing.last[step.name] = (at, said)
            return None
        gap = at - before[0]
        self.measures[EQUAL].add(gap)
        if lifecycle.is_session or any(getattr(delivery.payload, name) for name in lifecycle.artefacts):
            self.measures[COPIES].add(gap)
        else:
            thing.last[step.name] = (at, said)
        return gap

    def _came_or_went(self, thing: _Thing, step: Step, at: datetime, *, begins: bool) -> bool:
        """A person who joins while inside, or leaves twice after that. Whether that was all there is to it."""
        if begins and thing.came and not thing.closed:
            again = at - max(thing.came.values())
            self.measures[JOINED_AGAIN].add(again)
            if again > self.rules.fast_redelivery:
                thing.rejoined = at
            thing.came[step.name] = at
            return True
        if begins:
            thing.left_after = None
        elif thing.closed and thing.left_after is not None:
            if (
                at - thing.came[step.name] > self.rules.fast_redelivery
            ):  # it left once more: that was the other visit
                self.measures[OVERTAKEN].add(thing.left_after)
            thing.left_after = None
            return True
        elif step.closes and not thing.closed and thing.rejoined is not None:
            thing.left_after, thing.rejoined = at - thing.rejoined, None
        return False

    def _time(
        self,
        session: _Session,
        thing: _Thing,
        delivery: Delivery,
        lifecycle: Lifecycle,
        step: Step,
        at: datetime,
    ) -> None:
        """Measures a step that is new to its run."""
        for name, value in lifecycle.outlives.items():
            thing.outlives = thing.outlives or getattr(delivery.payload, name) == value
        for before in lifecycle.steps:
            if before.limit and before.name in thing.came and step.name in lifecycle.table[before.state]:
                where = self.steps.setdefault((before.limit, f"{lifecycle.name} {before.state}"), Histogram())
                where.add(at - thing.came[before.name])
        if lifecycle.is_session and step.name in lifecycle.starts and at > session.first:
            self.measures[LATE].add(at - session.first)
        elif not step.closes:
            later = [
                thing.came[other.name]
                for other in lifecycle.steps[lifecycle.rank[step.name] + 1 :]
                if other.name in thing.came
            ]
            if later and at - later[0] <= self.rules.redelivery:  # after that it is another run's
                self.measures[LATE].add(at - later[0])
        if session.ended and step.closes and lifecycle.open_at_end and not thing.outlives:
            self.measures[AFTER_END].add(at - session.ended)

    def profile(self) -> Profile:
        """What the judging learns of this log."""
        return profile(view_of(self.habits, Traffic()))

    def suggestions(self) -> list[Suggestion]:
        """A suggestion for each window that can be measured."""
        return [self._suggest(basis) for basis in BASES]

    def suggested_rules(self) -> Rules:
        """The rules with what is suggested."""
        found = {one.rule: one.suggested for one in self.suggestions() if one.suggested is not None}
        return replace(self.rules, **found)

    def histograms(self) -> Iterator[tuple[str, Histogram]]:
        """Every measure that has samples, with its name."""
        yield from ((name, one) for name, one in self.measures.items() if one.total)
        yield from ((f"time in {where}", one) for (_, where), one in sorted(self.steps.items()))

    def _suggest(self, basis: Basis) -> Suggestion:
        now: timedelta = getattr(self.rules, basis.rule)
        sources = list(self._sources(basis))
        samples = sum(histogram.total for _, histogram in sources)
        enough = [(one.percentile(basis.share), name) for name, one in sources if one.total >= ENOUGH]
        if not enough:
            return Suggestion(basis.rule, now, None, samples)
        measured, name = max(enough)  # the slowest, so that the window fits all
        seconds = min(max(measured * basis.margin, basis.least), basis.most)
        return Suggestion(basis.rule, now, _rounded_up(seconds), samples, basis.share, name, measured)

    def _sources(self, basis: Basis) -> Iterator[tuple[str, Histogram]]:
        if basis.measure in self.measures:
            found = self.measures[basis.measure]
            yield basis.measure, found if basis.within is None else found.within(basis.within)
        else:
            yield from ((where, one) for (rule, where), one in self.steps.items() if rule == basis.rule)


def _rounded_up(seconds: float) -> timedelta:
    """The next duration that a person would write."""
    return next((human for human in _HUMAN if human.total_seconds() >= seconds), _HUMAN[-1])


def changed(suggestions: Sequence[Suggestion]) -> bool:
    """Whether any window would be another."""
    return any(one.suggested not in (None, one.now) for one in suggestions)
