"""Sessions as traces: all of it, once, and only what is settled; a real OTLP/HTTP receiver decodes what is sent."""

import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from collecting import ERROR, about, collecting
from commands import run
from meetings import deliveries, line, read_into, webhook
from served import EVENING, MONDAY, served
from waiting import until

from projections.outbox import queue
from projections.pruning import prune
from projections.traces import collector as sending
from projections.traces import exported, running
from projections.traces.collector import Collector, address
from projections.traces.exported import BATCH, TRACES_DB, Exporter
from projections.traces.running import Traces, exporter
from projections.traces.spans import Span, of_session, trace_id
from projections.views.follow import Views
from tracker.delivery.webhook import parse
from tracker.errors import TrackerError
from tracker.intake.pruning import plan
from tracker.rules import Rules
from tracker.store.application import Tracker

QUIET = Rules().redelivery
LATER = EVENING + timedelta(days=1)
"""By then a session whose end was lost is presumed to have ended."""
KILLED = """
import os, sys
from pathlib import Path
from projections.traces.collector import Collector
from projections.traces.exported import Exporter
from test_traces import LATER, QUIET

class Killed(Collector):
    def export(self, spans):
        super().export(spans)
        os.kill(os.getpid(), 9)

Exporter(Path(sys.argv[1]), Killed(sys.argv[2]), QUIET).run(LATER)
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A data directory with the bad Monday, as it is a day later."""
    data = tmp_path_factory.mktemp("traced")
    read_into(data, MONDAY)
    with closing(Tracker.open(data)) as store, Views.open(store) as views:
        views.bring_to(store, LATER)
    return data


@pytest.fixture
def data(judged, tmp_path):
    return shutil.copytree(judged, tmp_path / "data")


@pytest.fixture(scope="module")
def monday(judged, tmp_path_factory):
    """What a collector got of it."""
    with collecting() as collector:
        export(shutil.copytree(judged, tmp_path_factory.mktemp("copy") / "data"), collector)
    return collector


def export(data, collector, **more):
    sender = Collector(collector.url)
    try:
        return Exporter(data, sender, QUIET).run(LATER, **more)
    finally:
        sender.close()


def rows(data, select):
    with closing(sqlite3.connect(data / "views.db")) as db:
        return db.execute(select).fetchall()


def children(spans, name):
    return [span for span in spans if span.name == name]


# What a trace says


def test_a_trace_is_a_session_with_a_span_for_each_visit_and_run(judged, monday):
    def count(table):
        return rows(judged, f"SELECT COUNT(*) FROM {table} WHERE session_id IS NOT NULL")[0][0]

    roots = [span for span in monday.spans if not span.parent_span_id]
    assert len(roots) == len({span.trace_id for span in monday.spans}) == count("sessions")
    assert len(children(monday.spans, "participant")) == count("participants")
    assert len(monday.spans) == count("sessions") + count("participants") + count("runs")
    parents = {span.trace_id: span.span_id for span in roots}
    assert all(span.parent_span_id in (b"", parents[span.trace_id]) for span in monday.spans)


