"""The logs of ``examples/`` say what their README says, and the programs there run."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import click
import commands
import pytest
from waiting import BOUND

import projections
import tracker
from projections import cli
from projections.web import tokens
from projections.web.connections import MOST_CONNECTIONS, OWN_FILES
from projections.web.server import STOP_TIMEOUT
from tracker.delivery import envelope
from tracker.delivery.webhook import Delivery, parse
from tracker.intake.logs import Log
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.sessions import Sessions
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
BAD_MONDAY = "bad_monday.jsonl"
SWAPPED = "6b040798714b151adf6e5384"

# Log -> session (or stream, where there is no session) -> codes of severity warning or above.
LOGS = {
    "clean_meeting.jsonl": {"6b040090f552cc5023d8319a": []},
    BAD_MONDAY: {
        "6b03c940d6909d4585e48b7f": ["T307"],  # never ended
        "6b03f280cd4d87cd1c32b3c4": [],  # clean
        "6b03f988e30161ed0c74f1cb": ["S202"],  # recording-started lost
        "6b04009026e12da4cad8c06d": [],  # redelivered
        SWAPPED: [],
        "6b040ea029e961d671985824": ["S207"],  # restarted without stop
        "6b0415a8d5a2eb4e60ebf4c7": ["S205"],  # orphan hls-stopped
        "6b041cb0bf2484894a20ce02": ["T305"],  # minute 60
        "6b0438d00674842fe6813762": ["C509"],  # recording-paused
        "6b043c5414361ba8cc03c7e6": ["X403"],  # recording never stopped
        "6b0446e0faa7a29b866fa46c": ["X404"],  # never left
        "6b044de8d01bca3a8e3222a3": [],  # second device
        "6b0454f0bd0f25005fefdb03": ["S210"],  # transcription failed
        "6b046a08eba571e7b3ec5dec": [],  # clean
        "unrouted:malformed": ["C513", "C513"],
    },
    "telephone_meeting.jsonl": {
        "call:call_7f3a": [],
        "6b1a6f20c3d94e5b8a7f0164": [],
        "agent:session-9b1f6c2e-4d07-4f3a-8f52-6a1c0de7b344": [],
    },
    "page_examples.jsonl": {"613731342f27f56e4fc4b6d0": [*["S210"] * 6, "T305"]},
}

# Session of the bad Monday -> the readings other than advanced and new-run, of what is no fault.
HARMLESS = {
    "6b03f280cd4d87cd1c32b3c4": [],
    "6b04009026e12da4cad8c06d": ["redelivered"] * 3,
    SWAPPED: ["skipped-ahead", "late"],
    "6b044de8d01bca3a8e3222a3": ["overtaken"],
    "6b046a08eba571e7b3ec5dec": [],
}

ONE_MORE = (
    "backup-recording-stopped          unrouted  - -> -\n",
    "backup-recording-stopped      01  advanced  stopping -> stopped\n",
    "backup-recording-failed       02  advanced  starting -> failed\n",
    "S210 error: backup recording 665fcf7f2abe9a2807e42702 failed while starting:\n     no space left\n",
    "stateDiagram-v2",
    "at_stopping --> at_stopped : backup-recording-stopped\n",
)

# Program -> what its output must contain.
PROGRAMS = {
    "follow_one_webhook.py": (
        "A recording-started, line 7 of clean_meeting.jsonl",
        *(
            "tracker.delivery.envelope.decode",
            "tracker.delivery.webhook.parse",
            "tracker.store.application.Tracker.append",
        ),
        *(
            "tracker.judging: observe, then assess",
            "projections.views.follow.Views",
            "tracker.store.application.Tracker.status",
        ),
        "source         clean_meeting.jsonl:7",
        "lifecycle      recording, step started",
        "position       7\n   version        6 in the stream 6b040090f552cc5023d8319a",
        "reading        advanced\n   state          starting -> started",
        "steps=starting started",
        "live (sure), 6 deliveries",
    ),
    "replay_a_meeting.py": (
        "   6 09:03:10  advanced      - -> starting        recording-starting\n",
        "  14 09:48:05  new-run       - -> in              participant-joined Mei #2\n",
        "the session is ended (sure).\nNothing is found.\n",
    ),
    "add_a_lifecycle.py": ONE_MORE,
    "show_a_lifecycle.py": ONE_MORE,
}

HANDLER = "test_my_handler.py"
"""Tests that a user may run; those of the naive handler fail."""

every_log = pytest.mark.parametrize("name", LOGS)
every_program = pytest.mark.parametrize("name", PROGRAMS)


def deliveries(name: str) -> Iterator[Delivery]:
    for line in Log(str(EXAMPLES / name)).lines():
        yield parse(envelope.decode(line.text), line.number)


def standing(name: str) -> dict[str, list[str]]:
    """Stream -> codes of what is found when the log ends; a resource only where it has some."""
    sessions, newest = Sessions(Rules()), None
    for delivery in deliveries(name):
        sessions.observe(delivery)
        newest = max(filter(None, (newest, delivery.received_at)), default=None)
    found = {
        session.stream: sorted(finding.code for finding in session.findings)
        for session in [sessions.assessed(stream, newest) for stream in list(sessions.observed)]
    }
    return {stream: codes for stream, codes in found.items() if codes or not stream.startswith("resource:")}


def grave(codes: list[str]) -> list[str]:
    return [code for code in codes if CATALOGUE[code].severity != "info"]


def run(*arguments: object, **environment: str) -> str:
    """The output of a Python process that must end well, without a word on standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=EXAMPLES,  # not where the packages are, which would hide those on PYTHONPATH
        check=False,  # the assertion below shows what went wrong
        capture_output=True,
        text=True,
        timeout=BOUND,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def readme_rows() -> list[list[str]]:
    """The cells of each row of the README's tables."""
    lines = (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


ELSEWHERE = {
    "Dockerfile",
    "alerts.yml",
    "compose.yaml",
    "datasette.json",
    "grafana.json",
    "nginx.conf",
    "spark_audit.py",
    "tracker.service",
}
"""Have their tests in ``test_metrics.py``, ``test_reference.py``, ``test_deployment.py``, below, and in ``test_spark.py``."""


def test_every_file_in_examples_has_a_test():
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert {"README.md", *LOGS, *PROGRAMS, HANDLER, *ELSEWHERE} == files


def test_the_readme_names_every_log_and_every_program():
    named = {row[0].strip("`") for row in readme_rows() if row[0].startswith("`")}
    assert {*LOGS, *PROGRAMS, HANDLER} == named


def test_the_readme_tells_of_each_meeting_the_findings_that_it_has():
    printed = {row[2]: re.findall(r"[A-Z]\d{3}", row[4]) for row in readme_rows() if len(row) == 5}
    printed = {session: codes for session, codes in printed.items() if session in LOGS[BAD_MONDAY]}
    expected = dict(LOGS[BAD_MONDAY])
    del expected["unrouted:malformed"]  # given in words below the table
    assert expected == {session: grave(codes) for session, codes in printed.items()}
    found = standing(BAD_MONDAY)
    assert {session: codes for session, codes in printed.items() if not set(codes) <= set(found[session])} == {}


@every_log
def test_a_log_has_the_findings_it_is_meant_to_have_and_no_more(name):
    assert LOGS[name] == {stream: grave(codes) for stream, codes in standing(name).items()}


@pytest.mark.parametrize("session", HARMLESS)
def test_what_is_no_fault_is_read_as_what_it_is(session):
    sessions = Sessions(Rules())
    for delivery in deliveries(BAD_MONDAY):
        if delivery.stream == session:
            sessions.observe(delivery)
    readings = sorted(sessions.assessed(session, None).readings().items())
    found = [one.reading for _, one in readings if one.reading not in ("advanced", "new-run")]
    assert found == HARMLESS[session]


@pytest.mark.parametrize("name", ["clean_meeting.jsonl", BAD_MONDAY])
def test_a_log_is_in_the_order_of_its_receive_times(name):
    times = [delivery.received_at for delivery in deliveries(name) if delivery.received_at]
    assert [(earlier, later) for earlier, later in pairwise(times) if later < earlier] == []


@pytest.mark.parametrize("name", ["clean_meeting.jsonl", BAD_MONDAY])
def test_a_session_id_begins_with_the_second_in_which_the_session_was_created(name):
    started = [one for one in deliveries(name) if one.type == "session-started"]
    created = [datetime.fromtimestamp(int((one.session_id or "")[:8], 16), UTC) for one in started]
    announced = [datetime.fromisoformat(one.payload.start).replace(microsecond=0) for one in started]
    assert created == announced


def test_the_bad_monday_keeps_the_two_deliveries_that_are_not_json_with_the_place_at_which_they_break():
    problems = {one.position: one.problem for one in deliveries(BAD_MONDAY) if one.unrouted == "C513"}
    assert problems == {
        89: "it is not JSON: trailing comma in object at line 7, column 26",
        154: "it is not JSON: it breaks off at column 98",
    }


def test_the_page_examples_have_the_thirty_four_types_and_none_that_is_unknown():
    types = {delivery.type for delivery in deliveries("page_examples.jsonl")}
    assert len(types) == 34
    assert types - set(REGISTRY.routes) == set()


@every_log
def test_the_command_audits_a_log_to_the_same_findings(name, tmp_path):
    asked = ("audit", EXAMPLES / name, "--format", "ndjson", "--fail-on", "never")
    output = commands.run(*asked, text=True, TRACKER_DATA=str(tmp_path)).stdout
    audited: dict[str, list[str]] = {}
    for line in output.splitlines():
        found = json.loads(line)
        audited.setdefault(found["session_id"] or "unrouted:malformed", []).append(found["code"])
    assert {stream: codes for stream, codes in LOGS[name].items() if codes} == {
        stream: sorted(grave(codes)) for stream, codes in audited.items() if grave(codes)
    }


@every_program
def test_a_program_runs_and_prints_what_it_promises_in_lines_no_wider_than_a_terminal(name):
    output = run(EXAMPLES / name)
    assert [text for text in PROGRAMS[name] if text not in output] == []
    assert [line for line in output.splitlines() if len(line) > 80] == []


@pytest.mark.slow
def test_the_tests_of_a_handler_fail_where_the_last_webhook_wins_and_hold_where_all_are_folded():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=no",
        "-rfp",
        "-c",
        ROOT / "pyproject.toml",
        EXAMPLES / HANDLER,
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BOUND).stdout
    results = re.findall(r"^(PASSED|FAILED) .*\[(.*) \d+-(\w+)\]", output, re.MULTILINE)
    assert {(fault, handler) for result, fault, handler in results if result == "FAILED"} == {
        ("swapped", "LastWriteWins"),
        ("late", "LastWriteWins"),
    }, output
    assert {handler for result, _, handler in results if result == "PASSED"} == {"LastWriteWins", "Folded"}


