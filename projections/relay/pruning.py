"""Forgetting sessions that were pruned: their facts are not held any more, and that withdraws none of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from projections.relay.database import queue_of

__all__ = ["forget"]

_THESE = "stream IN (SELECT value FROM json_each(?))"


def forget(data: Path, streams: Iterable[str]) -> None:
    """Forgets what was sent of these sessions; what waits to be sent is sent. Raises ``StoreError``."""
    file = queue_of(data).file
    if not file.path.exists():
        return
    these = (msgspec.json.encode(list(streams)).decode(),)
    with file.to_write() as connection:
        connection.execute(
            f"DELETE FROM facts WHERE session IN (SELECT id FROM sessions WHERE {_THESE})", these
        )
        connection.execute(f"DELETE FROM sessions WHERE {_THESE}", these)
