"""How things are: what is live, what became of the recordings of a day, what was found in its hours, how it comes in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from projections.answers.days import Day, day_at
from projections.answers.issues import issues
from projections.read_models import ReadModels, hours, is_one_of, sessions, types
from projections.read_models.runs import MEDIA, OVER
from tracker.delivery.envelope import isoformat, parse_time

if TYPE_CHECKING:  # importing it takes long, and not every command needs it
    from datetime import date, tzinfo


Values = dict[str, Any]
TWICE = ("D101", "D105", "S208")
"""The codes of a delivery that is a copy."""
LATE = ("D102", "D103")
"""The codes of a delivery that came after one that should follow it."""
OUTCOMES = ("with a file", "under way", "without a file", "failed", "lost")
"""What became of a recording, in the order in which it is shown."""
MOST_RUNNING = 8


def overview(
    db: ReadModels, now: datetime, day: date | None = None, account: str | None = None, zone: tzinfo = UTC
) -> Values:
    """The state of everything at ``now``, and the numbers of a day of a time zone (by default today) beside the day before it.

    With ``account`` it is that of what is of one account.
    """
    this = day_at(now, zone) if day is None else Day(day, zone)
    newest = types.newest(db) if account is None else sessions.newest(db, account)
    return {
        "now": isoformat(now),
        "day": this.date.isoformat(),
        "zone": str(zone),
        "live": _live(db, now, account),
        "recordings": _outcomes(db, this, account),
        "hours": _hours(db, this, account),
        "without_time": _without_time(db, account),
        "issues": issues(db, this.end, since=this.begin, account=account)[:6],
        "deliveries": {"day": _received(db, this, account), "day_before": _received(db, this.before, account)},
        "last_at": newest and isoformat(newest),
    }


def _of(account: str | None, values: Sequence[str] = (), table: str = "") -> tuple[str, tuple[str, ...]]:
    """A further condition for what is of an account, none where none is named, and the values with its value."""
    return ("", tuple(values)) if account is None else (f" AND {table}account = ?", (*values, account))


def _live(db: ReadModels, now: datetime, account: str | None) -> Values:
    """Sessions, people and recordings that are there now; those that run longest first."""
    of_it, whose = _of(account, table="s.")
    (row,) = db.query(
        "SELECT COUNT(*) AS sessions, COALESCE(SUM(inside), 0) AS people FROM sessions s"
        f" WHERE state = 'live'{of_it}",
        whose,
    )
    running = list(
        db.query(
            "SELECT r.session_id, s.meeting_id, r.lifecycle, r.key, r.run, r.state, r.certainty, r.first_step_at AS began_at"
            f" FROM sessions s CROSS JOIN runs r USING (session_id) WHERE s.state = 'live' AND {is_one_of('r.lifecycle', MEDIA)}"
            f" AND NOT {is_one_of('r.state', OVER)}{of_it} ORDER BY r.first_step_at, r.position",
            whose,
        )
    )
    return {**row, "running": len(running), "longest": [_since(one, now) for one in running[:MOST_RUNNING]]}


def _since(run: Values, now: datetime) -> Values:
    began = parse_time(run["began_at"]) if run["began_at"] else None
    seconds = None if began is None else max(0, int((now - began).total_seconds()))
    key = msgspec.json.decode(run["key"])
    return {**run, "key": key, "began_at": began and isoformat(began), "seconds": seconds}


def _outcomes(db: ReadModels, day: Day, account: str | None) -> Values:
    """What became of the runs that began on the day."""
    of_it, values = _of(account, day.period, "r.")
    began = "r.session_id IS NOT NULL AND r.first_step_at >= ? AND r.first_step_at < ?"
    return outcomes(db, f"runs r WHERE {is_one_of('+r.lifecycle', MEDIA)} AND {began}{of_it}", values)


def outcomes(db: ReadModels, runs: str, values: Sequence[str] | Values) -> dict[str, int]:
    """Outcome -> how many runs came to it. ``runs`` is what stands behind FROM, with them as ``r``."""
    found = dict.fromkeys(OUTCOMES, 0)
    select = f"SELECT r.state, r.files IS NOT NULL AS has_files, COUNT(*) AS number FROM {runs}"
    for row in db.query(f"{select} GROUP BY r.state, has_files", values):
        found[_outcome(row["state"], has_files=bool(row["has_files"]))] += row["number"]
    return found


def _outcome(state: str, *, has_files: bool) -> str:
    """What became of a run in this state: one of ``OUTCOMES``."""
    if has_files:
        return "with a file"
    if state in ("failed", "lost"):
        return state
    return "without a file" if state in OVER else "under way"


def _hours(db: ReadModels, day: Day, account: str | None) -> list[Values]:
    """Errors and warnings of each hour of the day, and of the same hour the day before; each by its name in the zone."""
    counts, before = _by_hour(db, day, account), _by_hour(db, day.before, account)
    return [
        {
            "hour": f"{begin.astimezone(day.zone):%Y-%m-%dT%H}",
            "errors": counts[number, "error"],
            "warnings": counts[number, "warning"],
            "day_before": before[number, "error"] + before[number, "warning"],
        }
        for number, begin in enumerate(day.hours)
    ]


def _by_hour(db: ReadModels, day: Day, account: str | None) -> Counter[tuple[int, str]]:
    """The number of an hour of a day, and a severity -> how many errors or warnings."""
    of_it, values = _of(account, (day.period[0], *day.period))
    rows = db.query(
        "SELECT (strftime('%s', at) - strftime('%s', ?)) / 3600 AS hour, severity, COUNT(*) AS number FROM findings"
        " WHERE at >= ? AND at < ? AND severity IN ('error', 'warning') AND verdict != 'accepted'"
        f"{of_it} GROUP BY hour, severity",
        values,
    )
    return Counter({(row["hour"], row["severity"]): row["number"] for row in rows})


def _without_time(db: ReadModels, account: str | None) -> dict[str, int]:
    """Errors and warnings of which nobody knows when they happened: they belong to no day."""
    found, (of_it, whose) = {"errors": 0, "warnings": 0}, _of(account)
    rows = db.query(
        "SELECT severity, COUNT(*) AS number FROM findings WHERE at IS NULL"
        f" AND severity IN ('error', 'warning') AND verdict != 'accepted'{of_it} GROUP BY severity",
        whose,
    )
    return found | {f"{row['severity']}s": row["number"] for row in rows}


def _received(db: ReadModels, day: Day, account: str | None) -> Values:
    """How many came on a day, hour by hour, and which share of them came twice or late.

    They are counted by hours of UTC: where hours of the zone begin at half past, each has those of the hour in which it begins.
    """
    by_hour = hours.between(db, *day.period, account)
    of_it, values = _of(account, day.period)
    rows = db.query(
        "SELECT code, COUNT(*) AS number FROM findings WHERE at >= ? AND at < ?"
        f" AND {is_one_of('code', (*TWICE, *LATE))}{of_it} GROUP BY code",
        values,
    )
    found = {row["code"]: row["number"] for row in rows}
    number = sum(by_hour.values())
    shares = {
        name: sum(found.get(code, 0) for code in codes) / number if number else None
        for name, codes in (("twice", TWICE), ("late", LATE))
    }
    every = [f"{begin:%Y-%m-%dT%H}" for begin in day.hours]
    return {"number": number, **shares, "hours": [by_hour.get(hour, 0) for hour in every]}
