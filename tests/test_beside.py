"""What a session had beside it, in streams of its own, is shown as one with it."""

import json
from pathlib import Path

import pytest
from served import served
from story import deliveries
from test_cli import run  # noqa: F401 - a fixture

from projections.answers.search import search
from projections.explain import together
from projections.explain.status import timeline
from projections.read_models import links
from projections.read_models.links import beside
from projections.views.follow import Views
from tracker.errors import NotFoundError
from tracker.rules import Rules
from tracker.store.application import Tracker

AGENT = "session-5bf19efa-22af-41d8-8a3f-b4dbd3f8bcac"
CALLED = (
    "0 call-started c1 roomId=M -meetingId",
    "2 session-started",
    "3 agent-session-started " + AGENT + " roomId=M -meetingId",
    "4 call-answered c1 roomId=M -meetingId",
    "5 transcription-started t1 type=post",
    "60 call-hangup c1 roomId=M -meetingId",
    "61 session-ended",
    "90 transcription-completed t1 roomId=M -sessionId -meetingId",
    "2h call-started c2 roomId=M -meetingId -sessionId",
)
RULES = Rules()
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def store(tmp_path):
    with Tracker.open(tmp_path, create=True) as opened:
        opened.append(deliveries(*CALLED))
        yield opened


@pytest.fixture
def views(store):
    with Views.open(store) as opened:
        yield opened


def shown(store, views, name="S", at=None):
    return together.found(views.db, name, lambda stream: store.status(stream, at=at, rules=RULES))


def test_beside_a_session_is_what_names_it_or_its_room_while_it_was_on_or_a_thing_in_it(views):
    assert beside(views.db, "S") == ["call:c1", f"agent:{AGENT}", "transcription:t1"]


@pytest.mark.parametrize(("began", "is_beside"), [("-11m", False), ("-9m", True), ("61", True), ("2m", False)])
def test_what_names_only_the_room_is_beside_the_session_that_was_on_when_it_began(tmp_path, began, is_beside):
    lines = "0 session-started", f"{began} call-started c1 roomId=M -meetingId -sessionId"
    end = '61 session-ended end="2026-01-05T12:01:01Z"'
    again = "3h call-hangup c1 roomId=M -meetingId -sessionId", "2h session-started"
    with Tracker.open(tmp_path, create=True) as store:
        store.append(deliveries(*lines, end, *again))
        with Views.open(store) as views:
            assert beside(views.db, "S") == ["call:c1"] * is_beside


def test_its_things_are_among_those_of_the_session(store, views):
    things = [(one.lifecycle.name, one.state) for one in shown(store, views).aggregates.values()]
    assert things == [
        *(("session", "ended"), ("transcription", "started")),
        *(("call", "hangup"), ("agent-session", "started"), ("transcription", "completed")),
    ]


@pytest.mark.parametrize(
    ("words", "streams"),
    [
        ("c", ["call:c1", "call:c2"]),
        ("call:c1", ["call:c1"]),
        ("t1", ["transcription:t1"]),
        (AGENT[:9], [f"agent:{AGENT}"]),
        ("S", []),
        ("%", []),
    ],
)
def test_what_has_a_stream_of_its_own_is_found_by_its_id(views, words, streams):
    assert [one["stream"] for one in search(views.db, words)["things"]] == streams


def test_a_transcription_that_names_only_its_room_is_found_with_its_state_and_that_room(views):
    (found,) = search(views.db, "t1")["things"]
    assert (found["lifecycle"], found["state"], found["meeting_id"]) == ("transcription", "completed", "M")


def test_the_status_of_the_past_knows_nothing_of_what_came_later(store, views):
    names = [one.lifecycle.name for one in shown(store, views, at=2).aggregates.values()]
    assert names == ["session", "call"]


def test_the_session_counts_the_deliveries_of_all(store, views):
    found = shown(store, views)
    assert (found.stream, found.state, found.deliveries, found.last_position) == ("S", "ended", 8, 8)


def test_a_timeline_has_the_deliveries_of_all_by_position_each_in_the_lane_of_its_thing(store, views):
    moments, sessions = timeline(together.deliveries(store, views.db, "S"), RULES)
    assert [one.delivery.position for one in moments] == list(range(1, 9))
    things = list(together.together("S", sessions).aggregates.values())
    assert [things[one.place].lifecycle.name for one in moments] == [
        *("call", "session", "agent-session", "call", "transcription", "call", "session", "transcription"),
    ]


def test_a_session_of_which_only_calls_are_known_is_shown(tmp_path):
    with Tracker.open(tmp_path, create=True) as store:
        store.append(
            deliveries("0 call-started c1 roomId=R -meetingId", "9 call-hangup c1 roomId=R -meetingId")
        )
        with Views.open(store) as views:
            found = shown(store, views)
    assert (found.session_id, found.meeting_id, found.state) == ("S", "R", "unknown")
    assert [one.state for one in found.aggregates.values()] == ["hangup"]


