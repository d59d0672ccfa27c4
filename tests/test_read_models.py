import json
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from pkgutil import iter_modules

import meetings
import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st
from meetings import deliveries, line, webhook
from tries import tries

from projections import read_models
from projections.explain.status import moment, timeline
from projections.read_models import deliveries as deliveries_model
from projections.read_models import sessions, short, tables_of, text, types
from projections.read_models.runs import first_url
from projections.views.database import SQL_VIEWS, TABLES
from projections.views.follow import Views
from projections.web import answers
from tracker.delivery.payload import payload_class
from tracker.judging.assess import assess_all
from tracker.lifecycles.recording import File
from tracker.store.application import Tracker

LOG = meetings.lines(2, sessions=8)
MEETING = {"sessionId": "s", "meetingId": "m"}


@pytest.fixture
def views(tmp_path):
    """The read models of eight meetings."""
    with closing(Tracker.open(tmp_path, create=True)) as store:
        store.append(deliveries(LOG))
        with Views.open(store) as opened:
            yield opened


def of(tmp_path, *said):
    """The rows of one session of which this is said, as dictionaries by table."""
    given = [line(webhook(kind, **MEETING, **data), at) for at, kind, data in said]
    with closing(Tracker.open(tmp_path, create=True)) as store:
        store.append(deliveries(given))
        with Views.open(store) as opened:
            return {table.name: list(tables_of(opened.connection).table(table.name).rows) for table in TABLES}


# The file


def test_sqlite_utils_finds_the_tables_their_keys_and_the_views(views):
    with closing(sqlite_utils.Database(views.path)) as db:
        found = {name: db.table(name).pks for name in db.table_names() if name != "checkpoint"}
        names = db.view_names()

    assert ({table.name: list(table.pk) for table in TABLES}, sorted(SQL_VIEWS)) == (found, sorted(names))


def test_every_read_model_is_among_the_tables():
    names = {module.name for module in iter_modules(read_models.__path__)}
    assert {import_module(f"{read_models.__name__}.{name}").TABLE.name for name in names} == {
        one.name for one in TABLES
    }


def test_columns_are_those_declared_and_have_their_types(views):
    assert [dict(table.columns) for table in TABLES] == [
        tables_of(views.connection).table(table.name).columns_dict for table in TABLES
    ]


def test_rows_of_a_session_refer_to_the_session(views):
    of_a_session = ("participants", "names", "runs", "files", "findings")
    assert {name: [("session_id", "sessions")] for name in of_a_session} == {
        table.name: [
            (key.column, key.other_table) for key in tables_of(views.connection).table(table.name).foreign_keys
        ]
        for table in TABLES
        if table.foreign_keys
    }
    assert views.db.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_indexes_are_those_declared(views, table):
    assert sorted([*table.indexes, *table.followed_by]) == sorted(
        tuple(index.columns)
        for index in tables_of(views.connection).table(table.name).indexes
        if index.origin == "c"
    )


@pytest.mark.parametrize("name", SQL_VIEWS)
def test_every_view_can_be_asked(views, name):
    assert views.db.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] >= 0


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("SELECT * FROM sessions WHERE meeting_id = ?", "idx_sessions_meeting_id"),
        (
            "SELECT * FROM findings WHERE code = ? AND verdict = 'settled'",
            "idx_findings_code_cause_at_severity_verdict",
        ),
        ("SELECT * FROM participants WHERE participant_id = ?", "idx_participants_participant_id"),
        ("SELECT stream FROM deadlines WHERE at <= ?", "idx_deadlines_at"),
        ("SELECT * FROM files WHERE name = ?", "idx_files_name"),
        ("SELECT * FROM deliveries WHERE type = ? ORDER BY position", "idx_deliveries_type"),
        ("SELECT * FROM deliveries WHERE reading = ? ORDER BY position", "idx_deliveries_reading"),
        ("DELETE FROM files WHERE session_id = ?", "sqlite_autoindex_files_1"),
        ("DELETE FROM runs WHERE stream = ?", "sqlite_autoindex_runs_1"),
        ("DELETE FROM participants WHERE session_id = ?", "sqlite_autoindex_participants_1"),
    ],
)
def test_what_is_asked_often_uses_an_index(views, question, index):
    (plan,) = views.db.execute(f"EXPLAIN QUERY PLAN {question}", ("x",)).fetchall()

    assert f" {index} " in plan[-1] + " "


@pytest.mark.parametrize("statement", [deliveries_model.CLEAR, deliveries_model.UPDATE])
def test_what_the_follower_changes_it_finds_by_an_index_also_while_a_file_is_made_anew(statement):
    with closing(sqlite3.connect(":memory:")) as connection:
        deliveries_model.TABLE.create(sqlite_utils.Database(connection))
        values = ("x",) * (1 if statement is deliveries_model.CLEAR else 6)
        ((*_, plan),) = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()

    assert plan.startswith("SEARCH deliveries USING")


moments = st.floats(0, 2e11).map(lambda seconds: datetime.fromtimestamp(seconds, tz=UTC))


@given(moments, moments)
def test_times_sort_as_text_as_they_do_as_times(one, other):
    assert (one < other) == (text(one) < text(other))


