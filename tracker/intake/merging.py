"""Several logs as one: merged by receive time, while they are read.

Two receivers write a log each, and the webhooks of one session are in both. Read one after the other, the
second log would begin in the past: everything in it would seem late, and the first log would seem to end long
before. So logs are merged, always the earliest line first. Each log is taken as it stands: a line that is earlier
than the one in front of it comes right behind that one. At equal times the log that begins first goes first,
so the order in which logs are named does not matter.

Only the logs that overlap at a moment are open at that moment; a year of daily logs needs no more memory than
two of its days. For that, the beginning of each log is read twice, which a pipe does not allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush

from tracker.delivery.webhook import Delivery
from tracker.errors import LogError
from tracker.intake.logs import Log
from tracker.intake.receive_times import believed

__all__ = ["begin_of", "can_be_merged", "delivered", "merged"]

EARLIEST = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC), 0
_Open = tuple[datetime, int, Delivery, Iterator[Delivery]]
"""The time up to which a log has been read, its rank, its next delivery, and the others."""


def can_be_merged(logs: Sequence[Log]) -> bool:
    """Whether there are several, all of which can be read twice."""
    return len(logs) > 1 and all(log.is_repeatable for log in logs)


def delivered(log: Log) -> Iterator[Delivery]:
    """What a log delivers, at its line numbers. Raises ``LogError`` behind its last readable line."""
    return log.deliveries(log.lines())


def begin_of(log: Log) -> datetime:
    """The first receive time of a file that is believed; the earliest there is, where it has none."""
    try:
        for one in believed(delivered(log.anew())):
            if one.received_at is not None:
                return one.received_at
    except LogError:  # it is raised again when the log is read
        pass
    return EARLIEST


def merged(logs: Sequence[Log], read: Callable[[int], Iterator[Delivery]]) -> Iterator[tuple[int, Delivery]]:
    """The deliveries of several logs by receive time, each with the place of its log among ``logs``.

    ``read`` gives the deliveries of one of them, in its order.
    """
    begins = [begin_of(log) for log in logs]
    ranked = sorted(range(len(logs)), key=lambda place: (begins[place], logs[place].name))
    waiting = [(begins[place], rank) for rank, place in enumerate(ranked)][::-1]
    heap: list[_Open] = []
    while waiting or heap:
        while waiting and (not heap or waiting[-1] < heap[0][:2]):
            begin, rank = waiting.pop()
            rest = read(ranked[rank])
            first = next(rest, None)
            if first is not None:
                heappush(heap, (first.received_at or begin, rank, first, rest))
        if heap:
            reached, rank, first, rest = heappop(heap)
            place, turn = ranked[rank], min([NEVER, *waiting[-1:], *(other[:2] for other in heap[:1])])
            yield place, first
            for one in rest:
                at = one.received_at
                if at is not None and at > reached:
                    reached = at
                    if (reached, rank) > turn:  # of another log
                        heappush(heap, (reached, rank, one, rest))
                        break
                yield place, one
