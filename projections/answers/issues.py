"""What is wrong, grouped: one issue is one code with one cause.

Of each it says how often it was found, in how many sessions and rooms, when first and last, how the findings lie in the
period that was asked for, and how many there were in the period of the same length before. ``trend`` says what that means:
``new`` (never found before), ``back`` (found earlier, but not in the period before) or ``known``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from projections.read_models import ReadModels, among, listed, short, text
from tracker.delivery.envelope import parse_time
from tracker.findings import SEVERITIES
from tracker.judging.findings.catalogue import CATALOGUE

Values = dict[str, Any]
Sort = Literal["severity", "count", "sessions", "last", "first"]
SORTS: tuple[Sort, ...] = get_args(Sort)
BUCKETS = 24
"""Parts of the period, of which each has its number."""
GRAVE = ("error", "warning")

_COLUMNS = {"severities": "severity", "lifecycles": "lifecycle", "codes": "code", "sessions": "session_id"}


def issues(
    db: ReadModels,
    until: datetime,
    *,
    since: datetime | None = None,
    severities: Sequence[str] = GRAVE,
    codes: Sequence[str] = (),
    lifecycles: Sequence[str] = (),
    sessions: Sequence[str] = (),
    meeting: str | None = None,
    account: str | None = None,
    sort: Sort = "severity",
) -> list[Values]:
    """The issues with a finding in ``[since, until]``; all that there are, where ``since`` is ``None``.

    What is accepted does not count. Numbers are of that period, and so are ``first_at`` and ``last_at``; ``first_ever_at``
    is of all time, of what else was asked for. ``before`` is the number in the period of the same length before, ``None``
    where there is no such.
    """
    chosen = {"severities": severities, "lifecycles": lifecycles, "codes": codes, "sessions": sessions}
    where, values = _conditions(chosen, {"meeting_id": meeting, "account": account})
    begin = since or _first(db, where, values) or until
    width = max(until - begin, timedelta(seconds=1))
    values |= {"since": text(begin), "until": text(until), "earlier": text(begin - width)}
    values |= {"width": width.total_seconds() / BUCKETS, "last_bucket": BUCKETS - 1}
    grouped = _GROUPED if since else _GROUPED_EVER
    found = {_identity(row): _issue(row, since) for row in db.query(grouped.format(where), values)}
    for row in db.query(_BUCKETS.format(where), values):
        found[_identity(row)]["buckets"][row["bucket"]] += row["number"]
    for row in db.query(_FIRST_EVER.format(where), values):
        if (issue := found.get(_identity(row))) is not None:
            issue["first_ever_at"] = short(row["first_ever_at"])
            issue["trend"] = _trend(issue, row["first_ever_at"], values["since"], since)
    return sorted(found.values(), key=_ORDERS[sort])


_PERIOD = "at >= :since AND at <= :until"
_NUMBERS = (
    "SELECT code, cause, MAX(CASE severity WHEN 'error' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END) AS gravity,"
    " group_concat(DISTINCT lifecycle) AS lifecycles,"
)
_GROUPED = (
    f"{_NUMBERS} SUM({_PERIOD}) AS number, COUNT(DISTINCT CASE WHEN {_PERIOD} THEN session_id END) AS sessions,"
    f" COUNT(DISTINCT CASE WHEN {_PERIOD} THEN meeting_id END) AS rooms, SUM(at < :since) AS before,"
    f" MIN(CASE WHEN {_PERIOD} THEN at END) AS first_at, MAX(CASE WHEN {_PERIOD} THEN at END) AS last_at FROM findings"
    f" WHERE {{}} AND at >= :earlier AND at <= :until GROUP BY code, cause HAVING SUM({_PERIOD})"
)
_GROUPED_EVER = (
    f"{_NUMBERS} COUNT(*) AS number, COUNT(DISTINCT session_id) AS sessions, COUNT(DISTINCT meeting_id) AS rooms,"
    " MIN(at) AS first_at, MAX(at) AS last_at FROM findings WHERE {} GROUP BY code, cause"
)
_BUCKETS = (
    "SELECT code, cause, MIN(:last_bucket, CAST((julianday(at) - julianday(:since)) * 86400 / :width AS INT)) AS bucket,"
    f" COUNT(*) AS number FROM findings WHERE {{}} AND {_PERIOD} GROUP BY code, cause, bucket"
)
_FIRST_EVER = "SELECT code, cause, MIN(at) AS first_ever_at FROM findings WHERE {} GROUP BY code, cause"


def _conditions(chosen: dict[str, Sequence[str]], equal: dict[str, str | None]) -> tuple[str, Values]:
    conditions, values = ["verdict != 'accepted'"], dict[str, Any](equal)
    for name, words in chosen.items():
        if words:
            conditions.append(among(_COLUMNS[name], name))
            values[name] = listed(words)
    conditions += [f"{name} = :{name}" for name, value in equal.items() if value is not None]
    return " AND ".join(conditions), values


def _first(db: ReadModels, where: str, values: Values) -> datetime | None:
    (row,) = db.query(f"SELECT MIN(at) AS first_at FROM findings WHERE {where}", values)
    return parse_time(row["first_at"]) if row["first_at"] else None


def _identity(row: Values) -> tuple[str, str | None]:
    return row["code"], row["cause"]


def _issue(row: Values, since: datetime | None) -> Values:
    entry = CATALOGUE.get(row["code"])
    return {
        "code": row["code"],
        "slug": entry.slug if entry else "",
        "severity": SEVERITIES[row["gravity"]],
        "cause": row["cause"],
        "lifecycles": sorted((row["lifecycles"] or "").split(",")) if row["lifecycles"] else [],
        "count": row["number"],
        "before": None if since is None else row["before"],
        "sessions": row["sessions"],
        "rooms": row["rooms"],
        "first_at": short(row["first_at"]),
        "last_at": short(row["last_at"]),
        "first_ever_at": None,
        "trend": "known",
        "buckets": [0] * BUCKETS,
        "when": entry.when if entry else "",
        "advice": entry.advice if entry else "",
    }


def _trend(issue: Values, first_ever_at: str | None, begin: str, since: datetime | None) -> str:
    if since is None or first_ever_at is None:
        return "known"
    return "new" if first_ever_at >= begin else "back" if not issue["before"] else "known"


def _latest_first(time: str | None) -> tuple[int, ...]:
    """Sorts a later time before an earlier one."""
    return tuple(-ord(char) for char in time or "")


_ORDERS: dict[Sort, Any] = {
    "severity": lambda one: (-SEVERITIES.index(one["severity"]), -one["count"], one["code"]),
    "count": lambda one: (-one["count"], one["code"]),
    "sessions": lambda one: (-one["sessions"], -one["count"], one["code"]),
    "last": lambda one: (_latest_first(one["last_at"]), one["code"]),
    "first": lambda one: (_latest_first(one["first_at"]), one["code"]),
}
