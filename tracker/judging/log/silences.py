"""Silences: when the hook itself was dead.

That nothing comes for half an hour means nothing at night and a lot at noon. A gap in the receive times of a
log counts as a silence where sessions were live in it and many webhooks were to be expected: by the rate at which
sessions came before it, or because it is too unlikely that so many that had been steady had nothing to say, all at
once. It is then reported once, and is the cause of what was lost in it: the reader looks for one fault
of the receiver, and not for hundreds of sessions.

Which sessions were live is known as far as ends are subscribed to, or else who joined and left. An ended session stays ended: a copy
of one of its webhooks, sent again on the next day, revives nobody. Of a long log it is not remembered which
sessions have ended; so behind a replay, where they may seem to be live, there is no silence.

A silence may last until now. It is then reported while it lasts, from the moment on at which it is one; but it
is the cause of nothing yet, since what is missing may be on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import log

import msgspec

from tracker.judging.log.habits import STRETCH
from tracker.judging.log.replays import Replay

__all__ = ["MANY", "Lately", "Silence", "genuine", "silence_of"]

RATE_SPAN = timedelta(hours=1)
"""The time before a silence from which the rate is taken."""
MANY = 1000
"""Sessions of that time that are remembered; the rate is then taken from a shorter time."""
EXPECTED = 20
"""Sessions of which something should have come in a silence, by the rate before it."""
LIVE, LIVE_SHARE = 5, 4
"""At least so many sessions, and one of so many of the active ones, must be live for a silence to count."""
UNLIKELY = 12.0
"""The price, as in ``prices``, at which it is no chance that nothing came of so many steady sessions."""
SECOND = timedelta(seconds=1)
PHASE = timedelta(minutes=15)
"""Meetings that begin together may be quiet together later on; one that has been steady for longer is past that."""
LONGER = 1.1
"""A silence is looked at when it has become longer by so much."""


class Lately(msgspec.Struct, array_like=True):
    """What came of a session.

    Attributes:
        at: When something came last.
        live: Whether it was live then.
        since: When something came first, or first after a silence of the log.
        pause: The longest time in between in which nothing came.
        inside: How many more have joined than have left.
    """

    at: datetime
    since: datetime
    live: bool = True
    pause: timedelta = timedelta()
    inside: int = 0

    def observe(self, at: datetime, over: datetime | None) -> None:
        """Something came; ``over`` is when the last silence of the log was."""
        since = self.at
        if over is not None and over > since:
            self.since, self.pause, since = over, timedelta(), over
        if at > since:
            self.pause = max(self.pause, at - since)
            self.at = at

    def goes_on(self, since: datetime) -> bool:
        """Whether its last webhook at a moment was no longer ago than any before."""
        return since - self.at <= self.pause

    def price(self, length: timedelta) -> float:
        """What it costs that nothing comes for so long: the more, the longer it was steady, and the shorter its pauses
        were beside that."""
        steady, rare = (self.at - self.since) / max(length, PHASE), length / max(self.pause, SECOND)
        return log(max(1.0, min(steady, rare)))


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
    recent: Iterable[Lately],
    oldest: datetime | None,
    position: int,
    since: datetime,
    until: datetime,
    least: timedelta,
    *,
    ends_come: bool,
) -> Silence | None:
    """The silence between two receive times of a log, where the gap is one.

    ``recent`` is what came of each session, in the order of the times; ``oldest`` the first receive time of the log;
    ``least`` what the rules say. Where no ends come, those are live in which somebody is inside.
    """
    begin = max(since - RATE_SPAN, oldest or since)
    active = [entry for entry in recent if entry.at >= begin][-MANY:]
    live, of = [one for one in active if one.live and (ends_come or one.inside > 0)], len(active)
    if len(live) < LIVE:
        return None
    span = since - (active[0].at if of == MANY else begin)
    by_rate = EXPECTED * span / of if ends_come and len(live) * LIVE_SHARE >= of else None
    by_price = _unlikely_from([one for one in live if one.goes_on(since)], least, until - since)
    long = min((one for one in (by_rate, by_price) if one is not None), default=None)
    if long is None or until - since < long:
        return None
    return Silence(position, since, until, len(live), of, since + long)


def _unlikely_from(steady: Sequence[Lately], least: timedelta, most: timedelta) -> timedelta | None:
    """How long nothing comes of so many sessions before that is no chance; ``None`` where it may be one all the time.

    What is too unlikely for a time is so for any longer time, so it is found as soon as it is.
    """
    long = least
    while long <= most:
        if sum(one.price(long) for one in steady) >= UNLIKELY:
            return long
        long *= LONGER
    return None


def genuine(silences: Iterable[Silence], replays: Sequence[Replay]) -> tuple[Silence, ...]:
    """Those of the silences that do not follow a replay: what came before them says nothing of what was live."""
    ends = [one.last for one in replays if 2 * one.deliveries > one.last - one.first]
    return tuple(one for one in silences if not any(abs(one.position - 1 - end) <= STRETCH for end in ends))
