"""Which receive times of one log are believed.

THE PROBLEM. All windows rest on receive times, and a log may hold wrong ones: the clock of a machine that has
just started stands at the year 2000; a time server was wrong for a minute; a line was written by hand. One
line of the year 2031 would make every window of the log have passed.

THE IDEA. Whoever writes a log writes it in order, so its times should rise. Where they do not, the fewest lines
that must be left out for the rest to rise are suspected. A suspected line is *wrong* if it is farther from both
its neighbours than they are from each other, and by more than ``FAR``: lines that are late by less were held
back by a writer, and their times are right. Several suspected lines in a row are wrong together if a session
that they name goes on beside them: else the log may be several logs, one behind the other.

A block of lines at the beginning or the end of a log has one neighbour only. It is wrong if it is the smaller
part, far away, and names a session of the rest. Where the times jump forward there, the jump must be longer
than any session lasts. Lines that all repeat others were sent again, whenever that was.

WHAT FOLLOWS. A wrong time is never believed, nor replaced by "now". What is believed instead lies between the
neighbours: the wrong lines keep their distances from each other, as far as there is room. The line keeps
what it said (``Received.wrong_time``), which is reported (T308). Nothing else is changed: order and number of
the lines stay. A log that has the newest line first is looked at from its end.

THE HOUR THAT COMES TWICE. Where times name no zone, the clock shows one hour two times when summer time ends. There, too,
the times rise, except where the clock was set back. Where they fall once by more than ``FAR``, the lines before that are
of the first time, those behind of the second. Where they do not, only one of both may be in the log, and nothing
says which; where they fall again, the lines are not in order. These have no receive time. The lines of that hour are
held until it is over, ``MOST`` of them. Where a log is read in parts, those in front of a part count too: near such an
hour, ``needed`` asks for as many of them; else ``WINDOW`` are enough.

A line is given when enough lines behind it are known, ``WINDOW``; so memory does not grow with the log, and
no longer block of wrong lines is recognised.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import chain, islice, pairwise
from operator import ge, le

import msgspec
from msgspec.structs import replace

from tracker.delivery.envelope import isoformat
from tracker.delivery.webhook import UNROUTED, Delivery
from tracker.judging.hypothesis import micros, moment
from tracker.judging.log.clocks import newest_first as is_reverse

__all__ = ["FAR", "MOST", "WINDOW", "believed", "is_newest_first", "needed"]

WINDOW = 200
"""Lines behind a line, at least, that are known when it is given."""
FAR = timedelta(minutes=5)
"""A line that is late by less was held back by who wrote it."""
MOST = 100_000
"""Lines of an hour that comes twice, which are looked at together."""
NEAR = timedelta(hours=12)
"""What was received farther than this from the moment at which a clock was set back tells nothing of the hour that
comes twice, however far it was set back."""
LONGER_THAN_A_SESSION = timedelta(days=7)
_FAR, _LONG = (one // timedelta(microseconds=1) for one in (FAR, LONGER_THAN_A_SESSION))


def believed(deliveries: Iterable[Delivery], before: Iterable[Delivery] = ()) -> Iterator[Delivery]:
    """The deliveries of one log, in their order; those with a wrong receive time have another one.

    ``before`` are those in front of them, where some were given earlier: as many as are ``needed``.
    """
    coming, given = iter(deliveries), list(before)
    first = list(islice(coming, 3 * WINDOW))
    newest_first = is_newest_first([*given, *first])
    coming = _resolved(chain(given, first, coming), newest_first=newest_first)
    given, held = list(islice(coming, len(given)))[-WINDOW:], list(islice(coming, 3 * WINDOW))
    at_end = len(held) < 3 * WINDOW
    while held:
        ready = len(held) if at_end else len(held) - WINDOW
        _correct(given, held, newest_first=newest_first, at_start=not given, at_end=at_end)
        yield from islice(held, ready)
        given = held[max(0, ready - WINDOW) : ready]
        more = [] if at_end else list(islice(coming, 2 * WINDOW))
        at_end = at_end or len(more) < 2 * WINDOW
        held = held[ready:] + more


def needed(last: Iterable[Delivery], zone: tzinfo) -> int:
    """How many lines, at most, ``believed`` has to know before those that come behind some ``last`` ones.

    ``zone`` is that of times that name none. It is enough to give some of the last lines, so that a wrong time
    among them does not matter.
    """
    return MOST if any(_is_near_an_hour_twice(one, zone) for one in last) else WINDOW


def _is_near_an_hour_twice(one: Delivery, zone: tzinfo) -> bool:
    """Whether it was received when a clock in this zone was about to be set back, or had been."""
    if one.read_as is None or not one.read_as.zone:
        return False
    twice = one.read_as.twice
    at = twice[0] if twice is not None else one.received_at
    if at is None:
        return False
    before, after = ((at + far).astimezone(zone).utcoffset() for far in (-NEAR, NEAR))
    return before is not None and after is not None and after < before


def is_newest_first(deliveries: Iterable[Delivery]) -> bool:
    """Whether a log goes back in time throughout."""
    times = [one.received_at for one in deliveries if one.received_at is not None]
    falls = sum(after < before for before, after in pairwise(times))
    rises = sum(after > before for before, after in pairwise(times))
    return is_reverse(falls, rises)


def _resolved(deliveries: Iterable[Delivery], *, newest_first: bool) -> Iterator[Delivery]:
    """The same deliveries; those of an hour that comes twice have a receive time where the log tells which one."""
    hour: list[Delivery] = []
    for one in deliveries:
        if hour and (_is_beyond(hour[0], one) or len(hour) >= MOST):
            _resolve(hour, newest_first=newest_first)
            yield from hour
            hour = []
        if hour or (one.read_as is not None and one.read_as.twice is not None):
            hour.append(one)
        else:
            yield one
    _resolve(hour, newest_first=newest_first)
    yield from hour


def _twice(one: Delivery) -> tuple[datetime, datetime] | None:
    """The two times that its receive time may be."""
    return one.read_as.twice if one.read_as is not None else None


def _is_beyond(begin: Delivery, one: Delivery) -> bool:
    """Whether what was received then cannot lie between lines of the hour that begins with another one."""
    twice, at = _twice(begin), one.received_at
    if twice is None or at is None:
        return False
    first, second = twice
    return abs(at - first) > 2 * (second - first) + FAR


def _resolve(hour: Sequence[Delivery], *, newest_first: bool) -> None:
    lines = [(one, twice) for one in hour if (twice := _twice(one)) is not None]
    lines = lines[::-1] if newest_first else lines
    steps = enumerate(pairwise(first for _, (first, _) in lines), 1)
    falls = [place for place, (before, after) in steps if before - after > FAR]
    if len(falls) != 1:
        return
    for place, (one, twice) in enumerate(lines):
        at = twice[place >= falls[0]]
        one.received = replace(one.received, received_at=at, unread_time=None)


class _Lines(msgspec.Struct):
    """Lines of a log that have a time: those given before, and those held.

    Attributes:
        deliveries: One for each.
        times: In microseconds; negative where the newest line stands first, so that they should rise.
        fixed: How many of them have been given.
    """

    deliveries: list[Delivery]
    times: list[int]
    fixed: int

    def __len__(self) -> int:
        return len(self.times)

    def goes_on_beside(self, first: int, last: int) -> bool:
        """Whether a session of these lines is named beside them, by other webhooks than theirs."""
        inside = self.deliveries[first : last + 1]
        outside = self.deliveries[:first] + self.deliveries[last + 1 :]
        streams = {one.stream for one in outside if not one.stream.startswith(UNROUTED)}
        if not any(one.stream in streams for one in inside):
            return False
        bodies = {one.received.body for one in outside}
        return not all(one.received.body in bodies for one in inside)


class _Block(msgspec.Struct, frozen=True):
    """Neighbouring lines that are wrong, from ``first`` to ``last``; beside them ``before`` and ``behind``, if any."""

    first: int
    last: int
    before: int | None
    behind: int | None


def _correct(
    given: list[Delivery], held: list[Delivery], *, newest_first: bool, at_start: bool, at_end: bool
) -> None:
    """Gives the wrong lines among those held the times that are believed instead."""
    if not (at_start or at_end) and _is_in_order((*given, *held), newest_first=newest_first):
        return  # as nearly all are
    timed = [one for one in (*given, *held) if one.received_at is not None]
    fixed = sum(one.received_at is not None for one in given)
    sign = -1 if newest_first else 1
    times = [sign * micros(one.received_at) for one in timed if one.received_at is not None]
    lines = _Lines(timed, times, fixed)
    blocks = list(_out_of_order(lines, at_start=at_start, at_end=at_end))
    if not blocks and (at_start or at_end):
        blocks = list(_beyond_a_jump(lines, at_start=at_start, at_end=at_end))
    for block in blocks:
        for place in range(max(block.first, fixed), block.last + 1):
            _give_time(timed[place], moment(sign * _instead(times, block, place)))


def _is_in_order(deliveries: Iterable[Delivery], *, newest_first: bool) -> bool:
    times = [at for one in deliveries if (at := one.received.received_at) is not None]
    return all(map(ge if newest_first else le, times, times[1:]))


def _give_time(one: Delivery, at: datetime) -> None:
    said = one.received_at
    assert said is not None, "only lines with a time are looked at"
    one.received = replace(one.received, received_at=at, wrong_time=isoformat(said))


def _instead(times: Sequence[int], block: _Block, place: int) -> int:
    """What is believed of a wrong line: as far from the others of its block as it says, where there is room."""
    before, behind = block.before, block.behind
    if before is None:
        assert behind is not None, "a block has a neighbour"
        return min(times[behind], times[behind] + times[place] - times[block.last])
    at = max(times[before], times[before] + times[place] - times[block.first])
    return at if behind is None else min(at, times[behind])


def _out_of_order(lines: _Lines, *, at_start: bool, at_end: bool) -> Iterator[_Block]:
    """The blocks of wrong lines that keep the times from rising."""
    times = lines.times
    if times == sorted(times):
        return
    kept = _rising(times)
    if 2 * len(kept) <= len(times):  # it is in no order at all
        return
    for before, behind in pairwise([None, *kept, None]):
        first = 0 if before is None else before + 1
        last = len(times) - 1 if behind is None else behind - 1
        if first > last or (before is None and not at_start) or (behind is None and not at_end):
            continue
        for block in _far_ones(lines, first, last, before, behind):
            is_single = first == last and before is not None and behind is not None
            is_smaller = block.last - block.first + 1 < len(kept)
            if is_single or (is_smaller and lines.goes_on_beside(block.first, block.last)):
                yield block


def _far_ones(lines: _Lines, first: int, last: int, before: int | None, behind: int | None) -> Iterator[_Block]:
    """The parts of a row of suspected lines that are farther from both neighbours than these are from each other."""
    times = lines.times
    beside = [times[one] for one in (before, behind) if one is not None]
    apart = max(_FAR, beside[-1] - beside[0])
    run: list[int] = []
    for place in range(max(first, lines.fixed), last + 2):
        if place <= last and all(abs(times[place] - one) > apart for one in beside):
            run.append(place)
        elif run:
            yield _Block(run[0], run[-1], before, behind)
            run = []


def _rising(times: Sequence[int]) -> list[int]:
    """The places of a longest part of the times that does not fall."""
    ends: list[int] = []
    places: list[int] = []
    came_from: list[int] = []
    for place, at in enumerate(times):
        length = bisect_right(ends, at)
        came_from.append(places[length - 1] if length else -1)
        ends[length : length + 1] = [at]
        places[length : length + 1] = [place]
    found, place = [], places[-1] if places else -1
    while place >= 0:
        found.append(place)
        place = came_from[place]
    return found[::-1]


def _beyond_a_jump(lines: _Lines, *, at_start: bool, at_end: bool) -> Iterator[_Block]:
    """The block before the first jump that is longer than any session, or behind the last one."""
    times = lines.times
    jumps = [place for place in range(1, len(times)) if times[place] - times[place - 1] > _LONG]
    if not jumps:
        return
    first, last = jumps[0], jumps[-1]
    if at_start and 2 * first < len(times) and lines.goes_on_beside(0, first - 1):
        yield _Block(0, first - 1, None, first)
        return
    is_smaller = at_end and 2 * last > len(times) and last >= lines.fixed
    if is_smaller and lines.goes_on_beside(last, len(times) - 1):
        yield _Block(last, len(times) - 1, last - 1, None)
