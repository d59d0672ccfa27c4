"""``sessions``: one row a session, as it stands at the newest receive time of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from projections.read_models import Row, Table, text
from tracker.findings import SEVERITIES
from tracker.session import Session, standing

if TYPE_CHECKING:  # importing it takes long, and not every command needs it
    from sqlite_utils import Database


def rows(session: Session) -> Iterator[Row]:
    if session.session_id is None:
        return
    visits = [one for one in session.aggregates.values() if one.lifecycle.visits]
    found = list(standing(session))
    severities = [one.severity for one in found if one.verdict not in ("provisional", "accepted")]
    yield (
        session.session_id,
        session.meeting_id,
        session.state,
        session.certainty,
        text(session.started_at),
        text(session.ended_at),
        text(session.first_seen_at),
        text(session.last_seen_at),
        session.deliveries,
        session.last_position,
        len(visits),
        sum(not one.runs[-1].closed for one in visits if one.runs),
        max(severities, key=SEVERITIES.index, default=None),
        severities.count("error"),
        severities.count("warning"),
        sum(one.verdict == "provisional" and one.severity != "info" for one in found),
    )


TABLE = Table(
    name="sessions",
    columns={
        "session_id": str,
        "meeting_id": str,
        "state": str,
        "certainty": str,
        "started_at": str,
        "ended_at": str,
        "first_seen_at": str,
        "last_seen_at": str,
        "deliveries": int,
        "last_position": int,
        "participants": int,
        "inside": int,
        "severity": str,
        "errors": int,
        "warnings": int,
        "provisional": int,
    },
    pk=("session_id",),
    rows=rows,
    indexes=(("meeting_id",), ("state",), ("last_seen_at",), ("last_position",)),
    owner="session_id",
)

VIEWS = {
    "live_sessions": "SELECT * FROM sessions WHERE state IN ('live', 'unknown') ORDER BY last_seen_at DESC"
}


def find(
    db: Database,
    *,
    live: bool = False,
    meeting: str | None = None,
    findings: Sequence[str] = (),
    since: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Sessions, the one heard of last first. ``since`` is ISO 8601 in UTC; any of the codes ``findings``.

    With a ``limit``, a page of them by their last position, the newest first, from ``before`` on: a
    session that is heard of between two pages comes to the front and moves none of the others.
    """
    conditions, order = ["1"], "last_seen_at DESC, last_position DESC"
    if before is not None:
        conditions.append("last_position < :before")
    if limit is not None:
        order = "last_position DESC LIMIT :limit"
    if live:
        conditions.append("state IN ('live', 'unknown')")
    if meeting is not None:
        conditions.append("meeting_id = :meeting")
    if since is not None:
        conditions.append("last_seen_at >= :since")
    codes = {f"code{number}": code for number, code in enumerate(findings)}
    if codes:
        named = ", ".join(f":{name}" for name in codes)
        conditions.append(
            f"session_id IN (SELECT session_id FROM findings WHERE code IN ({named}) AND verdict != 'retracted')"
        )
    return db.query(
        f"SELECT * FROM sessions WHERE {' AND '.join(conditions)} ORDER BY {order}",
        {"meeting": meeting, "since": since, "before": before, "limit": limit, **codes},
    )


def of_meeting(db: Database, meeting_id: str) -> list[str]:
    """The ids of a meeting's sessions, the newest first."""
    return [row["session_id"] for row in find(db, meeting=meeting_id)]


def heard(db: Database, after: int, limit: int) -> Iterator[dict[str, Any]]:
    """Sessions that were heard of behind the position ``after``, by their last position."""
    return db.query(
        "SELECT * FROM sessions WHERE last_position > ? ORDER BY last_position LIMIT ?", (after, limit)
    )


def decided(
    db: Database, position: int, since: str, until: str | None, horizon: str
) -> Iterator[dict[str, Any]]:
    """Sessions not heard of behind ``position`` of which time alone decided something in ``(since, until]``.

    Whatever time decides leaves a finding. None of them was last heard of before ``horizon``.
    """
    return db.query(
        "SELECT * FROM sessions s WHERE last_seen_at >= :horizon AND last_position <= :position AND EXISTS ("
        "SELECT 1 FROM findings f WHERE f.session_id = s.session_id AND (f.at > :since AND f.at <= :until "
        "OR f.deadline > :since AND f.deadline <= :until)) ORDER BY last_position",
        {"position": position, "since": since, "until": until, "horizon": horizon},
    )
