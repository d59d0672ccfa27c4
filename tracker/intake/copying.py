"""A store into another one: each event at its position, as its bytes are.

What is there already is left alone, so a copy that broke off goes on where it was, and one of a store that
has grown adds what is new. At the end every event of both is compared. Which logs were read goes along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from eventsourcing.persistence import Notification, Tracking

from tracker.errors import StoreDamagedError, StoreError
from tracker.intake.progress import known_logs
from tracker.store.application import Tracker
from tracker.store.clock import PREFIX as CLOCK
from tracker.store.losses import PREFIX as LOSS
from tracker.store.prunings import PREFIX as PRUNED
from tracker.store.reading import PAGE
from tracker.store.recorder import ConcurrentReadError

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
    # Before the events: all that these logs brought is among them then.
    read = {name: number for number, names in known_logs(source).items() for name in names}
    for prefix in (LOSS, CLOCK, PRUNED):
        read |= dict(source.trackings(prefix))
    last, before = source.last_position(), target.last_position()
    if before > last or source.digest(before) != target.digest(before):
        raise StoreError("holds other events than the source", place=target.place, hint=_EMPTY)
    there = target.count()
    _events(source, target, before, last, lambda done: progress(done, 2 * last))
    _logs(target, read)
    target.skip_to(source.gaps().behind(last))
    _compare(source, target, last, lambda done: progress(last + done, 2 * last))
    return Copied(target.count() - there, there)


def _events(source: Tracker, target: Tracker, after: int, last: int, progress: Callable[[int], None]) -> None:
    gaps = source.gaps()
    while after < last:
        runs, end = list(_runs(source.stored(after, PAGE, last))), after
        for run in runs:
            if run[0].id != gaps.behind(end) + 1:
                raise StoreDamagedError(
                    f"a position is missing behind {end}",
                    place=source.place,
                    hint="tracker verify names all that is wrong; tracker export and ingest make a new store of the rest",
                )
            end = run[-1].id
        for run in runs:
            begin = gaps.behind(after)
            if begin > after:
                target.skip_to(begin)
            try:
                target.put(run, begin)
            except ConcurrentReadError as error:
                raise StoreError(
                    "another process stores events there", place=target.place, hint=_EMPTY
                ) from error
            after = run[-1].id
            progress(after)


def _runs(page: list[Notification]) -> Iterator[list[Notification]]:
    """The events of a page whose positions follow each other."""
    begin = 0
    for place in range(1, len(page) + 1):
        if place == len(page) or page[place].id != page[place - 1].id + 1:
            yield page[begin:place]
            begin = place


def _logs(target: Tracker, read: dict[str, int]) -> None:
    there = dict(target.trackings(""))
    for name, number in read.items():
        if there.get(name, -1) < number:
            target.remember(Tracking(name, number))


def _compare(source: Tracker, target: Tracker, last: int, progress: Callable[[int], None]) -> None:
    after = 0
    while after < last:
        one, other = (_compared(store.stored(after, PAGE, last)) for store in (source, target))
        if one != other:
            position = next(
                (here[0] for here, there in zip(one, other, strict=False) if here != there),
                after + len(other) + 1,
            )
            raise StoreDamagedError(
                f"the event at position {position} is not that of the source", place=target.place, hint=_EMPTY
            )
        after = one[-1][0] if one else last
        progress(after)


def _compared(page: list[Notification]) -> list[tuple[Any, ...]]:
    return [(one.id, one.originator_id, one.originator_version, one.topic, one.state) for one in page]
