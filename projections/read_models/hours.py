"""``hours``: how many deliveries came in each hour, of each account. Counted, not folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from projections.read_models import ReadModels, Row, Table, text
from tracker.delivery.webhook import Delivery
from tracker.record import RECORD

HOUR = 13
"""Characters of a time that name its hour: ``2026-11-23T10``."""
TABLE = Table(
    name="hours",
    columns={"hour": str, "account": str, "deliveries": int},
    pk=("hour", "account"),
    indexes=(("account",),),
)
COUNT = (
    TABLE.insert + " ON CONFLICT (hour, account) DO UPDATE SET deliveries = deliveries + excluded.deliveries"
)
"""Adds to the counts what a page of deliveries brings."""


def rows(deliveries: Iterable[Delivery]) -> list[Row]:
    """What one page adds; a delivery without a receive time is in no hour."""
    hours = Counter(
        ((text(one.received_at) or "")[:HOUR], one.received.account or "")
        for one in deliveries
        if one.received_at is not None and one.step is not RECORD
    )
    return [(*key, number) for key, number in hours.items()]


def between(db: ReadModels, since: str, until: str, account: str | None = None) -> dict[str, int]:
    """Hour -> how many deliveries, of the hours that begin in ``[since, until)``; times are ISO 8601 in UTC.

    With ``account``, of those that are of it.
    """
    found = db.query(
        "SELECT hour, SUM(deliveries) AS deliveries FROM hours WHERE hour >= :since AND hour < :until"
        f"{'' if account is None else ' AND account = :account'} GROUP BY hour ORDER BY hour",
        {"since": since[:HOUR], "until": until[:HOUR], "account": account},
    )
    return {row["hour"]: row["deliveries"] for row in found}
