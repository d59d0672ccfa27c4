"""The command as its users have it: real files, what is printed and the exit code; a process where it matters."""

import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import commands
import meetings
import pytest
from traffic import environment

from projections.explain.status import status as values_of
from projections.views.follow import Views
from tracker.delivery.webhook import UNROUTED, parse
from tracker.intake.ingest import ingest as read_into
from tracker.intake.logs import Log
from tracker.judging.assess import assess_all
from tracker.lifecycles import REGISTRY
from tracker.store.application import Tracker
from tracker.store.sqlite import fault_of

TRACKER = [sys.executable, "-m", "projections"]
ROOT = Path(__file__).parents[1]
MONDAY = ROOT / "examples" / "bad_monday.jsonl"
CLEAN = ROOT / "examples" / "clean_meeting.jsonl"
PAYLOADS = ROOT / "tests" / "data" / "payloads.jsonl"
ENDLESS = "6b03c940d6909d4585e48b7f"
RESTARTED = "6b040ea029e961d671985824"


@pytest.fixture
def run(tmp_path):
    """Runs ``tracker`` in an empty directory; gives the exit code and what is printed."""
    return partial(commands.run, cwd=tmp_path)


@pytest.fixture
def monday(run, monday_here, tmp_path):
    """``run``, with a store of its own that holds the bad Monday."""
    shutil.copytree(monday_here, tmp_path, dirs_exist_ok=True)
    return run


@pytest.fixture(scope="module")
def monday_here(tmp_path_factory):
    """A directory with the bad Monday in its store, for those who only ask."""
    place = tmp_path_factory.mktemp("monday")
    with Tracker.open(place / "tracker-data", create=True) as store:
        for _ in read_into(store, Log(str(MONDAY))):
            pass
        Views.open(store).close()
    return place


