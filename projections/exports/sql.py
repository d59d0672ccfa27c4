"""SQL over what the tracker holds, by DuckDB: the read models, the events, and an archive.

DuckDB opens SQLite files by an extension that it downloads, which a machine without access to the Internet cannot do; and
the events may lie in PostgreSQL. So nothing is attached: the tables that a query names are copied into a database in a
temporary directory, each when DuckDB says that it does not know it. The store can therefore not be changed, whatever the
query says, and a time is a time there, not text.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import attrs
import duckdb
import pyarrow as pa

from projections.ending import cleared_by_sigterm
from projections.exports.new_file import new_file
from projections.read_models import Row
from projections.views.database import SQL_VIEWS, TABLES
from tracker.delivery.envelope import isoformat
from tracker.delivery.webhook import Delivery
from tracker.errors import UsageError, did_you_mean
from tracker.store.application import Tracker

BATCH = 20_000
"""Rows that are copied, or fetched, at once."""
EVENTS = {
    "position": "BIGINT",
    "received_at": "TIMESTAMPTZ",
    "stream": "VARCHAR",
    "type": "VARCHAR",
    "session_id": "VARCHAR",
    "meeting_id": "VARCHAR",
    "account": "VARCHAR",
    "source": "VARCHAR",
    "verified_by": "VARCHAR",
    "data": "JSON",
    "body": "VARCHAR",
}
"""The columns of ``events``, the deliveries as they came; ``data`` is that of the webhook, ``{}`` where there is none."""
ARCHIVE = "archive"
NAMES = (*(table.name for table in TABLES), *SQL_VIEWS, "events")
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.CREATE)
"""Statements that change nothing but the database in the temporary directory."""
_TYPES = {"INTEGER": "BIGINT", "FLOAT": "DOUBLE", "REAL": "DOUBLE"}
_SHOW = re.compile(r"\s*SHOW\s+TABLES\s*;?\s*", re.IGNORECASE)
_UNKNOWN = re.compile(r'Table with name "?(\w+)"? does not exist')


@attrs.frozen
class Answer:
    """What a query gave: the names of the columns, and DuckDB's result."""

    columns: tuple[str, ...]
    result: duckdb.DuckDBPyConnection

    def rows(self) -> Iterator[dict[str, Any]]:
        """Row by row; a time is ISO 8601 in UTC."""
        while some := self.result.fetchmany(BATCH):
            yield from (dict(zip(self.columns, map(_plain, row), strict=True)) for row in some)


@contextmanager
def asked(
    query: str,
    views: sqlite3.Connection,
    tracker: Tracker,
    archive: Path | None = None,
    out: Path | None = None,
) -> Iterator[Answer]:
    """The answer to the last statement of a query; with ``out`` it is written to that file, as Parquet.

    Raises ``UsageError`` where DuckDB does not understand it, or the file is there already.
    """
    with (
        cleared_by_sigterm(),
        TemporaryDirectory(prefix="tracker-sql-") as scratch,
        closing(duckdb.connect(str(Path(scratch, "tables.duckdb")))) as db,
        new_file(out) if out is not None else nullcontext() as file,
    ):
        db.execute("SET python_enable_replacements = false")  # no name is one of a variable here
        db.execute("SET TimeZone = 'UTC'")
        db.execute("SET autoinstall_known_extensions = false")  # nothing is downloaded
        tables = _Tables(db, views, tracker, archive)
        with _errors(tables):
            statements = _statements(db, query, file, tables.names)
            views.execute("BEGIN")  # all tables are of one moment
            try:
                for statement in statements:
                    tables.execute(statement)
            finally:
                views.execute("ROLLBACK")  # the follower waits
            yield Answer(_unique(column[0] for column in db.description or ()), db)


def _statements(
    db: duckdb.DuckDBPyConnection, query: str, file: Path | None, names: Iterable[str]
) -> list[str]:
    """The statements of a query, the last of which writes to the file; ``SHOW TABLES`` shows the ``names`` too.

    Raises ``UsageError`` where there is none, or where one does more than read: ``COPY``, ``ATTACH`` and ``EXPLAIN
    ANALYZE`` could write over the store.
    """
    statements = db.extract_statements(query)
    if not statements:
        raise UsageError("the query is empty", hint='tracker sql "SELECT * FROM sessions LIMIT 5"')
    for one in statements:
        if one.type not in _READING:
            kind = str(one.type).rpartition(".")[2].replace("_", " ")
            raise UsageError(
                f"{kind} is not allowed, only SELECT and CREATE",
                place="the query",
                hint="--format parquet --out FILE writes what a SELECT gives",
            )
    found = [_shown(names) if _SHOW.fullmatch(one.query) else one.query for one in statements]
    if file is not None:
        found[-1] = f"COPY ({found[-1].rstrip('; ')}\n) TO {_quoted(str(file))} (FORMAT parquet)"
    return found


