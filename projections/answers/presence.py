"""Who was inside, and when: visits of people, laid beside a stretch of time.

A visit begins with its joined and ends with its left. Where one of the two never came, the visit is as long as it can have
been: from the beginning of its session, or up to the session's end (or to now, while the session is live).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # importing it takes long, and not every command needs it
    from sqlite_utils import Database

Values = dict[str, Any]
_VISITS = (
    "SELECT p.session_id, p.participant_id, p.name, p.joined_at, p.left_at FROM participants p"
    " WHERE p.session_id IN (SELECT value FROM json_each(?)) ORDER BY p.session_id, p.joined_at, p.visit"
)


def with_people(db: Database, runs: Sequence[Values]) -> list[Values]:
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