# The rows


def test_every_table_says_what_assessing_each_stream_says(views):
    as_of, log = views.checkpoint.as_of, views.log
    streams = {}
    for delivery in deliveries(LOG):
        streams.setdefault(delivery.stream, []).append(delivery)
    assessed = [
        views.completed(assess_all(received, as_of, log=log))
        for stream, received in streams.items()
        if not stream.startswith("unrouted:")
    ]
    for table in TABLES:
        if table.rows:
            condition = f"{table.owner} NOT LIKE 'unrouted:%' AND {table.owner} != 'log:'"
            found = views.db.execute(f"SELECT * FROM {table.name} WHERE {condition}").fetchall()
            expected = [row for session in assessed for row in table.rows(session)]

            assert sorted(expected, key=repr) == sorted(found, key=repr)


def test_an_empty_body_is_as_grave_in_the_timeline_as_it_was_found(tmp_path):
    given = [line(b"{}", 0), line(webhook("session-started", **MEETING), 1), line(b"{}", 2)]
    with closing(Tracker.open(tmp_path, create=True)) as store:
        store.append(deliveries(given))
        with Views.open(store) as opened:
            _, sessions = timeline(store.unrouted(), opened.rules, opened.as_of, opened.log, opened.completed)
            found = [
                one["severity"] for one in opened.db.query("SELECT severity FROM findings ORDER BY position")
            ]
    severities = [one.severity for session in sessions for one in session.findings]
    assert severities == ["info", "error"] == found


def test_a_delivery_is_read_as_the_timeline_says(views):
    moments, _ = timeline(deliveries(LOG), views.rules, views.checkpoint.as_of, views.log, views.completed)
    expected = [
        {**moment(one), "stream": one.delivery.stream, "account": one.delivery.received.account}
        for one in moments
    ]
    found = []
    for row in views.db.query("SELECT * FROM deliveries ORDER BY position"):
        codes, key = (row["findings"] or "").split(), json.loads(row["key"])
        found.append({**row, "received_at": short(row["received_at"]), "findings": codes, "key": key})

    assert expected == found


@given(seed=st.integers(0, 60), cut=st.integers(1, 60), size=st.integers(1, 50))
@tries(25)
def test_the_rows_of_a_session_in_order_are_its_timeline_wherever_the_store_ends(seed, cut, size):
    with (
        tempfile.TemporaryDirectory() as data,
        closing(Tracker.open(Path(data), create=True)) as store,
        Views.open(store) as views,
    ):
        store.append(deliveries(meetings.lines(seed))[:cut])
        views.catch_up(store, page_size=size)
        for stream in store.streams(cut):
            of_it = store.history(stream)
            moments, _ = timeline(of_it, views.rules, views.checkpoint.as_of, views.log, views.completed)
            rows = deliveries_model.in_order(views.db, [stream])

            assert [answers.moment(row) for row in rows] == [moment(one) for one in moments]


def test_a_session_counts_who_came_and_who_is_inside(tmp_path):
    (row,) = of(
        tmp_path,
        (0, "session-started", {}),
        (1, "participant-joined", {"participantId": "a"}),
        (2, "participant-joined", {"participantId": "b"}),
        (3, "participant-left", {"participantId": "a"}),
    )["sessions"]

    assert tuple(
        row[name]
        for name in (
            "session_id",
            "meeting_id",
            "state",
            "participants",
            "inside",
            "deliveries",
            "last_position",
            "errors",
        )
    ) == ("s", "m", "live", 2, 1, 4, 4, 0)


def test_a_person_who_came_twice_has_two_visits(tmp_path):
    who = {"participantId": "a", "participantName": "Ada"}
    found = of(
        tmp_path,
        (0, "session-started", {}),
        (1, "participant-joined", who),
        (60, "participant-left", who),
        (120, "participant-joined", who),
    )["participants"]

    assert [
        tuple(row[name] for name in ("visit", "name", "state", "joined_at", "left_at")) for row in found
    ] == [
        (1, "Ada", "out", "2026-03-02T09:00:01.000000Z", "2026-03-02T09:01:00.000000Z"),
        (2, "Ada", "in", "2026-03-02T09:02:00.000000Z", None),
    ]


def test_a_run_holds_its_steps_and_what_it_left_behind(tmp_path):
    (row,) = of(
        tmp_path,
        (0, "session-started", {}),
        (1, "recording-starting", {}),
        (2, "recording-started", {}),
        (3, "recording-stopping", {}),
        (9, "recording-stopped", {"fileUrl": "https://files/a.mp4", "filePath": "/a.mp4"}),
    )["runs"]

    assert tuple(row[name] for name in ("lifecycle", "run", "state", "steps", "url")) == (
        "recording",
        1,
        "stopped",
        "starting started stopping stopped",
        "https://files/a.mp4",
    )
    assert json.loads(row["artefacts"]) == {"file_path": "/a.mp4", "file_url": "https://files/a.mp4"}


OF_A_FILE = payload_class(File)


