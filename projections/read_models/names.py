"""``names``: every name by which a person of a session was ever called, the one of now and those before a rename."""

from __future__ import annotations

from collections.abc import Iterator

from projections.read_models import Row, Table
from tracker.judging.state import Session


def rows(session: Session) -> Iterator[Row]:
    if session.session_id is None:
        return
    for aggregate in session.aggregates.values():
        if aggregate.lifecycle.is_presence and aggregate.lifecycle.label:
            said = dict.fromkeys(one.data for one in aggregate.deliveries)
            for name in dict.fromkeys(map(aggregate.lifecycle.name_in, said)):
                if name:
                    yield session.session_id, aggregate.key[0][1], name


TABLE = Table(
    name="names",
    columns={"session_id": str, "participant_id": str, "name": str},
    pk=("session_id", "participant_id", "name"),
    rows=rows,
    foreign_keys=(("session_id", "sessions", "session_id"),),
    owner="session_id",
)
