"""``/meetings/{id}`` and ``/people/{id}``: one room, and one person, across their sessions."""

from __future__ import annotations

from datetime import date, timedelta

from projections import zones
from projections.answers.overview import OUTCOMES
from projections.web import answers_across, parameters
from projections.web.mount import url
from projections.web.pages.charts import bar, columns
from projections.web.pages.choices import account_links
from projections.web.pages.findings import issue
from projections.web.pages.html import counted, moment, span
from projections.web.pages.kinds import OUTCOME_KINDS, SESSION, kind_of
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.lifecycles import REGISTRY

LEAST_DAYS, MOST_DAYS = 14, 60
"""Days in the chart of a room."""
PRESENCE = next(name for name, lifecycle in REGISTRY.items() if lifecycle.is_presence)

OF_ACCOUNT = parameters.text("account", "Only what is of this account.")
OF_ROOM = (parameters.text("meeting", "The meeting's id.", place="path"), OF_ACCOUNT)
OF_PERSON = (parameters.text("person", "The participant's id.", place="path"), OF_ACCOUNT)


def fill_room(of: Snapshot, asked: Values) -> Values:
    found = answers_across.meeting(of, {**asked, "zone": zones.shown_in()})
    name, of_it = found["meeting_id"], {"account": asked["account"]}
    days = _calendar(found["days"])
    numbers = found["recordings"]
    return {
        **found,
        "title": name,
        "accounts": account_links(of, asked["account"], "meetings", name),
        "position": of.checkpoint.position,
        "first": moment(found["first_at"]),
        "last": moment(found["last_at"]),
        "peak_time": moment(found["peak_at"]),
        "rows": [_session(one) for one in found["items"]],
        "issues": [issue(one, {"meeting": name, **of_it}) for one in found["issues"]],
        "chart": columns(
            [(round(day["minutes"]),) for day in days],
            ("deliveries",),
            titles=[_of_day(day) for day in days],
        ),
        "chart_words": "Participant-minutes by day: "
        + "; ".join(_of_day(day) for day in days if day["sessions"]),
        "days_shown": (days[0]["day"], days[-1]["day"]) if days else None,
        "outcomes": [(one, kind, numbers[one]) for one, kind in zip(OUTCOMES, OUTCOME_KINDS, strict=True)],
        "bar": bar([numbers[one] for one in OUTCOMES], OUTCOME_KINDS),
        "bar_words": ", ".join(f"{numbers[one]} {one}" for one in OUTCOMES if numbers[one])
        or "nothing was recorded",
        "recorded": sum(numbers.values()),
        "recordings_url": url("recordings", meeting=name, **of_it),
        "sessions_url": url("sessions", q=name, **of_it),
    }


def _calendar(days: list[Values]) -> list[Values]:
    """Every day from the first to the last one, also those on which nothing was; at least two weeks, at most two months."""
    known = {date.fromisoformat(day["day"]): day for day in days if day["day"]}
    if not known:
        return []
    last = max(known)
    length = min(MOST_DAYS, max(LEAST_DAYS, (last - min(known)).days + 1))
    nothing = {"sessions": 0, "minutes": 0.0, "peak": 0, "errors": 0, "warnings": 0}
    every = [last - timedelta(days=ago) for ago in reversed(range(length))]
    return [known.get(day) or {"day": day.isoformat(), **nothing} for day in every]


def _of_day(day: Values) -> str:
    wrong = day["errors"] + day["warnings"]
    found = f", {counted(wrong, 'error or warning', 'errors and warnings')}" if wrong else ""
    minutes = f"{day['minutes']:,.0f} min"
    return f"{day['day']}: {minutes} in {counted(day['sessions'], 'session')}, at most {day['peak']} at once{found}"


def _session(row: Values) -> Values:
    began = moment(row["started_at"] or row["first_seen_at"])
    over = moment(row["ended_at"] or row["last_seen_at"])
    return {
        **row,
        "began": began,
        "length": span(over - began) if began and over and over >= began else "",
        "kind": SESSION[row["state"]],
        "url": url("sessions", row["session_id"]),
    }


def fill_person(of: Snapshot, asked: Values) -> Values:
    found = answers_across.person(of, asked)
    return {
        **found,
        "title": " ".join(found["names"]) or found["participant_id"],
        "accounts": account_links(of, asked["account"], "people", found["participant_id"]),
        "position": of.checkpoint.position,
        "first": moment(found["first_at"]),
        "last": moment(found["last_at"]),
        "rows": [_visit(one) for one in found["items"]],
        "runs": [_run(one) for one in found["recordings"]],
        "findings": [{**one, "time": moment(one["at"]), "url": _moment_of(one)} for one in found["findings"]],
        "inside": [(one, url("sessions", one)) for one in found["inside"]],
    }


def _moment_of(one: Values) -> str:
    return url("sessions", one["session_id"], as_of=one["at"])


def _visit(row: Values) -> Values:
    return {
        **row,
        "joined": moment(row["joined_at"]),
        "left": moment(row["left_at"]),
        "kind": kind_of(PRESENCE, row["state"]),
        "length": "" if row["seconds"] is None else span(row["seconds"]),
        "url": url("sessions", row["session_id"]),
        "room_url": row["meeting_id"] and url("meetings", row["meeting_id"]),
    }


def _run(row: Values) -> Values:
    return {
        **row,
        "began": moment(row["started_at"] or row["stopped_at"]),
        "kind": kind_of(row["lifecycle"], row["state"]),
        "url": url("recordings", session=row["session_id"]),
    }
