"""Times are shown in one zone, whatever they are kept in: on the terminal, in the sentences of findings, on pages."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import commands
import pytest
from click.testing import CliRunner
from served import EVENING, MONDAY, served

from projections import zones
from projections.cli import tracker
from tracker.judging.hypothesis import micros
from tracker.judging.words import clock

NIGHT = datetime(2026, 11, 24, 0, 5, tzinfo=UTC)
LOST = "6b043c5414361ba8cc03c7e6"


@pytest.fixture
def in_kolkata():
    undo = zones.use(lambda: ZoneInfo("Asia/Kolkata"))
    yield
    undo()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("zones")
    commands.run("ingest", MONDAY, cwd=path)
    return path


def test_a_time_of_a_row_is_shown_in_utc_without_being_asked_for():
    assert (zones.stamp("2026-11-23T13:18:00.5Z"), zones.name()) == ("2026-11-23 13:18:00", "UTC")


@pytest.mark.usefixtures("in_kolkata")
@pytest.mark.parametrize(
    ("words", "here"),
    [
        ("since 2026-11-23 14:29:52 UTC", "since 2026-11-23 19:59:52 IST"),
        ("ended at 00:04:00 UTC", "ended at 05:34:00 IST"),
        ("ended at 23:58:00 UTC", "ended at 05:28:00 IST"),
        ("ended at 18:00:00 UTC", "ended at 2026-11-23 23:30:00 IST"),
        ("2026-11-23T11:60:00.214+00:00 is not a valid time", "2026-11-23T11:60:00.214+00:00 is not a valid time"),
        ("recorder: gave up at 12:00:00", "recorder: gave up at 12:00:00"),
    ],
)  # fmt: skip
def test_a_sentence_has_its_times_in_the_zone_and_those_of_others_as_they_came(words, here):
    assert zones.sentence(words, NIGHT) == here


@pytest.mark.usefixtures("in_kolkata")
def test_what_findings_write_is_read_back():
    assert zones.sentence(clock(micros(NIGHT)), NIGHT) == "05:35:00 IST"


@pytest.mark.usefixtures("in_kolkata")
def test_where_nobody_knows_the_day_a_time_stays_in_utc():
    assert zones.sentence("ended at 00:04:00 UTC", None) == "ended at 00:04:00 UTC"


SHOWN = {
    ("status", LOST): ["2026-11-23 18:45:00 IST", "ended at 19:59:52 IST", "(18:46:42)"],
    ("timeline", LOST): ["2026-11-23 (Asia/Kolkata)", "18:48:00  "],
    ("sessions",): ["2026-11-23 18:45:00", "times are in Asia/Kolkata"],
    ("recordings",): ["2026-11-23 18:48:00 – ?", "times are in Asia/Kolkata"],
    ("explain", LOST): ["2026-11-23 20:09:52 IST", "starting #136 18:48:00"],
    ("audit", "--fail-on", "never"): ["2026-11-23 20:09:52 IST", "2026-11-23 10:34:00 IST to"],
    ("meeting", "c9eu-x3hf-r2mo"): ["2026-11-23 18:45:00", "in Asia/Kolkata"],
    ("person", "j4g10d"): ["in Asia/Kolkata", "ended at 20:15:40 IST"],
    ("issues",): ["2026-11-23 20:09:52", "times are in Asia/Kolkata"],
    ("overview", "--day", "2026-11-23"): ["2026-11-23 23:38:20 Asia/Kolkata"],
    ("runs",): ["times are in Asia/Kolkata"],
    ("doctor",): ["2026-11-23 23:38:20 IST"],
}


@pytest.mark.parametrize("command", SHOWN, ids=" ".join)
def test_a_command_shows_times_in_the_zone_of_tz(data, command):
    shown = commands.run(*command, "--tz", "Asia/Kolkata", cwd=data, text=True).stdout
    assert [one for one in SHOWN[command] if one not in shown] == []
    assert zones.name() == "UTC"


@pytest.mark.parametrize(
    ("zone", "name"),
    [("Asia/Kolkata", "Asia/Kolkata"), (":Asia/Kolkata", "Asia/Kolkata"), ("CET-1CEST", "UTC"), ("", "UTC")],
)
def test_without_an_option_the_zone_of_the_machine_is_shown_and_a_setting_is_stronger(data, zone, name):
    assert commands.run("sessions", cwd=data, text=True, TZ=zone).stdout.endswith(f"times are in {name}\n")
    set_otherwise = commands.run("sessions", cwd=data, text=True, TZ=zone, TRACKER_TZ="Europe/Berlin")
    assert set_otherwise.stdout.endswith("times are in Europe/Berlin\n")


def test_what_is_typed_is_of_the_zone_that_is_shown(data):
    found = commands.run("recordings", "--since", "2026-11-23 20:00", cwd=data, text=True, TZ="Asia/Kolkata")
    in_utc = commands.run("recordings", "--since", "2026-11-23T14:30Z", cwd=data, text=True)
    assert found.stdout.count("session") == in_utc.stdout.count("session") > 0


def test_programs_get_utc(data):
    given = CliRunner().invoke(
        tracker, ["--data", str(data / "tracker-data"), "sessions", "--format", "json", "--tz", "Asia/Kolkata"]
    )
    assert '"2026-11-23T13:15:00' in given.stdout


def test_pages_show_the_zone_of_the_server(tmp_path):
    commands.run("ingest", MONDAY, "--data", tmp_path, cwd=tmp_path)
    with served(tmp_path, now=EVENING, zone=ZoneInfo("Asia/Kolkata")) as server:
        page = server.ask(f"/sessions/{LOST}").body.decode()
    assert "Times are in Asia/Kolkata" in page
    assert [one for one in (">18:48:00</time>", "ended at 19:59:52 IST", ">19:45<") if one not in page] == []