def ndjson(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def payloads():
    for line in PAYLOADS.read_bytes().splitlines():
        yield json.dumps({k: v for k, v in json.loads(line).items() if not k.startswith("_")}).encode()


def test_ingest_says_what_it_read_and_stored_and_what_was_there_already(run):
    first, second = run("ingest", MONDAY), run("ingest", MONDAY)
    lines = len(MONDAY.read_bytes().splitlines())
    assert f"{lines} read, {lines} stored, 0 already there" in first.stdout.decode()
    assert f"{lines} read, 0 stored, {lines} already there" in second.stdout.decode()


@pytest.mark.slow
def test_every_payload_goes_in_and_is_found_again_byte_for_byte(run, tmp_path):
    bodies = list(payloads())
    (tmp_path / "all.jsonl").write_bytes(b"\n".join(bodies) + b"\n")
    run("ingest", "all.jsonl")
    known = {parse(body).stream for body in bodies}
    streams = ["unrouted", *sorted(name for name in known if not name.startswith(UNROUTED))]
    found = [moment for stream in streams for moment in ndjson(run("timeline", stream, "--format", "ndjson"))]
    assert {moment["position"] for moment in found} == set(range(1, len(bodies) + 1))
    exported = ndjson(run("export"))
    assert [line["webhook"] for line in exported] == [json.loads(body) for body in bodies]


def test_an_export_read_into_an_empty_store_gives_the_same_bodies_states_and_findings(monday):
    exported = monday("export").stdout
    assert monday("--data", "other", "ingest", "-", stdin=exported).returncode == 0
    assert monday("--data", "other", "export").stdout == exported
    for question in (["sessions"], ["audit", "--fail-on", "never"], ["timeline", RESTARTED]):
        asked = [*question, "--format", "ndjson"]
        assert monday("--data", "other", *asked).stdout == monday(*asked).stdout


def test_an_audit_of_the_log_says_what_an_audit_of_the_store_says(monday):
    asked = ("--format", "ndjson", "--fail-on", "never")
    assert monday("audit", MONDAY, *asked).stdout == monday("audit", *asked).stdout


def test_what_an_audit_found_in_one_session_is_not_said_of_all(monday):
    report = monday("audit", "--session", RESTARTED, "--fail-on", "never").stdout.decode().splitlines()
    assert report[-1].endswith("of what was asked for, something is wrong with 1 session")


def test_where_each_run_has_its_file_that_is_said_and_not_that_there_was_none(run, tmp_path):
    begun = {"sessionId": "S", "meetingId": "M"}
    bodies = [
        meetings.webhook("recording-starting", **begun),
        meetings.webhook("recording-started", **begun),
        meetings.webhook("recording-stopped", **begun, filePath="/1.mp4"),
    ]
    lines = [meetings.line(body, number) for number, body in enumerate(bodies)]
    run("ingest", meetings.write(tmp_path / "log", lines))
    assert run("recordings", "--missing").stdout.decode() == "1 run, none without a file\n"
    assert run("recordings", "--state", "failed").stdout.decode() == "no such recording or stream\n"


def test_an_audit_prints_findings_with_the_promised_names(run):
    names = (
        "code slug severity verdict confidence session_id meeting_id lifecycle key run position evidence at "
        "state_before state_after expected message advice alternatives cause account"
    )
    found = ndjson(run("audit", MONDAY, "--format", "ndjson"))
    assert {tuple(finding) for finding in found} == {tuple(names.split())}
    restarted = next(finding for finding in found if finding["code"] == "S207")
    assert (restarted["severity"], restarted["session_id"], restarted["lifecycle"], restarted["run"]) == (
        "error", RESTARTED, "recording", 1,
    )  # fmt: skip


def test_a_position_in_logs_is_the_line_counted_over_all_files(run):
    clean = len(CLEAN.read_bytes().splitlines())
    alone = ndjson(run("audit", MONDAY, "--format", "ndjson", "--min-severity", "error"))
    behind = ndjson(run("audit", CLEAN, MONDAY, "--format", "ndjson", "--min-severity", "error"))
    assert [finding["position"] for finding in behind] == [finding["position"] + clean for finding in alone]


@pytest.mark.parametrize(
    ("log", "arguments", "code"),
    [
        (CLEAN, (), 0),
        (MONDAY, (), 1),
        (MONDAY, ("--fail-on", "never"), 0),
        (MONDAY, ("--fail-on", "info"), 1),
        (MONDAY, ("--min-severity", "error", "--fail-on", "error"), 1),
    ],
)
def test_the_exit_code_of_an_audit_tells_whether_it_found_something(run, log, arguments, code):
    assert run("audit", log, *arguments).returncode == code


@pytest.mark.parametrize("as_of", [(), ("--as-of", "now"), ("--as-of", "-1min"), ("--as-of", "end")])
def test_a_session_whose_end_was_lost_days_ago_is_over_by_the_clock_on_the_wall(monday, as_of):
    def state(*more):
        return json.loads(monday("status", ENDLESS, "--json", *more).stdout)["state"]

    assert (state("--as-of", "2026-11-23T18:10:00Z"), state(*as_of)) == ("live", "presumed-ended")


def test_a_status_has_the_promised_names_and_answers_for_people_and_programs(monday):
    status = json.loads(monday("status", RESTARTED, "--json").stdout)
    names = (
        "session_id meeting_id state certainty started_at ended_at first_seen_at last_seen_at deliveries "
        "last_position minutes peak peak_at participants aggregates findings links account "
        "erased_at pruned"
    )
    assert tuple(status) == tuple(names.split())
    assert tuple(status["participants"][0]) == ("participant_id", "name", "state", "certainty", "visits")
    assert tuple(status["participants"][0]["visits"][0]) == ("joined_at", "left_at")
    recording = next(one for one in status["aggregates"] if one["lifecycle"] == "recording")
    assert tuple(recording) == ("lifecycle", "key", "state", "certainty", "runs")
    assert [(one["run"], one["state"], one["certainty"]) for one in recording["runs"]] == [
        (1, "lost", "inferred"),
        (2, "stopped", "sure"),
    ]
    assert tuple(recording["runs"][0]) == ("run", "state", "certainty", "steps", "data", "files")
    assert tuple(recording["runs"][0]["steps"][0]) == ("step", "at", "position", "inferred")


def test_a_status_of_the_past_is_the_fold_of_the_prefix(monday, tmp_path):
    """For every delivery of a session, ``--at`` its position and ``--as-of`` its receive time."""
    with Tracker.open(tmp_path / "tracker-data") as store:
        received = list(store.history(RESTARTED))
    for count in (1, len(received) // 2, len(received)):
        prefix = received[:count]
        expected = values_of(assess_all(prefix, prefix[-1].received_at))
        last = prefix[-1]
        at = json.loads(monday("status", RESTARTED, "--json", "--at", last.position).stdout)
        as_of = json.loads(
            monday("status", RESTARTED, "--json", "--as-of", last.received_at.isoformat()).stdout
        )
        assert (at, as_of) == (expected, expected)


def test_an_explanation_says_what_is_held_and_what_else_may_have_happened(monday):
    report = monday("explain", RESTARTED).stdout.decode()
    explained = json.loads(monday("explain", RESTARTED, "--json").stdout)
    (one,) = [each for each in explained["aggregates"] if each["lifecycle"] == "recording"]
    assert [found["code"] for found in one["findings"]] == ["S207"]
    assert 0.8 < one["findings"][0]["confidence"] < one["held"]["probability"] < 0.96
    assert (one["alternatives"][0]["price"] > one["held"]["price"], len(one["held"]["runs"])) == (True, 2)
    assert one["counterfactual"] in report
    end = ("explain", RESTARTED, "--as-of", "end")
    assert monday(*end, "--format", "json").stdout == monday(*end, "--json").stdout


def test_an_explanation_of_the_past_knows_nothing_of_what_came_later(monday):
    explained = json.loads(monday("explain", RESTARTED, "--json", "--at", "74").stdout)
    assert explained["aggregates"] == []


def test_the_price_table_is_shown_as_it_is_in_force(run, tmp_path):
    (tmp_path / "tracker.toml").write_text("[prices]\nS207 = 3\n")
    rows = {row["name"]: row for row in json.loads(run("explain", "--prices", "--format", "json").stdout)}
    assert (rows["S207"]["price"], rows["S207"]["catalogue"], rows["S201"]["price"]) == (3.0, 8, 5)
    assert "the end of a run was lost, or it hung" in run("explain", "--prices").stdout.decode()


def test_a_timeline_has_the_promised_names(monday):
    moments = ndjson(monday("timeline", RESTARTED, "--format", "ndjson"))
    names = "position received_at type lifecycle key run reading state_before state_after findings"
    assert {tuple(moment) for moment in moments} == {tuple(names.split())}
    assert [m["reading"] for m in moments if m["findings"] == ["S207"]] == ["new-run"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--finding", "S207"], [RESTARTED]),
        (["--finding", "restarted-without-stop"], [RESTARTED]),
        (["--meeting", "h8sd-4kzo-y1fw"], [RESTARTED]),
        (["--live"], []),
        (["--since", "2026-11-24T00:00:00Z"], []),
    ],
)
def test_sessions_are_filtered(monday, filters, expected):
    assert [row["session_id"] for row in ndjson(monday("sessions", "--format", "ndjson", *filters))] == expected


def test_csv_and_json_hold_the_same_sessions_as_ndjson(monday):
    rows = ndjson(monday("sessions", "--format", "ndjson"))
    assert json.loads(monday("sessions", "--format", "json").stdout) == rows
    table = monday("sessions", "--format", "csv").stdout.decode().splitlines()
    assert (table[0].split(","), len(table)) == (list(rows[0]), len(rows) + 1)


@pytest.mark.parametrize("format", ["text", "mermaid", "dot"])
def test_lifecycles_shows_every_declaration(run, format):
    shown = run("lifecycles", "--format", format).stdout.decode()
    missing = [
        lifecycle.webhook_type(step.name)
        for lifecycle in REGISTRY.values()
        for step in lifecycle.steps
        if lifecycle.webhook_type(step.name) not in shown
    ]
    assert missing == []


def test_nothing_is_shortened_in_a_pipe(run, tmp_path):
    name = "x" * 300
    data = {"sessionId": "S", "meetingId": "m" * 200, "participantId": "p", "participantName": name}
    (tmp_path / "log").write_text(json.dumps({"webhookType": "participant-joined", "data": data}) + "\n")
    run("ingest", "log")
    assert name in run("status", "S").stdout.decode()
    assert "m" * 200 in run("sessions").stdout.decode()


def test_what_came_in_cannot_write_to_the_terminal(run, tmp_path):
    data = {"sessionId": "S", "participantId": "p", "participantName": "\x1b[31mred\x07[bold]\n"}
    (tmp_path / "log").write_text(json.dumps({"webhookType": "participant-joined", "data": data}) + "\n")
    run("ingest", "log")
    shown = run("status", "S").stdout + run("timeline", "S").stdout + run("sessions").stdout
    assert (b"\x1b" in shown, b"\x07" in shown, b"\\x1b[31mred\\x07[bold]\\x0a" in shown) == (
        False,
        False,
        True,
    )


def test_settings_come_from_flags_before_the_environment_before_the_file(run, tmp_path):
    (tmp_path / "tracker.toml").write_text('data = "from-file"\n')
    run("ingest", CLEAN)
    run("ingest", CLEAN, TRACKER_DATA="from-environment")
    run("ingest", CLEAN, "--data", "from-flag", TRACKER_DATA="from-environment-too")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "from-environment", "from-file", "from-flag", "tracker.toml",
    ]  # fmt: skip


