"""The overview: what is live, a day beside the day before, and how it comes in."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from meetings import MORNING, lines, read_into, write
from served import MONDAY, served

from projections.answers.days import Day, day_at
from projections.answers.overview import OUTCOMES, overview
from projections.cli import tracker
from projections.read_models import hours
from projections.views.follow import Views
from projections.web.pages.charts import SIDE, bar, columns
from projections.web.pages.html import ago
from tracker.delivery.envelope import isoformat
from tracker.rules import Rules
from tracker.store.application import Tracker

AT_NOON = MORNING + timedelta(hours=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The store of a morning with a dozen meetings."""
    path = tmp_path_factory.mktemp("morning")
    read_into(path, write(path / "log.jsonl", lines(3, 12)))
    return path


@pytest.fixture(scope="module")
def db(data):
    with Tracker.open(data) as store, Views.open(store, Rules()) as views:
        yield views.db


def test_every_run_of_the_day_has_one_outcome(db):
    found = overview(db, AT_NOON)
    (row,) = db.query("SELECT COUNT(*) AS number FROM runs WHERE files IS NOT NULL")
    began = [
        row
        for row in db.query("SELECT * FROM runs")
        if row["lifecycle"] in ("recording", "hls", "transcription")
    ]
    began = [row for row in began if row["first_step_at"] and row["first_step_at"].startswith("2026-03-02")]
    assert (tuple(found["recordings"]), sum(found["recordings"].values())) == (OUTCOMES, len(began))
    assert found["recordings"]["with a file"] == sum(row["files"] is not None for row in began)
    assert row["number"]


def test_what_is_live_is_what_the_sessions_say(db):
    live = [row for row in db.query("SELECT * FROM sessions") if row["state"] == "live"]
    found = overview(db, AT_NOON)["live"]
    assert (found["sessions"], found["people"]) == (len(live), sum(row["inside"] for row in live))
    assert found["running"] >= len(found["longest"])


def test_the_hours_of_a_day_have_all_its_errors_and_warnings(db):
    of_the_day = [
        row["severity"]
        for row in db.query("SELECT * FROM findings")
        if row["severity"] != "info" and (row["at"] or "") > "2026-03-02"
    ]
    found = overview(db, AT_NOON)["hours"]
    assert len(found) == 24
    assert sum(hour["errors"] for hour in found) == of_the_day.count("error")
    assert sum(hour["warnings"] for hour in found) == of_the_day.count("warning")


def test_what_has_no_time_belongs_to_no_day_and_is_counted_beside_it(tmp_path):
    read_into(tmp_path, MONDAY)
    command = ["--data", str(tmp_path), "overview", "--day", "2026-11-23"]
    found = json.loads(CliRunner().invoke(tracker, [*command, "--format", "json"]).stdout)
    assert (found["without_time"], sum(hour["errors"] for hour in found["hours"])) == (
        {"errors": 1, "warnings": 0},
        5,
    )
    assert "and 1 error without a time, of no day" in CliRunner().invoke(tracker, command).stdout


def test_on_a_day_without_anything_the_newest_day_with_something_is_named(tmp_path):
    read_into(tmp_path, MONDAY)
    shown = CliRunner().invoke(tracker, ["--data", str(tmp_path), "overview"]).stdout
    assert "tracker overview --day 2026-11-23 shows that day" in shown


def test_beside_a_day_stands_the_day_before(db):
    today, tomorrow = overview(db, AT_NOON), overview(db, AT_NOON + timedelta(days=1))
    assert tomorrow["deliveries"]["day_before"] == today["deliveries"]["day"]
    assert [hour["day_before"] for hour in tomorrow["hours"]] == [
        hour["errors"] + hour["warnings"] for hour in today["hours"]
    ]
    assert overview(db, AT_NOON + timedelta(days=9), date(2026, 3, 2))["hours"] == today["hours"]


def test_every_delivery_with_a_receive_time_is_in_its_hour(data, db):
    with Tracker.open(data) as store:
        timed = [one for one in store.deliveries() if one.received_at is not None]
    assert sum(row["deliveries"] for row in db.query("SELECT * FROM hours")) == len(timed)
    assert hours.between(db, "2026-03-02T09", "2026-03-02T10") == {
        "2026-03-02T09": sum(one.received_at.hour == 9 for one in timed)
    }


BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize(
    ("day", "zone", "begin", "number"),
    [
        (date(2026, 3, 2), UTC, "2026-03-02T00:00:00Z", 24),
        (date(2026, 3, 2), BERLIN, "2026-03-01T23:00:00Z", 24),
        (date(2026, 3, 29), BERLIN, "2026-03-28T23:00:00Z", 23),
        (date(2026, 10, 25), BERLIN, "2026-10-24T22:00:00Z", 25),
        (date(2026, 3, 2), KOLKATA, "2026-03-01T18:30:00Z", 24),
    ],
)
def test_a_day_goes_from_midnight_to_midnight_of_its_zone(day, zone, begin, number):
    found = Day(day, zone)
    assert (isoformat(found.begin), len(found.hours), found.end) == (begin, number, found.after.begin)


