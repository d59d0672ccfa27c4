"""What becomes of deliveries as a habit of the network: acknowledgements are lost, receivers are down.

A *way* takes a delivery that would be received at a time (seconds since the log began) and says at which
times it is received instead, the first of them first. All of it arrives, and nothing before its time.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Way = Callable[[float, str, Random], tuple[float, ...]]
"""(when it would be received, its room, the dice of the log) -> when it is received."""
MakeWay = Callable[[str], Way]
"""Makes the way of one log, from its seed."""

LOST = 0.03
"""How many acknowledgements are lost."""
LOST_AGAIN = 0.5
"""How many of the retries are not acknowledged either."""
MINUTE, HOUR, DAY = 60, 3600, 86400
BUSY = (9, 17)
"""The hours of a day in which something befalls the receiver."""
DOWN = 30 * MINUTE
SLOW = 0.02
"""How many deliveries have to wait, where the latency has a heavy tail."""
LONGEST = 30 * MINUTE
"""Seconds that they wait at most."""
CHANNELS = ((0.02, 1), (0.02, 1), (0.02, 1), (1, 10), (30, 120))
"""Seconds by which a second channel is slower, at least and at most; each room has one of these."""


def ladder(*waits: float) -> MakeWay:
    """The same body comes again after each wait, until one of them is acknowledged."""

    def way(at: float, room: str, dice: Random) -> tuple[float, ...]:
        if dice.random() >= LOST:
            return (at,)
        times = [at]
        for wait in waits:
            times.append(times[-1] + wait + dice.uniform(0, 1.5))
            if dice.random() >= LOST_AGAIN:
                break
        return tuple(times)

    return lambda _: way


def lost_minute(seed: str) -> Way:
    """In one minute of every three hours no acknowledgement arrives; all of it is sent again 2 to 40 min later."""
    begins: dict[int, float] = {}

    def way(at: float, room: str, dice: Random) -> tuple[float, ...]:
        part = int(at // (3 * HOUR))
        begin = _drawn(begins, part, f"{seed}/lost-minute", (part * 3 * HOUR, (part + 1) * 3 * HOUR - MINUTE))
        return (at, at + dice.uniform(120, 2400)) if begin <= at < begin + MINUTE else (at,)

    return way


def hour_replayed(seed: str) -> Way:
    """One hour of every day comes again a day later, in its order and at its pace."""
    begins: dict[int, float] = {}

    def way(at: float, room: str, dice: Random) -> tuple[float, ...]:
        day = int(at // DAY)
        begin = _drawn(begins, day, f"{seed}/hour-replayed", _busy(day))
        return (at, at + DAY + dice.uniform(0, 0.2)) if begin <= at < begin + HOUR else (at,)

    return way


def day_replayed(seed: str) -> Way:
    """The first day comes again six hours later, in its order and at its pace."""

    def way(at: float, room: str, dice: Random) -> tuple[float, ...]:
        return (at, at + 6 * HOUR + dice.uniform(0, 0.2)) if at < DAY else (at,)

    return way


def outage(seed: str) -> Way:
    """The receiver is down for half an hour of every day; each event is tried again in its own rhythm."""
    begins: dict[int, float] = {}

    def way(at: float, room: str, dice: Random) -> tuple[float, ...]:
        day = int(at // DAY)
        begin = _drawn(begins, day, f"{seed}/outage", _busy(day))
        wait = dice.uniform(5, 60)
        while begin <= at < begin + DOWN:
            at += wait
            wait *= 2
        return (at,)

    return way


def heavy_tail(seed: str) -> Way:
    """Most is there at once, some waits for seconds, little for many minutes."""

    def way(at: float, room: str, dice: Random) -> tuple[float, ...]:
        if dice.random() >= SLOW:
            return (at,)
        return (at + min(LONGEST, 3 * dice.paretovariate(0.7)),)

    return way


def two_channels(seed: str) -> Way:
    """Each event is sent to two webhook urls; the second is slower by about the same in all of a room."""

    def way(at: float, room: str, dice: Random) -> tuple[float, ...]:
        whose = Random(f"{seed}/channels/{room}")
        slower = whose.uniform(*whose.choice(CHANNELS))
        return (at, at + slower + dice.uniform(0, 0.3))

    return way


def _busy(day: int) -> tuple[float, float]:
    return day * DAY + BUSY[0] * HOUR, day * DAY + BUSY[1] * HOUR


def _drawn(begins: dict[int, float], part: int, seed: str, within: tuple[float, float]) -> float:
    """When it begins in this part of the log; drawn once."""
    if part not in begins:
        begins[part] = Random(f"{seed}/{part}").uniform(*within)
    return begins[part]
