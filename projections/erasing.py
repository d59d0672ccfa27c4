"""Erasing people from all that a data directory holds: the store, the read models, publications, alerts and the relay.

The store comes first (``tracker.intake.erasing``). By the event that says so the read models are made anew, and by the
ledger those who are erased go from what is kept beside them, in whichever process that happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from projections.alerts import erasing as alerts
from projections.progress import Progress
from projections.relay import erasing as relay
from projections.views.database import VIEWS_DB
from projections.views.erased import streams_naming
from projections.views.follow import Views
from projections.views.publications import PUBLISHED_DB, published_file
from tracker.intake import erasing
from tracker.intake.erasing import Done, Plan
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.sqlite import EVENTS_DB

__all__ = ["beside", "erase", "erase_beside", "kept_aside", "outstanding"]


def _nothing() -> None:
    pass


def erase(
    tracker: Tracker,
    plan: Plan,
    rules: Rules,
    now: datetime,
    progress: Progress,
    first: Callable[[], None] = _nothing,
) -> Done:
    """Does what is planned, and all that was to be done before and broke off; ``first`` in archives. Raises ``StoreError``."""
    return _follow(tracker, erasing.carry_out(tracker, plan, now, progress, first), rules, progress)


def outstanding(
    tracker: Tracker, rules: Rules, now: datetime, progress: Progress, first: Callable[[], None] = _nothing
) -> Done:
    """Does again all that was ever asked for, as it has to be done after a backup was put back. Raises ``StoreError``."""
    return _follow(tracker, erasing.outstanding(tracker, now, progress, first), rules, progress)


def beside(data: Path, participant: str) -> set[str]:
    """The streams in which what is kept beside the read models names a person. Raises ``StoreError``."""
    with published_file(data / PUBLISHED_DB).to_read() as published:
        found = streams_naming(published, participant) if published is not None else set()
    return found | relay.streams_naming(data, participant)


def _follow(tracker: Tracker, done: Done, rules: Rules, progress: Progress) -> Done:
    Views.open(tracker, rules, progress).close()
    erase_beside(tracker.data)
    tracker.ledger.finish(done.requests)
    return done


def erase_beside(data: Path) -> None:
    """Erases from what is kept beside the read models whom the ledger says to forget. Raises ``StoreError``."""
    for kept in (alerts, relay):
        kept.erase(data)
        kept.compact(data)


def kept_aside(data: Path) -> Iterator[tuple[str, str]]:
    """What still holds people as they were and nothing here can change, with what to do about it."""
    for path in sorted(data.glob(f"{VIEWS_DB}.lost-*")):
        yield path.name, "it is kept because deliveries were lost; remove it"
    for path in data.glob(f".{EVENTS_DB}-litestream"):
        yield (
            path.name,
            "it is of Litestream: stop that, remove the directory and the replica, and begin a new one",
        )
