"""``rooms``: the webhook types that came in each room, as bits, now and at the last milestone. For the follower."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from projections.read_models import Table
from tracker.judging.log import Room

TABLE = Table(
    name="rooms",
    columns={"meeting_id": str, "once": int, "twice": int, "once_then": int, "twice_then": int},
    pk=("meeting_id",),
)

_COUNT = (
    "INSERT INTO rooms (meeting_id, once, twice, once_then, twice_then) VALUES (?, ?, ?, 0, 0) "
    "ON CONFLICT (meeting_id) DO UPDATE SET once = excluded.once, twice = excluded.twice"
)
_MILESTONE = (
    "UPDATE rooms SET once_then = once, twice_then = twice WHERE once_then != once OR twice_then != twice"
)


def write(db: sqlite3.Connection, rooms: Mapping[str, Room], changed: Iterable[str]) -> None:
    """Writes the rooms that have changed."""
    db.executemany(_COUNT, [(name, rooms[name].once, rooms[name].twice) for name in changed if name in rooms])


def pass_milestone(db: sqlite3.Connection) -> None:
    """What is known now is what counts from here on."""
    db.execute(_MILESTONE)


def read(db: sqlite3.Connection, *, then: bool, meeting_id: str | None = None) -> dict[str, Room]:
    """The rooms as they are now, or as they were at the last milestone; all, or one.

    Raises ``sqlite3.DatabaseError``.
    """
    columns = "once_then, twice_then" if then else "once, twice"
    where, values = ("", ()) if meeting_id is None else (" WHERE meeting_id = ?", (meeting_id,))
    found: dict[str, Room] = {}
    for name, once, twice in db.execute(f"SELECT meeting_id, {columns} FROM rooms{where}", values):
        if not (isinstance(name, str) and isinstance(once, int) and isinstance(twice, int)):
            raise sqlite3.DatabaseError("malformed rooms")
        if once:
            found[name] = Room(once, twice)
    return found
