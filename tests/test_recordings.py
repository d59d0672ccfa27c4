"""Recordings: what was recorded, where its files are, who was inside, and what has no file."""

import io
import json
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner
from meetings import lines, read_into, webhook, write
from story import NOON, session_from

from projections.answers.presence import people_during
from projections.cli import main, tracker
from projections.explain.status import recording
from projections.read_models import text
from projections.read_models.runs import TABLE, is_missing, recordings, rows
from projections.reports.sessions import status as report
from projections.reports.text import console
from projections.views.follow import Views
from projections.web.pages.session import _run as page_run
from tracker.delivery.envelope import isoformat
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
    times = ("began_at", "started_at", "stopped_at")
    rows = [
        {**row, **{name: row[name] and datetime.fromisoformat(row[name]).timestamp() for name in times}}
        for row in rows
    ]
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def test_a_row_is_what_the_status_of_its_session_says_of_the_run(listed):
    rows = listed()
    with Tracker.open(listed.data) as store, Views.open(store, RULES) as views:
        ids = {row["session_id"] for row in views.db.query("SELECT * FROM sessions")}
        sessions = [store.status(one, as_of=views.checkpoint.as_of, rules=RULES, log=views.log) for one in ids]
    expected = [recording(session, run) for session in sessions for run in session.recordings]
    assert in_any_order(expected) == in_any_order(rows)


def test_missing_is_what_is_over_and_brought_no_file(listed):
    over = [row for row in listed() if row["state"] in ("stopped", "failed", "lost") and not row["files"]]
    assert (listed("--missing"), bool(over)) == (over, True)


def test_missing_is_also_what_a_log_without_times_leaves_open_at_the_end_of_its_session(tmp_path):
    kinds = ("session-started", "recording-started", "session-ended")
    log = write(tmp_path / "log", [webhook(kind, sessionId="S", meetingId="M") for kind in kinds])
    read_into(tmp_path / "data", log)
    with Tracker.open(tmp_path / "data") as store, Views.open(store, RULES) as views:
        (row,) = recordings(views.db, missing=True)
    assert (row["state"], row["findings"], is_missing(row)) == ("started", ["S201", "X403"], True)


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


@pytest.mark.parametrize("option", ["--session", "--meeting"])
def test_what_is_not_there_is_an_error_and_no_empty_list(listed, option):
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(listed.data), "recordings", option, "nobody"])
    assert ended.value.code == 2


@pytest.mark.parametrize("option", ["--state", "--lifecycle"])
def test_a_word_that_is_none_of_the_declarations_is_refused(listed, option):
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(listed.data), "recordings", option, "recordng"])
    assert ended.value.code == 2


def test_until_and_limit_leave_out_the_rest(listed):
    rows = listed()
    began = rows[5]["started_at"]
    assert listed("--limit", "2") == rows[:2]
    assert all(row["started_at"] is None or row["started_at"] <= began for row in listed("--until", began))


def test_that_no_file_is_missing_is_said_of_all_runs_and_not_of_as_many_as_are_listed(monday):
    asked = ["--data", str(monday.tracker.data), "recordings", "--missing", "--meeting", "w1ka-g0st-8uvd"]
    done = CliRunner().invoke(tracker, [*asked, "--limit", "1"])
    assert done.stdout == "2 runs, none without a file\n"


def test_a_person_chooses_what_ran_while_they_were_inside(listed):
    rows = listed("--people")
    with_ada = [row for row in rows if any(one["participant_id"] == "ada" for one in row["people"])]
    found = listed("--person", "ada", "--people")
    assert (found, bool(found)) == (with_ada, True)
    assert listed("--person", "Ad", "--people") == found


# When a run ended

LATE = {
    "recording": (
        "303 recording-started",
        "440 recording-stopped fileUrl=https://files/a.mp4",
        "600 recording-starting",
    ),
    "livestream": (
        "300 livestream-starting",
        "303 livestream-started",
        "440 livestream-stopped",
        "530 livestream-stopping",
    ),
    "hls": ("303 hls-started", "440 hls-stopped", "600 hls-playable playbackHlsUrl=https://files/a.m3u8"),
}


