"""Erasing people from an archive: its files are written anew, where the ledger says so, and take the places of the old ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from projections.progress import Progress
from tracker.delivery import envelope
from tracker.delivery.envelope import Received
from tracker.delivery.pseudonyms import people_in
from tracker.delivery.webhook import UNROUTED, parse
from tracker.errors import UsageError
from tracker.intake.archive import parts
from tracker.record import PREFIX
from tracker.store.ledger import Ledger

__all__ = ["erase", "naming", "older"]

BATCH = 10_000
"""Rows in memory."""
LINE = "line"


def erase(archive: Path, ledger: Ledger, progress: Progress) -> int:
    """Erases whom a ledger says to forget from an archive; returns from how many deliveries.

    Where it breaks off, doing it again ends it. Raises ``UsageError``.
    """
    files = _files(archive)
    done, total = 0, 2 * len(files)
    try:
        for number, path in enumerate(files):  # whoever is erased may be named before anything says who that is
            for batch in _batches(path):
                ledger.learn(_by_stream(batch))
            progress(number, total)
        for number, path in enumerate(files):
            done += _rewritten(path, ledger)
            progress(len(files) + number, total)
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(
            f"cannot be written anew: {error}", place=str(archive), hint="make room, and run it again"
        ) from error
    return done


def naming(archive: Path, participant: str) -> set[str]:
    """The streams of an archive in which somebody has this id."""
    return {
        stream
        for path in _files(archive)
        for batch in _batches(path)
        for stream, received in _read(batch)
        if any(participant in one.ids for one in people_in(received.body))
    }


def older(archive: Path, before: datetime) -> set[str]:
    """The sessions, and what else has a stream of its own, of which no webhook in an archive was received since a moment."""
    of_records, found = dict[str, datetime](), dict[str, datetime]()
    for path in _files(archive):
        for batch in _batches(path):
            for stream, received in _read(batch):
                at = received.received_at
                if at is not None and not stream.startswith(UNROUTED):
                    those = of_records if parse(received).topic.startswith(PREFIX) else found
                    those[stream] = max(those.get(stream, at), at)
    return {stream for stream, at in {**of_records, **found}.items() if at < before}


def _files(archive: Path) -> list[Path]:
    return sorted(parts(archive)) if archive.is_dir() else [archive]


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=BATCH)


def _read(batch: pa.RecordBatch) -> Iterator[tuple[str, Received]]:
    for line in batch.column(LINE).to_pylist():
        received = envelope.decode(line)
        yield parse(received).stream, received


def _by_stream(batch: pa.RecordBatch) -> dict[str, list[Received]]:
    found: dict[str, list[Received]] = {}
    for stream, received in _read(batch):
        found.setdefault(stream, []).append(received)
    return found


def _rewritten(path: Path, ledger: Ledger) -> int:
    """Writes a file anew beside itself; it takes its place if something is another in it."""
    beside, changed = path.with_name(f".{path.name}.erasing"), 0
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
    try:
        with pq.ParquetWriter(beside, schema) as writer:
            for batch in _batches(path):
                lines = batch.column(LINE).to_pylist()
                for place, (stream, received) in enumerate(_read(batch)):
                    new = ledger.erase(received, stream)
                    if new is not received:
                        lines[place], changed = envelope.encode(new), changed + 1
                column = batch.schema.get_field_index(LINE)
                writer.write_batch(batch.set_column(column, schema.field(LINE), pa.array(lines, pa.binary())))
        if changed:
            with beside.open("rb+") as written:
                os.fsync(written.fileno())
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return changed
