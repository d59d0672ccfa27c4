"""Finding the hypotheses of one aggregate: the ordinary case at a glance, all else by search.

The search takes one delivery after the other. Each hypothesis kept so far is extended by every way to
read the next one, hypotheses that will go on alike are merged into the cheaper, and what is much dearer
than the cheapest is dropped. Runs are shared between hypotheses and never changed, so extending one
copies next to nothing; runs out of reach are paid once, so a thousandth run costs what a second does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import attrs

from tracker.delivery.webhook import canonical, same_data
from tracker.judging.context import AT_ONCE, SAME_AGE, Context
from tracker.judging.hypothesis import Candidate, Copy, Delivered, Hypothesis
from tracker.judging.prices import HIGHEST, by_age
from tracker.judging.sequence import cost_alone, cost_beside, ending
from tracker.lifecycle import ABSENT, Lifecycle

__all__ = ["Memo", "hypotheses", "ordinary", "search", "separated"]

WIDTH = 32
"""Hypotheses that are kept."""
REACH = 4
"""Runs of which a step may still come, or come again."""
MEMORY = 12
"""Copies that are remembered to tell which were sent together."""


@attrs.define(eq=False)
class Memo:
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
    kept: list[Hypothesis] = attrs.field(factory=list)

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
    """The hypotheses worth keeping, the cheapest first. ``once``: the aggregate can have one run only."""
    rest, copies = separated(lifecycle, deliveries, once=once)
    held = ordinary(lifecycle, rest, context, once=once)
    found = [held] if held is not None else search(lifecycle, rest, context, once=once, memo=memo)
    for one in found if copies else ():
        _put_back(one, copies, context)
    return found


def separated(
    lifecycle: Lifecycle, deliveries: Sequence[Delivered], *, once: bool
) -> tuple[Sequence[Delivered], list[tuple[Delivered, Delivered]]]:
    """The deliveries without those that are copies at any age, and these, each with its original.

    Where a step can come only once, or names a file, the same once more is the same event.
    """
    unique = once or lifecycle.frame
    if not unique and not (lifecycle.artefacts and not lifecycle.reusable):
        return deliveries, []
    if len(deliveries) == len({one.step.name for one in deliveries}):
        return deliveries, []
    rest: list[Delivered] = []
    copies: list[tuple[Delivered, Delivered]] = []
    firsts: dict[tuple[str, bytes], Delivered] = {}
    for one in deliveries:
        if unique or one.evidence:
            original = firsts.setdefault((one.step.name, canonical(one.data)), one)
            if original is not one:
                copies.append((one, original))
                continue
        rest.append(one)
    return rest, copies


def _put_back(held: Hypothesis, copies: list[tuple[Delivered, Delivered]], context: Context) -> None:
    """Adds copies that are certain to a hypothesis that was found without them."""
    number_of = {one.position: run.number for run in held.all_runs() for one in run.originals.values()}
    number_of |= {one.position: run.number for run in held.all_runs() for _, one in run.others}
    price = context.prices["certain copy"]
    for one, original in copies:
        held.copies = (held.copies, Copy(one, original, True, price, number_of.get(original.position, 1)))
        held.price += price


def ordinary(
    lifecycle: Lifecycle, deliveries: Sequence[Delivered], context: Context, *, once: bool
) -> Hypothesis | None:
    """The hypothesis that assumes nothing, where there is one; ``None`` where there is doubt.

    Every step may follow the one before it, or is equal to one of its run and came at once.
    """
    table, fast, state = lifecycle.table, context.windows.fast_redelivery, ABSENT
    runs: list[Candidate] = []
    copies: list[Copy] = []
    originals: dict[str, Delivered] = {}
    last: Delivered | None = None
    for one in deliveries:
        step = one.step
        if step.name not in table[state]:
            before = originals.get(step.name)
            if before is None or one.at - before.at > fast or not same_data(before.data, one.data):
                return None
            copies.append(Copy(one, before, True, context.prices["copy at once"], len(runs) + 1))
            continue
        if last is not None and last.step.closes:
            if once or not _is_a_new_one(lifecycle, originals, one, context):
                return None
            runs.append(_candidate(len(runs) + 1, originals, last))
            originals = {}
        originals[step.name] = one
        state, last = step.state, one
    if last is None:
        return None
    runs.append(_candidate(len(runs) + 1, originals, last))
    return _assuming_nothing(lifecycle, runs, copies, context)


def _is_a_new_one(lifecycle: Lifecycle, run: dict[str, Delivered], one: Delivered, context: Context) -> bool:
    """Whether the first step of a next run cannot be the copy of one that was sent again with others."""
    before = run.get(one.step.name)
    if before is None or not (context.doubled or context.ages):
        return True
    if one.position in context.resent:
        return False
    age = one.at - before.at
    return not (context.is_as_old(age) or context.is_doubled(age))


def _candidate(number: int, originals: dict[str, Delivered], last: Delivered) -> Candidate:
    return Candidate(number, originals, last.step, closed=last.step.closes)


def _assuming_nothing(
    lifecycle: Lifecycle, runs: list[Candidate], copies: list[Copy], context: Context
) -> Hypothesis | None:
    """The hypothesis of these runs, if it costs nothing but copies that came at once."""
    if context.end is not None and not lifecycle.frame and any(one.began >= context.end for one in runs):
        return None
    if len(runs) > 1 and not lifecycle.visits:
        pairs = pairwise(runs)
        if any(cost_beside(lifecycle, run, following, context) for run, following in pairs):
            return None
    overdue = ending(lifecycle, runs[-1], context)
    if overdue is not None and context.as_of is not None and overdue.at <= context.as_of:
        return None
    held = Hypothesis(tuple(runs))
    for copy in copies:
        held.copies = (held.copies, copy)
    held.price = held.paid = sum([copy.price for copy in copies])
    return held


def search(
    lifecycle: Lifecycle,
    deliveries: Sequence[Delivered],
    context: Context,
    *,
    once: bool,
    memo: Memo | None = None,
) -> list[Hypothesis]:
    """The hypotheses that are not hopeless, the cheapest first as of ``context.as_of``.

    With ``memo`` it goes on where it was, if it can; the result is the same.
    """
    kept, begin = [Hypothesis()], 0
    if memo is not None and memo.goes_on(deliveries, context):
        kept, begin = memo.kept, memo.count
    for one in deliveries[begin:]:
        found: dict[tuple[object, ...], Hypothesis] = {}
        for held in kept:
            for more in _extensions(lifecycle, held, one, context, once=once):
                _price(lifecycle, more, context, one.at)
                same = found.get(more.shape)
                if same is None or more.price < same.price:
                    found[more.shape] = more
        kept = _worth_keeping(found.values())
    if memo is not None:
        memo.keep(deliveries, context, kept)
    result = [held.copy() for held in kept]
    for held in result:
        _price(lifecycle, held, context, context.as_of)
    result.sort(key=lambda held: held.price)
    return result


def _worth_keeping(found: object) -> list[Hypothesis]:
    ranked = sorted(found, key=lambda held: held.price)  # type: ignore[call-overload]
    limit = ranked[0].price + HIGHEST
    return [held for held in ranked[:WIDTH] if held.price <= limit]


def _price(lifecycle: Lifecycle, held: Hypothesis, context: Context, now: int | None) -> None:
    """What a hypothesis costs at a moment."""
    runs = held.runs
    price = held.paid + _two_steps_again(lifecycle, held.recent, context)
    for place in range(len(runs) - 1):
        run = runs[place]
        price += cost_alone(lifecycle, run, context) + cost_beside(lifecycle, run, runs[place + 1], context)
    if runs:
        last = runs[-1]
        price += cost_alone(lifecycle, last, context)
        overdue = ending(lifecycle, last, context) if now is not None and not last.closed else None
        if overdue is not None and now is not None and overdue.at <= now:
            price += context.prices[overdue.code]
    held.price = price


def _extensions(
    lifecycle: Lifecycle, held: Hypothesis, one: Delivered, context: Context, *, once: bool
) -> Iterator[Hypothesis]:
    """Every way to read one more delivery."""
    runs, step = held.runs, one.step
    last = len(runs) - 1
    if runs and _is_next(lifecycle, runs[-1], one) and not _may_be_of_another(runs[:-1], one):
        yield _replaced(held, last, runs[-1].plus(lifecycle, one), context)
        return
    contradicts, equal = True, []
    for place in range(last, -1, -1):
        run = runs[place]
        original = run.originals.get(step.name)
        if original is None:
            if _takes(lifecycle, run, one, latest=place == last):
                yield _replaced(held, place, run.plus(lifecycle, one), context)
        elif same_data(original.data, one.data):
            equal.append((run, original))
            contradicts = False
        elif contradicts and not lifecycle.visits:
            code = _contradiction(lifecycle, run, original, one, context, once=once)
            if code:
                yield _replaced(held, place, run.contradicted(code, one), context)
            contradicts = False
    if equal:
        yield _copied(held, equal, one, context)
    if _may_begin(lifecycle, runs, one, once=once):
        yield _begun(lifecycle, held, one, context)


def _is_next(lifecycle: Lifecycle, run: Candidate, one: Delivered) -> bool:
    name = one.step.name
    return not run.closed and name not in run.originals and name in lifecycle.table[run.state.state]


def _may_be_of_another(runs: Sequence[Candidate], one: Delivered) -> bool:
    """Whether it may as well be a copy of an earlier run's step, or the end of an earlier run."""
    name = one.step.name
    for run in runs:
        original = run.originals.get(name)
        if original is None:
            if not run.closed:
                return True
        elif same_data(original.data, one.data):
            return True
    return False


