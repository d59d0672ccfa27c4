"""Finding the hypotheses of one aggregate: the ordinary case at a glance (``ordinary``), all else by search.

The search takes one delivery after the other. Each hypothesis kept so far is extended by every way to
read the next one, hypotheses that will go on alike are merged into the one with the lower price, and what costs much
more than the best is dropped. Runs are shared between hypotheses and never changed, so extending one
copies next to nothing; runs out of reach are paid once, so a thousandth run costs what a second does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf

import msgspec

from tracker.delivery.envelope import parse_time
from tracker.delivery.payload import read_text
from tracker.delivery.webhook import same_data
from tracker.judging.context import SAME_AGE, Context
from tracker.judging.copies import CopyPrices, is_as_old_as_others, put_back, separated, two_steps_again
from tracker.judging.hypothesis import PRECISION, Candidate, Copy, Delivered, Hypothesis
from tracker.judging.merging import every_account, merge
from tracker.judging.ordinary import ordinary
from tracker.judging.prices import HIGHEST
from tracker.judging.sequence import (
    cost_alone,
    cost_beside,
    cost_waiting,
    ending,
    is_of_its_own,
    is_orphan,
    next_begun,
)
from tracker.lifecycle import Lifecycle

__all__ = ["Memo", "hypotheses", "priced_as_of", "search"]

WIDTH = 32
"""Hypotheses that are kept: with twice as many the same ones are held."""
REACH = 4
"""Runs of which a step may still come, or come again."""
HOPELESS = HIGHEST + 1e-6
"""What costs as much more than the best is dropped; not for an error of adding up."""
NONE = -(1 << 63)
"""No patience: whatever has not come is lost."""
NEVER = 1 << 63
"""Time changes nothing."""
MEMORY = 12
"""Copies that are remembered to tell which were sent together."""


class Memo(msgspec.Struct, eq=False):
    """How far the search of one aggregate has come, so that it can go on there when more has come.

    Attributes:
        known: What the context said; where that is another thing now, all is searched again.
        of: The rules and the delay profile by which it was searched.
        count, last: How many deliveries were read, and the last of them.
        kept: The hypotheses after those.
    """

    known: tuple[object, ...] = ()
    of: tuple[object, object] = (None, None)
    count: int = 0
    last: Delivered | None = None
    kept: list[Hypothesis] = msgspec.field(default_factory=list)

    def goes_on(self, deliveries: Sequence[Delivered], context: Context) -> bool:
        """Whether these begin with those that were read, and are looked at by the same evidence."""
        if not self.count or self.count > len(deliveries) or deliveries[self.count - 1] is not self.last:
            return False
        of = self.of[0] is context.rules and self.of[1] is context.log.profile
        return of and self.known == context.evidence

    def keep(self, deliveries: Sequence[Delivered], context: Context, kept: list[Hypothesis]) -> None:
        """Notes how far it has come."""
        self.known, self.of = context.evidence, (context.rules, context.log.profile)
        self.count, self.last, self.kept = len(deliveries), deliveries[-1] if deliveries else None, kept


def hypotheses(
    lifecycle: Lifecycle,
    deliveries: Sequence[Delivered],
    context: Context,
    *,
    once: bool,
    memo: Memo | None = None,
) -> list[Hypothesis]:
    """The hypotheses worth keeping, the lowest price first. ``once``: the aggregate can have one run only."""
    rest, copies, due = separated(lifecycle, deliveries, once=once)
    held = None if due else ordinary(lifecycle, rest, context, once=once)
    found = [held] if held is not None else search(lifecycle, rest, context, once=once, memo=memo, due=due)
    for one in found if copies else ():
        put_back(one, copies, context)
    return found


def search(
    lifecycle: Lifecycle,
    deliveries: Sequence[Delivered],
    context: Context,
    *,
    once: bool,
    memo: Memo | None = None,
    due: Iterable[tuple[Delivered, Delivered]] = (),
) -> list[Hypothesis]:
    """The hypotheses that are not hopeless, the lowest price first as of ``context.as_of``.

    With ``memo`` it goes on where it was, if it can; the result is the same. ``due``: what may be the file of the run that
    waits for it, though another one brought it.
    """
    originals = {one.position: original for one, original in due}
    kept, begin, patience = [Hypothesis()], 0, context.log.lateness(context.windows.lateness)
    if memo is not None and memo.goes_on(deliveries, context):
        kept, begin = memo.kept, memo.count
    for one in deliveries[begin:]:
        found: dict[tuple[object, ...], Hypothesis] = {}
        reader, limit = Reader(lifecycle, one, context, once=once, shared=originals.get(one.position)), inf
        for held in kept:
            for more in reader.extensions(held, limit):
                _price(lifecycle, more, context, one.at, patience, limit, held)
                if more.price > limit:
                    continue
                limit = min(limit, more.most + HOPELESS)
                shape = more.shape
                same = found.get(shape)
                if same is None:
                    found[shape] = more
                elif more.price < same.price:
                    found[shape] = more
                    merge(more, same)
                else:
                    merge(same, more)
        kept = _worth_keeping(found.values())
    if memo is not None:
        memo.keep(deliveries, context, kept)
    return _worth_keeping(every_account(priced_as_of(lifecycle, kept, context)))


def priced_as_of(lifecycle: Lifecycle, kept: Iterable[Hypothesis], context: Context) -> list[Hypothesis]:
    """The same hypotheses with what they cost at the context's moment."""
    result = [held.copy() for held in kept]
    for held in result:
        _price(lifecycle, held, context, context.as_of)
    return result


