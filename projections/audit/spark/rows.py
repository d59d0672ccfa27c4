"""The rows that pass between the parts of an audit on Spark: their columns, and what is packed into a cell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs
import msgspec
import pyarrow as pa

from tracker.findings import Finding
from tracker.intake.logs import Oddities
from tracker.judging.findings.overlaps import Span
from tracker.judging.log import Habits

Batches = Iterator[pa.RecordBatch]
BATCH = 10_000
"""Rows in one batch."""
DELIVERY, OBSERVED, ACCOUNT = range(3)
"""Kinds of rows that the reading gives."""
READ = pa.schema(
    [
        ("kind", pa.int8()),
        ("file", pa.int32()),
        ("number", pa.int64()),
        ("reached", pa.int64()),
        ("stream", pa.string()),
        ("line", pa.binary()),
        ("summary", pa.binary()),
    ]
)
JUDGED = pa.schema(
    [
        ("stream", pa.string()),
        ("meeting_id", pa.string()),
        ("state", pa.string()),
        ("is_session", pa.bool_()),
        ("open_runs", pa.int32()),
        ("findings", pa.binary()),
        ("span", pa.binary()),
        ("status", pa.binary()),
    ]
)
ORDER = ("reached", "rank", "number")
"""The columns by which the deliveries of all logs are in their order."""
LEARNED = pa.schema([("habits", pa.binary())])
Seen = tuple[int, int, datetime | None, str, str, bool, str | None, bool, str | None]
"""Number, the time that the log has reached there (in microseconds), receive time, source, stream, whether that is a
session, type, whether a lifecycle knows it, and the time that the line gives where that is wrong."""


@attrs.define
class Account:
    """What became of one log, or of a part of it: its last line, and why it could not be read to its end."""

    last: int = 0
    odd: Oddities = attrs.field(factory=Oddities)
    error: tuple[str, str, str] | None = None


pack = msgspec.msgpack.Encoder().encode
unpack_observed = msgspec.msgpack.Decoder(list[Seen]).decode
unpack_habits = msgspec.msgpack.Decoder(Habits).decode
unpack_account = msgspec.msgpack.Decoder(Account).decode
unpack_findings = msgspec.msgpack.Decoder(list[Finding]).decode
unpack_span = msgspec.msgpack.Decoder(Span).decode


def as_batch(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def ddl(schema: pa.Schema) -> str:
    names = {
        pa.int8(): "tinyint", pa.int32(): "int", pa.int64(): "bigint", pa.string(): "string",
        pa.binary(): "binary", pa.bool_(): "boolean",
    }  # fmt: skip
    return ", ".join(f"{field.name} {names[field.type]}" for field in schema)
