"""The archive: deliveries and findings as Parquet, which Spark, DuckDB, Polars and pandas read.

A delivery's ``line`` is the one that ``tracker export`` writes, byte for byte; the columns beside it are what
somebody asks by. Deliveries lie in a directory for each day (UTC) on which they were received; those without
a receive time in ``day=none``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from projections.explain import status
from projections.exports.data import document
from tracker.delivery import envelope
from tracker.delivery.webhook import Delivery
from tracker.errors import UsageError
from tracker.findings import Finding

BATCH = 10_000
"""Deliveries in one batch."""
GROUP = 100_000
"""Findings in one row group: so many are in memory."""
ROWS = 1_000_000
"""Deliveries in one file."""
UTC_TIME = pa.timestamp("us", tz="UTC")
DELIVERIES = pa.schema(
    [
        ("position", pa.int64()),
        ("received_at", UTC_TIME),
        ("type", pa.string()),
        ("session_id", pa.string()),
        ("meeting_id", pa.string()),
        ("account", pa.string()),
        ("line", pa.binary()),
        ("day", pa.string()),
    ]
)
ALTERNATIVE = pa.struct(
    [
        ("message", pa.string()),
        ("codes", pa.list_(pa.string())),
        ("positions", pa.list_(pa.int64())),
        ("confidence", pa.float64()),
    ]
)
FINDINGS = pa.schema(
    [
        ("position", pa.int64()),
        *((name, pa.string()) for name in ("code", "slug", "severity", "verdict")),
        ("confidence", pa.float64()),
        *((name, pa.string()) for name in ("session_id", "meeting_id", "lifecycle", "key")),
        ("run", pa.int64()),
        ("evidence", pa.list_(pa.int64())),
        ("at", pa.string()),
        *((name, pa.string()) for name in ("state_before", "state_after")),
        ("expected", pa.list_(pa.string())),
        *((name, pa.string()) for name in ("message", "advice")),
        ("alternatives", pa.list_(ALTERNATIVE)),
        ("cause", pa.string()),
        ("account", pa.string()),
    ]
)


def write(deliveries: Iterable[Delivery], out: Path) -> None:
    """Writes deliveries below a directory that is empty or not there. Raises ``UsageError``."""
    refuse_what_is_there(out)
    day = ds.partitioning(pa.schema([("day", pa.string())]), flavor="hive")
    try:
        ds.write_dataset(
            _batches(iter(deliveries)),
            out,
            schema=DELIVERIES,
            format="parquet",
            partitioning=day,
            basename_template="deliveries-{i}.parquet",
            max_rows_per_file=ROWS,
            max_rows_per_group=min(ROWS, 1 << 17),
            use_threads=False,  # in order
            preserve_order=True,
        )
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error}", place=str(out), hint="choose another directory"
        ) from error


def write_findings(found: Iterable[Finding], path: Path) -> None:
    """One file of findings, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, FINDINGS) as file:
        rows = map(_finding, found)
        while some := list(islice(rows, GROUP)):
            file.write_table(pa.Table.from_pylist(some, schema=FINDINGS))


def refuse_what_is_there(out: Path) -> None:
    """Raises ``UsageError`` where something would lie beside what is written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("is there already", place=str(out), hint="choose another directory, or remove it")


def _batches(deliveries: Iterator[Delivery]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(deliveries, BATCH)):
        yield pa.RecordBatch.from_pylist([_row(one) for one in some], schema=DELIVERIES)


def _finding(one: Finding) -> dict[str, object]:
    row = status.finding(one)
    return {**row, "key": document(row["key"]).decode().strip()}


def _row(one: Delivery) -> dict[str, object]:
    return {
        "position": one.position,
        "received_at": one.received_at,
        "type": one.type,
        "session_id": one.session_id,
        "meeting_id": one.meeting_id,
        "account": one.received.account,
        "line": envelope.encode(one.received),
        "day": f"{one.received_at:%Y-%m-%d}" if one.received_at else "none",
    }
