"""Copies: which deliveries can be nothing else, and what it costs to take another one for a copy.

A step that can come only once, or that names a file, is the same event when it comes again, at any age. Those
copies are taken out before runs are sought. For all others it is a matter of price: what was sent again together
with certain copies is as old as they are, or came in one burst with them; else the delay profile of the log says how
likely a copy of that age is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log
from operator import itemgetter

from tracker.delivery.webhook import canonical
from tracker.judging.context import AT_ONCE, SAME_AGE, Context
from tracker.judging.hypothesis import Copy, Delivered, Hypothesis
from tracker.judging.log.habits import SECOND
from tracker.judging.prices import by_age
from tracker.lifecycle import ABSENT, Lifecycle

__all__ = ["CopyPrices", "is_as_old_as_others", "put_back", "separated", "two_steps_again"]

ALIKE = 0.25
"""By which share the ages of copies of one run may differ that were sent again one by one."""
MOST_RUNS = 3
"""Ends of runs since a file came, after which it is not looked for any more whether another run wrote it."""
LONGEST = 16
"""Deliveries of a run that came in order, perhaps twice."""
Pairs = list[tuple[Delivered, Delivered]]
"""Deliveries, each with the original that it equals."""


def separated(
    lifecycle: Lifecycle, deliveries: Sequence[Delivered], *, once: bool
) -> tuple[Sequence[Delivered], Pairs, Pairs]:
    """The deliveries without those that are copies at any age, and these; at last those of the first that may be some.

    Where a step can come only once, or names a file or a clock time, the same once more is the same event. Only where
    a file comes again just when a run waits for its own, two runs may have written one file.
    """
    if not once and not lifecycle.tells_copies:
        return deliveries, [], []
    if len(deliveries) == len({one.step.name for one in deliveries}):
        return deliveries, [], []
    rest: list[Delivered] = []
    copies: Pairs = []
    due: Pairs = []
    known: dict[tuple[str, bytes], Delivered] = {}
    for one in deliveries:
        if once or one.evidence:
            said = one.step.name, canonical(one.data)
            original = known.get(said)
            if original is not None and (once or not _is_due(lifecycle, rest, original, one)):
                copies.append((one, original))
                continue
            if original is not None:
                due.append((one, original))
            known[said] = one
        rest.append(one)
    return rest, copies, due


def _is_due(lifecycle: Lifecycle, rest: Sequence[Delivered], original: Delivered, one: Delivered) -> bool:
    """Whether a run came in order since the last one ended, perhaps twice, and this is what it waits for."""
    run: list[Delivered] = []
    ended = 0
    for each in reversed(rest):
        ended += each.step.closes
        if each is original:
            break
        if not ended:
            run.append(each)
        if ended > MOST_RUNS or len(run) > LONGEST:
            return False
    state, seen = ABSENT, set[str]()
    for each in (*reversed(run), one):
        if each is not one and each.step.name in seen:
            continue
        if each.step.name not in lifecycle.table[state]:
            return False
        state = each.step.state
        seen.add(each.step.name)
    return len(seen) > 1


def put_back(held: Hypothesis, copies: Pairs, context: Context) -> None:
    """Adds copies that are certain to a hypothesis that was found without them."""
    number_of, price = held.run_of(), context.prices["certain copy"]
    for one, original in copies:
        held.copies = (held.copies, Copy(one, original, True, price, number_of.get(original.position, 1)))
        held.price += price


class CopyPrices:
    """What it costs to take one delivery for a copy. Every hypothesis asks, so what is known of it alone is kept.

    A file that comes again can be nothing else, unless two runs wrote it; then it costs what it does that a webhook
    comes again at all.
    """

    __slots__ = ("_context", "_found", "_is_certain", "_one", "_shows_bursts")

    def __init__(self, lifecycle: Lifecycle, one: Delivered, context: Context) -> None:
        self._one, self._context = one, context
        self._is_certain = one.evidence and lifecycle.tells_copies
        # Who comes with another device leaves with the first one at the same moment, which is no burst of copies.
        self._shows_bursts = not lifecycle.is_presence and not context.two_channels
        self._found: dict[tuple[int, ...], tuple[bool, float]] = {}

    def of(
        self, original: Delivered, recent: Sequence[Copy] = (), *, as_old: bool = False
    ) -> tuple[bool, float]:
        """Whether something shows that it is a copy of an original, and what it costs that it is one.

        What is sent again and again is as old as the time since it was first sent, or since it was sent last.
        ``recent`` are the last copies of the hypothesis; ``as_old``: it is as old as one of them.
        """
        since = [copy.delivered.at for copy in recent if copy.original is original] if recent else []
        key = (original.position, original.at, *since)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._alone(original, key[1:])
        if as_old or (recent and self._is_in_a_burst(original, recent)):
            return True, min(found[1], self._context.prices["copy with others"])
        return found

    def _alone(self, original: Delivered, since: Sequence[int]) -> tuple[bool, float]:
        """The same, whatever other copies there are in this aggregate."""
        one, context = self._one, self._context
        prices, windows = context.prices, context.windows
        age = one.at - max(since)
        if age <= windows.fast_redelivery:
            return True, prices["copy at once"]
        as_old = map(context.is_as_old_as_evidence, [one.at - at for at in since])
        if one.position in context.resent or (not self._is_certain and any(as_old)):
            return True, prices["copy with others"]
        if context.is_second_channel(one.at - original.at):
            return True, prices["copy through two channels"]
        if self._is_certain and context.log.profile.enough:
            return True, context.log.profile.again_price(one.at, age, context.stream)
        if context.log.profile.enough:
            return min([context.log.profile.copy_price(one.at, one.at - at) for at in since], key=itemgetter(1))
        return self._is_certain, by_age(prices["copy"], age, windows.redelivery)

    def _is_in_a_burst(self, original: Delivered, recent: Sequence[Copy]) -> bool:
        """Whether it came at once with another copy, and their originals did not."""
        if not self._shows_bursts:
            return False
        for copy in recent[-3:]:
            if (
                self._one.at - copy.delivered.at <= AT_ONCE
                and abs(original.at - copy.original.at) > 5 * AT_ONCE
            ):
                return True
        return False


def is_as_old_as_others(recent: Sequence[Copy], ages: Sequence[int]) -> bool:
    """Whether a copy of these ages is as old as another one, as what was sent again together is."""
    for copy in recent:
        for other in copy.ages:
            for age in ages:
                if -SAME_AGE <= age - other <= SAME_AGE:
                    return True
    return False


def two_steps_again(lifecycle: Lifecycle, recent: Sequence[Copy], context: Context) -> tuple[str, float]:
    """What it costs more that the first two steps came again, one after the other, and no more; and the name of that price.

    A restart is likelier. Copies are as old as each other, and half of all restarts nearly are: a step often takes as
    long as before.
    """
    found = "", 0.0
    if len(recent) < 2 or lifecycle.is_presence or context.two_channels:
        return found
    for one, other in pairwise(recent):
        names = one.delivered.step.name, other.delivered.step.name
        if names == lifecycle.first_two and not _goes_on(lifecycle, recent, one):
            found = max(found, _pair_again(one, other, context), key=itemgetter(1))
    return found


def _goes_on(lifecycle: Lifecycle, recent: Sequence[Copy], pair: Copy) -> bool:
    """Whether later steps came again as well, about as old or at once: then all of a run did."""
    within = max(SAME_AGE, ALIKE * pair.age)
    return any(
        copy.delivered.step.name not in lifecycle.first_two
        and (abs(copy.age - pair.age) <= within or abs(copy.delivered.at - pair.delivered.at) <= 5 * AT_ONCE)
        for copy in recent
    )


def _pair_again(one: Copy, other: Copy, context: Context) -> tuple[str, float]:
    apart = all(abs(this - that) > SAME_AGE // 6 for this in one.ages for that in other.ages)
    at_once = one.age <= context.windows.fast_redelivery or context.is_as_old_as_evidence(one.age)
    if at_once or (not apart and context.is_after_end(one.delivered.at, one.delivered.position)):
        return "", 0.0  # after the end nothing starts again
    name = "two steps again" if apart else "two steps as long after"
    price = context.prices[name]
    if not apart and all(
        each.at % SECOND == 0 for copy in (one, other) for each in (copy.delivered, copy.original)
    ):
        price += log(2)  # where times are whole seconds, twice as many are alike by chance
    if context.log.profile.enough:
        # Who starts again starts again with both; of copies each came again by itself.
        again = context.log.profile.again_price(other.delivered.at, other.age, context.stream)
        price = min(price, max(0.0, again - other.price))
    return name, price
