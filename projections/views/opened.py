"""A file of read models that somebody writes: its connection, its transactions, and whether it is still the live one.

A rebuild puts another file in its place at any time. So whoever has got the write lock looks first whether the file
is still the one of that name, and goes on with the other one where it is not.

Of a file that was replaced nothing may be read any more. SQLite finds a journal by the name of the file: it would take
that of the new file, while somebody writes to that, for one that a killed writer left of the old file, play it back into
that and remove it. So nobody waits for the lock of a file without looking whether it is still the live one, and who
replaces it keeps its lock for a moment: as long as that is held, SQLite takes no journal for one that was left.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from projections.read_models import ReadModels
from projections.views.database import views_errors
from tracker.store.place import identity
from tracker.store.recorder import LOCK_TIMEOUT

CACHE = 64 << 10
"""KiB of a file that is made anew which are kept in memory: rows go everywhere in it."""


TICK = 0.01
"""Seconds between two looks whether another process has let go of the lock."""


def begun(connection: sqlite3.Connection, is_live: Callable[[], bool]) -> bool:
    """Begins a transaction that writes, if the file is the live one; waits for the lock, up to ``LOCK_TIMEOUT``.

    Raises ``sqlite3.Error``.
    """
    until = monotonic() + LOCK_TIMEOUT
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while is_live():
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if is_live() and ("locked" not in str(error) or monotonic() >= until):
                    raise
                sleep(TICK)
                continue
            if is_live():
                return True
            connection.execute("ROLLBACK")
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT * 1000}")


class Opened:
    """A file of read models.

    ``scratch``: the file is thrown away when anything goes wrong, and is seen by nobody before it is complete.
    """

    def __init__(self, path: Path, *, scratch: bool = False) -> None:
        self.path = path
        self._scratch = scratch
        self.connection: sqlite3.Connection
        self._connect()

    @property
    def db(self) -> ReadModels:
        """The read models, to be asked."""
        return ReadModels(self.connection)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close()
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):  # of somebody who read the rows
            with views_errors(self.path):
                raise error

    @property
    def can_be_written(self) -> bool:
        """Whether the file and its directory, where a journal must be, can be written."""
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)

    def _forget_all(self) -> None:
        """Called where what is remembered of the file may be outdated."""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with views_errors(self.path):
            self._begin()
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                self._forget_all()
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def _begin(self) -> None:
        while not begun(self.connection, self._is_live):
            self._reconnect()

    def _is_live(self) -> bool:
        """Whether our file is still the one of that name; while we hold the write lock, it remains so."""
        return identity(self.path) == self._identity

    def _read_live(self, read: Callable[[], None]) -> None:
        """Reads the file that is the live one, also where that is replaced meanwhile."""
        while True:
            if not self._is_live():
                self._reconnect()
            try:
                return read()
            except sqlite3.OperationalError:
                if self._is_live():
                    raise

    def _copy_to_memory(self) -> None:
        """Goes on with a copy in memory, where the file cannot be written."""
        with views_errors(self.path):
            copy = sqlite3.connect(":memory:", isolation_level=None)
            self.connection.backup(copy)
            self.connection.close()
            self.connection = copy

    def _reconnect(self) -> None:
        self.close()
        self._forget_all()
        self._connect()

    def _connect(self) -> None:
        with views_errors(self.path):
            self._identity = identity(self.path)
            connection = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=LOCK_TIMEOUT,
            )
            self.connection = connection
            # A file that is thrown away when anything goes wrong needs no journal.
            self.connection.execute(f"PRAGMA journal_mode={'OFF' if self._scratch else 'DELETE'}")
            self.connection.execute(f"PRAGMA synchronous={'OFF' if self._scratch else 'NORMAL'}")
            if self._scratch:
                self.connection.execute(f"PRAGMA cache_size=-{CACHE}")
