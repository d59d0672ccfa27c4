"""The event store on a server: a PostgreSQL database, or a schema of one.

Any number of processes append, each many events in a transaction, under the library's lock of the table. It
lets one after the other in, so positions are committed in their order and a reader that follows them
misses none. Positions are counted in a row of our own: a sequence would leave a hole for each
transaction that failed, and a hole is how ``integrity`` knows that something is gone.

A connection is made when it is needed. One that broke is thrown away, and what it was to do is not
done again: whether a commit that got no answer took place, nobody here can know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from select import POLLIN, poll
from threading import Lock
from typing import Any, Self
from urllib.parse import unquote

import psycopg
from eventsourcing.persistence import OperationalError
from eventsourcing.postgres import PostgresFactory, PostgresProcessRecorder
from eventsourcing.utils import Environment
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import LockNotAvailable
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row, tuple_row

from tracker.errors import StoreDamagedError, StoreError, StoreMissingError, StoreVersionError, UsageError
from tracker.store import recorder
from tracker.store.postgres_errors import postgres_errors
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

PATIENCE = 0.2
"""Seconds after which a listener looks whether it is to stop."""
CONNECT_TIMEOUT = 5
"""Seconds for the server to let us in."""
DEAD_AFTER = 30
"""Seconds without an answer after which a connection is given up."""
STALLED_AFTER = 10
"""Seconds after which the server ends a transaction in which nothing is done: somebody else waits for its lock."""
IDLE = 4
"""Connections kept when nobody needs them."""

Connection = psycopg.Connection[Any]

_EVENTS = """
CREATE TABLE stored_events (
    notification_id bigint PRIMARY KEY,
    originator_id text COLLATE "C" NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    UNIQUE (originator_id, originator_version))
"""
_TABLES = (
    _EVENTS,
    "ALTER TABLE stored_events ALTER COLUMN state SET STATISTICS 0",  # the planner needs none, and they name people
    "CREATE TABLE tracking (application_name text PRIMARY KEY, notification_id bigint NOT NULL)",
    "CREATE INDEX tracking_position ON tracking (notification_id)",
    "CREATE TABLE positions (last bigint NOT NULL)",
    "INSERT INTO positions VALUES (0)",
    (_MARKED := f"COMMENT ON TABLE stored_events IS 'meeting-tracker format {FORMAT}'"),
)
_MARKS = """
SELECT obj_description(oid, 'pg_class') AS mark, pg_has_role(relowner, 'USAGE') AS owned
FROM pg_class WHERE oid = to_regclass('stored_events')
"""
_SESSION = f"""
SET idle_in_transaction_session_timeout = '{STALLED_AFTER}s';
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""
"""To compile a statement takes a hundred times as long as to run it, and what is committed has to be on the disk."""
_MARK = re.compile(r"meeting-tracker format (\d+)")
_LOOK = """
SELECT current_schema(), current_setting('server_encoding'),
    obj_description(to_regclass('stored_events'), 'pg_class'),
    to_regclass('stored_events') IS NOT NULL,
    (SELECT count(*) FROM pg_class AS c WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e'))
"""
_LOCKED = """
SELECT last, ARRAY(SELECT application_name FROM tracking WHERE notification_id = last) AS names, ({newest}) AS newest
FROM positions
"""
"""What a writer has to know that only holds while it has the lock: one answer of the server."""
_NEXT = "UPDATE positions SET last = last + %s"
_NOTIFY = "NOTIFY stored_events"
_INSERT = """
WITH known AS MATERIALIZED (
    SELECT stream, COALESCE((SELECT MAX(originator_version) FROM stored_events WHERE originator_id = stream), 0) AS version
    FROM unnest(%(distinct)b::text[]) AS stream
)
INSERT INTO stored_events (notification_id, originator_id, originator_version, topic, state)
SELECT %(before)s + number, stream, GREATEST(version + nth, least), topic, state
FROM unnest(%(streams)b::text[], %(nths)b::int[], %(leasts)b::bigint[], %(topics)b::text[], %(states)b::bytea[])
    WITH ORDINALITY AS given (stream, nth, least, topic, state, number)
JOIN known USING (stream)
"""
"""Each stream is looked up once, before any row is there: a row of this very statement would only be in the way. Only who
holds the lock may run it, so what is sent is not written as text first (``b``)."""


