"""Visits that need not be judged again: of a large session only what changed is looked at.

A visit that is over and ordinary is held the same each time, as long as nothing more comes of that person and the
evidence by which it was judged is the same. Of a session with thousands of visits a further webhook changes one. So
what is held of the others is kept, and with it whatever was derived from that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from tracker.judging.context import Context
from tracker.judging.hypothesis import Delivered
from tracker.judging.session import AggregateKey
from tracker.judging.state import Aggregate

__all__ = ["Visits"]


@attrs.define(eq=False)
class Visits:
    """What is held of the people of one session whose visits are over and ordinary, since it was last assessed."""

    _judged_by: tuple[object, ...] = ()
    _held: dict[AggregateKey, tuple[int, Aggregate]] = attrs.field(factory=dict)
    """How many deliveries had come of each, and what is held of them."""

    def heed(self, context: Context) -> None:
        """Forgets all that was judged by other evidence."""
        judged_by = context.rules, context.log.profile, context.evidence
        if judged_by != self._judged_by:
            self._judged_by = judged_by
            self._held.clear()

    def held(self, key: AggregateKey, deliveries: Sequence[Delivered]) -> Aggregate | None:
        """What is held of a person, where nothing has come since; ``None`` where that is not known."""
        count, aggregate = self._held.get(key, (0, None))
        if aggregate is None or count != len(deliveries) or aggregate.deliveries is not deliveries:
            return None
        return aggregate

    def keep(self, aggregates: Mapping[AggregateKey, Aggregate]) -> None:
        """Keeps of these what is over and ordinary, and of which nothing was found."""
        for key, one in aggregates.items():
            if key not in self._held or self.held(key, one.deliveries) is None:
                self._held.pop(key, None)
                if one.lifecycle.is_presence and one.held.price == 0 and not one.alternatives and _is_over(one):
                    self._held[key] = len(one.deliveries), one


def _is_over(aggregate: Aggregate) -> bool:
    return all(run.candidate.closed and not run.findings for run in aggregate.runs)
