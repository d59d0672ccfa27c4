"""What is added to a session after it was judged alone: what others of its meeting say of it, and what is accepted."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from projections.read_models import spans
from tracker.accept import accept_all
from tracker.judging.findings.overlaps import overlapping, span
from tracker.judging.state import Session
from tracker.rules import Rules


def completed(
    db: sqlite3.Connection,
    rules: Rules,
    session: Session,
    as_of: datetime | None,
    moment: datetime | None = None,
) -> datetime | None:
    """Adds X406 to a session where another one of its meeting was live when it began, and marks what is accepted.

    ``moment`` asks for what was known then. Returns until when the other session's end may come, late.
    """
    other = spans.overlapped_by(db, session, rules, moment)
    deadline = None
    if other is not None:
        found = overlapping(span(session), other, rules, as_of)
        found.number = len(session.findings) + 1
        deadline = found.deadline if found.verdict == "provisional" else None
        session.findings.append(found)
    session.findings = accept_all(session.findings, rules.accept)
    return deadline
