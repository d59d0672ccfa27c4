"""Presence, rooms and people: who was where, for how long, and how many at once."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from meetings import MORNING
from sqlite_utils import Database
from story import NOON, session_from

from projections.answers.people import person
from projections.answers.presence import of_session, presence, seen_of, visits_of
from projections.answers.rooms import room
from projections.cli import tracker
from projections.explain.status import status
from projections.web.pages.people import LEAST_DAYS, MOST_DAYS, _calendar
from tracker.delivery.envelope import isoformat


def visit(who, begin, end):
    """From minute to minute of the morning."""
    times = [None if minute is None else MORNING + timedelta(minutes=minute) for minute in (begin, end)]
    return who, *times


@pytest.mark.parametrize(
    ("visits", "minutes", "peak", "at"),
    [
        ([], 0, 0, None),
        ([visit("a", 0, 10)], 10, 1, 0),
        ([visit("a", 0, 10), visit("b", 5, 15)], 20, 2, 5),
        ([visit("a", 0, 10), visit("b", 10, 15)], 15, 1, 0),
        ([visit("a", 0, 10), visit("a", 5, 15)], 20, 1, 0),
        ([visit("a", 0, 10), visit("b", None, 15), visit("c", 5, None)], 10, 1, 0),
        ([visit("a", 10, 5)], 0, 0, None),
        ([visit("a", 0, 10), visit("b", 5, 5)], 10, 1, 0),
    ],
)
def test_minutes_add_up_and_the_peak_counts_different_people(visits, minutes, peak, at):
    found = presence(visits)
    expected = None if at is None else MORNING + timedelta(minutes=at)
    assert (found.minutes, found.peak, found.peak_at) == (minutes, peak, expected)


def test_who_is_still_inside_counts_up_to_the_moment_that_is_asked_for_as_in_a_list_of_rooms():
    lines = (
        "0 session-started",
        "0 participant-joined participantId=a",
        "20m participant-joined participantId=b",
    )
    assert [of_session(session_from(*lines, as_of=later)).minutes for later in ("20m", "30m")] == [20, 40]


def test_who_never_left_counts_up_to_the_end_of_the_session():
    lines = ("0 session-started", "5m participant-joined participantId=a", "20m session-ended")
    assert of_session(session_from(*lines, as_of="9h")).minutes == 15


COUNTED = {
    "its joined was lost": (
        ("0 participant-joined a", "10m participant-left a", "20m participant-left a reason=kicked"),
        [(0, 10), (10, 20)],
    ),
    "its left was sent again with a reason": (
        ("5m participant-joined a", "15m participant-left a", "17m participant-left a reason=kicked"),
        [(5, 15), (15, 17)],
    ),
    "its left was lost": (
        ("0 participant-joined a", "20m participant-joined a participantName=Ann", "25m participant-left a"),
        [(0, 20), (20, 25)],
    ),
    "another device is inside": (
        ("0 participant-joined a", "10m participant-left b", "20m participant-left a reason=kicked"),
        [(0, 20), (0, 10)],
    ),
    "its joined came late": (("10m participant-left a", "16m participant-joined a"), [(10, 10)]),
}


@pytest.mark.parametrize(("lines", "expected"), COUNTED.values(), ids=COUNTED)
def test_what_is_not_known_of_a_visit_is_not_counted_beside_another_one_of_the_same_person(lines, expected):
    session = session_from("0 session-started", *lines, "30m session-ended", as_of="9h")
    found = visits_of(seen_of(session))
    assert [[round((at - NOON).total_seconds() / 60) for at in times] for _, *times in found] == [
        list(times) for times in expected
    ]


def test_the_status_has_the_times_that_were_received_also_where_the_joined_came_late():
    session = session_from(
        "0 session-started", "10m participant-left a", "16m participant-joined a", as_of="20m"
    )
    (visit,) = status(session)["participants"][0]["visits"]
    times = [isoformat(NOON + timedelta(minutes=minutes)) for minutes in (16, 10)]
    assert visit == dict(zip(("joined_at", "left_at"), times, strict=True))
    assert seen_of(session)[0].joined_at is None


# A room and a person


@pytest.fixture(scope="module")
def db(monday):
    return Database(monday.live.views_path)


def test_a_room_adds_up_its_sessions(monday, db):
    for meeting in {row["meeting_id"] for row in db.query("SELECT * FROM sessions") if row["meeting_id"]}:
        found = room(db, meeting, monday.now)
        statuses = [monday.get(f"/api/sessions/{one['session_id']}") for one in found["items"]]
        assert (found["sessions"], found["peak"]) == (len(statuses), max(one["peak"] for one in statuses))
        assert found["minutes"] == pytest.approx(
            sum(one["minutes"] for one in statuses), abs=0.1 * len(statuses)
        )
        assert sum(day["sessions"] for day in found["days"]) == found["sessions"]


def test_a_person_has_the_visits_that_their_sessions_have(monday, db):
    for row in db.query("SELECT participant_id, COUNT(*) AS visits FROM participants GROUP BY participant_id"):
        found = person(db, row["participant_id"], monday.now)
        assert (found["visits"], len(found["items"])) == (row["visits"], row["visits"])
        assert found["minutes"] == pytest.approx(
            sum(one["seconds"] or 0 for one in found["items"]) / 60, abs=0.1
        )


def test_a_person_has_their_own_recordings_and_those_with_them_inside(monday):
    found = monday.get("/api/people/sx2051")["recordings"]
    assert {(one["lifecycle"], one["own"]) for one in found} == {
        ("participant-recording", True),
        ("participant-track-recording", True),
        ("recording", False),
        ("hls", False),
    }


def test_a_finding_about_a_person_is_among_theirs(monday):
    (about,) = monday.get("/api/findings?code=X404")["items"]
    found = monday.get(f"/api/people/{about['key']['participant_id']}")["findings"]
    assert [one["message"] for one in found] == [about["message"]]


@pytest.mark.parametrize("path", ["/api/meetings/nobody", "/api/people/nobody", "/meetings/x", "/people/x"])
def test_what_is_not_there_is_not_found(monday, path):
    assert monday.ask(path).status == 404


def test_a_name_of_several_people_is_answered_with_their_ids(monday):
    hint = monday.ask("/api/people/Lena").json["hint"]
    assert all(one in hint for one in ("o1vj2a", "z9xk8v"))


# The commands


def run(server, *words):
    return CliRunner().invoke(tracker, ["--data", str(server.tracker.data), *words])


@pytest.mark.parametrize(
    ("command", "path"), [("meeting h8sd-4kzo-y1fw", "meetings"), ("person sx2051", "people")]
)
def test_a_command_prints_what_the_api_says(monday, command, path):
    printed = json.loads(run(monday, *command.split(), "--format", "json").stdout)
    answer = monday.get(f"/api/{path}/{command.split()[1]}")
    same = [name for name in printed if name not in ("issues", "items")]
    assert {name: printed[name] for name in same} == {name: answer[name] for name in same}


def test_a_room_is_found_by_one_of_its_sessions(monday):
    assert run(monday, "meeting", "6b040ea029e961d671985824").stdout.startswith("meeting h8sd-4kzo-y1fw\n")


def test_a_person_is_found_by_a_name_that_only_one_has(monday):
    assert "person 1tkgqo  Ruth\n" in run(monday, "person", "ruth").stdout


@pytest.mark.parametrize(
    ("given", "words"), [("Lena", "2 people have such a name"), ("Nobody", "no such person")]
)
def test_a_name_of_nobody_or_of_several_is_refused(monday, given, words):
    done = run(monday, "person", given)
    assert words in str(done.exception)


def test_the_status_says_minutes_and_peak(monday):
    assert "232 participant-minutes, at most 4 at once (10:03:02)" in run(monday, "status", "6b040ea0").stdout


# The chart of a room


def test_a_calendar_has_every_day_up_to_the_last_one():
    days = [
        {"day": "2026-03-05", "sessions": 1},
        {"day": "2026-03-01", "sessions": 2},
        {"day": None, "sessions": 3},
    ]
    found = _calendar(days)
    assert (len(found), found[-1], found[-5]) == (LEAST_DAYS, days[0], days[1])
    assert len(_calendar([{"day": "2026-03-05"}, {"day": "2025-03-05"}])) == MOST_DAYS
    assert _calendar([]) == []
