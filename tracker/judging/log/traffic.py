"""Traffic: what the order of a log says, delivery by delivery.

Habits do not depend on the order in which sessions come; silences and clocks depend on nothing else. So one
process sees all deliveries of a log in their order and keeps a small value: the newest receive time, the
sessions of which something came lately, the last time of each source. A log that grows goes on from there:
the read models keep it with their checkpoint.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace

from tracker.delivery.webhook import Delivery
from tracker.judging.log.clocks import Clocks
from tracker.judging.log.silences import MANY, Lately, Silence, silence_of
from tracker.record import RECORD
from tracker.rules import Rules

__all__ = ["Traffic"]


class Traffic(msgspec.Struct):
    """See above.

    Attributes:
        newest, oldest: Receive times.
        position: That of the delivery that was received last.
        has_begun: Whether a webhook of a session has come.
        recent: What came of a session, if it was lately; the newest at the end.
        ends_come: Whether a session ever ended: else those are live in which somebody is inside.
        silences: In which nothing came.
        clocks: What is wrong with the receive times of single sources.
    """

    newest: datetime | None = None
    oldest: datetime | None = None
    position: int = 0
    has_begun: bool = False
    recent: dict[str, Lately] = msgspec.field(default_factory=dict)
    ends_come: bool = False
    silences: list[Silence] = msgspec.field(default_factory=list)
    clocks: Clocks = msgspec.field(default_factory=Clocks)

    def observe(self, delivery: Delivery, rules: Rules) -> None:
        """Takes in the next delivery of the log."""
        if delivery.step is RECORD:
            return
        if delivery.session_id is not None:
            self.has_begun = True
        at = delivery.received.received_at
        if at is None:
            return
        self.clocks.observe(delivery, at)
        if self.oldest is None or at < self.oldest:
            self.oldest = at
        if self.newest is None or at >= self.newest:
            if self.newest is not None and at - self.newest >= rules.silence:
                silence = self._silence(delivery.position, self.newest, at, rules)
                self.silences += [silence] if silence is not None else []
            self.newest, self.position = at, delivery.position
        if delivery.session_id is not None:
            self._observe_session(delivery, at)

    def _observe_session(self, delivery: Delivery, at: datetime) -> None:
        lifecycle, step = delivery.lifecycle, delivery.step
        one = self.recent.pop(delivery.stream, None) or Lately(at, since=at)
        one.observe(at, self.silences[-1].until if self.silences else None)
        if lifecycle is not None and step is not None:
            if lifecycle.is_presence:
                one.inside += -1 if step.closes else 1
            elif lifecycle.is_session and step.closes:
                one.live, self.ends_come = False, True
        self.recent[delivery.stream] = one
        if len(self.recent) > 2 * MANY:
            self.recent = dict(list(self.recent.items())[-MANY:])

    def lasting(self, as_of: datetime | None, rules: Rules) -> Silence | None:
        """The silence that lasts at a moment, where there is one."""
        if as_of is None or self.newest is None or as_of - self.newest < rules.silence:
            return None
        silence = self._silence(self.position, self.newest, as_of, rules)
        if silence is None:
            return None
        found = max(silence.certain, self.newest + rules.silence)
        return replace(silence, until=found, certain=found)  # the same however long it lasts

    def _silence(self, position: int, since: datetime, until: datetime, rules: Rules) -> Silence | None:
        recent, least = self.recent.values(), rules.silence
        return silence_of(recent, self.oldest, position, since, until, least, ends_come=self.ends_come)
