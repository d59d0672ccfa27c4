"""``types``: one row a webhook type, with how often and when it came. Counted, not folded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from projections.read_models import ReadModels, Row, Table, text
from tracker.delivery.envelope import parse_time
from tracker.delivery.webhook import Delivery
from tracker.lifecycles import REGISTRY
from tracker.record import RECORD

TABLE = Table(
    name="types",
    columns={
        "type": str,
        "lifecycle": str,
        "deliveries": int,
        "unrouted": int,
        "first_position": int,
        "last_position": int,
        "first_seen_at": str,
        "last_seen_at": str,
    },
    pk=("type",),
)

COUNT = (
    TABLE.insert + " ON CONFLICT (type) DO UPDATE SET "
    "deliveries = deliveries + excluded.deliveries, unrouted = unrouted + excluded.unrouted, "
    "last_position = excluded.last_position, "
    "lifecycle = COALESCE(lifecycle, excluded.lifecycle), "
    "first_seen_at = MIN(COALESCE(first_seen_at, excluded.first_seen_at), "
    "COALESCE(excluded.first_seen_at, first_seen_at)), "
    "last_seen_at = MAX(COALESCE(last_seen_at, excluded.last_seen_at), "
    "COALESCE(excluded.last_seen_at, last_seen_at))"
)
"""Adds to the counts what a page of deliveries brings."""

UNKNOWN = "unknown"
"""What stands for every type that no lifecycle declares."""


def known(name: str | None) -> str:
    """A type, where a lifecycle declares it."""
    return name if name is not None and name in REGISTRY.routes else UNKNOWN


def rows(deliveries: Iterable[Delivery]) -> list[Row]:
    """What one page adds; a record of VideoSDK's is no webhook."""
    counted: dict[str, list[Any]] = {}
    for delivery in deliveries:
        if delivery.step is RECORD:
            continue
        topic, at, position = delivery.topic, delivery.received.received_at, delivery.position
        row = counted.get(topic)
        if row is None:
            row = counted[topic] = [topic, None, 0, 0, position, position, at, at]
        if delivery.lifecycle is None:
            row[3] += 1
        elif row[1] is None:
            row[1] = delivery.lifecycle.name
        row[2] += 1
        row[5] = position
        if at is not None:
            if row[6] is None or at < row[6]:
                row[6] = at
            if row[7] is None or at > row[7]:
                row[7] = at
    return [(*row[:6], text(row[6]), text(row[7])) for row in counted.values()]


def newest(db: ReadModels) -> datetime | None:
    """The newest receive time; ``None`` where none is known."""
    (row,) = db.query("SELECT MAX(last_seen_at) AS newest FROM types")
    return parse_time(row["newest"]) if row["newest"] else None


def deliveries(db: ReadModels) -> dict[str, int]:
    """How often each type came."""
    return {row["type"]: row["deliveries"] for row in db.query("SELECT type, deliveries FROM types")}
