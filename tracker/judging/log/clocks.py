"""Clocks: where the receive times of one source go back.

Whoever writes a log writes it in the order in which webhooks come, so the receive times of one source should
not go back. Several processes may write to it, which makes neighbours cross by a moment. More than that is
a clock that was set back, or a log that is not in order, and windows cannot be trusted there. It is reported
once a source. Two sources may have two clocks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from tracker.webhook import Delivery

__all__ = ["Backwards", "backwards_of"]

CLOCK = timedelta(seconds=1)
"""What the receive times of one source may go back by: several processes write to one log."""


@attrs.frozen
class Backwards:
    """The first delivery of a source that was received before the one in front of it."""

    position: int
    source: str
    type: str
    at: datetime
    before: datetime


def backwards_of(clocks: dict[str, datetime], delivery: Delivery, at: datetime) -> Backwards | None:
    """What is wrong with the receive time of the next delivery; ``clocks`` has the newest one of each source."""
    source = delivery.received.source.rpartition(":")[0]
    before = clocks.get(source)
    clocks[source] = at
    if before is None or at >= before or before - at < CLOCK:
        return None
    return Backwards(delivery.position, source, delivery.topic, at, before)