@pytest.mark.parametrize(
    ("artefacts", "url"),
    [
        ({}, None),
        ({"file_path": "/a"}, None),
        ({"file_path": "/a", "file_url": "https://a"}, "https://a"),
        ({"file_details": (OF_A_FILE("/a", None), OF_A_FILE("/b", "https://b"))}, "https://b"),
        ({"file_details": ()}, None),
    ],
)
def test_the_url_of_a_run_is_the_first_that_is_one(artefacts, url):
    assert url == first_url(artefacts)


def test_a_finding_names_its_delivery_and_what_was_expected(tmp_path):
    found = of(
        tmp_path,
        (0, "session-started", {}),
        (1, "recording-stopping", {}),
        (9000, "session-ended", {}),
    )["findings"]
    (row,) = [row for row in found if row["code"] == "S205"]

    assert (
        row["session_id"],
        row["meeting_id"],
        row["lifecycle"],
        row["position"],
        json.loads(row["evidence"]),
        row["verdict"],
    ) == ("s", "m", "recording", 2, [2], "settled")


def test_a_deadline_is_the_first_moment_at_which_time_changes_something(tmp_path):
    found = of(tmp_path, (0, "session-started", {}), (60, "recording-starting", {}))

    assert found["deadlines"] == [{"stream": "s", "at": "2026-03-02T09:03:00.000000Z", "in_doubt": 0}]


def test_types_are_counted(views):
    received = deliveries(LOG)

    assert Counter(delivery.topic for delivery in received) == {
        row["type"]: row["deliveries"] for row in tables_of(views.connection).table("types").rows
    }
    assert sum(delivery.lifecycle is None for delivery in received) == sum(
        row["unrouted"] for row in tables_of(views.connection).table("types").rows
    )


@given(cuts=st.lists(st.integers(0, len(LOG)), max_size=8))
def test_types_are_counted_alike_in_whatever_portions(cuts):
    received, ends = deliveries(LOG), sorted([0, *cuts, len(LOG)])
    found = []
    for portions in ([received], [received[a:b] for a, b in pairwise(ends)]):
        with closing(sqlite3.connect(":memory:")) as connection:
            db = sqlite_utils.Database(connection)
            types.TABLE.create(db)
            for portion in portions:
                connection.executemany(types.COUNT, types.rows(portion))
            found.append(sorted(connection.execute("SELECT * FROM types").fetchall()))

    assert found[0] == found[1]


# The queries


def test_sessions_are_found_by_what_is_asked_the_newest_first(views):
    everything = list(sessions.find(views.db))
    since = sorted(row["last_seen_at"] for row in everything)[4]
    order = [row["last_seen_at"] for row in everything]

    assert sorted(order, reverse=True) == order
    assert [row for row in everything if row["state"] in ("live", "unknown")] == list(
        sessions.find(views.db, live=True)
    )
    assert [row for row in everything if row["meeting_id"] == "meeting-1"] == list(
        sessions.find(views.db, meeting="meeting-1")
    )
    assert [row for row in everything if row["last_seen_at"] >= since] == list(
        sessions.find(views.db, since=since)
    )


def test_sessions_are_found_by_a_finding(views):
    wanted = views.db.execute("SELECT code, session_id FROM findings WHERE session_id IS NOT NULL").fetchall()
    for code in {code for code, _ in wanted}:
        assert {session for one, session in wanted if one == code} == {
            row["session_id"] for row in sessions.find(views.db, findings=[code])
        }


def test_the_sessions_of_a_meeting_come_newest_first(views):
    expected = [row["session_id"] for row in sessions.find(views.db) if row["meeting_id"] == "meeting-0"]

    assert expected == sessions.of_meeting(views.db, "meeting-0")
    assert len(expected) > 2


def test_what_is_still_provisional_is_counted_apart(tmp_path):
    """A stop that nobody asked for is only said once its window has passed."""
    (row,) = of(
        tmp_path,
        (0, "session-started", {}),
        (1, "recording-starting", {}),
        (2, "recording-started", {}),
        (60, "recording-stopped", {"filePath": "/1.mp4"}),
    )["sessions"]

    assert (row["severity"], row["errors"], row["warnings"], row["provisional"]) == (None, 0, 0, 1)


def test_a_type_was_seen_first_and_last_when_it_was_received_whatever_the_order(tmp_path):
    (row,) = of(tmp_path, *[(at, "session-started", {}) for at in (5, 2, 9, None, 7)])["types"]

    assert (row["first_seen_at"][17:19], row["last_seen_at"][17:19], row["deliveries"]) == ("02", "09", 5)


def test_what_is_stored_outside_of_sessions_has_no_visits(tmp_path):
    with closing(Tracker.open(tmp_path, create=True)) as store:
        store.append(deliveries([line(webhook("participant-joined", **MEETING, participantId="p"), 1)]))
        with closing(sqlite3.connect(store.place)) as db:
            db.execute("UPDATE stored_events SET originator_id = 'resource:r'")
            db.commit()
        (tmp_path / "events.mark").unlink()  # which would tell that the event is another
        with Views.open(store) as opened:
            assert [
                tables_of(opened.connection).table(name).count for name in ("sessions", "participants")
            ] == [0, 0]
