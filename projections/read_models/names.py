"""``names``: every name by which a person of a session was ever called: now, before a rename, or in a record of VideoSDK's."""

from __future__ import annotations

from collections.abc import Iterator

from projections.read_models import Row, Table
from tracker.judging.state import Session


def rows(session: Session) -> Iterator[Row]:
    if session.session_id is None:
        return
    for who, name in dict.fromkeys(_called(session)):
        yield session.session_id, who, name


def _called(session: Session) -> Iterator[tuple[str, str]]:
    for person in session.participants:
        yield from ((person.key[0][1], name) for name in person.names)
    if session.records is not None:
        yield from session.records.names


TABLE = Table(
    name="names",
    columns={"session_id": str, "participant_id": str, "name": str},
    pk=("session_id", "participant_id", "name"),
    rows=rows,
    foreign_keys=(("session_id", "sessions", "session_id"),),
    owner="session_id",
)
