"""Withdrawing: which positions came from a log, and the event that says that they count no longer.

The name of a log is the one that stands in the envelopes, as it was given to ``tracker ingest``. Lines of an
export keep the names of the logs that they came from first; such a mistake is withdrawn by positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import attrs

from tracker.delivery import envelope
from tracker.delivery.envelope import Received
from tracker.errors import NotFoundError, UsageError
from tracker.store.application import Tracker
from tracker.store.erasures import OURS
from tracker.store.prunings import is_tombstone
from tracker.store.reading import PAGE
from tracker.store.withdrawals import STREAM, TOPIC, Span, body, log_of, merged

_NAMED = 5
"""Logs that a hint names."""


@attrs.frozen
class Withdrawn:
    """How many deliveries count no longer, or again, and where they are."""

    count: int
    spans: tuple[Span, ...]


def withdraw(
    tracker: Tracker,
    source: str | None,
    now: datetime,
    *,
    undo: bool = False,
    first: int | None = None,
    last: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Withdrawn:
    """Withdraws what was read from a log, between two positions if they are given; or undoes that.

    Without a ``source``, everything between the positions is meant, whatever it came from. Raises
    ``UsageError`` and ``NotFoundError``.
    """
    if source is None and (first is None or last is None):
        raise UsageError(
            "nothing was withdrawn: give the name of a log, or the first and the last position",
            hint="tracker withdraw LOG, or tracker withdraw --from POSITION --to POSITION",
        )
    end = tracker.last_position()
    begin, end = max(1, first or 1), min(end, last or end)
    gone, names = tracker.withdrawn(), dict[str, None]()
    found: list[int] = []
    for position, came_from in _sources(tracker, begin, end, progress):
        if (position in gone) is undo:
            names.setdefault(came_from)
            if source is None or source == came_from:
                found.append(position)
    if not found:
        raise _nothing(source, undo, list(names))
    spans = merged((position, position) for position in found)
    tracker.record(STREAM, TOPIC, Received(body(source, spans, undo=undo), now))
    return Withdrawn(len(found), spans)


def _sources(
    tracker: Tracker, begin: int, end: int, progress: Callable[[int, int], None]
) -> Iterator[tuple[int, str]]:
    """The positions of deliveries, each with the name of the log it came from."""
    after = begin - 1
    while page := tracker.stored(after, PAGE, end) if after < end else []:
        for event in page:
            if event.originator_id not in OURS and not is_tombstone(event.state):
                yield event.id, log_of(envelope.decode(event.state).source)
        after = page[-1].id
        progress(after, end)


def _nothing(source: str | None, undo: bool, names: Sequence[str]) -> NotFoundError:  # noqa: FBT001 - as asked
    logs = [name for name in names if name]
    hint = (
        "only what a withdrawal names can be undone"
        if undo
        else "tracker ingest says at which positions it stored"
    )
    if logs and source is not None:
        hint = f"there is something from {', '.join(logs[:_NAMED])}{', …' if len(logs) > _NAMED else ''}"
    what = (
        "none of its deliveries is withdrawn" if undo else "no delivery from it is stored, or all are withdrawn"
    )
    return NotFoundError(what, place=source or "", hint=hint)
