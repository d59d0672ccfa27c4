"""``deadlines``: when time alone will next change a session (or other stream). Made by the follower."""

from __future__ import annotations

from projections.read_models import Row, Table, text
from tracker.rules import Rules
from tracker.session import Session, next_deadline

TABLE = Table(
    name="deadlines",
    columns={"stream": str, "at": str},
    pk=("stream",),
    indexes=(("at",),),
)

DUE = "SELECT stream FROM deadlines WHERE at <= ? ORDER BY at, stream"


def rows(settled: Session, rules: Rules) -> list[Row]:
    """One row, or none where time will change nothing any more."""
    waiting = (found.deadline for found in settled.findings if found.verdict == "provisional")
    at = min(filter(None, (next_deadline(settled, rules), *waiting)), default=None)
    return [] if at is None else [(settled.stream, text(at))]
