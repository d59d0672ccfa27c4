"""From deliveries straight to findings, with no read model in between and no store needed.

Only what may still change is in memory. A session that has ended and whose last window has closed is
told and put aside, on disk; should anything more come of it, it is folded again with that.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import attrs
import msgspec

from tracker.bulk import bulk
from tracker.envelope import UNVERIFIED, Received
from tracker.errors import LogError
from tracker.findings import Finding
from tracker.logs import STDIN, Log, Oddities
from tracker.rules import Rules
from tracker.session import Session, SessionState, conclude, judge, next_deadline, settle
from tracker.store import UNROUTED
from tracker.traffic import Span, Traffic, consequence, dated, overlapping, rival, span
from tracker.webhook import Delivery, parse

SWEEP = 10_000
"""Deliveries after which is looked who can be put aside."""
_Heard = tuple[int, bytes, datetime | None, str | None, bool, int | None]
"""What a session is folded from again; from where it came says nothing of it."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[_Heard]).decode


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
    """What was heard of sessions that are over, in a file of its own that goes with the audit."""

    db: sqlite3.Connection = attrs.field(factory=lambda: sqlite3.connect(""))

    def __attrs_post_init__(self) -> None:
        self.db.execute("CREATE TABLE heard (stream TEXT PRIMARY KEY, lines BLOB) WITHOUT ROWID")

    def put(self, stream: str, heard: list[Delivery]) -> None:
        packed = _pack([_heard(one.position, one.received) for one in heard])
        self.db.execute("INSERT INTO heard VALUES (?, ?)", (stream, packed))

    def fetch(self, stream: str) -> list[Delivery]:
        """What was heard of it, which is not aside any more; nothing of one that never was."""
        row = self.db.execute("SELECT lines FROM heard WHERE stream = ?", (stream,)).fetchone()
        if row is None:
            return []
        self.db.execute("DELETE FROM heard WHERE stream = ?", (stream,))
        return [_delivery(*one) for one in _unpack(row[0])]


def _heard(position: int, received: Received) -> _Heard:
    refuted = received.verified_by == UNVERIFIED
    return position, received.body, received.received_at, received.unread_time, refuted, received.cut_from


def _delivery(
    position: int,
    body: bytes,
    at: datetime | None,
    unread_time: str | None,
    refuted: bool,  # noqa: FBT001 - as it was packed
    cut_from: int | None,
) -> Delivery:
    verified_by = UNVERIFIED if refuted else None
    return parse(Received(body, at, "", verified_by, unread_time, cut_from), position)


@attrs.define
class _Run:
    """An audit under way: the sessions in memory, with all that was heard of each, and those put aside."""

    rules: Rules
    see: Callable[[Session], None] | None
    result: Audit = attrs.field(factory=Audit)
    traffic: Traffic = attrs.field(factory=Traffic)
    sessions: dict[str, Session] = attrs.field(factory=dict)
    heard: dict[str, list[Delivery]] = attrs.field(factory=dict)
    aside: _Aside = attrs.field(factory=_Aside)
    found: dict[str, list[Finding]] = attrs.field(factory=dict)
    alone: list[Finding] = attrs.field(factory=list)
    named: dict[str, set[str]] = attrs.field(factory=dict)
    meetings: dict[str | None, set[str]] = attrs.field(factory=dict)
    spans: dict[str | None, list[Span]] = attrs.field(factory=dict)
    rivals: dict[str, Span] = attrs.field(factory=dict)

    def hear(self, delivery: Delivery) -> None:
        self.result.deliveries += 1
        self.traffic.hear(delivery, self.rules)
        if delivery.stream.startswith(UNROUTED):  # it stands alone; only what its stream named is known
            alone = Session(delivery.stream, named=self.named.setdefault(delivery.stream, set()))
            judge(alone, delivery, self.rules)
            self.alone.extend(alone.findings)
            return
        session = self.sessions.get(delivery.stream) or self._begin(delivery)
        judge(session, delivery, self.rules)
        self.heard[delivery.stream].append(delivery)
        self.meetings.setdefault(session.meeting_id, set()).add(delivery.stream)
        if self.result.deliveries % SWEEP == 0:
            self._sweep()

    def end(self, as_of: datetime | None) -> Audit:
        for stream in list(self.sessions):
            self._tell(stream, as_of or self.traffic.newest)
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
        session = self.sessions[stream] = Session(stream, delivery.session_id)
        self.heard[stream] = self.aside.fetch(stream)
        for earlier in self.heard[stream]:
            judge(session, earlier, self.rules)
        if session.deliveries:
            self.found.pop(stream, None)
            self.result.told.pop(delivery.session_id or "", None)
            beside = self.spans.get(session.meeting_id, [])
            beside[:] = [one for one in beside if one.stream != stream]
        elif delivery.session_id is not None:
            self.result.sessions += 1
        return session

    def _tell(self, stream: str, as_of: datetime | None) -> None:
        """What is found of a session, now that nothing is expected of it any more."""
        session = conclude(self.sessions[stream], as_of, self.rules)
        found = [*dated(session)]
        other = self._rival(session)
        if other is not None:
            found.append(overlapping(session, other, self.rules, as_of))
        if found:
            self.found[stream] = found
            if session.session_id is not None:
                self.result.told[session.session_id] = session.meeting_id, session.state
        if self.see:
            self.see(session)

    def _rival(self, session: Session) -> Span | None:
        """The session of its meeting that it overlaps with."""
        if session.meeting_id is None or session.session_id is None:
            return None
        this = span(session)
        beside = (self.sessions[stream] for stream in self.meetings[session.meeting_id])
        known = [*map(span, beside), *self.spans.get(session.meeting_id, ())]
        if this.stream in self.rivals:  # it had been put aside
            known.append(self.rivals[this.stream])
        other = rival(this, known, self.rules)
        if other is not None:
            self.rivals[this.stream] = other
        return other

    def _sweep(self) -> None:
        """Puts aside who is over. Of one that others of its meeting may overlap with, it is kept when it was."""
        now = self.traffic.newest
        seen = [_over(one, now, self.rules) for one in self.sessions.values()] if now is not None else []
        over = [one for one in seen if one is not None]
        self.sessions.update((session.stream, session) for session in over)
        for session in over:
            self._tell(session.stream, now)
        for session in over:
            del self.sessions[session.stream]
            self.aside.put(session.stream, self.heard.pop(session.stream))
            beside = self.meetings[session.meeting_id]
            beside.remove(session.stream)
            self.spans.setdefault(session.meeting_id, []).append(span(session))
            if not beside:
                del self.meetings[session.meeting_id], self.spans[session.meeting_id]
        for meeting in {session.meeting_id for session in over} & self.spans.keys():
            live = [span(self.sessions[stream]) for stream in self.meetings[meeting]]
            spans = self.spans[meeting]
            self.spans[meeting] = [one for one in spans if any(rival(this, [one], self.rules) for this in live)]


def _over(session: Session, now: datetime, rules: Rules) -> Session | None:
    """The session settled, if time will change nothing more of it, and a copy of what came would be none of a redelivery."""
    last = session.last_seen_at
    if last is None or now - last <= rules.redelivery:
        return None
    if session.active and not session.ended and now - last < rules.session_idle:
        return None
    settled = settle(session, now, rules)
    return settled if next_deadline(settled, rules) is None else None


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
