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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.storagelevel import StorageLevel

from projections.audit.auditing import Audit, Logs, collected
from projections.audit.spark.judging import findings_in, fold, learned, overlap, write_states
from projections.audit.spark.reading import USUALLY, ReadAs, read_all
from projections.audit.spark.rows import DELIVERY, JUDGED, ORDER, ddl
from projections.audit.spark.traffic import add_accounts, ranked, traffic_of
from tracker.errors import TrackerError, UsageError
from tracker.judging.log import view_of
from tracker.rules import Rules

LOCAL = "local[*]"


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
        of_others = SparkSession.getActiveSession() is not None  # whoever has started one goes on with it
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
        if not of_others:
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
    read_as: ReadAs = USUALLY,
    meet: Callable[[str | None, str | None], None] | None = None,
) -> tuple[Audit, Logs]:
    """What ``projections.audit`` finds in these logs and archives, and where their lines are.

    Several are merged by receive time, unless they are to be read ``as_given``. ``meet`` is given the ids of each session and of its meeting. With ``out`` the states of the sessions are written below it. Raises ``UsageError`` where an archive is none.
    """
    logs = Logs([])
    read = read_all(spark, paths, as_of, read_as).persist(StorageLevel.DISK_ONLY)
    read.count()  # all of it at once: what follows goes through it part by part
    add_accounts(read, paths, logs)
    begins = [before for before, _ in logs.begins]
    read = ranked(read, paths, is_merged=len(paths) > 1 and not as_given)
    traffic, deliveries = traffic_of(read, begins, rules)
    sorted_ = (
        read.where(f"kind = {DELIVERY}")
        .repartition("stream")
        .sortWithinPartitions("stream", *ORDER)
        .persist(StorageLevel.DISK_ONLY)
    )
    at = as_of or traffic.newest
    log = view_of(learned(sorted_, begins), traffic, at, rules)
    judge = partial(fold, begins=begins, rules=rules, as_of=at, log=log, states=out is not None)
    judged = sorted_.mapInArrow(judge, ddl(JUDGED)).persist(StorageLevel.DISK_ONLY)
    overlaps = (
        judged.where("is_session AND meeting_id IS NOT NULL")
        .repartition("meeting_id")
        .sortWithinPartitions("meeting_id", "stream")
        .mapInArrow(partial(overlap, rules=rules, as_of=at), ddl(JUDGED))
    )
    if out is not None:
        write_states(judged, out)
    if meet is not None:
        for row in judged.select("stream", "is_session", "meeting_id").toLocalIterator():
            meet(row.stream if row.is_session else None, row.meeting_id)
    counts = ("count_if(is_session)", "count_if(state = 'live')", "coalesce(sum(open_runs), 0)")
    ((sessions, live, open_runs),) = judged.selectExpr(*counts).collect()
    result = collected(
        log,
        traffic,
        rules,
        *(findings_in(judged), findings_in(overlaps)),
        as_of=at,
        sessions=sessions,
        deliveries=deliveries,
        live=live,
        open_runs=open_runs,
    )
    return result, logs