def test_every_step_is_an_event_of_its_run_at_its_time(judged, monday):
    moved = rows(
        judged,
        "SELECT position, type, CAST(strftime('%s', received_at) AS INTEGER) FROM deliveries WHERE run IS NOT NULL"
        " AND state_after IS NOT state_before AND stream IN (SELECT session_id FROM sessions) ORDER BY 1",
    )
    steps = [one for span in monday.spans for one in span.events if "tracker.reading" in about(one)]
    sent = [(about(one)["tracker.position"], one.name, one.time_unix_nano // 10**9) for one in steps]
    assert sorted(sent) == moved


def test_only_what_is_settled_is_an_event_and_what_is_grave_an_error(judged, monday):
    settled = rows(
        judged,
        "SELECT session_id, code || ' ' || slug, severity FROM findings WHERE verdict = 'settled' AND session_id IS NOT NULL",
    )
    roots = {span.trace_id: about(span)["session.id"] for span in monday.spans if not span.parent_span_id}
    sent = [
        (roots[span.trace_id], one.name, about(one)["tracker.severity"])
        for span in monday.spans
        for one in span.events
        if "tracker.code" in about(one)
    ]
    grave = {session for session, _, severity in settled if severity == "error"}
    assert sorted(sent) == sorted(settled)
    assert {roots[span.trace_id] for span in monday.spans if span.status.code == ERROR} == grave
    assert all(
        any(about(one).get("tracker.severity") == "error" for one in span.events)
        for span in monday.spans
        if span.status.code == ERROR and span.parent_span_id
    )


def test_no_span_ends_before_it_begins_and_events_are_in_order(monday):
    for span in monday.spans:
        times = [one.time_unix_nano for one in span.events]
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert times == sorted(times)


def test_neither_names_of_people_nor_addresses_of_files_are_sent(judged, monday):
    names = rows(judged, "SELECT name FROM names UNION SELECT value FROM files")
    sent = b"".join(body for _, _, body in monday.requests)
    assert [name for (name,) in names if name.encode() in sent] == []


def test_what_never_came_has_no_event_and_ends_with_the_session(tmp_path):
    lines = [
        line(webhook("session-started", sessionId="s", meetingId="m"), 0),
        line(webhook("participant-joined", sessionId="s", meetingId="m", participantId="ä/\"'"), 1),
        line(webhook("recording-started", sessionId="s", meetingId="m"), None),
        line(webhook("session-ended", sessionId="s", meetingId="m"), 60),
    ]
    with closing(Tracker.open(tmp_path, create=True)) as store:
        store.append(deliveries(lines))
        with Views.open(store) as views:
            views.bring_to(store, LATER)
            root, visit, recording = of_session(views.connection, "s")
    assert (visit.end, visit.events[0].name) == (root.end, "participant-joined")
    assert "participant-left" not in [one.name for one in visit.events]
    assert visit.attributes["tracker.participant_id"] == "ä/\"'"
    assert recording.events[0].attributes["tracker.time_known"] is False
    assert root.begin <= recording.events[0].at <= recording.end


@pytest.mark.parametrize("named", [{"sessionId": "s"}, {"roomId": "m"}])
def test_a_call_that_was_for_a_session_is_a_span_in_its_trace(tmp_path, named):
    lines = [
        line(webhook("session-started", sessionId="s", meetingId="m"), 0),
        line(webhook("call-answered", callId="c", **named), 5),
        line(webhook("call-answered", callId="other", roomId="elsewhere"), 5),
        line(webhook("call-hangup", callId="c", **named), 50),
        line(webhook("session-ended", sessionId="s", meetingId="m"), 60),
    ]
    with closing(Tracker.open(tmp_path, create=True)) as store:
        store.append(deliveries(lines))
        with Views.open(store) as views:
            views.bring_to(store, LATER)
            root, call = of_session(views.connection, "s")
    assert (call.name, call.trace, call.parent) == ("call", root.trace, root.id)
    assert [one.name for one in call.events if one.name.startswith("call")] == ["call-answered", "call-hangup"]
    assert (call.end - call.begin, call.attributes["tracker.call_id"]) == (45_000_000_000, "c")


def test_a_session_whose_call_goes_on_is_not_closed_out(data):
    ((session,),) = rows(data, "SELECT session_id FROM sessions ORDER BY last_position DESC LIMIT 1")
    with closing(sqlite3.connect(data / "views.db")) as db, db:
        db.execute("INSERT INTO links VALUES ('call:c', ?, NULL, NULL, NULL)", (session,))
        db.execute("INSERT INTO deadlines VALUES ('call:c', '2026-11-24T21:00:00Z', 0)")
    with collecting() as collector:
        counts = export(data, collector)
    assert (counts.still_open, session in collector.sessions) == (1, False)


def test_ids_follow_from_the_session(data, monday):
    with collecting() as other:
        export(data, other)
    assert other.spans == monday.spans
    assert {span.trace_id for span in monday.spans} == {
        trace_id(session).to_bytes(16, "big") for session in monday.sessions
    }


def test_who_exports_and_in_which_way_is_the_users_own_setting(data, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "calls")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
    with collecting() as collector:
        export(data, collector)
    ((path, headers, _),) = collector.requests
    assert (path, headers["authorization"], headers["Content-Encoding"]) == ("/v1/traces", "Bearer x", "gzip")
    assert {about(group.resource)["service.name"] for group in collector.groups} == {"calls"}


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("https://x.example/otlp/?k=1", "https://x.example/otlp/v1/traces?k=1"),
        ("https://x.example/v1/traces", "https://x.example/v1/traces"),
    ],
)
def test_the_address_is_completed_as_the_standard_has_it(given, full):
    assert address(given) == full


