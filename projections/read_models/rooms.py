"""``rooms``: the webhook types that came in each room, as bits, and its account, now and at the last milestone. For the follower."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

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

_ADD = (
    "INSERT INTO rooms (meeting_id, once, twice, account, once_then, twice_then) VALUES (?, ?, ?, ?, 0, 0)"
    " ON CONFLICT (meeting_id) DO UPDATE SET once = once | excluded.once,"
    " twice = twice | excluded.twice | (once & excluded.once),"
    " account = COALESCE(MIN(account, excluded.account), account, excluded.account)"
    " WHERE typeof(once) = 'integer' AND typeof(twice) = 'integer'"
)
"""As ``Habits.add_room`` adds them."""
_MILESTONE = (
    "UPDATE rooms SET once_then = once, twice_then = twice, account_then = account"
    " WHERE once_then IS NOT once OR twice_then IS NOT twice OR account_then IS NOT account"
)


def add(db: sqlite3.Connection, rooms: Mapping[str, Room]) -> None:
    """Adds what came in these rooms. Raises ``sqlite3.DatabaseError``."""
    rows = [(name, room.once, room.twice, room.account) for name, room in sorted(rooms.items())]
    if rows and db.executemany(_ADD, rows).rowcount != len(rows):
        raise sqlite3.DatabaseError("malformed rooms")


def pass_milestone(db: sqlite3.Connection) -> None:
    """What is known now is what counts from here on."""
    db.execute(_MILESTONE)


def telling(db: sqlite3.Connection, meeting_id: str | None = None) -> dict[str, Room]:
    """The rooms that lacked a type at the last milestone, or may have: those of two sessions; all, or one.

    In most stores nearly every room is of one session. Raises ``sqlite3.DatabaseError``.
    """
    where, values = ("", ()) if meeting_id is None else (" AND meeting_id = ?", (meeting_id,))
    select = (
        f"SELECT meeting_id, once_then, twice_then, account_then FROM rooms WHERE twice_then IS NOT 0{where}"
    )
    return _rooms(db, select, values)


def _rooms(db: sqlite3.Connection, select: str, values: tuple[str, ...] = ()) -> dict[str, Room]:
    found = {}
    for name, once, twice, account in db.execute(select, values):
        if not (isinstance(name, str) and isinstance(once, int) and isinstance(twice, int)):
            raise sqlite3.DatabaseError("malformed rooms")
        found[name] = Room(once, twice, account=account)
    return found
