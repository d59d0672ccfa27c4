"""``runs``: one row a run of anything that is neither the session nor a visit, with its artefacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from projections.read_models import Row, Table, text
from tracker.delivery.webhook import converter
from tracker.judging.state import Session

if TYPE_CHECKING:  # importing it takes long, and not every command needs it
    from sqlite_utils import Database

_json = msgspec.json.Encoder().encode


def rows(session: Session) -> Iterator[Row]:
    for aggregate in session.aggregates.values():
        lifecycle = aggregate.lifecycle
        if not lifecycle.is_presence and not lifecycle.is_session:
            key = _json(dict(aggregate.key)).decode()
            for run in aggregate.runs:
                times = [one.received_at for one in run.candidate.originals.values() if one.timed]
                artefacts = {name: run.data[name] for name in lifecycle.artefacts if name in run.data}
                yield (
                    session.stream,
                    session.session_id,
                    lifecycle.name,
                    key,
                    run.number,
                    run.state,
                    run.certainty,
                    text(min(filter(None, times), default=None)),
                    text(max(filter(None, times), default=None)),
                    " ".join(name for name, step in run.steps.items() if not step.inferred),
                    first_url(artefacts),
                    _json(converter.unstructure(artefacts)).decode() if artefacts else None,
                )


def first_url(artefacts: dict[str, Any]) -> str | None:
    """The url to look at first."""
    for value in artefacts.values():
        for item in value if isinstance(value, tuple) else (value,):
            for found in [item] if isinstance(item, str) else attrs.astuple(item):
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
        "steps": str,
        "url": str,
        "artefacts": str,
    },
    pk=("stream", "lifecycle", "key", "run"),
    rows=rows,
    foreign_keys=(("session_id", "sessions", "session_id"),),
    indexes=(("session_id",), ("lifecycle", "state")),
)

VIEWS = {
    "recordings": "SELECT r.*, s.meeting_id FROM runs r LEFT JOIN sessions s USING (session_id) "
    "WHERE r.lifecycle LIKE '%recording' ORDER BY r.first_step_at DESC"
}


def of_sessions(db: Database, session_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The latest run of each thing in these sessions, with what it is; the order is theirs."""
    marks = ",".join("?" * len(session_ids))
    return db.query(
        f"SELECT session_id, lifecycle, key, MAX(run) AS run, state, certainty FROM runs "
        f"WHERE session_id IN ({marks}) GROUP BY session_id, lifecycle, key ORDER BY rowid",
        session_ids,
    )


def paths(db: Database, lifecycle: str) -> Iterator[tuple[str | None, tuple[str, ...], int]]:
    """The state of the run before (``None`` for a first run), the steps that came of a run, and how often that was."""
    rows = db.query(
        "SELECT before, steps, COUNT(*) AS number FROM (SELECT steps, LAG(state) OVER "
        "(PARTITION BY stream, lifecycle, key ORDER BY run) AS before FROM runs WHERE lifecycle = ?) "
        "GROUP BY before, steps",
        (lifecycle,),
    )
    return ((row["before"], tuple(row["steps"].split()), row["number"]) for row in rows)
