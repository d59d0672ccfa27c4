"""What the command says of one thing and of many, and of the system's errors."""

import ast
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from projections import cli
from projections.cli import main, messages, tracker
from projections.cli.messages import deliveries, quantity, reason


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (quantity(0, "event"), "0 events"),
        (quantity(1, "event"), "1 event"),
        (quantity(1234, "event"), "1,234 events"),
        (quantity(2, "child", "children"), "2 children"),
        (deliveries(1), "1 delivery"),
        (deliveries(2, "withdrawn"), "2 withdrawn deliveries"),
    ],
)
def test_a_count_has_its_noun_in_the_number_that_fits(words, expected):
    assert words == expected


def lines(path, sessions):
    """A log with one webhook for each of these session ids, all of one meeting."""
    webhooks = [
        {"webhookType": "session-started", "data": {"sessionId": one, "meetingId": "meeting"}}
        for one in sessions
    ]
    path.write_text("".join(json.dumps(webhook) + "\n" for webhook in webhooks))
    return str(path)


def run(tmp_path, *arguments):
    return CliRunner().invoke(tracker, ["--data", str(tmp_path / "data"), *arguments])


def test_a_log_of_one_line_is_reported_in_the_singular(tmp_path):
    log = lines(tmp_path / "log", ["s"])
    done = run(tmp_path, "ingest", log)
    assert done.stdout.splitlines() == [
        f"{log}: 1 read, 1 stored, 0 already there, 0 unrouted, at position 1",
        f"{tmp_path / 'data'}: 1 event, 1 session",
    ]
    assert done.stderr.startswith(f"note: {log}: the only line has no receive time; the first is line 1")
    assert (
        run(tmp_path, "withdraw", log).stdout == f"{tmp_path / 'data'}: 1 delivery of {log} no longer counts\n"
    )
    assert run(tmp_path, "export").stderr.startswith("note: 1 withdrawn delivery is left out\n")
    assert (
        run(tmp_path, "verify").stdout
        == f"{tmp_path / 'data'}: 2 events, 1 of them withdrawn, no problem found\n"
    )


def test_a_meeting_stands_for_its_latest_session_and_a_note_says_how_many_it_has(tmp_path):
    run(tmp_path, "ingest", lines(tmp_path / "log", [f"s{number}" for number in range(7)]))
    done = run(tmp_path, "status", "meeting", "--json")
    assert json.loads(done.stdout)["session_id"] == "s6"
    assert done.stderr.splitlines() == [
        "note: meeting is a meeting, and s6 is the latest of its 7 sessions",
        "hint: tracker sessions --meeting meeting lists all",
    ]


@pytest.mark.parametrize("past", [("--at", "3"), ("--as-of", "2026-11-23T09:02:30Z")])
def test_in_the_past_a_meeting_stands_for_its_latest_session_that_had_begun_by_then(tmp_path, past):
    log = tmp_path / "log"
    bare = Path(lines(log, [f"s{number}" for number in range(5)])).read_text("utf-8").splitlines()
    timed = (
        f'{{"received_at":"2026-11-23T09:0{number}:00Z","webhook":{line}}}' for number, line in enumerate(bare)
    )
    log.write_text("\n".join(timed), "utf-8")
    run(tmp_path, "ingest", str(log))
    done = run(tmp_path, "status", "meeting", "--json", *past)
    assert json.loads(done.stdout)["session_id"] == "s2"
    assert "s2 is the latest of its 5 sessions that had begun by then" in done.stderr


def test_the_beginning_of_several_ids_is_refused_with_five_of_them_and_the_number_of_the_others(tmp_path):
    run(tmp_path, "ingest", lines(tmp_path / "log", [f"s{number}" for number in range(7)]))
    error = run(tmp_path, "status", "s").exception
    assert (str(error), error.hint, error.exit_code) == (
        "s: 7 sessions have an id that begins so",
        "give more of it: s0, s1, s2, s3, s4 and 2 more",
        2,
    )


def test_an_id_that_others_begin_with_is_that_session(tmp_path):
    run(tmp_path, "ingest", lines(tmp_path / "log", ["a", "ab", "ac"]))
    assert json.loads(run(tmp_path, "status", "a", "--json").stdout)["session_id"] == "a"


def test_nothing_is_the_beginning_of_no_id(tmp_path):
    run(tmp_path, "ingest", lines(tmp_path / "log", ["a"]))
    assert str(run(tmp_path, "status", "").exception) == "no such session"


def test_an_error_of_the_system_names_the_file_and_the_reason_without_a_number():
    assert reason(OSError(28, "No space left on device", "events.db")) == "events.db: No space left on device"
    assert reason(OSError("timed out")) == "timed out"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_reported_in_one_line_with_a_hint(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--meetings", "3", "--out", "/dev/full"])
    hint = "hint: check the disk and the permissions"
    assert (ended.value.code, capsys.readouterr().err.splitlines()) == (
        3,
        ["error: No space left on device", hint],
    )


def test_every_error_that_a_command_raises_has_a_hint():
    calls = [
        (path.name, node)
        for path in sorted(Path(cli.__path__[0]).glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error")
    ]
    without = [
        f"{name}:{call.lineno}" for name, call in calls if "hint" not in {one.arg for one in call.keywords}
    ]
    assert (len(calls) > 20, without) == (True, [])


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_an_error_is_wrapped_at_words_on_a_terminal_and_stands_on_one_line_in_a_pipe(monkeypatch):
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((30, 24)))
    printed = []
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr("sys.stderr", stream)
        messages.complain("no such session", "tracker sessions lists all sessions", 2)
        printed.append(stream.getvalue().splitlines()[1:])
    assert printed == [
        ["hint: tracker sessions lists", "  all sessions"],
        ["hint: tracker sessions lists all sessions"],
    ]
