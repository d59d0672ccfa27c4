"""The sessions of a log, or a part of them, judged in bounded memory: what an audit rests on.

Only what may still change is in memory. A session that has ended and whose last window has closed is
told and put aside, on disk; should anything more come of it, it is folded again with that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter

import attrs
import msgspec

from projections.found import Findings, scratch
from tracker.envelope import UNVERIFIED, Received
from tracker.rules import Rules
from tracker.session import Session, SessionState, conclude, judge, next_deadline
from tracker.traffic import Span, dated, overlaps, span
from tracker.webhook import UNROUTED, Delivery, parse

Heard = tuple[int, Received]
"""A position, and what was received there."""
Packed = tuple[int, bytes, datetime | None, str | None, bool, int | None]
"""The same as it is put aside, or handed on; from where it came says nothing of the session."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Packed]).decode
_unpack_span = msgspec.msgpack.Decoder(Span).decode


@attrs.define
class _Aside:
    """The sessions that are over: what was heard of each, when it was, and what was found.

    What was heard is written one after the other; only the few bytes that say when are found by the stream.
    """

    db: sqlite3.Connection
    findings: Findings = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.findings = Findings.none(self.db)
        self.db.execute("CREATE TABLE heard (id INTEGER PRIMARY KEY, lines BLOB)")
        self.db.execute(
            "CREATE TABLE over (stream TEXT PRIMARY KEY, meeting TEXT, state TEXT, span BLOB, heard INTEGER,"
            " first INTEGER, last INTEGER) WITHOUT ROWID"
        )

    def put(self, session: Session, heard: list[Heard]) -> None:
        """Where nothing is heard any more, what was heard need not be given."""
        lines = _pack([packed(position, received) for position, received in heard])
        kept = self.db.execute("INSERT INTO heard (lines) VALUES (?)", (lines,)).lastrowid if heard else None
        found = self.findings.put(dated(session), session.meeting_id, session.state)
        meeting = session.meeting_id if session.session_id is not None else None
        over = session.stream, meeting, session.state, _pack(span(session)), kept, *found
        self.db.execute("INSERT INTO over VALUES (?, ?, ?, ?, ?, ?, ?)", over)

    def fetch(self, stream: str) -> list[Heard]:
        """What was heard of it, which is not aside any more; nothing of one that never was."""
        row = self.db.execute("SELECT heard, first, last FROM over WHERE stream = ?", (stream,)).fetchone()
        if row is None:
            return []
        kept, first, last = row
        ((lines,),) = self.db.execute("SELECT lines FROM heard WHERE id = ?", (kept,))
        self.db.execute("DELETE FROM heard WHERE id = ?", (kept,))
        self.db.execute("DELETE FROM over WHERE stream = ?", (stream,))
        self.findings.drop(first, last)
        return [unpacked(*one) for one in _unpack(lines)]

    def add(self, path: str) -> None:
        """The sessions of another part; nothing more will be heard of them."""
        self.db.commit()
        self.db.execute("ATTACH ? AS other", (path,))
        self.db.execute("INSERT INTO over SELECT * FROM other.over")
        columns = "position, session_id, number, meeting, state, severity, accepted, finding"
        self.db.execute(f"INSERT INTO found ({columns}) SELECT {columns} FROM other.found")
        self.db.commit()
        self.db.execute("DETACH other")

    def of_one_meeting(self) -> Iterator[list[tuple[Span, SessionState]]]:
        """The sessions of each meeting that had several."""
        several = "SELECT meeting FROM over WHERE meeting IS NOT NULL GROUP BY meeting HAVING COUNT(*) > 1"
        select = f"SELECT meeting, span, state FROM over WHERE meeting IN ({several}) ORDER BY meeting"
        for _, ones in groupby(self.db.execute(select), key=itemgetter(0)):
            yield [(_unpack_span(told), state) for _, told, state in ones]


def packed(position: int, received: Received) -> Packed:
    refuted = received.verified_by == UNVERIFIED
    return position, received.body, received.received_at, received.unread_time, refuted, received.cut_from


