"""Many sessions under way: the one way to drive the judging.

Whoever follows a store, audits a log or draws a timeline puts deliveries in and asks for sessions as they
stand. What differs between them is where a session comes from that is not in memory: from the store's
stream, from a temporary file, or, where everything is kept, from nowhere. That is ``recall``. What belongs to
no session is assessed delivery by delivery (``Outside``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from tracker.delivery.webhook import Delivery
from tracker.judging.assess import Memos, assess
from tracker.judging.log import NOTHING_KNOWN, Habits, LogView
from tracker.judging.search import Memo
from tracker.judging.session import Observed
from tracker.judging.state import Session
from tracker.judging.visits import Visits
from tracker.rules import Rules

__all__ = ["Outside", "Sessions"]

LONG = 50
"""Deliveries of an aggregate from which on it is not searched from its beginning each time."""
LARGE = 1000
"""Deliveries of a session from which on visits that are over are not judged anew each time,"""
KEPT = 8
"""and sessions of which what is held of them is kept, those that were assessed last."""
Recall = Callable[[str, int | None], Observed | None]
"""Gives what came of a stream before a position (``None``: all that is known); ``None`` if nothing did."""


class Sessions(msgspec.Struct, eq=False):
    """Sessions (and other streams) by their stream.

    Attributes:
        rules: By which they are judged.
        recall: Where a session comes from that is not in memory; from nowhere where everything is kept.
        habits: What the log learns of its sessions; ``None`` where that is known already.
        observed: Those in memory, the one used last at the end.
    """

    rules: Rules
    recall: Recall = lambda _stream, _before: None
    habits: Habits | None = None
    observed: dict[str, Observed] = msgspec.field(default_factory=dict)
    _memos: dict[str, Memos] = msgspec.field(default_factory=dict)
    _visits: dict[str, Visits] = msgspec.field(default_factory=dict)

    def observe(self, delivery: Delivery) -> Observed:
        """Takes in the next delivery of its stream."""
        observed = self.observed.pop(delivery.stream, None) or self.recall(delivery.stream, delivery.position)
        observed = observed or Observed(delivery.stream, delivery.session_id)
        self.observed[delivery.stream] = observed
        observed.observe(delivery, self.habits)
        return observed

    def assessed(
        self, stream: str, as_of: datetime | None, log: LogView = NOTHING_KNOWN, *, over: bool = False
    ) -> Session:
        """A stream as it stands at a moment. Raises ``KeyError`` where nothing came of it."""
        observed = self.observed.get(stream) or self.recall(stream, None)
        if observed is None:
            raise KeyError(stream)
        self.observed[stream] = observed
        memos, visits = self._memos_of(observed), self._visits_of(observed)
        return assess(observed, as_of, self.rules, log, over=over, memos=memos, visits=visits)

    def _memos_of(self, observed: Observed) -> Memos | None:
        """How far the long aggregates of a session have been searched; ``None`` where it has none."""
        if observed.deliveries < LONG:
            return None
        memos = self._memos.setdefault(observed.stream, {})
        for key, aggregate in observed.aggregates.items():
            if len(aggregate.deliveries) >= LONG and key not in memos:
                memos[key] = Memo()
        return memos

    def _visits_of(self, observed: Observed) -> Visits | None:
        """What is held of the visits of a large session; ``None`` for any other."""
        if observed.deliveries < LARGE:
            return None
        visits = self._visits.pop(observed.stream, None) or Visits()
        self._visits[observed.stream] = visits
        for stream in list(self._visits)[:-KEPT]:
            del self._visits[stream]
        return visits

    def keep(self, most: int) -> None:
        """Forgets those used least recently, so that at most so many stay in memory."""
        self._forget(list(self.observed)[: max(0, len(self.observed) - most)])

    def keep_first(self, most: int) -> None:
        """Forgets those that were recalled last, so that at most so many stay in memory."""
        self._forget(list(self.observed)[most:])

    def _forget(self, streams: Iterable[str]) -> None:
        for stream in streams:
            del self.observed[stream]
            self._memos.pop(stream, None)
            self._visits.pop(stream, None)


class Outside(msgspec.Struct):
    """Deliveries that belong to no session. Each stands alone; what is found once only is found once in a stream.

    Attributes:
        rules: By which they are judged.
        earlier: Gives what came of the stream of a delivery before it, unless all of that was assessed here.
        named: What was found and is found once only: the stream, and the name of it.
    """

    rules: Rules
    earlier: Callable[[Delivery], Iterable[Delivery]] = lambda _: ()
    named: set[tuple[str, str]] = msgspec.field(default_factory=set)

    def assessed(self, delivery: Delivery, *, is_before_all: bool) -> Session:
        """The next delivery as it stands. ``is_before_all``: no webhook of a session had come in the log before."""
        alone = Observed(delivery.stream, is_before_all=is_before_all)
        alone.name_before(name for name in _names(delivery) if self._was_named(delivery, name))
        alone.observe(delivery)
        self.named.update((delivery.stream, name) for name in alone.named)
        return assess(alone, None, self.rules)

    def _was_named(self, delivery: Delivery, name: str) -> bool:
        if (delivery.stream, name) in self.named:
            return True
        return any(name in _names(one) for one in self.earlier(delivery))


def _names(delivery: Delivery) -> set[str]:
    """What a delivery shows by itself and is found once only."""
    alone = Observed(delivery.stream)
    alone.observe(delivery)
    return alone.named