def _shown(names: Iterable[str]) -> str:
    """What shows all tables that may be named, though they are made only then, and those that the query has made."""
    known = ", ".join(map(_quoted, names))
    return (
        f"SELECT name FROM (SELECT unnest([{known}]) AS name UNION SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'main') ORDER BY name"
    )


@attrs.define
class _Tables:
    """The tables that may be asked for; each is made when it is missing."""

    db: duckdb.DuckDBPyConnection
    views: sqlite3.Connection
    tracker: Tracker
    archive: Path | None
    made: set[str] = attrs.field(factory=set)

    @property
    def names(self) -> tuple[str, ...]:
        return (*NAMES, *([ARCHIVE] if self.archive is not None else []))

    def execute(self, statement: str) -> None:
        """A statement is bound before anything of it is done, so it can be tried again."""
        while True:
            try:
                self.db.execute(statement)
                return
            except duckdb.CatalogException as error:
                missing = _UNKNOWN.search(str(error))
                name = missing[1].lower() if missing else ""
                if name not in self.names or name in self.made:
                    raise
                self._make(name)

    def _make(self, name: str) -> None:
        self.made.add(name)
        if name == "events":
            self._copy(name, EVENTS, map(_event, self.tracker.deliveries()))
        elif name == ARCHIVE:
            self.db.execute(
                "CREATE VIEW archive AS SELECT * REPLACE (decode(line) AS line) FROM "
                f"read_parquet({_quoted(f'{self.archive}/**/*.parquet')}, hive_partitioning = true)"
            )
        else:
            columns = {
                column: "TIMESTAMPTZ"
                if column == "at" or column.endswith("_at")
                else _TYPES.get(kind, "VARCHAR")
                for _, column, kind, *_ in self.views.execute(f"PRAGMA table_info({name})").fetchall()
            }
            self._copy(name, columns, self.views.execute(f"SELECT * FROM {name}"))

    def _copy(self, name: str, columns: dict[str, str], rows: Iterable[Row]) -> None:
        declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        self.db.execute(f"CREATE TABLE {name} ({declared})")
        there = iter(rows)
        while some := list(islice(there, BATCH)):
            batch = dict(zip(columns, map(pa.array, zip(*some, strict=True)), strict=True))
            self.db.register("batch", pa.table(batch))
            self.db.execute(f"INSERT INTO {name} SELECT * FROM batch")
            self.db.unregister("batch")


def _event(one: Delivery) -> Row:
    received = one.received
    return (
        one.position,
        one.received_at,
        one.stream,
        one.type,
        one.session_id,
        one.meeting_id,
        received.account,
        received.source,
        received.verified_by,
        one.data.decode(errors="replace"),
        received.body.decode(errors="replace"),
    )


@contextmanager
def _errors(tables: _Tables) -> Iterator[None]:
    """Turns what DuckDB complains of into an error with a hint."""
    try:
        yield
    except duckdb.Error as error:
        said, _, place = str(error).partition("\n\n")
        missing = _UNKNOWN.search(said)
        hint = place.splitlines()[0] if place else "it is the SQL of DuckDB: https://duckdb.org/docs/sql"
        if missing and missing[1].lower() not in tables.made:
            near = did_you_mean(missing[1], tables.names)
            said, hint = f"there is no table {missing[1]}", near or f"the tables are {', '.join(tables.names)}"
        raise UsageError(said.replace("\n", " "), place="the query", hint=hint) from error


def _plain(value: Any) -> Any:
    """A value as it is printed; what is nested is left as it is."""
    if isinstance(value, datetime):
        return isoformat(value) if value.tzinfo is not None else value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, timedelta | UUID) else value


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    """Names of columns; one that was there before gets a number."""
    found: dict[str, None] = {}
    for name in names:
        other, number = name, 1
        while other in found:
            number += 1
            other = f"{name}_{number}"
        found[other] = None
    return tuple(found)


def _quoted(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
