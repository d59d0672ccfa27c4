"""``runs``: one row a run of anything that is neither the session nor a visit, with its artefacts.

``recordings`` reads from it what people ask for first: what left files behind, where they are, and what has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from projections.read_models import ReadModels, Row, Table, among, files, is_one_of, like, listed, text
from tracker.codes import codes_for
from tracker.delivery.payload import converter, values_in
from tracker.judging.findings.undelivered import R603, file_named
from tracker.judging.state import LOST, Session
from tracker.lifecycles import REGISTRY

_json = msgspec.json.Encoder().encode


def rows(session: Session) -> Iterator[Row]:
    for aggregate in session.aggregates.values():
        lifecycle = aggregate.lifecycle
        if not lifecycle.is_presence and not lifecycle.is_session:
            key = _json(dict(aggregate.key)).decode()
            for run in aggregate.runs:
                artefacts = run.artefacts
                started, stopping = run.delivered("started"), run.delivered("stopping")
                yield (
                    session.stream,
                    session.session_id,
                    lifecycle.name,
                    key,
                    run.number,
                    run.state,
                    run.certainty,
                    text(run.began_at),
                    text(run.last_at),
                    text(started.at) if started else None,
                    text(stopping.at) if stopping else None,
                    text(run.ended_at),
                    dict(aggregate.key).get("participant_id"),
                    run.candidate.first.position,
                    " ".join(run.candidate.originals),
                    first_url(artefacts),
                    _json(converter().unstructure(artefacts)).decode() if artefacts else None,
                    _json(converter().unstructure(run.files)).decode() if run.files else None,
                    session.account,
                )


def first_url(artefacts: dict[str, Any]) -> str | None:
    """The url to look at first."""
    for value in artefacts.values():
        for item in value if isinstance(value, tuple) else (value,):
            for found in [item] if isinstance(item, str) else values_in(item):
                if isinstance(found, str) and "://" in found:
                    return found
    return None


TABLE = Table(
    name="runs",
    columns={
        "stream": str,
        "session_id": str,
        "lifecycle": str,
        "key": str,
        "run": int,
        "state": str,
        "certainty": str,
        "first_step_at": str,
        "last_step_at": str,
        "started_at": str,
        "stopping_at": str,
        "stopped_at": str,
        "participant_id": str,
        "position": int,
        "steps": str,
        "url": str,
        "artefacts": str,
        "files": str,
        "account": str,
    },
    pk=("stream", "lifecycle", "key", "run"),
    rows=rows,
    foreign_keys=(("session_id", "sessions", "session_id"),),
    indexes=(
        ("session_id",),
        ("lifecycle", "state"),
        ("first_step_at", "position"),
        ("participant_id",),
        ("account",),
    ),
)

VIEWS = {
    "recordings": "SELECT r.*, s.meeting_id FROM runs r LEFT JOIN sessions s USING (session_id) "
    "WHERE r.lifecycle LIKE '%recording' ORDER BY r.first_step_at DESC"
}


MEDIA = tuple(name for name, lifecycle in REGISTRY.items() if lifecycle.artefacts)
"""The lifecycles that leave files or urls behind."""
STATES = tuple(dict.fromkeys(state for name in MEDIA for state in (*REGISTRY[name].states, LOST)))
"""The states of their runs."""
OVER = ("stopped", "failed", "lost")
"""The states in which no file is still to come."""
_OPEN_AT_END = codes_for("open_at_end")
"""What is found of a run that was open when its session ended. A log without receive times cannot say that it is over."""


def is_missing(row: dict[str, Any]) -> bool:
    """Whether a row of ``recordings`` has no file and should have one."""
    return not row["files"] and (row["state"] in OVER or any(code in _OPEN_AT_END for code in row["findings"]))


def recordings(
    db: ReadModels,
    *,
    session: str | None = None,
    meeting: str | None = None,
    account: str | None = None,
    states: Sequence[str] = (),
    lifecycles: Sequence[str] = (),
    missing: bool = False,
    person: str | None = None,
    by_id: bool = False,
    file: str | None = None,
    since: str | None = None,
    until: str | None = None,
    before: tuple[str | None, int] | None = None,
    limit: int = -1,
) -> Iterator[dict[str, Any]]:
    """The runs of what leaves files behind, the one that began last first; what has no time comes last.

    ``videosdk_file`` is a file that VideoSDK's own record has and no webhook brought (R603).

    Args:
        states, lifecycles: Only runs in one of these states, of one of these lifecycles.
        missing: Only runs that are over, or were open when their session ended, and brought neither a file nor a url.
        person: Only runs of somebody, or during which somebody was inside: an id, or a part of a name.
        by_id: Whether ``person`` is an id for certain; it is then found much faster.
        file: Only runs that brought this file: a url, a path or an id, or how one or its last part begins.
        since, until: Only runs of which a step came since then, and that had begun by then, as ISO 8601 in UTC.
        before: When the last one of a page began, and its position.
    """
    values: dict[str, Any] = {
        "session": session,
        "meeting": meeting,
        "account": account,
        "since": since,
        "until": until,
        "person": person,
        "lifecycles": listed(lifecycles or MEDIA),
        "states": listed(states),
    }
    conditions = [among("+r.lifecycle", "lifecycles"), "r.session_id IS NOT NULL"]
    conditions += [condition for name, condition in _EQUAL.items() if values[name] is not None]
    if person is not None:
        values["part"] = None if by_id else like(person)
    if states:
        conditions.append(among("+r.state", "states"))
    if missing:
        conditions += ["r.files IS NULL", f"({is_one_of('+r.state', OVER)} OR {_UNFINISHED})"]
    if file is not None:
        values |= files.asked(file)
        conditions.append(f"(r.session_id, r.lifecycle, r.key, r.run) IN ({files.BEGINS})")
    if before is not None:
        values |= {"began": before[0], "position": before[1]}
    rows = (
        row
        for part in _behind(before)
        for row in db.query(
            f"{_RECORDINGS} WHERE {' AND '.join([*conditions, part])}"
            " ORDER BY r.first_step_at DESC, r.position DESC LIMIT :limit",
            {**values, "limit": limit},
        )
    )
    for row in rows if limit < 0 else islice(rows, limit):
        nested = {name: msgspec.json.decode(row[name] or "[]") for name in ("key", "files", "findings")}
        yield {**row, **nested, "videosdk_file": file_named(row["videosdk_file"])}


def _behind(before: tuple[str | None, int] | None) -> tuple[str, ...]:
    """Conditions for what comes behind a row, in order; each can be read off the index."""
    timed, timeless = "r.first_step_at IS NOT NULL", "r.first_step_at IS NULL"
    if before is None:
        return timed, timeless
    if before[0] is None:
        return (f"{timeless} AND r.position < :position",)
    return "(r.first_step_at, r.position) < (:began, :position)", timeless


_INSIDE = (
    "EXISTS (SELECT 1 FROM participants p WHERE p.session_id = r.session_id"
    " AND (p.participant_id = :person OR p.name LIKE :part ESCAPE '\\')"
    " AND COALESCE(p.joined_at <= r.stopping_at, TRUE) AND COALESCE(p.joined_at <= r.stopped_at, TRUE) AND COALESCE(p.left_at >= r.first_step_at, TRUE))"
)
_NEAR = (
    "r.session_id IN (SELECT session_id FROM participants WHERE participant_id = :person UNION SELECT session_id FROM"
    " participants WHERE name LIKE :part ESCAPE '\\' UNION SELECT session_id FROM runs WHERE participant_id = :person)"
)
"""The sessions with the person, found first: there are few of them."""
_EQUAL = {
    "session": "r.session_id = :session",
    "meeting": "s.meeting_id = :meeting",
    "account": "r.account = :account",
    "since": "r.last_step_at >= :since",
    "until": "r.first_step_at <= :until",
    "person": f"{_NEAR} AND (r.participant_id = :person OR {_INSIDE})",
}
_FINDINGS = "FROM findings f WHERE f.stream = r.stream AND f.run = r.run AND f.lifecycle = r.lifecycle AND f.key = r.key"
_RECORDINGS = (
    "SELECT r.session_id, s.meeting_id, r.lifecycle, r.key, r.run, r.state, r.certainty,"
    " r.first_step_at AS began_at, r.started_at, r.stopping_at, r.stopped_at, r.position,"
    f" r.files, (SELECT json_group_array(code) FROM (SELECT f.code {_FINDINGS} ORDER BY f.number)) AS findings, r.account,"
    f" (SELECT f.message {_FINDINGS} AND f.code = '{R603.code}' ORDER BY f.number LIMIT 1) AS videosdk_file"
    " FROM runs r JOIN sessions s USING (session_id)"
)


_UNFINISHED = f"EXISTS (SELECT 1 {_FINDINGS} AND {is_one_of('f.code', _OPEN_AT_END)})"


def of_sessions(db: ReadModels, session_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The latest run of each thing in these sessions, with what it is; the order is theirs."""
    return db.query(
        f"SELECT session_id, lifecycle, key, MAX(run) AS run, state, certainty FROM runs "
        f"WHERE {among('session_id')} GROUP BY session_id, lifecycle, key ORDER BY rowid",
        (listed(session_ids),),
    )


def paths(db: ReadModels, lifecycle: str) -> Iterator[tuple[str | None, tuple[str, ...], int]]:
    """The state of the run before (``None`` for a first run), the steps that came of a run, and how often that was."""
    rows = db.query(
        "SELECT before, steps, COUNT(*) AS number FROM (SELECT steps, LAG(state) OVER "
        "(PARTITION BY stream, lifecycle, key ORDER BY run) AS before FROM runs WHERE lifecycle = ?) "
        "GROUP BY before, steps",
        (lifecycle,),
    )
    return ((row["before"], tuple(row["steps"].split()), row["number"]) for row in rows)