# Once


def test_what_was_exported_is_not_exported_again_to_the_same_collector(data):
    with collecting() as one, collecting() as another:
        first, second = export(data, one), export(data, one)
        export(data, another)
    assert (first.exported, second.exported, second.before) == (14, 0, 14)
    assert sorted(one.sessions) == sorted(another.sessions) == sorted(set(one.sessions))


def test_what_came_of_a_session_afterwards_exports_it_no_second_time(data):
    with collecting() as collector:
        export(data, collector)
        with closing(Tracker.open(data)) as store:
            late = webhook("participant-left", sessionId=collector.sessions[0], participantId="late")
            store.append(deliveries([line(late, 1)]))
            with Views.open(store) as views:
                views.bring_to(store, LATER)
        assert export(data, collector).exported == 0
    assert len(collector.sessions) == 14


def test_a_session_that_is_pruned_is_not_exported_again_when_a_copy_comes_late(data, tmp_path):
    pytest.importorskip("pyarrow")
    with collecting() as collector, closing(Tracker.open(data)) as store:
        export(data, collector)
        (first, *_) = store.history(collector.sessions[0])
        planned = plan(store, LATER, LATER, Rules(), lambda *_: None)
        prune(store, planned, tmp_path / "archive", Rules(), LATER, lambda *_: None)
        store.append([parse(first.received)])
        with Views.open(store) as views:
            views.bring_to(store, LATER)
        assert (export(data, collector).exported, len(collector.sessions)) == (0, 14)
    assert rows(data, "SELECT session_id FROM sessions") == [(first.stream,)]


def test_what_is_not_taken_is_exported_the_next_time(data):
    with collecting(400) as collector:
        with pytest.raises(TrackerError, match=r"the collector took nothing: .*400"):
            export(data, collector)
        assert export(data, collector).exported == 14


@pytest.mark.parametrize("status", [302, 304, 307])
def test_a_redirect_takes_nothing(data, status):
    with collecting(status) as collector:
        with pytest.raises(TrackerError, match=f"the collector took nothing: .*redirects, with {status}"):
            export(data, collector)
        assert export(data, collector).exported == len(collector.sessions) == 14


def test_who_is_killed_before_it_is_noted_exports_it_again_under_the_same_ids(data):
    with collecting() as collector:
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, data, collector.url], cwd=MONDAY.parents[1] / "tests", check=False
        )
        first = list(collector.spans)
        export(data, collector)
    assert killed.returncode == -9
    assert collector.spans == first * 2


def test_two_that_export_at_the_same_time_export_nothing_twice(data, monkeypatch):
    monkeypatch.setattr(exported, "BATCH", 2)
    with collecting() as collector, ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: export(data, collector), range(3)))
    assert sum(counts.exported for counts in done) == 14
    assert len(collector.sessions) == len(set(collector.sessions)) == 14


def test_a_session_is_exported_when_nothing_of_it_is_open_any_more(data):
    ((newest,),) = rows(data, "SELECT session_id FROM sessions ORDER BY last_position DESC LIMIT 1")
    with closing(sqlite3.connect(data / "views.db")) as db:
        for change in (
            "UPDATE sessions SET state = 'live' WHERE session_id = ?",
            "UPDATE sessions SET last_seen_at = '2026-11-24T19:59:00Z' WHERE session_id = ?",
            "INSERT OR REPLACE INTO deadlines VALUES (?, '2026-11-24T21:00:00Z', 0)",
        ):
            db.execute("BEGIN")
            db.execute(change, (newest,))
            db.commit()
            with collecting() as collector:
                counts = export(data, collector)
            assert (counts.exported, counts.still_open, newest in collector.sessions) == (13, 1, False)
            db.execute("UPDATE sessions SET state = 'ended', last_seen_at = '2026-11-23T18:00:00Z'")
            db.execute("DELETE FROM deadlines WHERE stream = ?", (newest,))
            db.commit()


