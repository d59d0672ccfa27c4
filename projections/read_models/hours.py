"""``hours``: how many deliveries came in each hour. Counted, not folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from projections.read_models import Row, Table, text
from tracker.delivery.webhook import Delivery

if TYPE_CHECKING:  # importing it takes long, and not every command needs it
    from sqlite_utils import Database

HOUR = 13
"""Characters of a time that name its hour: ``2026-11-23T10``."""
TABLE = Table(name="hours", columns={"hour": str, "deliveries": int}, pk=("hour",))
COUNT = TABLE.insert + " ON CONFLICT (hour) DO UPDATE SET deliveries = deliveries + excluded.deliveries"
"""Adds to the counts what a page of deliveries brings."""


def rows(deliveries: Iterable[Delivery]) -> list[Row]:
    """What one page adds; a delivery without a receive time is in no hour."""
    hours = Counter((text(one.received_at) or "")[:HOUR] for one in deliveries if one.received_at is not None)
    return list(hours.items())


def between(db: Database, since: str, until: str) -> dict[str, int]:
    """Hour -> how many deliveries, of the hours that begin in ``[since, until)``; times are ISO 8601 in UTC."""
    found = db.query(
        "SELECT hour, deliveries FROM hours WHERE hour >= ? AND hour < ? ORDER BY hour",
        (since[:HOUR], until[:HOUR]),
    )
    return {row["hour"]: row["deliveries"] for row in found}
