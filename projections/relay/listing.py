"""What ``relay.db`` says, for people and programs: the entries that are armed, with what waits and what is dead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from projections.outbox.queue import LAST_PROBLEM
from projections.read_models import short
from projections.relay.database import queue_of

_ENTRIES = f"""
SELECT rule, disabled, swept_at,
    (SELECT COUNT(*) FROM sessions JOIN facts ON session = id WHERE sessions.rule = armed.rule AND facts.due_at IS NOT NULL),
    (SELECT COUNT(*) FROM outbox WHERE outbox.rule = armed.rule AND NOT dead),
    (SELECT COUNT(*) FROM outbox WHERE outbox.rule = armed.rule AND dead),
    (SELECT problem FROM outbox {LAST_PROBLEM}), (SELECT due_at FROM outbox {LAST_PROBLEM})
FROM armed ORDER BY rule
"""
COLUMNS = ("name", "disabled", "swept_at", "waiting", "pending", "dead", "problem", "next_at")


def listed(data: Path) -> list[dict[str, Any]]:
    """A row an entry: ``waiting`` are facts that are not settled, ``pending`` and ``dead`` are messages; ``problem`` is why the one
    was not taken that is tried again at ``next_at``. Raises ``StoreError``."""
    with queue_of(data).file.to_read() as connection:
        if connection is None:
            return []
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(_ENTRIES)]
    return [{**row, **{name: short(row[name]) for name in ("swept_at", "next_at")}} for row in rows]
