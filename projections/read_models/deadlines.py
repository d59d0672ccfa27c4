"""``deadlines``: when time alone will next change a session (or other stream), and which ones are in doubt.

What is held of a session in doubt may change when more is known of the log. Made by the follower.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime

from projections.read_models import Row, Table, text
from tracker.judging.log import OtherTypes
from tracker.judging.state import Session

TABLE = Table(
    name="deadlines",
    columns={"stream": str, "at": str, "in_doubt": int},
    pk=("stream",),
    followed_by=(("at",), ("in_doubt",)),
)

DUE = "SELECT stream FROM deadlines WHERE at <= ? ORDER BY at, stream"
IN_DOUBT = "SELECT stream FROM deadlines WHERE in_doubt"
_SESSIONS = "SELECT session_id FROM sessions"
_OF_ACCOUNT = f"{_SESSIONS} WHERE account = ?"
_OF_ROOM = "SELECT stream FROM spans WHERE meeting_id = ?"


def rows(session: Session, others: Iterable[datetime | None] = ()) -> list[Row]:
    """One row, or none where nothing will change it any more. ``others``: deadlines beside its own."""
    at = min(filter(None, (session.next_change, *others)), default=None)
    return [] if at is None and not session.in_doubt else [(session.stream, text(at), int(session.in_doubt))]


def in_doubt(db: sqlite3.Connection) -> list[str]:
    """The streams that other evidence of the log may show otherwise."""
    return [stream for (stream,) in db.execute(IN_DOUBT).fetchall()]


def lacking_others(db: sqlite3.Connection, than_before: OtherTypes) -> Iterator[str]:
    """The streams of the sessions that lack other types than before."""
    if than_before.everywhere:
        asked: list[tuple[str, tuple[str, ...]]] = [(_SESSIONS, ())]
    else:
        asked = [(_OF_ACCOUNT, (one,)) for one in sorted(than_before.accounts)]
        asked += [(_OF_ROOM, (one,)) for one in sorted(than_before.rooms)]
    for select, values in asked:
        yield from (stream for (stream,) in db.execute(select, values).fetchall())
