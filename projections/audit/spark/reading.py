"""Step 1 of an audit on Spark: logs and archives become rows, where a worker is free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from projections.audit.spark.rows import (
    ACCOUNT,
    BATCH,
    DELIVERY,
    OBSERVED,
    READ,
    Account,
    Batches,
    Seen,
    as_batch,
    ddl,
    pack,
)
from tracker.delivery import envelope
from tracker.delivery.unwrap import USUAL, Fields
from tracker.delivery.webhook import Delivery, parse
from tracker.errors import LogError, UsageError, without_secrets
from tracker.intake.lines import Line
from tracker.intake.logs import Log, whole
from tracker.intake.receive_times import believed
from tracker.judging.hypothesis import micros

ReadAs = tuple[tzinfo, Fields]
"""The zone of times that name none, and where lines have webhook and time."""
USUALLY: ReadAs = (UTC, USUAL)


def is_archive(path: str) -> bool:
    """Whether it is Parquet: a directory or file of it, or something that only Spark reaches."""
    return "://" in path or path.endswith(".parquet") or Path(path).is_dir()


def read_all(spark: SparkSession, paths: list[str], as_of: datetime | None, read_as: ReadAs) -> DataFrame:
    """The rows of all logs and archives, each in its order, one after the other."""
    frames = []
    for is_parquet, ones in groupby(enumerate(paths), key=lambda one: is_archive(one[1])):
        files = list(ones)
        if is_parquet:
            frames += [_read_archive(spark, number, path, as_of) for number, path in files]
        else:
            numbers = spark.range(files[0][0], files[-1][0] + 1, 1, len(files))
            read = partial(_read_logs, paths=dict(files), as_of=as_of, read_as=read_as)
            frames.append(numbers.mapInArrow(read, ddl(READ)))
    first, *others = frames
    for other in others:
        first = first.union(other)
    return first


def _read_archive(spark: SparkSession, file: int, path: str, as_of: datetime | None) -> DataFrame:
    hint = "give what tracker export --format parquet wrote"
    try:
        frame = spark.read.parquet(path)
        types = dict(frame.dtypes)
    except (PySparkException, Py4JJavaError) as error:
        raise UsageError("is no Parquet that can be read", place=without_secrets(path), hint=hint) from error
    for name, wanted in (("position", "bigint"), ("line", "binary")):
        if types.get(name) != wanted:
            there = f"has a column {name} of {types[name]}" if name in types else f"has no column {name}"
            raise UsageError(there, place=without_secrets(path), hint=hint)
    rows = frame.select("position", "line").sort("position")
    return rows.mapInArrow(partial(_read_rows, file=file, as_of=as_of), ddl(READ))


def _read_logs(batches: Batches, paths: dict[int, str], as_of: datetime | None, read_as: ReadAs) -> Batches:
    for batch in batches:
        for file in batch.column(0).to_pylist():
            log = Log(paths[file], {}, *read_as)
            yield from _rows(file, log.lines(), partial(_delivered, log), as_of, believed, log.line_at)


def _delivered(log: Log, line: Line) -> Delivery:
    return log.delivery(line, line.number)


def _read_rows(batches: Batches, file: int, as_of: datetime | None) -> Batches:
    lines = (
        Line(position, line)
        for batch in batches
        for position, line in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    )
    yield from _rows(file, lines, lambda line: parse(envelope.decode(line.text), line.number), as_of)


def _rows(
    file: int,
    lines: Iterable[Line],
    delivery: Callable[[Line], Delivery],
    as_of: datetime | None,
    checked: Callable[[Iterable[Delivery]], Iterable[Delivery]] = iter,
    line_at: Callable[[int], int] = int,
) -> Batches:
    """The rows of lines, and the account of them."""
    account, rows, observed, reached = Account(), list[tuple[Any, ...]](), list[Seen](), 0
    for one in checked(_accounted(lines, delivery, account)):
        account.odd.look_at(one, line_at(one.position))
        if one.received_at is not None:
            reached = max(reached, micros(one.received_at))
        if as_of is None or one.received_at is None or one.received_at <= as_of:
            line = envelope.encode(one.received)
            rows.append((DELIVERY, file, one.position, reached, one.stream, line, None))
            observed.append(_summarised(one, reached))
        if len(rows) >= BATCH:
            yield as_batch([*rows, _of_observed(file, observed)], READ)
            rows, observed = [], []
    yield as_batch([*rows, _of_observed(file, observed)], READ)
    yield as_batch([(ACCOUNT, file, account.last, 0, None, None, pack(account))], READ)


def _accounted(
    lines: Iterable[Line], delivery: Callable[[Line], Delivery], account: Account
) -> Iterator[Delivery]:
    """What lines deliver; the account learns of the last one, and of what keeps them from being read."""
    try:
        for line in whole(lines, account.odd):
            account.last = line.number
            if not line.blank:
                yield delivery(line)
    except LogError as error:
        account.error = error.message, error.place, error.hint


def _of_observed(file: int, observed: list[Seen]) -> tuple[Any, ...]:
    """A row of what concerns the whole log, which stands where its first delivery does."""
    number, reached = observed[0][:2] if observed else (0, 0)
    return OBSERVED, file, number, reached, None, None, pack(observed)


def _summarised(one: Delivery, reached: int) -> Seen:
    source = one.received.source.encode(errors="replace").decode()
    is_session, is_known = one.session_id is not None, one.lifecycle is not None
    return (
        *(one.position, reached, one.received_at, source),
        *(one.stream, is_session, one.type, is_known, one.received.wrong_time),
    )