def test_other_rules_judge_the_whole_past_anew(monday, tmp_path):
    (tmp_path / "tracker.toml").write_text('[rules.severity]\nS207 = "info"\n')
    before = len(ndjson(monday("sessions", "--format", "ndjson")))
    rows = ndjson(monday("sessions", "--format", "ndjson", "--finding", "S207"))
    assert [(row["session_id"], row["severity"]) for row in rows] == [(RESTARTED, "info")]
    assert len(ndjson(monday("sessions", "--format", "ndjson"))) == before


def complaint(done):
    """(exit code, lines on stderr), and nothing that looks like a traceback."""
    text = done.stderr.decode()
    assert "Traceback" not in text
    return done.returncode, text.splitlines()


def test_a_log_that_cannot_be_read_is_named_with_a_hint_and_the_others_are_read(run, tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 40)
    done = run("ingest", "missing.jsonl", "directory", "binary", CLEAN)
    code, report = complaint(done)
    assert code == 2
    assert [line.split(": ")[1] for line in report if line.startswith("error")] == [
        "missing.jsonl",
        "directory",
        "binary",
    ]
    assert sum(line.startswith("hint: ") for line in report) == 3
    assert f"{CLEAN}: 25 read, 25 stored" in done.stdout.decode()


@pytest.mark.parametrize("command", ["audit", "ingest"])
def test_of_a_file_that_cannot_be_read_at_all_only_the_error_is_printed(run, tmp_path, command):
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 40)
    done = run("--data", "new", command, "binary")
    code, report = complaint(done)
    assert (code, done.stdout, [line.split(":")[0] for line in report]) == (2, b"", ["error", "hint"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("given", [("-",), ("--force", "-"), ("--force", "binary")])
def test_of_what_cannot_be_read_no_store_is_made_from_a_pipe_and_by_force_either(run, tmp_path, given):
    binary = bytes(range(256)) * 40
    (tmp_path / "binary").write_bytes(binary)
    done = run("--data", "new", "ingest", *given, stdin=binary)
    assert (done.returncode, done.stdout, (tmp_path / "new").exists()) == (2, b"", False)


def test_a_pipe_that_fills_a_new_store_is_read_from_its_first_line_on(run, tmp_path):
    done = run("--data", "new", "ingest", "-", stdin=CLEAN.read_bytes())
    assert b"stdin: 25 read, 25 stored" in done.stdout


def test_beside_a_file_that_cannot_be_read_the_other_logs_are_judged_and_an_empty_one_is_named(run, tmp_path):
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "empty").touch()
    code, report = complaint(done := run("audit", "binary", "empty", CLEAN))
    assert (code, done.stdout.startswith(b"25 deliveries, ")) == (2, True)
    said = [line for line in report if not line.startswith("hint: ")]
    assert said == ["note: empty: the log is empty", "error: binary: is binary, not JSON lines"]


def test_a_truncated_log_is_stored_up_to_the_cut_and_the_next_run_goes_on(run, tmp_path):
    packed = gzip.compress(MONDAY.read_bytes())
    (tmp_path / "log.gz").write_bytes(packed[: len(packed) // 2])
    code, report = complaint(run("ingest", "log.gz"))
    stored = int(re.search(r"breaks off after line (\d+)", "".join(report))[1])
    (tmp_path / "log.gz").write_bytes(packed)
    again = run("ingest", "log.gz").stdout.decode()
    assert (code, stored > 50, f"{stored} already there" in again) == (2, True, True)
    assert run("export").stdout.count(b"\n") == len(MONDAY.read_bytes().splitlines())


def test_a_line_that_is_too_long_is_named_and_its_beginning_is_stored_with_all_others(run, tmp_path):
    lines = CLEAN.read_bytes().splitlines()
    (tmp_path / "log").write_bytes(b"\n".join([*lines[:3], b"x" * 50_000_000, *lines[3:], b""]))
    done = run("ingest", "log")
    code, report = complaint(done)
    assert (code, report[-2].startswith("error: log:4: "), report[-1].startswith("hint: ")) == (2, True, True)
    assert "26 stored" in done.stdout.decode()
    asked = ("--format", "ndjson", "--fail-on", "never")
    assert run("audit", *asked).stdout == run("audit", "log", *asked).stdout


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"not json\n" * 9, "all lines are malformed"),
        (b'{"webhookType": "\xff"}\n', "the only line is malformed"),
        (b'{"message": {}}\n', "the only line has no webhookType"),
        (b'{"ts": "yesterday", "body": {"webhookType": "x"}}\n', "has a receive time that cannot be read"),
    ],
)
def test_a_log_without_webhooks_is_kept_and_remarked_upon(run, tmp_path, content, expected):
    (tmp_path / "log").write_bytes(content)
    done = run("ingest", "--force", "log")
    code, report = complaint(done)
    assert (code, expected in report[0], report[1].startswith("hint: ")) == (0, True, True)
    assert run("export").stdout.count(b"\n") == content.count(b"\n")


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda data: data.write_text("a file"), 3, "is a file, not a directory"),
        (lambda data: (data.mkdir(), (data / "events.db").write_text("no database" * 99)), 3, "is not a store"),
        (lambda data: (data.mkdir(), _other_program(data)), 3, "database of another program"),
        (lambda _data: None, 3, "there is no store"),
    ],
)
def test_a_store_that_is_none_is_named_with_a_hint(run, tmp_path, make, code, words):
    make(tmp_path / "tracker-data")
    answered, report = complaint(run("sessions"))
    assert (answered, words in report[0], report[1].startswith("hint: "), len(report)) == (code, True, True, 2)