@pytest.mark.parametrize("lines", LATE.values(), ids=LATE)
def test_a_run_ended_when_its_end_came_whatever_came_later(lines):
    session = session_from("0 session-started", *lines, "3000 session-ended", as_of="9h")
    run_of = next(one for name, one in session.aggregates.items() if name[0] in LATE)
    (run,) = run_of.runs
    end, row = isoformat(NOON + timedelta(seconds=440)), next(rows(session))
    report(console(out := io.StringIO()), session)

    assert (isoformat(run.ended_at), recording(session, run)["stopped_at"]) == (end, end)
    assert isoformat(page_run(run_of, run, "", set())["end"]) == end
    assert dict(zip(TABLE.columns, row, strict=True))["stopped_at"] == text(run.ended_at)
    assert f"12:05:0{lines[0][2]} – 12:07:20\n" in out.getvalue()


# Who was inside

RUN = {"began_at": "10", "stopping_at": "20", "stopped_at": "30"}


def visit(person, joined_at, left_at):
    return {"participant_id": person, "name": None, "joined_at": joined_at, "left_at": left_at}


@pytest.mark.parametrize(
    ("joined_at", "left_at", "at_end"),
    [("05", "15", False), ("05", "25", True), ("15", None, True), (None, "15", False), (None, None, True)],
)
@pytest.mark.parametrize("run", [RUN, {**RUN, "stopping_at": "30", "stopped_at": "20"}], ids=["", "late"])
def test_who_was_inside_is_still_there_at_the_stop_or_not(joined_at, left_at, at_end, run):
    assert [one["at_end"] for one in people_during(run, [visit("a", joined_at, left_at)])] == [at_end]


@pytest.mark.parametrize(("joined_at", "left_at"), [("01", "09"), ("21", "40")])
def test_who_came_after_it_or_left_before_it_was_not_inside(joined_at, left_at):
    assert people_during(RUN, [visit("a", joined_at, left_at)]) == []


def test_a_person_who_came_back_counts_once():
    people = people_during(RUN, [visit("a", "05", "12"), visit("a", "14", None)])
    assert [(one["participant_id"], one["at_end"]) for one in people] == [("a", True)]


def test_of_what_still_runs_nobody_knows_who_is_there_at_the_end():
    (person,) = people_during({**RUN, "stopping_at": None, "stopped_at": None}, [visit("a", "05", None)])
    assert person["at_end"] is None


# The API and the page


def every(server, query=""):
    """The items of all pages."""
    found, cursor = [], ""
    while cursor is not None:
        page = server.get(f"/api/recordings?limit=4{query}{f'&cursor={cursor}' if cursor else ''}")
        found, cursor = found + page["items"], page["next"]
    return found


def test_the_api_has_each_run_once_in_pages_and_the_one_that_began_last_first(monday):
    rows = every(monday)
    assert rows == monday.get("/api/recordings?limit=1000")["items"]
    assert len({(row["session_id"], row["lifecycle"], str(row["key"]), row["run"]) for row in rows}) == len(
        rows
    )


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("&missing=true", lambda row: not row["files"]),
        ("&state=lost", lambda row: row["state"] == "lost"),
        ("&lifecycle=hls", lambda row: row["lifecycle"] == "hls"),
        ("&meeting=h8sd-4kzo-y1fw", lambda row: row["meeting_id"] == "h8sd-4kzo-y1fw"),
        ("&person=kenji", lambda row: "Kenji" in [one["name"] for one in row["people"]]),
        ("&file=5036e7f61d69e94a9ec18e6a.mp4", lambda row: "5036e7f61d69e94a9ec18e6a" in str(row["files"])),
        ("&until=2026-11-23T10:18:00Z", lambda row: (row["started_at"] or row["stopped_at"] or "9") < "2026-11-23T10:18"),
    ],
)  # fmt: skip
def test_what_is_asked_for_chooses_the_rows_of_the_api(monday, query, holds):
    rows = every(monday, query)
    assert ([row for row in every(monday) if holds(row)], bool(rows)) == (rows, True)


def test_the_page_names_the_file_the_room_and_who_was_there_at_the_end(monday):
    shown = monday.ask("/recordings?file=5036e7f61d69e94a9ec18e6a.mp4").body.decode()
    for words in ("https://cdn.videosdk.live/encoded/videos/5036e7f61d69e94a9ec18e6a.mp4", "h8sd-4kzo-y1fw"):
        assert words in shown
    assert "4 of 4 inside at its end" in shown
    assert "Ruth, Kenji, Marta, Ali" in shown
