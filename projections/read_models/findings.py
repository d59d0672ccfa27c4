"""``findings``: one row a finding; its columns are the finding's fields."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from projections.read_models import ReadModels, Row, Table, among, listed, text
from tracker.findings import Finding
from tracker.judging.state import Session

_json = msgspec.json.Encoder().encode


def rows(session: Session) -> Iterator[Row]:
    return rows_of(session.stream, session.findings)


def rows_of(stream: str, findings: Iterable[Finding]) -> Iterator[Row]:
    """The rows of what was found in one stream."""
    for found in findings:
        yield (
            stream,
            found.number,
            found.code,
            found.slug,
            found.severity,
            found.verdict,
            found.confidence,
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
            found.advice,
            _json(found.alternatives).decode() if found.alternatives else None,
            found.cause,
            text(found.deadline),
            _json(found.missing).decode() if found.missing else None,
            found.account,
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
        "confidence": float,
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
        "advice": str,
        "alternatives": str,
        "cause": str,
        "deadline": str,
        "missing": str,
        "account": str,
    },
    pk=("stream", "number"),
    rows=rows,
    foreign_keys=(("session_id", "sessions", "session_id"),),
    indexes=(
        ("session_id",),
        ("meeting_id",),
        ("account",),
        ("code", "severity", "verdict"),
        ("position",),
        ("code", "cause", "at", "severity", "verdict"),
    ),
    followed_by=(("at", "severity", "code", "verdict"),),
)

LACKING_SINCE = "SELECT DISTINCT stream FROM findings WHERE missing IS NOT NULL AND at > ?"
"""The streams with a finding that something is missing, dated later than a time."""
_SEVERITIES = "SELECT position, code, severity FROM findings WHERE stream = ? AND position BETWEEN ? AND ?"


VIEWS = {
    "open_findings": "SELECT * FROM findings WHERE verdict != 'accepted' AND severity != 'info' "
    "ORDER BY position DESC"
}


def severities(db: sqlite3.Connection, session: Session) -> dict[tuple[int, str], Any]:
    """How grave is what is written of a stream between its first delivery and its last: position and code -> severity."""
    rows = db.execute(_SEVERITIES, (session.stream, session.first_position, session.last_position))
    return {(position, code): severity for position, code, severity in rows}


def find(
    db: ReadModels,
    *,
    codes: Sequence[str] = (),
    severities: Sequence[str] = (),
    verdict: str | None = None,
    since: str | None = None,
    before: tuple[int, int] | None = None,
    limit: int = -1,
    **equal: Any,
) -> Iterator[dict[str, Any]]:
    """Findings, the newest delivery's first.

    ``equal`` are columns and their values, ``None`` for any. ``since`` is ISO 8601 in UTC and compared
    with when it became true. ``before`` is the position and the number of the last one of a page. What is
    found of the whole log has no position; it comes last, and stands at position 0 in ``before``.
    """
    conditions, values = _conditions(codes, severities, verdict, since, equal)
    if before is None:
        parts = ["TRUE"]
    else:
        values |= {"before": before[0], "number": before[1]}
        parts = ["position IS NULL AND number < :number"]
        if before[0]:
            parts = ["(position, number) < (:before, :number)", "position IS NULL"]
    rows = (row for part in parts for row in db.query(_select([*conditions, part]), {**values, "limit": limit}))
    return rows if limit < 0 else islice(rows, limit)


def _select(conditions: Sequence[str]) -> str:
    where = " AND ".join(conditions)
    return f"SELECT * FROM findings WHERE {where} ORDER BY position DESC, number DESC LIMIT :limit"


def numbers(
    db: ReadModels,
    *,
    codes: Sequence[str] = (),
    severities: Sequence[str] = (),
    verdict: str | None = None,
    since: str | None = None,
    **equal: Any,
) -> Iterator[dict[str, Any]]:
    """How many there are of each ``code``, ``severity``, ``state_before`` and ``state_after``; asked for as in ``find``."""
    conditions, values = _conditions(codes, severities, verdict, since, equal)
    return db.query(
        "SELECT code, severity, state_before, state_after, COUNT(*) AS number FROM findings "
        f"WHERE {' AND '.join(conditions)} GROUP BY code, severity, state_before, state_after ORDER BY code",
        values,
    )


def counts(
    db: ReadModels, *, verdict: str | None = None, since: str | None = None, **equal: Any
) -> Iterator[dict[str, Any]]:
    """How many there are of each ``code`` and ``severity``; asked for as in ``find``."""
    conditions, values = _conditions((), (), verdict, since, equal)
    where = " AND ".join(conditions)
    return db.query(
        f"SELECT code, severity, COUNT(*) AS number FROM findings WHERE {where} GROUP BY code, severity", values
    )


def copies(db: ReadModels, first: int, last: int) -> list[tuple[int, list[int]]]:
    """The deliveries from one position to another that are copies of deliveries before the first, each with those."""
    rows = db.query(
        "SELECT position, evidence FROM findings WHERE position BETWEEN ? AND ? AND code = 'D101' ORDER BY position",
        (first, last),
    )
    every = ((row["position"], msgspec.json.decode(row["evidence"], type=list[int])) for row in rows)
    before = ((position, [one for one in evidence if one < first]) for position, evidence in every)
    return [(position, found) for position, found in before if found]


def _conditions(
    codes: Sequence[str],
    severities: Sequence[str],
    verdict: str | None,
    since: str | None,
    equal: dict[str, Any],
) -> tuple[list[str], dict[str, Any]]:
    conditions = ["verdict = :verdict" if verdict else "1"]
    conditions += [f"{column} = :{column}" for column, value in equal.items() if value is not None]
    values: dict[str, Any] = {"verdict": verdict, "since": since, **equal}
    for column, name, wanted in (("code", "codes", codes), ("severity", "severities", severities)):
        if wanted:
            conditions.append(among(column, name))
            values[name] = listed(wanted)
    if since is not None:
        conditions.append("at >= :since")
    return conditions, values
