"""One room: its sessions, who was there and for how long, what was recorded, and what was wrong, day by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any

from projections.answers.issues import issues
from projections.answers.overview import outcomes
from projections.answers.presence import OF_ACCOUNT, VISITS, Visit, presence, seen_in, visits_of
from projections.read_models import ReadModels, is_one_of, short
from projections.read_models.runs import MEDIA
from tracker.delivery.envelope import parse_time

Values = dict[str, Any]
MOST_SESSIONS = 50
"""Sessions of a room that are listed; the newest ones."""


def room(
    db: ReadModels, meeting_id: str, now: datetime, account: str | None = None, zone: tzinfo = UTC
) -> Values | None:
    """What is known of a room; ``None`` where nothing came of it. With ``account``, what of it is of that account.

    ``days`` are those of the time zone.
    """
    asked = {"meeting": meeting_id, "account": account}
    sessions = list(db.query(_SESSIONS, asked))
    if not sessions:
        return None
    visits = list(db.query(f"{VISITS} WHERE s.meeting_id = :meeting AND {OF_ACCOUNT}", asked))
    by_session: dict[str, list[Visit]] = {}
    for row, visit in zip(visits, visits_of([seen_in(row, now) for row in visits]), strict=True):
        by_session.setdefault(row["session_id"], []).append(visit)
    listed = [{**one, **presence(by_session.get(one["session_id"], [])).values()} for one in sessions]
    return {
        "meeting_id": meeting_id,
        "sessions": len(sessions),
        "live": sum(one["state"] == "live" for one in sessions),
        "first_at": short(min(filter(None, (one["began_at"] for one in sessions)), default=None)),
        "last_at": short(max(filter(None, (one["last_seen_at"] for one in sessions)), default=None)),
        "people": len({row["participant_id"] for row in visits}),
        **presence(visit for some in by_session.values() for visit in some).values(),
        "recordings": _recordings(db, asked),
        "issues": issues(db, now, meeting=meeting_id, account=account),
        "zone": str(zone),
        "days": _days(listed, zone),
        "items": [_listed(one) for one in listed[:MOST_SESSIONS]],
    }


_SESSIONS = (
    "SELECT s.*, COALESCE(started_at, first_seen_at) AS began_at FROM sessions s"
    f" WHERE meeting_id = :meeting AND {OF_ACCOUNT}"
    " ORDER BY began_at DESC, last_position DESC"
)


def _recordings(db: ReadModels, asked: Values) -> dict[str, int]:
    """Outcome -> how many of the room's recordings and streams came to it."""
    of_room = f"s.meeting_id = :meeting AND {OF_ACCOUNT} AND {is_one_of('r.lifecycle', MEDIA)}"
    return outcomes(db, f"sessions s JOIN runs r USING (session_id) WHERE {of_room}", asked)


def _days(sessions: Iterable[Values], zone: tzinfo) -> list[Values]:
    """Each day on which a session began, the newest first: how many, their minutes and peak, and what was wrong with them."""
    found: dict[str, Counter[str]] = {}
    for one in sessions:
        began = parse_time(one["began_at"]) if one["began_at"] else None
        day = found.setdefault("" if began is None else f"{began.astimezone(zone):%Y-%m-%d}", Counter())
        day["peak"] = max(day["peak"], one["peak"])
        day["sessions"] += 1
        for name in ("minutes", "errors", "warnings"):
            day[name] += one[name]
    names = ("sessions", "minutes", "peak", "errors", "warnings")
    return [
        {"day": day or None, **{name: _number(numbers[name]) for name in names}}
        for day, numbers in found.items()
    ]


def _number(number: float) -> float:
    return number if isinstance(number, int) else round(number, 1)


def _listed(row: Values) -> Values:
    times = ("started_at", "ended_at", "first_seen_at", "last_seen_at")
    return {name: short(value) if name in times else value for name, value in row.items() if name != "began_at"}