def test_a_replay_shows_what_is_found_and_what_no_longer_holds():
    output = run(EXAMPLES / "replay_a_meeting.py", EXAMPLES / BAD_MONDAY, SWAPPED)
    assert "+ S201 warning, provisional: recording-started came, but" in output
    assert "- S201 warning, provisional: recording-started came, but" in output


INSTALLED = """
import json, sys
from pathlib import Path
from projections.views.follow import Views
from tracker.lifecycles import REGISTRY
from tracker.store.application import Tracker
from tracker.delivery.webhook import parse

bodies = [json.dumps({"webhookType": f"backup-recording-{step}", "data": {
    "meetingId": "M", "sessionId": "S", "id": "c1", "filePath": "/c1.mp4"}}).encode()
    for step in ("starting", "started", "stopping", "stopped")]
with Tracker.open(Path(sys.argv[1]), create=True) as store:
    store.append([parse(body) for body in bodies])
    status = store.status("S")
    with Views.open(store) as views:
        rows = [[row["lifecycle"], row["key"], row["state"]] for row in views.db.query("SELECT * FROM runs")]
print(json.dumps({
    "lifecycles": sorted(REGISTRY),
    "routed": [parse(body).lifecycle.name for body in bodies],
    "payload": type(parse(bodies[0]).payload).__name__,
    "judged": status.aggregates["backup-recording", (("id", "c1"),)].state,
    "rows": rows,
}))
"""