def test_a_request_holds_some_sessions_and_not_the_whole_store(tmp_path):
    with closing(Tracker.open(tmp_path, create=True)) as store:
        ids = [f"s{number}" for number in range(2 * BATCH + 1)]
        store.append(
            deliveries([line(webhook("session-ended", sessionId=one, meetingId=one), 0) for one in ids])
        )
        with Views.open(store) as views:
            views.bring_to(store, LATER)
    with collecting() as collector:
        export(tmp_path, collector)
    assert len(collector.requests) == 3
    assert sorted(collector.sessions) == sorted(ids)


# The command


def test_the_command_exports_and_says_what_is_left(data):
    with collecting() as collector:
        first = run("export", "--format", "otlp", "--to", collector.url, "--data", data, text=True)
        second = run("export", "--format", "otlp", "--to", collector.url, "--data", data, text=True)
    assert (first.stdout, first.stderr) == ("14 traces exported\n", "")
    assert second.stdout == "0 traces exported, 14 others before\n"


def test_what_the_collector_rejects_is_said_and_not_exported_again(data):
    with collecting() as collector:
        collector.rejected = 5
        first = run("export", "--format", "otlp", "--to", collector.url, "--data", data, text=True)
        second = run("export", "--format", "otlp", "--to", collector.url, "--data", data, text=True)
    assert "note: the collector rejected 5 spans: too old\n" in first.stderr
    assert (second.stdout, second.stderr) == ("0 traces exported, 14 others before\n", "")


def test_a_server_logs_what_the_collector_rejects(data, caplog):
    with collecting() as collector:
        collector.rejected = 1
        look(data, collector)
    assert [record.fields for record in caplog.records] == [{"rejected": "1 span: too old"}]


def test_the_command_exports_one_session(data):
    with collecting() as collector:
        run("export", "--format", "otlp", "--to", collector.url, "--session", "6b041cb0", "--data", data)
    assert collector.sessions == ["6b041cb0bf2484894a20ce02"]


def test_what_has_no_times_or_is_not_over_is_noted(tmp_path):
    with closing(Tracker.open(tmp_path, create=True)) as store:
        said = [("session-ended", "timeless"), ("session-started", "open"), ("participant-joined", "open")]
        store.append(deliveries([line(webhook(kind, sessionId=one)) for kind, one in said]))
    with collecting() as collector:
        done = run("export", "--format", "otlp", "--to", collector.url, "--data", tmp_path, text=True)
    assert done.stdout == "0 traces exported\n"
    assert [one for one in done.stderr.splitlines() if one.startswith("note:")] == [
        "note: 1 session is not closed out yet",
        "note: 1 session without any known time cannot be exported",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--format", "otlp"), "error: --format otlp and --to need each other"),
        (("--to", "http://x"), "error: --format otlp and --to need each other"),
        (("--format", "otlp", "--to", "x"), "error: that is no address of a collector"),
        (("--format", "otlp", "--to", "http://x", "--out", "y"), "error: --format"),
        (("--format", "otlp", "--to", "http://x", "--session", "no"), "error: no: no such session"),
    ],
)
def test_what_does_not_fit_is_refused(data, given, said):
    done = run("export", *given, "--data", data, text=True)
    assert (done.returncode, done.stderr.startswith(said)) == (2, True), done.stderr


def test_without_the_exporter_the_extra_is_named(data, monkeypatch):
    monkeypatch.delitem(sys.modules, "projections.traces.collector")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    done = run("export", "--format", "otlp", "--to", "http://x", "--data", data, text=True)
    assert done.returncode == 2
    assert "pip install '.[otel]'" in done.stderr


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("otel = 1", ": otel gives no endpoint"),
        ("[otel]\nendpoint = 4318", ": otel gives no endpoint"),
        ('[otel]\nendpoint = "ftp://x"', ": that is no address of a collector"),
        ('[otel]\nendpoint = "http://x"\nheaders = 1', ":3: no setting of otel 'headers'"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path, written, said):
    (tmp_path / "tracker.toml").write_text(written)
    done = run("serve", "--insecure-no-verify", cwd=tmp_path, text=True)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"error: tracker.toml{said}")


