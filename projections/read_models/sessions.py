"""``sessions``: one row a session, as it stands at the newest receive time of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from projections.read_models import (
    ReadModels,
    Row,
    Table,
    among,
    begins,
    escaped,
    is_one_of,
    like,
    listed,
    text,
)
from tracker.delivery.envelope import parse_time
from tracker.findings import SEVERITIES
from tracker.judging.state import Session
from tracker.lifecycle import Lifecycle

_NOT_COUNTED = ("provisional", "undecided", "accepted")
"""Verdicts of findings that do not make a session one with findings."""
_NAMED = 5
"""Sessions that a hint names."""


def rows(session: Session) -> Iterator[Row]:
    if session.session_id is None:
        return
    visits = session.participants
    found = session.findings
    severities = [one.severity for one in found if one.verdict not in _NOT_COUNTED]
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
        sum(not one.run.closed for one in visits),
        max(severities, key=SEVERITIES.index, default=None),
        severities.count("error"),
        severities.count("warning"),
        sum(one.verdict == "provisional" and one.severity != "info" for one in found),
        session.account,
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
        "account": str,
    },
    pk=("session_id",),
    rows=rows,
    indexes=(("meeting_id",), ("account",), ("state", "severity"), ("last_seen_at",), ("last_position",)),
    owner="session_id",
)

LIVE = is_one_of("state", ("live", "unknown"))
"""A condition for those that have not ended, as far as is known."""
VIEWS = {"live_sessions": f"SELECT * FROM sessions WHERE {LIVE} ORDER BY last_seen_at DESC"}


SORTS = {
    "last": "last_seen_at DESC",
    "started": "COALESCE(started_at, first_seen_at) DESC",
    "people": "participants DESC",
    "deliveries": "deliveries DESC",
    "findings": "errors DESC, warnings DESC",
    "position": "last_position DESC",
}
"""The orders of a list; ``position`` is the one in which it comes in pages."""


def find(
    db: ReadModels,
    *,
    live: bool = False,
    states: Sequence[str] = (),
    severities: Sequence[str] = (),
    person: str | None = None,
    meeting: str | None = None,
    account: str | None = None,
    findings: Sequence[str] = (),
    since: str | None = None,
    sort: str = "last",
    before: int | None = None,
    limit: int = -1,
) -> Iterator[dict[str, Any]]:
    """Sessions in one of the orders ``SORTS``. ``since`` is ISO 8601 in UTC; any of the codes ``findings``.

    By ``position`` they come in pages, the newest first, from ``before`` on: a session that gets a delivery between two
    pages comes to the front and moves none of the others. ``person`` is an id, or a part of a name.
    """
    conditions, values = _conditions(meeting, account, findings, since)
    if before is not None:
        conditions.append("last_position < :before")
    if live:
        conditions.append(LIVE)
    for column, words in (("state", states), ("severity", severities)):
        if words:
            conditions.append(among(column, column))
            values[column] = listed(words)
    if person is not None:
        conditions.append(_WITH_PERSON)
        values |= {"person": person, "part": like(person)}
    return db.query(
        f"SELECT * FROM sessions WHERE {' AND '.join(conditions)} ORDER BY {SORTS[sort]}, last_position DESC LIMIT :limit",
        {"before": before, "limit": limit, **values},
    )


def overview(
    db: ReadModels,
    *,
    state: str | None = None,
    severity: str | None = None,
    part: str | None = None,
    account: str | None = None,
    findings: Sequence[str] = (),
    since: str | None = None,
    before: tuple[int, int] | None = None,
    limit: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A page of sessions, the live ones first, and how many there are by ``state`` and ``severity``.

    ``part`` is how an id of the session or its meeting begins, or a part of a person's name. ``before`` is whether the
    last one of a page was live (1 or 0) and its last position. Each row has ``is_live``. The numbers are of all that
    there is, whatever its state and severity.
    """
    conditions, values = _conditions(None, account, findings, since)
    if part is not None:
        conditions.append(_LIKE)
        values |= {"begins": f"{escaped(part)}%", "part": like(part)}
    where = " AND ".join(conditions)
    numbers = db.query(
        f"SELECT state, severity, COUNT(*) AS number FROM sessions WHERE {where} GROUP BY state, severity",
        values,
    )
    counts = list(numbers)
    values |= {"state": state, "severity": severity, "limit": limit}
    for column in ("state", "severity"):
        if values[column] is not None:
            where += f" AND {column} = :{column}"
    rows: list[dict[str, Any]] = []
    for is_live, which in (
        (1, LIVE),
        (0, f"NOT {LIVE}"),
    ):  # each by its index, and no further than the page goes
        bound = ""
        if before is not None and is_live >= before[0]:
            bound = " AND 0" if is_live > before[0] else " AND last_position < :before"
            values["before"] = before[1]
        if len(rows) < limit:
            rows += db.query(
                f"SELECT *, {is_live} AS is_live FROM sessions WHERE {where} AND {which}{bound} "
                "ORDER BY last_position DESC LIMIT :limit",
                {**values, "limit": limit - len(rows)},
            )
    return rows, counts


_WITH_PERSON = (
    "session_id IN (SELECT session_id FROM participants"
    " WHERE participant_id = :person OR name LIKE :part ESCAPE '\\')"
)
_LIKE = (
    "(session_id LIKE :begins ESCAPE '\\' OR meeting_id LIKE :begins ESCAPE '\\' OR session_id IN "
    "(SELECT session_id FROM participants WHERE name LIKE :part ESCAPE '\\'))"
)


