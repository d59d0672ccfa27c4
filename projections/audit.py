"""From deliveries straight to findings, with no read model in between and no store needed.

Only what may still change is in memory. A session that has ended and whose last window has closed is
told and put aside, on disk; should anything more come of it, it is folded again with that.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter

import attrs
import msgspec

from tracker.bulk import bulk
from tracker.envelope import UNVERIFIED, Received
from tracker.errors import LogError
from tracker.findings import Finding
from tracker.logs import STDIN, Log, Oddities
from tracker.rules import Rules
from tracker.session import Session, SessionState, conclude, judge, next_deadline
from tracker.traffic import Span, Traffic, consequence, dated, overlapping, rival, span
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


@attrs.define
class Audit:
    """What an audit found. ``newest`` is the newest receive time, at which all was settled.

    ``told`` gives the meeting and the state of each session with a finding.
    """

    findings: list[Finding] = attrs.field(factory=list)
    sessions: int = 0
    deliveries: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    told: dict[str, tuple[str | None, SessionState]] = attrs.field(factory=dict)


def audit(
    deliveries: Iterable[Delivery],
    rules: Rules,
    as_of: datetime | None = None,
    see: Callable[[Session], None] | None = None,
) -> Audit:
    """Folds every session and settles it at the end of the log, or at ``as_of``.

    With ``as_of`` the log is cut there: what was received later is left out. A finding whose window
    is still open when the log ends is ``undecided``. ``see`` is given each session, settled; more than
    once where something comes after its last window.
    """
    run = _Run(rules, see)
    with bulk():
        for delivery in deliveries:
            at = delivery.received_at
            if as_of is None or at is None or at <= as_of:
                run.hear(delivery)
        return run.end(as_of)


@attrs.define
class _Aside:
    """The sessions that are over, in a file that goes with the audit: what was heard of each, and when it was.

    What was heard is written one after the other; only the few bytes that say when are found by the stream.
    """

    db: sqlite3.Connection = attrs.field(factory=lambda: sqlite3.connect(""))

    def __attrs_post_init__(self) -> None:
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
class _Run:
    """An audit under way: the sessions in memory, with all that was heard of each, and those put aside."""

    rules: Rules
    see: Callable[[Session], None] | None
    result: Audit = attrs.field(factory=Audit)
    traffic: Traffic = attrs.field(factory=Traffic)
    sessions: dict[str, Session] = attrs.field(factory=dict)
    heard: dict[str, list[_Heard]] = attrs.field(factory=dict)
    aside: _Aside = attrs.field(factory=_Aside)
    found: dict[str, list[Finding]] = attrs.field(factory=dict)
    alone: list[Finding] = attrs.field(factory=list)
    named: dict[str, set[str]] = attrs.field(factory=dict)

    def hear(self, delivery: Delivery) -> None:
        self.result.deliveries += 1
        self.traffic.hear(delivery, self.rules)
        stream = delivery.stream
        if stream.startswith(UNROUTED):  # it stands alone; only what its stream named is known
            alone = Session(stream, named=self.named.setdefault(stream, set()))
            judge(alone, delivery, self.rules)
            self.alone.extend(alone.findings)
            return
        session = self.sessions.get(stream) or self._begin(delivery)
        judge(session, delivery, self.rules)
        self.heard[stream].append((delivery.position, delivery.received))
        if self.result.deliveries % SWEEP == 0:
            self._sweep()

    def end(self, as_of: datetime | None) -> Audit:
        as_of = as_of or self.traffic.newest
        for session in self.sessions.values():
            self._put_aside(conclude(session, as_of, self.rules), [])
        for sessions in self.aside.of_one_meeting():
            self._overlap(sessions, as_of)
        found = [*self.alone, *self.traffic.findings(self.rules)]
        for ones in self.found.values():
            found.extend(consequence(one, self.traffic, self.rules) for one in ones)
        found = [one for one in found if one.verdict != "retracted"]
        for one in found:
            if one.verdict == "provisional":
                one.verdict = "undecided"  # the log is over
        found.sort(key=lambda one: (one.position or 0, one.session_id or "", one.number))
        self.result.findings = found
        self.result.oldest, self.result.newest = self.traffic.oldest, self.traffic.newest
        return self.result

    def _begin(self, delivery: Delivery) -> Session:
        """The session before this delivery: a new one, or one that had been put aside, folded again."""
        stream = delivery.stream
        heard = self.heard[stream] = self.aside.fetch(stream)
        if heard:
            self.found.pop(stream, None)
            self.result.told.pop(stream, None)
        elif delivery.session_id is not None:
            self.result.sessions += 1
        return self._fold(stream, delivery.session_id)

    def _fold(self, stream: str, session_id: str | None) -> Session:
        """The session of all that was heard of it."""
        session = self.sessions[stream] = Session(stream, session_id)
        for position, received in self.heard[stream]:
            judge(session, parse(received, position), self.rules)
        return session

    def _sweep(self) -> None:
        """Puts aside who is over."""
        now = self.traffic.newest
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
            self.found[session.stream] = found
            if session.session_id is not None:
                self.result.told[session.session_id] = session.meeting_id, session.state
        if self.see:
            self.see(session)

    def _overlap(self, sessions: list[tuple[Span, SessionState]], as_of: datetime | None) -> None:
        """Tells which of the sessions of one meeting began while another one was live."""
        spans = [one for one, _ in sessions]
        for this, state in sessions:
            other = rival(this, spans, self.rules)
            if other is not None:
                found = overlapping(_session_of(this), other, self.rules, as_of)
                self.found.setdefault(this.stream, []).append(found)
                self.result.told[this.stream] = this.meeting_id, state


def _session_of(one: Span) -> Session:
    """As much of a session as its span tells."""
    session = Session(one.stream, one.stream, one.meeting_id)
    session.first_position, session.first_seen_at = one.first_position, one.began
    return session


def _is_silent(session: Session, now: datetime, rules: Rules) -> bool:
    """Whether a session is likely to be over: a copy of what came would be none of a redelivery."""
    last, due = session.last_seen_at, session.next_deadline
    if last is None or now - last <= rules.redelivery or (due is not None and due > now):
        return False
    return session.ended or not session.active or now - last >= rules.session_idle


@attrs.define
class Logs:
    """Several logs as one: positions are line numbers, counted on from one file to the next.

    After the reading, ``errors`` holds what kept a log from being read to its end, and ``odd`` what is
    worth a word, by the log's name.
    """

    logs: list[Log]
    odd: dict[str, Oddities] = attrs.field(factory=dict)
    errors: list[LogError] = attrs.field(factory=list)
    lines: int = 0
    begins: list[tuple[int, str]] = attrs.field(factory=list)
    """How many lines stood before each log, and its path."""

    def place(self, position: int) -> tuple[str, int] | None:
        """The file and the line in it of a position; ``None`` where that is no file."""
        before, path = self.begins[bisect_left(self.begins, (position, "")) - 1]
        return None if path == STDIN else (path, position - before)

    def deliveries(self) -> Iterator[Delivery]:
        for log in self.logs:
            before, odd = self.lines, self.odd.setdefault(log.name, Oddities())
            self.begins.append((before, log.path))
            try:
                for line in log.lines():
                    self.lines = before + line.number
                    if not line.blank:
                        delivery = log.delivery(line, self.lines)
                        odd.look_at(delivery, line.number)
                        yield delivery
            except LogError as error:
                self.errors.append(error)
