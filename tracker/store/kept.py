"""A file of SQLite in the data directory that is not derived, so that nothing makes it anew: what it holds must survive.

Each access has a connection of its own. A file that is there but is not ours, or is damaged, is refused and never
replaced; one that an older version has written is brought to the tables of this one when it is first opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from tracker.errors import StoreDamagedError, StoreVersionError
from tracker.store.private import PRIVATE_FILE
from tracker.store.recorder import LOCK_TIMEOUT
from tracker.store.sqlite_errors import sqlite_errors

__all__ = ["Kept"]

_LOOK = "SELECT user_version, (SELECT COUNT(*) FROM sqlite_schema) FROM pragma_user_version"
"""One statement, because another process may be making the tables."""


class Kept(msgspec.Struct, frozen=True):
    """Such a file.

    Attributes:
        path: Where it is; it need not be there yet.
        make: Makes the tables.
        hint: What to do when it is damaged.
        upgrades: For each format of the tables, from the first on, the statements that make the next one of it.
    """

    path: Path
    make: Callable[[sqlite3.Connection], None]
    hint: str
    upgrades: Sequence[Sequence[str]] = ()

    @property
    def format(self) -> int:
        """The version of its tables; a higher one was written by a newer program."""
        return 1 + len(self.upgrades)

    @contextmanager
    def to_write(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction; the file is made where there is none. Raises ``StoreError``."""
        with self._errors():
            if not self.path.exists():
                self.path.touch(PRIVATE_FILE)
            with closing(self._connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    if not self.is_made(connection):
                        self.make(connection)
                        connection.execute(f"PRAGMA user_version = {self.format}")
                    elif _version(connection) < self.format:
                        self._upgrade(connection)
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise

    @contextmanager
    def to_read(self) -> Iterator[sqlite3.Connection | None]:
        """A connection; ``None`` where nothing was ever written. Raises ``StoreError``.

        An older file is upgraded in memory, as it may be a backup that nobody can write; a writer upgrades it for good.
        """
        if not self.path.exists():
            yield None
            return
        with self._errors(), closing(self._connect()) as connection:
            if not self.is_made(connection):
                yield None
            elif _version(connection) == self.format:
                yield connection
            else:
                with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
                    connection.backup(copy)
                    self._upgrade(copy)
                    yield copy

    def is_made(self, connection: sqlite3.Connection) -> bool:
        """Whether it has its tables. Raises ``StoreError`` where they are none of ours."""
        ((version, tables),) = connection.execute(_LOOK).fetchall()
        if version > self.format:
            raise StoreVersionError(
                f"was written by a newer version (format {version}, this one knows {self.format})",
                place=str(self.path),
                hint="use that version, or a newer one",
            )
        if tables and not version:
            raise StoreDamagedError("is a database of another program", place=str(self.path), hint=self.hint)
        return bool(tables)

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        for statements in self.upgrades[_version(connection) - 1 :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {self.format}")

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self.path.resolve().as_uri()}?mode=rw"  # also a reader may have to undo what a killed writer left
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")  # what is erased is not left in the file
        return connection

    def compact(self) -> None:
        """Leaves nothing in the file but what is in its rows. Raises ``StoreError``."""
        if self.path.exists():
            with self._errors(), closing(self._connect()) as connection:
                connection.execute("VACUUM")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns what the database complains of into an error that says what to do."""
        try:
            with sqlite_errors(self.path):
                yield
        except StoreDamagedError as error:
            if error.place != str(self.path) or error.hint == self.hint:
                raise
            raise StoreDamagedError("is damaged", place=str(self.path), hint=self.hint) from error


def _version(connection: sqlite3.Connection) -> int:
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return int(version)