def test_the_doctor_says_whether_they_could_be_exported(data, monkeypatch):
    config = data.parent / "tracker.toml"
    config.write_text('[otel]\nendpoint = "http://localhost:4318"')
    assert "can be exported" in run("doctor", "--config", config, "--data", data, text=True).stdout
    monkeypatch.delitem(sys.modules, "projections.traces.collector")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    assert "not installed" in run("doctor", "--config", config, "--data", data, text=True).stdout


# While a server runs


def traces(data, collector, *, end=0, now=LATER, rules=Rules):
    return Traces(data, lambda: Collector(collector.url), lambda: end, rules, lambda: now)


def look(data, collector, **more):
    """What the server does every few seconds."""
    traces(data, collector, **more)._work.look()


def test_the_server_exports_what_is_closed_out_after_its_first_start_and_nothing_before(data):
    with collecting() as collector:
        ((middle,),) = rows(data, "SELECT last_position FROM sessions ORDER BY 1 LIMIT 1 OFFSET 9")
        for end in (middle, 0):  # the second start knows of the first
            look(data, collector, end=end)
        assert len(collector.sessions) == 4


def test_an_old_log_that_is_read_is_not_exported(data):
    with collecting() as collector:
        look(data, collector, now=LATER + timedelta(days=2))
        assert collector.sessions == []


def test_the_server_goes_on_behind_what_is_done(data):
    with collecting() as collector:
        look(data, collector)
        (last,) = rows(data, "SELECT MAX(last_position) FROM sessions")[0]
        assert exporter(data, Collector(collector.url), Rules()).armed(0) == last


def test_a_server_that_reads_its_file_again_exports_to_whom_that_names(data):
    with collecting() as first, collecting() as second:
        named = [None, first, second]
        found = iter(named)
        one = Traces(data, lambda: sender(next(found)), lambda: 0, Rules, lambda: LATER)
        one.start()
        assert [one.reload() for _ in named[1:]] == [1, 1]
        until(lambda: len(second.sessions) == 14)
        one.end()


def sender(collector):
    return None if collector is None else Collector(collector.url)


def test_a_collector_that_fails_is_asked_less_and_less_often_up_to_half_an_hour(data):
    with collecting() as collector:
        pauses = [traces(data, collector)._pause(failed) for failed in range(5)]
    assert pauses[0] == running.POLL
    assert [round(pause / usual) for pause, usual in zip(pauses[1:], (5, 300, 1800, 1800), strict=True)] == [
        1
    ] * 4


def test_a_running_server_exports_and_says_when_it_cannot(data, monkeypatch):
    monkeypatch.setattr(running, "POLL", 0.01)
    monkeypatch.setattr(queue, "DELAYS", [timedelta(milliseconds=10)] * running.LONGEST)
    with collecting() as collector:
        collector.statuses = refusing = Refusing()
        with served(data, now=LATER, beside=[traces(data, collector)]) as server:
            until(lambda: b'tracker_failing{part="traces"} 1.0' in server.ask("/metrics").body)
            refusing.seen = True
            until(lambda: len(collector.sessions) == 14)
            until(lambda: b'tracker_failing{part="traces"} 0.0' in server.ask("/metrics").body)


class Refusing:
    """The statuses of a collector that takes nothing until that was ``seen``."""

    seen = False

    def pop(self, _):
        return 200 if self.seen else 400


def test_a_long_session_takes_several_requests(monkeypatch):
    monkeypatch.setattr(sending, "AT_ONCE", 2)
    with collecting() as collector:
        sender = Collector(collector.url)
        sender.export(
            [Span(1, number, None, "session", 0, 1, {"session.id": str(number)}) for number in (1, 2, 3)]
        )
        sender.close()
    assert (len(collector.requests), collector.sessions) == (2, ["1", "2", "3"])


def test_the_file_of_what_was_exported_is_private(data):
    with collecting() as collector:
        export(data, collector)
    assert (data / TRACES_DB).stat().st_mode & 0o077 == 0
