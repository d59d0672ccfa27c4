"""Who was inside, and when: visits of people, laid beside a stretch of time.

A visit begins with its joined and ends with its left. Where one of the two never came, the visit is as long as it can have
been: from the beginning of its session, or up to the session's end (or to now, while the session is live), but not beside
another visit of the same person there, because what is not known is not counted beside what is. Where the joined came
at a moment of which no time is known, as one that came after the left, nothing before the left is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from projections.read_models import ReadModels, among, listed
from tracker.delivery.envelope import isoformat, parse_time
from tracker.judging.state import Certainty, Session

Values = dict[str, Any]
_VISITS = (
    "SELECT p.session_id, p.participant_id, p.name, p.joined_at, p.left_at FROM participants p"
    f" WHERE {among('p.session_id')} ORDER BY p.session_id, p.joined_at, p.visit"
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


IN = "in"
"""The state of who is inside."""
Visit = tuple[str, datetime | None, datetime | None]
"""A person, and from when to when; ``None`` for what is not known of it."""


def presence(visits: Iterable[Visit]) -> Presence:
    """What these visits come to; one of which no time is known, or that has no length, counts as nothing."""
    seconds, changes = 0.0, []
    for person, begin, end in visits:
        if begin is not None and end is not None and end > begin:
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


class Seen(msgspec.Struct, frozen=True):
    """A visit as it was seen: by its joined and its left, of which either may be unknown.

    Attributes:
        person: Whose it is: what tells the people of all sessions apart.
        joined_at, left_at: When they came and went.
        is_open: Whether they are still inside.
        certainty: ``inferred`` where one of the two never came.
        begin, end: Those of the session; now, while it is live.
    """

    person: tuple[str, str]
    joined_at: datetime | None
    left_at: datetime | None
    is_open: bool
    certainty: Certainty
    begin: datetime | None
    end: datetime | None


Stretch = tuple[datetime | None, datetime | None]


def visits_of(seen: Sequence[Seen]) -> list[Visit]:
    """These visits as they are counted."""
    found: list[Stretch] = [(one.joined_at, one.left_at) for one in seen]
    of_person: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(seen):
        of_person.setdefault(one.person, []).append(place)
    for place, one in enumerate(seen):
        if one.joined_at is None or one.left_at is None:
            others = (found[other] for other in of_person[one.person] if other != place)
            found[place] = _stay(one, list(_known(others)))
    return [(one.person[1], *stretch) for one, stretch in zip(seen, found, strict=True)]


def _known(stretches: Iterable[Stretch]) -> Iterator[tuple[datetime, datetime]]:
    """What is known of some: a moment, where it is only one of both ends."""
    for begin, end in stretches:
        if (first := begin or end) is not None and (last := end or begin) is not None:
            yield first, last


def _stay(one: Seen, others: Sequence[tuple[datetime, datetime]]) -> Stretch:
    """From when to when a visit is counted of which not all is known; ``others`` are known of the same person."""
    begin, end = one.joined_at, one.left_at
    if begin is None and end is None:
        return (None, None) if others else (one.begin, one.end)
    if begin is None and end is not None:
        if one.certainty != "inferred" or one.begin is None:
            return end, end
        return max([one.begin, *(min(hi, end) for lo, hi in others if lo < end)]), end
    if begin is not None and one.end is not None and not one.is_open:
        return begin, min([one.end, *(max(lo, begin) for lo, hi in others if hi > begin)])
    return begin, one.end


def of_session(session: Session, now: datetime | None = None) -> Presence:
    """The presence in an assessed session, up to its end or, while it is live, to now.

    Without ``now`` that is the moment as of which it was assessed.
    """
    return presence(visits_of(seen_of(session, now)))


def seen_of(session: Session, now: datetime | None = None) -> list[Seen]:
    """The visits of an assessed session."""
    begin = session.started_at or session.first_seen_at
    end = session.ended_at or ((now or session.as_of) if session.state == "live" else session.last_seen_at)
    return [
        Seen(
            *(("", one.key[0][1]), visit.joined_at, visit.left_at),
            is_open=visit.state == IN,
            certainty=visit.certainty,
            begin=begin,
            end=end,
        )
        for one in session.participants
        for visit in one.visits
    ]


def seen_in(row: Values, now: datetime) -> Seen:
    """A row of a visit, with the columns of its session (``state``, ``began_at``, ``over_at``), as of now."""
    end = now if row["session_state"] == "live" else _time(row["over_at"])
    times = _time(row["joined_at"]), _time(row["left_at"])
    person = row["session_id"], row["participant_id"]
    begin, is_open = _time(row["began_at"]), row["state"] == IN
    return Seen(person, *times, is_open=is_open, certainty=row["certainty"], begin=begin, end=end)


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

    The end is its stopping, or its stopped where that came first: it may come much later, with the file. A run that is
    under way has no end yet, and a lost one none that is known: ``at_end`` is then ``None``.
    """
    ids = sorted({run["session_id"] for run in runs})
    visits: dict[str, list[Values]] = {}
    for visit in db.query(_VISITS, (listed(ids),)):
        visits.setdefault(visit["session_id"], []).append(visit)
    return [{**run, "people": people_during(run, visits.get(run["session_id"], []))} for run in runs]


def people_during(run: Values, visits: Iterable[Values]) -> list[Values]:
    """The people who were inside during a run, in the order in which they came."""
    found: dict[str, Values] = {}
    begin = run["began_at"]
    end = min(filter(None, (run["stopping_at"], run["stopped_at"])), default=None)
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