class PostgreSQL:
    """The database at a URL. Raises ``UsageError`` where that is none, without a word of what is in it."""

    software, fault = "PostgreSQL", ""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        user, at, host = authority.rpartition("@")
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error:
            given = {}
        digits = re.fullmatch(r"[\d,]*", str(given.get("port", "")))
        if not given or not digits or "@" in user or "@" in path.partition("?")[0]:
            raise UsageError(  # what libpq says of it quotes the password
                "--store is no address of a PostgreSQL database",
                hint="write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for @ and %2F for / in a password",
            )
        name = user.partition(":")[0]
        self.place = self.owner = unquote(f"{scheme}://{name}{at}{host}{slash}{path}".partition("?")[0])
        timeout: dict[str, Any] = (
            {} if "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": CONNECT_TIMEOUT}
        )
        kept: dict[str, Any] = {
            "application_name": "tracker",
            "tcp_user_timeout": DEAD_AFTER * 1000,
            "keepalives_idle": DEAD_AFTER,
        }
        self._conninfo = make_conninfo(**{**kept, **timeout, **given, "client_encoding": "UTF8"})
        self._schema = ""

    def check(self, *, create: bool) -> bool:
        with self.errors(), self.connect() as connection:
            row = connection.execute(_LOOK).fetchone()
        schema, encoding, mark, there, tables = (row or {}).values()
        if schema is None:
            raise StoreError(
                "its search_path names no schema", place=self.place, hint="create the schema first"
            )
        self._schema = schema
        if not there:
            if tables:
                raise StoreDamagedError(
                    f"has tables of another program in the schema {schema}",
                    place=self.place,
                    hint="give it a database of its own, or a schema by ?options=-csearch_path%3Dtracker",
                )
            if not create:
                raise StoreMissingError(
                    "there is no store", place=self.place, hint="tracker init-store makes one"
                )
            if encoding != "UTF8":
                hint = "createdb --encoding UTF8 --template template0 NAME"
                raise StoreError(f"is a database in {encoding}, not in UTF8", place=self.place, hint=hint)
            return True
        self._check_mark(mark)
        return False

    def _check_mark(self, mark: str | None) -> None:
        found = _MARK.fullmatch(mark or "")
        if not found:
            raise StoreDamagedError(
                "is a database of another program",
                place=self.place,
                hint="give it a database of its own, or a schema by ?options=-csearch_path%3Dtracker",
            )
        if int(found[1]) > FORMAT:
            raise StoreVersionError(
                f"was written by a newer version (format {found[1]}, this one knows {FORMAT})",
                place=self.place,
                hint="use that version, or a newer one",
            )

    def mark(self) -> None:
        """A server keeps its own log."""

    def factory(self, env: Environment) -> PostgresFactory:
        where = ("DBNAME", "HOST", "USER", "PASSWORD")  # our connections know it already
        env.update({f"POSTGRES_{name}": "" for name in where})
        env.update({"POSTGRES_SCHEMA": self._schema, "POSTGRES_LOCK_TIMEOUT": str(recorder.LOCK_TIMEOUT)})
        env["POSTGRES_ENABLE_DB_FUNCTIONS"] = "no"  # with them, readers miss events
        factory = PostgresFactory(env)
        factory.datastore.pool = _Pool(self)  # type: ignore[assignment]  # as much of one as is used
        return factory

    def recorder(self, factory: PostgresFactory) -> EventRecorder:
        return EventRecorder(factory.datastore, tracking_table_name="tracking")

    def connect(self) -> Connection:
        connection = psycopg.connect(self._conninfo, autocommit=True, row_factory=dict_row)
        try:
            connection.execute(_SESSION)
        except BaseException:
            connection.close()
            raise
        return connection

    def errors(self) -> AbstractContextManager[None]:
        return postgres_errors(self.place)


class _Pool:
    """As much of a pool as the library asks for.

    Its own makes connections in the background: there a wrong password is only seen as a time-out, and after an
    outage it waits the longer the longer that was.
    """

    def __init__(self, database: PostgreSQL) -> None:
        self._database = database
        self._idle: list[Connection] = []
        self._lock = Lock()
        self._closed = False

    def open(self, wait: bool = False, timeout: float = 0) -> None:  # noqa: FBT001, FBT002 - the library's signature
        pass

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        connection = self._take()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def close(self) -> None:
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for connection in idle:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> Connection:
        while self._idle:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is not None and not _has_news(connection):
                return connection
            if connection is not None:
                connection.close()
        return self._database.connect()

    def _give_back(self, connection: Connection) -> None:
        usable = not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            keep = usable and not self._closed and len(self._idle) < IDLE
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()


def _has_news(connection: Connection) -> bool:
    """Whether the server said something though nobody asked: mostly, that it is going away."""
    if connection.closed:
        return True
    watch = poll()
    watch.register(connection.fileno(), POLLIN)
    return bool(watch.poll(0))


