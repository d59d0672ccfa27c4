"""The file ``traces.db``: which sessions were exported to which collector; and the export of those that were not.

Sessions come in the order of their last positions, a few at a time, so that memory stays flat. Each batch is read as it is
at one moment, sent, and then noted. All of that is one transaction of ``traces.db``: so two processes never export at the
same time, and where one is killed, its batch was not exported.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import attrs

from projections.read_models import Row, Table, among, is_one_of, listed, make_tables, text
from projections.traces.spans import Span, of_session
from projections.views.database import VIEWS_DB, at_one_moment
from tracker.store.kept import Kept

TRACES_DB = "traces.db"
BATCH = 50
"""Sessions that are read, sent and noted together."""
LONGEST = 500
"""Characters of what a collector says that are kept."""
EXPORTED = Table(
    name="exported",
    columns={"target": str, "session_id": str, "exported_at": str},
    pk=("target", "session_id"),
)
ARMED = Table(name="armed", columns={"target": str, "position": int}, pk=("target",))
"""The position up to which a server has nothing to export: what was there at its first start is the past."""
_IS_CLOSED_OUT = (
    f"{is_one_of('state', ('ended', 'presumed-ended'))} AND COALESCE(last_seen_at <= :quiet_since, TRUE)"
    " AND NOT EXISTS (SELECT 1 FROM deadlines WHERE at IS NOT NULL AND (stream = sessions.session_id"
    " OR stream IN (SELECT stream FROM links WHERE links.session_id = sessions.session_id)))"
)
_NEXT = (
    f"SELECT session_id, last_position, {_IS_CLOSED_OUT}, COALESCE(last_seen_at < :oldest, FALSE) FROM sessions"
    " WHERE last_position > :after AND (:session IS NULL OR session_id = :session) ORDER BY last_position LIMIT :limit"
)
_KNOWN = f"SELECT session_id FROM exported WHERE target = ? AND {among('session_id')}"


@attrs.frozen
class Rejected:
    """How many spans a collector refused of what it took, and what it said last of that.

    It would refuse them again, so they are not exported again: the protocol forbids that.
    """

    spans: int = 0
    why: str = ""

    def more(self, spans: int, why: str) -> Rejected:
        return Rejected(self.spans + spans, why[:LONGEST] or self.why)

    def __bool__(self) -> bool:
        return bool(self.spans or self.why)

    def __str__(self) -> str:
        return f"{self.spans:,} span{'' if self.spans == 1 else 's'}: {self.why or 'no reason is given'}"


class Target(Protocol):
    url: str

    def export(self, spans: list[Span]) -> Rejected:
        """Returns what is rejected of them. Raises ``TrackerError`` where they are not taken."""


@attrs.define
class Counts:
    """What an export found.

    Attributes:
        exported: Sessions that were exported now.
        before: Those that had been exported before.
        still_open: Those that are not closed out yet.
        timeless: Those of which no time is known, so that they cannot be exported.
        done: The position up to which nothing is left to be exported, whatever comes.
        rejected: What the collector refused of what was exported now.
    """

    exported: int = 0
    before: int = 0
    still_open: int = 0
    timeless: int = 0
    done: int = 0
    rejected: Rejected = Rejected()


@attrs.frozen
class Exporter:
    """Exports what is closed out of one data directory to one collector.

    Attributes:
        quiet: For how long nothing must have come of a session.
        within: What was last seen longer ago is left out; by default nothing is.
    """

    data: Path
    target: Target
    quiet: timedelta
    within: timedelta | None = None

    def run(self, now: datetime, after: int = 0, session: str | None = None) -> Counts:
        """Exports what is left of the sessions whose last position is behind ``after``, or of one. Raises ``TrackerError``."""
        counts = Counts(done=after)
        given = {
            "quiet_since": text(now - self.quiet),
            "oldest": text(now - self.within) if self.within is not None else "",
            "session": session,
            "limit": BATCH,
        }
        while (end := self._batch(given | {"after": after}, text(now) or "", counts)) is not None:
            after = end
        return counts

    def armed(self, position: int) -> int:
        """Up to where a server that starts has nothing to export; ``position`` the first time. Raises ``StoreError``."""
        with self._file().to_write() as connection:
            connection.execute("INSERT OR IGNORE INTO armed VALUES (?, ?)", (self._name, position))
            select = "SELECT position FROM armed WHERE target = ?"
            return int(connection.execute(select, (self._name,)).fetchone()[0])

    def note(self, position: int) -> None:
        """Keeps up to where nothing is left. Raises ``StoreError``."""
        with self._file().to_write() as connection:
            connection.execute("UPDATE armed SET position = ? WHERE target = ?", (position, self._name))

    @property
    def _name(self) -> str:
        return sha256(self.target.url.encode()).hexdigest()[:16]  # a token may be in it

    def _file(self) -> Kept:
        hint = "restore it from a backup; without it, sessions are exported again"
        return Kept(self.data / TRACES_DB, _make, hint)

    def _batch(self, given: dict[str, Any], now: str, counts: Counts) -> int | None:
        """Exports the next sessions; returns the last position of the last one, ``None`` where there is none."""
        with self._file().to_write() as connection:
            with at_one_moment(self.data / VIEWS_DB) as views:
                rows = views.execute(_NEXT, given).fetchall()
                known = self._known(connection, rows)
                traces = {
                    session: of_session(views, session)
                    for session, _, closed_out, too_old in rows
                    if closed_out and not too_old and session not in known
                }
            made = {session: spans for session, spans in traces.items() if spans}
            if made:
                rejected = self.target.export([span for spans in made.values() for span in spans])
                counts.rejected = counts.rejected.more(rejected.spans, rejected.why)
            connection.executemany(EXPORTED.insert, [(self._name, session, now) for session in made])
        _count(counts, rows, known, traces)
        return rows[-1][1] if rows else None

    def _known(self, connection: sqlite3.Connection, rows: list[Row]) -> set[str]:
        ids = listed(row[0] for row in rows)
        return {session for (session,) in connection.execute(_KNOWN, (self._name, ids))}


def _count(counts: Counts, rows: list[Row], known: set[str], traces: dict[str, list[Span]]) -> None:
    for session, position, closed_out, too_old in rows:
        is_left = session not in known and not closed_out and not too_old
        counts.before += session in known
        counts.still_open += is_left
        counts.exported += bool(traces.get(session))
        counts.timeless += session in traces and not traces[session]
        if not is_left and not counts.still_open:
            counts.done = position


def _make(connection: sqlite3.Connection) -> None:
    make_tables(connection, (EXPORTED, ARMED))
