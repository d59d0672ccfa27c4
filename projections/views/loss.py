"""What the read models were built from and the store has no longer.

The checkpoint of the read models holds the digest of the last event judged. Where the store has no such
event, deliveries that were acknowledged are gone: the log beside ``events.db`` was lost, or an older file was
put in its place. The mark beside the store tells the same, also of what was not judged yet. Read models that were made anew would hide it. So they stay as they are, as evidence, and
nothing goes on with them until the loss is recorded in the store. Then they are renamed, never overwritten.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tracker.errors import StoreDamagedError
from tracker.store.application import Tracker
from tracker.store.recorder import LOCK_TIMEOUT

_HINT = (
    "restore events.db from a newer backup; or tracker accept-loss records it and goes on with what there is"
)


class Loss(msgspec.Struct, frozen=True):
    """What is gone: the store had gone up to ``seen``, and ends at ``ends`` before that.

    It was ``judged`` up to there, or the mark beside the store says so.

    ``gone`` counts the deliveries. Where the store has other events up to ``seen``, it ``differs``, and ``gone``
    is how many there are at least. ``digest`` is of the event that had been seen last.
    """

    ends: int
    seen: int
    gone: int
    differs: bool
    digest: str
    judged: bool = True

    @property
    def text(self) -> str:
        gone = "1 delivery is gone" if self.gone == 1 else f"{self.gone} deliveries are gone"
        if self.differs:
            was = "that the read models were built from" if self.judged else "that was committed"
            return f"the event at position {self.seen} is not the one {was}: at least {gone}"
        reach = "the read models go up to" if self.judged else "it once went up to"
        return f"the store ends at position {self.ends}, but {reach} {self.seen}: {gone}"

    @property
    def recorded(self) -> str:
        """What accepting it says."""
        if self.differs:
            return f"at least {self.gone} deliveries up to position {self.seen} are recorded as gone"
        return f"{self.gone} deliveries from position {self.ends + 1} to {self.seen} are recorded as gone"


class LossError(StoreDamagedError):
    """The store lacks what the read models were built from, and nobody has accepted that."""

    def __init__(self, loss: Loss, place: str) -> None:
        super().__init__(loss.text, place=place, hint=_HINT)
        self.loss = loss


def loss_of(tracker: Tracker, path: Path | None, position: int, digest: str) -> Loss | None:
    """What is gone of all that had been seen, of read models at ``path``, up to the event with this digest.

    ``None`` where nothing is, or where all of it is recorded as accepted.
    """
    there = tracker.digest(position)
    if not position or there == digest or tracker.is_changed(position):
        return None
    if any(one.covers(position, digest, is_there=bool(there)) for one in tracker.losses()):
        return None
    if there:
        fewer = _fewer(tracker, path, position, digest) if path is not None else 1
        return Loss(position, position, fewer, True, digest)
    ends = tracker.last_position(position)
    return Loss(ends, position, position - ends, False, digest)


def marked_loss(tracker: Tracker) -> Loss | None:
    """What is gone of all that was ever committed, by the mark beside the store."""
    mark = tracker.mark()
    if mark is None:
        return None
    loss = loss_of(tracker, None, mark.position, mark.digest)
    return replace(loss, judged=False) if loss else None


def larger(*losses: Loss | None) -> Loss | None:
    """The one that goes furthest, where several tell of the same."""
    return max((loss for loss in losses if loss is not None), key=lambda loss: loss.seen, default=None)


def refuse_marked_loss(tracker: Tracker) -> None:
    """Raises ``LossError`` where nobody has accepted that something is gone which was committed."""
    loss = marked_loss(tracker)
    if loss is not None:
        raise LossError(loss, tracker.owner)


def pass_loss(tracker: Tracker, path: Path, position: int, digest: str) -> None:
    """Renames read models of what is gone; raises ``LossError`` where nobody has accepted that it is."""
    loss = larger(loss_of(tracker, path, position, digest), marked_loss(tracker))
    if loss is not None:
        raise LossError(loss, tracker.owner)
    if path.exists():
        put_aside(path, tracker.last_position(position), position)


def put_aside(path: Path, ends: int, seen: int) -> Path:
    """Renames read models, under their write lock; never over a file that is there."""
    renamed, number = path.with_name(f"{path.name}.lost-{ends}-{seen}"), 1
    while renamed.exists():
        number += 1
        renamed = path.with_name(f"{path.name}.lost-{ends}-{seen}-{number}")
    uri = f"{path.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # also undoes what a killed writer left in a journal
        path.rename(renamed)
    return renamed


@lru_cache(maxsize=8)
def _counted(path: Path, digest: str) -> dict[str, int]:
    """How many deliveries of each session the read models were built from. They do not change while there is a loss."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT)) as views:
            rows = views.execute("SELECT session_id, deliveries FROM sessions").fetchall()
    except sqlite3.Error:  # they are damaged, and it can only be said that something is gone
        return {}
    return {name: count for name, count in rows if isinstance(count, int)}


def _fewer(tracker: Tracker, path: Path, position: int, digest: str) -> int:
    """How many deliveries of sessions the store has fewer than the read models were built from, at least one."""
    there = tracker.streams(position)
    return max(1, sum(max(0, seen - there.get(name, 0)) for name, seen in _counted(path, digest).items()))
