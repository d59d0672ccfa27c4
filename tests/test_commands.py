"""The table of commands, from which ``tracker --help`` is printed without importing any of them."""

import json
import os
import pkgutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import click
import pytest
from meetings import deliveries, line, webhook

from projections import cli
from projections.cli import COMMANDS, OTHER_NAMES, tracker
from projections.views.follow import Views
from tracker.store.application import Tracker

MODULES = {found.name for found in pkgutil.iter_modules(cli.__path__)}
LOADED = """
import json, sys
from projections.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def command(name):
    return tracker.get_command(click.Context(tracker), name)


def loaded(*arguments):
    """The modules that a process has imported once ``tracker`` is done with ``arguments``."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
        capture_output=True,
        check=True,
    )
    return set(json.loads(done.stderr))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_the_table_is_the_short_help_of_the_command(name):
    assert COMMANDS[name].help == command(name).get_short_help_str(limit=1000)


def test_every_command_of_a_module_is_in_the_table_under_that_module():
    every = [
        (command, module)
        for module in MODULES
        for command in vars(import_module(f"projections.cli.{module}")).values()
        if isinstance(command, click.Command)
    ]
    of_groups = [one for group, _ in every if isinstance(group, click.Group) for one in group.commands.values()]
    found = {(command.name, module) for command, module in every if command not in of_groups}
    assert found == {(name, entry.module) for name, entry in COMMANDS.items()}


def test_help_shows_the_table_and_imports_no_command_and_nothing_that_a_command_works_with():
    shown = subprocess.run(
        [sys.executable, "-m", "projections", "--help"], capture_output=True, text=True, check=True
    ).stdout
    missing = [name for name, entry in COMMANDS.items() if f"  {name:<11}  {entry.help}\n" not in shown]
    ours = {name for name in loaded("--help") if name.partition(".")[0] in {"projections", "tracker"}}
    shared = {f"projections.cli.{name}" for name in ("messages", "options", "streams")}
    assert (missing, ours) == ([], {"projections", "projections.cli", "tracker", "tracker.errors"} | shared)


def test_a_command_imports_no_module_of_another_one():
    commands = {f"projections.cli.{entry.module}" for entry in COMMANDS.values()}
    assert loaded("lifecycles") & commands == {"projections.cli.lifecycles"}


TAKES_LONG = {
    *(
        "asyncio",
        "cattrs",
        "difflib",
        "gzip",
        "hashlib",
        "importlib.metadata",
        "logging",
        "shutil",
        "sqlite_utils",
    ),
    *("rich", "tempfile", "tomllib", "zipfile", "tracker.alert", "tracker.relay", "tracker.sending"),
}
"""What commands import only where they do something that needs it."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data directory that is judged, with one session, and the log of it."""
    data = tmp_path_factory.mktemp("data")
    given = [webhook("session-started", sessionId="s"), webhook("session-ended", sessionId="s")]
    lines = [line(one, second) for second, one in enumerate(given)]
    (data / "log.jsonl").write_bytes(b"".join(lines))
    with closing(Tracker.open(data, create=True)) as opened:
        opened.append(deliveries(lines))
        with Views.open(opened) as views:
            views.bring_to(opened, datetime.now(UTC))  # as the first command would
    return data


@pytest.mark.parametrize("command", ["status s", "timeline s", "find s", "explain s", "sessions", "runs"])
def test_what_shows_sessions_imports_nothing_that_only_other_commands_need(data, command):
    assert loaded("--data", str(data), *command.split()) & TAKES_LONG == set()


def test_a_status_imports_attrs_only_where_a_payload_is_read(data):
    assert loaded("--data", str(data), "status", "s") & {"attr", "attrs"} == set()


def test_an_audit_of_a_log_imports_nothing_of_a_store(data):
    assert loaded("audit", str(data / "log.jsonl")) & {*TAKES_LONG, "eventsourcing"} == set()


BEFORE = "atexit.register(print, 'said at the end')"
WITHIN = "begin = cli.open_closed_streams; cli.open_closed_streams = lambda: (begin(), atexit.register(print, 'said at the end'))"


@pytest.mark.parametrize("registered", [BEFORE, WITHIN], ids=["before", "within"])
@pytest.mark.parametrize(("argument", "code"), [("--version", 0), ("no-such-command", 2)])
def test_what_is_registered_for_the_end_of_the_process_is_done_and_the_exit_code_stays(
    registered, argument, code
):
    text = f"import atexit, projections.cli as cli, projections.program; {registered}; projections.program.program()"
    ended = subprocess.run([sys.executable, "-c", text, argument], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (code, ["said at the end"])


def test_nothing_is_registered_for_the_end_of_the_process_before_a_command_runs():
    text = "import atexit, projections.cli, projections.program; print(atexit._ncallbacks())"
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ended.stdout == "0\n"


def test_another_name_of_a_command_is_no_command_and_names_one():
    assert set(OTHER_NAMES).isdisjoint(COMMANDS)
    assert set(OTHER_NAMES.values()) <= set(COMMANDS)


def test_the_table_is_sorted_by_name():
    assert list(COMMANDS) == sorted(COMMANDS)


def test_no_module_of_the_command_line_has_more_than_three_hundred_lines():
    lengths = {
        path.name: len(path.read_text("utf-8").splitlines()) for path in Path(cli.__path__[0]).glob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_an_output_of_another_encoding_gets_a_question_mark_for_what_it_does_not_have(tmp_path):
    command = [sys.executable, "-m", "projections", "lifecycles", "recording"]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False
    )
    assert (ended.returncode, b"Traceback" in ended.stderr, b"recording" in ended.stdout) == (0, False, True)