def _other_program(data):
    connection = sqlite3.connect(data / "events.db")
    connection.execute("CREATE TABLE somebody_elses (x)")
    connection.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "no such command 'frobnicate'"),
        (["ingest"], "Missing argument"),
        (["explain", "S27"], "no such code"),
        (["explain", "S207", "--prices"], "--prices always shows the whole table"),
        (["lifecycles", "recordings"], "no such lifecycle"),
        (["audit", "--rules", "missing.toml", str(CLEAN)], "there is no such file"),
        (["ingest", "redis://:sEcret@host/x"], "error: redis://…@host/x: is a URL, not a file"),
        (["ingest", "--follow", "redis://:sEcret@host/x"], "error: redis://…@host/x: is a URL, not a file"),
        (
            ["audit", "https://u:sEcret@host/x.parquet?sig=s"],
            "error: https://…@host/x.parquet?…: is a URL, not a",
        ),
        (["audit", f"https://host/x?sig={'s' * 300}"], "error: https://host/x?…: is a URL, not a file"),
        (["sessions", "--since", "tomorrow"], "is not a valid time"),
        (["status", "S", "--at", "1", "--as-of", "1"], "cannot be used together"),
        (["status", "S", "--as-of", "tomorrow"], "is not a valid time"),
    ],
)
def test_what_cannot_be_done_as_asked_is_reported_in_one_line_with_a_hint(run, arguments, words):
    code, report = complaint(run(*arguments))
    assert (code, words in report[0], report[1].startswith("hint: "), len(report)) == (2, True, True, 2)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["sesions"], "sessions"),
        (["people"], "person"),
        (["who"], "person"),
        (["status", "--jsn"], "--json"),
        (["lifecycles", "recordin"], "recording"),
    ],
)
def test_what_is_mistyped_gets_the_nearest_as_a_hint(run, arguments, meant):
    assert complaint(run(*arguments))[1][1] == f"hint: did you mean {meant}?"


