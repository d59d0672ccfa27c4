"""The outbox of alerts: the messages about one alert are sent in order, and a digest before what follows it."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

from projections.alerts.database import alerts_file
from projections.alerts.messages import DIGEST, digest
from projections.outbox.queue import Queue
from projections.read_models import text
from tracker.alert import Alert

AT_ONCE = 5
"""Messages that are sent one by one also where the rule asks for digests."""


def queue_of(data: Path) -> Queue:
    return Queue(alerts_file(data), about="alert", first=DIGEST)


def make_digest(queue: Queue, alert: Alert, connection: sqlite3.Connection, now: datetime) -> None:
    """Puts one message in the place of those that are due, where these are too many; what was tried before stays."""
    if not alert.digest:
        return
    given = {"rule": alert.name, "now": text(now)}
    fresh = f"{queue.due} AND attempts = 0 AND type != '{DIGEST}' ORDER BY number"
    rows = connection.execute(fresh, given).fetchall()
    if len(rows) <= AT_ONCE:
        return
    connection.executemany("DELETE FROM outbox WHERE number = ?", [row[:1] for row in rows])
    body = digest(alert.name, [row[3] for row in rows], text(now) or "")
    queue.post(connection, alert.name, DIGEST, body, text(now) or "", number=rows[0][0])
    update = "UPDATE armed SET rests_until = ? WHERE rule = ?"
    connection.execute(update, (text(now + alert.digest), alert.name))
