"""The read models, one file each: the table, its rows, its queries.

They hold what needs an index across sessions, and they are outputs only: whoever wants to know
more of one session folds its stream. All of ``views.db`` can be thrown away at any time.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tracker.delivery.envelope import isoformat, parse_time
from tracker.delivery.webhook import UNROUTED
from tracker.judging.state import Session

if TYPE_CHECKING:
    from sqlite_utils import Database

Row = tuple[Any, ...]
Values = Sequence[Any] | Mapping[str, Any]
_quote = msgspec.json.Encoder().encode


class Table(msgspec.Struct, frozen=True):
    """A table of ``views.db``, filled with ``rows`` of each session (or other stream) anew."""

    name: str
    columns: Mapping[str, type]
    pk: tuple[str, ...]
    rows: Callable[[Session], Iterator[Row]] | None = None
    foreign_keys: tuple[tuple[str, str, str], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    """For whoever reads: a file that is made anew gets them when its rows are there."""
    followed_by: tuple[tuple[str, ...], ...] = ()
    """Indexes by which the follower finds rows while it writes them."""
    owner: str = "stream"
    """The column that holds the stream, by which its rows are replaced."""

    def create(self, db: Database) -> None:
        """Makes the table and the indexes that the follower needs."""
        table = db.table(self.name)
        table.create(
            dict(self.columns),
            pk=self.pk[0] if len(self.pk) == 1 else self.pk,
            foreign_keys=self.foreign_keys,
        )
        for columns in self.followed_by:
            table.create_index(columns)

    def create_indexes(self, db: Database) -> None:
        """Makes the others."""
        for columns in self.indexes:
            db.table(self.name).create_index(columns)

    @property
    def insert(self) -> str:
        marks = ",".join("?" * len(self.columns))
        return f"INSERT INTO {self.name} ({','.join(self.columns)}) VALUES ({marks})"


def tables_of(connection: sqlite3.Connection) -> Database:
    """What makes tables in a file."""
    from sqlite_utils import Database  # importing it takes long, and a file is made once

    return Database(connection, execute_plugins=False)  # looking for plugins takes long


def make_tables(connection: sqlite3.Connection, tables: Iterable[Table]) -> None:
    """Makes the tables of a file that is kept beside the read models, with their indexes."""
    db = tables_of(connection)
    for table in tables:
        pk = table.pk[0] if len(table.pk) == 1 else table.pk
        connection.execute(db.create_table_sql(table.name, dict(table.columns), pk=pk))
        for columns in table.indexes:
            connection.execute(
                f"CREATE INDEX {table.name}_{'_'.join(columns)} ON {table.name} ({', '.join(columns)})"
            )


class ReadModels:
    """A file of read models, to be asked in SQL."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.conn = connection

    def execute(self, query: str, values: Values = ()) -> sqlite3.Cursor:
        """The rows as they are."""
        return self.conn.execute(query, values)

    def query(self, query: str, values: Values = ()) -> Iterator[dict[str, Any]]:
        """The rows by the names of their columns."""
        found = self.conn.execute(query, values)
        names = [name for name, *_ in found.description]
        return (dict(zip(names, row, strict=True)) for row in found)


def text(time: datetime | None) -> str | None:
    """A time as the read models hold it: of one width, so that text sorts as time does."""
    if time is None:
        return None
    written = _quote(time if time.tzinfo is UTC else time.astimezone(UTC)).decode()
    return written[1:-1] if time.microsecond else f"{written[1:-2]}.000000Z"


def short(stored: str | None) -> str | None:
    """A stored time as it is written everywhere else."""
    time = parse_time(stored) if stored else None
    return None if time is None else isoformat(time)


def is_one_of(column: str, words: Iterable[str]) -> str:
    """A condition for words of the declarations; a ``+`` before the column keeps SQLite from its index."""
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


def among(column: str, name: str = "") -> str:
    """A condition for any of the words that are ``listed`` in the value of that name, or in that of a ``?``."""
    return f"{column} IN (SELECT value FROM json_each({f':{name}' if name else '?'}))"


def listed(words: Iterable[str]) -> str:
    """Words as one value of a query."""
    return _quote(list(words)).decode()


def outside(column: str = "stream") -> str:
    """A condition for the streams of what belongs to no session; a ``+`` as above."""
    return f"{column} >= '{UNROUTED}' AND {column} < '{UNROUTED[:-1]};'"


def begins(column: str, name: str) -> str:
    """A condition for what begins with the value of that name; it can be read off an index."""
    return f"{column} >= :{name} AND {column} < :{name} || char(0x10ffff)"


def like(part: str) -> str:
    """The pattern of ``LIKE … ESCAPE '\\'`` for what contains a text."""
    return f"%{escaped(part)}%"


def escaped(part: str) -> str:
    """A text in such a pattern, where it stands for itself."""
    return re.sub(r"([%_\\])", r"\\\1", part)
