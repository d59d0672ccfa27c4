"""``spans``: when each session was, to find those of one meeting that overlap. Made for the follower."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from projections.read_models import Row, Table, among, listed, text
from tracker.delivery.envelope import parse_time
from tracker.judging.findings.overlaps import Order, Span, live_at_begin, outline, span
from tracker.judging.hypothesis import micros, moment
from tracker.judging.state import Session
from tracker.rules import Rules

Begins = Mapping[str, tuple[str | None, str | None]]
"""Stream -> when it was first received, and when it began by its own clock, as far as that is known."""
_json = msgspec.json.Encoder().encode
_occupied = msgspec.json.Decoder(tuple[tuple[Order, Order | None], ...]).decode
_times = msgspec.json.Decoder(tuple[tuple[datetime, datetime], ...]).decode


def rows(session: Session) -> Iterator[Row]:
    if session.session_id is not None and session.meeting_id is not None and session.deliveries:
        one = span(session)
        times = (text(one.began), text(one.last_seen), text(one.end_received_at))
        known = (one.stream, one.meeting_id, one.first_position, one.end_position)
        yield (
            *known,
            *times,
            one.last_position,
            _json(one.occupied).decode(),
            _json(one.idle).decode(),
            int(one.presence_known),
            text(one.started_at),
            text(one.ended_at),
            text(one.begun_at),
            one.account,
        )


TABLE = Table(
    name="spans",
    columns={
        "stream": str,
        "meeting_id": str,
        "first_position": int,
        "end_position": int,
        "began": str,
        "last_seen": str,
        "end_received_at": str,
        "last_position": int,
        "occupied": str,
        "idle": str,
        "presence_known": int,
        "started_at": str,
        "ended_at": str,
        "begun_at": str,
        "account": str,
    },
    pk=("stream",),
    rows=rows,
    followed_by=(
        ("meeting_id", "last_seen"),
        ("meeting_id", "begun_at"),
        ("meeting_id", "began", "first_position"),
    ),
)

_BEGINS = f"SELECT stream, began, begun_at FROM spans WHERE {among('stream')}"
_GIVEN_WAY = (
    "SELECT stream FROM spans WHERE meeting_id = ?1 AND last_seen < ?2 AND end_position IS NULL AND stream <> ?3"
    " AND last_seen >= COALESCE((SELECT MAX(begun_at) FROM spans WHERE meeting_id = ?1 AND begun_at < ?2), '')"
)
_LATER = (
    "SELECT stream FROM spans WHERE meeting_id = ?1 AND (began, first_position) > (?2, ?3) UNION ALL"
    " SELECT stream FROM spans WHERE meeting_id = ?1 AND began IS NULL AND ?2 = '' AND first_position > ?3"
)
_BESIDE = "SELECT 1 FROM spans WHERE meeting_id = ? AND stream <> ? LIMIT 1"
_NEXT = "SELECT MIN(begun_at) FROM spans WHERE meeting_id = ? AND begun_at > ?"
_MALFORMED = "malformed spans"
_FOLLOWING = (
    "SELECT n.stream FROM spans n WHERE n.meeting_id = ?1 AND (n.began, n.first_position) >"
    " (COALESCE(s.began, ''), s.first_position) ORDER BY n.began, n.first_position LIMIT 1"
)
_OF_MEETING = (
    "WITH beside AS (SELECT stream, began, first_position FROM spans WHERE meeting_id = ?1 AND last_seen >= ?2 UNION ALL"
    " SELECT stream, began, first_position FROM spans WHERE meeting_id = ?1 AND last_seen IS NULL)"
    f" SELECT {', '.join(TABLE.columns)} FROM spans WHERE stream IN"
    f" (SELECT stream FROM beside UNION SELECT ({_FOLLOWING}) FROM beside s)"
)
"""Those of a meeting of which something came since a moment, and of each the next one: to that it may have given way."""


def overlapped_by(
    db: sqlite3.Connection,
    session: Session,
    rules: Rules,
    *,
    at: int | None = None,
    as_of: datetime | None = None,
) -> Span | None:
    """The session of its meeting that was live when it began, as is known, or was right after a position or at a moment."""
    this = outline(session)
    if session.session_id is None or this.meeting_id is None or not session.deliveries:
        return None
    if not db.execute(_BESIDE, (this.meeting_id, this.stream)).fetchall():  # as in most rooms
        return None
    earliest = text(this.began - rules.session_idle) if this.began else ""
    rows = list(_select(db, (this.meeting_id, earliest)))
    if all(row["stream"] == this.stream for row in rows):
        return None
    found = (_span({**row, "occupied": "[]"} if row["stream"] == this.stream else row) for row in rows)
    return live_at_begin(this, (_known_by(one, at, as_of) for one in found), rules)


def begins(db: sqlite3.Connection, streams: Iterable[str]) -> Begins:
    """What is written here of the begins of these sessions."""
    rows = db.execute(_BEGINS, (listed(streams),))
    return {stream: (began, begun_at) for stream, began, begun_at in rows}


def later_ones(db: sqlite3.Connection, session: Session, before: Begins) -> list[str]:
    """The streams of the sessions of its meeting that began after it, and may have been beside it.

    One whose receive times were not known ``before`` counted as the first of all.
    """
    was_dated = before.get(session.stream, ("dated", None))[0] is not None
    began = (text(session.first_seen_at) or "") if was_dated else ""
    return [
        stream for (stream,) in db.execute(_LATER, (session.meeting_id, began, session.first_position or 0))
    ]


def begins_now(session: Session, before: Begins) -> bool:
    """Whether its begin was not known ``before``."""
    if session.begun_at is None or session.meeting_id is None:
        return False
    return before.get(session.stream, (None, None))[1] is None


def given_way(db: sqlite3.Connection, session: Session) -> list[str]:
    """The streams of the sessions of its meeting that had not ended, and whose room's next session it is."""
    values = session.meeting_id, text(session.begun_at), session.stream
    return [stream for (stream,) in db.execute(_GIVEN_WAY, values)]


