"""The queue: what is to be sent, whose turn it is, and what could never be delivered.

The messages about one thing are sent in order. Whoever sends one takes it for ``LEASE``: another process leaves it alone,
and if the sender dies, it is sent again after that, under the same id. It goes away only when its receiver has taken it.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Collection
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

import attrs
import msgspec

from projections.read_models import Table, text
from tracker.store.kept import Kept

LEASE = timedelta(minutes=1)
"""Longer than sending a message may take."""
KEPT = timedelta(days=90)
"""For so long it is known what was sent of what is over."""
_MINUTES = (1 / 12, 5, 30, 120, 300, 600, 840, 1200, 1440)
DELAYS = tuple(timedelta(minutes=minutes) for minutes in _MINUTES)
"""Between one attempt and the next, as Standard Webhooks recommends; after the last attempt a message is dead."""
SPREAD = 0.2
"""The share by which a delay differs by chance, so that not all messages come at once."""


def delay(attempts: int) -> timedelta:
    """How long to wait after so many attempts, from one on."""
    return DELAYS[attempts - 1] * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - nothing secret


def outbox(about: str) -> Table:
    """The table of a file in which messages wait; the column ``about`` says what a message is about."""
    columns = {"number": int, "id": str, "rule": str, about: int, "type": str, "body": str, "created_at": str}
    return Table(
        name="outbox",
        columns={**columns, "due_at": str, "attempts": int, "problem": str, "dead": int},
        pk=("number",),
        indexes=(("id",), (about, "number"), ("rule", "due_at"), ("rule", "type")),
    )


def body(kind: str, now: str, data: dict[str, Any]) -> str:
    """The body of a message, as Standard Webhooks has it: ``type``, ``timestamp``, ``data``."""
    return msgspec.json.encode({"type": kind, "timestamp": now, "data": data}).decode()


LAST_PROBLEM = "WHERE outbox.rule = armed.rule AND NOT dead AND problem IS NOT NULL ORDER BY due_at LIMIT 1"
"""Of an entry that is armed: the message that was not taken and is tried again next, with its ``problem`` and ``due_at``."""


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


@attrs.frozen
class Queue:
    """The messages of one file, which has a table ``outbox`` and a table ``armed`` with ``rule``, ``disabled`` and ``rests_until``.

    Attributes:
        file: The file.
        about: The column of the outbox that says what a message is about: those about one thing are sent in order.
        first: The type of messages before which no other one of their rule is sent.
    """

    file: Kept
    about: str
    first: str = ""

    @property
    def table(self) -> Table:
        return outbox(self.about)

    @property
    def due(self) -> str:
        """Selects what may be sent ``:now`` for a ``:rule``: nothing before it about the same thing waits, nor what goes first."""
        return f"""