def unpacked(
    position: int,
    body: bytes,
    at: datetime | None,
    unread_time: str | None,
    refuted: bool,  # noqa: FBT001 - as it was packed
    cut_from: int | None,
) -> Heard:
    verified_by = UNVERIFIED if refuted else None
    return position, Received(body, at, "", verified_by, unread_time, cut_from)


@attrs.define
class Share:
    """A part of the sessions under way: those in memory, with all that was heard of each, and those put aside.

    What is found is in ``aside.findings``. ``see`` is given each session, settled; more than once where
    something comes after its last window. ``path`` is where to put aside, if others shall read it.
    """

    rules: Rules
    see: Callable[[Session], None] | None = None
    path: str = ""
    count: int = 0
    """Sessions, streams without one left out."""
    sessions: dict[str, Session] = attrs.field(factory=dict)
    heard: dict[str, list[Heard]] = attrs.field(factory=dict)
    named: dict[str, set[str]] = attrs.field(factory=dict)
    aside: _Aside = attrs.field(init=False)

    @aside.default
    def _begun(self) -> _Aside:
        return _Aside(scratch(self.path))

    def hear(self, delivery: Delivery) -> None:
        """The next delivery of one of its sessions."""
        stream = delivery.stream
        if stream.startswith(UNROUTED):
            self._hear_alone(delivery)
            return
        session = self.sessions.get(stream) or self._begin(delivery)
        judge(session, delivery, self.rules)
        self.heard[stream].append((delivery.position, delivery.received))

    def sweep(self, now: datetime | None) -> None:
        """Puts aside who is over. ``now`` is the newest receive time of the whole log."""
        if now is None:
            return
        for session in [one for one in self.sessions.values() if _is_silent(one, now, self.rules)]:
            conclude(session, now, self.rules)
            if next_deadline(session, self.rules) is None:
                del self.sessions[session.stream]
                self._put_aside(session, self.heard.pop(session.stream))
            else:  # it goes on as if nobody had looked
                self._fold(session.stream, session.session_id)

    def settle(self, at: datetime | None) -> None:
        """All is settled as of then; nothing more will be heard."""
        for session in self.sessions.values():
            self._put_aside(conclude(session, at, self.rules), [])
        self.sessions.clear()
        self.heard.clear()
        self.aside.db.commit()

    def add(self, count: int, path: str) -> None:
        """Another part, settled: so many sessions, put aside there."""
        self.count += count
        self.aside.add(path)

    def overlap(self, at: datetime | None) -> None:
        """Finds which of the sessions of one meeting began while another one was live, when all are there."""
        for sessions in self.aside.of_one_meeting():
            states = {one.stream: state for one, state in sessions}
            for this, found in overlaps([one for one, _ in sessions], self.rules, at):
                self.aside.findings.put([found], this.meeting_id, states[this.stream])

    def _hear_alone(self, delivery: Delivery) -> None:
        """It belongs to no session and stands alone; only what its stream named is known."""
        alone = Session(delivery.stream, named=self.named.setdefault(delivery.stream, set()))
        judge(alone, delivery, self.rules)
        self.aside.findings.put(alone.findings)

    def _begin(self, delivery: Delivery) -> Session:
        """The session before this delivery: a new one, or one that had been put aside, folded again."""
        stream = delivery.stream
        heard = self.heard[stream] = self.aside.fetch(stream)
        if not heard and delivery.session_id is not None:
            self.count += 1
        return self._fold(stream, delivery.session_id)

    def _fold(self, stream: str, session_id: str | None) -> Session:
        """The session of all that was heard of it."""
        session = self.sessions[stream] = Session(stream, session_id)
        for position, received in self.heard[stream]:
            judge(session, parse(received, position), self.rules)
        return session

    def _put_aside(self, session: Session, heard: list[Heard]) -> None:
        """Tells what is found of a session, now that nothing is expected of it any more."""
        self.aside.put(session, heard)
        if self.see:
            self.see(session)


def _is_silent(session: Session, now: datetime, rules: Rules) -> bool:
    """Whether a session is likely to be over: a copy of what came would be none of a redelivery."""
    last, due = session.last_seen_at, session.next_deadline
    if last is None or now - last <= rules.redelivery or (due is not None and due > now):
        return False
    return session.ended or not session.active or now - last >= rules.session_idle
