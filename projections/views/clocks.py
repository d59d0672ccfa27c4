"""Finding receive times that lie ahead of the clock, and taking them back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from projections.progress import Progress
from projections.views.accepting import refuse_loss
from projections.views.database import VIEWS_DB, discard
from tracker.errors import UsageError
from tracker.intake.receiver import SOURCE
from tracker.store.application import Tracker
from tracker.store.clock import PIN, WrongTimes


def ahead_of(tracker: Tracker, now: datetime, progress: Progress) -> Iterator[tuple[int, int]]:
    """First and last position of each run of webhooks whose receive time lies ahead of ``now``."""
    first, last, end = 0, 0, tracker.last_position()
    for delivery in tracker.deliveries(end):
        progress(delivery.position, end)
        at = delivery.received_at
        if delivery.received.source != SOURCE or at is None or at <= now + PIN:
            continue
        if first and delivery.position != last + 1:
            yield first, last
            first = 0
        first, last = first or delivery.position, delivery.position
    if first:
        yield first, last


def named(tracker: Tracker, first: int | None, last: int | None) -> tuple[int, int]:
    """The positions that somebody named. Raises ``UsageError`` where they are none."""
    end = tracker.last_position()
    if first is None or last is None or not first <= last <= end:
        raise UsageError(
            f"--from and --to must be positions from 1 to {end}", hint="give both, the smaller one first"
        )
    return first, last


def take_back(tracker: Tracker, ranges: list[tuple[int, int]]) -> None:
    """Records that the receive times there are wrong; the read models are to be made anew then."""
    refuse_loss(tracker)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    for first, last in ranges:
        tracker.take_back(WrongTimes(first, last, at))
    discard(tracker.data / VIEWS_DB)  # they are settled at a moment that never was
