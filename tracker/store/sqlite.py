"""The event store in a file: ``events.db`` in the data directory.

The write lock is taken before the versions are read; taken later, SQLite would refuse it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteFactory,
    SQLiteProcessRecorder,
)
from eventsourcing.utils import Environment
from msgspec import json

from tracker.errors import StoreDamagedError, StoreError, StoreMissingError, StoreVersionError
from tracker.store import mark, recorder
from tracker.store.erasures import is_changed
from tracker.store.losses import PREFIX as LOSS
from tracker.store.losses import accepted
from tracker.store.place import Place
from tracker.store.private import PRIVATE_FILE, make_directory, refuse_file
from tracker.store.recorder import (
    APPLICATION_ID,
    FORMAT,
    SOURCE_ENDS,
    Event,
    Newest,
    Recorder,
    Rows,
    SourcePosition,
)
from tracker.store.sqlite_errors import COPY, sqlite_errors

EVENTS_DB = "events.db"
EVENTS_MARK = "events.mark"
ROOM = 16 << 20
"""Bytes that must be free for the file to grow."""
_ROW = "originator_id", "originator_version", "topic", "state"
_AT_ONCE = 20
"""Events that one statement stores: each statement also writes down the last position that was given."""
_INSERT = f"INSERT INTO stored_events ({', '.join(_ROW)}) VALUES (?,?,?,?)"
_INSERT_MANY = _INSERT + ",(?,?,?,?)" * (_AT_ONCE - 1)
CLEAN = 30.0
"""Seconds in which those who read let go of what was there before."""

_IMMUTABLE = "?immutable=1"


def fault_of(version: tuple[int, ...]) -> str:
    """What is known to be wrong with a version of SQLite and concerns us, or nothing."""
    if (3, 7, 0) <= version <= (3, 51, 2):
        return (
            f"SQLite {'.'.join(map(str, version))} can damage a file, rarely, when several processes write and empty "
            "the log at the same moment (the WAL-reset bug of 3.7.0 to 3.51.2)"
        )
    return ""


class SQLite:
    """The file in a data directory."""

    software, fault = f"SQLite {sqlite3.sqlite_version}", fault_of(sqlite3.sqlite_version_info)

    def __init__(self, data: Path) -> None:
        self.path = data / EVENTS_DB
        self.place, self.owner = str(self.path), str(data)
        self._file = Place(self.path)

    def check(self, *, create: bool) -> bool:
        data, path = self.path.parent, self.path
        if create:
            make_directory(data)
            if _is_immutable(path):
                raise StoreError("cannot be written", place=str(path), hint=COPY)
        else:
            refuse_file(data)
        stored = _check(path)
        if not create and not path.exists():
            raise StoreMissingError(
                "there is no store",
                place=str(path),
                hint="tracker ingest LOG makes one; --data DIR or TRACKER_DATA names another",
            )
        if not create and stored is None:
            raise StoreDamagedError("is empty", place=str(path), hint="tracker ingest LOG fills it")
        return create and stored is None

    def mark(self) -> mark.Mark | None:
        return mark.read(self.path.with_name(EVENTS_MARK))

    def factory(self, env: Environment) -> SQLiteFactory:
        if not self.path.exists():
            with sqlite_errors(self.path):
                self.path.touch(PRIVATE_FILE)  # what SQLite puts beside it gets the same rights
        env["SQLITE_DBNAME"] = _name(self.path)
        env["SQLITE_LOCK_TIMEOUT"] = str(recorder.LOCK_TIMEOUT)
        factory = SQLiteFactory(env)
        pool = factory.datastore.pool
        factory.datastore.pool = _Pool(self._file, db_name=pool.db_name, lock_timeout=pool.lock_timeout)
        pool.close()
        return factory

    def recorder(self, factory: SQLiteFactory) -> EventRecorder:
        return EventRecorder(factory.datastore, self.path, self._file)

    def errors(self) -> AbstractContextManager[None]:
        return sqlite_errors(self.path)


class _Pool(SQLiteConnectionPool):
    def __init__(self, file: Place, **settings: Any) -> None:
        super().__init__(**settings)
        self._file = file

    def _create_connection(self) -> SQLiteConnection:
        self._file.check()
        connection = self._connect()
        self._file.opened()
        if not self.db_name.endswith(_IMMUTABLE):
            self.db_name = self._file.existing  # the first one may make the file, the others may not
        connection._sqlite_conn.text_factory = _lenient  # noqa: SLF001 - the library has no name for it
        connection.cursor().execute("PRAGMA synchronous=FULL")
        connection.cursor().execute("PRAGMA secure_delete=ON")  # what is erased is not left in the file
        return connection

    def _connect(self) -> SQLiteConnection:
        """Tries again while others make the same store: where two switch to WAL, SQLite waits for neither."""
        deadline = monotonic() + recorder.LOCK_TIMEOUT
        while True:
            try:
                return self._made()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or monotonic() > deadline:
                    raise
                sleep(0.01)

    def _made(self) -> SQLiteConnection:
        """As the library makes one. That keeps a single statement prepared, and would prepare each one anew."""
        connection = sqlite3.connect(
            self.db_name, recorder.LOCK_TIMEOUT, isolation_level=None, check_same_thread=False, uri=True
        )
        connection.row_factory = sqlite3.Row
        try:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.Error:
            connection.close()
            raise
        return SQLiteConnection(connection, self.max_age)


class EventRecorder(Recorder, SQLiteProcessRecorder):
    state = "CASE typeof(state) WHEN 'text' THEN CAST(state AS BLOB) ELSE state END"
    begins = f"substr(state, 1, {SOURCE_ENDS})"
    holds = f"instr(state, ?) BETWEEN 1 AND {SOURCE_ENDS}"
    contains = "instr(state, ?)"
    is_tracking = "typeof(application_name) = 'text' AND typeof(notification_id) = 'integer'"
    counter = ("sqlite_sequence", "SELECT seq FROM sqlite_sequence WHERE name='stored_events'")
    notifies = False

    def __init__(self, datastore: Any, path: Path, file: Place) -> None:
        super().__init__(datastore)
        self._path, self._file = path, file
        self._newest = 0
        """The newest position known to have been given."""
        self._marked = mark.Mark(0, "")
        self._is_marking = False

    def construct_create_table_statements(self) -> list[str]:
        events = (
            "CREATE TABLE IF NOT EXISTS stored_events ("
            "notification_id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "originator_id TEXT NOT NULL, "
            "originator_version INTEGER NOT NULL, "
            "topic TEXT NOT NULL, "
            "state BLOB NOT NULL, "
            "UNIQUE (originator_id, originator_version))"
        )
        # The library's own table of events gives its positions no name and uses them again.
        index = "CREATE INDEX IF NOT EXISTS tracking_position ON tracking (notification_id)"
        return [events, *super().construct_create_table_statements()[1:], index]

    def create_table(self) -> None:
        SQLiteProcessRecorder.create_table(self)

    def _create_table(self, c: SQLiteCursor) -> None:
        c.execute(f"PRAGMA application_id={APPLICATION_ID}")  # takes the write lock
        c.execute("SELECT COUNT(*) FROM sqlite_schema WHERE name='stored_events'")
        if not c.fetchone()[0]:  # no other process has made it since we looked
            c.execute(f"PRAGMA user_version={FORMAT}")
            super()._create_table(c)

    def insert(
        self,
        events: Sequence[Event],
        *,
        read: Sequence[SourcePosition] = (),
        behind: int | None = None,
        newest: Newest | None = None,
    ) -> range:
        with self.datastore.transaction(commit=True) as c:
            self._lock_table(c)
            self._raise_format(c)
            self._look(c, read, behind)
            for one in read:
                if not self._replaced(c, one):
                    self._insert_tracking(c, one.tracking)
            if newest is not None:
                found = self._select(c, *self.newest(newest.holds, newest.after))
                events = newest.forward(found[0][0] if found else None, events)
            positions = self._insert(c, self.prepare(events))
        self._has_format = True
        self._file.committed()
        if positions:
            self._newest = positions[-1]
            if self._may_mark():
                self._marked.write(self._path.with_name(EVENTS_MARK))
        return positions

    def _may_mark(self) -> bool:
        """Not over a mark that tells of a loss which nobody has accepted."""
        before = None if self._is_marking else mark.read(self._path.with_name(EVENTS_MARK))
        if before is not None:
            select = f"SELECT originator_id, originator_version, {self.state} FROM stored_events WHERE notification_id=?"
            rows = self.rows(select, (before.position,))
            there = [mark.digest(*row) for row in rows]
            is_rewritten = any(is_changed(state) for *_, state in rows)
            if (
                there != [before.digest]
                and not is_rewritten
                and not any(
                    one.covers(before.position, before.digest, is_there=bool(there))
                    for one in accepted(self.trackings(LOSS))
                )
            ):
                return False
        self._is_marking = True
        return True

    def _insert(self, c: SQLiteCursor, events: Sequence[Event]) -> range:
        versions = self._versions(c, events)
        values = list[str | int | bytes]()
        for stream, least, topic, state in events:
            version = versions[stream] + 1
            if least:  # a copy of what was pruned has no events before it
                version = max(version, least)
            versions[stream] = version
            values += (stream, version, topic, state)
        size = len(_ROW) * _AT_ONCE
        many = len(values) // size * size
        c.executemany(_INSERT_MANY, (values[at : at + size] for at in range(0, many, size)))
        c.executemany(_INSERT, (values[at : at + len(_ROW)] for at in range(many, len(values), len(_ROW))))
        # We hold the only write lock, so the positions of these rows follow each other.
        c.execute("SELECT last_insert_rowid()")
        last = c.fetchone()[0] if events else 0
        positions = range(last - len(events) + 1, last + 1)
        self._add_digests(c, events, positions.start, self._names_at(c, positions.start - 1))
        if events:
            stream, _, _, state = events[-1]
            version = versions[stream]
            self._marked = mark.Mark(positions[-1], mark.digest(stream, version, state))
        self._check_before_commit(positions)
        return positions

    def _versions(self, c: SQLiteCursor, events: Sequence[Event]) -> dict[str, int]:
        """The last version of each stream of these events, 0 of a new one."""
        streams = list({stream for stream, _, _, _ in events})
        last = "SELECT MAX(originator_version) FROM stored_events WHERE originator_id = value"
        select = f"SELECT key, COALESCE(({last}), 0) FROM json_each(?)"
        return {streams[at]: last for at, last in self._select(c, select, (json.encode(streams).decode(),))}

    def _raise_format(self, c: SQLiteCursor) -> None:
        """Says in the file that states of the newest format may be in it."""
        if not self._has_format:
            c.execute("PRAGMA user_version")
            if c.fetchone()[0] < FORMAT:
                c.execute(f"PRAGMA user_version={FORMAT}")

    def _check_before_commit(self, positions: range) -> None:
        if positions and positions[0] <= self._newest:
            raise StoreError(
                f"ends at position {positions[0] - 1}, and had {self._newest}: it was replaced while it was open",
                place=str(self._path),
                hint="restart: tracker verify then tells what is missing",
            )
        self._file.check()

    @contextmanager
    def _changing(self) -> Iterator[SQLiteCursor]:
        with super()._changing() as c:
            self._file.check()
            yield c
        self._file.committed()

    def clean(self) -> str:
        """What was rewritten is still in the log beside the file, until that is emptied."""
        self._file.check()
        uri = f"{self._path.resolve().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=recorder.LOCK_TIMEOUT, isolation_level=None)
        with closing(connection):
            if connection.execute("PRAGMA freelist_count").fetchone()[0]:
                connection.execute("VACUUM")
            connection.execute("PRAGMA busy_timeout=1000")
            deadline = monotonic() + CLEAN
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if monotonic() > deadline:
                    return "another process reads what was there before, so the log beside it cannot be emptied yet"
                sleep(0.05)
        return ""

    def at_once(self, *statements: tuple[str, Sequence[Any]]) -> list[Rows]:
        self._file.check()
        with self.datastore.transaction(commit=False) as c:
            return [self._select(c, *statement) for statement in statements]

    def damage(self) -> Rows:
        problems = [problem for (problem,) in self.rows("PRAGMA integrity_check") if problem != "ok"]
        tables = {name for (name,) in self.rows("SELECT name FROM sqlite_schema")}
        absent = {"stored_events", "tracking"} - tables
        return [
            *((str(self._path), problem) for problem in problems),
            *((name, "there is no such table") for name in sorted(absent)),
        ]

    def skip_to(self, position: int) -> None:
        with self.datastore.transaction(commit=True) as c:
            self._lock_table(c)
            c.execute("SELECT COUNT(*) FROM sqlite_sequence WHERE name='stored_events'")
            if not c.fetchone()[0]:  # nothing was ever stored
                c.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('stored_events', 0)")
            c.execute(
                "UPDATE sqlite_sequence SET seq=? WHERE name='stored_events' AND seq<?", (position, position)
            )
            self._file.check()

    def try_to_write(self, patience: float) -> None:
        from shutil import disk_usage  # takes long, and only who serves looks

        self._file.check()
        if disk_usage(self._path.parent).free < ROOM:
            raise StoreError("the disk is full")
        uri = f"{self._path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                raise StoreError(f"another process has been writing for {patience:g} s") from error

    def _select(self, c: SQLiteCursor, statement: str, values: Sequence[Any] = ()) -> Rows:
        c.execute(statement, values)
        return [tuple(row) for row in c.fetchall()]

    def _execute(self, c: SQLiteCursor, statement: str, values: Sequence[Any]) -> None:
        c.execute(statement, values)

    def _lock_table(self, c: SQLiteCursor) -> None:
        # The library's transactions begin without a lock; a statement that changes no row takes it.
        c.execute("DELETE FROM stored_events WHERE 0")


def _lenient(text: bytes) -> str:
    return text.decode(errors="replace")


def _name(path: Path) -> str:
    """What SQLite is to open, as a URI where it is on a medium on which nothing can be written."""
    path = path.absolute()  # a relative one that begins with "file:" would be taken for a URI
    return f"{path.as_uri()}{_IMMUTABLE}" if _is_immutable(path) else str(path)


def _is_immutable(path: Path) -> bool:
    """Whether nothing can write to a store, and nothing waits beside it to be taken over into it."""
    beside = path.with_name(f"{path.name}-wal")
    return path.exists() and not os.access(path.parent, os.W_OK) and not beside.exists()


def _check(path: Path) -> int | None:
    """The format of a store, ``None`` for an empty one. Raises if it is not one we can use."""
    if path.is_dir():
        raise StoreError("is a directory, not a file", place=str(path), hint="choose another --data DIR")
    if path.exists() and not path.is_file():
        raise StoreError("is no file", place=str(path), hint="choose another --data DIR")
    if not path.exists() or path.stat().st_size == 0:
        return None
    with sqlite_errors(path):
        mode = "immutable=1" if _is_immutable(path) else "mode=ro"
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=recorder.LOCK_TIMEOUT
        )
        try:
            connection.execute("BEGIN")  # one moment for all three: another process may be making it
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (format,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        finally:
            connection.close()
    if application != APPLICATION_ID:
        if tables == 0:
            return None
        raise StoreDamagedError(
            "is a database of another program", place=str(path), hint="choose another --data DIR"
        )
    if format > FORMAT:
        raise StoreVersionError(
            f"was written by a newer version (format {format}, this one knows {FORMAT})",
            place=str(path),
            hint="use that version, or a newer one",
        )
    if format < 1:
        raise StoreDamagedError(
            f"has format {format}, which there never was",
            place=str(path),
            hint="restore it from a backup, or choose another --data DIR and ingest the logs again",
        )
    return int(format)
