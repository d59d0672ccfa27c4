"""``rooms``: the webhook types that came in each room, as bits, and its account, now and at the last milestone. For the follower."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from projections.read_models import Table
from tracker.judging.log import Room

TABLE = Table(
    name="rooms",
    columns={
        "meeting_id": str,
        "once": int,
        "twice": int,
        "account": str,
        "once_then": int,
        "twice_then": int,
        "account_then": str,
    },
    pk=("meeting_id",),
)

_COUNT = (
    "INSERT INTO rooms (meeting_id, once, twice, account, once_then, twice_then) VALUES (?, ?, ?, ?, 0, 0) "
    "ON CONFLICT (meeting_id) DO UPDATE SET once = excluded.once, twice = excluded.twice, account = excluded.account"
)
_MILESTONE = (
    "UPDATE rooms SET once_then = once, twice_then = twice, account_then = account"
    " WHERE once_then != once OR twice_then != twice OR account_then IS NOT account"
)


def write(db: sqlite3.Connection, rooms: Mapping[str, Room], changed: Iterable[str]) -> None:
    """Writes the rooms that have changed."""
    known = ((name, rooms[name]) for name in changed if name in rooms)
    db.executemany(_COUNT, [(name, room.once, room.twice, room.account) for name, room in known])


def pass_milestone(db: sqlite3.Connection) -> None:
    """What is known now is what counts from here on."""
    db.execute(_MILESTONE)


def read(db: sqlite3.Connection, meeting_id: str | None = None) -> tuple[dict[str, Room], dict[str, Room]]:
    """The rooms as they are now, and as they were at the last milestone; all, or one.

    Raises ``sqlite3.DatabaseError``.
    """
    where, values = ("", ()) if meeting_id is None else (" WHERE meeting_id = ?", (meeting_id,))
    now, then = dict[str, Room](), dict[str, Room]()
    for row in db.execute(f"SELECT {', '.join(TABLE.columns)} FROM rooms{where}", values):
        name, once, twice, account, once_then, twice_then, account_then = row
        if not (
            isinstance(name, str) and all(isinstance(one, int) for one in (once, twice, once_then, twice_then))
        ):
            raise sqlite3.DatabaseError("malformed rooms")
        if once:
            now[name] = Room(once, twice, account=account)
        if once_then:
            then[name] = Room(once_then, twice_then, account=account_then)
    return now, then
