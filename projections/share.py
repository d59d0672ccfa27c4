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
from zlib import crc32

import attrs
import msgspec

from tracker.envelope import UNVERIFIED, Received
from tracker.findings import Finding
from tracker.rules import Rules
from tracker.session import Session, SessionState, conclude, judge, next_deadline
from tracker.traffic import Span, dated, overlaps, span
from tracker.webhook import UNROUTED, Delivery, parse

SWEEP = 10_000
"""Deliveries after which is looked who can be put aside."""
_Heard = tuple[int, Received]
"""A position, and what was received there."""
_Packed = tuple[int, bytes, datetime | None, str | None, bool, int | None]
"""The same as it is put aside; from where it came says nothing of the session."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[_Packed]).decode
_unpack_span = msgspec.msgpack.Decoder(tuple[Span, SessionState]).decode


@attrs.frozen
class Part:
    """Which sessions of a log: one of so many parts. The first has what belongs to no session as well."""

    number: int = 0
    of: int = 1

    def has(self, stream: str) -> bool:
        if stream.startswith(UNROUTED):
            return self.number == 0
        return self.of == 1 or crc32(stream.encode(errors="replace")) % self.of == self.number


@attrs.define
class Judged:
    """What was found in a part of the sessions, settled. ``told`` is the meeting and the state of each with a finding.

    Where the sessions of one meeting overlap is not in it: ``over`` is the file that says when each was.
    """

    deliveries: int = 0
    sessions: int = 0
    found: dict[str, list[Finding]] = attrs.field(factory=dict)
    alone: list[Finding] = attrs.field(factory=list)
    told: dict[str, tuple[str | None, SessionState]] = attrs.field(factory=dict)
    over: str = ""


@attrs.define
class _Aside:
    """The sessions that are over: what was heard of each, and when it was.

    What was heard is written one after the other; only the few bytes that say when are found by the stream.
    """

    path: str = ""
    """Empty: a file that nobody else can read, and that goes with the audit."""
    db: sqlite3.Connection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.db = sqlite3.connect(self.path)
        self.db.execute("PRAGMA synchronous=OFF")  # it is of no use to anybody later
        self.db.execute("CREATE TABLE heard (id INTEGER PRIMARY KEY, lines BLOB)")
        self.db.execute(
            "CREATE TABLE over (stream TEXT PRIMARY KEY, meeting TEXT, span BLOB, heard INTEGER) WITHOUT ROWID"
        )

    def put(self, session: Session, heard: list[_Heard]) -> None:
        """Where nothing is heard any more, what was heard need not be given."""
        packed = _pack([_packed(position, received) for position, received in heard])
        lines = self.db.execute("INSERT INTO heard (lines) VALUES (?)", (packed,)).lastrowid if heard else None
        meeting = session.meeting_id if session.session_id is not None else None
        told = _pack((span(session), session.state))
        self.db.execute("INSERT INTO over VALUES (?, ?, ?, ?)", (session.stream, meeting, told, lines))

    def fetch(self, stream: str) -> list[_Heard]:
        """What was heard of it, which is not aside any more; nothing of one that never was."""
        row = self.db.execute("SELECT heard FROM over WHERE stream = ?", (stream,)).fetchone()
        if row is None:
            return []
        ((lines,),) = self.db.execute("SELECT lines FROM heard WHERE id = ?", row)
        self.db.execute("DELETE FROM heard WHERE id = ?", row)
        self.db.execute("DELETE FROM over WHERE stream = ?", (stream,))
        return [_unpacked(*one) for one in _unpack(lines)]

    def add(self, path: str) -> None:
        """The sessions of another part; nothing more will be heard of them."""
        self.db.commit()
        self.db.execute("ATTACH ? AS other", (path,))
        self.db.execute("INSERT INTO over SELECT stream, meeting, span, NULL FROM other.over")
        self.db.commit()
        self.db.execute("DETACH other")

    def of_one_meeting(self) -> Iterator[list[tuple[Span, SessionState]]]:
        """The sessions of each meeting that had several."""
        several = "SELECT meeting FROM over WHERE meeting IS NOT NULL GROUP BY meeting HAVING COUNT(*) > 1"
        rows = self.db.execute(f"SELECT meeting, span FROM over WHERE meeting IN ({several}) ORDER BY meeting")
        for _, ones in groupby(rows, key=itemgetter(0)):
            yield [_unpack_span(told) for _, told in ones]


def _packed(position: int, received: Received) -> _Packed:
    refuted = received.verified_by == UNVERIFIED
    return position, received.body, received.received_at, received.unread_time, refuted, received.cut_from


def _unpacked(
    position: int,
    body: bytes,
    at: datetime | None,
    unread_time: str | None,
    refuted: bool,  # noqa: FBT001 - as it was packed
    cut_from: int | None,
) -> _Heard:
    verified_by = UNVERIFIED if refuted else None
    return position, Received(body, at, "", verified_by, unread_time, cut_from)


@attrs.define
class Share:
    """A part of the sessions under way: those in memory, with all that was heard of each, and those put aside.

    ``see`` is given each session, settled; more than once where something comes after its last window.
    """

    rules: Rules
    part: Part = attrs.field(factory=Part)
    see: Callable[[Session], None] | None = None
    judged: Judged = attrs.field(factory=Judged)
    newest: datetime | None = None
    sessions: dict[str, Session] = attrs.field(factory=dict)
    heard: dict[str, list[_Heard]] = attrs.field(factory=dict)
    named: dict[str, set[str]] = attrs.field(factory=dict)
    aside: _Aside = attrs.field(init=False)

    @aside.default
    def _aside(self) -> _Aside:
        return _Aside(self.judged.over)

    def hear(self, delivery: Delivery) -> None:
        """Every delivery of the log, in order: those of other parts tell how late it is."""
        self.judged.deliveries += 1
        at, stream = delivery.received_at, delivery.stream
        if at is not None and (self.newest is None or at > self.newest):
            self.newest = at
        if self.part.has(stream):
            if stream.startswith(UNROUTED):
                self._hear_alone(delivery)
            else:
                session = self.sessions.get(stream) or self._begin(delivery)
                judge(session, delivery, self.rules)
                self.heard[stream].append((delivery.position, delivery.received))
        if self.judged.deliveries % SWEEP == 0:
            self._sweep()

    def settle(self, as_of: datetime | None) -> Judged:
        """What was found, settled at ``as_of`` or when the last was received; nothing more will be heard."""
        for session in self.sessions.values():
            self._put_aside(conclude(session, as_of or self.newest, self.rules), [])
        self.aside.db.commit()
        return self.judged

    def add(self, other: Judged) -> None:
        """What was found in another part."""
        self.judged.sessions += other.sessions
        self.judged.found |= other.found
        self.judged.told |= other.told
        self.aside.add(other.over)

    def overlap(self, as_of: datetime | None) -> None:
        """Finds which of the sessions of one meeting began while another one was live, when all are there."""
        for sessions in self.aside.of_one_meeting():
            states = {one.stream: state for one, state in sessions}
            for this, found in overlaps([one for one, _ in sessions], self.rules, as_of or self.newest):
                self.judged.found.setdefault(this.stream, []).append(found)
                self.judged.told[this.stream] = this.meeting_id, states[this.stream]

    def _hear_alone(self, delivery: Delivery) -> None:
        """It belongs to no session and stands alone; only what its stream named is known."""
        alone = Session(delivery.stream, named=self.named.setdefault(delivery.stream, set()))
        judge(alone, delivery, self.rules)
        self.judged.alone.extend(alone.findings)

    def _begin(self, delivery: Delivery) -> Session:
        """The session before this delivery: a new one, or one that had been put aside, folded again."""
        stream = delivery.stream
        heard = self.heard[stream] = self.aside.fetch(stream)
        if heard:
            self.judged.found.pop(stream, None)
            self.judged.told.pop(stream, None)
        elif delivery.session_id is not None:
            self.judged.sessions += 1
        return self._fold(stream, delivery.session_id)

    def _fold(self, stream: str, session_id: str | None) -> Session:
        """The session of all that was heard of it."""
        session = self.sessions[stream] = Session(stream, session_id)
        for position, received in self.heard[stream]:
            judge(session, parse(received, position), self.rules)
        return session

    def _sweep(self) -> None:
        """Puts aside who is over."""
        now = self.newest
        if now is None:
            return
        for session in [one for one in self.sessions.values() if _is_silent(one, now, self.rules)]:
            conclude(session, now, self.rules)
            if next_deadline(session, self.rules) is None:
                del self.sessions[session.stream]
                self._put_aside(session, self.heard.pop(session.stream))
            else:  # it goes on as if nobody had looked
                self._fold(session.stream, session.session_id)

    def _put_aside(self, session: Session, heard: list[_Heard]) -> None:
        """Tells what is found of a session, now that nothing is expected of it any more."""
        self.aside.put(session, heard)
        found = [*dated(session)]
        if found:
            self.judged.found[session.stream] = found
            if session.session_id is not None:
                self.judged.told[session.session_id] = session.meeting_id, session.state
        if self.see:
            self.see(session)


def _is_silent(session: Session, now: datetime, rules: Rules) -> bool:
    """Whether a session is likely to be over: a copy of what came would be none of a redelivery."""
    last, due = session.last_seen_at, session.next_deadline
    if last is None or now - last <= rules.redelivery or (due is not None and due > now):
        return False
    return session.ended or not session.active or now - last >= rules.session_idle
