"""What the sessions of one meeting say of each other: a room has one session at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime

from projections.read_models import findings, spans
from tracker.accept import accept_all
from tracker.delivery.webhook import UNROUTED
from tracker.judging.findings.overlaps import outline, overlapping
from tracker.judging.state import Session
from tracker.rules import Rules

__all__ = ["completed", "concerned"]


def concerned(
    db: sqlite3.Connection,
    sessions: Mapping[str, Session],
    before: spans.Begins,
    settled: Collection[str],
) -> list[str]:
    """The streams of sessions that may be seen otherwise because of what came of these, whose ``spans`` are written.

    One that began later may have begun while one of these was live, unless it is ``settled`` with them. One that had
    not ended has given way to the next of its room, where the begin of that was not known ``before``.
    """
    found: set[str] = set()
    for session in sessions.values():
        if session.meeting_id is not None:
            found.update(one for one in spans.later_ones(db, session, before) if one not in settled)
            if spans.begins_now(session, before):
                found.update(spans.given_way(db, session))
    return sorted(found)


def completed(
    db: sqlite3.Connection,
    rules: Rules,
    session: Session,
    now: datetime | None,
    *,
    at: int | None = None,
    as_of: datetime | None = None,
) -> datetime | None:
    """Adds X406 to a session where another one of its meeting was live when it began, and marks what is accepted.

    What is outside any session is as grave as it is written.

    It is what is known ``now``, or was right after the position ``at``, or at the moment ``as_of``. Returns until when
    the other session's end may come, late.
    """
    other = spans.overlapped_by(db, session, rules, at=at, as_of=as_of)
    moment = session.last_seen_at if at is not None else as_of or now
    deadline = None
    if other is not None:
        found = overlapping(outline(session), other, rules, moment)
        found.number = len(session.findings) + 1
        deadline = found.deadline if found.verdict == "provisional" else None
        session.findings.append(found)
    if session.stream.startswith(UNROUTED):  # how grave it is depends on what had come before it in the log
        severities = findings.severities(db, session)
        for one in session.findings:
            one.severity = severities.get((one.position or 0, one.code), one.severity)
    session.findings = accept_all(session.findings, rules.accept)
    return deadline
