"""An audit on Spark tells what an audit in one process tells, of logs and of an archive."""

import gzip
import os
import shutil
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import timedelta

import meetings
import pytest
from documents import BIN, ROOT, every_block
from meetings import MORNING, read_into, write
from test_audit import states
from test_postgres import command
from traffic import environment

from projections.audit import auditing
from projections.audit.auditing import Logs
from projections.explain import status
from tracker.delivery import envelope
from tracker.errors import UsageError
from tracker.intake.logs import Log
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.store.application import Tracker

REQUIRED = "TRACKER_TESTS_NEED_SPARK"
"""The variable that CI sets: there, what cannot be tried has failed."""

if not os.environ.get(REQUIRED):
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install '.[spark]'")
    if not shutil.which("java"):
        pytest.skip("there is no Java", allow_module_level=True)

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from projections.audit import spark
from projections.exports import parquet

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default"), pytest.mark.xdist_group("spark")]
RULES = Rules()


@pytest.fixture(scope="module")
def running():
    with spark.session("local[2]") as started:
        yield started


def test_a_session_that_somebody_else_has_started_is_not_stopped(running):
    with spark.session("local[2]"):
        pass
    assert running.range(3).count() == 3


def here(paths, as_of=None, rules=RULES):
    logs = Logs([Log(str(path)) for path in paths])
    return auditing.audit(logs.deliveries(), rules, as_of), logs


def on_spark(running, paths, as_of=None, rules=RULES, out=None):
    return spark.audit(running, list(map(str, paths)), rules, as_of, out)


def contents(result, logs=None):
    """All that an audit tells."""
    of_logs = (logs.begins, logs.odd, [(str(error), error.hint) for error in logs.errors]) if logs else None
    return (
        [status.finding(one) for one in result.findings],
        (result.deliveries, result.sessions, result.oldest, result.newest, states(result)),
        (result.as_of, result.live, result.open_runs),
        of_logs,
    )


def codes(result):
    return {one.code for one in result.findings}


@contextmanager
def stored(tmp_path, lines):
    read_into(tmp_path / "data", write(tmp_path / "log", lines))
    with closing(Tracker.open(tmp_path / "data")) as store:
        yield store


def made_up(count, seed=1, faults=0.4):
    return [envelope.encode(line.received) for line in simulate(count, seed, faults)]


