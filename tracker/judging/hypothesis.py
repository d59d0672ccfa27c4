"""What most likely happened: the theory of the judging.

THE PROBLEM. VideoSDK reports each step of a run once. On its way to us a webhook may be lost,
repeated, delayed or overtaken. It has no id and, except for two types, no time of its own; and the second
recording of a session sends the same bytes as the first one did. So whether a step was allowed is
the wrong question. The question is which run each delivery belongs to.

THE IDEA. A *hypothesis* is one answer. For every delivery of one aggregate it says to which run it
belongs, and whether it is there

- an *original*: the report of that step of that run,
- a *copy* of an original: the same webhook once more, which moves nothing, or
- a *contradiction* of an original: the same step of the same run with other data.

What a hypothesis has to assume (a lost webhook, a copy without evidence, a run that hung) has a
price, which says how unlikely it is (``prices``). Prices add up. The hypothesis of the lowest price is *held*;
the others are kept while they cost little more, and how much more they cost says how sure the
held one is.

WHAT FOLLOWS. States, readings and findings are functions of the hypothesis that is held (``assess``).
Nothing is ever undone: when a later delivery makes another hypothesis the best, the functions
give other results. Nothing waits for a deadline either: time is an argument of the assessment.

THE ORDINARY CASE needs no search. If each step may follow the one before it, or is an equal copy
that came at once, then there is a hypothesis that assumes nothing, and none can have a lower price
(``ordinary``). Nineteen of twenty aggregates are ordinary.

Times are microseconds since 1970, as integers: exact, and quick to subtract.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import Step

__all__ = ["PRECISION", "Candidate", "Copy", "Delivered", "Hypothesis", "Linked", "Merged", "micros", "moment"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


PRECISION = timedelta(seconds=1)
"""Two clock times that a webhook says are the same if they differ by no more: some senders cut off fractions."""
THE_END = datetime(8999, 1, 1, tzinfo=UTC)
"""When everything has passed, also for what has no receive time."""


def micros(time: datetime) -> int:
    """A time in UTC as microseconds since 1970."""
    return (time - EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The time of so many microseconds since 1970."""
    return EPOCH + timedelta(0, 0, at)


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """What an aggregate remembers of one delivery.

    Attributes:
        step: The step that it reports.
        at: When it was received. What has no receive time takes that of the delivery before it.
        position: Its place in the store, or its line in the log.
        data: The webhook's ``data``, as it came.
        evidence: Whether the data can come only once: it names a file, a url or a clock time.
        timed: Whether the log says when it was received.
    """

    step: Step
    at: int
    position: int
    data: bytes
    evidence: bool = False
    timed: bool = True

    @property
    def order(self) -> tuple[int, int]:
        """What sorts deliveries in the order in which they were received, as far as that is known."""
        return self.at, self.position

    @property
    def received_at(self) -> datetime | None:
        """When it was received; ``None`` where the log does not say."""
        return moment(self.at) if self.timed else None


class Copy(msgspec.Struct, frozen=True, gc=False):
    """A delivery taken for a copy of an original.

    Attributes:
        delivered: The copy.
        original: What it is a copy of.
        certain: Whether something beside the price shows that it is one.
        price: What the assumption costs.
        run: The number of the run that the original belongs to.
        ages: How old it is as a copy of each original that it equals, in microseconds.
    """

    delivered: Delivered
    original: Delivered
    certain: bool
    price: float
    run: int
    ages: tuple[int, ...] = ()

    @property
    def age(self) -> int:
        """Microseconds from the original to the copy."""
        return self.delivered.at - self.original.at


