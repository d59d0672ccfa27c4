"""The event store: every delivery, in the order in which it was stored.

One stream per session (``originator_id`` is the session's id), so one read gives a session in
order and its state at any moment is folded from that. The library's ``Application`` carries it;
this file is the only one that knows how its recorder works inside.

A stored event's topic is the webhook type; its state is ``tracker.envelope``'s line. The version is
the place in the stream, from 1, and is computed inside the write transaction: a delivery reports
what has happened, so two writers never contradict each other and nothing needs to be loaded first.
The write lock is taken before the versions are read; taken later, SQLite would refuse it.

A delivery belongs where it is stored. What is read may say otherwise, because somebody changed it or
because a newer program reads it differently; ``integrity`` names it, and all others go by the stream.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast

import attrs
from eventsourcing.application import Application
from eventsourcing.persistence import (
    Mapper,
    Notification,
    PersistenceError,
    StoredEvent,
    Tracking,
)
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteFactory,
    SQLiteProcessRecorder,
)

from tracker import envelope
from tracker.envelope import Received
from tracker.errors import NotFoundError, StoreDamagedError, StoreError, StoreMissingError, StoreVersionError
from tracker.rules import Rules
from tracker.session import Session, conclude, fold
from tracker.values import frozen
from tracker.webhook import UNKNOWN_TYPE, UNROUTED, Delivery, parse

FORMAT = 1
"""The version of the file; a higher one was written by a newer program."""
APPLICATION_ID = 0x4D545354
"""What marks an SQLite file as ours: "MTST"."""
EVENTS_DB = "events.db"
PAGE = 1000
LOCK_TIMEOUT = 60
"""Seconds to wait for another process that writes."""

_COPY = "check its permissions; of a read-only medium, copy the directory and give the copy as --data DIR"
_DAMAGE = ("not a database", "malformed", "no such", "Could not decode", "unsupported file format")
"""Words in what SQLite complains of when the file is not what was written."""
_IS_TRACKING = "typeof(application_name) = 'text' AND typeof(notification_id) = 'integer'"
_STATE = "CASE typeof(state) WHEN 'text' THEN CAST(state AS BLOB) ELSE state END"

Upcaster = Callable[[bytes], bytes]
UPCASTERS: tuple[Upcaster, ...] = ()
"""The oldest first. Each turns a state of its format into the next one's and leaves newer ones alone,
for a file that a newer program goes on with holds states of several formats."""


@frozen
class WebhookReceived:
    """The one domain event: a webhook was received. Everything else is derived from it."""

    originator_id: str
    originator_version: int
    topic: str
    received: Received


@attrs.frozen
class Seen:
    """The names, of this prefix and with positions in ``(after, up_to]``, that a writer knows of."""

    prefix: str
    after: int
    up_to: int
    names: frozenset[str]


class ConcurrentReadError(Exception):
    """Another process has read from this source since the writer looked."""


class EnvelopeMapper(Mapper[str]):
    """Between ``WebhookReceived`` and what is stored; knows the old formats so that nobody else must."""

    def __init__(self) -> None:
        """Needs neither transcoder nor cipher: the state is a line of text."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        event = domain_event
        return self.stored(event.originator_id, event.originator_version, event.topic, event.received)

    def stored(self, stream: str, version: int, topic: str, received: Received) -> StoredEvent:
        return StoredEvent(stream, version, topic, envelope.encode(received))

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        received = self.to_received(stored_event.state)
        return WebhookReceived(
            str(stored_event.originator_id), stored_event.originator_version, stored_event.topic, received
        )

    def to_received(self, state: bytes) -> Received:
        for upcast in UPCASTERS:
            state = upcast(state)
        return envelope.decode(state)


class _Pool(SQLiteConnectionPool):
    def _create_connection(self) -> SQLiteConnection:
        connection = self._connect()
        connection._sqlite_conn.text_factory = _lenient  # noqa: SLF001 - the library has no name for it
        connection.cursor().execute("PRAGMA synchronous=FULL")
        return connection

    def _connect(self) -> SQLiteConnection:
        """Tries again while others make the same store: where two switch to WAL, SQLite waits for neither."""
        deadline = monotonic() + LOCK_TIMEOUT
        while True:
            try:
                return super()._create_connection()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or monotonic() > deadline:
                    raise
                sleep(0.01)


