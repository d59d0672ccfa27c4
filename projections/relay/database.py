"""The file ``relay.db``: the entries that are armed, the sessions, the facts that were sent or wait, and the outbox.

It holds neither names nor the addresses of files, but for the messages that were not taken yet.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

import attrs

from projections.outbox.queue import Queue, outbox
from projections.read_models import Table, make_tables
from projections.relay.facts import Identity
from tracker.store.kept import Kept

RELAY_DB = "relay.db"

State = Literal["waiting", "sent", "leaving", "withdrawn"]

ARMED = Table(
    name="armed",
    columns={
        "rule": str,
        "fingerprint": str,
        "position": int,
        "swept": int,
        "swept_at": str,
        "target": str,
        "disabled": str,
        "rests_until": str,
        "withdrawn": int,
    },
    pk=("rule",),
)
"""What was received up to ``position`` is the past; up to ``swept`` it was compared. ``withdrawn`` is the position of the last
withdrawal, erasure or pruning after which all was compared."""
SESSIONS = Table(
    name="sessions",
    columns={"id": int, "rule": str, "stream": str, "sequence": int, "open": int, "closed_at": str},
    pk=("id",),
    indexes=(("rule", "open"), ("rule", "closed_at")),
)
"""``sequence`` is that of the last message; ``open`` says that something of it may still change; ``closed_at`` is since when that is
not so, as long as its facts are known."""
FACTS = Table(
    name="facts",
    columns={
        "session": int,
        "lifecycle": str,
        "anchor": int,
        "what": str,
        "detail": str,
        "state": str,
        "due_at": str,
        "message": str,
        "times": int,
    },
    pk=("session", "lifecycle", "anchor", "what", "detail"),
    indexes=(("due_at",),),
)


@attrs.frozen
class Known:
    """What is known of a fact.

    Attributes:
        identity: Which one it is.
        state: ``waiting`` to be sent; ``sent``; ``leaving``, which is sent and waits to be withdrawn; ``withdrawn``.
        due_at: Until when it waits at most.
        message: The id under which it was sent last.
        times: How often it was sent.
    """

    identity: Identity
    state: State
    due_at: str | None = None
    message: str | None = None
    times: int = 0


UPGRADES = (
    ("ALTER TABLE armed ADD COLUMN withdrawn INTEGER",),
    (
        "ALTER TABLE sessions ADD COLUMN closed_at TEXT",
        "UPDATE sessions SET closed_at = (SELECT swept_at FROM armed WHERE armed.rule = sessions.rule) WHERE NOT open",
        "CREATE INDEX sessions_rule_closed_at ON sessions (rule, closed_at)",
    ),
)


def queue_of(data: Path) -> Queue:
    hint = "restore it from a backup; without it, nobody is sent the end of what was sent before"
    return Queue(Kept(data / RELAY_DB, _make, hint, UPGRADES), about="session")


def known_of(connection: sqlite3.Connection, session: int) -> dict[Identity, Known]:
    select = f"SELECT {', '.join(FACTS.columns)} FROM facts WHERE session = ?"
    found = (Known(row[1:5], *row[5:]) for row in connection.execute(select, (session,)))
    return {one.identity: one for one in found}


def write(connection: sqlite3.Connection, session: int, known: Known) -> None:
    row = (session, *known.identity, known.state, known.due_at, known.message, known.times)
    connection.execute(FACTS.insert.replace("INSERT", "INSERT OR REPLACE", 1), row)


def forget_session(connection: sqlite3.Connection, rule: str, stream: str) -> None:
    """Forgets what was sent of a session; its number and that of its last message stay, and what is in the outbox."""
    these = "SELECT id FROM sessions WHERE rule = ? AND stream = ?"
    connection.execute(f"DELETE FROM facts WHERE session IN ({these})", (rule, stream))
    update = "UPDATE sessions SET open = 0, closed_at = NULL WHERE rule = ? AND stream = ?"
    connection.execute(update, (rule, stream))


def forget_old(connection: sqlite3.Connection, rule: str, before: str) -> None:
    """Forgets likewise what was sent of sessions that were closed out by then, unless a message of one waits, or is dead."""
    these = (
        "SELECT id FROM sessions WHERE rule = ?1 AND closed_at <= ?2"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.session = sessions.id)"
    )
    connection.execute(f"DELETE FROM facts WHERE session IN ({these})", (rule, before))
    connection.execute(f"UPDATE sessions SET closed_at = NULL WHERE id IN ({these})", (rule, before))


def forget(connection: sqlite3.Connection, session: int, identity: Identity) -> None:
    delete = "DELETE FROM facts WHERE session = ? AND (lifecycle, anchor, what, detail) = (?, ?, ?, ?)"
    connection.execute(delete, (session, *identity))


def _make(connection: sqlite3.Connection) -> None:
    make_tables(connection, (ARMED, SESSIONS, FACTS, outbox("session")))
    connection.execute("CREATE UNIQUE INDEX sessions_stream ON sessions (rule, stream)")