class Candidate(msgspec.Struct, eq=False, gc=False):
    """A run as a hypothesis has it: its originals by step, in the order of arrival. Never changed.

    Attributes:
        number: Counted from 1 within the aggregate.
        originals: Step name -> the delivery that reported it.
        state: The step whose state it is in: its first end, or the furthest step.
        closed: Whether an end came.
        first: The delivery that arrived first.
        began: The earliest receive time.
        others: Deliveries that report one of these steps with other data, each with its code.
        lawful: Whether each of its steps is known to have come as the table has it, from a start on.
        shared: The delivery of a file that another run had brought, and that other delivery.

    What is derived of it is kept once it was asked for:

    Attributes:
        shape: The positions of its originals; what of it decides how it goes on.
        cost: What it costs beside its neighbours.
        orphan: Whether only an end of it came.
        overdue: When it will be overdue, as a tuple of one.
        before: Where the next run begins (position and earliest time), whether it ended -> what it costs to be before it.
        longer: The next delivery, and the run with it: all hypotheses that have this run share it.
    """

    number: int
    originals: dict[str, Delivered]
    state: Step
    closed: bool
    first: Delivered
    began: int
    others: tuple[tuple[str, Delivered], ...] = ()
    lawful: bool = False
    shared: tuple[Delivered, Delivered] | None = None
    shape: tuple[int, ...] = ()
    cost: float | None = None
    orphan: bool | None = None
    overdue: tuple[Any] | None = None
    before: dict[tuple[int, int, bool], float] = {}
    longer: tuple[Delivered, Candidate] | None = None

    @classmethod
    def begun(cls, number: int, lifecycle: Lifecycle, delivered: Delivered) -> Candidate:
        """The run of which this is the first delivery."""
        step = delivered.step
        lawful = step.name in lifecycle.table[ABSENT]
        originals = {step.name: delivered}
        return cls(number, originals, step, step.closes, delivered, delivered.at, lawful=lawful)

    def plus(self, lifecycle: Lifecycle, delivered: Delivered, shared: Delivered | None = None) -> Candidate:
        """The same run with one more original; ``shared``: the delivery by which another run brought its file."""
        if self.longer is None or self.longer[0] is not delivered:
            self.longer = delivered, self._plus(lifecycle, delivered, shared)
        return self.longer[1]

    def _plus(self, lifecycle: Lifecycle, delivered: Delivered, shared: Delivered | None) -> Candidate:
        step, state = delivered.step, self.state
        if not self.closed and (step.closes or lifecycle.rank[step.name] > lifecycle.rank[state.name]):
            state = step
        lawful = self.lawful and not self.closed and step.name in lifecycle.table[self.state.state]
        closed, began = self.closed or step.closes, min(self.began, delivered.at)
        originals = {**self.originals, step.name: delivered}
        pair = self.shared if shared is None else (delivered, shared)
        return Candidate(self.number, originals, state, closed, self.first, began, self.others, lawful, pair)

    def contradicted(self, code: str, delivered: Delivered) -> Candidate:
        """The same run with a delivery that reports one of its steps otherwise."""
        others = (*self.others, (code, delivered))
        return Candidate(
            self.number,
            self.originals,
            self.state,
            self.closed,
            self.first,
            self.began,
            others,
            shared=self.shared,
        )

    def shaped(self) -> tuple[int, ...]:
        """Its shape, which is kept."""
        self.shape = tuple([one.position for one in self.originals.values()])
        return self.shape

    @property
    def since(self) -> Delivered:
        """The delivery that brought it into its state."""
        return self.originals[self.state.name]

    @property
    def every(self) -> list[Delivered]:
        """Its originals, and what contradicts them."""
        return [*self.originals.values(), *(one for _, one in self.others)]

    @property
    def failed(self) -> bool:
        """Whether it failed, whatever else came of it."""
        return any(one.step.closes and one.step.outcome for one in self.originals.values())

    @property
    def last(self) -> Delivered:
        """The original received last."""
        return max(self.originals.values(), key=lambda one: one.order)

    def in_order(self, lifecycle: Lifecycle) -> list[Delivered]:
        """Its originals in the order in which the steps should come."""
        if len(self.originals) == 1:
            return [self.first]
        return sorted(self.originals.values(), key=lambda one: lifecycle.rank[one.step.name])

    def gaps(self, lifecycle: Lifecycle) -> Iterator[tuple[Delivered | None, Delivered, tuple[str, ...]]]:
        """Where steps never came: the deliveries before (``None``: none) and behind the gap, and what is missing."""
        before: Delivered | None = None
        if len(self.originals) == len(lifecycle.steps):  # every one came
            return
        for one in self.in_order(lifecycle):
            state = ABSENT if before is None else before.step.state
            known = one.step.name in lifecycle.table[state] or lifecycle.is_excluded(state, one.step)
            if not known and state not in lifecycle.ends:
                missing = lifecycle.between(state, one.step.name)
                if missing:
                    yield before, one, missing
            before = one


Linked = tuple[Any, Any] | None
"""A list that grows at its end and shares its beginning: ``(what came before, the last)``."""


def unlinked(linked: Linked) -> list[Any]:
    """What a linked list holds, in the order in which it was put there."""
    found = []
    while linked is not None:
        linked, last = linked
        found.append(last)
    found.reverse()
    return found


class Merged(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Another account of the runs before, by a hypothesis that was dropped because it goes on alike (``merging``).

    Attributes:
        settled, copies: What it says of them.
        more: How much more it costs.
        since, copies_since: What the hypothesis that was kept had instead: those runs and copies of its own.
    """

    settled: Linked
    copies: Linked
    more: float
    since: Linked
    copies_since: Linked


class Hypothesis(msgspec.Struct, eq=False, gc=False):
    """One answer to which run each delivery belongs to. Never changed, once it has its price.

    Attributes:
        runs: The last runs, of which steps may still come.
        settled: The runs before those, as a linked list.
        copies: All copies, as a linked list.
        recent: The last copies, at most a handful.
        paid: What ``settled`` and ``copies`` cost.
        merged: Other accounts of ``settled``, if these are in doubt.
        price: What all of it costs.
        most: What it costs if nothing comes that may still come.
        of_runs: What of that ``runs`` cost.
        less: How much less they cost while that may still come.
        hung: What of it is paid because the last run has been open for too long.
        until: When time alone will change these three, in microseconds.
    """

    runs: tuple[Candidate, ...] = ()
    settled: Linked = None
    copies: Linked = None
    recent: tuple[Copy, ...] = ()
    paid: float = 0.0
    merged: tuple[Merged, ...] = ()
    price: float = 0.0
    most: float = 0.0
    of_runs: float = 0.0
    less: float = 0.0
    hung: float = 0.0
    until: int = 0

    def copy(self) -> Hypothesis:
        """The same, to be priced as of another moment."""
        return Hypothesis(self.runs, self.settled, self.copies, self.recent, self.paid, self.merged)

    def costing(self, more: float) -> Hypothesis:
        """The same where it costs so much more."""
        if not more:
            return self
        one = self.copy()
        one.paid, one.price, one.most = self.paid + more, self.price + more, self.most + more
        return one

    def all_runs(self) -> list[Candidate]:
        """Every run, the first one first."""
        return [*unlinked(self.settled), *self.runs]

    def run_of(self) -> dict[int, int]:
        """Position -> the number of the run that the delivery is of, or a copy of which."""
        found = {one.position: run.number for run in self.all_runs() for one in run.every}
        found.update((copy.delivered.position, copy.run) for copy in self.all_copies())
        return found

    def all_copies(self) -> list[Copy]:
        """Every copy, in the order of arrival."""
        return unlinked(self.copies)

    @property
    def shape(self) -> tuple[Any, ...]:
        """What of it decides how it goes on: of two of one shape, the one with the lower price is as good in all respects."""
        return tuple([run.shape or run.shaped() for run in self.runs])
