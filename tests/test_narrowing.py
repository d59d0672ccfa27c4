"""Lists that are narrowed: the sessions by state, severity, person and order, an audit's findings by what is asked for."""

import json

import commands
import pytest
from click.testing import CliRunner
from served import MONDAY, RESTARTED

from projections.cli import tracker
from projections.read_models.sessions import SORTS

GRAVITY = (None, "info", "warning", "error")


def listed(server, *options):
    done = CliRunner().invoke(
        tracker, ["--data", str(server.tracker.data), "sessions", "--format", "ndjson", *options]
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        (["--state", "ended"], lambda row: row["state"] == "ended"),
        (["--severity", "warning"], lambda row: GRAVITY.index(row["severity"]) >= 2),
        (["--severity", "error", "--state", "ended"], lambda row: row["severity"] == "error" and row["state"] == "ended"),
        (["--person", "1tkgqo"], lambda row: row["session_id"] == RESTARTED),
        (["--person", "RUTH"], lambda row: row["session_id"] == RESTARTED),
    ],
)  # fmt: skip
def test_only_sessions_that_are_asked_for_are_listed(monday, options, holds):
    found = listed(monday, *options)
    assert ([row for row in listed(monday) if holds(row)], bool(found)) == (found, True)


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("last", lambda row: row["last_seen_at"] or ""),
        ("started", lambda row: row["started_at"] or row["first_seen_at"] or ""),
        ("people", lambda row: row["participants"]),
        ("deliveries", lambda row: row["deliveries"]),
        ("findings", lambda row: (row["errors"], row["warnings"])),
    ],
)
def test_sessions_come_in_the_order_that_is_asked_for(monday, sort, key):
    found = [key(row) for row in listed(monday, "--sort", sort)]
    assert found == sorted(found, reverse=True)
    assert listed(monday, "--sort", sort, "--limit", "3") == listed(monday, "--sort", sort)[:3]


def test_every_order_of_the_command_is_one_of_the_read_model():
    (sort,) = [one for one in tracker.get_command(None, "sessions").params if one.name == "sort"]
    assert {*sort.type.choices} == SORTS.keys() - {"position"}


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("state=live", lambda row: row["state"] == "live"),
        ("severity=error", lambda row: row["severity"] == "error"),
        ("person=ruth", lambda row: row["session_id"] == RESTARTED),
    ],
)
def test_the_api_narrows_the_sessions_too(monday, query, holds):
    everything = monday.get("/api/sessions?limit=100")["items"]
    assert monday.get(f"/api/sessions?limit=100&{query}")["items"] == [row for row in everything if holds(row)]


# An audit


def audited(*options):
    done = CliRunner().invoke(
        tracker, ["audit", str(MONDAY), "--format", "ndjson", "--fail-on", "never", *options]
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        (["--session", RESTARTED[:8]], lambda one: (one["session_id"] or "").startswith(RESTARTED[:8])),
        (["--meeting", "h8sd-4kzo-y1fw"], lambda one: one["meeting_id"] == "h8sd-4kzo-y1fw"),
        (["--code", "S207", "--code", "run-failed"], lambda one: one["code"] in ("S207", "S210")),
        (["--since", "2026-11-23T14:00:00Z"], lambda one: one["at"] and one["at"] >= "2026-11-23T14"),
        (["--meeting", "h8sd-4kzo-y1fw", "--code", "S210"], lambda _: False),
    ],
)
def test_an_audit_reports_what_is_asked_for_and_judges_all(options, holds):
    assert audited(*options) == [one for one in audited() if holds(one)]


def test_what_is_not_asked_for_fails_no_audit():
    run = CliRunner().invoke
    assert run(tracker, ["audit", str(MONDAY), "--code", "D101"]).exit_code == 0
    assert run(tracker, ["audit", str(MONDAY), "--code", "S207"]).exit_code == 1


def test_a_code_that_is_none_is_refused_with_the_nearest():
    done = CliRunner().invoke(tracker, ["audit", str(MONDAY), "--code", "S270"])
    assert (done.exit_code, done.exception.hint.startswith("did you mean S2")) == (1, True)


def run(server, *arguments):
    return CliRunner().invoke(tracker, ["--data", str(server.tracker.data), *arguments])


@pytest.mark.parametrize(
    "command",
    [
        *(
            ("sessions", "--meeting"),
            ("recordings", "--meeting"),
            ("issues", "--meeting"),
            ("runs", "--meeting"),
        ),
        *(("recordings", "--session"), ("status",), ("explain",), ("timeline",), ("meeting",)),
        ("audit", "--fail-on", "never", "--meeting"),
    ],
    ids=" ".join,
)
def test_a_meeting_is_named_by_the_beginning_of_its_id(monday, command):
    short, whole = (run(monday, *command, name) for name in ("h8sd", "h8sd-4kzo-y1fw"))
    assert (short.exit_code, short.stdout) == (0, whole.stdout)
    assert "S207" in short.stdout or command[0] == "meeting" or "h8sd-4kzo-y1fw" in short.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sessions", "--meeting", "nope"], "error: nope: no such meeting\nhint: tracker sessions lists all meetings\n"),
        (["meeting", ""], "error: no such meeting\nhint: tracker sessions lists all meetings\n"),
        (["status", "h8sd", "--at", "10:18"], "error: Invalid value for '--at': '10:18' is a time and no position; give it as --as-of\n"),
        (["recordings", "h8sd"], "error: Got unexpected extra argument (h8sd)\nhint: give it as --session h8sd or --meeting h8sd\n"),
        (["audit", "--session", "nope"], "error: nope: no such session\nhint: check the id: what was read has none that begins so\n"),
        (["audit", "--meeting", "nope"], "error: nope: no such meeting\nhint: check the id: what was read has none that begins so\n"),
    ],
)  # fmt: skip
def test_what_names_nothing_gets_a_hint(monday, command, said):
    done = commands.run("--data", monday.tracker.data, *command, text=True)
    assert said in done.stderr


@pytest.mark.parametrize("how", [(), ("--jobs", "2")])
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--session", "nope"), 2),
        (("--meeting", "nope"), 2),
        (("--meeting", "h8sd", "--session", "nope"), 2),
        (("--session", RESTARTED[:8]), 1),
        (("--session", RESTARTED, "--as-of", "2026-11-22"), 2),
        (("--session", "h8sd-4kzo-y1fw", "--code", "D101"), 0),
    ],
)
def test_an_audit_of_a_session_that_is_not_there_fails_and_of_one_in_good_order_does_not(options, code, how):
    assert commands.run("audit", *how, MONDAY, *options).returncode == code


def test_that_nothing_was_found_in_a_time_is_not_said_of_all_time(monday):
    assert (
        run(monday, "issues", "--since", "2026-11-25").stdout
        == "nothing was found since 2026-11-25 00:00:00 UTC\n"
    )
