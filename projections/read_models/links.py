"""``links``: what has a stream of its own, and which session or which room it was for: calls, agents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from projections.read_models import Row, Table, text
from tracker.delivery.envelope import parse_time
from tracker.judging.state import Session
from tracker.lifecycles import REGISTRY

if TYPE_CHECKING:  # importing it takes long, and not every command needs it
    from sqlite_utils import Database


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
        AND s.lifecycle IN ({", ".join(map(repr, _BY_KEY))})
) GROUP BY stream ORDER BY began, stream
"""


def beside(db: Database, session_id: str) -> list[str]:
    """The streams of what a session had beside it, the one that began first first.

    They name the session; or they name none, but its room, and began while it was on; or they have the key of a thing in it.
    """
    values: dict[str, str | None] = {"session": session_id, "meeting": None, "since": None, "until": None}
    for row in db.query(_SESSION, {"session": session_id}):
        first = parse_time(row["first_seen_at"] or "")
        values |= {"meeting": row["meeting_id"], "until": row["until"]}
        values["since"] = text(first - _EARLY) if first is not None else None
    return [row["stream"] for row in db.query(_BESIDE, values)]