def copy_with_one_more(directory: Path) -> str:
    """A copy of both packages, and of the example as one more lifecycle; returns where it is."""
    for package in (tracker, projections):
        source = Path(package.__path__[0])
        shutil.copytree(source, directory / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(EXAMPLES / "add_a_lifecycle.py", directory / "tracker/lifecycles/backup_recording.py")
    return str(directory)


def test_one_more_lifecycle_is_routed_typed_judged_and_projected_once_its_file_is_there(tmp_path):
    path = copy_with_one_more(tmp_path / "copy")
    assert json.loads(run("-c", INSTALLED, tmp_path / "data", PYTHONPATH=path)) == {
        "lifecycles": sorted({*REGISTRY, "backup-recording"}),
        "routed": ["backup-recording"] * 4,
        "payload": "BackupRecording",
        "judged": "stopped",
        "rows": [["backup-recording", '{"id":"c1"}', "stopped"]],
    }


def test_the_command_lists_and_draws_one_more_lifecycle_once_its_file_is_there(tmp_path):
    path = copy_with_one_more(tmp_path)
    command = ("-m", "projections", "lifecycles")
    listed = run(*command, PYTHONPATH=path)
    drawn = run(*command, "backup-recording", "--format", "mermaid", PYTHONPATH=path)
    assert "\nbackup-recording\n===" in "\n" + listed
    assert "at_stopping --> at_stopped : backup-recording-stopped\n" in drawn


@pytest.mark.slow
def test_the_tests_of_lifecycles_layers_and_diagrams_hold_for_one_more_once_its_file_is_there(tmp_path):
    path = copy_with_one_more(tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    tests = [tmp_path / "tests" / f"test_{name}.py" for name in ("lifecycles", "layers", "diagrams")]
    output = run("-m", "pytest", "-v", "-c", tmp_path / "pyproject.toml", *tests, PYTHONPATH=path)
    assert "backup-recording: starting started stopping stopped" in output


def test_the_commands_of_the_compose_file_are_commands():
    """What stands there in JSON's own form, as YAML may, is read by the command line."""
    text = (EXAMPLES / "compose.yaml").read_text("utf-8")
    commands = [json.loads(found) for found in re.findall(r"command: (\[.*\])", text)]
    roles = []
    for name, *arguments in commands:
        command = cli.tracker.get_command(click.Context(cli.tracker), name)
        context = command.make_context(name, arguments)
        roles.append(context.params.get("role"))
    assert roles == [None, "receiver", "reader", "reader"]


def test_the_command_of_the_unit_is_one_and_its_credentials_are_those_that_are_read(tmp_path):
    unit = (EXAMPLES / "tracker.service").read_text("utf-8")
    _, name, *arguments = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1].split()
    given = cli.tracker.get_command(click.Context(cli.tracker), name).make_context(name, arguments).params
    credentials = re.findall(r"^LoadCredential=(.*):", unit, re.MULTILINE)
    for credential in credentials:
        (tmp_path / credential).write_text("x" * tokens.LEAST)

    assert [path.name for path in given["keys"]] == credentials[1:]
    assert tokens.read_token(None, None, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "x" * tokens.LEAST
    assert int(re.search(r"LimitNOFILE=(\d+)", unit)[1]) >= MOST_CONNECTIONS + OWN_FILES
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > STOP_TIMEOUT
