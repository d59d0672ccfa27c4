"""Making the read models anew.

A new file is made beside the live one and takes its place by a rename. A journal, which SQLite finds by the
file's name, would outlive that and be played back into the new file: so the rename happens under the write
lock of the old one, and whoever has got that lock looks whether the file is still the live one (``opened``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from time import sleep

from projections.progress import Progress
from projections.views.database import (
    VIEWS_DB,
    checkpoint_of,
    create,
    create_indexes,
    discard,
    fits,
    refuse_what_is_no_file,
    remove_leftovers,
)
from projections.views.loss import refuse_marked_loss
from projections.views.opened import begun
from projections.views.pages import BULK, Pages
from projections.views.publications import PUBLISHED_DB, published_up_to
from tracker.bulk import bulk
from tracker.errors import StoreError
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.clock import wall_clock
from tracker.store.place import identity
from tracker.store.private import PRIVATE_FILE, make_directory
from tracker.store.sqlite_errors import sqlite_errors

GRACE = 0.02
"""Seconds for which the lock of a file is kept that was replaced, for who was about to lock or to read it."""


def rebuild(
    tracker: Tracker,
    rules: Rules | None = None,
    progress: Progress | None = None,
    *,
    path: Path | None = None,
    page_size: int = BULK,
    stop: int | None = None,
    as_of: datetime | None = None,
    now: Callable[[], datetime] = wall_clock,
) -> Path:
    """Makes the read models anew beside the live ones, then puts them in their place.

    With ``stop`` they go only up to that position; with ``path`` they become that file instead. They are
    settled at ``as_of``, where that is later than the newest receive time; the live ones, where none is given, at
    the moment for which was published last, so that nothing is taken back that time alone has shown. That
    moment is no later than ``now``: a clock may have been ahead.
    """
    rules = rules or Rules()
    live = path or tracker.data / VIEWS_DB
    if path is None and stop is None and as_of is None:
        _look_for_loss(live, tracker)
        refuse_marked_loss(tracker)
        as_of = _published_at(tracker, now)
    beside = live.with_name(f"{live.name}.rebuild-{os.getpid()}")
    refuse_what_is_no_file(live)
    remove_leftovers(tracker.data / VIEWS_DB)
    refuse_what_is_no_file(beside)
    make_directory(live.parent)
    try:
        with sqlite_errors(live):
            discard(beside)
            beside.touch(PRIVATE_FILE)
            with bulk(), Pages(beside, rules, scratch=True) as pages:
                create(pages.connection, rules, tracker.changed_at())
                pages.follow(tracker, progress, page_size, stop=stop)
                if as_of is not None:
                    pages.settle(tracker, as_of)
                create_indexes(pages.connection)
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            _swap(beside, live)
    finally:
        discard(beside)
    return live


def _swap(beside: Path, live: Path) -> None:
    """Puts a file in the place of another while nobody writes to that."""
    while not _swapped(beside, live):
        pass  # another process has put its own there meanwhile


def _swapped(beside: Path, live: Path) -> bool:
    opened, journal = identity(live), live.with_name(f"{live.name}-journal")
    if opened is None:
        journal.unlink(missing_ok=True)  # of a file that somebody has removed
        return _put(beside, live)
    with closing(sqlite3.connect(live.absolute(), isolation_level=None)) as connection:
        try:
            if not begun(connection, lambda: identity(live) == opened):
                return False
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise
            journal.unlink(missing_ok=True)  # of what is no database any more
        beside.replace(live)
        sleep(GRACE)
    return True


def _put(beside: Path, live: Path) -> bool:
    """Puts a file where there is none, and nobody ever sees half of one; whether there still was none."""
    try:
        os.link(beside, live)
    except FileExistsError:
        if identity(live) is not None:
            return False
        beside.replace(live)  # a link to nothing
    except OSError:  # a file system that has no links
        beside.replace(live)
    return True


def _look_for_loss(live: Path, tracker: Tracker) -> None:
    """Raises ``LossError`` where these read models were made of what the store has no longer."""
    try:
        checkpoint, _ = checkpoint_of(live)
    except StoreError:
        return
    fits(checkpoint, tracker, live)


def _published_at(tracker: Tracker, now: Callable[[], datetime]) -> datetime | None:
    """The moment as of which was published last, whatever has become of the read models and of the store since."""
    mark = published_up_to(tracker.data / PUBLISHED_DB)
    as_of = mark[0].as_of if mark is not None else None
    return min(as_of, now()) if as_of is not None else None