def _takes(lifecycle: Lifecycle, run: Candidate, one: Delivered, *, latest: bool) -> bool:
    """Whether a run that lacks a step may have it: next, behind, ahead, or as a second end."""
    if latest:
        return not (lifecycle.visits and run.closed and one.step.closes)
    behind = lifecycle.rank[one.step.name] < lifecycle.rank[run.state.name]
    return behind or (not run.closed and (one.step.closes or _is_next(lifecycle, run, one)))


def _contradiction(
    lifecycle: Lifecycle, run: Candidate, original: Delivered, one: Delivered, context: Context, *, once: bool
) -> str:
    """By which code a delivery contradicts a step of a run; empty where it is of another run."""
    if lifecycle.adds(original.data, one.data):
        return "supplement"
    files = one.step.closes and one.evidence and original.evidence and not lifecycle.frame
    if files and not once:
        return "C516" if one.at - original.at <= context.windows.self_stop else ""
    return one.step.conflict


def _may_begin(lifecycle: Lifecycle, runs: Sequence[Candidate], one: Delivered, *, once: bool) -> bool:
    if not runs:
        return True
    if once or lifecycle.frame:
        return False
    if lifecycle.visits:
        return one.step.name in lifecycle.starts or runs[-1].closed
    return lifecycle.restarts