class EventRecorder(SQLiteProcessRecorder):
    """The library's recorder with positions that are never used twice, and versions of our own."""

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

    def _create_table(self, c: SQLiteCursor) -> None:
        c.execute(f"PRAGMA application_id={APPLICATION_ID}")  # takes the write lock
        c.execute("SELECT COUNT(*) FROM sqlite_schema WHERE name='stored_events'")
        if not c.fetchone()[0]:  # no other process has made it since we looked
            c.execute(f"PRAGMA user_version={FORMAT}")
            super()._create_table(c)

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        self._lock(c)
        if kwargs.get("seen") is not None:
            self._compare(c, kwargs["seen"])
        if kwargs.get("tracking") is not None:
            self._insert_tracking(c, kwargs["tracking"])
        versions: dict[str, int] = {}
        rows = []
        for event in stored_events:
            stream = str(event.originator_id)
            if stream not in versions:
                c.execute("SELECT MAX(originator_version) FROM stored_events WHERE originator_id=?", (stream,))
                versions[stream] = c.fetchone()[0] or 0
            versions[stream] += 1
            rows.append((stream, versions[stream], event.topic, event.state))
        c.executemany(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (?,?,?,?)",
            rows,
        )
        # We hold the only write lock, so the positions of these rows follow each other.
        c.execute("SELECT last_insert_rowid()")
        last = c.fetchone()[0] if rows else 0
        return range(last - len(rows) + 1, last + 1)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        conditions, values = ["1"], list[Any]()
        if start is not None:
            conditions.append("notification_id>=?" if inclusive_of_start else "notification_id>?")
            values.append(start)
        if stop is not None:
            conditions.append("notification_id<=?")
            values.append(stop)
        if topics:
            conditions.append(f"topic IN ({','.join('?' * len(topics))})")
            values.extend(topics)
        rows = self.rows(
            f"SELECT originator_id, originator_version, topic, {_STATE}, notification_id FROM stored_events "
            f"WHERE {' AND '.join(conditions)} ORDER BY notification_id LIMIT ?",
            (*values, limit),
        )
        return [Notification(*row) for row in rows]

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT gives."""
        return self.at_once((statement, values))[0]

    def at_once(self, *statements: tuple[str, Sequence[Any]]) -> list[list[tuple[Any, ...]]]:
        """What several SELECTs give at one moment."""
        found = []
        with self.datastore.transaction(commit=False) as c:
            for statement, values in statements:
                c.execute(statement, values)
                found.append([tuple(row) for row in c.fetchall()])
        return found

    def _compare(self, c: SQLiteCursor, seen: Seen) -> None:
        c.execute(
            "SELECT application_name FROM tracking WHERE notification_id > ? AND notification_id <= ? "
            f"AND {_IS_TRACKING}",
            (seen.after, seen.up_to),
        )
        names = {row[0] for row in c.fetchall() if row[0].startswith(seen.prefix)}
        if names != seen.names:
            raise ConcurrentReadError

    def _lock(self, c: SQLiteCursor) -> None:
        # The library's transactions begin without a lock; a statement that changes no row takes it.
        c.execute("DELETE FROM stored_events WHERE 0")


class Tracker(Application[str]):
    """The event store of one data directory.

    ``Tracker.open(path)`` opens it; ``create=True`` makes it where there is none. Raises
    ``StoreMissingError``, ``StoreVersionError``, ``StoreDamagedError`` or ``StoreError``.
    """

    name = "tracker"

    @classmethod
    def open(cls, data: Path, *, create: bool = False) -> Tracker:
        path = data / EVENTS_DB
        if data.exists() and not data.is_dir():
            raise StoreError("is a file, not a directory", place=str(data), hint="choose another --data DIR")
        if create:
            _make_directory(data)
            if _is_immutable(path):
                raise StoreError("cannot be written", place=str(path), hint=_COPY)
        stored = _check(path)
        if not create and not path.exists():
            raise StoreMissingError(
                "there is no store",
                place=str(path),
                hint="tracker ingest LOG makes one; --data DIR or TRACKER_DATA names another",
            )
        if not create and stored is None:
            raise StoreDamagedError("is empty", place=str(path), hint="tracker ingest LOG fills it")
        with store_errors(path):
            return cls(
                {
                    "PERSISTENCE_MODULE": "eventsourcing.sqlite",
                    "SQLITE_DBNAME": _name(path),
                    "SQLITE_LOCK_TIMEOUT": str(LOCK_TIMEOUT),
                    "ORIGINATOR_ID_TYPE": "text",
                    "CREATE_TABLE": "y" if create and stored is None else "n",
                },
                path,
            )

    def __init__(self, env: dict[str, str], path: Path) -> None:
        self.path = path
        super().__init__(env)

    def construct_factory(self, env: Any) -> Any:
        factory = SQLiteFactory(env)
        pool = factory.datastore.pool
        factory.datastore.pool = _Pool(db_name=pool.db_name, lock_timeout=pool.lock_timeout)
        pool.close()
        return factory

    def construct_mapper(self) -> Mapper[str]:
        return EnvelopeMapper()

    def construct_recorder(self) -> EventRecorder:
        recorder = EventRecorder(self.factory.datastore)  # type: ignore[attr-defined]  # it is an SQLiteFactory
        if self.env["CREATE_TABLE"] == "y":
            recorder.create_table()
        return recorder

    def append(
        self, deliveries: Iterable[Delivery], tracking: Tracking | None = None, seen: Seen | None = None
    ) -> Sequence[int]:
        """Stores deliveries in one transaction; returns their positions.

        With ``tracking``, the position in a source is recorded in the same transaction. Raises
        ``ConcurrentReadError``, and stores nothing, when the source positions are not as ``seen``.
        """
        assert isinstance(self.mapper, EnvelopeMapper)
        stored = [self.mapper.stored(one.stream, 0, one.topic, one.received) for one in deliveries]
        with store_errors(self.path):
            return self.recorder.insert_events(stored, tracking=tracking, seen=seen) or ()

    def history(self, stream: str, *, at: int | None = None, lte: int | None = None) -> Iterator[Delivery]:
        """The deliveries of a stream in order, up to the position ``at`` or the version ``lte``."""
        conditions, values = ["originator_id=?"], list[Any]([stream])
        for condition, value in (("notification_id<=?", at), ("originator_version<=?", lte)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        yield from self._deliveries(" AND ".join(conditions), values, "originator_version")

    def unrouted(self, stream: str = UNROUTED) -> Iterator[Delivery]:
        """The deliveries of all streams whose name begins with ``stream``, by position."""
        yield from self._deliveries(
            "originator_id>=? AND originator_id<?",
            [stream, stream[:-1] + chr(ord(stream[-1]) + 1)],
            "notification_id",
        )

    def page(self, after: int, limit: int = PAGE, stop: int | None = None) -> list[tuple[Delivery, int]]:
        """Deliveries behind a position, each with its version in its stream."""
        with store_errors(self.path):
            found = self.recorder.select_notifications(after, limit, stop, inclusive_of_start=False)
        return [
            (
                self._delivery(event.id, event.originator_id, event.originator_version, event.state),
                event.originator_version,
            )
            for event in found
        ]

    def deliveries(self, stop: int | None = None) -> Iterator[Delivery]:
        """All deliveries by position, up to ``stop``."""
        after = 0
        while page := self.page(after, stop=stop):
            for delivery, _ in page:
                yield delivery
            after = page[-1][0].position

    def status(
        self,
        stream: str,
        *,
        as_of: datetime | None = None,
        at: int | None = None,
        rules: Rules | None = None,
    ) -> Session:
        """A session folded from its stream: now, at a moment, or right after a position.

        ``as_of`` leaves out what was received later and lets the deadlines up to it pass. Raises
        ``NotFoundError`` if nothing of the session is stored, or was by then.
        """
        rules = rules or Rules()
        heard = (
            delivery
            for delivery in self.history(stream, at=at)
            if as_of is None or delivery.received_at is None or delivery.received_at <= as_of
        )
        session = fold(heard, rules)
        if session is None:
            known = any(True for _ in self.history(stream))
            told = "nothing was known of it by then" if known else "nothing is stored of it"
            raise NotFoundError(told, place=stream, hint="tracker sessions lists what is there")
        return conclude(session, as_of if as_of is not None else session.last_seen_at, rules)

    def last_position(self) -> int:
        """The position of the newest delivery, 0 if there is none."""
        return self._value("SELECT MAX(notification_id) FROM stored_events") or 0

    def newest_from(self, source: str) -> datetime | None:
        """The receive time of the last delivery from a source."""
        assert isinstance(self.mapper, EnvelopeMapper)
        with store_errors(self.path):
            states = self._recorder.rows(
                f"SELECT {_STATE} FROM stored_events WHERE instr(state, ?) ORDER BY notification_id DESC LIMIT {PAGE}",
                (source,),
            )
        found = (self.mapper.to_received(state) for (state,) in states if isinstance(state, bytes))
        return next((one.received_at for one in found if one.source == source and one.received_at), None)

    def digest(self, position: int) -> str:
        """What tells the event at this position from any other; empty where there is none."""
        with store_errors(self.path):
            rows = self._recorder.rows(
                f"SELECT originator_id, originator_version, {_STATE} FROM stored_events WHERE notification_id=?",
                (position,),
            )
        return blake2b(repr(rows[0]).encode(), digest_size=16).hexdigest() if rows else ""

    def count(self) -> int:
        return self._value("SELECT COUNT(*) FROM stored_events") or 0

    def trackings(self, prefix: str) -> list[tuple[str, int]]:
        """Recorded source positions whose name begins with ``prefix``."""
        with store_errors(self.path):
            return [
                (str(name), int(position))
                for name, position in self._recorder.rows(
                    "SELECT application_name, notification_id FROM tracking WHERE application_name LIKE ? "
                    f"AND {_IS_TRACKING}",
                    (prefix + "%",),
                )
            ]

    def integrity(self) -> Iterator[tuple[str, str]]:
        """What the file contradicts: (place, problem). Nothing if it is sound."""
        for look in (self._damage, self._out_of_order, self._misread):
            try:
                with store_errors(self.path):
                    yield from look()
            except StoreError as error:
                yield str(self.path), error.message

    def _damage(self) -> Iterator[tuple[str, str]]:
        for (problem,) in self._recorder.rows("PRAGMA integrity_check"):
            if problem != "ok":
                yield str(self.path), problem
        tables = {name for (name,) in self._recorder.rows("SELECT name FROM sqlite_schema")}
        for name in ("stored_events", "tracking"):
            if name not in tables:
                yield name, "there is no such table"
        if "tracking" in tables:
            for name, position in self._recorder.rows(
                f"SELECT application_name, notification_id FROM tracking WHERE NOT ({_IS_TRACKING})"
            ):
                yield f"tracking {name}", f"it says that it was read up to line {position!r}"

    def _out_of_order(self) -> Iterator[tuple[str, str]]:
        in_order = (
            "SELECT notification_id, originator_id, originator_version, originator_version = "
            "ROW_NUMBER() OVER (PARTITION BY originator_id ORDER BY notification_id) "
            "FROM stored_events ORDER BY notification_id"
        )
        given = "SELECT seq FROM sqlite_sequence WHERE name='stored_events'"
        events, counter = self._recorder.at_once((in_order, ()), (given, ()))
        expected = 1
        for position, stream, version, follows in events:
            if position != expected:
                yield f"position {expected}", f"a hole: the next position is {position}"
            if not follows:
                yield f"position {position}", f"version {version} of {stream} is out of order"
            expected = position + 1
        last = counter[0][0] if counter else 0
        if isinstance(last, int) and last >= expected:
            yield f"position {expected}", f"a hole at the end: position {last} had been given"
        elif last != expected - 1:
            yield (
                "sqlite_sequence",
                f"the last position given is {last!r}, the last one there is {expected - 1}",
            )

    def _misread(self) -> Iterator[tuple[str, str]]:
        """Events that say something else than where and as what they are stored."""
        assert isinstance(self.mapper, EnvelopeMapper)
        after, last = 0, self.last_position()
        while found := self.recorder.select_notifications(after, PAGE, last, inclusive_of_start=False):
            for event in found:
                place, state = f"position {event.id}", cast(object, event.state)
                if not isinstance(state, bytes):
                    yield place, f"its state is {state!r}, which is no text"
                    continue
                delivery = parse(self.mapper.to_received(state), event.id)
                if delivery.stream != event.originator_id:
                    yield place, f"stored in {event.originator_id}, belongs to {delivery.stream}"
                if delivery.topic != event.topic:
                    yield place, f"stored as {event.topic}, is {delivery.topic}"
            after = found[-1].id

    @property
    def _recorder(self) -> EventRecorder:
        assert isinstance(self.recorder, EventRecorder)
        return self.recorder

    def _delivery(self, position: int, stream: Any, version: Any, state: Any) -> Delivery:
        assert isinstance(self.mapper, EnvelopeMapper)
        if not (isinstance(stream, str) and isinstance(version, int) and isinstance(state, bytes)):
            raise StoreDamagedError(
                f"the event at position {position} is damaged",
                place=str(self.path),
                hint="restore it from a backup; tracker verify names every such place",
            )
        delivery = parse(self.mapper.to_received(state), position)
        if delivery.stream != stream:
            _put_back(delivery, stream)
        return delivery

    def _deliveries(self, condition: str, values: list[Any], order: str) -> Iterator[Delivery]:
        """Page by page, for a stream may be as long as the store."""
        after: Any = -1
        while True:
            with store_errors(self.path):
                rows = self._recorder.rows(
                    f"SELECT notification_id, originator_id, originator_version, {_STATE}, {order} "
                    f"FROM stored_events WHERE {condition} AND {order} > ? ORDER BY {order} LIMIT {PAGE}",
                    (*values, after),
                )
            for *event, _ in rows:
                yield self._delivery(*event)
            if len(rows) < PAGE:
                return
            after = rows[-1][-1]

    def _value(self, statement: str) -> Any:
        with store_errors(self.path):
            rows = self._recorder.rows(statement)
        return rows[0][0] if rows else None


def _put_back(delivery: Delivery, stream: str) -> None:
    """Makes a delivery one of the stream that it is stored in."""
    is_session = not stream.startswith((UNROUTED, "resource:"))
    delivery.stream, delivery.session_id = stream, stream if is_session else None
    if stream.startswith(UNROUTED) and delivery.lifecycle is not None:
        delivery.lifecycle, delivery.step, delivery.unrouted = None, None, UNKNOWN_TYPE
        delivery.problem = f"{delivery.topic} was not a known type when it was stored"


def _lenient(text: bytes) -> str:
    return text.decode(errors="replace")


def _name(path: Path) -> str:
    """What SQLite is to open, as a URI where it is on a medium on which nothing can be written."""
    path = path.absolute()  # a relative one that begins with "file:" would be taken for a URI
    return f"{path.as_uri()}?immutable=1" if _is_immutable(path) else str(path)


def _is_immutable(path: Path) -> bool:
    """Whether nothing can write to a store, and nothing waits beside it to be taken over into it."""
    beside = path.with_name(f"{path.name}-wal")
    return path.exists() and not os.access(path.parent, os.W_OK) and not beside.exists()


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turns what the database complains of into an error that says what to do."""
    try:
        yield
    except (PersistenceError, sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise store_error(path, error) from error


def store_error(path: Path, error: Exception) -> StoreError:
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
            f"another process has been writing for {LOCK_TIMEOUT} s",
            place=place,
            hint="wait for it, or stop it",
        )
    if "readonly" in reason or "read-only" in reason.lower() or isinstance(error, PermissionError):
        return StoreError("cannot be written", place=place, hint=_COPY)
    garbled = isinstance(error, UnicodeDecodeError)  # other bytes where SQLite keeps names
    if garbled or any(words in reason for words in _DAMAGE):
        return StoreDamagedError(
            "is not a store of this program, or is damaged",
            place=place,
            hint="restore it from a backup, or choose another --data DIR and ingest the logs again",
        )
    if "unable to open" in reason:
        return StoreError("cannot be opened", place=place, hint=_COPY)
    return StoreError(reason, place=place, hint="tracker verify checks the store")


def _make_directory(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot be made: {error.strerror}", place=str(data), hint="choose another --data DIR"
        ) from error


def _check(path: Path) -> int | None:
    """The format of a store, ``None`` for an empty one. Raises if it is not one we can use."""
    if path.is_dir():
        raise StoreError("is a directory, not a file", place=str(path), hint="choose another --data DIR")
    if path.exists() and not path.is_file():
        raise StoreError("is no file", place=str(path), hint="choose another --data DIR")
    if not path.exists() or path.stat().st_size == 0:
        return None
    with store_errors(path):
        mode = "immutable=1" if _is_immutable(path) else "mode=ro"
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=LOCK_TIMEOUT)
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
            hint="upgrade: pip install --upgrade meeting-tracker",
        )
    if format < 1:
        raise StoreDamagedError(
            f"has format {format}, which there never was",
            place=str(path),
            hint="restore it from a backup, or choose another --data DIR and ingest the logs again",
        )
    return int(format)
