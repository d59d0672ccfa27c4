"""What the API answers of many sessions at once; as ``projections.web.answers``.

Its days are days of UTC. A page asks for those of its ``zone``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs

from projections.answers.issues import GRAVE
from projections.answers.issues import issues as issues_of
from projections.answers.overview import overview as overview_of
from projections.answers.people import named
from projections.answers.people import person as person_of
from projections.answers.presence import with_people
from projections.answers.rooms import room
from projections.answers.search import search as search_of
from projections.read_models import runs as runs_model
from projections.read_models import text
from projections.web.answers import of_session, page_of, shortened
from projections.web.parameters import Values
from projections.web.problems import UnknownError
from projections.web.snapshot import Snapshot
from tracker.delivery.envelope import parse_time
from tracker.errors import NotFoundError


def recordings(of: Snapshot, asked: Values) -> Values:
    """What was recorded or streamed, the run that began last first."""
    rows = recordings_of(of, asked)
    page = page_of(rows, asked["limit"], of, recording_cursor)
    with_names = with_people(of.db, page["items"])
    return {**page, "items": [shortened(row) for row in with_names]}


def recordings_of(of: Snapshot, asked: Values) -> list[Values]:
    """The rows of a page of recordings, and one more where there is a next page."""
    before = asked["cursor"]
    narrowed = ("session", "meeting", "account", "missing", "person", "file")
    rows = runs_model.recordings(
        of.db,
        **{name: asked[name] for name in narrowed},
        states=asked["state"],
        lifecycles=asked["lifecycle"],
        since=text(asked["since"]),
        until=text(asked["until"]),
        before=before and (text(_EPOCH + before[0] * _MICROSECOND) if before[0] else None, before[1]),
        limit=asked["limit"] + 1,
    )
    return of_session(of, asked, rows)


def recording_cursor(last: Values) -> str:
    """Where the page begins behind a row: when it began in microseconds, 0 where it has no time, and its position."""
    began = parse_time(last["began_at"]) if last["began_at"] else None
    return f"{(began - _EPOCH) // _MICROSECOND if began else 0}.{last['position']}"


_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def overview(of: Snapshot, asked: Values) -> Values:
    """How everything is now, and a day beside the day before."""
    day = asked["day"]
    found = overview_of(of.db, of.now, day and day.date(), asked["account"], asked.get("zone", UTC))
    return {**found, "health": attrs.asdict(of.health), "position": of.checkpoint.position}


def issues(of: Snapshot, asked: Values) -> Values:
    """What is wrong, grouped by code and cause."""
    return {"items": issues_of_asked(of, asked), "position": of.checkpoint.position}


def issues_of_asked(of: Snapshot, asked: Values) -> list[Values]:
    """The issues in the period that was asked for: ``since`` then, or in the last day, week or month (``within``)."""
    within = asked["within"]
    rows = issues_of(
        of.db,
        of.now,
        since=asked["since"] or (of.now - WITHIN[within] if within else None),
        severities=asked["severity"] or GRAVE,
        codes=asked["code"],
        lifecycles=[asked["lifecycle"]] if asked["lifecycle"] else [],
        sessions=[asked["session"]] if asked["session"] else [],
        meeting=asked["meeting"],
        account=asked["account"],
        sort=asked["sort"],
    )
    return of_session(of, asked, rows)


WITHIN = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
"""How far back one looks."""


def meeting(of: Snapshot, asked: Values) -> Values:
    """A room: its sessions, people, recordings and findings."""
    found = room(of.db, asked["meeting"], of.now, asked["account"], asked.get("zone", UTC))
    if found is None:
        if (pruned := of.tracker.pruned(asked["meeting"])) is not None:  # the id of a session
            raise pruned.error(asked["meeting"])
        hint = _of_account(asked) or of.tracker.perhaps_pruned(asked["meeting"])
        raise UnknownError("no such meeting", place=asked["meeting"], hint=hint)
    return found


def person(of: Snapshot, asked: Values) -> Values:
    """A person, by id: visits, minutes, recordings and findings."""
    found = person_of(of.db, asked["person"], of.now, asked["account"])
    if found is None:
        people = named(of.db, asked["person"], asked["account"], limit=5)
        ids = ", ".join(one["participant_id"] for one in people)
        near = f"of that name: {ids}" if ids else _of_account(asked)
        hint = near or of.tracker.perhaps_pruned(asked["person"]) or "give the participant's id"
        raise NotFoundError("no such person", place=asked["person"], hint=hint)
    return found


def search(of: Snapshot, asked: Values) -> Values:
    """Rooms, sessions, people, files and codes that begin so."""
    return search_of(of.db, asked["q"], of.tracker.last_position(), asked["account"])


def _of_account(asked: Values) -> str:
    """A hint where only what is of one account was looked at."""
    return f"only account {asked['account']} was looked at" if asked["account"] else ""