def _replaced(held: Hypothesis, place: int, run: Candidate, context: Context) -> Hypothesis:
    runs = (*held.runs[:place], run, *held.runs[place + 1 :])
    return Hypothesis(runs, held.settled, held.copies, held.recent, held.paid + _alone(context))


def _alone(context: Context) -> float:
    """What an original pays until its copy comes, where everything comes twice."""
    return context.prices["no copy"] if context.doubled else 0.0


def _begun(lifecycle: Lifecycle, held: Hypothesis, one: Delivered, context: Context) -> Hypothesis:
    runs, settled, paid = held.runs, held.settled, held.paid + _alone(context)
    number = runs[-1].number + 1 if runs else 1
    runs = (*runs, Candidate.begun(number, one))
    if len(runs) > REACH:
        first, second, *_ = runs
        paid += cost_alone(lifecycle, first, context) + cost_beside(lifecycle, first, second, context)
        settled, runs = (settled, first), runs[1:]
    return Hypothesis(runs, settled, held.copies, held.recent, paid)


def _copied(
    held: Hypothesis, equal: Sequence[tuple[Candidate, Delivered]], one: Delivered, context: Context
) -> Hypothesis:
    """One more copy: of whichever of the equal originals makes it likeliest, of the latest where that is equal."""
    ages = tuple([one.at - original.at for _, original in equal])
    as_old = not context.doubled and _is_as_old_as_others(held.recent, ages)
    prices = [copy_price(held.recent, original, one, context, as_old=as_old) for _, original in equal]
    if context.doubled:  # what has no copy yet gets back what it paid for that
        copied = {copy.original.position for copy in held.recent}
        refund = context.prices["no copy"]
        prices = [
            (certain, price if original.position in copied else price - refund)
            for (certain, price), (_, original) in zip(prices, equal, strict=True)
        ]
    best = min(range(len(equal)), key=lambda place: prices[place][1])
    (run, original), (certain, price) = equal[best], prices[best]
    copy = Copy(one, original, certain, price, run.number, ages)
    recent = (*held.recent[1 - MEMORY :], copy)
    return Hypothesis(held.runs, held.settled, (held.copies, copy), recent, held.paid + price)


