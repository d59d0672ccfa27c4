"""An audit on Apache Spark: for an archive that one machine does not read in time.

The functions that judge are those of an audit in one process. What is different is who calls them:

1. Every log is read where a worker is free, and numbered there; of an archive in Parquet, the rows in the order
   of their positions. What concerns the whole log is summed up in few bytes beside it.
2. The driver goes through these by receive time (``tracker.judging.log.Traffic``): each row of them holds those of
   many deliveries of one log, and rows that overlap in time are merged.
3. The deliveries of a session come together in their order. What the log learns of its sessions is counted part
   by part and added up; with that, each session is assessed, one at a time.
4. The sessions of a meeting come together, and those that overlap are reported.

The driver keeps what it tells on disk: the findings, and of each session nothing else.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from heapq import heappop, heappush, heapreplace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.storagelevel import StorageLevel

from projections.audit.auditing import Audit, Logs, collected
from projections.explain import status
from projections.exports.data import document
from tracker.delivery import envelope
from tracker.delivery.webhook import UNROUTED, Delivery, parse
from tracker.errors import LogError, TrackerError, UsageError
from tracker.findings import Finding
from tracker.intake.logs import Line, Log, Oddities, Oddity
from tracker.intake.receive_times import believed
from tracker.judging.assess import assess
from tracker.judging.findings.overlaps import Span, overlaps, span
from tracker.judging.hypothesis import micros
from tracker.judging.log import Habits, LogView, Traffic, view_of
from tracker.judging.session import Observed
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules

Batches = Iterator[pa.RecordBatch]
LOCAL = "local[*]"
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
STATES = (
    "session_id",
    "meeting_id",
    "state",
    "certainty",
    "started_at",
    "ended_at",
    "first_seen_at",
    "last_seen_at",
)

_Observed = tuple[int, int, datetime | None, str, str, bool, str | None, bool, str | None]
"""Number, the time that the log has reached there (in microseconds), receive time, source, stream, whether that is a
session, type, whether a lifecycle knows it, and the time that the line gives where that is wrong."""


@attrs.define
class _Account:
    """What became of one log, or of a part of it: its last line, and why it could not be read to its end."""

    last: int = 0
    odd: Oddities = attrs.field(factory=Oddities)
    error: tuple[str, str, str] | None = None


_pack = msgspec.msgpack.Encoder().encode
_unpack_observed = msgspec.msgpack.Decoder(list[_Observed]).decode
_unpack_habits = msgspec.msgpack.Decoder(Habits).decode
_unpack_account = msgspec.msgpack.Decoder(_Account).decode
_unpack_findings = msgspec.msgpack.Decoder(list[Finding]).decode
_unpack_span = msgspec.msgpack.Decoder(Span).decode


@contextmanager
def session(master: str | None) -> Iterator[SparkSession]:
    """A Spark to work on: the one of ``spark-submit``, that of ``master``, or one in this process."""
    warnings.filterwarnings(
        "ignore", message="PySpark does not yet fully support pandas"
    )  # nothing here uses it
    builder = SparkSession.Builder().appName("tracker audit").config("spark.ui.showConsoleProgress", "false")
    if master is None and "PYSPARK_GATEWAY_PORT" not in os.environ:  # nor has spark-submit named one
        master = LOCAL
    if master is not None:
        builder = builder.master(master)
        if master.startswith("local"):
            builder = builder.config(map=_on_this_machine())
    try:
        spark = builder.getOrCreate()
    except (PySparkException, RuntimeError, OSError) as error:
        hint = "it needs Java 17 or newer (JAVA_HOME), and a --master that it reaches"
        raise UsageError(f"Spark does not start: {type(error).__name__}", hint=hint) from error
    try:
        yield spark
    except (PySparkException, Py4JJavaError) as error:
        lines = str(error).strip().splitlines()
        raise TrackerError(
            f"Spark failed: {lines[-1]}", hint="its log has more; give the whole error with a bug"
        ) from error
    finally:
        spark.stop()


def _on_this_machine() -> dict[str, str]:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    parts = 2 * (os.cpu_count() or 1)
    return {"spark.ui.enabled": "false", "spark.log.level": "OFF", "spark.sql.shuffle.partitions": str(parts)}


def audit(
    spark: SparkSession,
    paths: list[str],
    rules: Rules,
    as_of: datetime | None,
    out: Path | None = None,
    *,
    as_given: bool = False,
) -> tuple[Audit, Logs]:
    """What ``projections.audit`` finds in these logs and archives, and where their lines are.

    Several are merged by receive time, unless they are to be read ``as_given``. With ``out`` the states of the sessions are written below it. Raises ``UsageError`` where an archive is none.
    """
    logs = Logs([])
    read = _read(spark, paths, as_of).persist(StorageLevel.DISK_ONLY)
    read.count()  # all of it at once: what follows goes through it part by part
    _add_accounts(read, paths, logs)
    begins = [before for before, _ in logs.begins]
    read = _ranked(read, paths, is_merged=len(paths) > 1 and not as_given)
    traffic, deliveries = _traffic(read, begins, rules)
    sorted_ = (
        read.where(f"kind = {DELIVERY}")
        .repartition("stream")
        .sortWithinPartitions("stream", *ORDER)
        .persist(StorageLevel.DISK_ONLY)
    )
    at = as_of or traffic.newest
    log = view_of(_learned(sorted_, begins), traffic, at, rules)
    fold = partial(_fold, begins=begins, rules=rules, as_of=at, log=log, states=out is not None)
    judged = sorted_.mapInArrow(fold, _ddl(JUDGED)).persist(StorageLevel.DISK_ONLY)
    overlaps = (
        judged.where("is_session AND meeting_id IS NOT NULL")
        .repartition("meeting_id")
        .sortWithinPartitions("meeting_id", "stream")
        .mapInArrow(partial(_overlap, rules=rules, as_of=at), _ddl(JUDGED))
    )
    if out is not None:
        _write_states(judged, out)
    counts = ("count_if(is_session)", "count_if(state = 'live')", "coalesce(sum(open_runs), 0)")
    ((sessions, live, open_runs),) = judged.selectExpr(*counts).collect()
    result = collected(
        log,
        traffic,
        rules,
        *(_found(judged), _found(overlaps)),
        as_of=at,
        sessions=sessions,
        deliveries=deliveries,
        live=live,
        open_runs=open_runs,
    )
    return result, logs


def is_archive(path: str) -> bool:
    """Whether it is Parquet: a directory or file of it, or something that only Spark reaches."""
    return "://" in path or path.endswith(".parquet") or Path(path).is_dir()


# -- reading ---------------------------------------------------------------------------------------


def _read(spark: SparkSession, paths: list[str], as_of: datetime | None) -> DataFrame:
    """The rows of all logs and archives, each in its order, one after the other."""
    frames = []
    for is_parquet, ones in groupby(enumerate(paths), key=lambda one: is_archive(one[1])):
        files = list(ones)
        if is_parquet:
            frames += [_read_archive(spark, number, path, as_of) for number, path in files]
        else:
            numbers = spark.range(files[0][0], files[-1][0] + 1, 1, len(files))
            frames.append(numbers.mapInArrow(partial(_read_logs, paths=dict(files), as_of=as_of), _ddl(READ)))
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
        raise UsageError("is no Parquet that can be read", place=path, hint=hint) from error
    for name, wanted in (("position", "bigint"), ("line", "binary")):
        if types.get(name) != wanted:
            there = f"has a column {name} of {types[name]}" if name in types else f"has no column {name}"
            raise UsageError(there, place=path, hint=hint)
    rows = frame.select("position", "line").sort("position")
    return rows.mapInArrow(partial(_read_rows, file=file, as_of=as_of), _ddl(READ))


def _read_logs(batches: Batches, paths: dict[int, str], as_of: datetime | None) -> Batches:
    for batch in batches:
        for file in batch.column(0).to_pylist():
            log = Log(paths[file])
            yield from _rows(file, log.lines(), partial(_delivered, log), as_of, believed)


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
) -> Batches:
    """The rows of lines, and the account of them."""
    account, rows, observed, reached = _Account(), list[tuple[Any, ...]](), list[_Observed](), 0
    for one in checked(_accounted(lines, delivery, account)):
        if one.received_at is not None:
            reached = max(reached, micros(one.received_at))
        if as_of is None or one.received_at is None or one.received_at <= as_of:
            line = envelope.encode(one.received)
            rows.append((DELIVERY, file, one.position, reached, one.stream, line, None))
            observed.append(_summarised(one, reached))
        if len(rows) >= BATCH:
            yield _batch([*rows, _of_observed(file, observed)], READ)
            rows, observed = [], []
    yield _batch([*rows, _of_observed(file, observed)], READ)
    yield _batch([(ACCOUNT, file, account.last, 0, None, None, _pack(account))], READ)


def _accounted(
    lines: Iterable[Line], delivery: Callable[[Line], Delivery], account: _Account
) -> Iterator[Delivery]:
    """What lines deliver; the account learns of each."""
    try:
        for line in lines:
            account.last = line.number
            if not line.blank:
                one = delivery(line)
                account.odd.look_at(one, line.number)
                yield one
    except LogError as error:
        account.error = error.message, error.place, error.hint


def _of_observed(file: int, observed: list[_Observed]) -> tuple[Any, ...]:
    """A row of what concerns the whole log, which stands where its first delivery does."""
    number, reached = observed[0][:2] if observed else (0, 0)
    return OBSERVED, file, number, reached, None, None, _pack(observed)


def _summarised(one: Delivery, reached: int) -> _Observed:
    source = one.received.source.encode(errors="replace").decode()
    is_session, is_known = one.session_id is not None, one.lifecycle is not None
    return (
        *(one.position, reached, one.received_at, source),
        *(one.stream, is_session, one.type, is_known, one.received.wrong_time),
    )


# -- what concerns the whole log -------------------------------------------------------------------


def _add_accounts(read: DataFrame, paths: list[str], logs: Logs) -> None:
    """Tells ``logs`` what became of each log."""
    lasts = [0] * len(paths)
    for row in read.where(f"kind = {ACCOUNT}").select("file", "summary").sort("file").collect():
        account = _unpack_account(bytes(row.summary))
        lasts[row.file] = max(lasts[row.file], account.last)
        _add(logs.odd.setdefault(paths[row.file], Oddities()), account.odd)
        if account.error is not None:
            message, place, hint = account.error
            logs.errors.append(LogError(message, place=place, hint=hint))
    for path, last in zip(paths, lasts, strict=True):
        logs.begins.append((logs.lines, path))
        logs.lines += last


def _ranked(read: DataFrame, paths: list[str], *, is_merged: bool) -> DataFrame:
    """The rows with the columns ``ORDER``: by receive time, then by the log that begins first; or log by log."""
    ranks = list(range(len(paths)))
    if is_merged:
        begun = read.where(f"kind = {DELIVERY} AND reached > 0").groupBy("file").agg({"reached": "min"})
        begins = {row[0]: row[1] for row in begun.collect()}
        ranks.sort(key=lambda file: (begins.get(file, 0), paths[file]))
        ranks = [ranks.index(file) for file in range(len(paths))]
    rank = f"element_at(array({', '.join(map(str, ranks))}), file + 1)"
    return read.selectExpr(
        *("kind", "file", "number", "stream", "line", "summary"),
        f"{'reached' if is_merged else 'CAST(0 AS BIGINT)'} AS reached",
        f"{rank} AS rank",
    )


def _traffic(read: DataFrame, begins: list[int], rules: Rules) -> tuple[Traffic, int]:
    """The traffic of all logs in their order, and how many deliveries there were."""
    traffic, deliveries = Traffic(), 0
    rows = read.where(f"kind = {OBSERVED}").select(*ORDER, "file", "summary").sort(*ORDER)
    for file, observed in _merged(rows.toLocalIterator(prefetchPartitions=True)):
        traffic.observe(_of_traffic(begins[file], *observed), rules)
        deliveries += 1
    return traffic, deliveries


def _merged(rows: Iterable[Any]) -> Iterator[tuple[int, _Observed]]:
    """What the rows hold, which come in the order of their first: each with its log."""
    heap: list[tuple[tuple[int, int, int], int, Iterator[_Observed], _Observed]] = []

    def up_to(key: tuple[int, int, int] | None) -> Iterator[tuple[int, _Observed]]:
        while heap and (key is None or heap[0][0] < key):
            (reached, rank, _), file, rest, observed = heap[0]
            yield file, observed
            following = next(rest, None)
            if following is None:
                heappop(heap)
            else:
                now = following[1] if reached else 0
                heapreplace(heap, ((now, rank, following[0]), file, rest, following))

    for row in rows:
        batch = iter(_unpack_observed(bytes(row.summary)))
        first = next(batch, None)
        if first is not None:
            key = row.reached, row.rank, row.number
            yield from up_to(key)
            heappush(heap, (key, row.file, batch, first))
    yield from up_to(None)


def _of_traffic(
    before: int,
    number: int,
    reached: int,
    at: datetime | None,
    source: str,
    stream: str,
    is_session: bool,  # noqa: FBT001 - as it was packed
    type: str | None,
    is_known: bool,  # noqa: FBT001
    wrong_time: str | None,
) -> Delivery:
    """As much of a delivery as the traffic asks for."""
    received = envelope.Received(b"", at, source, wrong_time=wrong_time)
    one = Delivery(received, before + number, stream, type)
    one.session_id = stream if is_session else None
    if is_known:
        one.lifecycle, one.step = REGISTRY.routes[type or ""]
    return one


def _add(total: Oddities, more: Oddities) -> None:
    total.deliveries += more.deliveries
    for name in ("malformed", "untyped", "timeless", "unread_time"):
        here: Oddity = getattr(total, name)
        there: Oddity = getattr(more, name)
        if not here.count:
            here.first, here.example = there.first, there.example
        here.count += there.count


# -- judging ---------------------------------------------------------------------------------------


def _learned(read: DataFrame, begins: list[int]) -> Habits:
    """What the log learns of all its sessions."""
    total = Habits()
    for row in read.mapInArrow(partial(_learn, begins=begins), _ddl(LEARNED)).toLocalIterator():
        total.add(_unpack_habits(bytes(row.habits)))
    return total


def _learn(batches: Batches, *, begins: list[int]) -> Batches:
    habits = Habits()
    for stream, came in groupby(_deliveries(batches, begins), key=lambda one: one.stream):
        if not stream.startswith(UNROUTED):
            _observed(stream, came, habits)
    yield _batch([(_pack(habits),)], LEARNED)


def _observed(stream: str, came: Iterable[Delivery], habits: Habits | None = None) -> Observed:
    observed: Observed | None = None
    for delivery in came:
        observed = observed or Observed(stream, delivery.session_id)
        observed.observe(delivery, habits)
    assert observed is not None, "there is a row of it"
    return observed


def _fold(
    batches: Batches,
    *,
    begins: list[int],
    rules: Rules,
    as_of: datetime | None,
    log: LogView,
    states: bool,
) -> Batches:
    """Sessions from their deliveries, which come in order; never more than one is held."""
    rows = []
    for stream, came in groupby(_deliveries(batches, begins), key=lambda one: one.stream):
        if stream.startswith(UNROUTED):
            rows.append(_alone(stream, came, rules))
        else:
            rows.append(_one(_observed(stream, came), rules, as_of, log, states=states))
        if len(rows) >= BATCH:
            yield _batch(rows, JUDGED)
            rows = []
    yield _batch(rows, JUDGED)


def _deliveries(batches: Batches, begins: list[int]) -> Iterator[Delivery]:
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("file", "number", "line")]
        for file, number, line in zip(*columns, strict=True):
            yield parse(envelope.decode(line), begins[file] + number)


def _alone(stream: str, came: Iterable[Delivery], rules: Rules) -> tuple[Any, ...]:
    """Each stands alone; only what its stream named is known."""
    named, found = set[str](), list[Finding]()
    for delivery in came:
        alone = Observed(stream)
        alone.name_before(named)
        alone.observe(delivery)
        named |= alone.named
        found += assess(alone, None, rules).findings
    return stream, None, None, False, 0, _pack(found), None, None


def _one(
    observed: Observed, rules: Rules, as_of: datetime | None, log: LogView, *, states: bool
) -> tuple[Any, ...]:
    session = assess(observed, as_of, rules, log, over=True)
    state = status.status(session) if states else None
    if state is not None:
        del state["findings"]  # they have a table of their own
    return (
        session.stream,
        session.meeting_id,
        session.state,
        session.session_id is not None,
        sum(1 for _ in session.open_runs()),
        _pack(session.findings) if session.findings else None,
        _pack(span(session)),
        document(state) if state is not None else None,
    )


def _overlap(batches: Batches, rules: Rules, as_of: datetime | None) -> Batches:
    """The sessions of one meeting that began while another one was live."""
    rows = (row for batch in batches for row in batch.select(["meeting_id", "state", "span"]).to_pylist())
    for _, ones in groupby(rows, key=itemgetter("meeting_id")):
        sessions = [(_unpack_span(row["span"]), row["state"]) for row in ones]
        states = {one.stream: state for one, state in sessions}
        found = []
        for this, one in overlaps([one for one, _ in sessions], rules, as_of):
            found.append((this.stream, this.meeting_id, states[this.stream], True, 0, _pack([one]), None, None))
        yield _batch(found, JUDGED)


def _found(judged: DataFrame) -> Iterator[tuple[str, str | None, Any, list[Finding]]]:
    rows = judged.where("findings IS NOT NULL").select("stream", "meeting_id", "state", "findings")
    for row in rows.toLocalIterator(prefetchPartitions=True):
        yield row.stream, row.meeting_id, row.state, _unpack_findings(bytes(row.findings))


def _write_states(judged: DataFrame, out: Path) -> None:
    from pyspark.sql import functions as f

    state = f.col("status").cast("string")
    columns = [f.get_json_object(state, f"$.{name}").alias(name) for name in STATES]
    columns += [
        f.get_json_object(state, f"$.{name}").cast("bigint").alias(name)
        for name in ("deliveries", "last_position")
    ]
    judged.where("status IS NOT NULL").select(*columns, state.alias("status")).write.parquet(
        str(out / "sessions")
    )


def _batch(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _ddl(schema: pa.Schema) -> str:
    names = {
        pa.int8(): "tinyint", pa.int32(): "int", pa.int64(): "bigint", pa.string(): "string",
        pa.binary(): "binary", pa.bool_(): "boolean",
    }  # fmt: skip
    return ", ".join(f"{field.name} {names[field.type]}" for field in schema)