def _rank(held: Hypothesis) -> float:
    """Its price, without the errors of adding up: hypotheses of equal price must not change places."""
    return round(held.price, 9)


def _worth_keeping(found: Iterable[Hypothesis]) -> list[Hypothesis]:
    ranked = sorted(found, key=_rank)
    limit = min([held.most for held in ranked]) + HOPELESS
    return [held for held in ranked[:WIDTH] if held.price <= limit]


def _price(
    lifecycle: Lifecycle,
    held: Hypothesis,
    context: Context,
    now: int | None,
    patience: int = NONE,
    limit: float = inf,
    before: Hypothesis | None = None,
) -> None:
    """What a hypothesis costs at a moment, and at most; what costs more than ``limit`` is not added up to its end.

    For so long after the next run began (microseconds), the end of an open run may still come, and then it is only
    late: that is its price, and at most it costs what it does if the end never comes. ``before`` is the hypothesis that
    it extends: where it has the same runs, they cost the same, until time changes that.
    """
    paid = held.paid
    if held.recent:
        paid += two_steps_again(lifecycle, held.recent, context)[1]
    if before is None or before.runs is not held.runs or now is None or now >= before.until:
        _price_runs(lifecycle, held, context, now, patience, limit - paid)
    else:
        held.of_runs, held.less, held.hung, held.until = before.of_runs, before.less, before.hung, before.until
    held.most = paid + held.of_runs
    held.price = held.most - held.less


def _price_runs(
    lifecycle: Lifecycle, held: Hypothesis, context: Context, now: int | None, patience: int, limit: float
) -> None:
    """What the runs of a hypothesis cost at a moment, and until when that stays so."""
    cost = less = hung = 0.0
    until = NEVER
    following: Candidate | None = None
    begun: Candidate | None = None
    for run in reversed(held.runs):
        cost += cost_alone(lifecycle, run, context) if run.cost is None else run.cost
        if following is not None:
            beside = cost_beside(lifecycle, run, following, begun, context)
            cost += beside
            if begun is not None and not run.closed and now is not None and now - begun.first.at < patience:
                less += max(0.0, beside - cost_waiting(lifecycle, run, begun, context))
                until = min(until, begun.first.at + patience)
        if begun is None and now is not None and not run.closed:
            overdue = ending(lifecycle, run, context)
            if overdue is not None and overdue.at <= now:
                hung += context.prices[overdue.code]
            elif overdue is not None:
                until = min(until, overdue.at)
        if cost + hung - less > limit:
            break
        following = run
        if not (is_orphan(lifecycle, run) if run.orphan is None else run.orphan):
            begun = run
    held.of_runs, held.less, held.hung, held.until = cost + hung, less, hung, until


def _agree(lifecycle: Lifecycle, before: bytes, after: bytes) -> bool:
    """Whether two reports of a step differ only in what one leaves out, or in how they write the same times."""
    for name in lifecycle.times:
        first, second = read_text(before, name), read_text(after, name)
        if first is None or second is None or first == second:
            continue
        one, other = parse_time(first), parse_time(second)
        if one is None or other is None or abs(other - one) > PRECISION:
            return False
    return lifecycle.agrees(before, after)