def _conditions(
    meeting: str | None, account: str | None, findings: Sequence[str], since: str | None
) -> tuple[list[str], dict[str, Any]]:
    conditions = ["1"]
    if meeting is not None:
        conditions.append("meeting_id = :meeting")
    if account is not None:
        conditions.append("account = :account")
    if since is not None:
        conditions.append("last_seen_at >= :since")
    if findings:
        conditions.append(f"session_id IN (SELECT session_id FROM findings WHERE {among('code', 'codes')})")
    return conditions, {"meeting": meeting, "account": account, "since": since, "codes": listed(findings)}


def newest(db: ReadModels, account: str) -> datetime | None:
    """The newest receive time of the sessions of an account; ``None`` where none is known."""
    (row,) = db.query("SELECT MAX(last_seen_at) AS newest FROM sessions WHERE account = ?", (account,))
    return parse_time(row["newest"]) if row["newest"] else None


def accounts(db: ReadModels) -> list[str]:
    """The accounts that anything came from, in order."""
    found = (row["account"] for table in _WITH_ACCOUNT for row in db.query(_ACCOUNTS.format(table)))
    return sorted(set(found))


_WITH_ACCOUNT = ("sessions", "runs", "findings", "hours")
_ACCOUNTS = (
    "WITH RECURSIVE one (account) AS (SELECT MIN(account) FROM {0} WHERE account > '' UNION ALL"
    " SELECT (SELECT MIN(t.account) FROM {0} t WHERE t.account > one.account) FROM one WHERE account IS NOT NULL)"
    " SELECT account FROM one WHERE account IS NOT NULL"
)
"""From one to the next by the index: there are few, of many rows."""


def of_meeting(db: ReadModels, meeting_id: str) -> list[str]:
    """The ids of a meeting's sessions, the one that began last first."""
    rows = db.query(
        "SELECT session_id FROM sessions WHERE meeting_id = ? "
        "ORDER BY COALESCE(started_at, first_seen_at) DESC, last_position DESC",
        (meeting_id,),
    )
    return [row["session_id"] for row in rows]


def is_there(db: ReadModels, session_id: str) -> bool:
    """Whether there is a session of this id."""
    return any(True for _ in db.query("SELECT 1 FROM sessions WHERE session_id = ?", (session_id,)))


def beginning_with(db: ReadModels, prefix: str) -> list[str]:
    """The ids of the sessions whose ids begin so, in order; none for an empty prefix."""
    return _beginning_with(db, "session_id", prefix)


def meetings_beginning_with(db: ReadModels, prefix: str) -> list[str]:
    """The ids of the meetings whose ids begin so, in order; none for an empty prefix."""
    return _beginning_with(db, "meeting_id", prefix)


def _beginning_with(db: ReadModels, column: str, prefix: str) -> list[str]:
    condition = begins(column, "prefix")
    select = (
        f"SELECT DISTINCT {column} AS id FROM sessions WHERE :prefix != '' AND {condition} ORDER BY {column}"
    )
    return [row["id"] for row in db.query(select, {"prefix": prefix})]


def seen(db: ReadModels, session_id: str) -> tuple[datetime, datetime] | None:
    """When something of a session was first and last received; ``None`` where that is not known."""
    rows = list(
        db.query("SELECT first_seen_at, last_seen_at FROM sessions WHERE session_id = ?", (session_id,))
    )
    times = [parse_time(time) for row in rows for time in row.values() if time]
    first, last = times if len(times) == 2 else (None, None)
    return None if first is None or last is None else (first, last)


def some(ids: Sequence[str]) -> str:
    """Ids as a hint names them: the first few, and how many more there are."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return f"{', '.join(ids[:_NAMED])}{more}"


def near(db: ReadModels, given: str) -> str:
    """A hint for an id that no session has: the sessions of the meeting that has it, or nothing."""
    ids = of_meeting(db, given)
    return f"{given} is a meeting; its sessions: {some(ids)}" if ids else ""


def received(db: ReadModels, after: int, limit: int) -> Iterator[dict[str, Any]]:
    """Sessions that got a delivery behind the position ``after``, by their last position."""
    return db.query(
        "SELECT * FROM sessions WHERE last_position > ? ORDER BY last_position LIMIT ?", (after, limit)
    )


def decided(
    db: ReadModels, position: int, since: str, until: str | None, horizon: str
) -> Iterator[dict[str, Any]]:
    """Sessions without a delivery behind ``position`` of which time alone decided something in ``(since, until]``.

    Whatever time decides leaves a finding. None of them got its last delivery before ``horizon``.
    """
    return db.query(
        "SELECT * FROM sessions s WHERE last_seen_at >= :horizon AND last_position <= :position AND EXISTS ("
        "SELECT 1 FROM findings f WHERE f.session_id = s.session_id AND (f.at > :since AND f.at <= :until "
        "OR f.deadline > :since AND f.deadline <= :until)) ORDER BY last_position",
        {"position": position, "since": since, "until": until, "horizon": horizon},
    )


def paths(db: ReadModels, lifecycle: Lifecycle) -> Iterator[tuple[str | None, tuple[str, ...], int]]:
    """The same as ``runs.paths`` for the sessions themselves."""
    begin, end = lifecycle.steps[0].name, lifecycle.steps[-1].name
    rows = db.query(
        "SELECT certainty != 'inferred' AS began, state = 'ended' AS ended, COUNT(*) AS number "
        "FROM sessions GROUP BY began, ended"
    )
    for row in rows:
        yield (
            None,
            tuple(name for name, at in ((begin, row["began"]), (end, row["ended"])) if at),
            row["number"],
        )


def meeting_of(db: ReadModels, session_id: str) -> str | None:
    """The meeting of a session; ``None`` where there is no such session, or it has none."""
    rows = db.query("SELECT meeting_id FROM sessions WHERE session_id = ?", (session_id,))
    return next((row["meeting_id"] for row in rows), None)
