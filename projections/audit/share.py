"""A part of the sessions of a log: observed while the log is read, assessed when all of it is known.

What a session is judged by is known only at the end of the log: how old copies are in it, which types
nobody subscribes to. So each session is assessed once, then. Until then, where memory holds many deliveries, a
session that has been silent for long is spilled to disk; if something comes of it after all, it is fetched back.

What the sessions of a room have in common is put aside on disk in the same way, piece by piece: in a long log there are
as many rooms as sessions. Of those that had several sessions the pieces are put together in the end.

Where several processes judge, the one that reads the log observes few or none. So each of the others leaves it some of
its sessions on disk, to be assessed there: of a long log nearly all have been spilled by then anyway.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any
from zlib import adler32

import attrs
import msgspec

from projections.audit.found import Findings, scratch
from tracker.delivery.webhook import UNROUTED, Delivery
from tracker.judging.assess import assess
from tracker.judging.findings.overlaps import Span, overlaps, span
from tracker.judging.hypothesis import Delivered, micros
from tracker.judging.log import ENDS, Habits, LogView, Room
from tracker.judging.records import Record
from tracker.judging.session import Key, Link, Note, Observed, ObservedAggregate, Oddity
from tracker.judging.sessions import Outside, Sessions
from tracker.judging.state import Session, SessionState
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules

KEPT = 20_000
"""Deliveries that memory may hold: some 15 MB. To spill them and to fetch them back takes a tenth of the audit."""
ROOMS = 5_000
"""Rooms of which memory may hold what came in them."""
SPILL_AFTER = 3600 * 1_000_000
"""Microseconds of silence after which a session that has ended is spilled."""
_pack = msgspec.msgpack.Encoder().encode
_json = msgspec.json.encode  # whose numbers may be of any size
_decode = msgspec.json.decode
_unpack_span = msgspec.msgpack.Decoder(Span).decode
_unpack_room = msgspec.msgpack.Decoder(Room).decode
_SEVERAL = (
    "SELECT meeting, room FROM rooms WHERE meeting IN"
    " (SELECT meeting FROM rooms GROUP BY meeting HAVING SUM(sessions) > 1)"
)


@attrs.define
class Share:
    """A part of the sessions of a log.

    Attributes:
        rules: By which they are judged.
        see: Is given each session when it has been assessed, and what came of it.
        path: Where findings are kept, if others shall read them.
        leaves: Of so many sessions one is left for another process to assess; 0: none is.
        count: Sessions; streams without one are left out.
        has_begun: Whether a webhook of a session has come in the log.
        habits: What the log learns of these sessions.
        findings: What is found of them.
    """

    rules: Rules
    see: Callable[[Session, Observed], None] | None = None
    path: str = ""
    leaves: int = 0
    count: int = 0
    has_begun: bool = False
    habits: Habits = attrs.field(factory=Habits)
    findings: Findings = attrs.field(init=False)
    _sessions: Sessions = attrs.field(init=False)
    _spilled: sqlite3.Connection = attrs.field(init=False)
    _has_spilled: bool = False
    _outside: Outside = attrs.field(init=False)

    @findings.default
    def _no_findings(self) -> Findings:
        db = scratch(self.path)
        db.execute("CREATE TABLE spans (meeting TEXT, state TEXT, span BLOB)")
        db.execute("CREATE TABLE open (sessions INTEGER, runs INTEGER)")
        return Findings.none(db)

    @_sessions.default
    def _no_sessions(self) -> Sessions:
        return Sessions(self.rules, self._fetch, self.habits)

    @_outside.default
    def _nothing_outside(self) -> Outside:
        return Outside(self.rules)

    @_spilled.default
    def _nothing_spilled(self) -> sqlite3.Connection:
        db = scratch(self._spilled_path)
        db.execute("CREATE TABLE spilled (stream TEXT PRIMARY KEY, is_left INTEGER, observed BLOB)")
        db.execute("CREATE TABLE rooms (meeting TEXT, sessions INTEGER, room BLOB)")
        return db

    def observe(self, delivery: Delivery) -> None:
        """Takes in the next delivery of one of its sessions."""
        if delivery.session_id is None and delivery.stream.startswith(UNROUTED):
            self.findings.put(self._outside.assessed(delivery, is_before_all=not self.has_begun).findings)
            return
        observed = self._sessions.observe(delivery)
        if observed.deliveries == 1 and observed.session_id is not None:
            self.count += 1

    def sweep(self, now: datetime | None) -> None:
        """Spills sessions that are likely to be over to disk, the oldest first, until memory holds no more than ``KEPT``
        deliveries, and what is known of rooms. ``now`` is the newest receive time of the whole log."""
        if len(self.habits.rooms) > ROOMS:
            self._spill_rooms()
        observed = self._sessions.observed.values()
        too_many = sum(one.deliveries for one in observed) - KEPT
        if now is None or too_many <= 0:
            return
        at, over = micros(now), list[Observed]()
        for one in observed:
            if too_many > 0 and self._is_silent(one, at):
                over.append(one)
                too_many -= one.deliveries
        self._spill(over)

    def learned(self) -> tuple[Habits, str]:
        """What the log has learned of its sessions, without the rooms, and the file in which these are."""
        self._spill_rooms()
        return self.habits, self._spilled_path

    def take_rooms(self, path: str) -> None:
        """Takes over the rooms that another part has in a file."""
        db = self._spilled
        db.execute("ATTACH ? AS other", (path,))
        db.execute("INSERT INTO rooms SELECT * FROM other.rooms")
        db.execute("DELETE FROM other.rooms")
        db.commit()
        db.execute("DETACH other")

    def rooms(self) -> dict[str, Room]:
        """The rooms that had several sessions, of this part and those that were taken over."""
        habits = Habits()
        for meeting_id, room in self._spilled.execute(_SEVERAL):
            habits.add_room(meeting_id, _unpack_room(room))
        return habits.rooms

    def leave(self) -> str:
        """Nothing more will come: spills what is left for another process; returns the file in which that is."""
        self._spill([one for one in self._sessions.observed.values() if self._is_left(one.stream)])
        self._spilled.commit()
        return self._spilled_path

    def assess(self, log: LogView, several: Container[str], as_of: datetime | None, *, over: bool) -> None:
        """Assesses every session. ``several``: the meetings that had more than one. ``over``: nothing more will come, so
        what a window leaves open is undecided."""
        self._assess(self._all(), log, several, as_of, over=over)

    def assess_left(
        self, path: str, log: LogView, several: Container[str], as_of: datetime | None, *, over: bool
    ) -> None:
        """Assesses what another part has left in a file."""
        with closing(sqlite3.connect(path)) as db:
            self._assess(_spilled_in(db, is_left=True), log, several, as_of, over=over)

    def _assess(
        self,
        sessions: Iterable[Observed],
        log: LogView,
        several: Container[str],
        as_of: datetime | None,
        *,
        over: bool,
    ) -> None:
        live = open_runs = 0
        for observed in sessions:
            session = assess(observed, as_of, self.rules, log, over=over)
            self.findings.put(session.findings, session.meeting_id, session.state)
            if session.meeting_id in several and session.session_id is not None and session.deliveries:
                row = session.meeting_id, session.state, _pack(span(session))
                self.findings.db.execute("INSERT INTO spans VALUES (?, ?, ?)", row)
            live += session.state == "live"
            open_runs += sum(1 for _ in session.open_runs())
            if self.see:
                self.see(session, observed)
        self.findings.db.execute("INSERT INTO open VALUES (?, ?)", (live, open_runs))
        self.findings.db.commit()

    def add(self, count: int, path: str) -> None:
        """Adds another part, which has been assessed: so many sessions, their findings in that file."""
        self.count += count
        db = self.findings.db
        db.commit()
        db.execute("ATTACH ? AS other", (path,))
        db.execute("INSERT INTO spans SELECT * FROM other.spans")
        db.execute("INSERT INTO open SELECT * FROM other.open")
        columns = "position, session_id, number, meeting, state, severity, accepted, undecided, finding"
        db.execute(f"INSERT INTO found ({columns}) SELECT {columns} FROM other.found")
        db.commit()
        db.execute("DETACH other")

    def still_open(self) -> tuple[int, int]:
        """How many sessions are live, and how many runs have not come to an end."""
        ((live, runs),) = self.findings.db.execute("SELECT SUM(sessions), SUM(runs) FROM open").fetchall()
        return live or 0, runs or 0

    def overlap(self, at: datetime | None) -> None:
        """Finds which of the sessions of one meeting began while another one was live, when all are there."""
        for sessions in self._of_one_meeting():
            states = {one.stream: state for one, state in sessions}
            for this, found in overlaps([one for one, _ in sessions], self.rules, at):
                self.findings.put([found], this.meeting_id, states[this.stream])

    def _fetch(self, stream: str, _before: int | None) -> Observed | None:
        if not self._has_spilled:
            return None
        row = self._spilled.execute("SELECT observed FROM spilled WHERE stream = ?", (stream,)).fetchone()
        if row is None:
            return None
        self._spilled.execute("DELETE FROM spilled WHERE stream = ?", (stream,))
        return unpacked_session(row[0])

    def _all(self) -> Iterator[Observed]:
        observed = self._sessions.observed
        while observed:
            yield observed.pop(next(iter(observed)))
        yield from _spilled_in(self._spilled, is_left=False)

    def _spill(self, sessions: Sequence[Observed]) -> None:
        rows = [(one.stream, self._is_left(one.stream), packed_session(one)) for one in sessions]
        self._has_spilled = self._has_spilled or bool(rows)
        self._spilled.executemany("INSERT OR REPLACE INTO spilled VALUES (?, ?, ?)", rows)
        for one in sessions:
            del self._sessions.observed[one.stream]

    @property
    def _spilled_path(self) -> str:
        return self.path and f"{self.path}.spilled"

    def _spill_rooms(self) -> None:
        rooms, self.habits.rooms = self.habits.rooms, {}
        rows = [(name, room.sessions, _pack(room)) for name, room in rooms.items()]
        self._spilled.executemany("INSERT INTO rooms VALUES (?, ?, ?)", rows)
        self._spilled.commit()

    def _is_left(self, stream: str) -> bool:
        return bool(self.leaves) and is_left(stream, self.leaves)

    def _is_silent(self, one: Observed, now: int) -> bool:
        if one.last_at is None or now - one.last_at <= SPILL_AFTER:
            return False
        ended = bool(one.types & ENDS)
        return ended or not one.active or now - one.last_at >= self.rules.windows.session_idle

    def _of_one_meeting(self) -> Iterator[list[tuple[Span, SessionState]]]:
        """The sessions of each meeting that had several."""
        select = "SELECT meeting, span, state FROM spans ORDER BY meeting"
        for _, ones in groupby(self.findings.db.execute(select), key=itemgetter(0)):
            yield [(_unpack_span(packed_span), state) for _, packed_span, state in ones]


def is_left(stream: str, jobs: int) -> bool:
    """Whether the first of so many processes assesses a session, whoever observes it."""
    return adler32(stream.encode(errors="replace")) % jobs == 0


def _spilled_in(db: sqlite3.Connection, *, is_left: bool) -> Iterator[Observed]:
    select = "SELECT observed FROM spilled WHERE is_left = ?"
    return (unpacked_session(packed) for (packed,) in db.execute(select, (is_left,)))


def packed_session(one: Observed) -> bytes:
    """What came of a session."""
    aggregates = [
        (each.lifecycle.name, each.key, each.steps, list(map(_delivered, each.deliveries)))
        for each in one.aggregates.values()
    ]
    records = [
        (each.lifecycle.name, each.key, each.ids, each.position, each.at, _json(each.said))
        for each in one.records.values()
    ]
    return _pack((_facts(one), one.odd, one.notes, one.links, one.idle, one.named, aggregates, records))


def unpacked_session(packed: bytes) -> Observed:
    """The opposite of ``packed_session``."""
    facts, odd, notes, links, idle, named, aggregates, records = _unpack(packed)
    one = Observed(*facts)
    one.odd, one.notes, one.links, one.idle, one.named = odd, notes, links, idle, named
    for name, key, ids, position, at, said in records:
        record = Record(REGISTRY[name], key, ids, position, at, _decode(said))
        one.records[record.name] = record
    for name, key, steps, deliveries in aggregates:
        lifecycle = REGISTRY[name]
        by_name = lifecycle.by_name
        came = [
            Delivered(by_name[step], at, position, data, evidence, timed)
            for step, at, position, data, evidence, timed in deliveries
        ]
        one.aggregates[name, key] = ObservedAggregate(lifecycle, key, came, steps)
    return one


_FACTS = Observed.__struct_fields__[: Observed.__struct_fields__.index("aggregates")]
"""What is written as it is. It stands first in a session, so that it is read back in its order."""
_facts = attrgetter(*_FACTS)
_delivered = attrgetter("step.name", "at", "position", "data", "evidence", "timed")
_Aggregate = tuple[str, Key, int, list[tuple[str, int, int, bytes, bool, bool]]]
_Record = tuple[str, Key, tuple[str, ...], int, int, bytes]
_Session = tuple[
    list[Any],
    list[Oddity],
    list[Note],
    list[Link],
    list[tuple[int, int]],
    set[str],
    list[_Aggregate],
    list[_Record],
]
_unpack = msgspec.msgpack.Decoder(_Session).decode
