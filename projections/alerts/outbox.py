"""The outbox: what is to be sent, whose turn it is, and what could never be delivered.

The messages about one alert are sent in order. Whoever sends one takes it for ``LEASE``: another process leaves it alone,
and if the sender dies, it is sent again after that, under the same id. It goes away only when its receiver has taken it.
"""

from __future__ import annotations

import random
import sqlite3
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

import attrs

from projections.alerts.database import OUTBOX
from projections.alerts.messages import DIGEST, digest
from projections.read_models import text
from projections.views.kept import Kept
from tracker.alert import Alert

LEASE = timedelta(minutes=1)
"""Longer than sending a message may take."""
_MINUTES = (1 / 12, 5, 30, 120, 300, 600, 840, 1200, 1440)
DELAYS = tuple(timedelta(minutes=minutes) for minutes in _MINUTES)
"""Between one attempt and the next, as Standard Webhooks recommends; after the last attempt a message is dead."""
SPREAD = 0.2
"""The share by which a delay differs by chance, so that not all messages come at once."""
AT_ONCE = 5
"""Messages that are sent one by one also where the rule asks for digests."""
_NEXT = f"""
SELECT number, id, type, body, attempts FROM outbox AS one
WHERE rule = :rule AND NOT dead AND due_at <= :now
AND NOT EXISTS (SELECT 1 FROM outbox AS before WHERE before.alert = one.alert AND before.number < one.number)
AND NOT EXISTS (
    SELECT 1 FROM outbox AS before
    WHERE before.rule = one.rule AND before.type = '{DIGEST}' AND before.number < one.number AND NOT before.dead
)
AND NOT EXISTS (
    SELECT 1 FROM armed WHERE armed.rule = one.rule
    AND (disabled IS NOT NULL OR (one.type != '{DIGEST}' AND rests_until > :now))
)
"""
"""What may be sent now: nothing before it about the same alert waits, nor a digest."""


@attrs.frozen
class Message:
    """A message that is to be sent now.

    Attributes:
        id: The same for every attempt.
        type, body: What is sent.
        attempts: How often it was tried, this attempt included.
    """

    id: str
    type: str
    body: str
    attempts: int


def post(
    connection: sqlite3.Connection,
    rule: str,
    kind: str,
    body: str,
    now: str,
    alert: int | None = None,
    number: int | None = None,
) -> None:
    """Puts a message into the outbox; ``number`` is its place, if that is not the end."""
    row = {"id": f"msg_{token_hex(16)}", "rule": rule, "alert": alert, "type": kind, "body": body}
    row |= {"number": number, "created_at": now, "due_at": now, "attempts": 0, "problem": None, "dead": 0}
    connection.execute(OUTBOX.insert, [row[name] for name in OUTBOX.columns])


def take(file: Kept, alert: Alert, now: datetime) -> Message | None:
    """The message of a rule whose turn it is, taken for ``LEASE``; ``None`` where there is none."""
    given = {"rule": alert.name, "now": text(now)}
    with file.to_write() as connection:
        if alert.digest:
            _make_digest(connection, alert, now)
        row = connection.execute(f"{_NEXT} ORDER BY due_at, number LIMIT 1", given).fetchone()
        if row is None:
            return None
        _, id, kind, body, attempts = row
        message = Message(id, kind, body, attempts + 1)
        update = "UPDATE outbox SET attempts = ?, due_at = ? WHERE id = ?"
        connection.execute(update, (message.attempts, text(now + LEASE), message.id))
    return message


def _make_digest(connection: sqlite3.Connection, alert: Alert, now: datetime) -> None:
    """Puts one message in the place of those that are due, where these are too many; what was tried before stays."""
    given = {"rule": alert.name, "now": text(now)}
    fresh = f"{_NEXT} AND attempts = 0 AND type != '{DIGEST}' ORDER BY number"
    rows = connection.execute(fresh, given).fetchall()
    if len(rows) <= AT_ONCE:
        return
    connection.executemany("DELETE FROM outbox WHERE number = ?", [row[:1] for row in rows])
    body = digest(alert.name, [row[3] for row in rows], text(now) or "")
    post(connection, alert.name, DIGEST, body, text(now) or "", number=rows[0][0])
    update = "UPDATE armed SET rests_until = ? WHERE rule = ?"
    connection.execute(update, (text(now + alert.digest), alert.name))


def delivered(file: Kept, message: Message) -> None:
    with file.to_write() as connection:
        connection.execute("DELETE FROM outbox WHERE id = ?", (message.id,))


def failed(file: Kept, message: Message, now: datetime, problem: str) -> bool:
    """It was not taken, and is tried again later; returns whether that was the last attempt."""
    dead = message.attempts > len(DELAYS)
    delay = timedelta() if dead else DELAYS[message.attempts - 1] * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - nothing secret
    with file.to_write() as connection:
        update = "UPDATE outbox SET problem = ?, due_at = ?, dead = ? WHERE id = ?"
        connection.execute(update, (problem, text(now + delay), dead, message.id))
    return dead


def disable(file: Kept, rule: str, message: Message, now: datetime, problem: str) -> None:
    """Its receiver wants no more: nothing is sent to it until somebody says so, and nothing is lost."""
    with file.to_write() as connection:
        connection.execute("UPDATE armed SET disabled = ? WHERE rule = ?", (problem, rule))
        update = "UPDATE outbox SET problem = ?, due_at = ?, attempts = attempts - 1 WHERE id = ?"
        connection.execute(update, (problem, text(now), message.id))


def retry(file: Kept, rule: str, now: datetime) -> int:
    """Sends what is dead from the first attempt on, also where the receiver wanted no more; how many these are."""
    with file.to_write() as connection:
        connection.execute("UPDATE armed SET disabled = NULL WHERE rule = ?", (rule,))
        update = "UPDATE outbox SET dead = 0, attempts = 0, due_at = ? WHERE rule = ? AND dead"
        return connection.execute(update, (text(now), rule)).rowcount


def listed(file: Kept, *, dead: bool) -> list[dict[str, Any]]:
    """The messages that are dead, or those that wait, the oldest first, without what they say."""
    columns = [name for name in OUTBOX.columns if name not in ("body", "dead")]
    with file.to_read() as connection:
        if connection is None:
            return []
        select = f"SELECT {', '.join(columns)} FROM outbox WHERE dead = ? ORDER BY number"
        rows = connection.execute(select, (dead,)).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


def counts(file: Kept) -> tuple[int, int]:
    """How many messages wait, and how many are dead."""
    with file.to_read() as connection:
        if connection is None:
            return 0, 0
        ((waiting, dead),) = connection.execute(
            "SELECT COALESCE(SUM(NOT dead), 0), COALESCE(SUM(dead), 0) FROM outbox"
        ).fetchall()
    return waiting, dead
