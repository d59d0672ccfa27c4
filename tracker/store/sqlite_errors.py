"""What SQLite complains of, as errors of ours that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventsourcing.persistence import PersistenceError

from tracker.errors import StoreDamagedError, StoreError
from tracker.store import recorder

COPY = "check its permissions; of a read-only medium, copy the directory and give the copy as --data DIR"
_DAMAGE = ("not a database", "malformed", "no such", "Could not decode", "unsupported file format")
"""Words in what SQLite complains of when the file is not what was written."""


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turns what the database complains of into an error that says what to do."""
    try:
        yield
    except (PersistenceError, sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise sqlite_error(path, error) from error


def sqlite_error(path: Path, error: Exception) -> StoreError:
    place = str(path)
    reason = (isinstance(error, OSError) and error.strerror) or str(error)  # the other text names a path
    if "full" in reason or "No space left" in reason:
        return StoreError(
            "the disk is full",
            place=place,
            hint="make room and run it again: what was committed is kept, the rest is read again",
        )
    if "locked" in reason or "busy" in reason:
        return StoreError(
            f"another process has been writing for {recorder.LOCK_TIMEOUT} s",
            place=place,
            hint="wait for it, or stop it",
        )
    if "readonly" in reason or "read-only" in reason.lower() or isinstance(error, PermissionError):
        return StoreError("cannot be written", place=place, hint=COPY)
    garbled = isinstance(error, UnicodeDecodeError)  # other bytes where SQLite keeps names
    if garbled or any(words in reason for words in _DAMAGE):
        return StoreDamagedError(
            "is not a store of this program, or is damaged",
            place=place,
            hint="restore it from a backup, or choose another --data DIR and ingest the logs again",
        )
    if "unable to open" in reason:
        return StoreError("cannot be opened", place=place, hint=COPY)
    return StoreError(reason, place=place, hint="tracker verify checks the store")
