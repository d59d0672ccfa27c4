"""``links``: what has a stream of its own, and which session or which room it was for: calls, agents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from projections.read_models import ReadModels, Row, Table, among, is_one_of, listed, text
from tracker.delivery.envelope import parse_time
from tracker.judging.state import Session
from tracker.lifecycles import REGISTRY


def rows(session: Session) -> Iterator[Row]:
    seen = text(session.first_seen_at), text(session.last_seen_at)
    for session_id, meeting_id in session.links:
        yield session.stream, session_id, meeting_id, *seen


TABLE = Table(
    name="links",
    columns={"stream": str, "session_id": str, "meeting_id": str, "first_seen_at": str, "last_seen_at": str},
    pk=("stream", "session_id", "meeting_id"),
    rows=rows,
    indexes=(("session_id",), ("meeting_id",)),
)

_BY_KEY = tuple(name for name, lifecycle in REGISTRY.items() if lifecycle.stream_without_session)
_EARLY = timedelta(minutes=10)
"""So long before its session may begin what names only the room of it: a call rings before somebody is inside."""
_SESSION = (
    "SELECT meeting_id, first_seen_at, COALESCE(ended_at, last_seen_at) AS until FROM sessions "
    "WHERE session_id = :session"
)
_BESIDE = f"""
SELECT stream, MIN(first_seen_at) AS began FROM (
    SELECT stream, first_seen_at FROM links WHERE session_id = :session
    UNION ALL
    SELECT stream, first_seen_at FROM links
    WHERE meeting_id = :meeting AND session_id IS NULL AND first_seen_at BETWEEN :since AND :until
    UNION ALL
    SELECT r.stream, r.first_step_at FROM runs s JOIN runs r ON r.lifecycle = s.lifecycle AND r.key = s.key
    WHERE s.session_id = :session AND r.session_id IS NULL
        AND {is_one_of("s.lifecycle", _BY_KEY)}
) GROUP BY stream ORDER BY began, stream
"""


def beside(db: ReadModels, session_id: str) -> list[str]:
    """The streams of what a session had beside it, the one that began first first.

    They name the session; or they name none, but its room, and began while it was on; or they have the key of a thing in it.
    """
    values: dict[str, str | None] = {"session": session_id, "meeting": None, "since": None, "until": None}
    for row in db.query(_SESSION, {"session": session_id}):
        first = parse_time(row["first_seen_at"] or "")
        values |= {"meeting": row["meeting_id"], "until": row["until"]}
        values["since"] = text(first - _EARLY) if first is not None else None
    return [row["stream"] for row in db.query(_BESIDE, values)]


def runs(
    db: ReadModels,
    *,
    lifecycles: Sequence[str] = (),
    states: Sequence[str] = (),
    session: str | None = None,
    meeting: str | None = None,
    account: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = -1,
) -> Iterator[dict[str, Any]]:
    """The runs of whatever is neither a session nor a visit, with the session or the room that each was for.

    Those that began last come first, and those without a time last. ``session`` is of what was in it or names it;
    ``since`` and ``until`` are ISO 8601 in UTC: a step came since then, and it had begun by then.
    """
    values: dict[str, Any] = {
        "session": session,
        "meeting": meeting,
        "account": account,
        "since": since,
        "until": until,
        "limit": limit,
    }
    values |= {"lifecycles": listed(lifecycles), "states": listed(states)}
    conditions = [condition for name, condition in _ASKED.items() if values[name] not in (None, "[]")]
    rows = db.query(
        f"SELECT * FROM ({_RUNS}) WHERE {' AND '.join(conditions) or '1'}"
        " ORDER BY began_at IS NULL, began_at DESC, stream, lifecycle, key, run LIMIT :limit",
        values,
    )
    for row in rows:
        del row["last_step_at"]
        yield {**row, "key": json.loads(row["key"]), "findings": json.loads(row["findings"])}


_RUNS = (
    "SELECT r.lifecycle, r.key, r.run, r.state, r.certainty, r.first_step_at AS began_at, r.stopped_at AS ended_at,"
    " r.stream, COALESCE(r.session_id, (SELECT l.session_id FROM links l WHERE l.stream = r.stream"
    " AND l.session_id IS NOT NULL LIMIT 1)) AS session_id, COALESCE(s.meeting_id, (SELECT l.meeting_id FROM links l"
    " WHERE l.stream = r.stream AND l.meeting_id IS NOT NULL LIMIT 1)) AS meeting_id, r.last_step_at,"
    " (SELECT json_group_array(code) FROM (SELECT f.code FROM findings f WHERE f.stream = r.stream AND f.run = r.run"
    " AND f.lifecycle = r.lifecycle AND f.key = r.key ORDER BY f.number)) AS findings, r.account"
    " FROM runs r LEFT JOIN sessions s ON s.session_id = r.session_id"
)
_ASKED = {
    "lifecycles": among("lifecycle", "lifecycles"),
    "states": among("state", "states"),
    "session": "(session_id = :session OR stream IN (SELECT stream FROM links WHERE session_id = :session))",
    "meeting": "(meeting_id = :meeting OR stream IN (SELECT stream FROM links WHERE meeting_id = :meeting))",
    "account": "account = :account",
    "since": "last_step_at >= :since",
    "until": "began_at <= :until",
}