def test_a_session_of_which_nothing_is_known_is_none(store, views):
    with pytest.raises(NotFoundError):
        shown(store, views, "other")


def test_what_is_found_beside_a_session_is_among_its_findings_in_the_order_of_the_deliveries(tmp_path):
    with Tracker.open(tmp_path, create=True) as store:
        store.append(deliveries("0 session-started", "1 call-hangup c1", "2 recording-stopped"))
        with Views.open(store) as views:
            found = shown(store, views).findings
    assert [(one.number, one.code, one.lifecycle) for one in found] == [
        *((1, "S205", "call"), (2, "C507", "recording"), (3, "S205", "recording")),
    ]


def test_the_commands_show_a_meeting_by_telephone_as_one(run):  # noqa: F811 - the fixture
    run("ingest", EXAMPLES / "telephone_meeting.jsonl")
    status = json.loads(run("status", "6b1a6f20", "--json").stdout)
    assert [one["lifecycle"] for one in status["aggregates"]].count("call") == 1
    call = json.loads(run("status", "call:call_7f3a", "--json").stdout)
    assert {link["session_id"] for link in call["links"]} == {None, status["session_id"]}
    lines = run("timeline", "6b1a6f20").stdout.decode()
    assert "call-transferred" in lines
    assert "call-summary  noted" in lines


# -- the list of what ran -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, ["call c2", "transcription t1", "transcription t1", f"agent-session {AGENT}", "call c1"]),
        ({"lifecycles": ["call"]}, ["call c2", "call c1"]),
        ({"states": ["hangup"]}, ["call c1"]),
        ({"meeting": "M", "lifecycles": ["call"]}, ["call c2", "call c1"]),
        ({"session": "S"}, ["transcription t1", "call c1"]),
        ({"since": "2026-01-05T12:01:30"}, ["call c2", "transcription t1"]),
        ({"until": "2026-01-05T12:00:01"}, ["call c1"]),
        ({"limit": 1}, ["call c2"]),
    ],
    ids=str,
)
def test_what_ran_is_listed_the_latest_first_wherever_it_is_kept(views, asked, names):
    found = [" ".join((row["lifecycle"], *row["key"].values())) for row in links.runs(views.db, **asked)]
    assert found == names


def test_a_run_in_the_list_says_what_it_was_for_and_what_was_found_of_it(tmp_path):
    with Tracker.open(tmp_path, create=True) as store:
        store.append(deliveries("0 session-started", "1 call-hangup c1 roomId=R -meetingId"))
        with Views.open(store) as views:
            (row,) = links.runs(views.db)
    assert [row[name] for name in ("stream", "session_id", "meeting_id", "findings")] == [
        "call:c1",
        "S",
        "R",
        ["S205"],
    ]


def test_the_command_lists_what_ran(run):  # noqa: F811 - the fixture
    run("ingest", EXAMPLES / "telephone_meeting.jsonl")
    lines = run("runs", "--lifecycle", "call").stdout.decode().splitlines()
    assert lines[0].startswith("hangup  call call_7f3a  2026-11-24 08:59:52 – 09:18:30  session 6b1a6f20")
    assert lines[1] == "1 run; times are in UTC"
    refused = run("runs", "--session", "nobody")
    assert (refused.returncode, refused.stderr.decode().splitlines()[0]) == (
        2,
        "error: nobody: no such session",
    )


# -- over HTTP --------------------------------------------------------------------------------------------------


def test_pages_and_the_api_show_a_session_of_which_only_calls_are_known(tmp_path):
    with Tracker.open(tmp_path, create=True) as store:
        store.append(
            deliveries("0 call-started c1 roomId=R -meetingId", "9 call-hangup c1 roomId=R -meetingId")
        )
    with served(tmp_path) as running:
        page = running.ask("/sessions/S")
        status = running.get("/api/sessions/S")
        timeline_of = running.get("/api/sessions/S/timeline")
        call = running.ask("/sessions/call:c1").body
        runs_of = running.ask("/lifecycles/call").body
    assert page.status == 200
    assert [one["lifecycle"] for one in status["aggregates"]] == ["call"]
    assert [one["type"] for one in timeline_of["items"]] == ["call-started", "call-hangup"]
    assert b'href="/sessions/S"' in call
    assert b'href="/sessions/call%3Ac1"' in runs_of


def test_where_only_calls_are_known_the_commands_lead_to_them(run, tmp_path):  # noqa: F811 - the fixture
    log = tmp_path / "calls.jsonl"
    log.write_bytes(
        b"\n".join(one.body for one in deliveries("0 call-ringing c1 roomId=R -meetingId -sessionId"))
    )
    run("ingest", log)
    listed, room = run("sessions"), run("status", "R")
    assert b"tracker runs lists calls, agents and whatever else ran" in listed.stderr
    assert room.stderr.decode().splitlines() == [
        "error: R: no session is known of this room",
        "hint: tracker runs --meeting R lists what was for it",
    ]