def test_logs_of_all_kinds_are_reported_as_in_one_process_also_one_that_breaks_off(running, tmp_path):
    lines = meetings.lines(1, sessions=40)
    plain = write(tmp_path / "a.jsonl", [*lines[:100], b"", b"   ", *lines[100:200]])
    packed, broken = tmp_path / "b.gz", tmp_path / "c.gz"
    packed.write_bytes(gzip.compress(b"\n".join(lines[200:300])))
    content = gzip.compress(os.urandom(1000).hex().encode() + b"\n" + b"\n".join(made_up(50)))
    broken.write_bytes(content[: len(content) // 2])
    empty, last = write(tmp_path / "empty", []), write(tmp_path / "d.jsonl", lines[300:])
    last.write_bytes(last.read_bytes() + lines[0][:-5])  # it is still being written
    text = write(tmp_path / "e.log", [b"listening", b"INFO got " + made_up(1)[0], b"done"])
    paths = [plain, packed, broken, empty, last, text]
    expected, found = here(paths), on_spark(running, paths)

    assert contents(*found) == contents(*expected)
    assert {"X406", "C513"} <= codes(found[0])
    assert (found[1].odd[str(last)].cut.count, found[1].odd[str(text)].beside.count) == (1, 2)
    assert [error.place for error in found[1].errors] == [str(broken)]
    positions = [one.position for one in expected[0].findings if one.position is not None]
    assert [found[1].place(one) for one in positions] == [expected[1].place(one) for one in positions]


def test_the_ids_of_all_sessions_and_of_their_meetings_are_met(running, tmp_path):
    log, met = write(tmp_path / "log", made_up(5)), set()
    spark.audit(running, [str(log)], RULES, None, meet=lambda *ids: met.add(ids))
    came = {(one.session_id, one.meeting_id) for one in Logs([Log(str(log))]).deliveries() if one.session_id}
    assert {ids for ids in met if ids[0]} >= {ids for ids in came if all(ids)} != set()


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_log_cut_at_a_moment_is_reported_as_in_one_process(running, tmp_path, share):
    log = write(tmp_path / "log", made_up(200))
    times = sorted(one.received_at for one in Logs([Log(str(log))]).deliveries())
    moment = times[int(len(times) * share)]

    assert contents(*on_spark(running, [log], moment)) == contents(*here([log], moment))


def test_what_only_the_whole_log_tells_is_reported_and_explains_the_same(running, tmp_path):
    """Nobody subscribed to recording-starting, an hour is missing, and a clock went back."""
    lines = [line for line in simulate(1500, 5, 0.1) if line.received.received_at is not None]
    times = sorted(line.received.received_at for line in lines)
    begin = times[len(times) // 2]
    kept = [
        envelope.encode(line.received)
        for line in lines
        if b'"recording-starting"' not in line.received.body
        and not begin <= line.received.received_at < begin + timedelta(hours=1)
    ]
    late = meetings.line(meetings.webhook("session-started", sessionId="late"), -90 * 86400)
    log = write(tmp_path / "log", [*kept, late])
    expected, found = here([log]), on_spark(running, [log])

    assert contents(*found) == contents(*expected)
    assert {"T308", "L601", "L603"} <= codes(found[0])
    assert [one.cause for one in found[0].findings if one.cause] != []


def test_an_archive_is_reported_as_the_store_that_it_comes_from(running, tmp_path):
    with stored(tmp_path, [*made_up(100), b"junk", b'{"webhookType":"x"}']) as store:
        parquet.write(store.deliveries(), tmp_path / "archive")
        expected = auditing.audit(store.deliveries(), RULES)
    found, logs = on_spark(running, [tmp_path / "archive"])

    assert contents(found) == contents(expected)
    assert logs.errors == []


def test_an_archive_has_a_directory_for_each_day_and_every_delivery_as_it_is_exported(tmp_path):
    with stored(tmp_path, [*meetings.lines(2), meetings.line(b"{}", 30 * 3600)]) as store:
        parquet.write(store.deliveries(), tmp_path / "archive")
        expected = [(one.position, envelope.encode(one.received)) for one in store.deliveries()]
    days = sorted(path.name for path in (tmp_path / "archive").iterdir())
    rows = ds.dataset(tmp_path / "archive", partitioning="hive").to_table(["position", "line"]).to_pylist()

    assert days == [f"day={MORNING:%Y-%m-%d}", f"day={MORNING + timedelta(days=1):%Y-%m-%d}", "day=none"]
    assert sorted((row["position"], row["line"]) for row in rows) == expected


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_nothing_is_written_beside_what_is_there(tmp_path, make):
    make(tmp_path / "there")
    if (tmp_path / "there").is_dir():
        (tmp_path / "there" / "file").touch()

    with pytest.raises(UsageError, match="is there already"):
        parquet.write([], tmp_path / "there")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"position": [1]}, "has no column line"),
        ({"position": [1], "line": ["text"]}, "has a column line of string"),
        ({"position": ["1"], "line": [b"{}"]}, "has a column position of string"),
    ],
)
def test_parquet_with_other_columns_is_reported(running, tmp_path, columns, words):
    pq.write_table(pa.table(columns), tmp_path / "other.parquet")

    with pytest.raises(UsageError, match=words) as caught:
        on_spark(running, [tmp_path / "other.parquet"])
    assert (caught.value.place, bool(caught.value.hint)) == (str(tmp_path / "other.parquet"), True)


