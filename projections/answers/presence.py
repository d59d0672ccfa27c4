"""Who was inside, and when: visits of people, laid beside a stretch of time.

A visit begins with its joined and ends with its left. Where one of the two never came, the visit is as long as it can have
been: from the beginning of its session, or up to the session's end (or to now, while the session is live).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from projections.read_models import ReadModels
from tracker.delivery.envelope import isoformat, parse_time
from tracker.judging.state import Session

Values = dict[str, Any]
_VISITS = (
    "SELECT p.session_id, p.participant_id, p.name, p.joined_at, p.left_at FROM participants p"
    " WHERE p.session_id IN (SELECT value FROM json_each(?)) ORDER BY p.session_id, p.joined_at, p.visit"
)


class Presence(msgspec.Struct, frozen=True):
    """How much people were inside.

    Attributes:
        minutes: The minutes of all visits added up.
        peak: How many different people were inside at once at most.
        peak_at: When that was first so; ``None`` where nobody was inside, or no time is known.
    """

    minutes: float
    peak: int
    peak_at: datetime | None

    def values(self) -> Values:
        """As the commands print it."""
        return {
            "minutes": self.minutes,
            "peak": self.peak,
            "peak_at": None if self.peak_at is None else isoformat(self.peak_at),
        }


Visit = tuple[str, datetime | None, datetime | None]
"""A person, and from when to when; ``None`` for what is not known of it."""


def presence(visits: Iterable[Visit]) -> Presence:
    """What these visits come to; one of which no time is known counts as nothing."""
    seconds, changes = 0.0, []
    for person, begin, end in visits:
        if begin is not None and end is not None and end >= begin:
            seconds += (end - begin).total_seconds()
            changes += [(begin, 1, person), (end, -1, person)]
    inside: dict[str, int] = {}
    peak, peak_at = 0, None
    for at, change, person in sorted(changes, key=lambda one: (one[0], one[1])):
        inside[person] = inside.get(person, 0) + change
        if not inside[person]:
            del inside[person]
        if len(inside) > peak:
            peak, peak_at = len(inside), at
    return Presence(round(seconds / 60, 1), peak, peak_at)


def of_session(session: Session) -> Presence:
    """The presence in an assessed session, up to its end or, while it is live, to its last webhook."""
    begin = session.started_at or session.first_seen_at
    end = session.ended_at or session.last_seen_at
    visits: list[Visit] = []
    for one in session.participants:
        for run in one.runs:
            came, went = (run.delivered(step.name) for step in one.lifecycle.steps)
            visits.append((one.key[0][1], came.at if came else begin, went.at if went else end))
    return presence(visits)


def visit_of(row: Values, now: datetime) -> Visit:
    """A row of a visit, with the columns of its session (``state``, ``began_at``, ``over_at``), as of now."""
    begin = _time(row["joined_at"]) or _time(row["began_at"])
    end = _time(row["left_at"]) or (now if row["session_state"] == "live" else _time(row["over_at"]))
    return row["participant_id"], begin, end


VISITS = (
    "SELECT p.session_id, p.participant_id, p.visit, p.name, p.state, p.certainty, p.joined_at, p.left_at, p.reason,"
    " s.meeting_id, s.state AS session_state, COALESCE(s.started_at, s.first_seen_at) AS began_at,"
    " COALESCE(s.ended_at, s.last_seen_at) AS over_at FROM participants p JOIN sessions s USING (session_id)"
)
"""The visits, each with what is needed of its session."""
OF_ACCOUNT = "(:account IS NULL OR s.account = :account)"
"""A condition for a session ``s`` of an account, or of any."""


def _time(time: str | None) -> datetime | None:
    return parse_time(time) if time else None


def with_people(db: ReadModels, runs: Sequence[Values]) -> list[Values]:
    """Runs with ``people``: who was inside while each was under way, and whether still at its end (``at_end``).

    The end is its stopping, and where that never came its stopped, which may come much later, with the file. A run that is
    under way has no end yet, and a lost one none that is known: ``at_end`` is then ``None``.
    """
    ids = sorted({run["session_id"] for run in runs})
    visits: dict[str, list[Values]] = {}
    for visit in db.query(_VISITS, (msgspec.json.encode(ids).decode(),)):
        visits.setdefault(visit["session_id"], []).append(visit)
    return [{**run, "people": people_during(run, visits.get(run["session_id"], []))} for run in runs]


def people_during(run: Values, visits: Iterable[Values]) -> list[Values]:
    """The people who were inside during a run, in the order in which they came."""
    found: dict[str, Values] = {}
    begin, end = run["began_at"], run["stopping_at"] or run["stopped_at"]
    for visit in visits:
        if begin and visit["left_at"] and visit["left_at"] < begin:
            continue
        if end and visit["joined_at"] and visit["joined_at"] > end:
            continue
        at_end = None if end is None else visit["left_at"] is None or visit["left_at"] > end
        person = {"participant_id": visit["participant_id"], "name": visit["name"], "at_end": at_end}
        before = found.setdefault(visit["participant_id"], person)
        before["at_end"] = before["at_end"] or at_end
    return list(found.values())
