"""The ordinary case: the hypothesis that is held, found at a glance where no other can come near it.

Every step may follow the one before it, or says at once again what its run has just said. Nineteen of twenty
aggregates are like that, and nobody searches for them.

What is recorded is processed after it has stopped, so the next run may begin while the one before still waits for
nothing but its end. That is ordinary as well: its end is late, which costs little, and whoever would rather take
the beginning for a copy has to pay more, for that and for each step behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

from tracker.delivery.webhook import same_data
from tracker.judging.context import Context
from tracker.judging.copies import CopyPrices
from tracker.judging.hypothesis import Candidate, Copy, Delivered, Hypothesis, Linked
from tracker.judging.sequence import cost_beside, ending, outlives, second_url
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import Step

__all__ = ["ordinary"]

CLEAR = 2.0
"""What it must cost at least to take a beginning for a copy, so that another run is the better account by far."""
Begun = tuple[dict[str, Delivered], Delivered]
"""The originals of a run, and the last of them that came in order."""


def ordinary(
    lifecycle: Lifecycle, deliveries: Sequence[Delivered], context: Context, *, once: bool
) -> Hypothesis | None:
    """The hypothesis of an ordinary aggregate; ``None`` where there is doubt."""
    table = _following(lifecycle, context.lacking) if context.lacking else lifecycle.table
    fast, state = context.windows.fast_redelivery, ABSENT
    runs: list[Begun] = []
    copies: list[Copy] = []
    originals: dict[str, Delivered] = {}
    last: Delivered | None = None
    waiting: Begun | None = None
    for one in deliveries:
        step = one.step
        if step.name in table[state]:
            if last is not None and last.step.closes:
                if once or not _is_a_new_one(originals, one, context):
                    return None
                runs.append((originals, last))
                originals = {}
            if runs and _may_be_of_the_run_before(lifecycle, runs[-1], waiting, one, context):
                return None
            originals[step.name] = one
            state, last = step.state, one
            continue
        before = originals.get(step.name)
        if last is not None and last.step.closes and (before is not last or table is not lifecycle.table):
            return None  # it may be of the next run
        if before is not None and one.at - before.at <= fast and same_data(before.data, one.data):
            copies.append(Copy(one, before, True, context.prices["copy at once"], len(runs) + 1))
        elif waiting is not None:
            if not _ends(lifecycle, waiting, one, context):
                return None
            waiting[0][step.name], waiting = one, None
        elif last is not None and not once and _begins_beside(lifecycle, originals, last, one, context):
            waiting = originals, last
            runs.append(waiting)
            originals, state, last = {step.name: one}, step.state, one
        else:
            return None
    if last is None or waiting is not None:
        return None
    return _hypothesis(lifecycle, [*runs, (originals, last)], copies, context)


@lru_cache(maxsize=1024)  # each room may lack others, and that changes
def _following(lifecycle: Lifecycle, lacking: frozenset[str]) -> Mapping[str, Collection[str]]:
    """State -> the steps that may come next, where nobody subscribes to some of the webhooks between."""
    steps = [step for step in lifecycle.steps if step.moves]
    if lacking.isdisjoint([lifecycle.webhook_type(step.name) for step in steps]):
        return lifecycle.table
    found = {state: {*names} for state, names in lifecycle.table.items()}
    for state, names in found.items():
        if state not in lifecycle.ends and not lacking.isdisjoint(map(lifecycle.webhook_type, names)):
            names.update(step.name for step in steps if _is_next(lifecycle, state, step, lacking))
    for state in lifecycle.ends:  # what may begin a run may begin another one
        if lifecycle.starts <= found[state]:
            found[state] = found[ABSENT]
    return found


def _is_next(lifecycle: Lifecycle, state: str, step: Step, lacking: frozenset[str]) -> bool:
    """Whether nothing is missing where a step comes in a state but webhooks to which nobody subscribes."""
    if lifecycle.is_excluded(state, step) or (state == ABSENT and step.orphan):
        return False
    if lifecycle.rank[step.name] <= lifecycle.rank[state]:
        return False
    return all(lifecycle.webhook_type(name) in lacking for name in lifecycle.between(state, step.name))


def _may_be_of_the_run_before(
    lifecycle: Lifecycle, run: Begun, waiting: Begun | None, one: Delivered, context: Context
) -> bool:
    """Whether a step that may come next may as well end the run before, or says again what that has just said."""
    if waiting is not None and _ends(lifecycle, waiting, one, context):
        return True
    before = run[0].get(one.step.name)
    if before is None:
        return False
    age = one.at - before.at
    is_as_old = age <= context.windows.fast_redelivery or (bool(context.ages) and context.is_as_old(age))
    return is_as_old and same_data(before.data, one.data)


def _is_a_new_one(originals: dict[str, Delivered], one: Delivered, context: Context) -> bool:
    """Whether the first step of a next run cannot be the copy of one that was sent again with others."""
    before = originals.get(one.step.name)
    if before is None or not (context.two_channels or context.ages):
        return True
    if one.position in context.resent:
        return False
    age = one.at - before.at
    return not (context.is_as_old(age) or context.is_second_channel(age))


def _begins_beside(
    lifecycle: Lifecycle, originals: dict[str, Delivered], last: Delivered, one: Delivered, context: Context
) -> bool:
    """Whether a run begins while the one before it waits for nothing but its end, and this is no likely copy."""
    following = [lifecycle.by_name[name] for name in lifecycle.table[last.step.state]]
    if not lifecycle.restarts or one.step.name not in lifecycle.starts or not following:
        return False
    if not all(step.closes for step in following):
        return False
    before = originals.get(one.step.name)
    if before is None or not same_data(before.data, one.data):
        return True
    return not context.two_channels and CopyPrices(lifecycle, one, context).of(before)[1] >= CLEAR


def _ends(lifecycle: Lifecycle, waiting: Begun, one: Delivered, context: Context) -> bool:
    """Whether it may be the end for which a run waits, late by no more than usual."""
    last = waiting[1]
    return one.step.name in lifecycle.table[last.step.state] and one.at - last.at <= context.windows.lateness


def _hypothesis(
    lifecycle: Lifecycle, begun: Sequence[Begun], copies: list[Copy], context: Context
) -> Hypothesis | None:
    """The hypothesis of these runs, if it assumes nothing but late ends and copies that came at once."""
    runs = [_candidate(number, originals) for number, (originals, _) in enumerate(begun, 1)]
    last = runs[-1]
    is_after = context.end is not None and not lifecycle.is_session and last.began >= context.end
    if is_after and not all(outlives(lifecycle, one) for one in runs):
        return None
    if lifecycle.contradicted and any(second_url(lifecycle, one) for one in runs):
        return None
    late = 0.0
    if len(runs) > 1 and not lifecycle.is_presence:
        costs = [cost_beside(lifecycle, one, other, other, context) for one, other in pairwise(runs)]
        if max(costs) > context.prices["late"]:
            return None
        late = sum(costs)
    overdue = None if last.closed else ending(lifecycle, last, context)
    if overdue is not None and context.as_of is not None and overdue.at <= context.as_of:
        return None
    linked: Linked = None
    paid = 0.0
    for copy in copies:
        linked, paid = (linked, copy), paid + copy.price
    return Hypothesis(tuple(runs), None, linked, (), paid, (), paid + late, paid + late)


def _candidate(number: int, originals: dict[str, Delivered]) -> Candidate:
    ones = [*originals.values()]
    first, last = ones[0], ones[-1]
    # Its first step is one with which a run begins.
    return Candidate(number, originals, last.step, last.step.closes, first, first.at, orphan=False)
