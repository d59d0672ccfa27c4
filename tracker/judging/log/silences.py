"""Silences: when the hook itself was dead.

That nothing comes for half an hour means nothing at night and a lot at noon. A gap in the receive times of a
log counts as a silence where sessions were live in it and many webhooks were to be expected, by the rate
before it. It is then reported once, and is the cause of what was lost in it: the reader looks for one fault
of the receiver, and not for hundreds of sessions.

Which sessions were live is known only as far as ends are subscribed to. An ended session stays ended: a copy
of one of its webhooks, sent again on the next day, revives nobody. Of a long log it is not remembered which
sessions have ended; so behind a replay, where they may seem to be live, there is no silence.

A silence may last until now. It is then reported while it lasts, from the moment on at which it is one; but it
is the cause of nothing yet, since what is missing may be on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from tracker.judging.log.habits import STRETCH
from tracker.judging.log.replays import Replay

__all__ = ["MANY", "Silence", "genuine", "silence_of"]

RATE_SPAN = timedelta(hours=1)
"""The time before a silence from which the rate is taken."""
MANY = 1000
"""Sessions of that time that are remembered; the rate is then taken from a shorter time."""
EXPECTED = 20
"""Sessions of which something should have come in a silence, by the rate before it."""
LIVE, LIVE_SHARE = 5, 4
"""At least so many sessions, and one of so many of the active ones, must be live for a silence to count."""


class Silence(msgspec.Struct, frozen=True):
    """Nothing came between two receive times, though ``live`` of ``of`` sessions were live.

    ``position`` is that of the delivery that ended it, or of the last one while it lasts; ``certain`` when it had
    been long enough.
    """

    position: int
    since: datetime
    until: datetime
    live: int
    of: int
    certain: datetime


def silence_of(
    recent: Iterable[tuple[datetime, bool]],
    oldest: datetime | None,
    position: int,
    since: datetime,
    until: datetime,
) -> Silence | None:
    """The silence between two receive times of a log, where the gap is one.

    ``recent`` is, of each session, when something came of it last and whether it was live then, in that order;
    ``oldest`` the first receive time of the log.
    """
    begin = max(since - RATE_SPAN, oldest or since)
    active = [entry for entry in recent if entry[0] >= begin][-MANY:]
    live, of = sum(is_live for _, is_live in active), len(active)
    span = since - (active[0][0] if of == MANY else begin)
    if live < LIVE or live * LIVE_SHARE < of or until - since < EXPECTED * span / of:
        return None
    return Silence(position, since, until, live, of, since + EXPECTED * span / of)


def genuine(silences: Iterable[Silence], replays: Sequence[Replay]) -> tuple[Silence, ...]:
    """Those of the silences that do not follow a replay: what came before them says nothing of what was live."""
    ends = [one.last for one in replays if 2 * one.deliveries > one.last - one.first]
    return tuple(one for one in silences if not any(abs(one.position - 1 - end) <= STRETCH for end in ends))