@given(
    st.integers(946_684_800, 2_208_988_800).map(partial(datetime.fromtimestamp, tz=UTC)),
    st.timezones(),
)
def test_each_moment_is_on_one_day_of_a_zone(moment, zone):
    day = day_at(moment, zone)
    assert day.begin <= moment < day.end == day.after.begin


@pytest.mark.parametrize("zone", [BERLIN, KOLKATA, ZoneInfo("Pacific/Auckland")], ids=str)
def test_what_is_of_two_days_of_utc_is_of_the_two_days_of_a_zone_about_them(db, zone):
    def numbers(day, zone=UTC):
        found = overview(db, AT_NOON, day, zone=zone)
        wrong = sum(hour["errors"] + hour["warnings"] for hour in found["hours"])
        return sum(found["recordings"].values()), wrong, found["deliveries"]["day"]["number"]

    days = [numbers(date(2026, 3, number), zone) for number in (1, 2, 3, 4)]
    assert [sum(some) for some in zip(*days, strict=True)] == list(numbers(date(2026, 3, 2)))


def test_the_hours_of_a_day_are_those_of_its_zone(db):
    there = {
        hour["hour"]: hour["errors"] + hour["warnings"] for hour in overview(db, AT_NOON, zone=BERLIN)["hours"]
    }
    here = {hour["hour"]: hour["errors"] + hour["warnings"] for hour in overview(db, AT_NOON)["hours"]}
    assert [there[f"2026-03-02T{hour + 1:02}"] for hour in range(9, 20)] == [
        here[f"2026-03-02T{hour:02}"] for hour in range(9, 20)
    ]


def test_the_command_and_the_page_show_the_day_of_their_zone(data):
    late = ["--data", str(data), "overview", "--tz", "Pacific/Auckland", "--day", "2026-03-02T23:30"]
    assert "2026-03-02, in Pacific/Auckland" in CliRunner().invoke(tracker, late).stdout
    with served(data, now=datetime(2026, 3, 2, 22, tzinfo=UTC), zone=ZoneInfo("Pacific/Auckland")) as running:
        page = running.ask("/").body.decode()
        room = running.get("/api/search?q=m")["rooms"][0]["meeting_id"]
        assert "3 March 2026, in Pacific/Auckland" in page
        assert running.get("/api/overview")["day"] == "2026-03-02"
        assert running.get(f"/api/meetings/{room}")["days"][0]["day"] == "2026-03-02"


def test_before_anything_came_there_is_nothing_and_no_error(tmp_path):
    with Tracker.open(tmp_path, create=True) as store, Views.open(store, Rules()) as views:
        found = overview(views.db, AT_NOON)
    assert (found["last_at"], found["issues"], found["deliveries"]["day"]["twice"]) == (None, [], None)


def test_the_command_prints_what_the_api_says(monday):
    asked = ["--data", str(monday.tracker.data), "overview", "--day", "2026-11-23", "--format", "json"]
    printed = json.loads(CliRunner().invoke(tracker, asked).stdout)
    answer = monday.get("/api/overview")
    assert {name: printed[name] for name in ("hours", "recordings", "deliveries", "day")} == {
        name: answer[name] for name in ("hours", "recordings", "deliveries", "day")
    }


# The page


def test_the_first_day_says_how_to_begin(server):
    shown = server.ask("/").body.decode()
    assert "Nothing has come in yet" in shown
    assert "tracker ingest" in shown


def test_a_day_without_deliveries_leads_to_the_last_one_with_some(monday):
    assert 'href="/">Show that day' in monday.ask("/?day=2026-11-20").body.decode()


def test_what_runs_is_shown_with_how_long_it_has_been_running(tmp_path):
    with served(tmp_path, now=datetime.now(UTC) + timedelta(minutes=5)) as server:
        for kind in ("session-started", "recording-starting", "recording-started"):
            server.post(kind, sessionId="s", meetingId="the-room")
        server.caught_up()
        shown = server.ask("/").body.decode()
        answer = server.get("/api/overview")["live"]
    assert (answer["sessions"], answer["running"], "the-room" in shown) == (1, 1, True)
    assert 0 < answer["longest"][0]["seconds"] <= 300


def test_a_column_is_a_pile_and_the_highest_reaches_the_top():
    low, high, more = columns([(1, 0), (2, 2)], ("error", "warning"))
    assert (low.height, high.height, more.y) == (SIDE / 4, SIDE / 2, 0)
    assert columns([(0, 0)], ("error", "warning")) == []


def test_a_bar_is_cut_into_its_parts():
    assert [(one.name, one.x, one.width) for one in bar([3, 0, 1], "abc")] == [("a", 0, 75), ("c", 75, 25)]
    assert bar([0, 0], "ab") == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (59, "59 s ago"), (3700, "1 h ago"), (-120, "in 2 min"), (40 * 86400, "2026-01-21")],
)
def test_how_long_ago_a_time_was_is_said_in_one_unit(seconds, words):
    assert ago(MORNING - timedelta(seconds=seconds), MORNING) == words
