"""Steps 3 and 4 of an audit on Spark: the deliveries of a session come together and are judged, then the sessions of a meeting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from projections.audit.spark.rows import (
    BATCH,
    JUDGED,
    LEARNED,
    Batches,
    as_batch,
    ddl,
    pack,
    unpack_findings,
    unpack_habits,
    unpack_span,
)
from projections.explain import status
from projections.exports.data import document
from tracker.delivery import envelope
from tracker.delivery.webhook import UNROUTED, Delivery, parse
from tracker.findings import Finding
from tracker.judging.assess import assess
from tracker.judging.findings.overlaps import overlaps, span
from tracker.judging.hypothesis import micros
from tracker.judging.log import Habits, LogView
from tracker.judging.session import Observed, observe_all
from tracker.judging.sessions import Outside
from tracker.rules import Rules

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


def learned(read: DataFrame, begins: list[int]) -> Habits:
    """What the log learns of all its sessions."""
    total = Habits()
    for row in read.mapInArrow(partial(_learn, begins=begins), ddl(LEARNED)).toLocalIterator():
        total.add(unpack_habits(bytes(row.habits)))
    return total


def _learn(batches: Batches, *, begins: list[int]) -> Batches:
    habits = Habits()
    for stream, came in groupby(_deliveries(batches, begins), key=lambda one: one.stream):
        if not stream.startswith(UNROUTED):
            observe_all(came, habits)
    yield as_batch([(pack(habits),)], LEARNED)


def fold(
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
            rows.append(_alone(stream, came, rules, log.habits.oldest))
        else:
            observed = observe_all(came)
            assert observed is not None, "there is a row of it"
            rows.append(_one(observed, rules, as_of, log, states=states))
        if len(rows) >= BATCH:
            yield as_batch(rows, JUDGED)
            rows = []
    yield as_batch(rows, JUDGED)


def _deliveries(batches: Batches, begins: list[int]) -> Iterator[Delivery]:
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("file", "number", "line")]
        for file, number, line in zip(*columns, strict=True):
            yield parse(envelope.decode(line), begins[file] + number)


def _alone(stream: str, came: Iterable[Delivery], rules: Rules, first: int | None) -> tuple[Any, ...]:
    """What belongs to no session; ``first`` is when the first webhook of the log came."""
    outside, found = Outside(rules), list[Finding]()
    for delivery in came:
        at = delivery.received_at
        is_before_all = first is None or (at is not None and micros(at) < first)
        found += outside.assessed(delivery, is_before_all=is_before_all).findings
    return stream, None, None, False, 0, pack(found), None, None


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
        pack(session.findings) if session.findings else None,
        pack(span(session)),
        document(state) if state is not None else None,
    )


def overlap(batches: Batches, rules: Rules, as_of: datetime | None) -> Batches:
    """The sessions of one meeting that began while another one was live."""
    rows = (row for batch in batches for row in batch.select(["meeting_id", "state", "span"]).to_pylist())
    for _, ones in groupby(rows, key=itemgetter("meeting_id")):
        sessions = [(unpack_span(row["span"]), row["state"]) for row in ones]
        states = {one.stream: state for one, state in sessions}
        found = []
        for this, one in overlaps([one for one, _ in sessions], rules, as_of):
            found.append((this.stream, this.meeting_id, states[this.stream], True, 0, pack([one]), None, None))
        yield as_batch(found, JUDGED)


def findings_in(judged: DataFrame) -> Iterator[tuple[str, str | None, Any, list[Finding]]]:
    rows = judged.where("findings IS NOT NULL").select("stream", "meeting_id", "state", "findings")
    for row in rows.toLocalIterator(prefetchPartitions=True):
        yield row.stream, row.meeting_id, row.state, unpack_findings(bytes(row.findings))


def write_states(judged: DataFrame, out: Path) -> None:
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
