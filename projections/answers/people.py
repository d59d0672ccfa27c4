"""One person: their visits and how long they were, the sessions and rooms, what was recorded meanwhile, and what was wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from projections.answers.presence import IN, OF_ACCOUNT, VISITS, Visit, presence, seen_in, visits_of
from projections.read_models import ReadModels, like, short
from projections.read_models.runs import recordings

Values = dict[str, Any]
MOST = 200
"""Visits, recordings and findings that are listed; the newest ones."""


def person(db: ReadModels, participant_id: str, now: datetime, account: str | None = None) -> Values | None:
    """What is known of a person of this id; ``None`` where nothing is. An open visit lasts up to ``now``.

    With ``account``, what is known from sessions of that account.
    """
    asked = {"person": participant_id, "account": account, "limit": MOST}
    rows = list(
        db.query(
            f"{VISITS} WHERE p.participant_id = :person AND {OF_ACCOUNT} ORDER BY joined_at DESC, p.session_id, p.visit",
            asked,
        )
    )
    if not rows:
        return None
    inside = [row["session_id"] for row in rows if row["session_state"] == "live" and row["state"] == IN]
    visits = visits_of([seen_in(row, now) for row in rows])
    runs = list(recordings(db, person=participant_id, account=account, by_id=True, limit=MOST))
    names = {row["name"] for row in rows if row["name"]}
    return {
        "participant_id": participant_id,
        "names": sorted(names),
        "sessions": len({row["session_id"] for row in rows}),
        "rooms": len({row["meeting_id"] for row in rows if row["meeting_id"]}),
        "visits": len(rows),
        "minutes": presence(visits).minutes,
        "first_at": short(min(filter(None, (row["joined_at"] for row in rows)), default=None)),
        "last_at": short(max((row["left_at"] or row["joined_at"] or "" for row in rows), default=None)),
        "inside": inside,
        "items": [_visit(row, visit) for row, visit in zip(rows[:MOST], visits, strict=False)],
        "recordings": [_recording(row, participant_id) for row in runs],
        "findings": [_finding(row) for row in db.query(_FINDINGS, asked)],
    }


_FINDINGS = (
    "SELECT f.code, f.slug, f.severity, f.verdict, f.session_id, f.meeting_id, f.lifecycle, f.at, f.message, f.advice"
    " FROM findings f WHERE f.session_id IN (SELECT session_id FROM participants WHERE participant_id = :person)"
    " AND json_extract(f.key, '$.participant_id') = :person AND (:account IS NULL OR f.account = :account)"
    " ORDER BY f.at DESC, f.number DESC LIMIT :limit"
)


def _visit(row: Values, visit: Visit) -> Values:
    _, begin, end = visit
    known = row["joined_at"] is not None and (row["left_at"] is not None or row["state"] == IN)
    same = ("session_id", "meeting_id", "visit", "name", "state", "certainty", "reason")
    return {
        **{name: row[name] for name in same},
        "joined_at": short(row["joined_at"]),
        "left_at": short(row["left_at"]),
        "seconds": None if begin is None or end is None else max(0, int((end - begin).total_seconds())),
        "is_known": known,
    }


def _recording(row: Values, participant_id: str) -> Values:
    """A run, and whether it is one of the person or one during which they were inside."""
    same = ("session_id", "meeting_id", "lifecycle", "key", "run", "state", "certainty", "files", "findings")
    times = {name: short(row[name]) for name in ("started_at", "stopped_at")}
    return {
        **{name: row[name] for name in same},
        **times,
        "own": row["key"].get("participant_id") == participant_id,
    }


def _finding(row: Values) -> Values:
    return {**row, "at": short(row["at"])}


def named(db: ReadModels, name: str, account: str | None = None, limit: int = 20) -> list[Values]:
    """The people of whom this is the name, or a part of it: their ids, with the name and in how many sessions they were."""
    return list(
        db.query(
            "SELECT participant_id, MAX(name) AS name, COUNT(DISTINCT session_id) AS sessions"
            f" FROM participants JOIN sessions s USING (session_id) WHERE name LIKE :part ESCAPE '\\' AND {OF_ACCOUNT}"
            " GROUP BY participant_id ORDER BY sessions DESC, participant_id LIMIT :limit",
            {"part": like(name), "account": account, "limit": limit},
        )
    )
