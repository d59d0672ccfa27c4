"""What the copies of one session that are certain say of the others.

Some deliveries are copies beyond doubt: of a step that can come only once, or of one that names a file. Whoever
sent these again has probably sent others again too, and copies that were sent again together look alike: they are
equally old, or they come at once one after the other, or everything comes twice. So the certain ones are sought
first, in every aggregate, and what they show is an argument of each search.

Where none is certain, several may show it of each other: that three steps of two aggregates come again after the
same time to a second is no chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple

from tracker.delivery.webhook import same_data
from tracker.judging.context import AT_ONCE, SAME_AGE, Context
from tracker.judging.copies import separated
from tracker.judging.hypothesis import Delivered
from tracker.judging.session import TWO_CHANNELS, AggregateKey, Observed
from tracker.lifecycle import Lifecycle

__all__ = ["set_evidence"]

IN_COMMON = 3
"""Repeated steps that must have an age in common,"""
ONE_CLICK = 30_000_000
"""and microseconds from the first of them to the last, in which no single click starts several things."""
MANY = 4
"""Deliveries that came again in one burst, and are no run that someone started and stopped."""
MOST = 16
"""Of very many that have, so many are looked at."""
InOrder = Mapping[AggregateKey, Sequence[Delivered]]


def set_evidence(observed: Observed, in_order: InOrder, context: Context) -> None:
    """The ages of the copies that are certain, what was sent again with them, and whether everything came twice."""
    if not observed.repeated:
        return
    ages: list[int] = []
    of_due: list[int] = []
    certain: set[int] = set()
    doubtful: set[int] = set()
    once = twice = 0
    for key, one in observed.aggregates.items():
        deliveries = in_order[key]
        if len(deliveries) > 1 or one.lifecycle.is_session:
            rest, copies, due = separated(one.lifecycle, deliveries, once=one.is_once)
            ages += _ages(copies)
            of_due += _ages(due)
            certain.update(copy.position for copy, _ in (*copies, *due))
            doubtful.update(copy.position for copy, _ in due)
            unique = not one.lifecycle.reusable
            once += sum(one.is_once or (unique and each.evidence) for each in rest) - len(due)
            twice += len({original.position for _, original in (*copies, *due)})
    context.two_channels = once >= 2 and twice >= TWO_CHANNELS * once
    context.ages = sorted(ages if context.two_channels else ages + of_due)
    if not context.two_channels:
        context.find_in_common = cache(partial(_common_ages, observed, in_order))
    if certain and not context.two_channels:
        context.resent = frozenset(_sent_with(certain, doubtful, in_order.values()))


def _ages(copies: Sequence[tuple[Delivered, Delivered]]) -> Iterator[int]:
    """How old each copy is: since its original, and since the copy before it."""
    before: dict[int, int] = {}
    for copy, original in copies:
        yield copy.at - original.at
        if original.position in before:
            yield copy.at - before[original.position]
        before[original.position] = copy.at


class Repeat(NamedTuple):
    """A step that came again: how old it is, when it came, of which aggregate, and whether that may begin or go on by it."""

    age: int
    at: int
    place: int
    is_next: bool


def _common_ages(observed: Observed, in_order: InOrder) -> list[int]:
    """The ages that several repeated steps have in common, of more than one aggregate; the least first."""
    repeats = sorted(
        repeat
        for place, (key, deliveries) in enumerate(in_order.items())
        for repeat in _repeats(observed.aggregates[key].lifecycle, deliveries, place)
    )
    found: list[int] = []
    first = noted = 0
    for last, repeat in enumerate(repeats):
        while repeat.age - repeats[first].age > SAME_AGE:
            first += 1
        if last - first + 1 >= IN_COMMON and _are_copies(repeats[max(first, last - MOST) : last + 1]):
            noted = max(noted, first)
            found += [one.age for one in repeats[noted : last + 1]]
            noted = last + 1
    return found


def _are_copies(repeats: Sequence[Repeat]) -> bool:
    """Whether steps that came again equally old are of several aggregates, and not all begun by one click.

    Who starts all things at once, and later does so again, repeats only steps that may come, at one moment.
    """
    if len({one.place for one in repeats}) == 1:
        return False
    times = [one.at for one in repeats]
    return max(times) - min(times) > ONE_CLICK or not all(one.is_next for one in repeats)


def _repeats(lifecycle: Lifecycle, deliveries: Sequence[Delivered], place: int) -> Iterator[Repeat]:
    """The steps that came again, equal to the byte and not at once.

    Not so of somebody who comes and goes as people do, with the same words each time.
    """
    before: dict[str, Delivered] = {}
    last: Delivered | None = None
    for one in deliveries:
        other = before.get(one.step.name)
        usual = lifecycle.is_presence and last is not None and last.step is not one.step
        if other is not None and not usual and one.at - other.at > SAME_AGE and same_data(other.data, one.data):
            is_next = last is not None and one.step.name in lifecycle.table[last.step.state]
            yield Repeat(one.at - other.at, one.at, place, is_next)
        before[one.step.name] = last = one


def _sent_with(
    certain: set[int], doubtful: set[int], aggregates: Iterable[Sequence[Delivered]]
) -> Iterator[int]:
    """The positions of what came again in one burst with a copy that is certain, or with many where that is in doubt."""
    for burst in _bursts(again for deliveries in aggregates for again in _repeated(deliveries)):
        positions = {one.position for one in burst}
        if positions & certain:
            yield from positions - certain
            yield from positions & doubtful if len(burst) >= MANY else ()


def _repeated(deliveries: Sequence[Delivered]) -> Iterator[Delivered]:
    """The deliveries that report a step which was reported before."""
    seen: set[str] = set()
    for one in deliveries:
        if one.step.name in seen:
            yield one
        seen.add(one.step.name)


def _bursts(deliveries: Iterable[Delivered]) -> Iterator[list[Delivered]]:
    """Deliveries that came at once one after the other."""
    burst: list[Delivered] = []
    for one in sorted(deliveries, key=lambda each: each.order):
        if burst and one.at - burst[-1].at > AT_ONCE:
            yield burst
            burst = []
        burst.append(one)
    if burst:
        yield burst
