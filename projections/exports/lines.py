"""Writing the store's deliveries out: as lines that ``ingest`` reads back, or as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from projections.exports.cells import cell
from tracker.delivery import envelope
from tracker.delivery.webhook import Delivery

CSV_COLUMNS = (
    "position",
    "received_at",
    "type",
    "session_id",
    "meeting_id",
    "lifecycle",
    "key",
    "source",
    "body",
    "account",
)


def jsonl(deliveries: Iterable[Delivery]) -> Iterator[bytes]:
    """A line a delivery, the body in it byte for byte."""
    for delivery in deliveries:
        yield envelope.encode(delivery.received) + b"\n"


def table(deliveries: Iterable[Delivery]) -> Iterator[bytes]:
    """CSV in UTF-8 with a header; a body that is no text is shown with replacement characters."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(CSV_COLUMNS)
    yield buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    for delivery in deliveries:
        received = delivery.received
        row = (
            delivery.position,
            envelope.isoformat(received.received_at) if received.received_at else "",
            delivery.type or "",
            delivery.session_id or "",
            delivery.meeting_id or "",
            delivery.lifecycle.name if delivery.lifecycle else "",
            " ".join(value for _, value in delivery.key),
            received.source,
            received.body.decode(errors="replace"),
            received.account or "",
        )
        writer.writerow(map(cell, row))
        yield buffer.getvalue().encode(errors="replace")
        buffer.seek(0)
        buffer.truncate()
