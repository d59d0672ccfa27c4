"""The time zone in which people are shown times. Everything is kept, compared and given to programs in UTC.

A command shows times in the zone of ``--tz``, a server in the one that it was started with. As most of what is printed
holds a time, the zone is kept in a context variable and not handed on from function to function. The sentences of
findings are written where nobody knows for whom: they say ``14:29:52 UTC``, and ``sentence`` makes it the time here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar, Token
from datetime import UTC, datetime, timedelta, tzinfo

from tracker.delivery.envelope import parse_time
from tracker.errors import UsageError, nearest

__all__ = ["ahead", "clock", "date", "dated", "name", "sentence", "shown_in", "stamp", "use", "zone_named"]

_zone: ContextVar[Callable[[], tzinfo]] = ContextVar("zone", default=lambda: UTC)
_IN_A_SENTENCE = re.compile(r"(?:(\d{4}-\d\d-\d\d) )?\b(\d\d:\d\d:\d\d) UTC\b")
SECOND = 19
"""Characters of a time up to its seconds: ``2026-11-23T14:29:52``."""
AHEAD = timedelta(minutes=1)
"""By how much a receive time may be ahead of the clock."""


def use(zone: Callable[[], tzinfo]) -> Callable[[], None]:
    """Shows times in this zone, which is asked for when the first time is shown; gives what takes that back."""
    token: Token[Callable[[], tzinfo]] = _zone.set(zone)
    return lambda: _zone.reset(token)


def shown_in() -> tzinfo:
    return _zone.get()()


def name() -> str:
    """The name of the zone: ``UTC``, ``Europe/Berlin``."""
    return str(shown_in())


def clock(time: datetime) -> str:
    """``14:29:52``."""
    return f"{time.astimezone(shown_in()):%H:%M:%S}"


def date(time: datetime) -> str:
    """``2026-11-23``."""
    return f"{time.astimezone(shown_in()):%Y-%m-%d}"


def dated(time: datetime) -> str:
    """``2026-11-23 14:29:52 UTC``."""
    return f"{time.astimezone(shown_in()):%Y-%m-%d %H:%M:%S %Z}"


def ahead(time: datetime, now: datetime) -> str:
    """How far a receive time is ahead of the clock: ``2 d ahead of now``; empty where clocks may differ by so much."""
    if time <= now + AHEAD:
        return ""
    from tracker.judging.words import duration  # few times are, and it brings the judging along

    return f"{duration((time - now) // timedelta(microseconds=1))} ahead of now"


def stamp(time: str) -> str:
    """A time of a row, which is ISO 8601 in UTC: ``2026-11-23 14:29:52``."""
    if shown_in() is UTC:
        return time[:SECOND].replace("T", " ")
    found = parse_time(time)
    return f"{date(found)} {clock(found)}" if found else "?"


def sentence(words: str, at: datetime | None) -> str:
    """A sentence with its times as they are here. ``at`` is about when that was: a time alone is of that day or the one before."""
    if shown_in() is UTC:
        return words
    return _IN_A_SENTENCE.sub(lambda found: _here(found, at), words)


def _here(found: re.Match[str], at: datetime | None) -> str:
    day, time = found.groups()
    if day is not None:
        return dated(datetime.fromisoformat(f"{day}T{time}+00:00"))
    if at is None:
        return found[0]
    moment = datetime.fromisoformat(f"{at.astimezone(UTC).date()}T{time}+00:00")
    if moment - at > timedelta(hours=1):
        moment -= timedelta(days=1)
    return f"{clock(moment)} {moment.astimezone(shown_in()):%Z}" if date(moment) == date(at) else dated(moment)


def zone_named(name: str, place: str) -> tzinfo:
    """The time zone of an IANA name. Raises ``UsageError`` at ``place`` where there is none of that name."""
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"no time zone {name!r}", place=place, hint=_near_zone(name)) from error


LIKE = 0.8
"""A name that is written less like another one is no slip of it: Mars/Base is not Marquesas."""
SHORT = 5
"""Letters; of a shorter name each other one is near, as EST of AEST."""
_HAS_DIGIT = re.compile(r"\d").search  # Etc/GMT+1 is not what GMT+1 means


def _near_zone(name: str) -> str:
    from zoneinfo import available_timezones

    known = available_timezones()
    if not known:
        return "this machine has no table of time zones: install the package tzdata"
    places = (one for one in sorted(known, reverse=True) if not _HAS_DIGIT(one))
    by_part = {part.lower(): one for one in places for part in (one, one.rpartition("/")[2])}
    near = given = name.lower()
    if given not in by_part:
        near = nearest(given, (one for one in by_part if min(len(one), len(given)) >= SHORT), LIKE)
    return f"did you mean {by_part[near]}?" if near else "write an IANA name, such as Europe/Berlin"
