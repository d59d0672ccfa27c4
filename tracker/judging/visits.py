"""Visits that need not be judged again: of a large session only what changed is looked at.

What is held of somebody who came once, in good order, is the same each time, as long as nothing more comes of that
person and the evidence by which it was judged is the same: no time changes it, and it can be no copy. Of a session
with thousands of visits a further webhook changes one. So what is held of the others is kept, and with it whatever was
derived from that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tracker.judging.context import Context
from tracker.judging.sequence import ending
from tracker.judging.session import AggregateKey, ObservedAggregate
from tracker.judging.state import Aggregate

__all__ = ["Visits"]


class Visits(msgspec.Struct, eq=False):
    """What is held of the people of one session who came once, since it was last assessed."""

    _judged_by: tuple[object, ...] = ()
    _held: dict[AggregateKey, tuple[int, Aggregate]] = msgspec.field(default_factory=dict)
    """How many deliveries had come of each, and what is held of them."""

    def known(
        self, people: Iterable[tuple[AggregateKey, ObservedAggregate]], context: Context
    ) -> dict[AggregateKey, Aggregate]:
        """What is held of those of whom nothing has come since, if the evidence is what they were judged by."""
        judged_by = context.rules, context.log.profile, context.evidence_without_repeats
        if judged_by != self._judged_by:
            self._judged_by = judged_by
            self._held.clear()
        found: dict[AggregateKey, Aggregate] = {}
        for key, one in people:
            count, aggregate = self._held.get(key, (0, None))
            if aggregate and count == len(one.deliveries) and aggregate.deliveries is one.deliveries:
                found[key] = aggregate
        return found

    def keep(self, aggregates: Mapping[AggregateKey, Aggregate], context: Context) -> None:
        """Keeps of these what stays as it is until more comes."""
        for key, one in aggregates.items():
            if _stays(one, context):
                self._held[key] = len(one.deliveries), one
            else:
                self._held.pop(key, None)


def _stays(aggregate: Aggregate, context: Context) -> bool:
    """Whether a person came once, in good order, nothing was found of it, and time alone changes nothing."""
    if len(aggregate.runs) > 1 or aggregate.held.price != 0 or aggregate.alternatives:
        return False
    (run,) = aggregate.runs
    if run.findings or len(run.candidate.originals) != len(aggregate.deliveries):
        return False
    is_open = context.end is None and ending(aggregate.lifecycle, run.candidate, context) is None
    return run.candidate.closed or is_open
