"""``tracker sql``: what DuckDB answers is what the read models and the store hold."""

import csv
import io
import json

import meetings
import pyarrow.parquet as pq
import pytest
from commands import run
from meetings import line, webhook

from projections.views.database import SQL_VIEWS, TABLES
from projections.views.follow import Views
from tracker.delivery.webhook import parse
from tracker.store.application import Tracker

GIVEN = [*meetings.lines(2, sessions=4), line(b"\xff no json", 7), line(webhook("chat-opened", sessionId="s"))]


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A directory with a store, its archive, and the lines of stdin."""
    place = tmp_path_factory.mktemp("asked")
    meetings.read_into(place / "tracker-data", meetings.write(place / "given", GIVEN))
    assert run("export", "--format", "parquet", "--out", "archive", cwd=place).returncode == 0
    return place


@pytest.fixture(scope="module")
def held(there):
    """The rows of a query of the read models, as they are now."""
    assert run("sessions", cwd=there).returncode == 0
    with Tracker.open(there / "tracker-data") as store, Views.open(store) as views:
        yield lambda query: list(views.db.query(query))


def asked(there, query, *options, **given):
    done = run("sql", query, *options, "--format", "json", cwd=there, **given)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [*(one.name for one in TABLES), *SQL_VIEWS])
def test_every_table_and_every_view_can_be_asked(there, held, name):
    ((number,),) = (row.values() for row in held(f"SELECT COUNT(*) FROM {name}"))
    assert asked(there, f"SELECT COUNT(*) AS number FROM {name.upper()}") == [{"number": number}]


def test_a_row_holds_the_same_values_and_its_times_are_times(there, held):
    expected = held("SELECT stream, number, code, confidence, key, run FROM findings ORDER BY 1, 2")
    assert (
        asked(there, "SELECT stream, number, code, confidence, key, run FROM findings ORDER BY 1, 2")
        == expected
    )

    times = [
        row["t"]
        for row in held("SELECT received_at AS t FROM deliveries WHERE t IS NOT NULL ORDER BY position")
    ]
    found = asked(
        there, "SELECT received_at + INTERVAL 0 DAY AS t FROM deliveries WHERE t IS NOT NULL ORDER BY position"
    )
    assert [row["t"][:19] for row in found] == [time[:19] for time in times]


def test_the_events_have_every_body_and_its_data(there):
    found = asked(there, "SELECT position, type, body, data->>'sessionId' AS s FROM events ORDER BY position")
    came = [parse(one) for one in meetings.bodies(GIVEN)]

    assert [row["body"] for row in found] == [one.body.decode(errors="replace") for one in came]
    assert [(row["type"], row["s"]) for row in found] == [(one.type, one.said.get("sessionId")) for one in came]


def test_an_archive_is_a_table(there):
    query = "SELECT COUNT(*) AS n, COUNT(DISTINCT line) > 9 AS whole FROM archive JOIN events USING (position)"
    assert asked(there, query, "--archive", "archive") == [{"n": len(GIVEN), "whole": True}]


def test_only_what_a_query_names_is_copied(there):
    made = "SELECT table_name AS name FROM information_schema.tables ORDER BY name"
    assert asked(there, f"SELECT COUNT(*) FROM runs JOIN sessions USING (session_id); {made}") == [
        {"name": "runs"},
        {"name": "sessions"},
    ]


NAMES = [*(table.name for table in TABLES), *SQL_VIEWS, "events"]


@pytest.mark.parametrize("query", ["SHOW TABLES", " show\ttables ;"])
def test_all_tables_that_can_be_named_are_shown(there, query):
    assert [row["name"] for row in asked(there, query)] == sorted(NAMES)
    mine = asked(there, f"CREATE TABLE mine AS SELECT 1; {query}", "--archive", "archive")
    assert [row["name"] for row in mine] == sorted([*NAMES, "archive", "mine"])


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO 'tracker-data/events.db'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'tracker-data/events.db'",
        "PREPARE written AS COPY (SELECT 1) TO 'tracker-data/events.db'; EXECUTE written",
        "ATTACH 'other.db'",
        "EXPORT DATABASE 'other'",
        "SET autoinstall_known_extensions = true",
        "FROM sessions; DELETE FROM events",
    ],
)
def test_a_query_only_reads_and_changes_no_file(there, query):
    before = {
        path: path.read_bytes() for path in there.rglob("*") if path.is_file() and path.name != "views.db"
    }
    done = run("sql", query, cwd=there, text=True)

    assert (done.returncode, "is not allowed, only SELECT and CREATE" in done.stderr) == (2, True)
    assert before == {path: path.read_bytes() for path in before}
    assert not list(there.glob("other*"))


def test_a_query_may_make_tables_of_its_own(there):
    query = "CREATE TABLE mine AS FROM events; SELECT COUNT(*) AS n FROM mine"
    assert asked(there, query) == [{"n": len(GIVEN)}]


def test_each_format_has_the_same_rows(there):
    query = "SELECT type, COUNT(*) AS number FROM events WHERE type IS NOT NULL GROUP BY ALL ORDER BY 2 DESC, 1 LIMIT 3"
    rows = asked(there, query)
    lines = run("sql", query, "--format", "ndjson", cwd=there).stdout.splitlines()
    table = csv.DictReader(io.StringIO(run("sql", query, "--format", "csv", cwd=there, text=True).stdout))
    assert run("sql", query, "--format", "parquet", "--out", "rows.parquet", cwd=there).returncode == 0
    shown = run("sql", "-", cwd=there, stdin=query.encode(), text=True).stdout.splitlines()

    assert [json.loads(one) for one in lines] == rows
    assert [{**row, "number": int(row["number"])} for row in table] == rows
    assert pq.read_table(there / "rows.parquet").to_pylist() == rows
    assert [one.split() for one in shown[1:-1]] == [[row["type"], str(row["number"])] for row in rows]
    assert shown[-1] == "3 rows"


def test_columns_of_one_name_are_all_there(there):
    (row,) = asked(there, "SELECT 1 AS a, 2.5 AS a, NULL AS b, INTERVAL 1 HOUR AS c, 'x'::BLOB AS d, [1] AS e")
    assert row == {"a": 1, "a_2": 2.5, "b": None, "c": "1:00:00", "d": "78", "e": [1]}


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["FROM session"], "the query: there is no table session", "did you mean sessions?"),
        (["FROM nothing_like_it"], "the query: there is no table nothing_like_it", "the tables are sessions,"),
        (["SELEC 1"], "the query: Parser Error: syntax error", "LINE 1: SELEC 1"),
        (["SELECT nam FROM sessions"], "the query: Binder Error: Referenced column", "LINE 1: SELECT nam"),
        ([" "], "the query is empty", "tracker sql"),
        (["SELECT 1", "--format", "parquet"], "--format parquet and --out need each other", "add --format"),
        (["FROM archive", "--archive", "given"], "given: is no directory", "tracker export --format parquet"),
    ],
)
def test_what_cannot_be_answered_is_reported_with_a_hint(there, arguments, error, hint):
    done = run("sql", *arguments, cwd=there, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {error}")
    assert f"\nhint: {hint}" in done.stderr