class Reader:
    """Every way to read one more delivery. What hypotheses have in common of that is made once."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        one: Delivered,
        context: Context,
        *,
        once: bool,
        shared: Delivered | None = None,
    ) -> None:
        self._shared = shared
        self._lifecycle, self._one, self._context, self._once = lifecycle, one, context, once
        self._name = one.step.name
        self._copies = CopyPrices(lifecycle, one, context)
        self._begun: dict[int, Candidate] = {}
        self._equal: dict[int, bool] = {}
        # What an original pays until its copy comes, where everything comes twice.
        self._unpaired = context.prices["no copy"] if context.two_channels else 0.0

    def extensions(self, held: Hypothesis, limit: float = inf) -> Iterator[Hypothesis]:
        """The hypotheses that read it, each another way, and all else as this one does.

        Some of those that cost more than ``limit`` are left out.
        """
        lifecycle, one, runs, name = self._lifecycle, self._one, held.runs, self._name
        last = len(runs) - 1
        if runs and self._is_next(runs[-1]) and not (one.step.outcome or self._may_be_of_another(runs[:-1])):
            yield self._replaced(held, last, runs[-1].plus(lifecycle, one, self._shared))
            return
        contradicts, equal, lacking = True, [], []
        for place in range(last, -1, -1):
            run = runs[place]
            original = run.originals.get(name)
            if original is None:
                if self._takes(run, latest=place == last):
                    lacking.append(place)
            elif self._is_equal(original):
                equal.append((run, original))
                contradicts = False
            elif contradicts:
                code = self._contradiction(original)
                if code:
                    yield self._replaced(held, place, run.contradicted(code, one))
                contradicts = False
        chance = self._chance(equal)
        for place in reversed(lacking):  # of two that are as good, the run that began first is held
            yield self._replaced(held, place, runs[place].plus(lifecycle, one, self._shared), chance)
        if equal:
            yield self._copied(held, equal)
        if self._shared is None and self._may_begin(runs):
            run = self._another(runs)
            least = held.price - held.hung + chance + self._unpaired + cost_alone(lifecycle, run, self._context)
            if least <= limit:
                yield self._with_another(held, run, chance)

    def _is_equal(self, original: Delivered) -> bool:
        """Whether it says what an original said."""
        found = self._equal.get(original.position)
        if found is None:
            found = self._equal[original.position] = same_data(original.data, self._one.data)
        return found

    def _is_next(self, run: Candidate) -> bool:
        name = self._name
        return not run.closed and name not in run.originals and name in self._lifecycle.table[run.state.state]

    def _is_due(self, run: Candidate) -> bool:
        """Whether a run waits for just this step, so that it would be by chance that a copy comes instead.

        It does not wait for a failure. When the session ends, those who are inside leave, and who left long ago does not.
        """
        one, context = self._one, self._context
        if not self._lifecycle.is_presence:
            return not one.step.outcome and self._is_next(run)
        if context.end is None or context.presumed or not one.step.closes:
            return False
        windows = context.windows
        is_long_ago = run.closed and one.at - run.since.at > windows.redelivery
        return is_long_ago and abs(one.at - context.end) <= windows.fast_redelivery

    def _is_in_step(self, runs: Sequence[Candidate]) -> bool:
        """Whether it comes as long after the same step of a run as that came after the one of the run before: by a timer."""
        if self._lifecycle.is_presence or len(runs) < 2:
            return False
        times = [run.originals[self._name].at for run in runs if self._name in run.originals]
        return len(times) > 1 and abs(self._one.at - 2 * times[-1] + times[-2]) <= SAME_AGE

    def _may_be_of_another(self, runs: Sequence[Candidate]) -> bool:
        """Whether it may as well be a copy of an earlier run's step, one that it lacks, or names what that brought."""
        for run in runs:
            original = run.originals.get(self._name)
            if original is None:
                if self._takes(run, latest=False) or is_of_its_own(self._lifecycle, run, self._one):
                    return True
            elif self._is_equal(original):
                return True
        return False

    def _takes(self, run: Candidate, *, latest: bool) -> bool:
        """Whether a run that lacks the step may have it: next, behind, ahead, or as a second end."""
        lifecycle, step = self._lifecycle, self._one.step
        if latest:
            return not (lifecycle.is_presence and run.closed and step.closes)
        behind = lifecycle.rank[self._name] < lifecycle.rank[run.state.name]
        return behind or (not run.closed and (step.closes or self._is_next(run)))

    def _contradiction(self, original: Delivered) -> str:
        """By which code it contradicts a step; empty where it is of another run."""
        one, lifecycle = self._one, self._lifecycle
        windows, age = self._context.windows, one.at - original.at
        at_once = age <= windows.self_stop
        if (at_once or not lifecycle.is_presence) and _agree(lifecycle, original.data, one.data):
            return "supplement"
        if lifecycle.is_presence:
            return one.step.conflict if age <= windows.fast_redelivery or (at_once and one.step.closes) else ""
        if one.step.closes and one.evidence and original.evidence and not self._once:
            if lifecycle.brings_the_same(original.data, one.data):
                return "supplement"  # of a url that is signed anew each time
            return "C516" if at_once else ""
        return one.step.conflict

    def _may_begin(self, runs: Sequence[Candidate]) -> bool:
        if not runs:
            return True
        lifecycle = self._lifecycle
        if self._once:
            return False
        if lifecycle.is_presence:
            return self._name in lifecycle.starts or runs[-1].closed
        return lifecycle.restarts

    def _chance(self, equal: Sequence[tuple[Candidate, Delivered]]) -> float:
        """What it costs more to be no copy, where copies that are certain are just as old, or came with it."""
        context = self._context
        if self._shared is not None or not context.ages:
            return 0.0
        ages = [self._one.at - original.at for _, original in equal]
        by_chance = any(map(context.is_as_old, ages)) or (bool(equal) and self._one.position in context.resent)
        return context.prices["as old by chance"] if by_chance else 0.0

    def _replaced(self, held: Hypothesis, place: int, run: Candidate, chance: float = 0.0) -> Hypothesis:
        """It is a step of one of the runs."""
        runs = (*held.runs[:place], run, *held.runs[place + 1 :])
        paid = held.paid + self._unpaired + chance
        return Hypothesis(runs, held.settled, held.copies, held.recent, paid, held.merged)

    def _another(self, runs: Sequence[Candidate]) -> Candidate:
        """The run that it begins."""
        number = runs[-1].number + 1 if runs else 1
        run = self._begun.get(number)
        if run is None:
            run = self._begun[number] = Candidate.begun(number, self._lifecycle, self._one)
        return run

    def _with_another(self, held: Hypothesis, run: Candidate, chance: float) -> Hypothesis:
        """It begins a run."""
        lifecycle, context = self._lifecycle, self._context
        settled, paid = held.settled, held.paid + self._unpaired + chance
        runs = (*held.runs, run)
        if len(runs) > REACH:
            first, following = runs[:2]
            begun = next_begun(lifecycle, runs, 0)
            paid += cost_alone(lifecycle, first, context)
            paid += cost_beside(lifecycle, first, following, begun, context)
            settled, runs = (settled, first), runs[1:]
        return Hypothesis(runs, settled, held.copies, held.recent, paid, held.merged)

    def _copied(self, held: Hypothesis, equal: Sequence[tuple[Candidate, Delivered]]) -> Hypothesis:
        """It is a copy: of whichever of the equal originals makes it likeliest, of the latest where that is equal."""
        one, context, recent = self._one, self._context, held.recent
        ages = tuple([one.at - original.at for _, original in equal])
        as_old = bool(recent) and not context.two_channels and is_as_old_as_others(recent, ages)
        prices = [self._copies.of(original, recent, as_old=as_old) for _, original in equal]
        if self._is_due(held.runs[-1]) or self._is_in_step(held.runs):
            more = context.prices["copy when due"]
            prices = [(certain, price if certain else price + more) for certain, price in prices]
        if context.two_channels:  # what has no copy yet gets back what it paid for that
            copied = {copy.original.position for copy in recent}
            prices = [
                (certain, price if original.position in copied else price - self._unpaired)
                for (certain, price), (_, original) in zip(prices, equal, strict=True)
            ]
        best = min(range(len(equal)), key=lambda place: prices[place][1])
        (run, original), (certain, price) = equal[best], prices[best]
        copy = Copy(one, original, certain, price, run.number, ages)
        recent = (*recent[1 - MEMORY :], copy)
        paid = held.paid + price
        return Hypothesis(held.runs, held.settled, (held.copies, copy), recent, paid, held.merged)