def next_begin(db: sqlite3.Connection, meeting_id: str, after: int) -> int | None:
    """When the next session of a meeting was seen to begin after a moment, in microseconds."""
    ((begun,),) = db.execute(_NEXT, (meeting_id, text(moment(after)))).fetchall()
    if begun is None:
        return None
    at = parse_time(begun) if isinstance(begun, str) else None
    if at is None:
        raise sqlite3.DatabaseError(_MALFORMED)
    return micros(at)


def _select(db: sqlite3.Connection, values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    for found in db.execute(_OF_MEETING, values):
        row = dict(zip(TABLE.columns, found, strict=True))
        positions = row["first_position"], row["last_position"], row["end_position"] or 0
        if not all(isinstance(one, int) for one in positions):
            raise sqlite3.DatabaseError(_MALFORMED)
        yield row


def _known_by(one: Span, at: int | None, as_of: datetime | None) -> Span:
    """What was known of it right after a position or at a moment: an end that came later was not known yet."""
    if at is not None:
        is_known = one.end_position is None or one.end_position <= at
    else:
        is_known = as_of is None or one.end_received_at is None or one.end_received_at <= as_of
    if is_known:
        return one
    return replace(one, end_position=None, end_received_at=None, ended_at=None)


def _span(row: dict[str, Any]) -> Span:
    """The span of a row. Raises ``sqlite3.DatabaseError``."""
    try:
        times = {
            name: parse_time(row[name]) if row[name] else None
            for name in ("began", "last_seen", "end_received_at", "started_at", "ended_at", "begun_at")
        }
        laid = {"occupied": _occupied(row["occupied"]), "idle": _times(row["idle"])}
    except (TypeError, msgspec.DecodeError) as error:
        raise sqlite3.DatabaseError(_MALFORMED) from error
    return Span(**{**row, **times, **laid})