def copy_price(
    recent: Sequence[Copy], original: Delivered, one: Delivered, context: Context, *, as_old: bool = False
) -> tuple[bool, float]:
    """Whether something shows that a delivery is a copy, and what it costs that it is one.

    What is sent again and again is as old as the time since it was first sent, or since it was sent last.
    ``as_old``: it is as old as a recent copy.
    """
    since = [original.at, *[copy.delivered.at for copy in recent if copy.original is original]]
    age = one.at - max(since)
    prices, windows = context.prices, context.windows
    if age <= windows.fast_redelivery:
        return True, prices["copy at once"]
    if one.position in context.resent or any(context.is_as_old(one.at - at) for at in since):
        return True, prices["copy with others"]
    if context.is_doubled(one.at - original.at):
        return True, prices["copy through two channels"]
    if as_old or (not context.doubled and any(_is_in_a_burst(copy, original, one) for copy in recent[-3:])):
        return True, prices["copy with others"]
    if context.log.has_profile:
        return min((context.log.copy_price(one.at, one.at - at) for at in since), key=lambda found: found[1])
    return False, by_age(prices["copy"], age, windows.redelivery)


def _is_as_old_as_others(recent: Sequence[Copy], ages: Sequence[int]) -> bool:
    """Whether a copy of these ages is as old as another one, as what was sent again together is."""
    for copy in recent:
        for other in copy.ages:
            for age in ages:
                if -SAME_AGE <= age - other <= SAME_AGE:
                    return True
    return False


def _is_in_a_burst(copy: Copy, original: Delivered, one: Delivered) -> bool:
    """Whether two copies came at once and their originals did not."""
    if one.at - copy.delivered.at > AT_ONCE:
        return False
    return abs(original.at - copy.original.at) > 5 * AT_ONCE


def _two_steps_again(lifecycle: Lifecycle, recent: Sequence[Copy], context: Context) -> float:
    """What it costs more that just the first two steps came again, not together: a restart is likelier."""
    if len(recent) != 2 or lifecycle.visits or context.doubled:
        return 0.0
    one, other = recent
    if {one.delivered.step.name, other.delivered.step.name} != lifecycle.first_two:
        return 0.0
    apart = all(abs(this - that) > SAME_AGE // 6 for this in one.ages for that in other.ages)
    at_once = one.age <= context.windows.fast_redelivery or context.is_as_old(one.age)
    if not apart or at_once:
        return 0.0
    price = context.prices["two steps again"]
    return min(price, one.price + other.price) if context.log.has_profile else price
