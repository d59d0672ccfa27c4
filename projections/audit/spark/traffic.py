"""Step 2 of an audit on Spark, on the driver: what concerns the whole log, summed up from few bytes of each delivery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heappop, heappush, heapreplace
from typing import Any

from pyspark.sql import DataFrame

from projections.audit.auditing import Logs
from projections.audit.spark.rows import (
    ACCOUNT,
    DELIVERY,
    OBSERVED,
    ORDER,
    Seen,
    unpack_account,
    unpack_observed,
)
from tracker.delivery import envelope
from tracker.delivery.webhook import Delivery
from tracker.errors import LogError
from tracker.intake.logs import Oddities, Oddity
from tracker.judging.log import Traffic
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules


def add_accounts(read: DataFrame, paths: list[str], logs: Logs) -> None:
    """Tells ``logs`` what became of each log."""
    lasts = [0] * len(paths)
    for row in read.where(f"kind = {ACCOUNT}").select("file", "summary").sort("file").collect():
        account = unpack_account(bytes(row.summary))
        lasts[row.file] = max(lasts[row.file], account.last)
        _add(logs.odd.setdefault(paths[row.file], Oddities()), account.odd)
        if account.error is not None:
            message, place, hint = account.error
            logs.add_error(paths[row.file], LogError(message, place=place, hint=hint))
    for path, last in zip(paths, lasts, strict=True):
        logs.begins.append((logs.lines, path))
        logs.lines += last


def ranked(read: DataFrame, paths: list[str], *, is_merged: bool) -> DataFrame:
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


def traffic_of(read: DataFrame, begins: list[int], rules: Rules) -> tuple[Traffic, int]:
    """The traffic of all logs in their order, and how many deliveries there were."""
    traffic, deliveries = Traffic(), 0
    rows = read.where(f"kind = {OBSERVED}").select(*ORDER, "file", "summary").sort(*ORDER)
    for file, observed in _merged(rows.toLocalIterator(prefetchPartitions=True)):
        traffic.observe(_of_traffic(begins[file], *observed), rules)
        deliveries += 1
    return traffic, deliveries


def _merged(rows: Iterable[Any]) -> Iterator[tuple[int, Seen]]:
    """What the rows hold, which come in the order of their first: each with its log."""
    heap: list[tuple[tuple[int, int, int], int, Iterator[Seen], Seen]] = []

    def up_to(key: tuple[int, int, int] | None) -> Iterator[tuple[int, Seen]]:
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
        batch = iter(unpack_observed(bytes(row.summary)))
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
    for shape, count in more.shapes.items():
        total.shapes[shape] = total.shapes.get(shape, 0) + count
    for name in Oddities.__struct_fields__:
        here, there = getattr(total, name), getattr(more, name)
        if isinstance(here, Oddity):
            if not here.count:
                here.first, here.example = there.first, there.example
            here.count += there.count
