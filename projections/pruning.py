"""Pruning: sessions that are over go from the store into an archive in Parquet.

The archive is complete and on the disk before anything is removed. If it breaks off, doing it again goes on: an archive of
the same sessions is known by its name, and is taken if it holds what the store does. None is ever written over: what is
another one now (people were erased from it, a disk has damaged it) may be what the tombstones of a copy of the store name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, count
from pathlib import Path

import attrs

from projections.exports.parquet import write
from projections.progress import Progress
from projections.views.follow import Views
from tracker.blake2b import blake2b
from tracker.delivery import envelope
from tracker.errors import LogError, StoreError
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
    if planned.digests:
        place = _archived(tracker, planned, archive)
        done = pruning.remove(tracker, planned, str(place), now, progress)
    if tracker.is_pruned_since():
        tracker.record_prunings(now)
    return Done(done, place, tracker.clean())


def _archived(tracker: Tracker, planned: Plan, archive: Path) -> Path:
    """Where the sessions are archived; they are written, unless they were."""
    wanted = _digest(_stored(tracker, planned))
    for more in chain([""], map("-{}".format, count(2))):
        place = archive / f"{planned.name}{more}"
        if not place.exists():
            break
        if _digest_in(place) == wanted:
            return place
    for left in archive.glob(".pruned-*"):  # of a run that was killed; it may name people who were erased since
        shutil.rmtree(left, ignore_errors=True)
    beside = archive / f".{planned.name}"
    write(pruning.deliveries(tracker, planned), beside)
    if _digest_in(beside) != wanted:
        hint = "run it again: people may have been erased meanwhile; else the disk is damaged"
        raise StoreError(
            "does not hold what was to be moved, so nothing was removed", place=str(beside), hint=hint
        )
    for path in (*parts(beside), beside):
        _to_disk(path)
    beside.rename(place)
    _to_disk(archive)
    return place


def _stored(tracker: Tracker, planned: Plan) -> Iterator[tuple[int, bytes]]:
    """Position and line of what is to be archived."""
    for one in pruning.deliveries(tracker, planned):
        yield one.position, envelope.encode(one.received)


def _digest(rows: Iterable[tuple[int, bytes]]) -> str:
    summed = blake2b(digest_size=16)
    for position, line in rows:
        summed.update(b"%d %d\n%b" % (position, len(line), line))
    return summed.hexdigest()


def _digest_in(place: Path) -> str:
    """The digest of an archive; empty where it cannot be read."""
    try:
        return _digest(Archive(str(place)).rows())
    except LogError:
        return ""


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
