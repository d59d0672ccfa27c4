"""``findings``: one row a reproach, retracted ones too; its columns are the finding's fields."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from projections.read_models import Row, Table, text
from tracker.session import Session

_json = msgspec.json.Encoder().encode


def rows(session: Session) -> Iterator[Row]:
    for found in session.all_findings():
        yield (
            session.stream,
            found.number,
            found.code,
            found.slug,
            found.severity,
            found.verdict,
            found.session_id,
            found.meeting_id,
            found.lifecycle,
            _json(found.key).decode(),
            found.run,
            found.position,
            _json(found.evidence).decode(),
            text(found.at),
            found.state_before,
            found.state_after,
            _json(found.expected).decode(),
            found.message,
            found.cause,
            text(found.deadline),
            _json(found.missing).decode() if found.missing else None,
        )


TABLE = Table(
    name="findings",
    columns={
        "stream": str,
        "number": int,
        "code": str,
        "slug": str,
        "severity": str,
        "verdict": str,
        "session_id": str,
        "meeting_id": str,
        "lifecycle": str,
        "key": str,
        "run": int,
        "position": int,
        "evidence": str,
        "at": str,
        "state_before": str,
        "state_after": str,
        "expected": str,
        "message": str,
        "cause": str,
        "deadline": str,
        "missing": str,
    },
    pk=("stream", "number"),
    rows=rows,
    foreign_keys=(("session_id", "sessions", "session_id"),),
    indexes=(("session_id",), ("code", "verdict"), ("position",)),
)

LACKING = "SELECT DISTINCT stream FROM findings WHERE missing LIKE ?"
"""The streams with a finding that something is missing; give ``lacking(type)``."""


def lacking(webhook_type: str) -> str:
    return f'%"{webhook_type}"%'


VIEWS = {
    "open_findings": "SELECT * FROM findings WHERE verdict NOT IN ('retracted', 'accepted') AND severity != 'info' "
    "ORDER BY position DESC"
}