def test_a_log_of_which_a_part_was_stored_before_says_how_much_of_it_is_new(tmp_path):
    lines = MONDAY.read_bytes().splitlines(keepends=True)
    (tmp_path / "part").write_bytes(b"".join(lines[135:]))
    for log, words in (
        ("part", None),
        (MONDAY, ": 98 deliveries look like those of another log: at most 137 other ones are new"),
    ):
        done = commands.run("ingest", log, cwd=tmp_path, text=True)
        assert ("of another log" in done.stderr) == bool(words)
        assert (words or "") in done.stderr
    assert "of another log" not in commands.run("ingest", MONDAY, cwd=tmp_path, text=True).stderr


@pytest.mark.parametrize(
    "command", [("status",), ("timeline",), ("explain",), ("export", "--session"), ("recordings", "--session")]
)
@pytest.mark.parametrize("name", ["h8sd-4kzo-y1fw", RESTARTED[:8], RESTARTED])
def test_a_session_is_named_by_its_id_the_beginning_of_it_or_its_meeting(monday, command, name):
    done = monday(*command, name)
    assert (done.returncode, done.stdout) == (0, monday(*command, RESTARTED).stdout)
    assert b"is a meeting" not in done.stderr  # it has no other session


@pytest.mark.parametrize(
    "asked",
    [
        ("export",),
        ("--help",),
        ("audit", "--help"),
        ("explain",),
        ("sessions",),
        ("timeline", RESTARTED),
        ("status", RESTARTED),
        ("simulate",),
        ("lifecycles",),
    ],
    ids=" ".join,
)
def test_a_reader_that_has_had_enough_is_no_error(monday_here, asked):
    """Its pipe is closed before the first byte comes."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        code = commands.ended(*asked, cwd=monday_here, stdout=closed, stderr=(complaints := io.StringIO()))
    assert (code, "error" in complaints.getvalue()) == (0, False)


@pytest.mark.parametrize("format", ["text", "csv", "junit"])
@pytest.mark.parametrize(("fail_on", "code"), [("warning", 1), ("never", 0)])
def test_how_an_audit_ends_does_not_depend_on_who_reads_it(monday_here, format, fail_on, code):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        asked = "audit", "--format", format, "--fail-on", fail_on
        ended = commands.ended(*asked, cwd=monday_here, stdout=closed, stderr=(complaints := io.StringIO()))
    assert (ended, "error:" in complaints.getvalue()) == (code, False)


@pytest.mark.parametrize("asked", [("export",), ("--help",)], ids=" ".join)
def test_nor_is_it_when_the_process_ends(monday_here, asked):
    """What was printed and not yet written would be written then."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*TRACKER, *asked],
        cwd=monday_here, env=environment(), stdout=writer, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_verify_names_a_row_that_was_changed_by_hand(monday, tmp_path):
    assert monday("verify").returncode == 0
    change(tmp_path / "tracker-data" / "views.db", "UPDATE runs SET state = 'stopped' WHERE state = 'lost'")
    done = monday("verify")
    assert (done.returncode, b"state is 'stopped', the log says 'lost'" in done.stdout) == (3, True)
    monday("rebuild")
    assert monday("verify").returncode == 0


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM stored_events WHERE notification_id = 7", "position 7: a hole"),
        ("DELETE FROM stored_events WHERE notification_id > 230", "a hole at the end"),
        (
            "UPDATE stored_events SET originator_version = originator_version + 100 WHERE notification_id = 70",
            "position 70: version",
        ),
        (
            "UPDATE stored_events SET originator_id = 'elsewhere', originator_version = 1 WHERE notification_id = 99",
            "position 99: stored in elsewhere",
        ),
    ],
)
def test_verify_names_an_event_that_was_tampered_with(monday, tmp_path, statement, words):
    change(tmp_path / "tracker-data" / "events.db", statement)
    done = monday("verify")
    assert (done.returncode, words in done.stdout.decode()) == (3, True)


