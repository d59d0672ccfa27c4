"""``tracker recordings``: what was recorded, where its files are, and what has none."""

import json
from datetime import datetime

import pytest
from meetings import lines, read_into, write

from projections.cli import main
from projections.explain.status import recording
from projections.views.follow import Views
from tracker.rules import Rules
from tracker.store.application import Tracker

RULES = Rules()


@pytest.fixture
def listed(tmp_path, capsysbinary):
    """The rows that the command prints of a simulated day, with these options."""
    log = write(tmp_path / "log", (line for seed in range(6) for line in lines(seed, 8)))
    read_into(tmp_path / "data", log)

    def listed(*options):
        with pytest.raises(SystemExit) as ended:
            main(["--data", str(tmp_path / "data"), "recordings", "--format", "ndjson", *options])
        assert not ended.value.code
        return [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]

    listed.data = tmp_path / "data"
    return listed


def in_any_order(rows):
    """The rows as text, with their times as numbers."""
    times = ("started_at", "stopped_at")
    rows = [
        {**row, **{name: row[name] and datetime.fromisoformat(row[name]).timestamp() for name in times}}
        for row in rows
    ]
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def test_a_row_is_what_the_status_of_its_session_says_of_the_run(listed):
    rows = listed()
    with Tracker.open(listed.data) as store, Views.open(store, RULES) as views:
        ids = {row["session_id"] for row in views.db["sessions"].rows}
        sessions = [store.status(one, as_of=views.checkpoint.as_of, rules=RULES, log=views.log) for one in ids]
    expected = [recording(session, run) for session in sessions for run in session.recordings]
    assert in_any_order(expected) == in_any_order(rows)


def test_missing_is_what_is_over_and_brought_no_file(listed):
    over = [row for row in listed() if row["state"] in ("stopped", "failed", "lost") and not row["files"]]
    assert (listed("--missing"), bool(over)) == (over, True)


def test_states_and_sessions_choose_rows(listed):
    rows = listed()
    assert listed("--state", "lost", "--state", "failed") == [
        row for row in rows if row["state"] in ("lost", "failed")
    ]
    session = rows[0]["session_id"]
    assert listed("--session", session) == [row for row in rows if row["session_id"] == session]
    assert listed("--meeting", rows[0]["meeting_id"])[0]["meeting_id"] == rows[0]["meeting_id"]


def test_since_leaves_out_what_is_older(listed):
    assert (listed("--since", "2999-01-01"), len(listed("--since", "2026-01-01"))) == ([], len(listed()))
