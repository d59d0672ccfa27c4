"""A store into another one: each event at its position, as its bytes are.

What is there already is left alone, so a copy that broke off goes on where it was, and one of a store that
has grown adds what is new. At the end every event of both is compared. Which logs were read goes along.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from eventsourcing.persistence import Notification, Tracking

from tracker.errors import StoreDamagedError, StoreError
from tracker.ingest import known_logs
from tracker.recorder import ConcurrentReadError
from tracker.store import PAGE, Tracker

_EMPTY = "copy into an empty database or directory, or go on with what this very copy made"


@attrs.frozen
class Copied:
    """How many events were copied, and how many had been before."""

    events: int
    already_there: int


def copy(source: Tracker, target: Tracker, progress: Callable[[int, int], None]) -> Copied:
    """Copies what the target lacks of the source, then compares all. Raises ``StoreError``."""
    if source.place == target.place:
        raise StoreError("is both source and target", place=source.place, hint="give two stores")
    logs = known_logs(source)  # before the events: all that these logs brought is among them then
    last, before = source.last_position(), target.last_position()
    if before > last or source.digest(before) != target.digest(before):
        raise StoreError("holds other events than the source", place=target.place, hint=_EMPTY)
    _events(source, target, before, last, lambda done: progress(done, 2 * last))
    _logs(target, {name: number for number, names in logs.items() for name in names})
    _compare(source, target, last, lambda done: progress(last + done, 2 * last))
    return Copied(last - before, before)


def _events(source: Tracker, target: Tracker, after: int, last: int, progress: Callable[[int], None]) -> None:
    while after < last:
        page = source.stored(after, PAGE, last)
        if [one.id for one in page] != list(range(after + 1, after + len(page) + 1)) or not page:
            raise StoreDamagedError(
                f"a position is missing behind {after}",
                place=source.place,
                hint="tracker verify names all that is wrong; tracker export and ingest make a new store of the rest",
            )
        try:
            target.put(page, after)
        except ConcurrentReadError as error:
            raise StoreError("another process stores events there", place=target.place, hint=_EMPTY) from error
        after = page[-1].id
        progress(after)


def _logs(target: Tracker, read: dict[str, int]) -> None:
    there = dict(target.trackings(""))
    for name, number in read.items():
        if there.get(name, 0) < number:
            target.remember(Tracking(name, number))


def _compare(source: Tracker, target: Tracker, last: int, progress: Callable[[int], None]) -> None:
    after = 0
    while after < last:
        one, other = (_told(store.stored(after, PAGE, last)) for store in (source, target))
        if one != other:
            position = next(
                (here[0] for here, there in zip(one, other, strict=False) if here != there),
                after + len(other) + 1,
            )
            raise StoreDamagedError(
                f"the event at position {position} is not that of the source", place=target.place, hint=_EMPTY
            )
        after += len(one)
        progress(after)


def _told(page: list[Notification]) -> list[tuple[object, ...]]:
    return [(one.id, one.originator_id, one.originator_version, one.topic, one.state) for one in page]