@pytest.mark.parametrize("content", [b"", b"no parquet"])
def test_what_is_no_parquet_is_reported(running, tmp_path, content):
    (tmp_path / "other.parquet").write_bytes(content)

    with pytest.raises(UsageError, match="is no Parquet that can be read"):
        on_spark(running, [tmp_path / "other.parquet"])


def test_the_states_of_the_sessions_are_written_too(running, tmp_path):
    with stored(tmp_path, made_up(30)) as store:
        newest = max(one.received_at for one in store.deliveries())
        streams = {one.session_id for one in store.deliveries() if one.session_id}
        expected = {name: status.status(store.status(name, as_of=newest)) for name in streams}
        on_spark(running, [tmp_path / "log"], out=tmp_path / "out")
    rows = {row["session_id"]: row for row in ds.dataset(tmp_path / "out" / "sessions").to_table().to_pylist()}

    for name, session in expected.items():
        columns = {column: value for column, value in rows[name].items() if column != "status"}
        assert columns == {column: session[column] for column in columns}
    assert {name for name in rows if name} == streams


def test_the_command_prints_the_same_report_writes_it_and_says_what_it_could_not_read(tmp_path):
    log, broken = write(tmp_path / "log", made_up(20)), tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"{}\n" * 9)[:15])
    given = ("audit", log, broken, tmp_path / "none", "--format", "ndjson", "--fail-on", "never")
    one, other = command(*given), command(*given, "--engine", "spark", "--out", tmp_path / "out")

    assert other[:2] == one[:2]
    assert one[0] == 2
    assert [line for line in other[2].splitlines() if line.startswith(("error", "hint", "note"))] == [
        line for line in one[2].splitlines() if line.startswith(("error", "hint", "note"))
    ]
    table = pq.read_table(tmp_path / "out" / "findings" / "findings.parquet")
    assert table.num_rows == len(one[1].splitlines())


def test_the_blocks_of_the_readme_work(tmp_path):
    (block,) = [block.body for _, block in every_block("bash") if block.is_of_spark]
    read_into(tmp_path / "tracker-data", ROOT / "examples" / "bad_monday.jsonl")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path, env={**environment(), "PATH": f"{BIN}:{os.environ['PATH']}"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert (done.returncode, "235 deliveries, 14 sessions" in done.stdout) == (0, True), done.stderr


def test_spark_submit_takes_the_example(tmp_path):
    log = write(tmp_path / "log", made_up(20))
    given = ("audit", log, "--format", "ndjson", "--fail-on", "never")
    program = [BIN / "spark-submit", "--master", "local[2]", ROOT / "examples" / "spark_audit.py"]
    submitted = subprocess.run(
        [*map(str, program), *map(str, given), "--engine", "spark"],
        env={**environment(), "PYSPARK_PYTHON": sys.executable}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    found = [line for line in submitted.stdout.splitlines() if line.startswith("{")]  # it puts stderr there too
    assert (submitted.returncode, found) == (0, command(*given)[1].splitlines()), submitted.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["audit", "--engine", "spark"], "needs a LOG"),
        (["audit", "log", "--master", "local"], "work only with --engine spark"),
        (["audit", "log", "--engine", "spark", "--key", "key.pem"], "it verifies no signatures"),
        (["audit", "nowhere", "--engine", "spark"], "there is no such file"),
        (["export", "--format", "parquet"], "need each other"),
        (["export", "--out", "there"], "need each other"),
    ],
)
def test_what_cannot_be_done_as_asked_is_reported_before_spark_is_started(tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*given)

    assert (code, out, words in err, "hint: " in err, "log4j" in err) == (2, "", True, True, False)


def test_the_benchmark_of_an_archive_finds_the_same_in_one_process_in_two_and_on_spark():
    script = ROOT / "tests" / "benchmarks" / "archive.py"
    done = subprocess.run(
        [sys.executable, script, "--meetings", "60", "--files", "2"],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "the findings are the same"), done.stderr
