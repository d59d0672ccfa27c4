"""``participants``: one row a visit; a person who came three times has three."""

from __future__ import annotations

from collections.abc import Iterator

from projections.read_models import Row, Table, text
from tracker.session import Session


def rows(session: Session) -> Iterator[Row]:
    if session.session_id is None:
        return
    for aggregate in session.aggregates.values():
        lifecycle = aggregate.lifecycle
        if lifecycle.visits:
            for run in aggregate.runs:
                came, went = (run.heard(step.name) for step in lifecycle.steps)
                yield (
                    session.session_id,
                    aggregate.key[0][1],
                    run.number,
                    aggregate.label or None,
                    run.state,
                    run.certainty,
                    text(came.at) if came else None,
                    text(went.at) if went else None,
                    run.data.get("reason"),
                )


TABLE = Table(
    name="participants",
    columns={
        "session_id": str,
        "participant_id": str,
        "visit": int,
        "name": str,
        "state": str,
        "certainty": str,
        "joined_at": str,
        "left_at": str,
        "reason": str,
    },
    pk=("session_id", "participant_id", "visit"),
    rows=rows,
    foreign_keys=(("session_id", "sessions", "session_id"),),
    indexes=(("participant_id",),),
    owner="session_id",
)
