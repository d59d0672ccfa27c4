"""``participants``: one row a visit; a person who came three times has three."""

from __future__ import annotations

from collections.abc import Iterator

from projections.read_models import ReadModels, Row, Table, text
from tracker.judging.state import Session
from tracker.lifecycle import Lifecycle


def rows(session: Session) -> Iterator[Row]:
    if session.session_id is None:
        return
    for person in session.participants:
        for visit in person.visits:
            yield (
                session.session_id,
                person.key[0][1],
                visit.number,
                person.label or None,
                visit.state,
                visit.certainty,
                text(visit.joined_at),
                text(visit.left_at),
                visit.reason,
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


def paths(db: ReadModels, lifecycle: Lifecycle) -> Iterator[tuple[str | None, tuple[str, ...], int]]:
    """The same as ``runs.paths`` for visits. What has no receive time counts as received where nothing is inferred."""
    coming, going = (step.name for step in lifecycle.steps)
    rows = db.query(
        "SELECT before, came, went, COUNT(*) AS number FROM (SELECT LAG(state) OVER "
        "(PARTITION BY session_id, participant_id ORDER BY visit) AS before, "
        "certainty != 'inferred' OR joined_at IS NOT NULL AS came, "
        "left_at IS NOT NULL OR certainty != 'inferred' AND state = :out AS went FROM participants) "
        "GROUP BY before, came, went",
        {"out": lifecycle.by_name[going].state},
    )
    for row in rows:
        steps = tuple(name for name, at in ((coming, row["came"]), (going, row["went"])) if at)
        yield row["before"], steps, row["number"]
