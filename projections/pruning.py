"""Pruning: sessions that are over go from the store into an archive in Parquet.

The archive is complete and on the disk before anything is removed. If it breaks off, doing it again goes on: an archive of
the same sessions is known by its name and is not written twice.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

import attrs

from projections.exports.parquet import write
from projections.progress import Progress
from projections.views.follow import Views
from tracker.errors import StoreError
from tracker.intake import pruning
from tracker.intake.archive import Archive, parts
from tracker.intake.pruning import Plan
from tracker.rules import Rules
from tracker.store.application import Tracker

__all__ = ["Done", "move", "prune"]


@attrs.frozen
class Done:
    """What was pruned: the number of sessions, where they are now, and what could not be done."""

    sessions: int
    archive: Path | None
    problem: str


def prune(
    tracker: Tracker, planned: Plan, archive: Path, rules: Rules, now: datetime, progress: Progress
) -> Done:
    """Does what is planned, and what broke off before. Raises ``StoreError`` or ``UsageError``."""
    done = move(tracker, planned, archive, now, progress)
    Views.open(tracker, rules, progress).close()
    return done


def move(tracker: Tracker, planned: Plan, archive: Path, now: datetime, progress: Progress) -> Done:
    """The same in the store alone: whoever follows it makes the read models anew."""
    done, place = 0, None
    if planned.versions:
        place = _archived(tracker, planned, archive)
        done = pruning.remove(tracker, planned, str(place), now, progress)
    if tracker.is_pruned_since():
        tracker.record_prunings(now)
    return Done(done, place, tracker.clean())


def _archived(tracker: Tracker, planned: Plan, archive: Path) -> Path:
    """Where the sessions are archived; they are written, unless they were."""
    place, beside = archive / planned.name, archive / f".{planned.name}"
    if not place.exists():
        shutil.rmtree(beside, ignore_errors=True)
        write(pruning.deliveries(tracker, planned), beside)
        for path in (*parts(beside), beside):
            _to_disk(path)
        beside.rename(place)
        _to_disk(archive)
    if (there := Archive(str(place)).count()) != planned.events:
        raise StoreError(
            f"holds {there} deliveries of {planned.events}, so nothing was removed",
            place=str(place),
            hint="remove it, and run it again",
        )
    return place


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