SELECT number, id, type, body, attempts FROM outbox AS one
WHERE rule = :rule AND NOT dead AND due_at <= :now
AND NOT EXISTS (SELECT 1 FROM outbox AS before WHERE before.{self.about} = one.{self.about} AND before.number < one.number)
AND NOT EXISTS (
    SELECT 1 FROM outbox AS before
    WHERE before.rule = one.rule AND before.type = '{self.first}' AND before.number < one.number AND NOT before.dead
)
AND NOT EXISTS (
    SELECT 1 FROM armed WHERE armed.rule = one.rule
    AND (disabled IS NOT NULL OR (one.type != '{self.first}' AND rests_until > :now))
)
"""

    def post(
        self,
        connection: sqlite3.Connection,
        rule: str,
        kind: str,
        body: str,
        now: str,
        about: int | None = None,
        *,
        number: int | None = None,
        id: str = "",
    ) -> None:
        """Puts a message into the outbox; ``number`` is its place, if that is not the end."""
        row = {"id": id or f"msg_{token_hex(16)}", "rule": rule, self.about: about, "type": kind, "body": body}
        row |= {"number": number, "created_at": now, "due_at": now, "attempts": 0, "problem": None, "dead": 0}
        connection.execute(self.table.insert, [row[name] for name in self.table.columns])

    def take(self, connection: sqlite3.Connection, rule: str, now: datetime) -> Message | None:
        """The message of a rule whose turn it is, taken for ``LEASE``; ``None`` where there is none."""
        given = {"rule": rule, "now": text(now)}
        row = connection.execute(f"{self.due} ORDER BY due_at, number LIMIT 1", given).fetchone()
        if row is None:
            return None
        _, id, kind, body, attempts = row
        message = Message(id, kind, body, attempts + 1)
        update = "UPDATE outbox SET attempts = ?, due_at = ? WHERE id = ?"
        connection.execute(update, (message.attempts, text(now + LEASE), message.id))
        return message

    def delivered(self, message: Message) -> None:
        with self.file.to_write() as connection:
            connection.execute("DELETE FROM outbox WHERE id = ?", (message.id,))

    def failed(self, message: Message, now: datetime, problem: str) -> bool:
        """It was not taken, and is tried again later; returns whether that was the last attempt."""
        dead = message.attempts > len(DELAYS)
        due = now if dead else now + delay(message.attempts)
        with self.file.to_write() as connection:
            update = "UPDATE outbox SET problem = ?, due_at = ?, dead = ? WHERE id = ?"
            connection.execute(update, (problem, text(due), dead, message.id))
        return dead

    def disable(self, rule: str, message: Message, now: datetime, problem: str) -> None:
        """Its receiver wants no more: nothing is sent to it until somebody says so, and nothing is lost."""
        with self.file.to_write() as connection:
            connection.execute("UPDATE armed SET disabled = ? WHERE rule = ?", (problem, rule))
            update = "UPDATE outbox SET problem = ?, due_at = ?, attempts = attempts - 1 WHERE id = ?"
            connection.execute(update, (problem, text(now), message.id))

    def retry(self, rule: str, now: datetime) -> int:
        """Sends what is dead from the first attempt on, and what waits where the receiver wanted no more; how many these are."""
        waits = "SELECT COUNT(*) FROM outbox JOIN armed USING (rule) WHERE rule = ? AND disabled IS NOT NULL AND NOT dead"
        with self.file.to_write() as connection:
            waiting: int = connection.execute(waits, (rule,)).fetchone()[0]
            connection.execute("UPDATE armed SET disabled = NULL WHERE rule = ?", (rule,))
            update = "UPDATE outbox SET dead = 0, attempts = 0, due_at = ? WHERE rule = ? AND dead"
            dead = connection.execute(update, (text(now), rule)).rowcount
            return waiting + dead

    def forget_others(self, connection: sqlite3.Connection, rules: Collection[str], what: str) -> None:
        """Disarms the rules that are in the configuration no more. What was to be sent for them cannot be delivered."""
        for (rule,) in connection.execute("SELECT rule FROM armed").fetchall():
            if rule not in rules:
                connection.execute("DELETE FROM armed WHERE rule = ?", (rule,))
                update = "UPDATE outbox SET dead = 1, problem = ? WHERE NOT dead AND rule = ?"
                connection.execute(update, (f"no [[{what}]] has this name", rule))

    def listed(self, *, dead: bool) -> list[dict[str, Any]]:
        """The messages that are dead, or those that wait, the oldest first, without what they say."""
        columns = [name for name in self.table.columns if name not in ("body", "dead")]
        with self.file.to_read() as connection:
            if connection is None:
                return []
            select = f"SELECT {', '.join(columns)} FROM outbox WHERE dead = ? ORDER BY number"
            rows = connection.execute(select, (dead,)).fetchall()
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def counts(self) -> tuple[int, int]:
        """How many messages wait, and how many are dead."""
        with self.file.to_read() as connection:
            if connection is None:
                return 0, 0
            ((waiting, dead),) = connection.execute(
                "SELECT COALESCE(SUM(NOT dead), 0), COALESCE(SUM(dead), 0) FROM outbox"
            ).fetchall()
        return waiting, dead
