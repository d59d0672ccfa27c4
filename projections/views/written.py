"""The rows of large sessions as they were written last, so that of them only what differs is written.

A session is judged anew with each page, and its rows are written anew. That is cheap for a usual one. Of one with 5,000
visits a further webhook changes one or two rows, and to write all of them would be a megabyte for each. So the rows
of large sessions are kept and compared. What is kept is what this process itself has written, of a few sessions;
what another process may have written since is never compared with (``Pages`` forgets all when the checkpoint was moved).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from projections.read_models import Row, Table, names, participants

COMPARED = (participants.TABLE, names.TABLE)
"""The tables that have many rows of one session, and that nobody reads in the order in which they were written."""
LARGE = 200
"""Rows of a session in a table, or its deliveries, from which on they are kept."""
MOST = 100_000
"""Rows that are kept at most, those of the sessions that were written last; a row takes about half a kB."""

Readings = Mapping[int, Row]
"""Position -> how the delivery there was read."""


class Written(msgspec.Struct):
    """What was written of large sessions."""

    _rows: dict[tuple[str, str], set[Row]] = msgspec.field(default_factory=dict)
    """Stream and table -> rows."""
    _readings: dict[str, Readings] = msgspec.field(default_factory=dict)

    def replace(
        self,
        db: sqlite3.Connection,
        table: Table,
        rows: Mapping[str, Sequence[Row]],
        new: Collection[str] = (),
    ) -> None:
        """Puts the rows of these streams in the place of those that are there; of ``new`` ones there are none."""
        whole: list[Row] = []
        gone: list[Row] = []
        inserted: list[Row] = []
        for stream, its in rows.items():
            before = self._kept_instead(table, stream, its)
            if before is None:
                whole += [] if stream in new else [(stream,)]
                inserted += its
            else:
                gone += before.difference(its)
                inserted += [row for row in its if row not in before]
        db.executemany(f"DELETE FROM {table.name} WHERE {table.owner} = ?", whole)
        if gone:
            key = [list(table.columns).index(name) for name in table.pk]
            where = " AND ".join(f"{name} IS ?" for name in table.pk)
            db.executemany(
                f"DELETE FROM {table.name} WHERE {where}", [tuple(row[at] for at in key) for row in gone]
            )
        db.executemany(table.insert, inserted)

    def readings(self, streams: Iterable[str]) -> Readings:
        """How the deliveries of these streams were read when they were last written, as far as that is kept."""
        known: dict[int, Row] = {}
        for stream in streams:
            known.update(self._readings.get(stream, {}))
        return known

    def keep_readings(self, of: Mapping[str, Readings]) -> None:
        """Of large sessions, how their deliveries are read now."""
        for stream, readings in of.items():
            self._readings.pop(stream, None)
            if len(readings) >= LARGE:
                self._readings[stream] = readings

    def prune(self) -> None:
        """Forgets what was written longest ago, where too much is kept."""
        kept: tuple[dict[tuple[str, str], set[Row]], dict[str, Readings]] = (self._rows, self._readings)
        for one in kept:
            number = sum(map(len, one.values()))
            for key in list(one):
                if number <= MOST:
                    break
                number -= len(one.pop(key))  # type: ignore[call-overload]  # it is a key of that one

    def _kept_instead(self, table: Table, stream: str, rows: Sequence[Row]) -> set[Row] | None:
        """The rows that were kept, in the place of which these are kept from now on."""
        before = self._rows.pop((stream, table.name), None)
        if table in COMPARED and len(rows) >= LARGE:
            self._rows[stream, table.name] = set(rows)
        return before