class EventRecorder(Recorder, PostgresProcessRecorder):
    state = "state"
    begins = f"substring(state FOR {SOURCE_ENDS})"
    holds = f"position(? IN substring(state FOR {SOURCE_ENDS} + 300)) BETWEEN 1 AND {SOURCE_ENDS}"
    contains = "position(? IN state) > 0"
    is_tracking = "notification_id IS NOT NULL"
    counter = ("positions", "SELECT last FROM positions")
    notifies = True

    def create_table(self) -> None:
        with self.datastore.transaction(commit=True) as c:
            c.execute("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))
            c.execute("SELECT to_regclass('stored_events') IS NULL AS absent")
            row = c.fetchone()
            if row is not None and row["absent"]:
                for statement in _TABLES:
                    c.execute(statement.encode())

    def insert(
        self,
        events: Sequence[Event],
        *,
        read: Sequence[SourcePosition] = (),
        behind: int | None = None,
        newest: Newest | None = None,
    ) -> range:
        """Holds the lock for two exchanges with the server: what is there now, and what is stored behind it."""
        columns = _columns(events)
        with self.datastore.get_connection() as connection, connection.pipeline(), connection.transaction():
            c = connection.cursor()
            with connection.pipeline():
                self._lock_table(c)
                before, names, state = self._at_the_end(c, newest)
            self._raise_format(c)
            self._look(c, read, behind)
            for one in read:
                if not self._replaced(c, one):
                    self._insert_tracking(c, one.tracking)
            if newest is not None:
                events = newest.forward(state, events)
            events = self.prepare(events)
            if events:
                states = [state for *_, state in events]
                c.execute(_NEXT, (len(states),))
                c.execute(_INSERT, {**columns, "states": states, "before": before})
                self._add_digests(c, events, before + 1, names)
                c.execute(_NOTIFY)
        self._has_format = True
        return range(before + 1, before + 1 + len(events))

    def _at_the_end(self, c: Any, newest: Newest | None) -> tuple[int, list[object], bytes | None]:
        """The last position, the names at it, and the newest state that is asked for."""
        statement, values = ("NULL", ()) if newest is None else self.newest(newest.holds, newest.after)
        return self._select(c, _LOCKED.format(newest=statement), values)[0]

    def _raise_format(self, c: Any) -> None:
        """Says in the database that states of the newest format may be in it, where that is ours to say."""
        if self._has_format:
            return
        row = c.execute(_MARKS).fetchone()
        found = _MARK.fullmatch(row["mark"] or "") if row and row["owned"] else None
        if found is not None and int(found[1]) < FORMAT:
            c.execute(_MARKED)

    def clean(self) -> str:
        with self.datastore.get_connection() as connection:
            row = connection.execute(_MARKS).fetchone()
            if row is None or not row["owned"]:
                return "its owner has to run VACUUM (FULL, ANALYZE) stored_events"
            connection.execute(
                "VACUUM (FULL, ANALYZE) stored_events, tracking"
            )  # statistics of before name people
        return ""

    def at_once(self, *statements: tuple[str, Sequence[Any]]) -> list[Rows]:
        with self.datastore.transaction(commit=False) as c:
            if len(statements) > 1:
                c.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return [self._select(c, *statement) for statement in statements]

    def damage(self) -> Rows:
        rows = self.rows(
            "SELECT name FROM unnest(?::text[]) AS name WHERE to_regclass(name) IS NULL",
            (["stored_events", "tracking", "positions"],),
        )
        return [(name, "there is no such table") for (name,) in rows]

    def skip_to(self, position: int) -> None:
        with self.datastore.transaction(commit=True) as c:
            self._lock_table(c)
            c.execute("UPDATE positions SET last = GREATEST(last, %s)", (position,))

    def try_to_write(self, patience: float) -> None:
        try:
            with self.datastore.transaction(commit=False) as c:
                c.execute(f"SET LOCAL lock_timeout = '{patience * 1000:.0f}ms'".encode())
                c.execute("LOCK TABLE stored_events IN EXCLUSIVE MODE")
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            raise StoreError(f"another process has been writing for {patience:g} s") from error

    def listen(self, on_commit: Callable[[], None], stopping: Callable[[], bool]) -> None:
        with self.datastore.get_connection() as connection:
            try:
                connection.execute("LISTEN stored_events")
                while not stopping():
                    for _ in connection.notifies(timeout=PATIENCE, stop_after=1):
                        on_commit()
            finally:
                connection.close()  # whoever gets it from the pool next must not be notified

    def _select(self, c: Any, statement: str, values: Sequence[Any] = ()) -> Rows:
        with c.connection.cursor(row_factory=tuple_row) as cursor:
            found: Rows = cursor.execute(statement.replace("?", "%s").encode(), values).fetchall()
        return found

    def _execute(self, c: Any, statement: str, values: Sequence[Any]) -> None:
        c.execute(statement.replace("?", "%s").encode(), values)


def _columns(events: Sequence[Event]) -> dict[str, list[Any]]:
    """What is sent of events beside their states, in columns; ``nths`` are the places in a stream among them, from 1;
    a version is ``leasts`` at least: a copy of what was pruned has no events before it."""
    count: dict[str, int] = {}
    nths = []
    for stream, *_ in events:
        count[stream] = nth = count.get(stream, 0) + 1
        nths.append(nth)
    return {
        "streams": [stream for stream, *_ in events],
        "topics": [topic for *_, topic, _ in events],
        "nths": nths,
        "leasts": [version for _, version, *_ in events],
        "distinct": list(count),
    }