def change(path, statement):
    connection = sqlite3.connect(path)
    assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()


def test_long_work_shows_progress_on_a_terminal_and_data_stays_on_stdout(monkeypatch, capsys):
    from projections import progress

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "PATIENCE", 0)
    with progress.bar("judging", "events") as show:
        show(500, 1000)
    captured = capsys.readouterr()
    assert (captured.out, "judging" in captured.err, "/s" in captured.err) == ("", True, True)


@pytest.mark.parametrize("name", ["[/b]", "[red]m:smile:", "\\[x]"])
def test_ids_and_names_are_text_and_no_markup(run, tmp_path, name):
    data = {"sessionId": name, "meetingId": name, "participantId": name, "participantName": name}
    (tmp_path / "log").write_text(json.dumps({"webhookType": "participant-joined", "data": data}) + "\n")
    run("ingest", "log")
    shown = [run(*asked).stdout.decode() for asked in (["sessions"], ["status", name], ["timeline", name])]
    assert [name in output for output in shown] == [True] * 3


def test_names_that_are_no_text_do_no_harm(run, tmp_path):
    odd = os.fsdecode(b"b\xffd.jsonl")
    (tmp_path / odd).write_bytes(CLEAN.read_bytes())
    assert run("ingest", odd).returncode == 0
    assert [complaint(run("status", os.fsdecode(b"\xff")))[0], run("audit", odd).returncode] == [2, 0]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_does_not_keep_the_work_from_being_done(tmp_path, closed):
    command = f"{sys.executable} -m projections ingest {CLEAN} {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment(), check=False)
    with Tracker.open(tmp_path / "tracker-data") as store:
        assert (done.returncode, store.count()) == (0, 25)


@pytest.mark.slow
def test_a_meeting_of_thousands_is_drawn_in_time_that_grows_with_it(run, tmp_path):
    """Three thousand people come; drawn with a look at everybody for each, this would take minutes."""
    body = '{"webhookType":"participant-joined","data":{"sessionId":"S","participantId":"%d"}}\n'
    (tmp_path / "log").write_text("".join(body % number for number in range(3000)))
    run("ingest", "log")
    lines = run("timeline", "S").stdout.decode().splitlines()
    assert (lines[0].split(None, 1)[1], len(lines)) == ("3000 people  3000 inside", 3003)


def test_the_choices_offered_are_the_severities_and_formats_there_are():
    """They stand in the command once more, so that its help need not import what they belong to."""
    from projections.cli.options import LEVELS, MACHINE
    from projections.exports.data import FORMATS
    from tracker.findings import SEVERITIES

    assert (LEVELS, MACHINE) == (SEVERITIES, FORMATS)


def test_verify_says_what_keeps_the_events(monday):
    report = monday("verify").stderr.decode()
    assert f"SQLite {sqlite3.sqlite_version}" in report
    assert ("WAL-reset" in report) == bool(fault_of(sqlite3.sqlite_version_info))
